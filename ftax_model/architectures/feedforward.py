"""The feed-forward part of a transformer layer: two products with GELU between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._blocks import Stack, TokenBlock
from ftax_model.workload import Workload, grid


class Feedforward(Stack, TokenBlock):
    """Without residual and norm."""

    defaults = {"num_layers": 1, "hidden_size": 768, "intermediate_size": 3072}

    def part(self, settings: Mapping[str, Any]) -> Any:
        """Wider, GELU, narrower."""
        from torch import nn

        outer, inner = settings["hidden_size"], settings["intermediate_size"]
        return nn.Sequential(nn.Linear(outer, inner), nn.GELU(), nn.Linear(inner, outer))

    def grid(self) -> list[Workload]:
        """Narrow to wide, short and long."""
        return [
            *grid("feedforward", hidden_size=64, intermediate_size=256, input_size=[8, 128]),
            *grid("feedforward", num_layers=[1, 4], hidden_size=256, intermediate_size=1024, input_size=[16, 256]),
            *grid("feedforward", input_size=64),
        ]
