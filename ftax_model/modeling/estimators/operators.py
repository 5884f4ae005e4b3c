"""OperatorModel: what each way of working costs on a platform, learnt from whole models; latency is what it sums to.

::

    T_host   = intercept + sum over groups of operators of (cost of a dispatch * dispatches)
    T_device = sum over quantities of (cost of a unit * units)
    latency  = (T_host^p + T_device^p)^(1/p)

The columns are those of `ftax_model.tracing.features`. Costs are above zero and are learnt in log space, from a prior
(`ftax_model.modeling.estimators.priors`): what other machines pay, or what physics allows; operators timed one by one
sharpen it (`profiled`). One formula serves no rows, ten and ten thousand.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model import values
from ftax_model.errors import InputError
from ftax_model.modeling import limits
from ftax_model.modeling.estimators.law import (
    Array,
    Design,
    Loss,
    check_features,
    check_lengths,
    checked_latencies,
    latency,
)
from ftax_model.modeling.estimators.priors import COSTS, HOSTS, Prior, ignorance
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features
from ftax_model.values import reading

_IS_DEVICE = np.array([name in features.DEVICE for name in features.SUMS])
IS_TRAFFIC = _IS_DEVICE & [not name.endswith("macs") for name in features.SUMS]
"""Which columns make a workload memory-bound where they make most of its device time."""

_IS_CONSTANT = _IS_DEVICE & [
    name.endswith("weight_bytes") or name.startswith(("weights.", "linear.right", "linear.packed"))
    for name in features.SUMS
]
"""Which columns do not grow with the batch."""

_BYTES, _MACS = (
    np.array(
        [
            [name.split(".")[0] == group and name.endswith(ends) for group in features.QUANTITIES]
            for name in features.DEVICE
        ],
        dtype=float,
    )
    for ends in ("bytes", "macs")
)
"""Which columns of the device are bytes, or MACs, of which group."""

SHARES = (*dict.fromkeys(name.split(".")[0] for name in features.SUMS), "intercept")
"""What latency is shared among: groups of operators, traffic beyond caches, weights beyond caches, the intercept."""

_MEMBERS = np.array([[name.split(".")[0] == share for share in SHARES[:-1]] for name in features.SUMS], dtype=float)
"""Which column goes to which share."""

NOISE = 0.16
"""Relative error of a row that is to be expected: of the measurement, and of a sum of operators as such."""

PROFILE_NOISE = 0.3
"""The same of an operator timed under a profiler."""

FARTHEST = 2.5
"""Standard deviations that a log cost may move from its prior, whatever rows say: what physics allows."""

SLIGHT = 0.005
"""The part of bytes and of MACs up to which nobody is told of a group that no row had."""

TRUST = 40.0
"""Rows that operators of one group, timed one by one, count as at most."""

_ON_HOST = frozenset(features.HOST)
_ROUNDING = 0.01  # of a matrix in half precision
_ROUNDS = 40  # of Gauss-Newton steps
_LONGEST_STEP, _MOST_DAMPING = 1.5, 1e7
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
    loss_scale : relative error up to which a row is no outlier.

    Attributes
    ----------
    intercept_ : float, seconds.
    costs_ : Series, seconds per unit of each of `ftax_model.tracing.features.HOST` and ``DEVICE``.
    covariance_ : array, of the logarithms of intercept and costs: what the fit leaves open.
    seen_ : Series of the index of ``costs_``, rows in which a column is above zero, of this fit and of those behind it.
    """

    def __init__(self, *, overlap: float = 1.0, loss_scale: float = 0.1) -> None:
        self.overlap = overlap
        self.loss_scale = loss_scale

    def fit(
        self,
        X: pd.DataFrame,
        y: ArrayLike,
        *,
        prior: Prior | None = None,
        profiles: pd.DataFrame | None = None,
        factor: ArrayLike = 1.0,
        weight: ArrayLike = 1.0,
    ) -> Self:
        """Fit to ``y``, measured latencies in seconds, one a row of X; X holds the columns of operators.

        ``prior`` is what is known beforehand (`ignorance` without); of no rows, the model is what it says. ``profiles``
        are operators timed one by one (`ftax_model.modeling.rows.of_operators`). The ``factor`` of a row multiplies
        what its costs sum to, its ``weight`` counts it. Raises `InputError` where columns are missing or latencies are
        not positive, finite seconds.
        """
        if not (self.overlap >= 1 and self.loss_scale > 0):
            got = f"overlap {self.overlap!r}, loss_scale {self.loss_scale!r}"
            raise InputError("overlap is from 1 to inf; loss_scale is above 0", got, "change it")
        prior = ignorance() if prior is None else prior
        loss = Loss("soft_l1", self.loss_scale)
        if profiles is not None and len(profiles):
            prior = profiled(profiles, prior, loss=loss)
        design = _design(X)
        logs, covariance = prior.mean, prior.covariance
        if len(X):
            measured = checked_latencies(y)
            check_lengths(X, measured)
            target = measured / np.asarray(factor, dtype=float)
            logs, covariance = fit_costs(design, target, prior, overlap=self.overlap, loss=loss, weight=weight)
        self.covariance_ = covariance
        self._set(np.exp(logs), (design.columns[:, 1:] > 0).sum(axis=0))
        return self

    def _set(self, costs: Array, seen: NDArray[np.int64]) -> None:
        self.intercept_ = float(costs[0])
        self.costs_ = pd.Series(costs[1:], index=list(features.SUMS))
        self.seen_ = pd.Series(seen, index=self.costs_.index)

    @property
    def logs_(self) -> Array:
        """Logarithms of intercept and costs, shape (n_costs,)."""
        return np.asarray(np.log(np.append(self.intercept_, self.costs_.to_numpy())))

    def uncertainty(self, X: pd.DataFrame) -> Array:
        """Standard deviation of the logarithm of each prediction that follows from that of the costs, shape (n,)."""
        check_is_fitted(self)
        if not self.covariance_.any():
            return np.zeros(len(X))
        slopes = _slopes(_design(X), self.logs_, self.overlap)[1]
        return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", slopes, self.covariance_, slopes)))

    def predict(self, X: pd.DataFrame) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        terms = self.terms(X)
        return latency(terms.host_s, terms.device_s, self.overlap)

    def terms(self, X: pd.DataFrame) -> Terms:
        """What latency is made of, for each row of X."""
        check_is_fitted(self)
        seconds = _amounts(X) * self.costs_.to_numpy()
        groups = np.column_stack([seconds @ _MEMBERS, np.full(len(X), self.intercept_)])
        return Terms(
            host_s=self.intercept_ + seconds[:, : len(features.HOST)].sum(axis=1),
            device_s=seconds[:, len(features.HOST) :].sum(axis=1),
            memory_s=seconds[:, IS_TRAFFIC].sum(axis=1),
            constant_s=seconds[:, _IS_CONSTANT].sum(axis=1),
            shares=groups / (groups.sum(axis=1, keepdims=True) + _TINY),
        )

    def attribute(self, trace: Trace, *, itemsize: int = 4) -> pd.DataFrame:
        """What each operator of a trace costs, in order: ``layer``, ``kind``, ``group``, ``host_s``, ``device_s``.

        The sums are those of the whole call, but for the intercept and for what all weights together take beyond the
        sizes of caches.
        """
        check_is_fitted(self)
        rows = [self._operator(operator, itemsize) for operator in trace.operators]
        return pd.DataFrame(rows, columns=["layer", "kind", "group", "host_s", "device_s"])

    def unknown(self, X: pd.DataFrame) -> list[list[str]]:
        """For each row the groups of operators in it that no row of the fit had.

        Those with no more than a `SLIGHT` part of bytes and of MACs are left out: it is little, whatever they cost.
        """
        check_is_fitted(self)
        present = (X[list(features.HOST)].to_numpy() > 0) & (_parts(X) > SLIGHT)
        unseen = (self.seen_[list(features.HOST)] == 0).to_numpy()
        groups = [name.split(".")[0] for name in features.HOST]
        return [[groups[at] for at in np.flatnonzero(row)] for row in present & unseen]

    def to_dict(self, *, covariance: bool = True) -> dict[str, Any]:
        """The fitted model as plain JSON values, without the covariance where that is not wanted."""
        check_is_fitted(self)
        return {
            "overlap": str(self.overlap),
            "intercept": self.intercept_,
            "costs": {name: float(f"{value:.6g}") for name, value in self.costs_.items()},
            "covariance": packed(self.covariance_) if covariance else None,
            "seen": {name: int(value) for name, value in self.seen_.items() if value},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The model that `to_dict` wrote; raises `DataError` where it is something else."""
        names = list(features.SUMS)
        with reading("an OperatorModel"):
            model = cls(overlap=overlap_from(record["overlap"]))
            costs, seen = values.mapping(record["costs"], "costs"), values.mapping(record["seen"], "seen")
            if {*costs} != {*names} or not {*seen} <= {*names}:
                raise ValueError("other columns")
            found = [values.number(record["intercept"], "the intercept", limits.DISPATCH_S)]
            found += [
                values.number(
                    costs[name], f"the cost of {name}", limits.DISPATCH_S if name in _ON_HOST else limits.UNIT_S
                )
                for name in names
            ]
            counts = [values.whole(seen.get(name, 0), f"rows with {name}", limits.COUNT) for name in names]
            model._set(np.array(found), np.array(counts))
            size, told = len(COSTS), record["covariance"]
            model.covariance_ = np.zeros((size, size)) if told is None else unpacked(told, size)
        return model

    def _operator(self, operator: Operator, itemsize: int) -> tuple[str, str, str, float, float]:
        group, own, _ = features.linear(operator, itemsize=itemsize)
        seconds = {name: value * float(self.costs_[name]) for name, value in own.items()}
        host_s = seconds.pop(f"{group}.ops")
        return operator.layer, operator.kind, group, host_s, sum(seconds.values())


def profiled(profiles: pd.DataFrame, prior: Prior, *, loss: Loss) -> Prior:
    """The prior after operators were timed one by one; what of costs they do not tell stays open.

    Where the device has a clock of its own, ``host_s`` pays for dispatches and ``device_s`` for the rest, else
    ``host_s`` for both. Operators of equal columns count once, by their median, and those of a group as `TRUST` rows at
    most: a profiler disturbs what it sees, so that whole models are to have the last word.
    """
    kinds = profiles.groupby("kind").median(numeric_only=True)
    own_clock = bool(kinds["device_s"].notna().any())
    for clock in ("host_s", "device_s") if own_clock else ("host_s",):
        timed = kinds[kinds[clock] > 0]
        columns = np.column_stack([np.zeros(len(timed)), timed[list(features.SUMS)].to_numpy(float)])
        if own_clock:
            columns[:, slice(HOSTS, None) if clock == "host_s" else slice(0, HOSTS)] = 0.0
        told = (columns > 0).any(axis=1)
        groups = timed[list(features.HOST)].to_numpy().argmax(axis=1)[told]
        weight = np.minimum(1.0, TRUST / np.bincount(groups)[groups])
        seconds = timed[clock].to_numpy(float)[told]
        found = fit_costs(
            Design(columns[told], HOSTS), seconds, prior, overlap=1.0, loss=loss, noise=PROFILE_NOISE, weight=weight
        )
        prior = Prior(*found)
    return prior


def fit_costs(
    design: Design,
    latency_s: Array,
    prior: Prior,
    *,
    overlap: float,
    loss: Loss,
    noise: float = NOISE,
    weight: ArrayLike = 1.0,
) -> tuple[Array, Array]:
    """Mean and covariance of the log costs after the rows of a design were seen (Gaussian, at the most likely costs).

    The robust loss of log residuals in units of ``noise`` and the prior's squared distance are least. Gauss-Newton
    steps as Levenberg and Marquardt damp them, reweighted for outliers.
    """
    target, weight = np.log(latency_s), np.broadcast_to(np.asarray(weight, dtype=float), latency_s.shape)
    precision = np.linalg.inv(prior.covariance)

    def cost(logs: Array, residuals: Array) -> float:
        away = logs - prior.mean
        rows = weight * loss.derivatives(residuals)[0] * (loss.scale / noise) ** 2
        return float(rows.sum() + away @ precision @ away)

    room = FARTHEST * np.sqrt(np.diag(prior.covariance))
    logs, damping = prior.mean.copy(), 1e-3
    predicted, slopes = _slopes(design, logs, overlap)
    least = cost(logs, predicted - target)
    for _ in range(_ROUNDS):
        residuals = predicted - target
        pull = weight * loss.derivatives(residuals)[1] / noise**2
        information = slopes.T @ (slopes * pull[:, None]) + precision
        gradient = slopes.T @ (pull * residuals) + precision @ (logs - prior.mean)
        while damping < _MOST_DAMPING:
            step = np.linalg.solve(information + damping * np.diag(np.diag(information)), -gradient)
            trial = logs + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            trial = np.clip(trial, prior.mean - room, prior.mean + room)
            predicted, own = _slopes(design, trial, overlap)
            total = cost(trial, predicted - target)
            if total <= least:
                break
            damping *= 10
        else:
            break
        gained, least = least - total, total
        logs, slopes, damping = trial, own, max(damping / 10, 1e-9)
        if gained < 1e-5 * (1 + least):
            break
    predicted, slopes = _slopes(design, logs, overlap)
    pull = weight * loss.derivatives(predicted - target)[1] / noise**2
    return logs, np.linalg.inv(slopes.T @ (slopes * pull[:, None]) + precision)


def _parts(X: pd.DataFrame) -> Array:
    """The part of all bytes, or of all MACs, whichever is more, that each group of operators has in each row."""
    quantities = X[list(features.DEVICE)].to_numpy(float)
    largest = np.zeros((len(X), len(features.QUANTITIES)))
    for members in (_BYTES, _MACS):
        amounts = quantities @ members
        largest = np.maximum(largest, amounts / np.maximum(amounts.sum(axis=1, keepdims=True), 1.0))
    return largest


def _slopes(design: Design, logs: Array, overlap: float) -> tuple[Array, Array]:
    """Log latency of each row and its slopes in the log costs: each cost's share of the latency."""
    costs = np.exp(logs)
    predicted, jacobian = design.log_latency(costs, 1 / overlap)
    return predicted, jacobian[:, :-1] * costs


def packed(matrix: Array) -> str:
    """A symmetric matrix as text, in half precision; `unpacked` is the way back."""
    half = matrix[np.triu_indices(len(matrix))].astype("<f2")
    return base64.b64encode(zlib.compress(half.tobytes(), 9)).decode()


def unpacked(text: Any, size: int) -> Array:
    """The matrix that `packed` wrote, positive again where rounding spoilt that; raises `ValueError` for others."""
    upper = np.triu_indices(size)
    told = values.unpacked(text, "a covariance", "<f2", most=len(upper[0]))
    found = np.zeros((size, size))
    found[upper] = values.shaped(told, "a covariance of all costs", upper[0].shape)
    found = found + np.triu(found, 1).T
    values.within(found, "a covariance", (-limits.VARIANCE, limits.VARIANCE))
    values.within(np.diag(found), "variances", (0.0, limits.VARIANCE))
    sizes, vectors = np.linalg.eigh(found)
    if sizes[0] < -_ROUNDING * sizes[-1]:
        raise ValueError("a covariance with negative variances in some direction")
    return np.asarray((vectors * np.maximum(sizes, 1e-6)) @ vectors.T)


def overlap_from(value: Any) -> float:
    """The exponent p as `OperatorModel.to_dict` writes it, in words; raises `ValueError` for others."""
    return values.number(float(values.text(value, "the overlap", most=32)), "the overlap", limits.OVERLAP)


def _design(X: pd.DataFrame) -> Design:
    missing = [name for name in features.SUMS if name not in X.columns]
    if missing:
        cure = "make them: ftax_model.tracing.features.columns"
        raise InputError("X holds the columns of operators", f"none called {missing[0]}", cure)
    return Design(np.column_stack([np.ones(len(X)), _amounts(X)]), HOSTS)


def _amounts(X: pd.DataFrame) -> Array:
    """The columns of `features.SUMS`, shape (n_rows, n_sums); raises `InputError` where they are no counts."""
    found = X[list(features.SUMS)].to_numpy(float)
    check_features(found, features.SUMS)
    return found
