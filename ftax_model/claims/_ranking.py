"""Rank correlations of a proxy with latency over models: the form of the claims on proxies."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from ftax_model.claims import _sizes
from ftax_model.claims._base import Case, Claim, Range
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen

GOOD = 0.8
"""Spearman correlation from which a proxy ranks models as latency does."""

FEWEST_ROWS = 6
FEWEST_ARCHITECTURES = 3
DRAWS = 1000


class Ranking(Claim):
    """Spearman correlation of a column with latency at batch 1, its interval by a bootstrap over architectures."""

    column: ClassVar[str]
    regime: ClassVar[str] = ""
    """The regime that rows are in, any where it is empty."""
    wanted: ClassVar[Range]
    alone = True
    units = "platform"
    plan = _sizes.PLAN

    def cases(self, seen: Seen) -> list[Case]:
        """One case for each framework, device, precision and thread count."""
        rows = seen.rows[seen.rows["batch_size"] == 1]
        rows = rows[seen.regimes[rows.index] == self.regime] if self.regime else rows
        rows = theirs(rows[rows[self.column].notna()])
        found = []
        for key, own in rows.groupby(["setup", "framework", "device", "dtype", "threads"]):
            names = own["architecture"].nunique()
            if len(own) < FEWEST_ROWS or names < FEWEST_ARCHITECTURES:
                continue
            assert isinstance(key, tuple)
            words = ", ".join(str(part) for part in key[1:4] if part)
            what = f"{words}: Spearman over {len(own)} rows of {names} architectures"
            value, interval = _spearman(own, self.column)
            found.append(Case.within(what, words, value, interval, self.wanted))
        return found


def _spearman(rows: pd.DataFrame, column: str) -> tuple[float, Range]:
    """The correlation with latency and its 90 % interval over architectures, drawn whole and with replacement."""
    parts = [own[[column, "latency_s"]].to_numpy(float) for _, own in rows.groupby("architecture")]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = np.concatenate([parts[at] for at in random.integers(len(parts), size=len(parts))])
        if len(np.unique(chosen[:, 0])) > 1:
            drawn.append(float(spearmanr(chosen[:, 0], chosen[:, 1]).statistic))
    low, high = np.quantile(drawn, [0.05, 0.95])
    return float(spearmanr(rows[column], rows["latency_s"]).statistic), (float(low), float(high))
