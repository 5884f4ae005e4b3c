"""Two-dimensional convolutions alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import divides
from ftax_model.architectures._blocks import ImageBlock, Stack
from ftax_model.workload import Workload, grid


class Conv2d(Stack, ImageBlock):
    """Convolutions with bias at stride 1, in ``groups``."""

    defaults = {"num_layers": 1, "channels": 64, "kernel_size": 3, "groups": 1}

    def check(self, settings: Mapping[str, Any]) -> None:
        """An odd kernel, and groups that divide the channels."""
        super().check(settings)
        divides(settings, "groups", "channels")

    def part(self, settings: Mapping[str, Any]) -> Any:
        """One convolution."""
        from torch import nn

        channels, kernel = settings["channels"], settings["kernel_size"]
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=settings["groups"])

    def grid(self) -> list[Workload]:
        """Narrow to wide, small to large, whole and grouped."""
        return [
            *grid("conv2d", channels=8, kernel_size=1, input_size=8),
            *grid("conv2d", channels=[32, 128], kernel_size=[1, 3, 5], input_size=28),
            *grid("conv2d", channels=64, groups=[4, 16], input_size=28),
            *grid("conv2d", num_layers=4, channels=64, input_size=14, batch_size=4),
        ]
