"""One operator that computes little and moves much, some times over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model import plugins
from ftax_model.architectures._blocks import Stack, TokenBlock
from ftax_model.workload import Workload, grid

OPERATORS = ("add", "relu", "gelu", "sin", "softmax", "mean", "roll", "gather", "pool")
"""Sum with a vector; rectifier; GELU; sine; softmax; mean, broadcast again; the halves of each vector swapped;
vectors drawn by index; maximum of three neighbours."""


class Streaming(Stack, TokenBlock):
    """``num_layers`` times the same ``operator`` on vectors of ``hidden_size``."""

    defaults = {"operator": "add", "num_layers": 1, "hidden_size": 768}

    def check(self, settings: Mapping[str, Any]) -> None:
        """A known operator."""
        plugins.check(settings["operator"], OPERATORS, what="operator of streaming")

    def part(self, settings: Mapping[str, Any]) -> Any:
        """The operator once."""
        from ftax_model.architectures._modules import Streamed

        return Streamed(settings["operator"], settings["hidden_size"])

    def grid(self) -> list[Workload]:
        """Each operator, narrow and wide."""
        return [
            *grid("streaming", operator=list(OPERATORS), num_layers=2, hidden_size=64, input_size=16),
            *grid("streaming", operator=["add", "softmax"], hidden_size=1024, input_size=256),
        ]
