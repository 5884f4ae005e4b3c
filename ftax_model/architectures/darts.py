"""DARTS cells (Liu et al., 2019): a normal and a reduction cell of eight edges, each of which reads two cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model import plugins
from ftax_model.architectures._base import as_many
from ftax_model.architectures._torch import TorchArchitecture, images, multiple
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

CONVOLUTIONS = ("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
OPERATIONS = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", *CONVOLUTIONS)
"""What an edge can be, under the published names."""

NODES = 4
"""Nodes of a cell, each of which reads two of those before it."""

STEMS = {"imagenet": 32, "cifar": 4}
"""What the input size is a multiple of, so that each extent that is halved by pixels in turn is even."""


class Darts(TorchArchitecture):
    """Classifier: ``cells`` cells, of which those after a third and two thirds halve the extent and double the width.

    An edge of ``normal`` and ``reduction`` is ``OPERATION~NODE``, two edges for each of four nodes; nodes 0 and 1 are
    the outputs of the last but one and of the last cell. The stem ``imagenet`` divides images by eight before the
    first cell, ``cifar`` leaves them as they are. The defaults are those for ImageNet; for CIFAR the authors take
    ``cells`` 20, ``channels`` 36, the stem ``cifar`` and images of 32 pixels.

    There is no auxiliary head, which inference has no use for and published parameters leave out. Those are met:
    4.7 M, 4.9 M and 5.3 M of ``darts-v2``, ``p-darts`` and ``pc-darts``, 3.3 M and 3.4 M of the first two for CIFAR-10;
    ``darts-v1`` has 3.2 M there, where the paper prints 3.3 M. Published MACs take in two for each element that a norm
    puts out and one for each of a ReLU: counted so, ``p-darts`` has 557 M and ``pc-darts`` 597 M as in their papers,
    without them 543 M and 582 M. ``darts-v2`` has 544 M so, and 530 M without, where its paper prints 574 M.
    """

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224
    defaults = {
        "normal": (
            *("sep_conv_3x3~0", "sep_conv_3x3~1", "sep_conv_3x3~0", "sep_conv_3x3~1"),
            *("sep_conv_3x3~1", "skip_connect~0", "skip_connect~0", "dil_conv_3x3~2"),
        ),
        "reduction": (
            *("max_pool_3x3~0", "max_pool_3x3~1", "skip_connect~2", "max_pool_3x3~1"),
            *("max_pool_3x3~0", "skip_connect~2", "skip_connect~2", "max_pool_3x3~1"),
        ),
        "cells": 14,
        "channels": 48,
        "stem": "imagenet",
        "num_classes": 1000,
    }
    presets = {
        "darts-v1": {
            "normal": (
                *("sep_conv_3x3~1", "sep_conv_3x3~0", "skip_connect~0", "sep_conv_3x3~1"),
                *("skip_connect~0", "sep_conv_3x3~1", "sep_conv_3x3~0", "skip_connect~2"),
            ),
            "reduction": (
                *("max_pool_3x3~0", "max_pool_3x3~1", "skip_connect~2", "max_pool_3x3~0"),
                *("max_pool_3x3~0", "skip_connect~2", "skip_connect~2", "avg_pool_3x3~0"),
            ),
        },
        "darts-v2": {},
        "p-darts": {
            "normal": (
                *("skip_connect~0", "dil_conv_3x3~1", "skip_connect~0", "sep_conv_3x3~1"),
                *("sep_conv_3x3~1", "sep_conv_3x3~3", "sep_conv_3x3~0", "dil_conv_5x5~4"),
            ),
            "reduction": (
                *("avg_pool_3x3~0", "sep_conv_5x5~1", "sep_conv_3x3~0", "dil_conv_5x5~2"),
                *("max_pool_3x3~0", "dil_conv_3x3~1", "dil_conv_3x3~1", "dil_conv_5x5~3"),
            ),
        },
        "pc-darts": {
            "normal": (
                *("skip_connect~1", "sep_conv_3x3~0", "sep_conv_3x3~0", "skip_connect~1"),
                *("sep_conv_3x3~1", "sep_conv_3x3~3", "sep_conv_3x3~1", "dil_conv_5x5~4"),
            ),
            "reduction": (
                *("sep_conv_3x3~0", "skip_connect~1", "dil_conv_5x5~2", "max_pool_3x3~1"),
                *("sep_conv_3x3~2", "sep_conv_3x3~1", "sep_conv_5x5~0", "sep_conv_3x3~3"),
            ),
        },
    }

    parts = (("normal",), ("reduction",))

    def check(self, settings: Mapping[str, Any]) -> None:
        """Eight edges a cell, each a known operation on a node before its own, and a known stem."""
        for name in ("normal", "reduction"):
            as_many(settings, name, 2 * NODES)
            for position, edge in enumerate(settings[name]):
                _check_edge(edge, position, name)
        plugins.check(settings["stem"], STEMS, what="stem of darts")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; the image can be halved as often as the network does."""
        full = super().complete(workload)
        unit = STEMS[full.settings["stem"]]
        return multiple(full, unit, of=str(unit))

    def module(self, workload: Workload) -> Any:
        """The network, which takes ``input`` (batch, 3, size, size) and returns logits (batch, classes)."""
        from torch import nn

        from ftax_model.architectures._cells import Chain

        settings = workload.settings
        stems, before, last, halved = _stems(settings["stem"], settings["channels"])
        number, width, cells = settings["cells"], settings["channels"], []
        for position in range(number):
            halves = position in (number // 3, 2 * number // 3)
            width *= 2 if halves else 1
            edges = settings["reduction" if halves else "normal"]
            cells.append(_cell(edges, (before, last), width, halved=halved, halves=halves))
            before, last, halved = last, NODES * width, halves
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, settings["num_classes"])]
        return Chain(stems, cells, nn.Sequential(*head))

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels."""
        return {"input": images(workload)}

    def grid(self) -> list[Workload]:
        """Few narrow cells to the published depth, on small images."""
        small = {"stem": "cifar", "num_classes": 10, "input_size": 32}
        return [
            *grid("darts", **{**small, "input_size": 16}, cells=3, channels=4),
            *grid("darts", **small, preset=["darts-v1", "p-darts"], cells=6, channels=8),
            *grid("darts", preset=["darts-v2", "pc-darts"], cells=8, channels=16, input_size=96),
        ]


def _check_edge(edge: str, position: int, name: str) -> None:
    operation, _, node = edge.partition("~")
    before = list(map(str, range(2 + position // 2)))
    if operation not in OPERATIONS or node not in before:
        law = (
            f"edge {position} of {name} is OPERATION~NODE, one of {', '.join(OPERATIONS)} on node {' or '.join(before)}"
        )
        raise InputError(law, repr(edge), "change it")


def _stems(name: str, channels: int) -> tuple[tuple[Any, Any], int, int, bool]:
    """Both stems, the channels that leave each, and whether the second halves the extent of the first."""
    from torch import nn

    from ftax_model.architectures._cells import activated
    from ftax_model.architectures._modules import convolution

    if name == "cifar":
        return (convolution(3, 3 * channels, 3), nn.Identity()), 3 * channels, 3 * channels, False
    half = channels // 2
    first = [convolution(3, half, 3, stride=2, act=nn.ReLU(inplace=True)), convolution(half, channels, 3, stride=2)]
    return (nn.Sequential(*first), activated(channels, channels, 3, stride=2)), channels, channels, True


def _cell(edges: tuple[str, ...], inputs: tuple[int, int], width: int, *, halved: bool, halves: bool) -> Any:
    from ftax_model.architectures._cells import FactorizedReduce, Graph, Joined, activated, pairwise

    parts = []
    for edge in edges:
        operation, _, node = edge.partition("~")
        stride = 2 if halves and int(node) < 2 else 1
        parts.append((_operation(operation, width, stride), int(node)))
    graph = Graph([parts[start : start + 2] for start in range(0, len(parts), 2)], pairwise)
    before = FactorizedReduce(inputs[0], width) if halved else activated(inputs[0], width, 1)
    return Joined(before, activated(inputs[1], width, 1), graph)


def _operation(name: str, channels: int, stride: int) -> Any:
    from torch import nn

    from ftax_model.architectures._cells import FactorizedReduce, average, separable

    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    if name == "avg_pool_3x3":
        return average(stride)
    kernel = int(name[-1])
    if name.startswith("dil"):
        return separable(channels, kernel, stride=stride, dilation=2)
    return nn.Sequential(separable(channels, kernel, stride=stride), separable(channels, kernel))
