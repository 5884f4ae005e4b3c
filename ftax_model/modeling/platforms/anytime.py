"""Anytime: when to stop measuring a machine, because the error to be expected falls no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ftax_model import dataset

if TYPE_CHECKING:
    from ftax_model.modeling.predictor import LatencyPredictor

LEAST_S = 15.0
"""Seconds that are measured in any case."""

EVERY_S = 8.0
"""Seconds between two looks."""

FALLS = 0.02
"""Share by which the error of some platform must fall from look to look for measuring to go on."""


class Anytime:
    """Called again and again while a file of measurements grows: true once it is enough.

    Parameters
    ----------
    known : the predictor that is to be calibrated.
    measured : the file.
    clock : seconds, monotone.
    """

    def __init__(self, known: LatencyPredictor, measured: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._known, self._measured, self._clock = known, measured, clock
        self._begin = self._last = clock()
        self._before: dict[str, float] = {}

    def __call__(self) -> bool:
        """Whether no platform's expected error fell by `FALLS` since the last look, and none is new."""
        now = self._clock()
        if now - self._begin < LEAST_S or now - self._last < EVERY_S:
            return False
        self._last = now
        table = dataset.load_dataset(self._measured)
        found = self._known.expected_error(table) if (table["status"] == "ok").any() else {}
        before, self._before = self._before, found
        return bool(found) and all(value > (1 - FALLS) * before.get(name, 1e9) for name, value in found.items())
