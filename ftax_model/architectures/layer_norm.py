"""Layer norms alone: memory traffic without a single product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._blocks import Stack, TokenBlock
from ftax_model.workload import Workload, grid


class LayerNorm(Stack, TokenBlock):
    """Layer norms over the width, one after the other."""

    defaults = {"num_layers": 1, "hidden_size": 768}

    def part(self, settings: Mapping[str, Any]) -> Any:
        """One layer norm."""
        from torch import nn

        return nn.LayerNorm(settings["hidden_size"])

    def grid(self) -> list[Workload]:
        """Narrow to wide, short and long."""
        return [
            *grid("layer-norm", hidden_size=64, input_size=[8, 128]),
            *grid("layer-norm", num_layers=[1, 4], hidden_size=[256, 1024], input_size=256),
        ]
