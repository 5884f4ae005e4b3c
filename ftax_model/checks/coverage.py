"""Whether a predictor keeps what it promises, on rows that were measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted, by_platform, key_at
from ftax_model.errors import FtaxError
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.rows import PLATFORM, with_kernels, with_operators

MOST = 150
"""Sweeps that are predicted: one row of each, for rows of one sweep are missed together."""

CONFIDENCE = 0.99
"""Of the interval of a share that lies below what was promised by chance alone."""

LARGE = 0.5
"""Median relative error above which a predictor is not of these rows."""


class Coverage(Check[Fitted]):
    """Errors and coverage on rows beside the predictor, with the binomial interval."""

    kind = Fitted
    looks_at = "with --against: errors, and fewer latencies inside the intervals than is said"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """Platforms that the predictor cannot tell, then the figures of all others."""
        if seen.against is None or seen.against.rows.empty:
            return
        chosen = seen.against.rows.sample(frac=1.0, random_state=0).drop_duplicates(["curve", *PLATFORM]).iloc[:MOST]
        parts, unknown = [], []
        for platform, part in by_platform(chosen):
            try:
                rows = with_kernels(part) if kind_of(platform.device) == "cuda" else with_operators(part, jobs=1)
                parts.append(part[["key", "latency_s"]].join(_said(seen, rows)))
            except FtaxError as error:
                unknown.append((str(platform), error.got, len(part)))
        if unknown:
            saw = f"{unknown[0][0]} cannot be predicted: {unknown[0][1]}"
            count = sum(rows for *_, rows in unknown)
            yield self.odd(saw, "calibrate with these rows", count=count, of=len(chosen), example=unknown[0][0])
        if parts:
            yield self._told(pd.concat(parts), seen.predictor.confidence)

    def _told(self, rows: pd.DataFrame, promised: float) -> Finding:
        ratio = pd.Series(np.log(rows["latency_s"] / rows["predicted_s"]), index=rows.index)
        inside = rows["latency_s"].between(rows["low_s"], rows["high_s"])
        result = binomtest(int(inside.sum()), len(rows))
        low, high = result.proportion_ci(confidence_level=CONFIDENCE, method="exact")
        error = float(np.median(np.abs(np.expm1(-ratio))))
        saw = (
            f"{inside.mean():.0%} of {len(rows)} sweeps lie inside the interval, where {promised:.0%} is said "
            f"({CONFIDENCE:.0%} of chance: {low:.0%} to {high:.0%}); median error {error:.1%}, "
            f"bias {np.expm1(-np.median(ratio)):+.1%}"
        )
        worst = key_at(rows, ratio.abs().idxmax())
        if high < promised or error > LARGE:
            do = "it is not of this machine, or not of such models: ftax calibrate --add these rows"
            telling = self.wrong if high < promised / 2 else self.odd
            return telling(saw, do, count=int((~inside).sum()), of=len(rows), example=worst)
        return self.fine(saw, count=int((~inside).sum()), of=len(rows), example=worst)


def _said(seen: Fitted, rows: pd.DataFrame) -> pd.DataFrame:
    said = seen.predictor.predict_frame(rows, crossovers=False)[["latency_s", "low_s", "high_s"]]
    return said.rename(columns={"latency_s": "predicted_s"})
