"""PoolFormer (Yu et al., 2022): average pooling in place of attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import equally_many, wide_enough
from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid


class Poolformer(ImageArchitecture):
    """Classifier of ``depths`` blocks in four stages of ``widths`` channels."""

    config_class, model_class = "PoolFormerConfig", "PoolFormerForImageClassification"
    keywords = {**ImageArchitecture.keywords, "widths": "hidden_sizes"}
    defaults = {"depths": (2, 2, 6, 2), "widths": (64, 128, 320, 512), "mlp_ratio": 4.0, "num_classes": 1000}
    presets = {
        "poolformer-s12": {},
        "poolformer-s24": {"depths": (4, 4, 12, 4)},
        "poolformer-s36": {"depths": (6, 6, 18, 6)},
        "poolformer-m36": {"depths": (6, 6, 18, 6), "widths": (96, 192, 384, 768)},
        "poolformer-m48": {"depths": (8, 8, 24, 8), "widths": (96, 192, 384, 768)},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Four depths and four widths."""
        equally_many(settings, "depths", "widths")
        if len(settings["depths"]) != 4:
            raise InputError(
                "poolformer has four stages", f"depths {settings['depths']}", "give four depths and widths"
            )
        wide_enough(settings, "mlp_ratio", "widths")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; something is left of the image at the end."""
        return at_least(super().complete(workload), 32)

    def grid(self) -> list[Workload]:
        """Shallow and narrow to middle."""
        return [
            *grid("poolformer", depths=(1, 1, 1, 1), widths=(8, 16, 32, 64), num_classes=10, input_size=32),
            *grid("poolformer", depths=(1, 1, 2, 1), widths=(32, 64, 128, 256), input_size=[64, 128]),
            *grid("poolformer", input_size=96),
        ]
