"""CorrectedModel: an OperatorModel, and boosted trees for what whole models do differently from the sum of their parts.

The trees see what a workload is made of (which groups of operators its time goes to, how large it is, the extents of
its products) and answer with the logarithm of measured over summed latency. They can only shift what the operators say.
What a workload is made of is told by the costs of a reference, that of the framework over all machines, so that trees
grown on some machines see the same of a workload on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model.modeling.estimators.law import Array, check_features, checked_latencies, latency
from ftax_model.modeling.estimators.operators import SHARES, OperatorModel
from ftax_model.modeling.estimators.priors import CLASSES, Prior, class_of
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.limits import MOST_ENSEMBLES
from ftax_model.operators import Trace
from ftax_model.tracing import features
from ftax_model.values import listed, reading

LARGEST = 1.0
"""Log ratios beyond it are taken for it: a measurement that far off says something of the machine."""

_LOGARITHMS = ("n_ops", "macs", "activation_bytes", "weight_bytes", "batch_size")

COMPOSITION = len(SHARES) + 3 + len(_LOGARITHMS) + len(features.SHAPES)
"""Columns that say what a row is made of (`composition`)."""


class CorrectedModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency from operators, with a learnt correction.

    Parameters
    ----------
    overlap : the exponent p of the platform, from 1 to ``inf``.
    trees : how many of its own; 0 for the operators, and what the reference's trees say, alone.
    reference : the `OperatorModel` that says what a row is made of; its own structure without.
    shared : `Trees` grown on other machines, in turn.
    seed : of the rows and columns that each tree sees.

    Attributes
    ----------
    structure_ : the fitted `OperatorModel`.
    trees_ : `Trees` whose sum is the correction: those shared, then its own.
    """

    def __init__(
        self,
        *,
        overlap: float = 1.0,
        trees: int = 150,
        reference: OperatorModel | None = None,
        shared: Sequence[Trees] = (),
        seed: int = 0,
    ) -> None:
        self.overlap = overlap
        self.trees = trees
        self.reference = reference
        self.shared = shared
        self.seed = seed

    def fit(
        self,
        X: pd.DataFrame,
        y: ArrayLike,
        *,
        prior: Prior | None = None,
        profiles: pd.DataFrame | None = None,
        weight: ArrayLike = 1.0,
    ) -> Self:
        """Fit to ``y``, measured latencies in seconds; X holds the columns of operators, features and ``batch_size``.

        ``prior``, ``profiles`` and ``weight`` are those of `OperatorModel.fit`, which raises what this raises.
        """
        own = self.shared and self.reference is not None and len(X)
        factor = np.exp(total(self.shared, composition(self.reference, X))) if own else 1.0
        structure = OperatorModel(overlap=self.overlap)
        self.structure_ = structure.fit(X, y, prior=prior, profiles=profiles, factor=factor, weight=weight)
        self.trees_: tuple[Trees, ...] = tuple(self.shared)
        if self.trees and len(X):
            ratio = np.log(checked_latencies(y) / (factor * self.structure_.predict(X)))
            seen = composition(self.reference or self.structure_, X)
            grown = Trees.fit(seen, np.clip(ratio, -LARGEST, LARGEST), count=self.trees, seed=self.seed)
            self.trees_ = (*self.trees_, grown)
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Latency in seconds, shape (n_rows,)."""
        found = self.times(X)
        return latency(found["host_s"], found["device_s"], self.structure_.overlap)

    def times(self, X: pd.DataFrame) -> pd.DataFrame:
        """Seconds of each row: ``host_s``; ``device_s``, ``memory_s``, what of it is traffic, and ``constant_s``, what
        of it does not grow with the batch.
        """
        check_is_fitted(self, "trees_")
        terms, factor = self.structure_.terms(X), self._factor(X)
        names = ("host_s", "device_s", "memory_s", "constant_s")
        return pd.DataFrame({name: factor * getattr(terms, name) for name in names}, index=X.index)

    def attribute(self, trace: Trace, X: pd.DataFrame, *, itemsize: int = 4) -> pd.DataFrame:
        """What each operator of a trace, whose row is X, costs: as of `OperatorModel.attribute`, and corrected."""
        found = self.structure_.attribute(trace, itemsize=itemsize)
        factor = float(self._factor(X)[0])
        return found.assign(host_s=factor * found["host_s"], device_s=factor * found["device_s"])

    def _factor(self, X: pd.DataFrame) -> Array:
        """What the sum of a row's operators is multiplied by, shape (n_rows,)."""
        return np.exp(total(self.trees_, self.composition(X))) if self.trees_ else np.ones(len(X))

    @property
    def overlap_(self) -> float:
        """The exponent p."""
        return self.structure_.overlap

    def holds(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows hold the columns of operators."""
        return have_operators(X)

    def uncertainty(self, X: pd.DataFrame) -> Array:
        """Standard deviation of log latency that follows from that of the costs, shape (n_rows,)."""
        return self.structure_.uncertainty(X)

    def unknown(self, X: pd.DataFrame) -> list[list[str]]:
        """For each row the groups of operators in it that no row of the fit had."""
        return self.structure_.unknown(X)

    def lacking(self) -> list[str]:
        """Classes of operators that no row of the fit held."""
        held = {class_of(str(cost)) for cost, count in self.structure_.seen_.items() if count}
        return [name for name in CLASSES if name not in held]

    def composition(self, X: pd.DataFrame) -> Array:
        """What rows are made of, shape (n_rows, COMPOSITION)."""
        return composition(self.reference or self.structure_, X)


def have_operators(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows hold the columns of operators."""
    if features.HOST[0] not in rows:
        return np.zeros(len(rows), dtype=bool)
    return rows[features.HOST[0]].notna().to_numpy()


def total(trees: Sequence[Trees], rows: Array) -> Array:
    """Sum of what trees say of rows, shape (n_rows,)."""
    return np.asarray(sum((one.predict(rows) for one in trees), np.zeros(len(rows))))


def composition(reference: OperatorModel | None, X: pd.DataFrame) -> Array:
    """What rows are made of, by the costs of a reference: shares of groups of operators and of the host, logarithms of
    seconds and sizes, mean extents; shape (n_rows, COMPOSITION).
    """
    assert reference is not None
    terms = reference.terms(X)
    seconds = np.maximum(terms.host_s + terms.device_s, np.finfo(float).tiny)
    own = X[[*_LOGARITHMS, *features.SHAPES]].to_numpy(float)
    check_features(own, [*_LOGARITHMS, *features.SHAPES])
    sizes, shapes = np.log2(1 + own[:, : len(_LOGARITHMS)]), own[:, len(_LOGARITHMS) :]
    per_op = np.log2(seconds / np.maximum(X["n_ops"].to_numpy(float), 1))
    return np.column_stack([terms.shares, terms.host_s / seconds, np.log2(seconds), per_op, sizes, shapes])


def trees_from(records: Any) -> tuple[Trees, ...]:
    """Trees of compositions from their records; raises `DataError` where they are something else."""
    with reading("trees"):
        return tuple(
            Trees.from_dict(one, features=COMPOSITION) for one in listed(records, "trees", most=MOST_ENSEMBLES)
        )
