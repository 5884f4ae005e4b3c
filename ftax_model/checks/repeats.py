"""Whether looks at one cell agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.modeling.rows import PLATFORM

APART, WRONG = 3.0, 10.0
"""Times that the slowest look at a cell may take of the fastest; the most of 960 cells measured here is 2.3."""


class Repeats(Check[Measured]):
    """The same cell in several fresh processes."""

    kind = Measured
    looks_at = "the same cell measured several times, with values far apart"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Odd ones and wrong ones apart."""
        rows = seen.rows
        if rows.empty:
            return
        cells = rows.groupby(["workload", *PLATFORM])["latency_s"]
        apart = (cells.transform("max") / cells.transform("min"))[cells.transform("size") > 1]
        if apart.empty:
            return
        usual = float(np.median(apart))
        for telling, far in ((self.wrong, apart[apart > WRONG]), (self.odd, apart[(apart > APART) & (apart <= WRONG)])):
            if len(far):
                saw = f"repeats of one cell are up to {far.max():.3g} times apart, {usual:.3g} in the median"
                do = "something else ran, or they are of different things: keep what can be trusted, or measure again"
                yield telling(saw, do, count=len(far), of=len(apart), example=key_at(rows, far.idxmax()))
