"""Adaptive: which batch size to measure next, so that few of them tell the crossover of a whole sweep.

The law of host and device time gives a sweep the shape ``(1 + (b / b*)^p)^(1/p)``, with an unknown crossover b*,
overlap p and height. Every shape on a grid of b* and p has a probability, given the measured points: beforehand all are
alike, and points miss their shape by Gaussian noise, whose size is guessed beforehand and then told by the misses
themselves. The next batch size is the one that tells most of log b* in a second of measuring; none is needed where the
standard deviation of log b* is within the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model import plugins
from ftax_model.collection.timing import Protocol
from ftax_model.errors import InputError
from ftax_model.workload import MAX_BATCH_SIZE

PROTOCOL = Protocol(min_blocks=3, half_width=0.05, confidence=0.75)
"""How long to measure a point: until its blocks agree as well as two processes do. More time buys more points instead.

The cost of a point is reckoned by it. Plans of adaptive sweeps alone measure so unless they say otherwise.
"""

NOISE, WEIGHT = 0.03, 3.0
"""Relative error of one point as guessed beforehand, and how many misses that guess weighs as much as.

Two processes differ by 2 % on a quiet machine, by 5 to 10 % on a busy one.
"""

LEAST_STRAIGHT, LEAST = 3, 4
"""Batch sizes that are measured in any case, where the sweep does not bend and where it does.

Two tell nothing of a bend, and three not how round it is: `fit_curve` assumes that then.
"""

CLIMB = 8
"""A batch at most this many times the largest measured comes next: far above the crossover, time is wasted."""

CONFIDENCE = 0.9
"""Probability that `crossover_range` holds the crossover."""

_OVERLAPS = np.array([1.0, 1.25, 1.6, 2.0, 3.0, 5.0, 16.0])
_STEPS = 16  # crossovers in an octave

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Adaptive:
    """A batch sweep that chooses its own sizes from 1, 2, 4, ... and ``max``.

    Parameters
    ----------
    max : the largest batch size.
    tolerance : relative standard error to which the crossover is to be known; all sizes are measured where even they
        do not tell it so well.

    Raises `InputError` for values out of range.
    """

    max: int = 128
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not _is(self.max, int) or not 2 <= self.max <= MAX_BATCH_SIZE:
            law = f"the max of an adaptive batch size is a whole number from 2 to {MAX_BATCH_SIZE}"
            raise InputError(law, repr(self.max), "choose one in that range")
        if not _is(self.tolerance, int | float) or not 0 < self.tolerance <= 1:
            law = "the tolerance of an adaptive batch size is a number above 0, and at most 1"
            raise InputError(law, repr(self.tolerance), "choose for example 0.1")

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Adaptive:
        """The sweep with these values; raises `InputError` for a name that is not one of them."""
        for name in record:
            plugins.check(name, cls.__dataclass_fields__, what="value of an adaptive batch size")
        return cls(**record)

    @property
    def candidates(self) -> tuple[int, ...]:
        """Every size that may be chosen: the powers of two below ``max``, and ``max``."""
        return (*(2**n for n in range((self.max - 1).bit_length())), self.max)

    def next(self, seen: Mapping[int, float | None]) -> int | None:
        """The batch size to measure next, or ``None`` where no more is needed.

        ``seen`` maps batch sizes to seconds, those that could not be measured to ``None``; larger ones are not tried
        then. Every size is asked for once. The answer depends on nothing else.
        """
        limit = min((size for size, latency_s in seen.items() if latency_s is None), default=math.inf)
        left = [size for size in self.candidates if size not in seen and size < limit]
        measured = {size: latency_s for size, latency_s in seen.items() if latency_s is not None}
        if not measured or not left:
            return left[0] if left else None
        shapes = _Shapes.given(measured, self.max)
        if len(measured) >= shapes.least() and shapes.spread() <= self.tolerance:
            return None
        within_reach = [size for size in left if size <= CLIMB * max(measured)] or left[:1]
        worth = shapes.gains(within_reach)
        if len(measured) > 1:  # one point tells nothing of what larger ones cost
            worth = worth / shapes.costs_s(within_reach)
        return within_reach[int(np.argmax(worth))]


def crossover_range(seen: Mapping[int, float], largest: int) -> tuple[float, float]:
    """Ends of the 90 % interval of the crossover batch size, given the measured points (size to seconds).

    A crossover below 1 is shown as 1/2 at the least, one above ``largest`` as its double at the most.
    """
    return _Shapes.given(seen, largest).crossover_range()


@dataclass(frozen=True)
class _Shapes:
    """Shapes of one sweep with their probabilities; axes: shape, and batch size where there are several.

    The noise of a point has a scaled inverse chi-squared prior, `NOISE` with `WEIGHT` degrees of freedom.
    """

    crossovers: Array
    overlaps: Array
    heights: Array  # log seconds
    weights: Array
    variance: float  # of a further point, about its shape
    largest: int

    @classmethod
    def given(cls, measured: Mapping[int, float], largest: int) -> _Shapes:
        """How likely they are once these points (size to seconds) have been seen."""
        grid = 2 ** np.arange(-1, math.log2(largest) + 1 + 1 / _STEPS, 1 / _STEPS)
        crossovers, overlaps = (axis.ravel() for axis in np.meshgrid(grid, _OVERLAPS))
        gaps = np.log(list(measured.values())) - _bends(crossovers, overlaps, list(measured))
        heights, freedom = gaps.mean(axis=1), WEIGHT + len(measured) - 1
        squares = WEIGHT * NOISE**2 + ((gaps - heights[:, None]) ** 2).sum(axis=1)
        weights = (squares / squares.min()) ** (-freedom / 2)
        weights /= weights.sum()
        variance = float(weights @ squares) / freedom * (1 + 1 / len(measured))
        return cls(crossovers, overlaps, heights, weights, variance, largest)

    def spread(self) -> float:
        """Standard deviation of the log crossover."""
        return math.sqrt(self.weights @ self._places() ** 2)

    def least(self) -> int:
        """How many points it takes in any case: fewer where the crossover is not among the batch sizes."""
        low, high = self.crossover_range()
        return LEAST_STRAIGHT if high <= 1 or low >= self.largest else LEAST

    def gains(self, sizes: Sequence[int]) -> Array:
        """By how much a point at each size is expected to lower the variance of the log crossover.

        This is what regression on its log seconds explains.
        """
        logs = self._centred(self._logs(sizes))
        together = (self.weights * self._places()) @ logs
        return np.asarray(together**2 / (self.weights @ logs**2 + self.variance))

    def costs_s(self, sizes: Sequence[int]) -> Array:
        """Seconds that a point at each size takes."""
        latencies_s = np.exp(self.weights @ self._logs(sizes))
        return np.array([PROTOCOL.expected_s(float(latency_s))[0] for latency_s in latencies_s])

    def crossover_range(self) -> tuple[float, float]:
        """Ends of the interval of the crossover that leaves as much probability below as above."""
        order = np.argsort(self.crossovers, kind="stable")
        share = np.cumsum(self.weights[order])
        low, high = np.searchsorted(share, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(self.crossovers[order[low]]), float(self.crossovers[order[high]])

    def _places(self) -> Array:
        """Log crossovers about their mean; all below 1 count as one, and all above the largest size."""
        return self._centred(np.log(np.clip(self.crossovers, 1, self.largest)))

    def _logs(self, sizes: Sequence[int]) -> Array:
        return self.heights[:, None] + _bends(self.crossovers, self.overlaps, sizes)

    def _centred(self, values: Array) -> Array:
        return np.asarray(values - self.weights @ values)


def _bends(crossovers: Array, overlaps: Array, sizes: Sequence[int]) -> Array:
    """Log of the law at each size (columns), over its floor."""
    exponents = overlaps[:, None]
    return np.asarray(np.logaddexp(0.0, exponents * np.log(np.array(sizes) / crossovers[:, None])) / exponents)


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
