"""Cells of search spaces: small graphs of operations on feature maps; imported only while one is built."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

Edge = tuple[nn.Module, int]
"""An operation, and the number of the node that it reads."""


class Graph(nn.Module):  # type: ignore[misc]
    """Nodes that are each the sum of operations on nodes before them; the inputs are the first nodes.

    ``add`` sums the tensors of one node.
    """

    def __init__(self, nodes: Sequence[Sequence[Edge]], add: Callable[[Iterable[torch.Tensor]], Any]) -> None:
        super().__init__()
        self.operations = nn.ModuleList(nn.ModuleList(operation for operation, _ in node) for node in nodes)
        self.sources = [[source for _, source in node] for node in nodes]
        self.add = add

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of all nodes that are no inputs."""
        nodes = list(inputs)
        for operations, sources in zip(self.operations, self.sources, strict=True):
            pairs = zip(operations, sources, strict=True)
            nodes.append(self.add(operation(nodes[source]) for operation, source in pairs))
        return nodes[len(inputs) :]


class LastNode(nn.Module):  # type: ignore[misc]
    """A graph of one input that puts out its last node."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps in and out."""
        return self.graph(x)[-1]


class Joined(nn.Module):  # type: ignore[misc]
    """A graph of two inputs that puts out all its nodes, one after another in channels."""

    def __init__(self, before: nn.Module, last: nn.Module, graph: Graph) -> None:
        super().__init__()
        self.before, self.last, self.graph = before, last, graph

    def forward(self, before: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The outputs of the last but one and of the last cell in, that of this cell out."""
        return torch.cat(self.graph(self.before(before), self.last(last)), 1)


class Chain(nn.Module):  # type: ignore[misc]
    """Cells of which each reads the two before it, between two stems and a head."""

    def __init__(self, stems: tuple[nn.Module, nn.Module], cells: Iterable[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.stems, self.cells, self.head = nn.ModuleList(stems), nn.ModuleList(cells), head

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) of images (batch, 3, size, size)."""
        before = self.stems[0](input)
        last = self.stems[1](before)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last)


class Zero(nn.Module):  # type: ignore[misc]
    """Zeros, made as NAS-Bench-201 makes them: by a product."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps in and out, of one shape."""
        return x.mul(0.0)


class FactorizedReduce(nn.Module):  # type: ignore[misc]
    """Half the extent without a kernel: one half of the channels from even pixels, the other from odd ones."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        halves = (outputs // 2, outputs - outputs // 2)
        self.act, self.norm = nn.ReLU(), nn.BatchNorm2d(outputs)
        self.even, self.odd = (nn.Conv2d(inputs, half, 1, stride=2, bias=False) for half in halves)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps of an even extent in, of half of it out."""
        x = self.act(x)
        return self.norm(torch.cat((self.even(x), self.odd(x[:, :, 1:, 1:])), 1))


def activated(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution without bias, batch norm: the order of cells, whose inputs are read more than once."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))


def separable(channels: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """ReLU, depthwise and pointwise convolution, batch norm."""
    padding = dilation * (kernel // 2)
    depthwise = nn.Conv2d(
        channels, channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=channels, bias=False
    )
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    return nn.Sequential(nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(channels))


def pairwise(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of tensors, one addition fewer than there are; Python's ``sum`` begins with another, to 0."""
    return functools.reduce(operator.add, tensors)


def average(stride: int = 1) -> nn.AvgPool2d:
    """The mean of 3x3 pixels, of those inside of the image alone."""
    return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
