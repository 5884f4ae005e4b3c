"""OperatorModel: what each way of working costs on a platform, learnt from whole models; latency is what it sums to.

::

    T_host   = intercept + sum over groups of operators of (cost of a dispatch * dispatches)
    T_device = sum over quantities of (cost of a unit * units)
    latency  = (T_host^p + T_device^p)^(1/p)

The columns are those of `ftax_model.tracing.features`. Costs are never negative, and a cost that few rows speak of is
held back: every column begins with rows' worth of evidence that it is zero, or where operators were timed one by one
(`profiled_costs`), that it is what they took. A profiler disturbs what it sees, so whole models have the last word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.law import Array, Design, Loss, checked_latencies, latency
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features

_IS_DEVICE = np.array([name in features.DEVICE for name in features.SUMS])
_IS_TRAFFIC = _IS_DEVICE & [not name.endswith("macs") for name in features.SUMS]
"""Which columns make a workload memory-bound where they make most of its device time."""

_IS_CONSTANT = _IS_DEVICE & [
    name.endswith("weight_bytes") or name.startswith(("weights.", "linear.right", "linear.packed"))
    for name in features.SUMS
]
"""Which columns do not grow with the batch."""

SHARES = (*dict.fromkeys(name.split(".")[0] for name in features.SUMS), "intercept")
"""What latency is shared among: groups of operators, traffic beyond caches, weights beyond caches, the intercept."""

_MEMBERS = np.array([[name.split(".")[0] == share for share in SHARES[:-1]] for name in features.SUMS], dtype=float)
"""Which column goes to which share."""

_ROUNDS = 12  # of reweighted least squares
_MOST_ITERATIONS = 3000  # of one non-negative least squares problem
_TINY = 1e-12  # seconds that stand for none


@dataclass(frozen=True)
class Terms:
    """Seconds of each row, shape (n_rows,) each.

    ``host_s`` and ``device_s``, the terms of the law; ``memory_s``, what of the latter is traffic, and ``constant_s``,
    what does not grow with the batch (weights). ``shares``, shape (n_rows, len(SHARES)), are those of `SHARES` in the
    sum of host and device time.
    """

    host_s: Array
    device_s: Array
    memory_s: Array
    constant_s: Array
    shares: Array


class OperatorModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency as the law of host and device time on the columns of operators.

    Parameters
    ----------
    overlap : the exponent p, from 1 to ``inf``; of a platform, so `RegimeModel` fits it better, from fewer columns.
    strength : rows of evidence for a cost of zero that every column begins with.
    trust : rows of evidence that a cost begins with that was seen on operators timed one by one.
    loss_scale : relative error up to which a row is no outlier.

    Attributes
    ----------
    intercept_ : float, seconds.
    costs_ : Series, seconds per unit of each of `ftax_model.tracing.features.HOST` and ``DEVICE``.
    seen_ : Series of the same index, rows of the fit in which a column is above zero.
    """

    def __init__(
        self, *, overlap: float = 1.0, strength: float = 2.0, trust: float = 40.0, loss_scale: float = 0.1
    ) -> None:
        self.overlap = overlap
        self.strength = strength
        self.trust = trust
        self.loss_scale = loss_scale

    def fit(self, X: pd.DataFrame, y: ArrayLike, profiles: pd.DataFrame | None = None) -> Self:
        """Fit to ``y``, measured latencies in seconds, one a row of X; X holds the columns of operators.

        ``profiles`` are operators timed one by one (`ftax_model.modeling.rows.of_operators`). Raises `InputError` where
        columns are missing or latencies are not positive, finite seconds.
        """
        if not (self.overlap >= 1 and min(self.strength, self.trust, self.loss_scale) > 0):
            asked = {name: getattr(self, name) for name in ("overlap", "strength", "trust", "loss_scale")}
            got = ", ".join(f"{name} {value!r}" for name, value in asked.items())
            raise InputError("overlap is from 1 to inf; strength, trust and loss_scale are above 0", got, "change it")
        measured = checked_latencies(y)
        check_consistent_length(X, measured)
        design = _design(X)
        loss, held = Loss("soft_l1", self.loss_scale), np.full(design.columns.shape[1], self.strength)
        expected = np.zeros_like(held)
        if profiles is not None and len(profiles):
            seen = profiled_costs(profiles, loss=loss).to_numpy()
            expected[1:], held[1:] = np.nan_to_num(seen), np.where(np.isnan(seen), self.strength, self.trust)
        costs = fit_costs(design, measured, overlap=self.overlap, strength=held, loss=loss, expected=expected)
        self.intercept_ = float(costs[0])
        self.costs_ = pd.Series(costs[1:], index=list(features.SUMS))
        self.seen_ = pd.Series((design.columns[:, 1:] > 0).sum(axis=0), index=self.costs_.index)
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        terms = self.terms(X)
        return latency(terms.host_s, terms.device_s, self.overlap)

    def terms(self, X: pd.DataFrame) -> Terms:
        """What latency is made of, for each row of X."""
        check_is_fitted(self)
        seconds = X[list(features.SUMS)].to_numpy(float) * self.costs_.to_numpy()
        groups = np.column_stack([seconds @ _MEMBERS, np.full(len(X), self.intercept_)])
        return Terms(
            host_s=self.intercept_ + seconds[:, : len(features.HOST)].sum(axis=1),
            device_s=seconds[:, len(features.HOST) :].sum(axis=1),
            memory_s=seconds[:, _IS_TRAFFIC].sum(axis=1),
            constant_s=seconds[:, _IS_CONSTANT].sum(axis=1),
            shares=groups / (groups.sum(axis=1, keepdims=True) + _TINY),
        )

    def attribute(self, trace: Trace, *, itemsize: int = 4) -> pd.DataFrame:
        """What each operator of a trace costs, in order: ``layer``, ``kind``, ``group``, ``host_s``, ``device_s``.

        The sums are those of the whole call, but for the intercept and for what all weights together take beyond the
        sizes of caches. ``end_s`` is when the device has done with it (see `walk`).
        """
        check_is_fitted(self)
        rows = [self._operator(operator, itemsize) for operator in trace.operators]
        found = pd.DataFrame(rows, columns=["layer", "kind", "group", "host_s", "device_s"])
        return found.assign(end_s=walk(found["host_s"].to_numpy(), found["device_s"].to_numpy(), overlap=self.overlap))

    def unknown(self, X: pd.DataFrame) -> list[list[str]]:
        """For each row the groups of operators in it that no row of the fit had."""
        check_is_fitted(self)
        present = X[list(features.HOST)].to_numpy() > 0
        unseen = (self.seen_[list(features.HOST)] == 0).to_numpy()
        groups = [name.split(".")[0] for name in features.HOST]
        return [[groups[at] for at in np.flatnonzero(row)] for row in present & unseen]

    def to_dict(self) -> dict[str, Any]:
        """The fitted model as plain JSON values."""
        check_is_fitted(self)
        return {
            "overlap": str(self.overlap),
            "intercept": self.intercept_,
            "costs": {name: float(value) for name, value in self.costs_.items() if value},
            "seen": {name: int(value) for name, value in self.seen_.items() if value},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The model that `to_dict` wrote; raises `DataError` where it is something else."""
        names = list(features.SUMS)
        try:
            model = cls(overlap=float(record["overlap"]))
            model.intercept_ = float(record["intercept"])
            unknown = {*record["costs"], *record["seen"]} - {*names}
            if unknown:
                raise ValueError(f"column {min(unknown)}")
            model.costs_ = pd.Series([float(record["costs"].get(name, 0.0)) for name in names], index=names)
            model.seen_ = pd.Series([int(record["seen"].get(name, 0)) for name in names], index=names)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            law = "a record of an OperatorModel is what to_dict wrote"
            raise DataError(law, f"{type(error).__name__}: {error}", "fit the model again") from error
        return model

    def _operator(self, operator: Operator, itemsize: int) -> tuple[str, str, str, float, float]:
        group, own, _ = features.linear(operator, itemsize=itemsize)
        seconds = {name: value * float(self.costs_[name]) for name, value in own.items()}
        host_s = seconds.pop(f"{group}.ops")
        return operator.layer, operator.kind, group, host_s, sum(seconds.values())


def profiled_costs(profiles: pd.DataFrame, *, loss: Loss, strength: float = 2.0) -> pd.Series[float]:
    """Seconds per unit of each column, as operators timed one by one took them; nan where none was seen.

    Where the device has a clock of its own, ``host_s`` pays for dispatches and ``device_s`` for the rest, else
    ``host_s`` for both. Operators of equal columns count once, by their median.
    """
    kinds = profiles.groupby("kind").median(numeric_only=True)
    clocks = {"host_s": list(features.SUMS)}
    if kinds["device_s"].notna().any():
        clocks = {"host_s": [*features.HOST], "device_s": [*features.DEVICE]}
    found = pd.Series(math.nan, index=list(features.SUMS))
    for clock, names in clocks.items():
        timed = kinds[kinds[clock] > 0]
        columns = timed[names].to_numpy(float)
        costs = fit_costs(
            Design(columns, columns.shape[1]), timed[clock].to_numpy(float), overlap=1.0, strength=strength, loss=loss
        )
        found[names] = np.where((columns > 0).any(axis=0), costs, math.nan)
    return found


def fit_costs(
    design: Design,
    latency_s: Array,
    *,
    overlap: float,
    strength: float | Array,
    loss: Loss,
    expected: Array | None = None,
) -> Array:
    """Non-negative coefficients of the law at a given p, with the least robust loss of log residuals.

    Gauss-Newton steps as in `fit_law`, each a non-negative least squares problem, reweighted
    for outliers. Held back toward what is ``expected``, zero without: each column counts as if ``strength`` more rows
    of its usual share cost that.
    """
    shares = design.columns / latency_s[:, None]
    usual = np.sqrt((shares**2).sum(axis=0) / np.maximum((shares > 0).sum(axis=0), 1))
    scale = np.where(usual > 0, usual, 1.0)
    scaled, target = Design(design.columns / scale, design.hosts), np.log(latency_s)
    held = np.sqrt(np.broadcast_to(strength, scale.shape))
    ridge, kept = np.diag(held), held * scale * (0.0 if expected is None else expected)
    coef = _nnls(np.vstack([shares / scale, ridge]), np.append(np.ones(len(target)), kept))
    best, least = coef, np.inf
    for _ in range(_ROUNDS):
        logs, jacobian = scaled.log_latency(np.maximum(coef, _TINY), 1 / overlap)
        residuals = logs - target
        total = loss.total(residuals)
        if total < least:
            best, least = coef, total
        weight = np.sqrt(loss.derivatives(residuals)[1])
        rows = jacobian[:, :-1] * weight[:, None]
        coef = _nnls(np.vstack([rows, ridge]), np.append((1 - residuals) * weight, kept))
    return best / scale


def walk(host_s: Array, device_s: Array, *, overlap: float = np.inf) -> Array:
    """When the device has done with each operator of a sequence, in seconds from the beginning, shape (n,).

    The host dispatches in order, the device executes in order, and no operator begins before it was dispatched: the
    later of the two decides (a max-plus walk). Where host and device take turns (``overlap`` 1) it is a plain sum.

    >>> walk(np.array([1.0, 1.0, 1.0]), np.array([0.5, 4.0, 0.5])).tolist()
    [1.5, 6.0, 6.5]
    """
    dispatched, executed = np.cumsum(host_s), np.cumsum(device_s)
    if overlap == 1:
        return np.asarray(dispatched + executed)
    waited = np.maximum.accumulate(dispatched - (executed - device_s)) if len(host_s) else executed
    return np.asarray(executed + waited)


def _design(X: pd.DataFrame) -> Design:
    missing = [name for name in features.SUMS if name not in X.columns]
    if missing:
        cure = "make them: ftax_model.tracing.features.columns"
        raise InputError("X holds the columns of operators", f"none called {missing[0]}", cure)
    return Design(np.column_stack([np.ones(len(X)), X[list(features.SUMS)].to_numpy(float)]), 1 + len(features.HOST))


def _nnls(rows: Array, target: Array) -> Array:
    return np.asarray(nnls(rows, target, maxiter=_MOST_ITERATIONS)[0])
