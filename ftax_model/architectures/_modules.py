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
    """A branch and a shortcut, added, and what follows."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut, self.activation = branch, shortcut, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps in and out."""
        return self.activation(self.branch(x) + self.shortcut(x))


class SqueezeExcite(nn.Module):  # type: ignore[misc]
    """Channels weighed by a small perceptron of their means (Hu et al., 2018)."""

    def __init__(self, channels: int, squeezed: int, *, act: Any = None, gate: Any = None) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            act if act is not None else nn.SiLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            gate if gate is not None else nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps in and out, of one shape."""
        return x * self.weigh(x)


class ChannelShuffle(nn.Module):  # type: ignore[misc]
    """Channels of all groups in turn, so that the next grouped convolution mixes them (Zhang et al., 2018)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps in and out, of one shape."""
        batch, channels, height, width = x.shape
        apart = x.view(batch, self.groups, channels // self.groups, height, width)
        return apart.transpose(1, 2).reshape(x.shape)


class Attention(nn.Module):  # type: ignore[misc]
    """Self-attention of some heads on (batch, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, width // heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        batch, tokens, width = x.shape
        apart = (batch, tokens, self.heads, self.head_size)
        query, key, value = (part(x).view(apart).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Recurrent(nn.Module):  # type: ignore[misc]
    """An LSTM on (batch, tokens, width) that returns the hidden states of its last layer."""

    def __init__(self, width: int, layers: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width), twice as wide where it reads from both sides."""
        return self.lstm(input)[0]


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, act: Any = None) -> Any:
    """Convolution without bias that keeps the extent at stride 1, batch norm, and an activation where one is given."""
    parts: Sequence[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        *([act] if act is not None else []),
    ]
    return nn.Sequential(*parts)


class Streamed(nn.Module):  # type: ignore[misc]
    """One operator on (batch, tokens, width) that keeps the shape; which, see `ftax_model.architectures.streaming`."""

    def __init__(self, operator: str, width: int) -> None:
        super().__init__()
        self.operator, self.half = operator, width // 2
        self.weight = nn.Parameter(torch.randn(width))
        self.register_buffer("order", torch.randperm(width), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape in and out."""
        if self.operator == "add":
            return x + self.weight
        if self.operator == "relu":
            return nn.functional.relu(x)
        if self.operator == "gelu":
            return nn.functional.gelu(x)
        if self.operator == "sin":
            return torch.sin(x)
        if self.operator == "softmax":
            return torch.softmax(x, -1)
        if self.operator == "mean":
            return x.mean(-1, keepdim=True).expand_as(x)
        if self.operator == "roll":
            return torch.cat((x[..., self.half :], x[..., : self.half]), -1)
        if self.operator == "gather":
            return x.index_select(-1, self.order)
        return nn.functional.max_pool1d(x, 3, stride=1, padding=1)
