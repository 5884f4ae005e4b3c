"""Mobile inverted bottlenecks (Tan et al., 2019): widen, depthwise convolution, squeeze and excite, narrow, add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._blocks import ImageBlock, Stack
from ftax_model.workload import Workload, grid


class Mbconv(Stack, ImageBlock):
    """Blocks of EfficientNet at stride 1; the excitation is squeezed to ``squeeze_ratio`` of the channels."""

    defaults = {"num_layers": 1, "channels": 32, "expand_ratio": 6, "kernel_size": 3, "squeeze_ratio": 0.25}

    def part(self, settings: Mapping[str, Any]) -> Any:
        """One block."""
        from torch import nn

        from ftax_model.architectures._modules import Residual, SqueezeExcite, convolution

        outer, kernel = settings["channels"], settings["kernel_size"]
        inner, squeezed = outer * settings["expand_ratio"], max(1, round(outer * settings["squeeze_ratio"]))
        branch = nn.Sequential(
            convolution(outer, inner, 1, act=nn.SiLU(inplace=True)),
            convolution(inner, inner, kernel, groups=inner, act=nn.SiLU(inplace=True)),
            SqueezeExcite(inner, squeezed),
            convolution(inner, outer, 1),
        )
        return Residual(branch, nn.Identity(), nn.Identity())

    def grid(self) -> list[Workload]:
        """Narrow to wide, small to large."""
        return [
            *grid("mbconv", channels=8, expand_ratio=2, input_size=8),
            *grid("mbconv", channels=[16, 48], expand_ratio=[4, 6], kernel_size=[3, 5], input_size=28),
            *grid("mbconv", num_layers=4, channels=32, input_size=14, batch_size=4),
        ]
