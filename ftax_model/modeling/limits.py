"""Limits: between what all that a file of a predictor or of a cost holds must lie, and what is predicted of it.

Physics, with room to spare on both sides, and several times what the project writes. What lies outside is no model of
any machine; within, whatever a stranger writes costs little memory and time, and is answered in `CALL_S` or refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftax_model.errors import DataError
from ftax_model.values import Limits, within

# Seconds

CALL_S: Limits = (1e-9, 1e6)
"""What a call takes. The ends of an interval that lie outside are no news, and are moved there."""

DISPATCH_S: Limits = (1e-12, 1.0)
"""What a call takes before its first operator, and a dispatch."""

UNIT_S: Limits = (1e-21, 1.0)
"""What a MAC, a byte, a row, an image, a matrix or a step takes."""

LAW_S: Limits = (0.0, 1e6)
"""What the law says that a unit of anything takes; it may leave a term out."""

ROOFLINES: Limits = (1e-3, 1e4)
"""How many times longer than its roofline a kernel takes."""

# Numbers without unit

OVERLAP: Limits = (1.0, math.inf)
"""The exponent p."""

DEVIATION: Limits = (1e-3, 10.0)
"""Standard deviation by which log costs of machines differ."""

RATE: Limits = (1.0, 1e21)
"""What a device does of anything in a second, or has of it."""

VARIANCE = 25.0
"""Of a log cost, at most: what is known of one machine where nothing was measured is 6."""

LOG_SHIFT: Limits = (-20.0, 20.0)
"""By what a log cost moves from machine to machine, or to another precision."""

MISS: Limits = (-1e4, 1e4)
"""Log of measured over predicted, in units of what was expected."""

LAW_VARIANCE = 1e18
"""Of a parameter of the law, at most."""

AMOUNT: Limits = (0.0, 1e18)
"""What a workload has of anything that is counted: MACs, bytes, operators."""

HELD: Limits = (1e-9, 1e15)
"""What a framework holds of memory: bytes, or times the bytes of weights and activations."""

COUNT = (0, 10**9)
"""Rows and models that were measured."""

SPAN: Limits = (-1e18, 1e18)
"""Features of what was measured, and their logarithms."""

# How much of anything a file has

MOST_BYTES = 1 << 25
"""Of a file of a predictor, unpacked; those that ship have a tenth."""

MOST_FRAMEWORKS = 32
MOST_FITS = 500
MOST_MACHINES = 100
MOST_PLATFORMS = 500
MOST_ERRORS = 100_000
"""Errors of a kind of rows."""

MOST_ROWS = 500
"""Workloads that stand for what people run."""

MOST_KERNELS = 20_000
"""Kernels of all these calls."""

MOST_TREES, MOST_NODES, DEEPEST = 500, 20_000, 32
"""Of one ensemble of trees; those that ship have up to 250 of 7,750 nodes, 12 deep."""

MOST_ENSEMBLES = 2
"""One after another: those of all machines, or a platform's own."""

MOST_SUM = 300.0
"""What an ensemble says, at most, on either side of zero: a logarithm. Those that ship say up to 36."""

MOST_OF_TREES: Limits = (-1e38, 1e38)
"""A threshold."""


def check_trees(nodes: Mapping[str, NDArray[Any]], roots: NDArray[Any], *, features: int, ensembles: int = 1) -> None:
    """Raise `ValueError` unless nodes are trees: each walk on rows of ``features`` ends soon, within them, at a number.

    There may be so many ``ensembles`` one after another. Nodes lie as `ftax_model.modeling.estimators.trees.Trees`
    says, and a leaf is its own child on both sides.
    """
    left, right, feature = nodes["left"], nodes["right"], nodes["feature"]
    count = len(left)
    here = np.arange(count)
    leaf = left == here
    good = [
        count <= ensembles * MOST_NODES,
        len(roots) <= ensembles * MOST_TREES,
        all(own.shape == (count,) for own in nodes.values()),
        roots.ndim == 1,
        bool(((left >= here) & (left < count) & (right >= here) & (right < count)).all()),
        bool(((right == here) == leaf).all()),
        bool(((feature >= 0) & (feature < features)).all()),
        bool(((roots >= 0) & (roots < count)).all()),
    ]
    if not all(good):
        raise ValueError("nodes that are no trees")
    within(nodes["threshold"], "thresholds of trees", MOST_OF_TREES)
    most = ensembles * MOST_SUM / max(len(roots), 1)
    within(nodes["value"], "what trees say", (-most, most))
    reached = np.zeros(count, dtype=bool)
    reached[roots] = True
    for _ in range(DEEPEST + 1):
        inner = np.flatnonzero(reached & ~leaf)
        if not len(inner):
            return
        reached = np.zeros(count, dtype=bool)
        reached[left[inner]] = True
        reached[right[inner]] = True
    raise ValueError(f"trees deeper than {DEEPEST}")


def check_calls(*seconds: ArrayLike) -> None:
    """Raise `DataError` unless all that is predicted of calls are seconds that a call can take (`CALL_S`).

    The last guard: a file may be within all limits, and still say nothing of any machine.
    """
    for each in seconds:
        own = np.asarray(each, dtype=float)
        if not ((own >= CALL_S[0]) & (own <= CALL_S[1])).all():
            odd = own[~((own >= CALL_S[0]) & (own <= CALL_S[1]))].flat[0]
            law = f"a call takes between {CALL_S[0]:g} and {CALL_S[1]:g} seconds"
            cure = "ask of a smaller model or batch size, or fit the predictor again"
            raise DataError(law, f"a prediction of {odd:.3g} s", cure)
