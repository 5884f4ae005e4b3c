"""MobileNetV2 (Sandler et al., 2018): inverted residuals with depthwise convolutions."""

from __future__ import annotations

from ftax_model.architectures._torch import at_least
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.workload import Workload, grid


class MobilenetV2(ImageArchitecture):
    """Classifier of fixed depth; ``width_multiplier`` scales the channels, padding is symmetric."""

    config_class, model_class = "MobileNetV2Config", "MobileNetV2ForImageClassification"
    keywords = {**ImageArchitecture.keywords, "width_multiplier": "depth_multiplier"}
    constants = {"tf_padding": False}
    defaults = {"width_multiplier": 1.0, "expand_ratio": 6.0, "num_classes": 1000}
    presets = {
        "mobilenet-v2-0.35": {"width_multiplier": 0.35},
        "mobilenet-v2-0.75": {"width_multiplier": 0.75},
        "mobilenet-v2-1.0": {},
        "mobilenet-v2-1.4": {"width_multiplier": 1.4},
    }

    def complete(self, workload: Workload) -> Workload:
        """As the base says; something is left of the image at the end."""
        return at_least(super().complete(workload), 32)

    def grid(self) -> list[Workload]:
        """Narrow to wide on small images."""
        return [
            *grid("mobilenet-v2", width_multiplier=0.25, expand_ratio=2.0, num_classes=10, input_size=32),
            *grid("mobilenet-v2", width_multiplier=[0.5, 1.0], input_size=[64, 96]),
            *grid("mobilenet-v2", expand_ratio=4.0, input_size=128, batch_size=2),
        ]
