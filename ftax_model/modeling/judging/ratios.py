"""Ratio: one predicted latency over another, with an interval that knows how far predictions err together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftax_model.modeling.rows import PLATFORM

RANGE = 2.0
"""Log ratio over which the errors of two predictions on one platform lose all but a third of what they share.

Two calls that take about as long are missed alike, those far apart each in its own way; so are those of two frameworks
or devices. Measured on machines of the project with families left out: ``scripts/check_ratios.py``.
"""

NOISE = 0.06
"""Log ratio by which two measurements of the same may lie apart."""


@dataclass(frozen=True)
class Ratio:
    """A latency over another, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the interval says which of the two is longer."""
        return not self.low <= 1 <= self.high


def ratio(one: Mapping[str, Any], other: Mapping[str, Any]) -> Ratio:
    """``one`` over ``other``, rows as `LatencyPredictor.predict` gives them, with the interval of their confidence.

    The ends of each interval are deviations of its logarithm; what both miss alike, on one platform, cancels.
    """
    value = one["latency_s"] / other["latency_s"]
    alike = all(one[name] == other[name] for name in PLATFORM)
    shared = math.exp(-abs(math.log(value)) / RANGE) if alike else 0.0
    up, down = _deviations(one), _deviations(other)
    high, low = (_apart(up[at], down[1 - at], shared) for at in (1, 0))
    return Ratio(value, value * math.exp(-low), value * math.exp(high))


def _deviations(row: Mapping[str, Any]) -> tuple[float, float]:
    """How far a latency may lie below and above its prediction, by its logarithm."""
    return math.log(row["latency_s"] / row["low_s"]), math.log(row["high_s"] / row["latency_s"])


def _apart(one: float, other: float, shared: float) -> float:
    """Deviation of a difference of two errors of which such a correlation is told."""
    return math.sqrt((one - other) ** 2 + 2 * one * other * (1 - shared) + NOISE**2)
