"""A trace as a GPU sees it: one kernel after another, each with what sets its time.

A GPU runs one operator at a time, on all its multiprocessors, as fast as its arithmetic or its memory allow, if the
operator fills it. `kernels` tells for each operator what that depends on: its group, work, traffic and extents, and
what runs before and after it, for compilers fuse neighbours and caches keep what one hands to the next. How well a GPU
does each is for the modelling stage to learn.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features

GROUPS = (
    *(name for name in features.QUANTITIES if name != "plain-convolution"),
    "volumetric-convolution",
    "transposed-convolution",
    "transposed-volumetric-convolution",
    "scan",
    "loss",
)
"""Groups of operators that GPUs do alike."""

COLUMNS = (
    "group", "kind", "spatial", "macs", "bytes", "weight_bytes", "m", "k", "n", "matrices", "kernel", "widest",
    "stride", "dilation", "groups", "elements", "read", "blocks", "arguments", "channels_in", "channels_out", "steps",
    "serial_bytes", "small", "scalar", "before", "before_alike", "before_fuses", "after", "after_alike", "after_fuses",
    "place",
)  # fmt: skip
"""What is told of a kernel. ``m``, ``k`` and ``n`` are the extents of a product or of what a convolution amounts to, or
rows and width of what is normalised; ``blocks`` are tiles of output that can run at once, ``serial_bytes`` what one of
them moves where it has to move all of a row; ``before`` and ``after`` are groups of the neighbours, which are ``alike``
where they hand over as many elements."""

KERNELS = "kernels"
"""Name of the column of a frame that holds the kernels of each call."""

_AT = {name: at for at, name in enumerate(COLUMNS)}
_FUSES = {"rectifier", "activation", "transcendental", "elementwise", "copy"}
_SCANS = {"cumsum", "cumprod", "logcumsumexp", "sort", "topk", "kthvalue", "searchsorted"}
_TILE, _BLOCK = 128, 1024  # rows and columns of a tile of a product, and elements that a block streams
_FIRST = 3  # places told apart from the beginning


@dataclass(frozen=True)
class Kernels:
    """Kernels of one call: ``table``, shape (n, len(COLUMNS)), and the ``count`` of each, shape (n,)."""

    table: NDArray[np.float64]
    count: NDArray[np.float64]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.table[:, _AT[name]]


def kernels(trace: Trace, *, itemsize: int = 4) -> Kernels:
    """The kernels of a trace whose elements have ``itemsize`` bytes; equal ones in equal places are counted.

    >>> kernels(Trace((), params=0)).table.shape
    (0, 32)
    """
    counted = Counter(_each(trace.operators, itemsize))
    return Kernels(_table(counted), np.array(list(counted.values()), dtype=float))


def kernels_in_order(trace: Trace, *, itemsize: int = 4) -> Kernels:
    """The same, one for each operator of the trace."""
    table = _table(_each(trace.operators, itemsize))
    return Kernels(table, np.ones(len(table)))


def _table(rows: Iterable[tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array(list(rows), dtype=float).reshape(-1, len(COLUMNS))


def _each(operators: Sequence[Operator], itemsize: int) -> Iterator[tuple[float, ...]]:
    """Of each operator the values of `COLUMNS`."""
    groups = [group(operator) for operator in operators]
    for at, operator in enumerate(operators):
        own = _described(operator, groups[at], itemsize)
        for side, other, (giver, taker) in (("before", at - 1, (at - 1, at)), ("after", at + 1, (at, at + 1))):
            known = 0 <= other < len(operators)
            own[side] = float(GROUPS.index(groups[other])) if known else -1.0
            own[f"{side}_fuses"] = float(known and groups[other] in _FUSES)
            own[f"{side}_alike"] = float(known and _hands_over(operators[giver], operators[taker]))
        own["place"] = float(min(at, _FIRST))
        yield tuple(own[name] for name in COLUMNS)


def group(operator: Operator) -> str:
    """The group of an operator, one of `GROUPS`.

    >>> group(Operator("cumsum", inputs=((2, 3),), outputs=((2, 3),)))
    'scan'
    """
    attributes = operator.attributes
    if "kernel" in attributes:
        volumetric = len(attributes["kernel"]) == 3
        if attributes.get("transposed"):
            return "transposed-volumetric-convolution" if volumetric else "transposed-convolution"
        if attributes.get("groups", 1) > 1:
            return "depthwise-convolution" if operator.inputs[1][1] == 1 else "grouped-convolution"
        if volumetric:
            return "volumetric-convolution"
        return "pointwise-convolution" if math.prod(attributes["kernel"]) == 1 else "dense-convolution"
    kind = operator.kind.removesuffix("_")
    if kind in _SCANS:
        return "scan"
    return "loss" if "loss" in kind else features.group(operator)


def _described(operator: Operator, own: str, itemsize: int) -> dict[str, float]:
    quantities, extents = features.amounts(operator, itemsize=itemsize)
    attributes = operator.attributes
    m, k, n = (float(extents.get(name, 0.0)) for name in ("m", "k", "n"))
    matrices = float(extents.get("matrices", 1.0))
    serial_bytes = 0.0
    if own in ("layer-normalisation", "batch-normalisation"):
        m, n = _rows(operator, own)
        serial_bytes = 2 * n * itemsize if own == "layer-normalisation" else 0.0
    elements, read = operator.output_elements, sum(math.prod(shape) for shape in operator.inputs)
    kernel, groups = attributes.get("kernel", ()), attributes.get("groups", 1)
    weight = operator.inputs[1] if kernel else (0, 0)
    tiles = math.ceil(m / _TILE) * math.ceil(n / _TILE) * max(matrices, 1.0) if k else elements / _BLOCK
    return {
        "group": float(GROUPS.index(own)),
        "kind": float(zlib.crc32(operator.kind.removesuffix("_").encode()) % 1000),
        "spatial": float(len(kernel)),
        "macs": float(operator.macs),
        "bytes": float(operator.activation_bytes + operator.weight_bytes),
        "weight_bytes": float(operator.weight_bytes),
        "m": m,
        "k": k,
        "n": n,
        "matrices": matrices,
        "kernel": float(math.prod(kernel) if kernel else 0),
        "widest": float(max(kernel, default=0)),
        "stride": float(max(attributes.get("stride", (1,)))),
        "dilation": float(max(attributes.get("dilation", (1,)))),
        "groups": float(groups),
        "elements": float(elements),
        "read": float(read),
        "blocks": max(float(tiles), 1.0),
        "arguments": float(len(operator.inputs)),
        "channels_in": float(weight[1] * groups),
        "channels_out": float(weight[1] if attributes.get("transposed") else weight[0]),
        "steps": float(quantities.get("steps", 0.0)),
        "serial_bytes": serial_bytes,
        "small": float(features.group(operator) == "plain-convolution"),
        "scalar": float(elements <= 1),
    }


def _rows(operator: Operator, own: str) -> tuple[float, float]:
    """How many rows are normalised, and the elements of each."""
    shape = operator.outputs[0] if operator.outputs else (1,)
    total = math.prod(shape)
    if own == "batch-normalisation":
        rows = shape[1] if len(shape) > 1 else 1
    elif len(operator.outputs) > 1:  # the mean of each row is put out, too
        rows = math.prod(operator.outputs[1])
    else:
        rows = total // max(shape[-1], 1) if shape else 1
    return float(max(rows, 1)), total / max(rows, 1)


def _hands_over(one: Operator, other: Operator) -> bool:
    """Whether an operator puts out as many elements as the largest that another takes in."""
    given = math.prod(one.outputs[0]) if one.outputs else 0
    return given == max((math.prod(shape) for shape in other.inputs), default=0)


def joined(calls: Sequence[Kernels]) -> tuple[NDArray[np.intp], Kernels]:
    """The kernels of several calls one after another, and to which call each belongs, shape (n,)."""
    row = np.repeat(np.arange(len(calls)), [len(call.count) for call in calls])
    if not calls:
        return row, Kernels(np.zeros((0, len(COLUMNS))), np.zeros(0))
    return row, Kernels(np.vstack([call.table for call in calls]), np.concatenate([call.count for call in calls]))
