"""Whether latencies are in seconds: platforms and rows, held against a law and their own sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import SWEEP, Measured, times_more, without_others
from ftax_model.modeling.rows import PLATFORM

PLATFORM_ODD, PLATFORM_WRONG = math.log(8), math.log(200)
"""Log of how far a platform may be from others in the same framework, in the median; no two known are 2.2 times apart
on CPUs, 3.1 on GPUs."""

ROW_ODD, ROW_WRONG = 4.75, 5.5
"""Log of how far a row may be from its platform's others, by the law; of 14,057 measured here the farthest is 4.90."""

SWEEP_ODD, SWEEP_WRONG = 3.5, 4.5
"""The same of its own batch sweep, where the farthest is 3.2."""

BELIEVED = 2.0
"""Log of how far a row may be off by the law that is not odd, whatever others of its sweep are."""

FEWEST = 4
"""Rows of a platform that tell a unit from a model that the law does not know."""

UNSURE = 1.2
"""Log of how far the median of a few rows of a platform is believed to be off."""

FEW = 8


class Units(Check[Measured]):
    """Latencies in milliseconds or microseconds where seconds belong, or the other way round."""

    kind = Measured
    looks_at = "latencies a thousand times off what the law, other rows and the same sweep say: ms or us for s"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Whole platforms first, then rows."""
        yield from self._platforms(seen)
        yield from self._rows(seen)

    def _platforms(self, seen: Measured) -> Iterator[Finding]:
        for platform, off in seen.whole.items():
            part = seen.rows[(seen.rows[list(PLATFORM)] == list(vars(platform).values())).all(axis=1)]
            if len(part) < FEWEST or abs(off) < PLATFORM_ODD:
                continue
            saw = f"{platform}: calls take {times_more(math.exp(off))} as on machines known, in the median"
            telling = self.wrong if abs(off) > PLATFORM_WRONG else self.odd
            yield telling(saw, _cure(off), count=len(part), of=len(part), example=str(part["key"].iloc[0]))

    def _rows(self, seen: Measured) -> Iterator[Finding]:
        rows, off = seen.rows, seen.off
        if rows.empty:
            return
        plain = np.log(rows["latency_s"]) - 0.5 * np.log(rows["batch_size"])
        beside = off.where(off.notna(), plain).groupby([rows[name] for name in SWEEP]).transform(without_others)
        by_platform = off.groupby([rows[name] for name in PLATFORM])
        middle = by_platform.transform("median")
        few = by_platform.transform("count") < FEW
        alone = off - middle.where(~few, middle.clip(-UNSURE, UNSURE))
        alone = alone.where(~(few & (middle.abs() > PLATFORM_ODD)), np.nan)
        for telling, one, sweep, below in (
            (self.wrong, ROW_WRONG, SWEEP_WRONG, (math.inf, math.inf)),
            (self.odd, ROW_ODD, SWEEP_ODD, (ROW_WRONG, SWEEP_WRONG)),
        ):
            far = (alone.abs() > one) | (beside.abs() > sweep)
            far &= ~((alone.abs() > below[0]) | (beside.abs() > below[1])) & ~(alone.abs() < BELIEVED)
            if not far.any():
                continue
            most = alone[far].where(beside[far].abs().fillna(0.0) < alone[far].abs(), beside[far])
            value = float(most.iloc[int(most.abs().argmax())])
            key = str(rows.loc[far, "key"].iloc[int(most.abs().argmax())])
            saw = f"rows take up to {times_more(math.exp(value))} as their platform's or sweep's others lead to expect"
            yield telling(saw, _cure(value), count=int(far.sum()), of=len(rows), example=key)


def _cure(off: float) -> str:
    """What to do about latencies whose log is so far off."""
    near = {"milliseconds": math.log(1e3), "microseconds": math.log(1e6)}
    unit = next((name for name, log in near.items() if abs(abs(off) - log) < 1.7), None)
    if unit is None:
        return "look at these records; measure them again, or drop them"
    if off > 0:
        return f"latency_s is in seconds: are these {unit}? then divide, or import with the unit (ftax import --map)"
    return f"latency_s is in seconds: was a value in seconds taken for {unit}? then multiply"
