"""The attention part of a transformer layer: three products, attention, and a product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import divides
from ftax_model.architectures._blocks import Stack, TokenBlock
from ftax_model.workload import Workload, grid


class MultiHeadAttention(Stack, TokenBlock):
    """Self-attention without mask, residual and norm."""

    defaults = {"num_layers": 1, "hidden_size": 768, "num_heads": 12}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width."""
        divides(settings, "num_heads", "hidden_size")

    def part(self, settings: Mapping[str, Any]) -> Any:
        """One layer of attention."""
        from ftax_model.architectures._modules import Attention

        return Attention(settings["hidden_size"], settings["num_heads"])

    def grid(self) -> list[Workload]:
        """Narrow to wide, short and long."""
        middle = {"hidden_size": 256, "num_heads": 4}
        return [
            *grid("multi-head-attention", hidden_size=64, num_heads=2, input_size=[8, 128]),
            *grid("multi-head-attention", num_layers=[1, 4], **middle, input_size=[16, 256]),
            *grid("multi-head-attention", input_size=512),
        ]
