"""Multi-layer perceptron: linear layers with rectifiers between them."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._torch import TorchArchitecture, input_size, numbers
from ftax_model.workload import Workload, grid


class Mlp(TorchArchitecture):
    """``num_layers`` linear layers, each ``hidden_size`` wide, on ``input_size`` features."""

    family = "block"
    input_unit = "features"
    default_input_size = 1024
    defaults = {"num_layers": 4, "hidden_size": 1024}

    def module(self, workload: Workload) -> Any:
        """The layers, which take ``input`` (batch, input size) and return (batch, hidden size)."""
        from torch import nn

        width = workload.settings["hidden_size"]
        layers = [nn.Linear(input_size(workload), width)]
        for _ in range(workload.settings["num_layers"] - 1):
            layers += [nn.ReLU(), nn.Linear(width, width)]
        return nn.Sequential(*layers)

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random features."""
        return {"input": numbers(workload, input_size(workload))}

    def grid(self) -> list[Workload]:
        """Tiny to moderate."""
        return [
            *grid("mlp", num_layers=2, hidden_size=64, input_size=64),
            *grid("mlp", num_layers=[4, 16], hidden_size=[256, 1024], input_size=256),
            *grid("mlp", num_layers=8, hidden_size=512, input_size=512, batch_size=[8, 64]),
        ]
