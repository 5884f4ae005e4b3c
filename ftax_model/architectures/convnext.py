"""ConvNeXt (Liu et al., 2022): depthwise 7x7 convolutions between products, in the manner of a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import equally_many
from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.workload import Workload, grid


class Convnext(ImageArchitecture):
    """Classifier of ``depths`` blocks in stages of ``widths`` channels."""

    config_class, model_class = "ConvNextConfig", "ConvNextForImageClassification"
    keywords = {**ImageArchitecture.keywords, "widths": "hidden_sizes"}
    defaults = {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768), "num_classes": 1000}
    presets = {
        "convnext-tiny": {},
        "convnext-small": {"depths": (3, 3, 27, 3)},
        "convnext-base": {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
        "convnext-large": {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536)},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """A width for each depth."""
        equally_many(settings, "depths", "widths")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; each stage but the first halves what the patches leave."""
        full = super().complete(workload)
        return at_least(full, 2 ** (len(full.settings["depths"]) + 1))

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, with the number of stages."""
        return super().configuration(workload) | {"num_stages": len(workload.settings["depths"])}

    def grid(self) -> list[Workload]:
        """Shallow and narrow to middle."""
        return [
            *grid("convnext", depths=(1, 1), widths=(16, 32), num_classes=10, input_size=32),
            *grid("convnext", depths=(1, 1, 2, 1), widths=(32, 64, 128, 256), input_size=[64, 128]),
            *grid("convnext", depths=(2, 2, 4, 2), widths=(48, 96, 192, 384), input_size=96),
        ]
