"""Transfer, a law of few rows: non-negative coefficients, held back toward what other platforms say of them."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import Array, Loss, check_lengths, checked_columns, checked_latencies

PRIORS = ("equal", "agreement")
"""Priors that are made from the rows themselves."""

_STEPS = 60  # Gauss-Newton steps at most
_CONVERGED = 1e-9  # change of a share, relative to the latency, that ends them
_TINY = 1e-9  # least predicted part of a latency; keeps its logarithm finite
_NEAR = 0.01  # relative misfit below which columns agree equally well
_LEAST_SPREAD = 1e-9  # least information of a row on the proportions; makes one row enough


class Transfer(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency = sum of non-negative coefficients times columns, for as many rows as there are columns, or fewer.

    The coefficients are known beforehand up to a common factor. The factor is fitted freely; the proportions are held
    back by a ridge on the shares v_j = coef_j * mean(x_j / y), the part of a mean latency that each column makes::

        sum of soft_l1(log predicted - log measured)  +  strength * spread * sum over j of (v_j - factor * prior_j)^2

    ``spread`` is the mean variance of the columns over the rows, relative to the latencies: what one row tells about
    the proportions. So the prior weighs as much as ``strength`` rows, whatever the units and however alike the rows.

    Columns are anything that adds up to a latency: counts of operators and MACs, or the seconds that reference
    platforms need for the same workload.

    Parameters
    ----------
    prior : coefficients known up to a common factor, zero or more, one a column of X; ``"equal"`` lets each column make
        the same share of the latency; ``"agreement"`` gives more to columns which, times a factor, come close to
        ``y`` on their own (in inverse proportion to the squared misfit): right where columns are rival predictions.
    strength : rows that the prior is worth; 0 fits without it, ``inf`` fits the factor alone.
    loss_scale : relative error up to which a row is no outlier.

    Attributes
    ----------
    coef_ : array (n_features_in_,), seconds per unit of each column; a column that is zero in all rows keeps the
        prior's proportion, or 0 where the prior is made from the rows.
    factor_ : float, the common factor of the prior.
    prior_ : array (n_features_in_,), the prior's coefficients; ``strength=inf`` makes ``coef_ = factor_ * prior_``.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Examples
    --------
    >>> X = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 20.0]])
    >>> Transfer(prior=[2.0, 1.0], strength=np.inf).fit(X, 0.5 * (2 * X[:, 0] + X[:, 1])).coef_.round(6).tolist()
    [1.0, 0.5]
    """

    def __init__(self, prior: ArrayLike | str = "equal", *, strength: float = 0.1, loss_scale: float = 0.05) -> None:
        self.prior = prior
        self.strength = strength
        self.loss_scale = loss_scale

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to ``y``, measured latencies in seconds, one a row of X; one row is enough.

        Raises `InputError` for settings that mean nothing, a prior of another length than X has columns, values that
        are not finite, columns below zero, latencies that are not positive, and a prior that explains no row.
        """
        self._check_settings()
        X, y = checked_columns(self, X, fitting=True), checked_latencies(y)
        check_lengths(X, y)
        relative = X / y[:, None]
        means = relative.mean(axis=0)
        self.prior_ = self._prior(relative)
        explained = float(self.prior_ @ means)
        if not explained > 0:
            got = f"columns {np.flatnonzero(means > 0).tolist()} above zero, of {len(means)}"
            raise InputError("some column that the prior names is above zero in some row", got, "mend X or the prior")
        seen = means > 0
        shares = relative[:, seen] / means[seen]
        beforehand = self.prior_[seen] * means[seen] / explained
        found = _shares(shares, beforehand, strength=float(self.strength), loss=Loss(scale=self.loss_scale))
        self.factor_ = float(found[-1] / explained)
        self.coef_ = self.factor_ * self.prior_
        self.coef_[seen] = found[:-1] / means[seen]
        return self

    def predict(self, X: Any) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        check_is_fitted(self, "coef_")
        return np.asarray(checked_columns(self, X, fitting=False) @ self.coef_)

    def __sklearn_tags__(self) -> Any:
        """Columns and target are never negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags

    def _prior(self, relative: Array) -> Array:
        """The prior's coefficients, from columns that were divided by the latencies."""
        means = relative.mean(axis=0)
        if isinstance(self.prior, str):
            weight = np.ones_like(means) if self.prior == "equal" else _agreement(relative)
            return np.asarray(np.divide(weight, means, out=np.zeros_like(means), where=means > 0))
        prior: Array = np.asarray(self.prior, dtype=np.float64)
        if prior.shape != means.shape:
            law = f"the prior holds one coefficient for each of the {len(means)} columns of X"
            raise InputError(law, f"shape {prior.shape}", "give one a column")
        if not (np.isfinite(prior) & (prior >= 0)).all():
            raise InputError("the prior's coefficients are finite, zero or more", str(prior.tolist()), "mend them")
        return prior

    def _check_settings(self) -> None:
        if isinstance(self.prior, str):
            plugins.check(self.prior, PRIORS, what="prior")
        if not self.strength >= 0:
            raise InputError("strength is a number of rows, zero or more", repr(self.strength), "choose e.g. 0.1")
        if not (self.loss_scale > 0 and math.isfinite(self.loss_scale)):
            raise InputError("loss_scale is a positive relative error", repr(self.loss_scale), "choose e.g. 0.05")


def _agreement(relative: Array) -> Array:
    """Weight of each column: one over the square of its misfit (mean absolute log) once its factor is taken out."""
    logs = np.log(np.maximum(relative, _TINY))
    misfit = np.abs(logs - np.median(logs, axis=0)).mean(axis=0)
    return np.asarray((misfit + _NEAR) ** -2)


def _shares(columns: Array, prior: Array, *, strength: float, loss: Loss) -> Array:
    """Shares of the latency by column and, last, the factor of the prior's shares.

    ``columns`` (rows x terms) are relative to the latencies and have mean 1; the shares of ``prior`` add up to 1. Each
    Gauss-Newton step is a non-negative least squares problem with the ridge as further rows.
    """
    if math.isinf(strength):
        factor = _descend((columns @ prior)[:, None], np.zeros((0, 1)), loss)[0]
        return np.append(factor * prior, factor)
    weight = strength * max(float(columns.var(axis=0).mean()), _LEAST_SPREAD)
    ridge = math.sqrt(weight) * np.column_stack([np.eye(len(prior)), -prior])
    return _descend(np.column_stack([columns, np.zeros(len(columns))]), ridge, loss)


def _descend(columns: Array, ridge: Array, loss: Loss) -> Array:
    """The non-negative x of least robust loss of log(columns @ x) plus half the squares of ridge @ x."""
    weight, slopes, target = np.ones(len(columns)), columns, np.ones(len(columns))
    best, least, last = np.zeros(columns.shape[1]), math.inf, np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        found = _nnls(np.vstack([slopes * weight[:, None], ridge]), np.append(target * weight, np.zeros(len(ridge))))
        predicted = np.maximum(columns @ found, _TINY)
        residuals = np.log(predicted)
        cost = loss.total(residuals) + 0.5 * float(np.sum((ridge @ found) ** 2))
        if cost < least:
            best, least = found, cost
        if np.abs(found - last).max() < _CONVERGED:
            break
        last, slopes, target = found, columns / predicted[:, None], 1 - residuals
        weight = np.sqrt(loss.derivatives(residuals)[1])
    return best


def _nnls(matrix: Array, target: Array) -> Array:
    return np.asarray(nnls(matrix, target, maxiter=50 * matrix.shape[1])[0])
