"""Plain laws of latency, to stand beside the full one in every table of errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model import plugins
from ftax_model.modeling.estimators.law import (
    Array,
    Design,
    check_features,
    check_lengths,
    checked_latencies,
    fit_law,
    latency,
)
from ftax_model.modeling.estimators.regime import RegimeModel


class Roofline(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency = max(MACs / peak, bytes / bandwidth): the device alone, with both peaks fitted to relative error.

    Parameters
    ----------
    macs : column of X with multiply-accumulates.
    traffic : columns of X whose sum is the memory traffic in bytes.

    Attributes
    ----------
    peak_macs_ : float, MACs per second; ``inf`` where MACs explain nothing.
    bandwidth_ : float, bytes per second; ``inf`` where bytes explain nothing.
    """

    def __init__(self, macs: str = "macs", traffic: Sequence[str] = ("activation_bytes", "weight_bytes")) -> None:
        self.macs = macs
        self.traffic = traffic

    def fit(self, X: pd.DataFrame, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit to ``y``, measured latencies in seconds, one a row of X; ``groups`` changes nothing.

        Raises `InputError` where X lacks a column, or holds values that are not finite, or latencies are not positive.
        """
        columns, measured = self._columns(X), checked_latencies(y)
        check_lengths(columns, measured)
        seconds = fit_law(Design(columns, hosts=1), measured, overlap=math.inf).coef
        self.bandwidth_, self.peak_macs_ = (1 / value if value > 0 else math.inf for value in seconds.tolist())
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        check_is_fitted(self)
        traffic, macs = self._columns(X).T
        return latency(traffic / self.bandwidth_, macs / self.peak_macs_, math.inf)

    def _columns(self, X: pd.DataFrame) -> Array:
        """Bytes and MACs, shape (n_rows, 2)."""
        for column in (self.macs, *self.traffic):
            plugins.check(column, [str(name) for name in X.columns], what="column of X")
        names = [*self.traffic, self.macs]
        counts = X[names].to_numpy(float)
        check_features(counts, names, what="MACs and bytes")
        return np.column_stack([counts[:, :-1].sum(axis=1), counts[:, -1]])


def macs_only() -> RegimeModel:
    """Latency = c0 + c1 * MACs."""
    return RegimeModel(compute=["macs"], overlap=1.0)


def macs_and_activations() -> RegimeModel:
    """Latency = c0 + c1 * MACs + c2 * activations."""
    return RegimeModel(compute=["macs", "activations"], overlap=1.0)


def depth_or_macs() -> RegimeModel:
    """Latency = max(c0 + c1 * depth, c2 * MACs)."""
    return RegimeModel(overhead=["depth"], compute=["macs"], overlap=math.inf)


BASELINES: Mapping[str, Callable[[], Any]] = {
    "macs": macs_only,
    "macs + activations": macs_and_activations,
    "roofline": Roofline,
    "max(depth, macs)": depth_or_macs,
}
"""Estimators not yet fitted, by the name that a table shows; each takes the columns of a trace's features."""
