"""Long short-term memory: one operator over all layers and steps."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._blocks import TokenBlock
from ftax_model.workload import Workload, grid


class Lstm(TokenBlock):
    """Layers of ``hidden_size``, read from left to right, or from both sides."""

    defaults = {"num_layers": 1, "hidden_size": 512, "bidirectional": False}

    def module(self, workload: Workload) -> Any:
        """The layers, which return the hidden states of all tokens."""
        from ftax_model.architectures._modules import Recurrent

        settings = workload.settings
        return Recurrent(settings["hidden_size"], settings["num_layers"], bidirectional=settings["bidirectional"])

    def grid(self) -> list[Workload]:
        """Narrow to wide, short and long."""
        return [
            *grid("lstm", hidden_size=32, input_size=[4, 64]),
            *grid("lstm", num_layers=[1, 2], hidden_size=256, input_size=[16, 64]),
            *grid("lstm", hidden_size=128, bidirectional=True, input_size=32),
        ]
