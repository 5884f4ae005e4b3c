"""The law of host and device time: evaluate it, fit it to latencies, and say how well its parameters are known.

::

    latency = (T_host^p + T_device^p)^(1/p)

Both times are sums of columns times non-negative coefficients. The overlap p is 1 where host and device take turns and
infinite where the shorter time hides behind the longer one; the fit works with 1/p, which runs from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares, nnls
from scipy.special import entr
from sklearn.utils.validation import column_or_1d, validate_data

from ftax_model.errors import InputError

Array = NDArray[np.float64]

OVERLAPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.5, 8.0, 11.0, 16.0, math.inf)
"""Overlaps from which the fit starts."""

LOSSES: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda z: np.stack([z, np.ones_like(z), np.zeros_like(z)]),
    "soft_l1": lambda z: np.stack([2 * (np.sqrt(1 + z) - 1), (1 + z) ** -0.5, -0.5 * (1 + z) ** -1.5]),
}
"""Loss of a squared residual with its first two derivatives, as `scipy.optimize.least_squares` takes it."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Features lie between, or are zero: their squares and quotients are numbers."""

SHORTEST_S, LONGEST_S = 1e-12, 1e12
"""Seconds that latencies lie between."""

_STEPS = 8  # Gauss-Newton steps at each overlap of the grid
_DESCENT = 100  # evaluations of the law in one descent
_TINY = 1e-300  # stands for a latency of zero
_LEAST_SHARE = 0.1  # of a latency, at which the uncertainty of a side that was left out is judged
_IGNORANCE = 1e-9  # information that stands for none at all
_INSIDE = 1e-6  # keeps the steps off the bounds, where the law is flat
_NEAR = 0.02  # how near a bound a parameter is tried on it


def latency(host_s: ArrayLike, device_s: ArrayLike, overlap: float) -> Array:
    """Seconds of a call whose host needs ``host_s`` and whose device needs ``device_s`` seconds; never overflows.

    >>> [float(latency(3.0, 4.0, overlap)) for overlap in (1.0, 2.0, math.inf)]
    [7.0, 5.0, 4.0]
    """
    longer, shorter = np.maximum(host_s, device_s), np.minimum(host_s, device_s)
    ratio = np.divide(shorter, longer, out=np.zeros_like(longer, dtype=float), where=longer > 0)
    return np.asarray(longer * (1 + ratio**overlap) ** (1 / overlap))


def shares(host_s: float, device_s: float, overlap: float) -> tuple[float, float]:
    """What a second more of each term adds to the latency; times the terms these sum to it (Euler's theorem).

    >>> shares(3.0, 4.0, 2.0), shares(3.0, 4.0, math.inf)
    ((0.6, 0.8), (0.0, 1.0))
    """
    if math.isinf(overlap):
        return (1.0, 0.0) if host_s > device_s else (0.0, 1.0)
    total = float(latency(host_s, device_s, overlap))
    return (host_s / total) ** (overlap - 1), (device_s / total) ** (overlap - 1)


@dataclass(frozen=True)
class Loss:
    """A loss of log residuals; those beyond ``scale`` are outliers to a robust one."""

    name: str = "soft_l1"
    scale: float = 0.05

    def derivatives(self, residuals: Array) -> Array:
        """Loss and its first two derivatives in the square of the scaled residual, shape (3, n)."""
        return LOSSES[self.name]((residuals / self.scale) ** 2)

    def total(self, residuals: Array) -> float:
        """Half the summed loss, in units of the squared residual."""
        return float(0.5 * self.scale**2 * self.derivatives(residuals)[0].sum())


SOFT_L1 = Loss()


@dataclass(frozen=True)
class Design:
    """Rows of the law: the first ``hosts`` of the ``columns`` (shape rows x terms) make T_host, the others T_device."""

    columns: Array
    hosts: int

    def host_s(self, coef: Array) -> Array:
        """T_host of each row."""
        return np.asarray(self.columns[:, : self.hosts] @ coef[: self.hosts])

    def device_s(self, coef: Array) -> Array:
        """T_device of each row."""
        return np.asarray(self.columns[:, self.hosts :] @ coef[self.hosts :])

    def log_latency(self, coef: Array, inverse_overlap: float) -> tuple[Array, Array]:
        """Log of the latency of each row, and its Jacobian in the coefficients and, last, in 1/p.

        With w = (T_host / latency)^p the derivative in 1/p is the entropy of (w, 1 - w).
        """
        overlap = _inverse(inverse_overlap)
        host, device = self.host_s(coef), self.device_s(coef)
        total = np.maximum(latency(host, device, overlap), _TINY)
        host_share, device_share = np.minimum(host / total, 1.0), np.minimum(device / total, 1.0)
        slopes = self.columns / total[:, None]
        slopes[:, : self.hosts] *= (host_share ** (overlap - 1))[:, None]
        slopes[:, self.hosts :] *= (device_share ** (overlap - 1))[:, None]
        weight = host_share**overlap
        return np.log(total), np.column_stack([slopes, entr(weight) + entr(1 - weight)])


@dataclass(frozen=True)
class Solution:
    """What `fit_law` found.

    ``coef`` holds seconds per unit of each column, ``inverse_overlap`` is 1/p, ``residuals`` are log predicted minus
    log measured, ``loss`` is their summed loss, ``free`` says which of the coefficients and, last, 1/p were fitted and
    lie inside their bounds, and ``prior_weight`` is the weight of the prior on 1/p.
    """

    coef: Array
    inverse_overlap: float
    residuals: Array
    loss: float
    free: NDArray[np.bool_]
    prior_weight: float

    @property
    def overlap(self) -> float:
        """The exponent p."""
        return _inverse(self.inverse_overlap)

    @property
    def degrees_of_freedom(self) -> int:
        """Rows less free parameters."""
        return len(self.residuals) - int(self.free.sum())


def fit_law(
    design: Design,
    latency_s: Array,
    *,
    overlap: float | None = None,
    loss: Loss = SOFT_L1,
    prior: tuple[float, float] | None = None,
) -> Solution:
    """The non-negative coefficients, and p where ``overlap`` is None, with the least robust loss of log residuals.

    The law is homogeneous in its coefficients, so each Gauss-Newton step at a given p is a non-negative least squares
    problem. A few such steps at each of `OVERLAPS` give the starts, the best ones are polished with p free.
    ``prior`` is mean and standard deviation of 1/p. It weighs against the spread of the residuals, so it fades with
    many rows and vanishes without noise; misfit beyond the scale of the loss does not count as noise. Raises
    `InputError` where there is no row.
    """
    if not len(latency_s):
        raise InputError("a fit needs measured rows", "none", "measure more workloads")
    unit = math.exp(float(np.log(latency_s).mean()))
    scale = _scale(design.columns, latency_s) * unit
    problem = _Problem(
        design=Design(design.columns / scale, design.hosts),
        target=np.log(latency_s / unit),
        overlap=overlap,
        loss=loss,
    )
    starts = problem.starts()
    found = problem.polish(starts)
    if prior is not None and overlap is None:
        spread = min(root_mean_square(problem.residuals(found), len(found)), loss.scale)
        problem.prior_mean, problem.prior_weight = prior[0], spread / prior[1]
        found = problem.polish([found, *starts])
    found = problem.snap(found)
    residuals = problem.residuals(found)
    fitted = overlap is None and 0 < found[-1] < 1
    return Solution(
        coef=found[:-1] * unit / scale,
        inverse_overlap=float(found[-1]),
        residuals=residuals,
        loss=loss.total(residuals),
        free=np.append(found[:-1] > 0, fitted),
        prior_weight=problem.prior_weight,
    )


def covariance(
    design: Design,
    solution: Solution,
    *,
    loss: Loss = SOFT_L1,
    groups: ArrayLike | None = None,
    free: NDArray[np.bool_] | None = None,
) -> tuple[Array, int]:
    """Covariance of the coefficients and, last, 1/p, and its degrees of freedom.

    From the Jacobian at the solution; with two ``groups`` or more (one label a row) by the jackknife that leaves out
    one group in turn, each time in one Gauss-Newton step, so that rows of a group may err together. What the data leave
    open is bounded by what is known beforehand: no term is larger than about a whole latency, and the prior on 1/p.
    Parameters that are not ``free`` (default: all are) count as known. A side, host or device, that the solution leaves
    out is judged where it makes a tenth of a latency: at zero itself the law is flat in it, and a tangent would know
    nothing. All is nan where no degree of freedom is left.
    """
    logs, _ = design.log_latency(solution.coef, solution.inverse_overlap)
    scale = _scale(design.columns, np.exp(logs))
    scaled = Design(design.columns / scale, design.hosts)
    lifted = _lift(Design(scaled.columns / np.exp(logs)[:, None], design.hosts), solution.coef * scale)
    jacobian = scaled.log_latency(lifted, solution.inverse_overlap)[1]
    jacobian = jacobian * (np.ones(len(scale) + 1) if free is None else free)
    _, slope, bend = loss.derivatives(solution.residuals)
    pull = slope * solution.residuals
    stiffness = slope + 2 * bend * (solution.residuals / loss.scale) ** 2
    spread = pull @ pull / max(solution.degrees_of_freedom, 1)
    known = np.full(len(scale) + 1, spread + _IGNORANCE)
    known[-1] += solution.prior_weight**2
    labels = np.zeros(len(pull), int) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if labels.max() == 0:
        freedom = solution.degrees_of_freedom
        variance = spread / stiffness.mean() ** 2 if freedom > 0 else math.nan
        result = variance * np.linalg.inv(jacobian.T @ jacobian + np.diag(known))
    else:
        freedom = int(labels.max())
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(freedom + 1))
        rows = jacobian[order]
        weighted = rows * stiffness[order, None]
        own = np.stack([np.add.reduceat(weighted * column[:, None], starts) for column in rows.T], axis=2)
        pulls = np.add.reduceat(rows * pull[order, None], starts)
        steps = np.linalg.solve(own.sum(axis=0) + np.diag(known) - own, pulls[:, :, None])[:, :, 0]
        result = steps.T @ steps * freedom / (freedom + 1)
    unscale = np.append(1 / scale, 1.0)
    return np.asarray(result * np.outer(unscale, unscale)), freedom


def ratio_interval(
    above: Array, below: Array, *, var_above: Array, var_below: Array, both: Array, quantile: float
) -> tuple[Array, Array]:
    """Ends, within 0 and inf, of the interval of the ratio above/below, given variances and covariance (Fieller).

    It holds all ratios r for which above - r * below is within ``quantile`` standard errors of zero. Unlike the delta
    method on the logarithm it is right where either may be zero: the high end is infinite where ``below`` may be.
    """
    square = below**2 - quantile**2 * var_below
    middle = above * below - quantile**2 * both
    rest = above**2 - quantile**2 * var_above
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(middle**2 - square * rest, 0.0))
        low, high = np.sort([(middle - root) / square, (middle + root) / square], axis=0)
        beyond = (root > 0) & (above >= high * below)
    bounded = square > 0
    low = np.where(bounded, low, np.where(beyond, high, 0.0))
    high = np.where(bounded, high, np.inf)
    return np.maximum(low, 0.0), np.maximum(high, 0.0)


def root_mean_square(residuals: Array, parameters: int) -> float:
    """Spread of residuals after that many parameters were fitted; infinite where none is left over."""
    left = len(residuals) - parameters
    return math.sqrt(float(residuals @ residuals) / left) if left > 0 else math.inf


def check_lengths(*columns: Any) -> None:
    """Raise `InputError` unless all columns have as many rows; ``None`` is left out."""
    lengths = [np.shape(column)[0] for column in columns if column is not None]
    if len(set(lengths)) > 1:
        got = " and ".join(map(str, lengths))
        raise InputError("columns of one table have as many rows, each", got, "give a value for each row")


def check_features(values: Array, names: Sequence[Any], *, what: str = "features") -> None:
    """Raise `InputError` unless all values (n_rows, len(names)) are zero or between `SMALLEST` and `LARGEST`."""
    for wrong, law, got in (
        (~np.isfinite(values), f"{what} are finite numbers", "NaN or infinity"),
        (values < 0, f"{what} are zero or more", "Negative values in data,"),
        (
            (values > LARGEST) | ((values > 0) & (values < SMALLEST)),
            f"{what} are zero or from {SMALLEST:g} to {LARGEST:g}",
            "another unit",
        ),
    ):
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            got = f"{got} ({values[row, column]} in column {names[column]!r}, row {row})"
            raise InputError(law, got, "drop that row or mend it")


def checked_columns(estimator: Any, X: Any, *, fitting: bool) -> Array:
    """Columns of X as an array, noted by the ``estimator`` as scikit-learn does where it is ``fitting``.

    Raises `InputError` where there is no row, or a value is none that `check_features` lets pass.
    """
    if len(getattr(X, "shape", (1,))) == 2 and not X.shape[0]:
        raise InputError("there is a row, or more", f"none (shape={X.shape})", "measure some, or ask for some")
    array: Array = validate_data(estimator, X, reset=fitting, dtype=np.float64, ensure_all_finite=False)
    check_features(array, feature_names(estimator))
    return array


def feature_names(estimator: Any) -> list[str]:
    """Names of the columns that an estimator was fitted on; by their number where they had none."""
    if hasattr(estimator, "feature_names_in_"):
        return [str(name) for name in estimator.feature_names_in_]
    return [f"x{index}" for index in range(estimator.n_features_in_)]


def checked_latencies(y: Any) -> Array:
    """Measured latencies as an array; raises `InputError` where they are not from `SHORTEST_S` to `LONGEST_S`."""
    if y is None:
        law = "a fit requires y to be passed, but the target y is None"
        raise InputError(law, "None", "give the measured latencies in seconds")
    array: Array = column_or_1d(y, dtype=np.float64, warn=True)
    for law, right in (
        ("latencies are positive, finite seconds", np.isfinite(array) & (array > 0)),
        (f"latencies are {SHORTEST_S:g} to {LONGEST_S:g} seconds", (array >= SHORTEST_S) & (array <= LONGEST_S)),
    ):
        if not right.all():
            row = int(np.flatnonzero(~right)[0])
            raise InputError(law, f"{array[row]} in row {row}", "keep the rows that were measured")
    return array


@dataclass
class _Problem:
    """The law in scaled units; its parameters are the coefficients and, last, 1/p."""

    design: Design
    target: Array
    overlap: float | None
    loss: Loss
    prior_mean: float = 0.0
    prior_weight: float = 0.0

    def residuals(self, parameters: Array) -> Array:
        return np.asarray(self.design.log_latency(parameters[:-1], parameters[-1])[0] - self.target)

    def cost(self, parameters: Array) -> float:
        return self.loss.total(self._with_prior(parameters)[0])

    def starts(self) -> list[Array]:
        """One set of parameters for each overlap of the grid (up to the given one), each from the one before."""
        overlaps: tuple[float, ...] = OVERLAPS
        if self.overlap is not None:
            overlaps = (*(p for p in OVERLAPS if p < self.overlap), self.overlap)
        coef = nnls(self.design.columns / np.exp(self.target)[:, None], np.ones_like(self.target))[0]
        found = []
        for overlap in overlaps:
            coef = self._steps(coef, 1 / overlap)
            found.append(np.append(coef, 1 / (self.overlap or overlap)))
        return found

    def polish(self, starts: Sequence[Array]) -> Array:
        """The better of the local optima below the best two starts."""
        best = sorted(starts, key=self.cost)[:2]
        return min((self._descend(start) for start in best), key=self.cost)

    def snap(self, parameters: Array) -> Array:
        """Put each parameter that lies next to a bound onto it, where the fit is no worse for it."""
        last = len(parameters) - 1
        bounds = [(int(index), 0.0) for index in np.flatnonzero(parameters < _NEAR)]
        bounds += [(last, 1.0)] if parameters[last] > 1 - _NEAR else []
        ceiling = self.cost(parameters) * (1 + 1e-6) + 1e-24
        for index, bound in bounds:
            trial = parameters.copy()
            trial[index] = bound
            if (index < last or self.overlap is None) and self.cost(trial) <= ceiling:
                parameters = trial
        return parameters

    def _steps(self, coef: Array, inverse_overlap: float) -> Array:
        best, least = coef, math.inf
        for _ in range(_STEPS):
            coef = np.maximum(coef, _INSIDE)
            logs, jacobian = self.design.log_latency(coef, inverse_overlap)
            loss = self.loss.total(logs - self.target)
            if loss < least:
                best, least = coef, loss
            coef = nnls(jacobian[:, :-1], 1 + self.target - logs)[0]
        return best

    def _descend(self, start: Array) -> Array:
        count = len(start) - (self.overlap is not None)
        upper = np.append(np.full(len(start) - 1, np.inf), 1.0)[:count]
        result = least_squares(
            lambda parameters: self._with_prior(np.append(parameters, start[count:]))[0],
            np.clip(start[:count], 1e-4, upper - 1e-3),
            jac=lambda parameters: self._with_prior(np.append(parameters, start[count:]))[1][:, :count],
            bounds=(0.0, upper),
            loss=LOSSES[self.loss.name],
            f_scale=self.loss.scale,
            max_nfev=_DESCENT,
        )
        return min((np.append(result.x, start[count:]), start), key=self.cost)

    def _with_prior(self, parameters: Array) -> tuple[Array, Array]:
        logs, jacobian = self.design.log_latency(parameters[:-1], parameters[-1])
        row = np.zeros((1, len(parameters)))
        row[0, -1] = self.prior_weight
        pull = self.prior_weight * (parameters[-1] - self.prior_mean)
        return np.append(logs - self.target, pull), np.vstack([jacobian, row])


def _scale(columns: Array, latency_s: Array) -> Array:
    """Root mean square of each column over latency, 1 for a column of zeros."""
    scale = np.sqrt(np.mean((columns / latency_s[:, None]) ** 2, axis=0))
    return np.where(scale > 0, scale, 1.0)


def _lift(shares: Design, coef: Array) -> Array:
    """The coefficients, raised where a whole side makes less than a tenth of every latency.

    ``shares`` is the design over the latency of its rows.
    """
    coef = coef.copy()
    for side in (slice(0, shares.hosts), slice(shares.hosts, None)):
        share, room = shares.columns[:, side] @ coef[side], shares.columns[:, side].sum(axis=1)
        if share.size and share.max() < _LEAST_SHARE and room.max() > 0:
            coef[side] += (_LEAST_SHARE - share.max()) / room.max()
    return coef


def _inverse(value: float) -> float:
    return 1 / value if value > 0 else math.inf
