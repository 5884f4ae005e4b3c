"""Family: workloads that differ in whole numbers alone, their polynomials and these as arrays."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftax_model import architectures
from ftax_model.errors import InputError
from ftax_model.modeling import compiled
from ftax_model.modeling.compiled import TOLD, Card, Compiled, Program
from ftax_model.operators import FEATURES
from ftax_model.tracing import features, polynomials
from ftax_model.tracing.polynomials import FURTHEST, Point, Polynomials
from ftax_model.tracing.regions import Regions
from ftax_model.workload import DTYPES, Workload

Array = NDArray[np.float64]


class Family:
    """Workloads that are like one, a completed workload, in all but whole numbers (``names``)."""

    def __init__(self, like: Workload) -> None:
        self.like, self.regions = like, Regions(like)
        self.names = self.regions.names
        self._programs: dict[int, tuple[Polynomials, Program, NDArray[np.intp]]] = {}
        self._lock = threading.Lock()

    def row(self, workload: Workload) -> list[int]:
        """The value of each variable in a completed workload of the family."""
        _, point = polynomials.sizes_of(workload)
        return [point[name] for name in self.names]

    def point(self, row: Sequence[float]) -> Point:
        """The values of a row by name."""
        return dict(zip(self.names, map(int, row), strict=True))

    def region(self, row: Sequence[float]) -> Polynomials | None:
        """The polynomials that hold at a row; ``None`` where it has to be traced."""
        with self._lock:
            return self.regions.find(self.point(row))

    def workload(self, row: Sequence[float]) -> Workload:
        """The completed workload of a row; raises `InputError` where there is none."""
        return polynomials.workload_of(self.like, self.point(row))

    def predict(self, one: Polynomials, rows: Array, fit: Compiled | Card, *, smooth: bool = False) -> Array:
        """`TOLD` of rows, shape (n, len(TOLD)); nan of those that are no models."""
        program, columns = self.program(one)
        out = np.empty((len(rows), len(TOLD)))
        if isinstance(fit, Card):
            work = compiled.smooth_on_card() if smooth else compiled.predict_on_card()
        else:
            work = compiled.smooth() if smooth else compiled.predict()
        work(rows[:, columns], program, fit, out)
        return out

    def count(self, one: Polynomials, rows: Array) -> Array:
        """`FEATURES` of rows, shape (n, len(FEATURES))."""
        program, columns = self.program(one)
        seen, found = np.zeros((len(rows), len(FEATURES))), np.zeros((len(rows), len(features.COLUMNS)))
        compiled.describe()(rows[:, columns], program, seen, found)
        return seen

    def program(self, one: Polynomials) -> tuple[Program, NDArray[np.intp]]:
        """The arrays of polynomials, and the columns of rows that their variables stand in."""
        if id(one) not in self._programs:
            columns = np.array([self.names.index(name) for name in one.variables], dtype=np.intp)
            made = compiled.program(one, itemsize=DTYPES[self.like.dtype])
            self._programs[id(one)] = one, made, columns
        return self._programs[id(one)][1:]


class Plan:
    """How one form of hyperparameters (their names, and what are no whole numbers) is answered for."""

    def __init__(self, family: Family, row: Sequence[int], names: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._family, self._row = family, list(row)
        self._places = [family.names.index(name) for name in names]
        self._architecture = architectures.load(family.like.architecture)
        own = family.like.settings
        self._settings = {name: value for name, value in own.items() if name not in names} | {
            name: value for name, value in settings.items() if name in own
        }
        self._own = [(at, name) for at, name in enumerate(names) if name in own]
        self._lists = {name: [at for at, one in enumerate(names) if one.startswith(f"{name}.")] for name in own}
        self._lists = {name: places for name, places in self._lists.items() if places}
        self._regions: list[_Region] = []

    def told(self, values: Sequence[int], fit: Compiled | Card) -> Array | None:
        """`TOLD` of the values of these names; ``None`` where polynomials have to be found first."""
        row = self._row.copy()
        for place, value in zip(self._places, values, strict=True):
            row[place] = value
        if min(values, default=1) < 1:
            return None
        told = self._settings | {name: values[at] for at, name in self._own}
        told |= {name: tuple(values[at] for at in places) for name, places in self._lists.items()}
        self._architecture.check(told)
        one = self._found(row)
        if one is None:
            return None
        found = self._family.predict(one, np.array([row], dtype=float), fit)
        return None if np.isnan(found[0, 0]) else found

    def _found(self, row: Sequence[int]) -> Polynomials | None:
        for own in self._regions:
            if own.holds(row):
                return own.found
        found = self._family.region(row)
        if found is not None:
            self._regions.append(_Region.of(found, self._family))
        return found


class _Region(NamedTuple):
    """Where polynomials hold, by the places of variables in a row."""

    found: Polynomials
    fixed: list[tuple[int, int]]
    free: list[tuple[int, float, float]]
    equal: list[tuple[int, int]]
    other: list[tuple[int, int]]

    @classmethod
    def of(cls, found: Polynomials, family: Family) -> _Region:
        at = {name: place for place, name in enumerate(family.names)}
        ends = zip(found.variables, found.low, found.high, strict=True)
        tied = [(at[one], at[other]) for one, other in found.tied.items()]
        ties = [(at[one], at[other]) for one, other in family.regions.ties]
        return cls(
            found,
            [(at[name], value) for name, value in found.fixed.items()],
            [(at[name], max(low / FURTHEST, 2), high * FURTHEST) for name, low, high in ends],
            tied,
            [pair for pair in ties if pair not in tied and pair[::-1] not in tied],
        )

    def holds(self, row: Sequence[int]) -> bool:
        """As `Regions.holds`, of one row."""
        return (
            all(row[at] == value for at, value in self.fixed)
            and all(low <= row[at] <= high for at, low, high in self.free)
            and all(row[one] == row[other] for one, other in self.equal)
            and all(row[one] != row[other] for one, other in self.other)
        )


def checked(family: Family, row: Sequence[float]) -> None:
    """Raise `InputError` where a row is no model that the architecture takes."""
    if any(value != int(value) for value in row):
        law = f"{family.like.architecture} is built of whole numbers"
        raise InputError(law, str(dict(zip(family.names, row, strict=True))), "round them")
    family.workload(row)
