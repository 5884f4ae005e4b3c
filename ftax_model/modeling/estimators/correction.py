"""CorrectedModel: an OperatorModel, and boosted trees for what whole models do differently from the sum of their parts.

The trees see where a workload stands (which groups of operators its time goes to, how large it is, the extents of its
products) and answer with the logarithm of measured over summed latency. They can only shift what the operators say.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ftax_model.errors import DataError
from ftax_model.modeling.estimators.law import Array, checked_latencies, latency
from ftax_model.modeling.estimators.operators import SHARES, OperatorModel, Terms
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.tracing import features

LARGEST = 1.0
"""Log ratios beyond it are taken for it: a measurement that far off says something of the machine."""

_LOGARITHMS = ("n_ops", "macs", "activation_bytes", "weight_bytes", "batch_size")

SITUATION = len(SHARES) + 3 + len(_LOGARITHMS) + len(features.SHAPES)
"""Columns that say where a row stands (`CorrectedModel.situation`)."""


@dataclass(frozen=True)
class Factors:
    """By what the times of a known platform are multiplied: on the host, computing, moving memory."""

    host: float = 1.0
    compute: float = 1.0
    memory: float = 1.0


class CorrectedModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency from operators, with a learnt correction.

    Parameters
    ----------
    overlap : the exponent p of the platform, from 1 to ``inf``.
    trees : how many; 0 for the operators alone.
    seed : of the rows and columns that each tree sees.

    Attributes
    ----------
    structure_ : the fitted `OperatorModel`.
    trees_ : the fitted `Trees`, ``None`` where there are none.
    factors_ : `Factors` of a platform that was taken over from another one; structure and trees are that one's.
    """

    def __init__(self, *, overlap: float = 1.0, trees: int = 150, seed: int = 0) -> None:
        self.overlap = overlap
        self.trees = trees
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: ArrayLike, profiles: pd.DataFrame | None = None) -> Self:
        """Fit to ``y``, measured latencies in seconds; X holds the columns of operators, features and ``batch_size``.

        ``profiles`` are operators timed one by one (`ftax_model.modeling.rows.of_operators`). Raises `InputError` as
        `OperatorModel` does.
        """
        measured = checked_latencies(y)
        self.structure_ = OperatorModel(overlap=self.overlap).fit(X, measured, profiles)
        self.trees_: Trees | None = None
        self.factors_ = Factors()
        if self.trees:
            ratio = np.clip(np.log(measured / self.structure_.predict(X)), -LARGEST, LARGEST)
            self.trees_ = Trees.fit(self.situation(X), ratio, count=self.trees, seed=self.seed)
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
        terms, by = self.structure_.terms(X), self.factors_
        factor = 1.0 if self.trees_ is None else np.exp(self.trees_.predict(_situation(X, terms)))
        found = {
            "host_s": by.host * terms.host_s,
            "device_s": by.compute * (terms.device_s - terms.memory_s) + by.memory * terms.memory_s,
            "memory_s": by.memory * terms.memory_s,
            "constant_s": by.memory * terms.constant_s,
        }
        return pd.DataFrame({name: factor * values for name, values in found.items()}, index=X.index)

    def scaled(self, factors: Factors) -> Self:
        """The same model of a platform whose times are multiplied by factors."""
        found = copy.copy(self)
        found.factors_ = Factors(*(a * b for a, b in zip(astuple(self.factors_), astuple(factors), strict=True)))
        return found

    def situation(self, X: pd.DataFrame) -> Array:
        """Where rows stand, shape (n_rows, n_columns).

        Shares of groups of operators and of the host, logarithms of seconds and sizes, mean extents.
        """
        return _situation(X, self.structure_.terms(X))

    def to_dict(self) -> dict[str, Any]:
        """The fitted model as plain JSON values."""
        check_is_fitted(self, "trees_")
        return {
            "structure": self.structure_.to_dict(),
            "trees": self.trees_.to_dict() if self.trees_ else None,
            "factors": asdict(self.factors_),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The model that `to_dict` wrote; raises `DataError` where it is something else."""
        try:
            structure, trees = OperatorModel.from_dict(record["structure"]), record["trees"]
            factors = Factors(**{name: float(value) for name, value in record["factors"].items()})
            model = cls(overlap=structure.overlap, trees=len(trees["roots"]) if trees else 0)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            law = "a record of a CorrectedModel is what to_dict wrote"
            raise DataError(law, f"{type(error).__name__}: {error}", "fit the model again") from error
        model.structure_, model.factors_ = structure, factors
        model.trees_ = Trees.from_dict(trees, features=SITUATION) if trees else None
        return model


def _situation(X: pd.DataFrame, terms: Terms) -> Array:
    total = np.maximum(terms.host_s + terms.device_s, np.finfo(float).tiny)
    sizes = np.log2(1 + X[list(_LOGARITHMS)].to_numpy(float))
    per_op = np.log2(total / np.maximum(X["n_ops"].to_numpy(float), 1))
    own = (terms.shares, terms.host_s / total, np.log2(total), per_op)
    return np.column_stack([*own, sizes, X[list(features.SHAPES)].to_numpy(float)])
