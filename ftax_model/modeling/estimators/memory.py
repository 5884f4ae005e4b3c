"""MemoryModel: the peak memory of a process that prepares one call and makes it, as a sum of what it holds.

::

    peak = floor + weights * bytes of weights + activations * bytes of activations alive + operators * operators

The floor is what a framework holds with its libraries loaded. It holds weights more than once (a copy in its own
layout, the file that it was exported to), activations too (working memory of kernels, what the allocator keeps), and
some memory of each operator (its node of a graph, generated code).

Where a process prepared other calls before, it holds on to some of what those took, and does not export again: that is
fitted beside, as costs of its own, and is no part of a prediction for a fresh process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import least_squares
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import LARGEST, Array, check_lengths
from ftax_model.modeling.limits import HELD
from ftax_model.values import number, reading

COLUMNS = ("model_bytes", "live_bytes", "n_ops")
"""Columns that peak memory follows from."""

BEFORE = "before"
"""Column with how many calls the same process prepared before; none where it is missing."""

PRIOR: Mapping[str, tuple[float, float]] = {
    "floor": (4e8, 1.0),
    "weights": (2.0, 0.5),
    "activations": (2.0, 0.35),
    "operators": (1e5, 1.0),
    "weights again": (2.0, 0.5),
    "left of weights": (0.1, 1.5),
    "left of activations": (0.1, 1.5),
    "left of operators": (1e4, 1.5),
}
"""Each cost before anything was measured, and the standard deviation of its logarithm.

Bytes of the floor; times that bytes of weights and of activations are held; bytes an operator. The others are of calls
that were not the first of their process: ``weights again`` stands for ``weights``, and the rest is by call before.
"""

SCALE = 0.05
"""Relative error up to which a row is no outlier; a row as far off weighs as much as a cost one deviation off."""


class MemoryModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Peak memory from bytes of weights, bytes of activations alive, and operators, each cost above zero.

    Relative error is fitted, robustly, and the logarithms of costs are held back toward `PRIOR`: four rows are enough
    for nothing absurd.

    Attributes
    ----------
    costs_ : the costs, by their names in `PRIOR`.
    """

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Fit to ``y``, measured bytes, one a row of X, which holds `COLUMNS` and perhaps `BEFORE`.

        Raises `InputError` where X lacks a column or holds values that are no counts, and where bytes are not positive.
        """
        design, measured = _design(X), np.asarray(y, dtype=float)
        if measured.ndim != 1 or not ((measured >= 1) & (measured <= LARGEST)).all():
            raise InputError("peak memory is a positive number of bytes", "others", "drop those rows")
        check_lengths(design, measured)
        mean = np.log([value for value, _ in PRIOR.values()])
        deviation = np.array([value for _, value in PRIOR.values()])

        def residuals(logs: Array) -> Array:
            missed = np.log(design @ np.exp(logs)) - np.log(measured)
            return np.concatenate([missed, SCALE * (logs - mean) / deviation])

        def slopes(logs: Array) -> Array:
            parts = design * np.exp(logs)
            return np.vstack([parts / parts.sum(axis=1, keepdims=True), np.diag(SCALE / deviation)])

        found = least_squares(residuals, mean, jac=slopes, loss="soft_l1", f_scale=SCALE)
        self.costs_ = dict(zip(PRIOR, np.exp(found.x).tolist(), strict=True))
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Bytes of each row, shape (n_rows,)."""
        check_is_fitted(self)
        return np.asarray(_design(X) @ np.array(list(self.costs_.values())))

    def to_dict(self) -> dict[str, float]:
        """As plain JSON values; `from_dict` is the way back."""
        return {name: float(f"{value:.6g}") for name, value in self.costs_.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> MemoryModel:
        """The model that `to_dict` wrote; raises `DataError` for anything else."""
        model = cls()
        with reading("a MemoryModel"):
            model.costs_ = {name: number(record[name], f"what memory holds of {name}", HELD) for name in PRIOR}
        return model


def _design(X: pd.DataFrame) -> Array:
    """What each cost is of, shape (n_rows, costs)."""
    for column in COLUMNS:
        plugins.check(column, [str(name) for name in X.columns], what="column of X")
    counts = X[list(COLUMNS)].to_numpy(float)
    before = X[BEFORE].to_numpy(float) if BEFORE in X else np.zeros(len(X))
    told = np.column_stack([counts, before])
    if not ((told >= 0) & (told <= LARGEST)).all():
        raise InputError("bytes and operators are finite counts, zero or more", "others", "drop those rows")
    weights, alive, operators = counts.T
    first = before == 0
    costs = (np.ones(len(X)), weights * first, alive, operators, weights * ~first)
    return np.column_stack([*costs, before * weights, before * alive, before * operators])
