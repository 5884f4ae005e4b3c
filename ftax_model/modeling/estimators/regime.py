"""RegimeModel, the law of host and device time as a scikit-learn estimator, and fit_curve, the same for one sweep.

::

    T_host   = intercept + sum of overhead coefficients * columns
    T_device = sum of compute coefficients * columns + sum of constant coefficients * columns
    latency  = (T_host^p + T_device^p)^(1/p)

Compute columns grow with the batch, constant columns do not (weight bytes, kernel launches). The mathematics is in
`ftax_model.modeling.estimators.law`; the estimator knows columns by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model import plugins, values
from ftax_model.errors import InputError
from ftax_model.modeling import limits
from ftax_model.modeling.estimators.law import (
    LOSSES,
    Array,
    Design,
    Loss,
    check_lengths,
    checked_columns,
    checked_latencies,
    covariance,
    feature_names,
    fit_law,
    latency,
    ratio_interval,
    root_mean_square,
)
from ftax_model.values import Limits, reading

Columns = Sequence[str] | Sequence[int]

CONFIDENCE = 0.9
"""Share of intervals that hold the truth."""

_ENOUGH = 6  # batch sizes from which a curve may take its second law
_CLEARLY = 0.8  # share of the loss of the first law below which it does


class RegimeModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency from the law of host and device time, fitted to relative error with non-negative coefficients.

    Columns are given by name, where X is a DataFrame, or by index. A DataFrame may hold more columns than are named;
    those are not looked at. A column has one role.

    Parameters
    ----------
    overhead : columns of T_host beside its intercept, e.g. ``["n_ops"]``.
    compute : columns of T_device that grow in proportion to the batch, e.g. ``["macs", "activation_bytes"]``; ``None``
        means every column that is not named elsewhere.
    constant : columns of T_device that do not grow with the batch, e.g. ``["weight_bytes"]``.
    memory : which of the compute and constant columns are memory traffic; they tell memory-bound from compute-bound.
    overlap : the exponent p, from 1 to ``inf``; ``None`` fits it.
    loss : ``soft_l1``, which outliers pull little, or ``linear``, plain squares.
    loss_scale : relative error up to which a row is no outlier.
    prior : mean and standard deviation of 1/p before the data are seen, or ``None``. It decides where the data cannot,
        and lowers the held-out error of short batch sweeps.

    Attributes
    ----------
    intercept_ : float, seconds; the part of T_host that no column explains.
    coef_ : array (n_features_in_,), seconds per unit of each column of X; 0 for a column that has no role.
    overlap_ : float, the exponent p; may be ``inf``.
    parameters_ : dict, all of these by name: ``intercept``, each column that has a role, ``overlap``.
    standard_errors_ : dict with the same names; nan for what sits on its bound, was given, or cannot be told.
    covariance_ : array, of the parameters in that order, the last one as 1/p; parameters on their bounds count as free,
        as intervals need it.
    residual_spread_ : float, root mean square of the log residuals (relative error), degrees of freedom accounted for.
    degrees_of_freedom_ : int, those of the covariance: rows less parameters, or groups less one.
    loss_ : float, the summed loss of the log residuals.
    n_features_in_, feature_names_in_ : as in scikit-learn; where columns are named, only those are counted.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    >>> model = RegimeModel(overlap=1).fit(X, 0.010 + 0.002 * X[:, 0])
    >>> round(model.intercept_, 6), model.coef_.round(6).tolist()
    (0.01, [0.002])
    """

    def __init__(
        self,
        overhead: Columns = (),
        compute: Columns | None = None,
        constant: Columns = (),
        memory: Columns = (),
        *,
        overlap: float | None = None,
        loss: str = "soft_l1",
        loss_scale: float = 0.05,
        prior: tuple[float, float] | None = (0.5, 0.3),
    ) -> None:
        self.overhead = overhead
        self.compute = compute
        self.constant = constant
        self.memory = memory
        self.overlap = overlap
        self.loss = loss
        self.loss_scale = loss_scale
        self.prior = prior

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit to ``y``, measured latencies in seconds (latency_s), one a row of X.

        ``groups`` (the model that each row belongs to, one label a row) makes the standard errors cluster-robust: rows
        of one model err together. One group alone counts as none. Raises `InputError` for settings that mean nothing,
        fewer than two rows, values that are not finite, features below zero, latencies that are not positive, and
        columns that X does not have.
        """
        self._check_settings()
        X, y = self._features(X, fitting=True), checked_latencies(y)
        check_lengths(X, y, groups)
        design = self._design(X)
        robust = Loss(self.loss, self.loss_scale)
        solution = fit_law(design, y, overlap=self.overlap, loss=robust, prior=self.prior)
        self.covariance_, self.degrees_of_freedom_ = covariance(design, solution, loss=robust, groups=groups)
        self.intercept_ = float(solution.coef[0])
        self.coef_ = np.zeros(X.shape[1])
        self.coef_[self._roles().order] = solution.coef[1:]
        self.overlap_ = solution.overlap
        self.residual_spread_ = root_mean_square(solution.residuals, int(solution.free.sum()))
        self.loss_ = solution.loss
        known, _ = covariance(design, solution, loss=robust, groups=groups, free=solution.free)
        errors = np.where(solution.free, np.sqrt(np.diag(known)), math.nan)
        errors[-1] *= self.overlap_**2
        self.standard_errors_ = dict(zip(self.parameters_, errors.tolist(), strict=True))
        return self

    @property
    def parameters_(self) -> dict[str, float]:
        """Intercept, coefficients and overlap by name."""
        check_is_fitted(self, "coef_")
        names = feature_names(self)
        coefs = {names[index]: float(self.coef_[index]) for index in self._roles().order}
        return {"intercept": self.intercept_, **coefs, "overlap": self.overlap_}

    def predict(self, X: Any) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        design, coef = self._fitted(X)
        return latency(design.host_s(coef), design.device_s(coef), self.overlap_)

    def host_s(self, X: Any) -> Array:
        """T_host in seconds, shape (n_rows,)."""
        design, coef = self._fitted(X)
        return design.host_s(coef)

    def device_s(self, X: Any) -> Array:
        """T_device in seconds, shape (n_rows,)."""
        design, coef = self._fitted(X)
        return design.device_s(coef)

    def regime(self, X: Any) -> NDArray[np.str_]:
        """The regime of each row, shape (n_rows,).

        ``framework-bound`` where T_host is at least T_device, otherwise ``memory-bound`` where the ``memory`` columns
        make more than half of T_device, otherwise ``compute-bound``.
        """
        design, coef = self._fitted(X)
        device = design.device_s(coef)
        traffic = self._roles().marks(self._roles().memory)
        bound = np.where(2 * (design.columns @ (coef * traffic)) > device, "memory-bound", "compute-bound")
        return np.asarray(np.where(design.host_s(coef) >= device, "framework-bound", bound))

    @overload
    def crossover_batch_size(
        self, X: Any, batch_size: ArrayLike | None = None, *, return_interval: Literal[False] = False
    ) -> Array: ...

    @overload
    def crossover_batch_size(
        self, X: Any, batch_size: ArrayLike | None = None, *, return_interval: Literal[True]
    ) -> tuple[Array, Array, Array]: ...

    def crossover_batch_size(
        self, X: Any, batch_size: ArrayLike | None = None, *, return_interval: bool = False
    ) -> Array | tuple[Array, Array, Array]:
        """Batch size b* at which T_host = T_device, a real number a row, shape (n_rows,).

        The columns of a row are those of its own batch size: ``batch_size`` (a number or one a row), else the column
        ``batch_size`` of X, else 1. Below 1 the workload is compute- or memory-bound from batch 1; 0 where its constant
        device time alone exceeds T_host; ``inf`` where its device time does not grow. With ``return_interval`` also
        the low and the high end of the 90 % interval (Fieller's, with Student's t); a coefficient on its bound counts
        as free, so an end can be 0 or ``inf``, and both are where no degree of freedom is left. Raises `InputError` for
        batch sizes that are not positive.
        """
        sizes = _batch_sizes(X, batch_size)
        design, coef = self._fitted(X)
        grows = self._roles().marks(self._roles().compute)
        sign = np.where(np.arange(len(coef)) < design.hosts, 1.0, -1.0)
        above, below = design.columns * (sign * ~grows), design.columns * grows / sizes[:, None]
        head, slope = above @ coef, below @ coef
        with np.errstate(divide="ignore", invalid="ignore"):
            crossover = np.where(head > 0, np.maximum(head, 0.0) / slope, 0.0)
        if not return_interval:
            return crossover
        if self.degrees_of_freedom_ < 1:
            return crossover, np.zeros(len(head)), np.full(len(head), np.inf)
        known = self.covariance_[:-1, :-1]
        quantile = float(student.ppf((1 + CONFIDENCE) / 2, self.degrees_of_freedom_))
        return crossover, *ratio_interval(
            head,
            slope,
            var_above=np.einsum("ni,ij,nj->n", above, known, above),
            var_below=np.einsum("ni,ij,nj->n", below, known, below),
            both=np.einsum("ni,ij,nj->n", above, known, below),
            quantile=quantile,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fitted model as plain JSON values; infinity is written as the string ``inf``, nan as null."""
        check_is_fitted(self, "coef_")
        fitted = {name: _plain(getattr(self, name, None)) for name in _FITTED}
        return {"estimator": type(self).__name__, "settings": _plain(self.get_params()), "fitted": fitted}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The model that `to_dict` wrote; raises `DataError` where it is something else."""
        with reading("a RegimeModel"):
            if record["estimator"] != cls.__name__:
                raise ValueError(f"estimator {str(record['estimator'])[:40]!r}")
            settings, fitted = values.mapping(record["settings"], "settings"), record["fitted"]
            if {*settings} != {*_SETTINGS}:
                raise ValueError("other settings")
            model = cls(**{name: read(settings[name]) for name, read in _SETTINGS.items()})
            for name, read in _FITTED.items():
                if name != "feature_names_in_" or fitted[name] is not None:
                    setattr(model, name, read(fitted[name]))
            model._check_record()
        return model

    def _check_record(self) -> None:
        """Raise `ValueError` where what was read does not fit together."""
        self._check_settings()
        values.shaped(self.coef_, "coefficients", (self.n_features_in_,))
        values.shaped(np.array(feature_names(self)), "names of columns", (self.n_features_in_,))
        if len({*feature_names(self)}) < self.n_features_in_ or {*self.standard_errors_} != {*self.parameters_}:
            raise ValueError("a column twice, or standard errors of others")
        terms = len(self.parameters_)
        values.shaped(self.covariance_, "the covariance", (terms, terms))
        if not np.isnan(self.covariance_).all():
            values.covariance(self.covariance_, "the law", most=limits.LAW_VARIANCE)

    def __sklearn_tags__(self) -> Any:
        """Features and target are never negative, and effects are not either."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.positive_only = True
        return tags

    def _fitted(self, X: Any) -> tuple[Design, Array]:
        check_is_fitted(self, "coef_")
        design = self._design(self._features(X, fitting=False))
        return design, np.append(self.intercept_, self.coef_[self._roles().order])

    def _design(self, X: Array) -> Design:
        roles = self._roles()
        return Design(np.column_stack([np.ones(len(X)), X[:, roles.order]]), 1 + len(roles.overhead))

    def _features(self, X: Any, *, fitting: bool) -> Array:
        """X as a checked array; of a DataFrame, the columns that have a role."""
        array = checked_columns(self, self._named_columns(X), fitting=fitting)
        if fitting and len(array) < 2:
            raise InputError("a fit needs at least two rows", f"{len(array)} sample", "measure more workloads")
        return array

    def _named_columns(self, X: Any) -> Any:
        if self.compute is None or not hasattr(X, "columns"):
            return X
        wanted = list(dict.fromkeys([*self.overhead, *self.compute, *self.constant]))
        if not all(isinstance(column, str) for column in wanted):
            return X
        for column in wanted:
            plugins.check(str(column), [str(name) for name in X.columns], what="column of X")
        try:
            return X[wanted].astype(float)
        except (TypeError, ValueError) as error:
            raise InputError("features are numbers", f"{error} in {wanted}", "name other columns") from error

    def _roles(self) -> _Roles:
        names = feature_names(self)
        overhead, constant = _indices(self.overhead, names), _indices(self.constant, names)
        others = [index for index in range(len(names)) if index not in {*overhead, *constant}]
        compute = others if self.compute is None else _indices(self.compute, names)
        roles = _Roles(overhead, compute, constant, _indices(self.memory, names))
        twice = [names[index] for index in set(roles.order) if roles.order.count(index) > 1]
        if twice:
            raise InputError("a column has one role", f"{twice[0]!r} in two places", "name it once")
        taken = [names[index] for index in roles.order if names[index] in ("intercept", "overlap")]
        if taken:
            raise InputError("intercept and overlap are the law's own", f"a column {taken[0]!r}", "rename it")
        return roles

    def _check_settings(self) -> None:
        plugins.check(self.loss, LOSSES, what="loss")
        if self.overlap is not None and not self.overlap >= 1:
            raise InputError("overlap is a number from 1 to inf", repr(self.overlap), "choose one, or None to fit it")
        if not self.loss_scale > 0:
            raise InputError("loss_scale is a positive relative error", repr(self.loss_scale), "choose e.g. 0.05")
        if self.prior is not None and not (len(self.prior) == 2 and self.prior[1] > 0):
            law = "prior is the mean and the positive standard deviation of 1/p"
            raise InputError(law, repr(self.prior), "give such a pair, or None")
        for role in ("overhead", "compute", "constant", "memory"):
            if isinstance(getattr(self, role), str):
                raise InputError(f"{role} is a list of columns", repr(getattr(self, role)), "put it in brackets")
        device = None if self.compute is None else {*self.compute, *self.constant}
        wrong = [name for name in self.memory if (name in self.overhead if device is None else name not in device)]
        if wrong:
            law = "memory names columns that are also compute or constant"
            raise InputError(law, repr(wrong[0]), "name it in compute or constant too")


@dataclass(frozen=True)
class Curve:
    """The law of one batch sweep: T_host = ``floor_s``, T_device = ``constant_s`` + ``slope_s`` * batch size.

    ``crossover_low`` and ``crossover_high`` are the ends of the 90 % interval of ``crossover_batch_size``.
    ``censored`` is ``below`` where that crossover is smaller than every batch size measured, ``above`` where it is
    larger, and empty between.
    """

    floor_s: float
    slope_s: float
    constant_s: float
    overlap: float
    crossover_batch_size: float
    crossover_low: float
    crossover_high: float
    censored: str

    def latency_s(self, batch_size: ArrayLike) -> Array:
        """Seconds of a call at these batch sizes.

        Examples
        --------
        >>> Curve(0.01, 0.001, 0.0, math.inf, 10.0, 9.0, 11.0, "").latency_s([1, 20]).tolist()
        [0.01, 0.02]
        """
        return latency(self.floor_s, self.constant_s + self.slope_s * np.asarray(batch_size, dtype=float), self.overlap)


def fit_curve(batch_size: ArrayLike, latency_s: ArrayLike) -> Curve:
    """Floor, slope, overlap and crossover of one batch sweep, from three parameters.

    A knee is rounder than two straight lines either because host and device overlap only in part, or because the device
    has work that does not grow with the batch. Ten points tell one number about it, not two: the first law has p
    fitted and no constant, the second has p = inf and a constant. From six batch sizes on the second is taken where its
    loss is lower by a fifth or more; where the first is not ruled out by that, the interval spans those of both. With
    three batch sizes p is 2, with two there is no interval. Raises `InputError` where there are fewer than two batch
    sizes or something is not a positive number.
    """
    sizes, y = _batch_sizes(np.asarray(batch_size), batch_size), checked_latencies(latency_s)
    check_lengths(sizes, y)
    distinct = len(np.unique(sizes))
    if distinct < 2:
        raise InputError("a curve needs at least two batch sizes", str(distinct), "measure more batch sizes")
    X = np.column_stack([sizes, np.ones_like(sizes)])
    first = RegimeModel(compute=[0], overlap=None if distinct > 3 else 2.0).fit(X, y)
    laws = [first]
    if distinct >= _ENOUGH:
        second = RegimeModel(compute=[0], constant=[1], overlap=math.inf).fit(X, y)
        if second.loss_ < _CLEARLY * first.loss_:
            laws = [second] if _ruled_out(first, by=second, freedom=len(y) - 3) else [second, first]
    crossovers, lows, highs = zip(*(_crossover(law) for law in laws), strict=True)
    return Curve(
        floor_s=laws[0].intercept_,
        slope_s=float(laws[0].coef_[0]),
        constant_s=float(laws[0].coef_[1]),
        overlap=laws[0].overlap_,
        crossover_batch_size=crossovers[0],
        crossover_low=min(lows),
        crossover_high=max(highs),
        censored="below" if crossovers[0] < sizes.min() else "above" if crossovers[0] > sizes.max() else "",
    )


def _ruled_out(law: RegimeModel, *, by: RegimeModel, freedom: int) -> bool:
    """Whether a law fits too badly beside another one for its crossover to be in the interval."""
    return bool(law.loss_ > by.loss_ * (1 + student.ppf((1 + CONFIDENCE) / 2, freedom) ** 2 / freedom))


def _crossover(law: RegimeModel) -> tuple[float, float, float]:
    crossover, low, high = law.crossover_batch_size([[1.0, 1.0]], return_interval=True)
    return float(crossover[0]), float(low[0]), float(high[0])


@dataclass(frozen=True)
class _Roles:
    """Indices of the columns of X, by what they do."""

    overhead: list[int]
    compute: list[int]
    constant: list[int]
    memory: list[int]

    @property
    def order(self) -> list[int]:
        """Columns of the design after its intercept."""
        return [*self.overhead, *self.compute, *self.constant]

    def marks(self, columns: list[int]) -> NDArray[np.bool_]:
        """Which terms of the design these columns are."""
        return np.array([False, *(index in columns for index in self.order)])


def _indices(columns: Columns, names: list[str]) -> list[int]:
    found = []
    for column in columns:
        if isinstance(column, str):
            plugins.check(column, names, what="column of X")
            found.append(names.index(column))
        elif 0 <= column < len(names):
            found.append(int(column))
        else:
            raise InputError(f"X has columns 0 to {len(names) - 1}", f"column {column}", "name columns that it has")
    return found


def _batch_sizes(X: Any, batch_size: ArrayLike | None) -> Array:
    if batch_size is None:
        batch_size = X["batch_size"] if "batch_size" in getattr(X, "columns", ()) else 1.0
    sizes = np.broadcast_to(np.asarray(batch_size, dtype=float), (len(X),))
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError("batch sizes are positive numbers", str(sizes.min()), "give the batch size of each row")
    return sizes


def _plain(value: Any) -> Any:
    """As JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _float(value: Any, what: str, least_most: Limits) -> float:
    """A number as `_plain` writes it."""
    if value is None:
        return math.nan
    return math.inf if value == "inf" and least_most[1] == math.inf else values.number(value, what, least_most)


def _columns(what: str) -> Callable[[Any], Any]:
    def read(value: Any) -> list[Any]:
        own = values.listed(value, what, most=_MOST)
        if {*map(type, own)} == {int}:
            return [values.whole(one, what, (0, _MOST)) for one in own]
        return [values.text(one, what) for one in own]

    return read


def _prior(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    mean, deviation = values.numbers(value, "the prior", (0.0, 100.0), most=2).tolist()
    return mean, deviation


def _square(value: Any) -> Array:
    what = "the covariance of the law"
    ends = -limits.LAW_VARIANCE, limits.LAW_VARIANCE
    rows = [[_float(one, what, ends) for one in values.listed(row, what)] for row in values.listed(value, what)]
    return np.array(rows, dtype=float)


_MOST = 200  # columns
_ANY: Limits = (0.0, math.inf)

_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "overhead": _columns("overhead"),
    "compute": lambda value: None if value is None else _columns("compute")(value),
    "constant": _columns("constant"),
    "memory": _columns("memory"),
    "overlap": lambda value: None if value is None else _float(value, "the overlap", limits.OVERLAP),
    "loss": lambda value: values.text(value, "the loss"),
    "loss_scale": lambda value: values.number(value, "the scale of the loss", (1e-9, 1e9)),
    "prior": _prior,
}
"""Settings of a `RegimeModel`, and how each is read from JSON values."""

_FITTED: Mapping[str, Callable[[Any], Any]] = {
    "n_features_in_": lambda value: values.whole(value, "the number of columns", (0, _MOST)),
    "feature_names_in_": lambda names: np.array(
        [values.text(name, "a column") for name in values.listed(names, "columns", most=_MOST)], dtype=object
    ),
    "intercept_": lambda value: values.number(value, "the intercept", limits.LAW_S),
    "coef_": lambda given: values.numbers(given, "coefficients", limits.LAW_S, most=_MOST),
    "overlap_": lambda value: _float(value, "the overlap", limits.OVERLAP),
    "standard_errors_": lambda errors: {
        name: _float(value, f"the standard error of {name}", _ANY)
        for name, value in values.mapping(errors, "standard errors").items()
    },
    "covariance_": _square,
    "residual_spread_": lambda value: _float(value, "the spread of residuals", _ANY),
    "degrees_of_freedom_": lambda value: values.whole(value, "degrees of freedom", (-_MOST, limits.COUNT[1])),
    "loss_": lambda value: _float(value, "the loss", _ANY),
}
"""Fitted attributes of a `RegimeModel`, and how each is read from JSON values."""
