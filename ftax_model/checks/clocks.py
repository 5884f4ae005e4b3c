"""Whether the clocks of a record are the ones that they are called."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.modeling.platforms.known import kind_of

LONGER = {"pipelined_s": 1.25, "host_s": 1.25, "device_s": 1.15}
"""Times a call's latency that a clock which runs within it may show; measured here: 1.08, 1.07 and 1.01."""

ROUNDING, OTHER_MIDDLE = 0.002, 0.05
"""Relative differences of latency_s and the median of its samples: what is no rounding, and what is no mean either."""

FEWEST = 3
"""Rows whose clocks do not agree to the last digit by chance."""


class Clocks(Check[Measured]):
    """Clocks that contradict each other."""

    kind = Measured
    looks_at = "clocks mixed: pipelined, host or device time above latency, one copied from another, samples of another"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Clocks longer than the whole, one clock for two, and samples of something else."""
        rows = seen.rows
        if rows.empty:
            return
        for clock, most in LONGER.items():
            ratio = (rows[clock].astype(float) / rows["latency_s"]).dropna()
            over = ratio[ratio > most]
            if len(over):
                saw = f"{clock} is up to {over.max():.3g} times latency_s, of which it is a part"
                do = "were two clocks exchanged, or measured in different runs? latency_s is what one request waits"
                telling = self.wrong if len(over) > max(2, 0.01 * len(ratio)) or over.max() > 2 else self.odd
                yield telling(saw, do, count=len(over), of=len(ratio), example=key_at(rows, over.idxmax()))
        yield from self._one_for_two(rows)
        yield from self._samples(seen)

    def _one_for_two(self, rows: pd.DataFrame) -> Iterator[Finding]:
        """On a GPU, where calls overlap, two clocks that always agree are one."""
        gpus = [name for name in rows["device"].unique() if kind_of(str(name)) == "cuda"]
        on_gpu = rows[rows["device"].isin(gpus)]
        for one, other in (("latency_s", "pipelined_s"), ("latency_s", "device_s"), ("latency_s", "host_s")):
            both = on_gpu[on_gpu[other].notna()]
            same = both[both[one] == both[other]]
            if len(same) >= FEWEST:
                saw = f"{one} equals {other} exactly, on a GPU"
                do = f"one of the two was not measured: leave {other} empty, or measure again"
                yield self.odd(saw, do, count=len(same), of=len(both), example=str(same["key"].iloc[0]))

    def _samples(self, seen: Measured) -> Iterator[Finding]:
        middle = pd.Series(
            [statistics.median(one.samples) if one.samples else np.nan for one in seen.good], dtype=float
        )
        off = (middle / seen.rows["latency_s"]).dropna()
        far = off[(off - 1).abs() > ROUNDING]
        if len(far):
            at = (far - 1).abs().idxmax()
            times = float(far[far.index == at].iloc[0])
            saw = f"latency_s is not the median of its samples: that is {times:.4g} times as long"
            do = "samples are the blocks behind latency_s: the one or the other was changed, or is another clock"
            telling = self.wrong if abs(times - 1) > OTHER_MIDDLE else self.odd
            yield telling(saw, do, count=len(far), of=len(off), example=key_at(seen.rows, at))
