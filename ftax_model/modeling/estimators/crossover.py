"""CrossoverRegressor: the crossover batch size of a sweep never measured, from the sweep as predicted.

A predicted sweep has a crossover of its own, read off like that of a measured one. It errs, for a crossover hangs on
how two slopes meet; where and how is learnt from sweeps that were left out. Crossovers below or above the batch sizes
of a sweep are censored: of those only a prediction on the wrong side of the bound is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import Errors
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.rows import PLATFORM, folds
from ftax_model.tracing import features
from ftax_model.values import reading

BEYOND = 0.25
"""Octaves beyond its bound at which a censored crossover is taken to lie, at least."""

FEWEST_SIZES = 4
"""Batch sizes from which a sweep tells its crossover."""

ENOUGH = 30
"""Sweeps whose crossover lies inside from which others are learnt."""

FOLDS = 15
"""Turns, at most, in which families or models are left out."""

_LOGARITHMS = ("latency_s", "n_ops", "macs", "activation_bytes", "weight_bytes", "largest")
COLUMNS = ("read_off", "closed_form", *_LOGARITHMS, *features.SHAPES)
"""Columns of a sweep: log2 of its crossover as read off and in closed form; seconds, features and extents of its first
row; its largest batch size."""


class CrossoverRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Log2 of the crossover batch size, learnt by boosted trees from censored values.

    Parameters
    ----------
    trees : how many.
    seed : of the rows and columns that each tree sees.

    Attributes
    ----------
    inside_ : `Trees` of sweeps whose crossover lies inside: where it is, if it is there at all.
    every_ : `Trees` of all sweeps.
    """

    def __init__(self, *, trees: int = 150, seed: int = 0) -> None:
        self.trees = trees
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: ArrayLike, censored: Iterable[str]) -> Self:
        """Fit to ``y``, log2 of measured crossovers, or of the bound beyond which they are ``censored``.

        ``censored`` is ``below``, ``above`` or empty, one a row. A censored row first counts as lying where the trees
        of the others see it, if that is beyond its bound, else just beyond the bound. Raises `InputError` where no row
        is uncensored.
        """
        target, marks = np.asarray(y, dtype=float), np.array(list(censored), dtype=str)
        inside = marks == ""
        if not inside.any():
            cure = "measure larger and smaller batch sizes"
            raise InputError("crossovers are learnt from some that were seen", f"{len(marks)} censored ones", cure)
        rows = design(X)
        self.inside_ = Trees.fit(rows[inside], target[inside], count=self.trees, seed=self.seed)
        target = placed(self.inside_.predict(rows), target, marks)
        self.every_ = Trees.fit(rows, target, count=self.trees, seed=self.seed)
        return self

    def predict(self, X: pd.DataFrame, *, inside: bool = False) -> Array:
        """Log2 of the crossover batch size, shape (n_rows,); with ``inside``, given that it is no censored one."""
        check_is_fitted(self, "every_")
        return (self.inside_ if inside else self.every_).predict(design(X))

    def to_dict(self) -> dict[str, Any]:
        """The fitted model as plain JSON values."""
        check_is_fitted(self, "every_")
        return {"inside": self.inside_.to_dict(), "every": self.every_.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The model that `to_dict` wrote; raises `DataError` where it is something else."""
        with reading("a CrossoverRegressor"):
            inside, every = (Trees.from_dict(record[name], features=len(COLUMNS)) for name in ("inside", "every"))
        model = cls(trees=len(every.roots))
        model.inside_, model.every_ = inside, every
        return model


def placed(guessed: Array, target: Array, censored: NDArray[np.str_]) -> Array:
    """The target, each censored value moved to where it is guessed, if that is beyond its bound, else just beyond it.

    All of shape (n_rows,); ``target`` and ``censored`` as `CrossoverRegressor.fit` takes them.
    """
    target = np.where(censored == "below", np.minimum(guessed, target - BEYOND), target)
    return np.where(censored == "above", np.maximum(guessed, target + BEYOND), target)


def design(X: pd.DataFrame) -> Array:
    """What a regressor sees of sweeps (`COLUMNS`): seconds and sizes by their log2; shape (n_rows, n_columns)."""
    logarithms = np.log2(np.maximum(X[list(_LOGARITHMS)].to_numpy(float), 1e-9))
    rest = X[["read_off", "closed_form", *features.SHAPES]].to_numpy(float)
    return np.column_stack([rest, logarithms])


def sweep_columns(rows: pd.DataFrame, estimate: pd.DataFrame) -> dict[str, float]:
    """One value for each of `COLUMNS`, of the rows of one sweep as estimated (`PlatformFit.estimate`)."""
    sizes = rows["batch_size"].to_numpy(float)
    first = int(sizes.argmin())
    own, row = estimate.iloc[first], rows.iloc[first]
    grows = float(own["device_s"] - own["constant_s"]) / sizes[first]
    closed = float(own["host_s"] + own["constant_s"]) / grows if grows > 0 else 0.0
    read = fit_curve(sizes, estimate["latency_s"].to_numpy(float)).crossover_batch_size
    return {
        "read_off": _held(read, sizes),
        "closed_form": _held(closed, sizes),
        "latency_s": float(own["latency_s"]),
        "largest": float(sizes.max()),
        **{name: float(row[name]) for name in (*_LOGARITHMS[1:-1], *features.SHAPES)},
    }


def compare(left_out: pd.DataFrame, *, jobs: int | None = 1) -> pd.DataFrame:
    """The sweeps among rows that were left out: `COLUMNS`, the platform, and what was measured.

    ``left_out`` holds several repeats, of which the median counts, of each cell with ``latency_s``, ``predicted_s`` and
    the parts of the prediction. ``measured`` is log2 of the crossover, of the bound where it is ``censored``.
    """
    keys = ["curve", *PLATFORM]
    middle = ["latency_s", "predicted_s", *_PARTS, *(name for name in ("by law",) if name in left_out)]
    medians = left_out.groupby([*keys, "batch_size"])[middle].median()
    wanted = [*keys, "batch_size", "model", "architecture", *_LOGARITHMS[1:-1], *features.SHAPES]
    firsts = left_out.drop_duplicates([*keys, "batch_size"])[wanted].copy()
    cells = firsts.join(medians, on=[*keys, "batch_size"])
    sweeps = [part for _, part in cells.groupby(keys) if len(part) >= FEWEST_SIZES]
    found = in_parallel((delayed(_compared)(part) for part in sweeps), jobs=jobs if len(sweeps) > _FEW else 1)
    return pd.DataFrame(found)


_PARTS = ("host_part_s", "device_part_s", "constant_part_s")
_FEW = 50  # sweeps that are sooner fitted than shared out


def _compared(part: pd.DataFrame) -> dict[str, Any]:
    names = {"predicted_s": "latency_s", **{name: name.replace("_part", "") for name in _PARTS}}
    estimate = part[list(names)].rename(columns=names)
    sizes = part["batch_size"].to_numpy(float)
    seen = fit_curve(sizes, part["latency_s"].to_numpy(float))
    bound = {"below": sizes.min(), "above": sizes.max()}.get(seen.censored, seen.crossover_batch_size)
    first = part.iloc[0]
    own = {name: first[name] for name in ("curve", "model", "architecture", *PLATFORM)}
    law = {"law": _held(fit_curve(sizes, part["by law"]).crossover_batch_size, sizes)} if "by law" in part else {}
    return {
        **own,
        **sweep_columns(part, estimate),
        **law,
        "measured": math.log2(bound),
        "censored": seen.censored,
    }


def miss(predicted: ArrayLike, sweeps: pd.DataFrame) -> Array:
    """Log2 of predicted over measured crossover; of a censored one how far the prediction lies inside, 0 beyond."""
    difference = np.asarray(predicted, dtype=float) - sweeps["measured"].to_numpy(float)
    below, above = (sweeps["censored"].to_numpy() == name for name in ("below", "above"))
    ends = [np.maximum(difference, 0.0), np.minimum(difference, 0.0)]
    return np.asarray(np.select([below, above], ends, difference))


def figures(predicted: ArrayLike, sweeps: pd.DataFrame) -> dict[str, float]:
    """``median`` and ``p90`` of absolute log2 of predicted over measured, and ``bias``, its median, of the sweeps whose
    crossover was measured inside; ``right``, the share of the others that are predicted beyond their bound. A figure
    that no sweep speaks of is nan.
    """
    missed, inside = miss(predicted, sweeps), (sweeps["censored"] == "").to_numpy()
    found = dict.fromkeys(("median", "p90", "bias", "right"), math.nan)
    if inside.any():
        absolute = np.abs(missed[inside])
        found |= {"median": float(np.median(absolute)), "p90": float(np.quantile(absolute, 0.9))}
        found |= {"bias": float(np.median(missed[inside]))}
    if not inside.all():
        found |= {"right": float((missed[~inside] == 0).mean())}
    return found


def _held(crossover: float, sizes: NDArray[np.float64]) -> float:
    """Log2, held between half the smallest and twice the largest size."""
    return math.log2(min(max(crossover, sizes.min() / 2), 2 * sizes.max()))


@dataclass(frozen=True)
class Crossovers:
    """A fitted regressor, and the errors (log2 of measured over predicted) on families that it had not seen."""

    regressor: CrossoverRegressor
    errors: Errors

    @classmethod
    def learn(cls, sweeps: pd.DataFrame) -> Crossovers | None:
        """From sweeps that were left out (`compare`); ``None`` where fewer than 30 have their crossover inside."""
        if len(sweeps) == 0 or (sweeps["censored"] == "").sum() < ENOUGH:
            return None
        inside = (sweeps["censored"] == "").to_numpy()
        missed = -miss(cross_predict(sweeps, by="architecture")[0], sweeps)
        regressor = CrossoverRegressor().fit(sweeps, sweeps["measured"], sweeps["censored"])
        return cls(regressor, Errors.of(missed[inside], [""] * int(inside.sum())))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` is the way back."""
        return {"regressor": self.regressor.to_dict(), "errors": self.errors.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Crossovers:
        """What `to_dict` wrote; raises `DataError` for anything else."""
        with reading("crossovers"):
            return cls(CrossoverRegressor.from_dict(record["regressor"]), Errors.from_dict(record["errors"]))


def cross_predict(sweeps: pd.DataFrame, *, by: str) -> tuple[Array, Array]:
    """Log2 of the crossover of each sweep, from a regressor that saw none of its ``by``, and the same given that it
    lies inside its batch sizes; shape (n_sweeps,) each.
    """
    groups = sweeps[by] if sweeps[by].nunique() > 1 else sweeps["curve"]
    found = sweeps["read_off"].to_numpy(float).copy()
    inside = found.copy()
    if groups.nunique() < 2:
        return found, inside
    for train, test in folds(groups, most=FOLDS):
        seen = sweeps.iloc[train]
        if (seen["censored"] == "").sum() >= ENOUGH:
            fitted = CrossoverRegressor().fit(seen, seen["measured"], seen["censored"])
            found[test] = fitted.predict(sweeps.iloc[test])
            inside[test] = fitted.predict(sweeps.iloc[test], inside=True)
    return found, inside
