"""Errors: what predictions of models never seen missed by, and the intervals that follow (conformal prediction).

An interval holds a share of what comes because it held that share of what was left out: of each kind of rows by itself
(Mondrian conformal prediction; Vovk, 2003), here the regimes, and rows outside of what the fit had seen. No shape of
the errors is assumed. Ranks carry the correction for finite samples (Lei et al., 2018). Libraries for conformal
prediction wrap an estimator and refit it; here the residuals are at hand from the folds that chose it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ftax_model.errors import DataError
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.limits import MISS, MOST_ERRORS
from ftax_model.values import mapping, numbers, reading

EVERY = "every"
"""Name of all kinds together."""

OUTSIDE = "outside"
"""Name of the kind of rows that lie outside of what was measured."""

FEWEST = 25
"""Errors of a kind that are enough to stand by themselves; a kind with fewer takes those of all kinds."""

WIDER = 2.0
"""By what the errors of all kinds are multiplied for rows outside, where too few such rows were ever left out."""

_MOST_KINDS = 16


@dataclass(frozen=True)
class Errors:
    """Log of measured over predicted of rows left out of the fit, sorted, by kind; `EVERY` holds all of them."""

    by_kind: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, ratios: ArrayLike, kinds: Iterable[str]) -> Errors:
        """From one log ratio and one kind a row; raises `DataError` where there is none."""
        table = pd.Series(np.asarray(ratios, dtype=float), index=list(kinds))
        if table.empty:
            raise DataError("intervals follow from errors", "none", "leave rows out and predict them")
        own = {str(kind): np.sort(part.to_numpy()) for kind, part in table.groupby(level=0)}
        return cls({**own, EVERY: np.sort(table[table.index != OUTSIDE].to_numpy() if len(own) > 1 else table)})

    @classmethod
    def normal(cls, count: int = 199) -> Errors:
        """Those of a normal distribution of standard deviation 1, where none were seen yet."""
        return cls({EVERY: np.array([NormalDist().inv_cdf((at + 1) / (count + 1)) for at in range(count)])})

    def times(self, factor: float) -> Errors:
        """The same errors, larger or smaller by a factor."""
        return Errors({kind: factor * values for kind, values in self.by_kind.items()})

    def quantile(self, level: float, kinds: Iterable[str]) -> Array:
        """Log ratio below which a share ``level`` of what comes lies, for rows of these kinds."""
        kinds = list(kinds)
        known = {kind: self._of(kind, level) for kind in set(kinds)}
        return np.array([known[kind] for kind in kinds], dtype=float)

    def interval(self, confidence: float, kinds: Iterable[str]) -> tuple[Array, Array]:
        """Log ratios between which a share ``confidence`` of what comes lies, as much beyond one end as the other."""
        kinds = list(kinds)
        return self.quantile((1 - confidence) / 2, kinds), self.quantile((1 + confidence) / 2, kinds)

    def above(self, ratios: ArrayLike) -> Array:
        """Share of all errors that lie above each of these log ratios."""
        every = self.by_kind[EVERY]
        return np.asarray(1 - (np.searchsorted(every, ratios) + 0.5) / (len(every) + 1))

    def to_dict(self) -> dict[str, list[float]]:
        """As plain JSON values; `from_dict` is the way back."""
        return {kind: [float(f"{value:.4g}") for value in values] for kind, values in self.by_kind.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Errors:
        """The errors that `to_dict` wrote; raises `DataError` where there are none."""
        with reading("errors", do="fit the predictor again"):
            found = {
                kind: np.sort(numbers(own, f"errors of {kind or 'a kind'}", MISS, most=MOST_ERRORS))
                for kind, own in mapping(record, "errors", most=_MOST_KINDS).items()
            }
            if EVERY not in found or not all(map(len, found.values())):
                raise ValueError("none, or none of a kind")
        return cls(found)

    def _of(self, kind: str, level: float) -> float:
        own = self.by_kind.get(kind, np.zeros(0))
        if len(own) >= FEWEST:
            return _rank(own, level)
        factor = WIDER if kind == OUTSIDE else 1.0
        return factor * _rank(self.by_kind[EVERY], level)


def kinds(regime: ArrayLike, outside: ArrayLike) -> NDArray[np.str_]:
    """The kind of each row: its regime, or `OUTSIDE`."""
    return np.where(np.asarray(outside, dtype=bool), OUTSIDE, np.asarray(regime, dtype=str))


def _rank(ordered: Array, level: float) -> float:
    """The order statistic that a new value stays below with probability ``level``, rounded away from the middle."""
    n = len(ordered)
    if level >= 0.5:
        return float(ordered[min(math.ceil((n + 1) * level), n) - 1])
    return float(ordered[max(math.floor((n + 1) * level), 1) - 1])
