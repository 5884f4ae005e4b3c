"""Whether a feature was made of the latencies that it is to explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

FEWEST, FEWEST_MODELS = 20, 4

TOO_GOOD = 0.03
"""Median deviation of the log of latency over a feature; of those measured here the least is 0.08."""

RANGE = 4.0
"""Times that the longest call takes of the shortest, for their order to say something."""


class Leaks(Check[Measured]):
    """Every feature that records hold, known to us or not, against latency."""

    kind = Measured
    looks_at = "features that follow latency closer than anything counted can, over many models"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By feature, over the platforms that have enough rows."""
        found = pd.DataFrame([dict(one.features) for one in seen.good], index=seen.rows.index)
        counts: dict[str, tuple[int, float, str]] = {}
        of = 0
        for _, part in seen.platforms():
            wide = part["latency_s"].max() > RANGE * part["latency_s"].min() if len(part) else False
            if len(part) < FEWEST or part["model"].nunique() < FEWEST_MODELS or not wide:
                continue
            of += 1
            for name in found:
                values = _numbers(found[name][part.index])
                both = values.notna() & (values > 0)
                if both.sum() < FEWEST or part.loc[both, "model"].nunique() < FEWEST_MODELS:
                    continue
                scatter = _scatter(part.loc[both, "latency_s"], values[both])
                if scatter < TOO_GOOD:
                    count, least, key = counts.get(str(name), (0, np.inf, str(part["key"].iloc[0])))
                    counts[str(name)] = (count + 1, min(least, scatter), key)
        for name, (count, least, key) in counts.items():
            saw = f"{name} is latency times a constant, within {least:.1%}, over all models of a platform"
            do = f"was {name} computed from latencies? leave it out: a proxy made of the answer predicts nothing"
            yield self.wrong(saw, do, count=count, of=of, example=key)


def _numbers(values: pd.Series[Any]) -> pd.Series[float]:
    """Values as numbers; nan for what is none."""
    return values.map(lambda value: float(value) if isinstance(value, int | float) else float("nan"))


def _scatter(latency: pd.Series[float], values: pd.Series[float]) -> float:
    """Median absolute deviation of the log of the ratio, or of its inverse's: of rates as well."""
    logs, feature = np.log(latency.to_numpy(float)), np.log(values.to_numpy(float))
    return min(float(np.median(np.abs(one - np.median(one)))) for one in (logs - feature, logs + feature))
