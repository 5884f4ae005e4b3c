"""Swin Transformer (Liu et al., 2021): attention in shifted windows, patches merged between stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import equally_many
from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid


class Swin(ImageArchitecture):
    """Classifier of ``depths`` layers in stages; the first is ``embed_dim`` wide, each further one twice as wide."""

    config_class, model_class = "SwinConfig", "SwinForImageClassification"
    keywords = {"num_classes": "num_labels"}
    defaults = {
        "embed_dim": 96,
        "depths": (2, 2, 6, 2),
        "num_heads": (3, 6, 12, 24),
        "window_size": 7,
        "num_classes": 1000,
    }
    presets = {
        "swin-tiny": {},
        "swin-small": {"depths": (2, 2, 18, 2)},
        "swin-base": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
        "swin-large": {"embed_dim": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads for each depth, and they divide the width of their stage."""
        equally_many(settings, "depths", "num_heads")
        for stage, heads in enumerate(settings["num_heads"]):
            if settings["embed_dim"] * 2**stage % heads:
                got = f"embed_dim {settings['embed_dim']}, num_heads {settings['num_heads']}"
                raise InputError("num_heads divide embed_dim, doubled at each stage", got, "change one of them")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; a window fits into the last stage, and each stage but the first halves the extent."""
        full = super().complete(workload)
        return at_least(full, full.settings["window_size"] * 2 ** (len(full.settings["depths"]) + 1))

    def grid(self) -> list[Workload]:
        """Shallow and narrow to middle."""
        small = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4, "num_classes": 10}
        middle = {"embed_dim": 48, "depths": (2, 2, 2), "num_heads": (3, 6, 12)}
        return [
            *grid("swin", **small, input_size=32),
            *grid("swin", **middle, window_size=4, input_size=[64, 112]),
            *grid("swin", **middle, window_size=7, input_size=112),
        ]
