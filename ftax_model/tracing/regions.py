"""Regions: which polynomials hold where, derived when they are first asked for, and kept on disk."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model.tracing import polynomials
from ftax_model.tracing.cache import POLYNOMIALS, Record
from ftax_model.tracing.polynomials import InexactError, Point, Polynomials
from ftax_model.workload import Scalar, Workload

MOST = 32
"""Regions of one family that polynomials are derived of; of others the workloads are traced."""


class Regions:
    """The polynomials of a family: workloads that differ from one another in whole numbers alone.

    ``like`` is a completed workload of the family. What was derived is kept (`ftax_model.tracing.cache`).
    """

    def __init__(self, like: Workload) -> None:
        self.like = like
        rest, point = polynomials.sizes_of(like)
        self.names = tuple(point)
        self._record = Record(POLYNOMIALS, [like.architecture, _plain(rest), list(point)])
        self._found: list[Polynomials] = []
        self._traced: list[Point] = []
        self._fixed: list[str] = []
        self._ties: list[tuple[str, str]] | None = None
        with suppress(AttributeError, LookupError, TypeError, ValueError, OverflowError):
            self.take(self._record.read() or {})

    @property
    def ties(self) -> list[tuple[str, str]]:
        """Pairs of variables that matter where they are equal."""
        return self._ties or []

    def to_record(self) -> dict[str, Any]:
        """All that was derived so far, as plain JSON values; `take` is the way back."""
        return {
            "found": [one.to_record() for one in self._found],
            "traced": self._traced,
            "fixed": self._fixed,
            "ties": self._ties,
        }

    def take(self, record: Mapping[str, Any]) -> None:
        """Take what `to_record` wrote in place of what is there; raises what reading anything else raises."""
        found = [Polynomials.from_record(one) for one in record["found"]]
        traced = [{str(name): int(value) for name, value in one.items()} for one in record["traced"]]
        fixed, told = [str(name) for name in record["fixed"]], record["ties"]
        ties = None if told is None else [(str(one), str(other)) for one, other in told]
        names = [[*one.variables, *one.fixed, *one.tied] for one in found] + [list(one) for one in traced]
        own = {*self.names}
        if any({*one} != own for one in names) or not {*fixed, *itertools.chain.from_iterable(ties or ())} <= own:
            raise ValueError("polynomials of another family")
        self._found, self._traced, self._fixed, self._ties = found, traced, fixed, ties

    def find(self, point: Point) -> Polynomials | None:
        """The polynomials that hold at a point; ``None`` where its workload has to be traced."""
        for one in self._found:
            if self.holds(one, _columns(point))[0]:
                return one
        if len(self._found) + len(self._traced) >= MOST or any(
            polynomials.ones(point) == polynomials.ones(own) for own in self._traced
        ):
            return None
        found = self._derived(point)
        if found is None:
            self._traced.append(point)
        else:
            self._found.append(found)
        self._record.keep(self.to_record())
        return found

    def holds(self, found: Polynomials, columns: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Which points some of these polynomials hold at; a column a variable, shape (n,) each."""
        own = found.holds(columns)
        for one, other in self._ties or ():
            if found.tied.get(one) != other and found.tied.get(other) != one:
                own = own & (columns[one] != columns[other])
        return own

    def _derived(self, point: Point) -> Polynomials | None:
        here = polynomials.workload_of(self.like, point)
        try:
            found = polynomials.derive(here, fixed=self._fixed)
            if self._ties is None:
                self._ties = polynomials.ties(here, found)
            self._fixed += [name for name, value in found.fixed.items() if name not in self._fixed and value != 1]
            tied = {one: other for one, other in self._ties if point[one] == point[other]}
            if tied:
                found = polynomials.derive(here, fixed=self._fixed, tied=tied)
            return found if polynomials.agrees(here, found) else None
        except InexactError:
            return None


def _columns(point: Point) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([value], dtype=float) for name, value in point.items()}


def _plain(rest: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in rest.items()}
