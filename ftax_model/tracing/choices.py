"""Choices: what is told of workloads that are put together from words, edge by edge and block by block, as a sum.

In a search space of cells or blocks one choice replaces another and leaves the rest as it is: each has a vector of its
own (columns of operators and features), the difference to a base that one trace tells when it is first met. That all
choices together make the sum is proven on the first candidates, which are traced as well; where a single count differs,
this family is always traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.operators import FEATURES, Trace
from ftax_model.tracing import features
from ftax_model.tracing.cache import POLYNOMIALS, Record
from ftax_model.tracing.trace import trace_workload
from ftax_model.workload import DTYPES, Workload

PROOFS = 8
"""Candidates of several new choices that are traced, too."""

LENGTH = len(features.COLUMNS) + len(features.NAMES) + len(FEATURES) + 1
"""Numbers of a vector: columns and the weights of their groups, as `ftax_model.tracing.features.add` leaves them;
features; bytes that operators of unknown cost move."""

_SUMS, _FEATURES = len(features.SUMS), len(features.COLUMNS) + len(features.NAMES)
_DEPTH = _FEATURES + list(FEATURES).index("depth")
_LOGARITHMS = slice(_SUMS, _FEATURES)
_CLOSE = 1e-9


def lists(workload: Workload) -> list[str]:
    """The hyperparameters of a completed workload that are lists of words."""
    return [name for name, value in workload.settings.items() if _is_list(value)]


class Choices:
    """The vectors of a family: workloads that differ in lists of words alone. ``base`` is a completed one of them."""

    def __init__(self, base: Workload) -> None:
        self.names, self.itemsize = lists(base), DTYPES[base.dtype]
        self.rest = {name: value for name, value in base.settings.items() if name not in self.names}
        key = [base.to_record() | {"hyperparameters": self.rest}, self.names]
        self._record = Record(POLYNOMIALS, key)
        self._begin(base)
        with suppress(LookupError, TypeError, ValueError, FtaxError):
            self.take(self._record.read() or {})

    def _begin(self, base: Workload) -> None:
        self.base = base
        self.proven, self.broken = 0, False
        self._base: NDArray[np.float64] | None = None
        self._more: dict[tuple[int, int, str], NDArray[np.float64]] = {}

    def find(self, workload: Workload) -> NDArray[np.float64] | None:
        """The vector of a completed workload, shape (LENGTH,); ``None`` where it has to be traced."""
        if self.broken:
            return None
        try:
            found, changed = self._sum(workload)
        except FtaxError:
            return None
        if self.proven < PROOFS and changed > 1:
            self.broken = not _equal(found, vector(trace_workload(workload), itemsize=self.itemsize))
            self.proven += 1
            self._record.keep(self.to_record())
        return None if self.broken else found

    def _sum(self, workload: Workload) -> tuple[NDArray[np.float64], int]:
        """The base and what differs from it, and in how many choices."""
        known = len(self._more)
        if self._base is None:
            self._base = vector(trace_workload(self.base), itemsize=self.itemsize)
        found, changed = self._base.copy(), 0
        for place, name in enumerate(self.names):
            usual = self.base.settings[name]
            for at, word in enumerate(workload.settings[name]):
                if word != usual[at]:
                    key = (place, at, word)
                    if key not in self._more:
                        self._more[key] = self._traced(name, at, word) - self._base
                    found += self._more[key]
                    changed += 1
        if len(self._more) > known:
            self._record.keep(self.to_record())
        return found, changed

    def _traced(self, name: str, at: int, word: str) -> NDArray[np.float64]:
        words = list(self.base.settings[name])
        words[at] = word
        settings = {**self.base.settings, name: tuple(words)}
        own = Workload(**{**self.base.to_record(), "hyperparameters": settings})
        return vector(trace_workload(architectures.complete(own)), itemsize=self.itemsize)

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `take` is the way back."""
        return {
            "base": [[name, list(self.base.settings[name])] for name in self.names],
            "proven": self.proven,
            "broken": self.broken,
            "vector": None if self._base is None else _sparse(self._base),
            "more": [[*key, _sparse(value)] for key, value in self._more.items()],
        }

    def take(self, record: Mapping[str, Any]) -> None:
        """Take what `to_record` wrote; raises what reading anything else raises."""
        words = {str(name): tuple(map(str, own)) for name, own in record["base"]}
        if list(words) != self.names:
            raise ValueError("other lists")
        own = Workload(**{**self.base.to_record(), "hyperparameters": {**self.rest, **words}})
        told = record["vector"]
        more = {(int(place), int(at), str(word)): _dense(value) for place, at, word, value in record["more"]}
        self._begin(architectures.complete(own))
        self.proven, self.broken = int(record["proven"]), bool(record["broken"])
        self._base, self._more = None if told is None else _dense(told), more


def vector(trace: Trace, *, itemsize: int) -> NDArray[np.float64]:
    """What adds up of a trace, shape (LENGTH,); the depth, which does not, is nan."""
    columns, scratch, _ = features.summed(trace, itemsize=itemsize)
    odd = [one for one in trace.operators if not features.is_known(one)]
    unknown = sum(one.activation_bytes + one.weight_bytes for one in odd)
    told = trace.features() | {"depth": float("nan")}
    return np.array([*columns, *scratch[-len(features.NAMES) :], *told.values(), unknown])


def _equal(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether counts are equal, and logarithms close."""
    exact = np.ones(LENGTH, dtype=bool)
    exact[_LOGARITHMS] = False
    exact[_DEPTH] = False
    near = np.abs(one - other)[_LOGARITHMS] <= _CLOSE * np.maximum(np.abs(other)[_LOGARITHMS], 1.0)
    return bool((one[exact] == other[exact]).all() and near.all())


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 1 and all(isinstance(word, str) for word in value)


def _sparse(values: NDArray[np.float64]) -> list[list[float]]:
    """The numbers that are not 0, each with its place; those that are none are left out."""
    return [[int(at), float(values[at])] for at in np.flatnonzero(values) if np.isfinite(values[at])]


def _dense(pairs: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    found = np.zeros(LENGTH)
    for at, value in pairs:
        if not 0 <= at < LENGTH or not np.isfinite(value):
            raise ValueError("no vector")
        found[int(at)] = value
    found[_DEPTH] = np.nan
    return found
