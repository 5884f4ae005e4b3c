"""Choices: what is told of workloads that are put together from parts, edge by edge and block by block, as a sum.

In a search space of cells, blocks or layers one choice replaces another and leaves the rest as it is: each has a vector
of its own (columns of operators and features), the difference to a base that one trace tells when it is first met. That
all choices together make the sum is proven on the first candidates, which are traced as well; where a single count
differs, this family is always traced. Architectures say what their parts are (`parts`, `place`).
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
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

_Value = tuple[str | int, ...]
_Choice = tuple[int, int, _Value | None]
"""Group of lists, place in it, and the entries there; without entries the place is where the lists end."""

_SUMS, _FEATURES = len(features.SUMS), len(features.COLUMNS) + len(features.NAMES)
_DEPTH = _FEATURES + list(FEATURES).index("depth")
_LOGARITHMS = slice(_SUMS, _FEATURES)
_CLOSE = 1e-9


@functools.cache
def names(architecture: str | None) -> tuple[str, ...]:
    """The hyperparameters that say of what parts networks of an architecture are put together; most have none."""
    if architecture not in architectures.names():  # from outside, or not told yet
        return ()
    return tuple(name for group in architectures.load(architecture).parts for name in group)


class Choices:
    """The vectors of a family: workloads that differ in parts alone. ``like`` is a completed one of them.

    The base has the parts of the architecture's defaults, or those of ``like``, where as many could not be left out.
    """

    def __init__(self, like: Workload) -> None:
        self._architecture, self.itemsize = architectures.load(like.architecture), DTYPES[like.dtype]
        self.base = self._base_of(like)
        self._record = Record(POLYNOMIALS, [self.base.to_record(), self._architecture.parts])
        self._begin()
        with suppress(LookupError, TypeError, ValueError, FtaxError):
            self.take(self._record.read() or {})

    def _begin(self) -> None:
        self.proven, self.broken = 0, False
        self._base: NDArray[np.float64] | None = None
        self._more: dict[Hashable, tuple[_Choice, NDArray[np.float64]]] = {}

    def find(self, workload: Workload) -> NDArray[np.float64] | None:
        """The vector of a completed workload, shape (LENGTH,); ``None`` where it has to be traced."""
        if self.broken:
            return None
        try:
            found, sure = self._sum(workload)
        except FtaxError:
            return None
        if self.proven < PROOFS and not sure:
            self.broken = not _equal(found, vector(trace_workload(workload), itemsize=self.itemsize))
            self.proven += 1
            self._record.keep(self.to_record())
        return None if self.broken else found

    def _sum(self, workload: Workload) -> tuple[NDArray[np.float64], bool]:
        """The base and what differs from it, and whether that was traced just so."""
        known = len(self._more)
        if self._base is None:
            self._base = vector(trace_workload(self.base), itemsize=self.itemsize)
        changed = list(self._changed(workload.settings))
        found = self._base.copy()
        for choice in changed:
            key = self._key(choice)
            if key not in self._more:
                self._more[key] = choice, self._traced(choice) - self._base
            found += self._more[key][1]
        new = len(self._more) - known
        if new:
            self._record.keep(self.to_record())
        return found, len(changed) == new <= 1

    def _changed(self, settings: Mapping[str, Any]) -> Iterator[_Choice]:
        """In what a network differs from the base: how many parts there are, and what is chosen for each."""
        for group, own, usual in self._lists(settings):
            if len(own) != len(usual):
                yield group, len(own), None
            first = self._architecture.parts[group][0]
            for at, value in enumerate(own):
                if value != usual[at] and self._architecture.place(settings, first, at) is not None:
                    yield group, at, value

    def _key(self, choice: _Choice) -> Hashable:
        """The same for choices that add the same."""
        group, at, value = choice
        if value is None:
            return choice
        own, settings = self._architecture.parts[group], self.base.settings
        place = self._architecture.place(settings, own[0], at)
        return group, place, tuple(settings[name][at] for name in own), value

    def _lists(self, settings: Mapping[str, Any]) -> Iterator[tuple[int, list[_Value], list[_Value]]]:
        """Of each group of lists its entries, and those of the base."""
        for group, members in enumerate(self._architecture.parts):
            both = settings, self.base.settings
            own, usual = (list(zip(*(one[name] for name in members), strict=True)) for one in both)
            yield group, own, usual

    def _traced(self, choice: _Choice) -> NDArray[np.float64]:
        return vector(trace_workload(self._with(choice)), itemsize=self.itemsize)

    def _with(self, choice: _Choice) -> Workload:
        """The base, in one choice another; raises `FtaxError` where there is no such network."""
        group, at, value = choice
        settings = dict(self.base.settings)
        for position, name in enumerate(self._architecture.parts[group]):
            entries = settings[name]
            settings[name] = entries[:at] if value is None else (*entries[:at], value[position], *entries[at + 1 :])
        return _completed(self.base, settings)

    def _base_of(self, like: Workload) -> Workload:
        usual = {name: self._architecture.defaults[name] for name in names(like.architecture)}
        self.base = like
        with suppress(FtaxError):
            self.base = _completed(like, {**like.settings, **usual})
            for group, own, most in self._lists(like.settings):
                if len(own) > len(most):
                    return like
                if len(own) < len(most):
                    self._with((group, len(own), None))
            return self.base
        return like

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `take` is the way back."""
        return {
            "proven": self.proven,
            "broken": self.broken,
            "vector": None if self._base is None else _sparse(self._base),
            "more": [[*choice, _sparse(value)] for choice, value in self._more.values()],
        }

    def take(self, record: Mapping[str, Any]) -> None:
        """Take what `to_record` wrote; raises what reading anything else raises."""
        told, more = record["vector"], {}
        for group, at, value, pairs in record["more"]:
            choice = int(group), int(at), None if value is None else tuple(value)
            self._with(choice)
            more[self._key(choice)] = choice, _dense(pairs)
        proven, broken = int(record["proven"]), bool(record["broken"])
        base = None if told is None else _dense(told)
        self._begin()
        self.proven, self.broken, self._base, self._more = proven, broken, base, more


def _completed(like: Workload, settings: Mapping[str, Any]) -> Workload:
    return architectures.complete(Workload(**{**like.to_record(), "hyperparameters": settings}))


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
