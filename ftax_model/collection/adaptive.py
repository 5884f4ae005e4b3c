"""Adaptive: which batch size to measure next, so that few of them tell a whole sweep and its crossover.

The rule is set membership. The law of host and device time gives a sweep the shape ``(1 + (b / b*)^p)^(1/p)``, with an
unknown crossover b*, overlap p and height. All shapes on a grid of b* and p that pass every measured point within the
noise are taken to be possible. The next batch size is the one on whose latency the possible shapes differ most (the
smallest of such, which takes the least time); none where they agree, on every latency and on the crossover, within the
tolerance, or where no size is left that can tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.workload import MAX_BATCH_SIZE

NOISE = 0.02
"""Relative error of one measured latency: about what two processes differ by on a quiet machine."""

MISFIT = 1.5
"""Where no shape passes the points within the noise: how much farther off than the best a possible one may be."""

LEAST = 3
"""Batch sizes that are measured in any case: two of them tell nothing of a curve that bends otherwise."""

CLIMB = 8
"""A batch at most this many times the largest measured comes next: far above the crossover, time is wasted."""

_OVERLAPS = np.array([1.0, 1.25, 1.6, 2.0, 3.0, 5.0, 16.0])
_STEPS = 16  # crossovers in an octave


@dataclass(frozen=True)
class Adaptive:
    """A batch sweep that chooses its own sizes from 1, 2, 4, ... and ``max``.

    Parameters
    ----------
    max : the largest batch size.
    tolerance : relative error, either way, to which crossover and latencies are to be known.

    Raises `InputError` for values out of range.
    """

    max: int = 128
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not _is(self.max, int) or not 2 <= self.max <= MAX_BATCH_SIZE:
            law = f"the max of an adaptive batch size is a whole number from 2 to {MAX_BATCH_SIZE}"
            raise InputError(law, repr(self.max), "choose one in that range")
        if not _is(self.tolerance, int | float) or not NOISE <= self.tolerance <= 1:
            law = f"the tolerance of an adaptive batch size is a number from {NOISE}, the noise of one point, to 1"
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
        possible = _Shapes.through(measured, self.candidates[-1])
        differences = possible.differences(left)
        known = max(differences) <= self.tolerance and possible.agree(measured.keys() | set(left), self.tolerance)
        if len(measured) >= LEAST and (known or max(differences) <= NOISE):
            return None
        within_reach = differences[: sum(size <= CLIMB * max(measured) for size in left) or 1]
        return next(size for size, own in zip(left, differences, strict=True) if own >= max(within_reach) - NOISE)


def crossover_range(seen: Mapping[int, float], largest: int) -> tuple[float, float]:
    """Smallest and largest crossover batch size of the shapes that pass the measured points (size to seconds).

    Those below 1 are shown as 1/2, those above ``largest`` as its double.
    """
    crossovers = _Shapes.through(seen, largest).crossovers
    return float(crossovers.min()), float(crossovers.max())


@dataclass(frozen=True)
class _Shapes:
    """Possible shapes of one sweep: crossover, overlap and log height of each."""

    crossovers: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def through(cls, measured: Mapping[int, float], largest: int) -> _Shapes:
        """Those that pass all measured points within the noise, or else nearly as well as the best."""
        grid = 2 ** np.arange(-1, math.log2(largest) + 1 + 1 / _STEPS, 1 / _STEPS)
        crossovers, overlaps = (axis.ravel() for axis in np.meshgrid(grid, _OVERLAPS))
        every = cls(crossovers, overlaps, np.zeros_like(crossovers))
        gaps = np.log(list(measured.values())) - every.log_latencies(list(measured))
        low, high = gaps.min(axis=1), gaps.max(axis=1)
        misses = (high - low) / 2
        possible = misses <= max(NOISE, MISFIT * misses.min())
        return cls(crossovers[possible], overlaps[possible], ((low + high) / 2)[possible])

    def log_latencies(self, sizes: list[int]) -> NDArray[np.float64]:
        """Log seconds of each shape (rows) at each batch size (columns)."""
        overlaps = self.overlaps[:, None]
        bends = np.logaddexp(0.0, overlaps * np.log(np.array(sizes) / self.crossovers[:, None])) / overlaps
        return np.asarray(self.heights[:, None] + bends)

    def differences(self, sizes: list[int]) -> list[float]:
        """How far the shapes lie apart at each batch size: half the range of their log seconds."""
        logs = self.log_latencies(sizes)
        return [float(half) for half in (logs.max(axis=0) - logs.min(axis=0)) / 2]

    def agree(self, sizes: Any, tolerance: float) -> bool:
        """Whether their crossovers lie within the tolerance, or all below or all above the sizes."""
        low, high = self.crossovers.min(), self.crossovers.max()
        return bool(math.log(high / low) / 2 <= tolerance or high < min(sizes) or low > max(sizes))


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
