"""Multi-layer perceptron: linear layers with rectifiers between them."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._base import Architecture
from ftax_model.workload import Workload, grid


class Mlp(Architecture):
    """``num_layers`` linear layers, each ``hidden_size`` wide, on ``input_size`` features."""

    family = "block"
    input_unit = "features"
    default_input_size = 1024
    defaults = {"num_layers": 4, "hidden_size": 1024}

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The layers, which take ``input`` (batch, input size) and return (batch, hidden size)."""
        import torch
        from torch import nn

        settings, dtype = workload.settings, getattr(torch, workload.dtype)
        layers = [nn.Linear(workload.input_size, settings["hidden_size"])]
        for _ in range(settings["num_layers"] - 1):
            layers += [nn.ReLU(), nn.Linear(settings["hidden_size"], settings["hidden_size"])]
        module = nn.Sequential(*layers).to(dtype).eval()
        return module, {"input": torch.randn(workload.batch_size, workload.input_size, dtype=dtype)}

    def grid(self) -> list[Workload]:
        """Tiny to moderate."""
        return [
            *grid("mlp", num_layers=2, hidden_size=64, input_size=64),
            *grid("mlp", num_layers=[4, 16], hidden_size=[256, 1024], input_size=256),
            *grid("mlp", num_layers=8, hidden_size=512, input_size=512, batch_size=[8, 64]),
        ]
