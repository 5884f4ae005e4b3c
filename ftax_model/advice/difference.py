"""Difference: the same cells on two machines, or in two versions on one, and what of it noise does not explain."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import dataset, plugins
from ftax_model.collection import drift
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Cell, Measurement

COLUMNS = (
    "framework", "family", "architecture", "model", "curve", "batch_size", "input_size", "lengths", "dtype", "threads",
)  # fmt: skip
"""Columns by which cells are grouped."""

_LOAD = "load_before"  # differs from one measurement to the next

CHANCE = 0.01
"""The share of cells that lie beyond noise where there is nothing but noise."""

UNTOLD = ("sitting", _LOAD, "seed", "affinity", "peak_macs", "versions ftax_model")
"""What differs between any two looks, or follows from what is told."""


@dataclass(frozen=True)
class Changed:
    """Something of versions, settings or the machine that differs: all values that cells in common were measured with.

    ``name`` holds several with commas between where all of them changed alike.
    """

    name: str
    one: tuple[str, ...]
    other: tuple[str, ...]

    def __str__(self) -> str:
        one, other = (", ".join(own[:_MOST]) + " ..." * (len(own) > _MOST) for own in (self.one, self.other))
        return f"{self.name} {one or 'none'} to {other or 'none'}"


_MOST = 3  # values that are told


@dataclass(frozen=True)
class Side:
    """One of two looks at cells: on which ``device``, and how many cells it alone measured, or failed at, alone."""

    device: str
    alone: int
    failed: int


@dataclass(frozen=True)
class Difference:
    """Two looks, ``one`` and the ``other``, at the same cells.

    ``cells`` has a row for each cell that both measured: the columns of `ftax_model.dataset.frame` that say what it is
    (`COLUMNS`), ``one_s`` and ``other_s`` in seconds, ``ratio``, other over one, ``low`` and ``high``, the ratio less
    and plus what noise explains in all but a `CHANCE` of cells, and whether it lies ``beyond`` that; the furthest from
    1 comes first. ``groups`` has a row for each value of the columns ``by``: how many ``cells``, the median ``ratio``,
    ``low`` and ``high``, which noise alone makes exclude 1 in one of a hundred comparisons, all groups together, and
    whether it lies ``beyond`` that; ``cells_beyond``, how many of the cells do; ``furthest``, the cell furthest from 1,
    and ``furthest_ratio``. ``changed`` is what differs between the two but latency.
    """

    one: Side
    other: Side
    by: tuple[str, ...]
    groups: pd.DataFrame
    cells: pd.DataFrame
    changed: tuple[Changed, ...]

    @property
    def beyond(self) -> bool:
        """Whether noise does not explain how far some group moved."""
        return bool(self.groups["beyond"].any())


def difference(
    one: Iterable[Measurement],
    other: Iterable[Measurement],
    *,
    by: Sequence[str] = ("framework",),
    devices: tuple[str | None, str | None] = (None, None),
) -> Difference:
    """How much longer cells take in another dataset: the same workload, framework and threads, whatever the device.

    Measurements may come one after the other (`ftax_model.dataset.records`). Repeats count by their median. What noise
    explains is what `ftax_model.collection.drift` takes for noise: how far fresh processes lie apart in both, and how
    far sittings of a machine do. ``devices`` name one where measurements are of several.

    Raises `InputError` for a column that there is not, a device that there is not, or none named among several, and
    `DataError` where no cell was measured in both.
    """
    by = tuple(dict.fromkeys(by))
    for name in by:
        plugins.check(name, COLUMNS, what="column")
    looks = [_Look(own, device) for own, device in zip((one, other), devices, strict=True)]
    then, here = (drift.by_cell(look.measurements) for look in looks)
    common = [cell for cell in then if cell in here]
    if not common:
        raise _nothing_in_common(then, here)
    cells = _cells(common, then, here)
    parts, of_medians = cells.groupby([*by], sort=False, dropna=False), []
    for _, rows in parts:
        noise = drift.noise_of([common[at] for at in rows.index], then, here)
        cells.loc[rows.index, "noise"] = [*noise.of_cells(CHANCE).values()]
        of_medians.append(noise.of_median(drift.FALSE_ALARMS / parts.ngroups))
    cells = pd.concat([cells, _ratios(cells["moved"], cells["noise"])], axis=1)
    parts = cells.groupby([*by], sort=False, dropna=False)
    groups = [
        {**dict(zip(by, key, strict=True)), **_summary(rows, own)}
        for (key, rows), own in zip(parts, of_medians, strict=True)
    ]
    order = cells["moved"].abs().sort_values(ascending=False, kind="stable").index
    shown = cells.loc[order, [*COLUMNS, "one_s", "other_s", *_RATIOS]].reset_index(drop=True)
    sides = looks[0].beside(looks[1]), looks[1].beside(looks[0])
    return Difference(*sides, by, pd.DataFrame(groups), shown, _changes(common, then, here))


class _Look:
    """The measurements of one side, without what takes much memory, and what there was beside."""

    def __init__(self, measurements: Iterable[Measurement], device: str | None) -> None:
        self.good: set[Cell] = set()
        self.bad: set[Cell] = set()
        self.measurements: list[Measurement] = []
        self.device = device or ""
        devices = dict[str, None]()
        environments: dict[str, dict[str, Any]] = {}
        for measured in measurements:
            own = measured.cell.device
            devices[own] = None
            if device not in (None, own):
                continue
            cell = dataclasses.replace(measured.cell, device=_ANY, repeat=0)
            if measured.status != "ok":
                self.bad.add(cell)
                continue
            self.good.add(cell)
            told = {name: value for name, value in measured.environment.items() if name != _LOAD}
            told = environments.setdefault(json.dumps(told), told)
            self.measurements.append(Measurement(cell, latency_s=measured.latency_s, environment=told))
        if device is not None:
            plugins.check(device, [*devices], what="device of the dataset")
        elif len(devices) > 1:
            law, cure = "each side of a comparison is one device", "name one of each side: --device NAME --device NAME"
            raise InputError(law, " and ".join(devices), cure)
        else:
            self.device = next(iter(devices), "")

    def beside(self, other: _Look) -> Side:
        """What this side measured, and failed at, alone."""
        return Side(self.device, len(self.good - other.good - other.bad), len((self.bad - self.good) & other.good))


_ANY = "any"  # the device of cells that are compared


def _cells(common: Sequence[Cell], then: Mapping[Cell, drift.Looks], here: Mapping[Cell, drift.Looks]) -> pd.DataFrame:
    """A row for each cell: what it is, its seconds on both sides, and the log of their ratio."""
    table = dataset.frame(next(iter(then[cell].values()))[0] for cell in common)[[*COLUMNS]]
    pairs = [(drift.centre(then[cell]), drift.centre(here[cell])) for cell in common]
    one, other = np.array(pairs).T
    return table.assign(one_s=np.exp(one), other_s=np.exp(other), moved=other - one, noise=0.0)


def _summary(rows: pd.DataFrame, noise: float) -> dict[str, Any]:
    """What the cells of a group did, given the noise of their median."""
    far = rows.iloc[int(rows["moved"].abs().argmax())]
    return {
        "cells": len(rows),
        **_ratios(float(np.median(rows["moved"])), noise),
        "cells_beyond": int(rows["beyond"].sum()),
        "furthest": f"{far['curve']}, batch {far['batch_size']}",
        "furthest_ratio": float(far["ratio"]),
    }


def _ratios(moved: Any, noise: Any) -> Any:
    """A ratio, its ends and whether it lies beyond noise, from logs of both; of a number or of columns."""
    least = math.log1p(drift.LEAST)
    beyond = abs(moved) > np.maximum(noise, least)
    found = (np.exp(moved), np.exp(moved - noise), np.exp(moved + noise), beyond)
    together: Any = pd.DataFrame if isinstance(moved, pd.Series) else dict
    return together(dict(zip(_RATIOS, found, strict=True)))


_RATIOS = ("ratio", "low", "high", "beyond")


def _nothing_in_common(then: Iterable[Cell], here: Iterable[Cell]) -> DataError:
    """The refusal of two datasets without a cell in common, with what keeps all of their cells apart."""
    one, other = ([dict.fromkeys(values) for values in zip(*map(_told, own), strict=True)] for own in (then, here))
    apart = [
        f"{name} {', '.join(ours)} and {', '.join(theirs)}"
        for name, ours, theirs in zip(_TOLD, one, other, strict=False)
        if not {*ours} & {*theirs}
    ]
    got = f"no cell in common{': ' * bool(apart)}{'; '.join(apart)}"
    cure = "measure the same plan on both: ftax collect"
    return DataError("two datasets are compared by the cells that both measured", got, cure)


_TOLD = ("framework", "threads", "dtype", "architecture")


def _told(cell: Cell) -> tuple[str, ...]:
    return cell.framework, str(cell.threads), cell.workload.dtype, cell.workload.architecture


def _changes(
    common: Iterable[Cell], then: Mapping[Cell, drift.Looks], here: Mapping[Cell, drift.Looks]
) -> tuple[Changed, ...]:
    """What cells in common were measured with that is not the same on both sides."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for side, looks in enumerate((then, here)):
        for environment, framework in _environments(common, looks):
            for name, value in _flat(environment):
                name = framework if name == "framework_version" else name
                found.setdefault(name, ({}, {}))[side][value] = None
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for name, (one, other) in found.items():
        if {*one} != {*other}:
            alike.setdefault((tuple(sorted(one)), tuple(sorted(other))), []).append(name)
    return tuple(Changed(", ".join(own), *values) for values, own in alike.items())


def _environments(common: Iterable[Cell], looks: Mapping[Cell, drift.Looks]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each environment that cells were measured in, with their framework, once."""
    seen = set()
    for cell in common:
        for own in looks[cell].values():
            for measured in own:
                key = id(measured.environment), cell.framework
                if key not in seen:
                    seen.add(key)
                    yield measured.environment, cell.framework


def _flat(environment: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """What an environment tells, with the names of what lies within each other."""
    for name, value in environment.items():
        full = f"{before} {name}".strip()
        if full in UNTOLD or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, full)
        else:
            yield full.removeprefix("versions "), str(value)
