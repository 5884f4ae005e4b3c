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
from ftax_model.tracing import features, numbers

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
FIRST = 3
"""Places told apart from the beginning."""


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
    rows = [numbers.numbers(operator, itemsize=itemsize) for operator in operators]
    groups = [resolved(form(operator), row) for operator, row in zip(operators, rows, strict=True)]
    scratch = [0.0] * features.SCRATCH
    for at, operator in enumerate(operators):
        own = [0.0] * len(COLUMNS)
        describe(groups[at], kind(operator), features.form(operator), rows[at], itemsize, scratch, own)
        before, after = (at - 1 if at else at), min(at + 1, len(operators) - 1)
        own_groups = groups[before] if before < at else NOTHING, groups[after] if after > at else NOTHING
        place(at, own_groups[0], rows[before], rows[at], own_groups[1], rows[after], own)
        yield tuple(own)


def group(operator: Operator) -> str:
    """The group of an operator, one of `GROUPS`.

    >>> group(Operator("cumsum", inputs=((2, 3),), outputs=((2, 3),)))
    'scan'
    """
    return GROUPS[resolved(form(operator), numbers.numbers(operator))]


def form(operator: Operator) -> int:
    """The position of an operator's group in `GROUPS`; `CONVOLUTION` for any, which numbers tell (`resolved`)."""
    if "kernel" in operator.attributes:
        return CONVOLUTION
    own = operator.kind.removesuffix("_")
    if own in _SCANS:
        return GROUPS.index("scan")
    return GROUPS.index("loss" if "loss" in own else features.group(operator))


def kind(operator: Operator) -> float:
    """A number that tells kinds of operators apart."""
    return float(zlib.crc32(operator.kind.removesuffix("_").encode()) % 1000)


# What follows is arithmetic on numbers alone, as in `ftax_model.tracing.features`.

CONVOLUTION = len(GROUPS)
NOTHING = -1
"""Stands for the group of a neighbour where there is none."""

_VOLUMETRIC, _TRANSPOSED, _BOTH, _DEPTHWISE, _GROUPED, _POINTWISE, _DENSE = (
    GROUPS.index(f"{name}convolution")
    for name in (
        "volumetric-", "transposed-", "transposed-volumetric-", "depthwise-", "grouped-", "pointwise-", "dense-",
    )
)  # fmt: skip
_LAYER_NORMALISATION, _BATCH_NORMALISATION = (GROUPS.index(f"{name}-normalisation") for name in ("layer", "batch"))
_FUSING = tuple(name in _FUSES for name in GROUPS)
_PLAIN, _RECURRENT = (features.NAMES.index(name) for name in ("plain-convolution", "recurrent"))
_Q_STEPS = features.QUANTITIES["recurrent"].index("steps")
_E_M, _E_K, _E_N, _E_MATRICES = (
    features.MOST_QUANTITIES + features.EXTENTS.index(name) for name in ("m", "k", "n", "matrices")
)
(
    _GROUP, _KIND, _SPATIAL, _MACS, _BYTES, _WEIGHT_BYTES, _M, _K, _N, _MATRICES, _KERNEL, _WIDEST, _STRIDE, _DILATION,
    _GROUPS, _ELEMENTS, _READ, _BLOCKS, _ARGUMENTS, _CHANNELS_IN, _CHANNELS_OUT, _STEPS, _SERIAL_BYTES, _SMALL, _SCALAR,
    _BEFORE, _BEFORE_ALIKE, _BEFORE_FUSES, _AFTER, _AFTER_ALIKE, _AFTER_FUSES, _PLACE,
) = range(len(COLUMNS))  # fmt: skip


def resolved(form: int, row: numbers.Row) -> int:
    """The group of an operator of a form, by its numbers."""
    if form != CONVOLUTION:
        return form
    if row[numbers.TRANSPOSED]:
        return _BOTH if row[numbers.SPATIAL] == 3 else _TRANSPOSED
    if row[numbers.GROUPS] > 1:
        return _DEPTHWISE if row[numbers.WEIGHT_IN] == 1 else _GROUPED
    if row[numbers.SPATIAL] == 3:
        return _VOLUMETRIC
    return _POINTWISE if row[numbers.TAPS] == 1 else _DENSE


def describe(
    group: int, kind: float, form: int, row: numbers.Row, itemsize: float, scratch: numbers.Row, into: numbers.Row
) -> None:
    """Put all of `COLUMNS` but those of the neighbours and the place into a list.

    ``form`` is that of `ftax_model.tracing.features.form`, ``scratch`` has its `SCRATCH`.
    """
    own = features.resolved(form, row)
    features.describe(own, row, itemsize, scratch)
    m, k, n, matrices = scratch[_E_M], scratch[_E_K], scratch[_E_N], scratch[_E_MATRICES] or 1.0
    elements, weights, groups = row[numbers.ELEMENTS], numbers.weight_bytes(row), row[numbers.GROUPS]
    serial_bytes = 0.0
    if group in (_LAYER_NORMALISATION, _BATCH_NORMALISATION):
        m = max(_rows(group, row), 1.0)
        n = row[numbers.FIRST] / m
        serial_bytes = 2 * n * itemsize if group == _LAYER_NORMALISATION else 0.0
    tiles = math.ceil(m / _TILE) * math.ceil(n / _TILE) * max(matrices, 1.0) if k else elements / _BLOCK
    into[_GROUP], into[_KIND], into[_SPATIAL] = group, kind, row[numbers.SPATIAL]
    into[_MACS], into[_WEIGHT_BYTES] = row[numbers.MACS], weights
    into[_BYTES] = row[numbers.ACTIVATION_BYTES] + weights
    into[_M], into[_K], into[_N], into[_MATRICES] = m, k, n, matrices
    into[_KERNEL], into[_WIDEST] = row[numbers.TAPS], row[numbers.WIDEST]
    into[_STRIDE], into[_DILATION], into[_GROUPS] = row[numbers.STRIDE], row[numbers.DILATION], groups
    into[_ELEMENTS], into[_READ], into[_BLOCKS] = elements, row[numbers.READ], max(tiles, 1.0)
    into[_ARGUMENTS] = row[numbers.ARGUMENTS]
    into[_CHANNELS_IN] = row[numbers.WEIGHT_IN] * groups
    into[_CHANNELS_OUT] = row[numbers.WEIGHT_IN] if row[numbers.TRANSPOSED] else row[numbers.WEIGHT_OUT]
    into[_STEPS] = scratch[_Q_STEPS] if own == _RECURRENT else 0.0
    into[_SERIAL_BYTES] = serial_bytes
    into[_SMALL], into[_SCALAR] = 1.0 if own == _PLAIN else 0.0, 1.0 if elements <= 1 else 0.0


def place(
    at: int, before: int, given: numbers.Row, row: numbers.Row, after: int, taken: numbers.Row, into: numbers.Row
) -> None:
    """Put into a list what of `COLUMNS` hangs on the neighbours, by group and numbers, and on the place in the call.

    A neighbour of the group `NOTHING` is none.
    """
    into[_BEFORE], into[_AFTER], into[_PLACE] = before, after, min(at, FIRST)
    into[_BEFORE_FUSES] = 1.0 if before >= 0 and _FUSING[before] else 0.0
    into[_AFTER_FUSES] = 1.0 if after >= 0 and _FUSING[after] else 0.0
    into[_BEFORE_ALIKE] = 1.0 if before >= 0 and given[numbers.FIRST] == numbers.taken(row) else 0.0
    into[_AFTER_ALIKE] = 1.0 if after >= 0 and row[numbers.FIRST] == numbers.taken(taken) else 0.0


def _rows(group: int, row: numbers.Row) -> float:
    """How many rows are normalised."""
    if group == _BATCH_NORMALISATION:
        return float(row[numbers.SECOND])
    if row[numbers.NORMALISED] > 0:  # the mean of each row is put out, too
        return float(row[numbers.NORMALISED])
    return float(row[numbers.FIRST] // max(row[numbers.LAST], 1.0))


def joined(calls: Sequence[Kernels]) -> tuple[NDArray[np.intp], Kernels]:
    """The kernels of several calls one after another, and to which call each belongs, shape (n,)."""
    row = np.repeat(np.arange(len(calls)), [len(call.count) for call in calls])
    if not calls:
        return row, Kernels(np.zeros((0, len(COLUMNS))), np.zeros(0))
    return row, Kernels(np.vstack([call.table for call in calls]), np.concatenate([call.count for call in calls]))
