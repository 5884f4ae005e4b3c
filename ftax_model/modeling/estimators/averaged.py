"""AveragedLaw, a law of very few rows: an average over the sets of columns that may make the latency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import Array, check_lengths, checked_columns, checked_latencies

Sets = tuple[NDArray[np.intp], float]
"""Sets of as many columns each, shape (n_sets, size), and the logarithm of what they weigh beforehand, in all."""

MOST_SETS = 1000
"""Sets of columns that are looked at, the smallest first."""

NOISE: Array = np.geomspace(0.004, 0.3, 6)
"""Relative noise of a row that is thought of."""

_USUAL_NOISE, _SURE = 0.03, 1.5  # median of the noise beforehand, and the standard deviation of its logarithm
_FREEDOM = 4.0  # of Student's t, whose tails leave room for outliers
_STEPS = 5  # of reweighted least squares
_RIVALS = 0.5  # share of the rivals beforehand
_DEPARTURE = 0.03  # least relative noise that rows are chosen for


class AveragedLaw(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency = sum of non-negative coefficients times columns, averaged over the sets of columns that may be in it.

    With three or ten rows several laws explain what was measured: dispatches alone, MACs alone, activations with a
    constant. Each set of columns is fitted by itself, by relative error with the tails of Student's t, its coefficients
    held back toward none by a normal prior: of a set of q columns each makes about a q-th of the latency. A set
    weighs by its evidence (Laplace's approximation), summed over `NOISE`; one that wants a negative coefficient weighs
    nothing. Sets of each size weigh the same beforehand. (Bayesian model averaging: Hoeting et al., 1999.)

    The last columns may be rivals: each a prediction of the latency up to a factor, such as latencies of the same
    workloads on another platform. They never stand together: a rival goes alone or with one of the other columns,
    which then says how this platform departs from that one.

    Parameters
    ----------
    rivals : what each of the last columns of X weighs beforehand beside the other rivals, one number each, above zero;
        empty where no column is one. Together they weigh half.

    Attributes
    ----------
    coef_ : array (n_features_in_,), seconds per unit of each column; 0 for a column that is zero in all rows.
    importance_ : array (n_features_in_,), from 0 to 1: the weight of the sets that hold the column.
    noise_ : float, relative noise of a row, as expected from the fit.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    Examples
    --------
    >>> X = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 20.0], [8.0, 10.0]])
    >>> AveragedLaw().fit(X, 0.5 * X[:, 0]).coef_.round(2).tolist()
    [0.5, 0.0]
    """

    def __init__(self, rivals: Sequence[float] = ()) -> None:
        self.rivals = rivals

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit to ``y``, measured latencies in seconds, one a row of X; one row is enough.

        Raises `InputError` for weights that mean nothing or leave no other column, values that are not finite, columns
        below zero, latencies that are not positive, and columns that are zero in all rows.
        """
        X, y = checked_columns(self, X, fitting=True), checked_latencies(y)
        check_lengths(X, y)
        own, weights = self._roles(X.shape[1])
        relative = X / y[:, None]
        means = relative.mean(axis=0)
        seen = np.flatnonzero(means > 0)
        if not len(seen):
            raise InputError("some column is above zero in some row", f"{len(means)} columns of zeros", "mend X")
        held = weights[seen[seen >= own] - own]
        shares = relative[:, seen] / means[seen]
        sets = list(_sets(int((seen < own).sum()), held / held.sum() if len(held) else held))
        coef, importance, self.noise_ = _average(shares, sets)
        self.coef_, self.importance_ = np.zeros(len(means)), np.zeros(len(means))
        self.coef_[seen], self.importance_[seen] = coef / means[seen], importance
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

    def _roles(self, columns: int) -> tuple[int, Array]:
        """How many columns are no rivals, and what the rivals weigh."""
        weights: Array = np.asarray(self.rivals, dtype=np.float64)
        if weights.ndim != 1 or not (np.isfinite(weights) & (weights > 0)).all():
            raise InputError("rivals are weights above zero, one a column", repr(self.rivals), "mend them")
        if len(weights) >= columns:
            law = "the last columns are rivals, and others go before them"
            raise InputError(law, f"{len(weights)} rivals of {columns} columns", "give fewer weights")
        return columns - len(weights), weights


def rivals(columns: ArrayLike, coefs: ArrayLike, measured: ArrayLike) -> tuple[Array, Array]:
    """What other platforms say of workloads, as columns of rivals for `AveragedLaw` and the weight of each.

    ``columns`` (n_rows, n_columns) are the law's, ``coefs`` (n_platforms, n_columns) what the law has for each other
    platform, ``measured`` (n_rows, n_platforms) the latencies of the same workloads there, nan where there are none.
    Each platform's law is a rival, and its latencies, if none is missing, are another: they hold what the law leaves
    out. That is shared with some platforms or is noise of its own. So latencies weigh by the share of it that one of
    these platforms tells of another (squared correlation, the best of each, in the mean), their laws by the rest.
    """
    coefs, measured = np.asarray(coefs, dtype=float), np.asarray(measured, dtype=float)
    laws = np.asarray(columns, dtype=float) @ coefs.T
    whole = np.isfinite(measured).all(axis=0)
    told = _told(np.log(measured[:, whole] / np.maximum(laws[:, whole], np.finfo(float).tiny)))
    return np.hstack([laws, measured[:, whole]]), np.append(np.where(whole, 1 - told, 1.0), np.full(whole.sum(), told))


def telling(columns: ArrayLike, count: int) -> NDArray[np.intp]:
    """Positions of the rows to measure, those first that tell most of the coefficients, shape (count,).

    Greedy D-optimal design on the relative columns of a latency that all columns share equally; no latency is needed.
    Raises `InputError` for more rows than there are.
    """
    array: Array = np.asarray(columns, dtype=np.float64)
    if not 0 < count <= len(array):
        law = f"rows to measure are chosen among those there are, {len(array)}"
        raise InputError(law, str(count), "ask for one at least and not more")
    means = array.mean(axis=0)
    shares = array[:, means > 0] / means[means > 0]
    shares = shares / shares.mean(axis=1, keepdims=True).clip(min=np.finfo(float).tiny)
    width = shares.shape[1]
    open_ = np.eye(width) / (_DEPARTURE * width) ** 2
    chosen: list[int] = []
    for _ in range(count):
        gain = np.einsum("ij,jk,ik->i", shares, open_, shares)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
        told = open_ @ shares[chosen[-1]]
        open_ = open_ - np.outer(told, told) / (1 + shares[chosen[-1]] @ told)
    return np.array(chosen, dtype=np.intp)


def _told(left: Array) -> float:
    """Share of what the law leaves of a platform that another one tells, in the mean; kept off 0 and 1."""
    if left.shape[1] < 2:
        return 0.5
    spread = left.std(axis=0)
    scaled = np.divide(left - left.mean(axis=0), spread, out=np.zeros_like(left), where=spread > 0)
    correlation = scaled.T @ scaled / len(left)
    np.fill_diagonal(correlation, 0.0)
    return float(np.clip((correlation**2).max(axis=1).mean(), 0.01, 0.99))


def _sets(own: int, weights: Array) -> Iterator[Sets]:
    """All sets of the first ``own`` columns, by size; then each rival alone and with one of these columns.

    ``weights`` are those of the rivals, which add up to 1; each rival makes a pair of sets on its own.
    """
    sizes = [1]
    while sizes[-1] < own and sum(math.comb(own, size) for size in range(1, sizes[-1] + 2)) <= MOST_SETS:
        sizes.append(sizes[-1] + 1)
    share = 1.0 if not len(weights) else 1 - _RIVALS if own else 0.0
    for size in sizes if own else ():
        yield np.array(list(combinations(range(own), size))), math.log(share / len(sizes))
    kinds = 2 if own else 1
    for at, weight in enumerate(weights, start=own):
        each = math.log((1 - share) * weight / kinds)
        yield np.array([[at]]), each
        if own:
            yield np.array([(one, at) for one in range(own)]), each


def _average(shares: Array, sets: Sequence[Sets]) -> tuple[Array, Array, float]:
    """Coefficients of columns with mean 1, the weight of the sets that hold each, and the expected noise."""
    found, evidence = [], []
    for members, weight in sets:
        coef, own = _fit(shares[:, members].transpose(1, 0, 2))
        full = np.zeros((*own.shape, shares.shape[1]))
        np.put_along_axis(full, np.broadcast_to(members, coef.shape), coef, axis=-1)
        found.append(full.reshape(-1, shares.shape[1]))
        evidence.append((own + weight - math.log(len(members))).ravel())
    coefs, logs = np.concatenate(found), np.concatenate(evidence)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    noise = np.concatenate([np.repeat(NOISE, len(members)) for members, _ in sets])
    return weights @ coefs, weights @ (coefs > 0), float(weights @ noise)


def _fit(columns: Array) -> tuple[Array, Array]:
    """Coefficients of each set at each noise, and their log evidence; ``columns`` has shape (n_sets, n_rows, size).

    Shapes (n_noise, n_sets, size) and (n_noise, n_sets). Evidence is -inf where a coefficient is below zero.
    """
    sets, rows, size = columns.shape
    variance = NOISE[:, None, None] ** 2
    prior = float(size) ** 2 * np.eye(size)
    weight = np.ones((len(NOISE), sets, rows))
    for _ in range(_STEPS):
        weighted = columns * (weight / variance)[..., None]
        curvature = np.einsum("smnj,mnk->smjk", weighted, columns) + prior
        coef = np.linalg.solve(curvature, weighted.sum(axis=2)[..., None])[..., 0]
        squared = (1 - np.einsum("mnj,smj->smn", columns, coef)) ** 2 / (_FREEDOM * variance)
        weight = (_FREEDOM + 1) / _FREEDOM / (1 + squared)
    likelihood = -(_FREEDOM + 1) / 2 * np.log1p(squared).sum(axis=-1) - rows * np.log(NOISE)[:, None]
    held_back = -0.5 * (size * coef) ** 2 + math.log(size)
    usual = -0.5 * (np.log(NOISE / _USUAL_NOISE) / _SURE) ** 2
    evidence = likelihood + held_back.sum(axis=-1) - 0.5 * np.linalg.slogdet(curvature)[1] + usual[:, None]
    return coef, np.where((coef >= 0).all(axis=-1), evidence, -np.inf)
