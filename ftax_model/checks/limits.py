"""Whether a time limit or another bound was written down as a latency."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

NEAR = 0.01
"""Relative distance from a time limit at which a latency is the limit."""

PILE = 3
"""Rows of different workloads that share the largest or smallest latency of a platform to the last digit."""

OF_FEW_DIGITS = 0.02
"""Share of a platform's rows that are the smallest of it, where latencies are rounded."""


class Limits(Check[Measured]):
    """Latencies that are a limit, or pile up at one."""

    kind = Measured
    looks_at = "a timeout or another bound recorded as a latency"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """The limits that records tell, then those that show."""
        rows = seen.rows
        limit = pd.to_numeric(seen.environment["limit_s"], errors="coerce") if len(rows) else pd.Series(dtype=float)
        at = rows[(rows["latency_s"] / limit - 1).abs() < NEAR] if len(rows) else rows
        over = rows[rows["latency_s"] > limit * (1 + NEAR)] if len(rows) else rows
        do = "a cell that ran out of time has status timeout and no latency: mend or drop these records"
        for part, what in ((at, "is the time limit of a cell"), (over, "is beyond the time limit of a cell")):
            if len(part):
                first = part.iloc[0]
                saw = f"a latency of {first['latency_s']:.4g} s {what}, {limit[part.index[0]]:.4g} s"
                yield self.wrong(saw, do, count=len(part), of=len(rows), example=str(first["key"]))
        do = "were values beyond a bound set to it? then they are no latencies: drop them"
        for platform, part in seen.platforms():
            for bound, what in ((part["latency_s"].max(), "longest"), (part["latency_s"].min(), "shortest")):
                pile = part[part["latency_s"] == bound]
                many = len(pile) >= PILE and pile["workload"].nunique() >= PILE
                if many and len(pile) < len(part) and (what == "longest" or len(pile) > OF_FEW_DIGITS * len(part)):
                    saw = f"{platform}: {len(pile)} rows share the {what} latency, {bound:.6g} s"
                    yield self.odd(saw, do, count=len(pile), of=len(part), example=str(pile["key"].iloc[0]))
