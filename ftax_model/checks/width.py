"""Whether intervals say anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted
from ftax_model.modeling.rows import PLATFORM

WIDE = 30.0
"""Times that the high end of a platform's intervals is the low one, in the median, from which on they say little.

Of platforms that ship none is above 17 on CPUs; 43 in one framework on GPUs.
"""

NARROW = 1.01
"""The same below which nobody can be so sure: looks at one cell differ by more."""


class Width(Check[Fitted]):
    """Intervals of a few small models on every platform."""

    kind = Fitted
    looks_at = "intervals absurdly wide, absurdly narrow, or none; predictions that are no latency"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """What is no number first."""
        own = seen.sweeps
        if own.empty:
            return
        values = own[["low_s", "latency_s", "high_s"]].to_numpy(float)
        none = ~(np.isfinite(values).all(axis=1) & (values > 0).all(axis=1) & (np.diff(values) >= 0).all(axis=1))
        if none.any():
            row = own[none].iloc[0]
            saw = f"{_named(row)}: {row['latency_s']:g} s, {row['low_s']:g} to {row['high_s']:g}"
            yield self.wrong(saw, "fit it again", count=int(none.sum()), of=len(own), example=_named(row))
        rows = own[~none].assign(ratio=own["high_s"] / own["low_s"])
        by = rows.groupby(list(PLATFORM))["ratio"].median()
        for part, what, do in (
            (by[by > WIDE], "wide", "it was learnt from too little: ftax calibrate, or measure more of this platform"),
            (by[by < NARROW], "narrow", "the errors it was learnt from were those of rows it had seen: fit it again"),
        ):
            if len(part):
                at = part.idxmax() if what == "wide" else part.idxmin()
                name = " ".join(map(str, at))
                saw = f"{name}: intervals are {what}, {part[at]:.3g} times from end to end in the median"
                telling = self.wrong if part[at] > 1000 else self.odd
                yield telling(saw, do, count=len(part), of=len(by), example=name)


def _named(row: pd.Series[Any]) -> str:
    return f"{row['curve']} at batch {row['batch_size']}, {row['framework']} on {row['device']}"
