"""Trees: boosted regression trees that a file can hold without pickle, and that know nothing of where they are used."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ftax_model import values
from ftax_model.errors import InputError
from ftax_model.modeling import limits
from ftax_model.modeling.estimators.law import Array

_AT_ONCE = 8192  # rows, each with a place in every tree
_NODES = {"left": "<i4", "right": "<i4", "feature": "<i4", "threshold": "<f4", "value": "<f4"}


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees one after another, as arrays by name; ``roots`` are the positions where trees begin.

    A node has a left and a right child, by position, a feature, a threshold and a value; a leaf is its own child.
    """

    nodes: Mapping[str, NDArray[Any]]
    roots: NDArray[np.int64]

    @classmethod
    def fit(cls, rows: Array, target: Array, *, count: int = 150, seed: int = 0) -> Self:
        """As many trees, grown by scikit-learn for the least absolute error; rows have shape (n_rows, n_features).

        Raises `InputError` where there are no rows, or values that single precision does not hold.
        """
        if not len(rows) or len(rows) != len(target):
            law, got = "trees grow on a row or more, each with its target", f"{len(rows)} rows, {len(target)} targets"
            raise InputError(law, got, "measure more")
        if not (np.isfinite(target).all() and (np.abs(rows) <= np.finfo(np.float32).max).all()):
            law = "trees grow on numbers that single precision holds"
            raise InputError(law, "NaN, infinity or larger ones", "drop those rows")
        from sklearn.ensemble import GradientBoostingRegressor  # a prediction needs none of it

        boosted = GradientBoostingRegressor(
            loss="absolute_error",
            n_estimators=count,
            learning_rate=0.08,
            max_depth=None,
            max_leaf_nodes=12,
            min_samples_leaf=6,
            subsample=0.6 if len(rows) > 1 else 1.0,
            max_features=0.2,
            random_state=seed,
        ).fit(rows, target)
        begin = float(boosted.init_.constant_[0, 0]) / count
        return cls.of([one.tree_ for one in boosted.estimators_[:, 0]], rate=boosted.learning_rate, begin=begin)

    @classmethod
    def of(cls, grown: Sequence[Any], *, rate: float, begin: float = 0.0) -> Self:
        """From scikit-learn's trees (``tree_``), whose values count by a ``rate``; each adds to ``begin``."""
        parts: dict[str, list[NDArray[Any]]] = {name: [np.zeros(0)] for name in _NODES}
        roots, start = [], 0
        for tree in grown:
            leaf, here = tree.children_left < 0, np.arange(tree.node_count)
            parts["left"].append(np.where(leaf, here, tree.children_left) + start)
            parts["right"].append(np.where(leaf, here, tree.children_right) + start)
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["threshold"].append(tree.threshold)
            parts["value"].append(rate * tree.value[:, 0, 0] + begin)
            roots.append(start)
            start += tree.node_count
        nodes = {name: np.concatenate(own).astype(_NODES[name]) for name, own in parts.items()}
        return cls(nodes, np.array(roots, dtype=np.int64))

    def predict(self, rows: Array) -> Array:
        """Sum over trees of the value of the leaf that each row falls into, shape (n_rows,)."""
        single = rows.astype(np.float32)  # as scikit-learn compares them
        if len(rows) <= _AT_ONCE:
            return self._sums(single)
        return np.concatenate([self._sums(single[at : at + _AT_ONCE]) for at in range(0, len(rows), _AT_ONCE)])

    def _sums(self, rows: NDArray[np.float32]) -> Array:
        at = np.tile(self.roots, (len(rows), 1))
        every = np.arange(len(rows))[:, None]
        while True:
            right = rows[every, self.nodes["feature"][at]] > self.nodes["threshold"][at]
            below = np.where(right, self.nodes["right"][at], self.nodes["left"][at])
            if (below == at).all():
                return np.asarray(self.nodes["value"][at].sum(axis=1, dtype=float))
            at = below

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, the nodes as compressed numbers in base64; `from_dict` is the way back."""
        return {"roots": self.roots.tolist(), **{name: _packed(self.nodes[name]) for name in _NODES}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], *, features: int) -> Self:
        """The trees that `to_dict` wrote, on rows with so many features; raises `DataError` where they are none."""
        with values.reading("trees"):
            nodes = {
                name: values.unpacked(record[name], f"{name} of trees", kind, most=limits.MOST_NODES)
                for name, kind in _NODES.items()
            }
            places = (0, limits.MOST_NODES)
            roots = values.numbers(record["roots"], "roots of trees", places, most=limits.MOST_TREES).astype(np.int64)
            limits.check_trees(nodes, roots, features=features)
        return cls(nodes, roots)


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()
