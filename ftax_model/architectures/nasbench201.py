"""NAS-Bench-201 (Dong and Yang, 2020): one cell of six operations, stacked in three stages between residual blocks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from ftax_model.architectures._base import as_many, each_of
from ftax_model.architectures._torch import TorchArchitecture, images, multiple
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""What an edge can be, under the published names and in the published order."""

SOURCES = ((0,), (0, 1), (0, 1, 2))
"""Nodes that each node after the first reads: the six edges in the order of ``operations``."""

NUM_EDGES = sum(map(len, SOURCES))
ORDER_SEED = 88
"""What the authors shuffled all cells by before they numbered them."""


class Nasbench201(TorchArchitecture):
    """Classifier of small images; ``operations`` are those of the six edges 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3.

    ``operations`` can be a cell in the published form too, ``|avg_pool_3x3~0|+|...|``. ``cells`` is how many a stage
    has, ``channels`` the width of the first.

    As in the published code a node is Python's ``sum``, which adds its first tensor to 0, and ``none`` is a product
    with 0. So MACs, parameters, convolutions and operators are those of the table of HELP (Lee et al., 2021) for each
    of its 2,940 cells; activations of the table take in pooled ones, and leave out logits.
    """

    family = "vision"
    input_unit = "pixels"
    default_input_size = 32
    defaults = {"operations": ("nor_conv_3x3",) * NUM_EDGES, "channels": 16, "cells": 5, "num_classes": 10}

    parts = (("operations",),)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Six operations that are known."""
        as_many(settings, "operations", NUM_EDGES)
        each_of(settings, "operations", OPERATIONS)

    def complete(self, workload: Workload) -> Workload:
        """As the base says; a cell in the published form is taken apart, and the image is halved twice."""
        given = workload.settings.get("operations")
        if isinstance(given, str) and "~" in given:
            settings = {**workload.settings, "operations": from_text(given)}
            workload = Workload(**{**workload.to_record(), "hyperparameters": settings})
        return multiple(super().complete(workload), 4, of="4")

    def module(self, workload: Workload) -> Any:
        """The network, which takes ``input`` (batch, 3, size, size) and returns logits (batch, classes)."""
        from torch import nn

        from ftax_model.architectures._modules import convolution

        settings = workload.settings
        width = settings["channels"]
        parts = [convolution(3, width, 3)]
        for stage in range(3):
            parts += [_reduction(width, 2 * width)] if stage else []
            width = width * 2 if stage else width
            parts += [_cell(settings["operations"], width) for _ in range(settings["cells"])]
        head = [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*parts, *head, nn.Linear(width, settings["num_classes"]))

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels."""
        return {"input": images(workload)}

    def grid(self) -> list[Workload]:
        """Few narrow cells without a convolution to the published network, two of its cells."""
        name, small = "nasbench201", {"channels": 4, "cells": 1}
        return [
            *grid(name, operations=("skip_connect", "none", "avg_pool_3x3", "none", "none", "skip_connect"), **small),
            *grid(name, **small, input_size=[32, 64]),
            *grid(name, operations=[cell(0), cell(123)], cells=[1, 5]),
        ]


def cell(index: int) -> tuple[str, ...]:
    """Operations of the published cell of that number, 0 to 14,624: all of them, shuffled as the authors did.

    Raises `InputError` for another number. Tables that name architectures of NAS-Bench-201 by number, as those of HELP
    and HW-NAS-Bench, mean this one.

    >>> cell(9)
    ('avg_pool_3x3', 'none', 'none', 'skip_connect', 'none', 'nor_conv_3x3')
    """
    cells = _published()
    if not 0 <= index < len(cells):
        raise InputError(f"cells have numbers from 0 to {len(cells) - 1}", str(index), "choose one of them")
    return cells[index]


@cache
def _published() -> list[tuple[str, ...]]:
    cells = list(itertools.product(OPERATIONS, repeat=NUM_EDGES))
    random.Random(ORDER_SEED).shuffle(cells)
    return cells


def from_text(text: str) -> tuple[str, ...]:
    """Operations of a cell in the published form; raises `InputError` for another text.

    >>> from_text("|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    ('avg_pool_3x3', 'none', 'none', 'skip_connect', 'none', 'nor_conv_3x3')
    """
    nodes = [[edge.partition("~") for edge in node.strip("|").split("|")] for node in text.split("+")]
    if [[source for _, _, source in node] for node in nodes] != [list(map(str, sources)) for sources in SOURCES]:
        law = "operations of a cell are written |OP~0|+|OP~0|OP~1|+|OP~0|OP~1|OP~2|"
        raise InputError(law, text, f"give it so; OP is one of {', '.join(OPERATIONS)}")
    return tuple(operation for node in nodes for operation, _, _ in node)


def _cell(operations: tuple[str, ...], channels: int) -> Any:
    from ftax_model.architectures._cells import Graph, LastNode

    left = iter(operations)
    return LastNode(Graph([[(_operation(next(left), channels), source) for source in node] for node in SOURCES], sum))


def _operation(name: str, channels: int) -> Any:
    from torch import nn

    from ftax_model.architectures._cells import Zero, activated, average

    make = {
        "none": Zero,
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: activated(channels, channels, 1),
        "nor_conv_3x3": lambda: activated(channels, channels, 3),
        "avg_pool_3x3": average,
    }
    return make[name]()


def _reduction(inputs: int, outputs: int) -> Any:
    from torch import nn

    from ftax_model.architectures._cells import activated
    from ftax_model.architectures._modules import Residual

    branch = nn.Sequential(activated(inputs, outputs, 3, stride=2), activated(outputs, outputs, 3))
    shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))
    return Residual(branch, shortcut, nn.Identity())
