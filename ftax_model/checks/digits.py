"""Whether latencies look like what a clock says: no two alike, with digits and with a spread."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

FEWEST = 10

ROUND = 3
"""Significant digits up to which a number is round."""

MOST_ROUND, MOST_STILL = 0.3, 0.05
"""Shares of records that may be round, or without any spread."""

CONSTANT = 1.02
"""Times that latencies of a platform differ at least, if they are of several models and batch sizes."""


class Digits(Check[Measured]):
    """Round numbers, samples that are all alike, latencies that are the same for all."""

    kind = Measured
    looks_at = "latencies that are constant or round, samples without any spread"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Constant platforms, records without spread, and round numbers."""
        for platform, part in seen.platforms():
            low, high = part["latency_s"].min(), part["latency_s"].max()
            if len(part) >= FEWEST and part["curve"].nunique() > 1 and high < CONSTANT * low:
                saw = f"{platform}: all calls take {low:.4g} s, of {part['model'].nunique()} models"
                do = "was something else timed than the model, or a constant written down? measure again"
                yield self.wrong(saw, do, count=len(part), of=len(part), example=str(part["key"].iloc[0]))
        rows = seen.rows
        several = [one for one in seen.good if len(one.samples) > 3]
        still = [one.cell.key for one in several if len(set(one.samples)) == 1]
        if len(several) >= FEWEST and len(still) > MOST_STILL * len(several):
            saw = "samples of one call are all the same: no clock measures so evenly"
            do = "were they made up, or copied from one value? samples are the blocks behind latency_s"
            yield self.odd(saw, do, count=len(still), of=len(several), example=still[0])
        flat = rows.loc[rows["latency_s"].map(_digits) <= ROUND, "key"] if len(rows) else pd.Series(dtype=object)
        if len(rows) >= FEWEST and len(flat) > MOST_ROUND * len(rows):
            saw = f"latencies have {ROUND} significant digits or fewer"
            do = "they were rounded, typed in or read off a figure: errors below a percent mean nothing here"
            yield self.odd(saw, do, count=len(flat), of=len(rows), example=str(flat.iloc[0]))


def _digits(value: float) -> int:
    """Significant digits of a number, at most 12.

    >>> _digits(0.0123), _digits(120.0), _digits(1 / 3)
    (3, 2, 12)
    """
    return len(f"{value:.12g}".partition("e")[0].replace(".", "").strip("0"))
