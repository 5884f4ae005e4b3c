"""EfficientNet (Tan and Le, 2019): MobileNet blocks with squeeze and excitation, scaled in width and depth together."""

from __future__ import annotations

import math
from typing import Any

from ftax_model.architectures._torch import at_least, input_size
from ftax_model.architectures._transformers import ImageArchitecture
from ftax_model.workload import Workload, grid

STRIDES, REPEATS = (1, 2, 2, 2, 1, 2, 1), (1, 2, 2, 3, 3, 4, 1)
"""Stride of the first block and number of blocks in each stage of B0."""


class Efficientnet(ImageArchitecture):
    """Classifier; the published sizes go with images of 224, 240, 260, 300, 380, 456, 528 and 600 pixels."""

    config_class, model_class = "EfficientNetConfig", "EfficientNetForImageClassification"
    defaults = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "num_classes": 1000}
    presets = {
        "efficientnet-b0": {},
        "efficientnet-b1": {"depth_coefficient": 1.1},
        "efficientnet-b2": {"width_coefficient": 1.1, "depth_coefficient": 1.2},
        "efficientnet-b3": {"width_coefficient": 1.2, "depth_coefficient": 1.4},
        "efficientnet-b4": {"width_coefficient": 1.4, "depth_coefficient": 1.8},
        "efficientnet-b5": {"width_coefficient": 1.6, "depth_coefficient": 2.2},
        "efficientnet-b6": {"width_coefficient": 1.8, "depth_coefficient": 2.6},
        "efficientnet-b7": {"width_coefficient": 2.0, "depth_coefficient": 3.1},
    }

    def complete(self, workload: Workload) -> Workload:
        """As the base says; something is left of the image at the end."""
        return at_least(super().complete(workload), 32)

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says; the head is as wide as the rest, in eights, and odd extents are halved upwards."""
        width, depth = workload.settings["width_coefficient"], workload.settings["depth_coefficient"]
        return super().configuration(workload) | {
            "hidden_dim": max(8, round(1280 * width / 8) * 8),
            "depthwise_padding": _odd_strides(input_size(workload), depth),
        }

    def grid(self) -> list[Workload]:
        """Narrow and shallow to B0 on small images."""
        return [
            *grid("efficientnet", width_coefficient=0.25, depth_coefficient=0.25, num_classes=10, input_size=32),
            *grid("efficientnet", width_coefficient=0.5, depth_coefficient=[0.5, 1.0], input_size=64),
            *grid("efficientnet", input_size=[64, 128]),
        ]


def _odd_strides(size: int, depth: float) -> list[int]:
    """Numbers of the blocks that halve an odd extent; transformers pads them in another way."""
    found, number, extent = [], 0, math.ceil(size / 2)
    for stride, repeats in zip(STRIDES, REPEATS, strict=True):
        if stride == 2 and extent % 2:
            found.append(number)
        extent, number = math.ceil(extent / stride), number + math.ceil(depth * repeats)
    return found
