"""Torch modules that architectures are made of; imported only while one is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class TensorOutputs(nn.Module):  # type: ignore[misc]
    """A model of transformers whose output is the tuple of its tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All tensors at the top of the model's output, in its order."""
        output = self.model(**inputs)
        return tuple(value for value in output.values() if isinstance(value, torch.Tensor))


class Residual(nn.Module):  # type: ignore[misc]
    """A branch and a shortcut, added and rectified."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut, self.activation = branch, shortcut, nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same batch in and out."""
        return self.activation(self.branch(x) + self.shortcut(x))


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, act: Any = None) -> Any:
    """Convolution without bias that keeps the extent at stride 1, batch norm, and an activation where one is given."""
    parts: Sequence[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        *([act] if act is not None else []),
    ]
    return nn.Sequential(*parts)
