"""Whether larger batches take longer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import SWEEP, Measured, key_at

FALLING = 0.5
"""Part of the smallest batch's latency that the largest takes at least."""

MOST = 0.1
"""Share of falling sweeps above which the batch sizes, or the latencies, are not what they are called."""

STEPS = 0.1
"""Share of rows slower than a larger batch of their sweep, beyond both spreads, that is noise."""

FEWEST = 10


class Batches(Check[Measured]):
    """Batch sweeps that fall."""

    kind = Measured
    looks_at = "latencies that fall as the batch grows"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Whole sweeps first, then single steps."""
        rows = seen.rows
        if rows.empty:
            return
        ordered = rows.sort_values("batch_size").groupby(list(SWEEP))
        ends = ordered.agg(
            size=("batch_size", "nunique"),
            first=("latency_s", "first"),
            last=("latency_s", "last"),
            key=("key", "first"),
        )
        ends = ends[ends["size"] > 1]
        ratio = ends["last"] / ends["first"]
        fall = ends[ratio < FALLING]
        if len(fall):
            at = ratio.idxmin()
            saw = f"the largest batch takes {ratio.min():.3g} of the smallest's time"
            do = "were batch sizes exchanged, or latencies of one input written for those of a batch? measure again"
            many = len(fall) > MOST * len(ends) and len(fall) > 1
            telling = self.wrong if many or ratio.min() < 0.1 else self.odd
            yield telling(saw, do, count=len(fall), of=len(ends), example=key_at(ends, at))
        steps = rows["warnings"].str.contains("non-monotone")
        if len(rows) >= FEWEST and np.mean(steps) > STEPS:
            saw = "rows took longer than a larger batch of their sweep, beyond both spreads"
            do = "something slowed them down, or another algorithm is chosen there: measure again, with repeats"
            yield self.odd(saw, do, count=int(steps.sum()), of=len(rows), example=str(rows.loc[steps, "key"].iloc[0]))
