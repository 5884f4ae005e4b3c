"""Depthwise convolutions alone: one filter for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._blocks import ImageBlock, Stack
from ftax_model.workload import Workload, grid


class DepthwiseConv2d(Stack, ImageBlock):
    """Convolutions with bias at stride 1."""

    defaults = {"num_layers": 1, "channels": 128, "kernel_size": 3}

    def part(self, settings: Mapping[str, Any]) -> Any:
        """One convolution."""
        from torch import nn

        channels, kernel = settings["channels"], settings["kernel_size"]
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def grid(self) -> list[Workload]:
        """Few to many channels, small to large."""
        return [
            *grid("depthwise-conv2d", channels=16, input_size=8),
            *grid("depthwise-conv2d", channels=[64, 256], kernel_size=[3, 5, 7], input_size=28),
            *grid("depthwise-conv2d", num_layers=4, channels=128, input_size=14, batch_size=4),
        ]
