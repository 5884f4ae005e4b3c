"""MobileViT (Mehta and Rastegari, 2022): MobileNet blocks with transformers on unfolded patches between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import wide_enough
from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid


class Mobilevit(ImageArchitecture):
    """Classifier of fixed depth: ``widths`` of its three transformers, ``neck_widths`` of seven parts around them."""

    default_input_size = 256
    config_class, model_class = "MobileViTConfig", "MobileViTForImageClassification"
    keywords = {**ImageArchitecture.keywords, "widths": "hidden_sizes", "neck_widths": "neck_hidden_sizes"}
    defaults = {
        "widths": (144, 192, 240),
        "neck_widths": (16, 32, 64, 96, 128, 160, 640),
        "num_heads": 4,
        "mlp_ratio": 2.0,
        "expand_ratio": 4.0,
        "num_classes": 1000,
    }
    presets = {
        "mobilevit-xx-small": {
            "widths": (64, 80, 96),
            "neck_widths": (16, 16, 24, 48, 64, 80, 320),
            "expand_ratio": 2.0,
        },
        "mobilevit-x-small": {"widths": (96, 120, 144), "neck_widths": (16, 32, 48, 64, 80, 96, 384)},
        "mobilevit-small": {},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Three widths that the heads divide, seven of necks."""
        widths, necks = settings["widths"], settings["neck_widths"]
        if (len(widths), len(necks)) != (3, 7):
            raise InputError("mobilevit has 3 widths and 7 neck_widths", f"{widths} and {necks}", "give as many")
        if any(width % settings["num_heads"] for width in widths):
            got = f"num_heads {settings['num_heads']}, widths {widths}"
            raise InputError("num_heads divides every width", got, "change one of them")
        wide_enough(settings, "mlp_ratio", "widths")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; at least one patch of 2x2 is left at the end."""
        return at_least(super().complete(workload), 64)

    def grid(self) -> list[Workload]:
        """Narrow to small."""
        tiny = {"widths": (16, 24, 32), "neck_widths": (8, 8, 16, 24, 32, 40, 80), "num_classes": 10}
        return [
            *grid("mobilevit", **tiny, expand_ratio=2.0, input_size=64),
            *grid("mobilevit", preset=["mobilevit-xx-small", "mobilevit-x-small"], input_size=[64, 128]),
        ]
