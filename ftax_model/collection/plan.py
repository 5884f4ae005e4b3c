"""Plan: what to measure, as a YAML file of grids; its sweeps, and the order they are measured in."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftax_model import architectures, files, plugins
from ftax_model.collection import frameworks
from ftax_model.collection.adaptive import PROTOCOL, Adaptive
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import Outcome
from ftax_model.device import Device
from ftax_model.errors import FtaxError, InputError
from ftax_model.measurement import Cell
from ftax_model.workload import Workload, grid

ORDERS = ("random", "given")
"""In what order the groups of cells are measured: all shuffled, or as the plan lists them."""

MAX_CELLS = 1_000_000
"""Cells of a plan, and workloads of a grid."""

ALL = "all"
"""Stands for every installed framework, and for every architecture in the smallest size of its own grid."""

EXCEPT = "except"
"""Names the frameworks that are left out of all that are installed."""

Shard = tuple[int, int]
"""Which part of a plan, counted from 1, and of how many."""

_FOLDER = "ftax_model.plans"
_PLATFORM = ("frameworks", "threads", "repeats", "longest_call_s")


@dataclass(frozen=True)
class Grid:
    """Workloads, and the frameworks and thread counts each of them is measured with.

    Workloads are complete; ``repeats`` is the number of fresh processes that measure each cell. Of a sweep, batch sizes
    are left out whose call would take longer than ``longest_call_s``. With ``adaptive``, more batch sizes of each
    workload are measured, as many as it takes. Raises `InputError` for an unknown framework, no framework, and counts
    that are not positive whole numbers.
    """

    workloads: tuple[Workload, ...]
    frameworks: tuple[str, ...]
    threads: tuple[int, ...] = (1,)
    repeats: int = 1
    longest_call_s: float = math.inf
    adaptive: Adaptive | None = None

    def __post_init__(self) -> None:
        if not self.frameworks:
            cure = f"list some under frameworks: {', '.join(frameworks.names())}"
            raise InputError("a grid names its frameworks", "none", cure)
        for name in self.frameworks:
            plugins.check(name, frameworks.names(), what="framework")
        for threads in self.threads or (None,):
            _positive("threads", threads)
        _positive("repeats", self.repeats)
        if isinstance(self.longest_call_s, bool) or not isinstance(self.longest_call_s, int | float):
            raise InputError("longest_call_s is a number of seconds", repr(self.longest_call_s), "give such a number")
        if not self.longest_call_s > 0:
            raise InputError("longest_call_s is above 0", repr(self.longest_call_s), "give a number above 0, or none")

    @property
    def count(self) -> int:
        """How many cells it lists, those that are alike counted each time."""
        return len(self.workloads) * len(self.frameworks) * len(self.threads) * self.repeats

    def cells(self, device: Device) -> Iterable[Cell]:
        """The cells that the grid lists, on a device: repeat by repeat, model by model, framework by framework."""
        sweeps: dict[Workload, list[Workload]] = {}
        for workload in self.workloads:
            sweeps.setdefault(workload.curve, []).append(workload)
        platforms = itertools.product(self.frameworks, self.threads)
        for repeat, sweep, (framework, threads) in itertools.product(range(self.repeats), sweeps.values(), platforms):
            for workload in sweep:
                yield Cell(workload, framework, device.name, threads, repeat)


@dataclass(frozen=True)
class Sweep:
    """What one process measures: cells that differ in batch size alone (see `group`).

    ``listed`` are measured in this order. With a limit, ``longest_call_s``, the smallest batch size comes first, and
    each of the others once a smaller one tells that its call takes no longer, if it were to grow in proportion. With
    ``adaptive`` further ones follow, chosen from what was measured so far.
    """

    listed: tuple[Cell, ...]
    longest_call_s: float = math.inf
    adaptive: Adaptive | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell that may be measured, each once."""
        sizes = self.adaptive.candidates if self.adaptive else ()
        return tuple(dict.fromkeys([*self.listed, *(self._at(size) for size in sizes)]))

    def next(self, done: Mapping[str, Outcome]) -> Cell | None:
        """The cell to measure next, given how those that are done ended (by their keys); ``None`` at the end."""
        for cell in self.listed:
            if cell.key not in done and self._within_reach(cell, done):
                return cell
        if self.adaptive is None:
            return None
        outcomes = {cell.workload.batch_size: done[cell.key] for cell in self.cells if cell.key in done}
        size = self.adaptive.next({size: outcome.latency_s for size, outcome in outcomes.items()})
        return None if size is None else self._at(size)

    def wanted(self, done: Mapping[str, Outcome]) -> tuple[Cell, ...]:
        """The cells that are done or may still be measured; at the end those that the sweep took."""
        return self.cells if self.next(done) else tuple(cell for cell in self.cells if cell.key in done)

    def _within_reach(self, cell: Cell, done: Mapping[str, Outcome]) -> bool:
        """Whether a call is known not to take longer than the limit; one that failed is taken to last for ever."""
        if self.longest_call_s == math.inf:
            return True
        size = cell.workload.batch_size
        smaller = [one for one in self.listed if one.workload.batch_size < size]
        known = [one for one in smaller if one.key in done]
        if not known:
            return not smaller
        nearest = max(known, key=lambda one: one.workload.batch_size)
        latency_s = done[nearest.key].latency_s
        return latency_s is not None and latency_s * size / nearest.workload.batch_size <= self.longest_call_s

    def _at(self, batch_size: int) -> Cell:
        cell = self.listed[0]
        return dataclasses.replace(cell, workload=cell.workload.with_batch_size(batch_size))


@dataclass(frozen=True)
class Plan:
    """Grids of cells to measure, and how.

    ``order`` is one of `ORDERS`. With ``given``, and too little time for the whole plan, the first grids are the ones
    that get measured.
    """

    name: str
    grids: tuple[Grid, ...]
    description: str = ""
    protocol: Protocol = field(default_factory=Protocol)
    order: str = "random"

    def __post_init__(self) -> None:
        plugins.check(self.order, ORDERS, what="order")
        if not self.grids:
            raise InputError("a plan has workloads", "none", "list some under workloads")
        count = sum(one.count for one in self.grids)
        if count > MAX_CELLS:
            raise InputError(f"a plan has {MAX_CELLS:,} cells at most", f"{count:,}", "leave some out, or plan twice")

    def cells(self, device: Device) -> list[Cell]:
        """Every cell that may be measured on a device, each once, in the order given."""
        return [cell for sweep in self._sweeps(device) for cell in sweep.cells]

    def sweeps(self, device: Device, *, seed: int, shard: Shard | None = None) -> list[Sweep]:
        """The cells on a device by the processes that measure them, in that order; the same for the same seed.

        The cells that a sweep lists are shuffled. So are the sweeps, but for repeats: the first of n comes somewhere in
        the first n-th part of the run, and so on. With order ``given`` sweeps stay as they are.

        A ``shard``, as (3, 10), is a part of them, in that order. Parts share no sweep, and are the whole plan
        together; each has its share of every framework and architecture, and is the same for every seed. Raises
        `InputError` for a part that there is not.
        """
        shuffler = random.Random(seed)
        found = self._sweeps(device)
        mine = None if shard is None else _part(found, shard)
        if self.order == "random":
            repeats = Counter(_first_repeat(sweep) for sweep in found)
            places = {s: (s.listed[0].repeat + shuffler.random()) / repeats[_first_repeat(s)] for s in found}
            found.sort(key=places.__getitem__)
        return [
            dataclasses.replace(sweep, listed=tuple(shuffler.sample(sweep.listed, len(sweep.listed))))
            for sweep in found
            if mine is None or sweep in mine
        ]

    def _sweeps(self, device: Device) -> list[Sweep]:
        listed: dict[Cell, dict[Cell, None]] = {}
        adaptive: dict[Cell, Adaptive | None] = {}
        longest_call_s: dict[Cell, float] = {}
        for one in self.grids:
            for cell in one.cells(device):
                key = group(cell)
                listed.setdefault(key, {})[cell] = None
                adaptive[key] = adaptive.get(key) or one.adaptive
                longest_call_s[key] = min(one.longest_call_s, longest_call_s.get(key, math.inf))
        return [Sweep(tuple(cells), longest_call_s[key], adaptive[key]) for key, cells in listed.items()]


def group(cell: Cell) -> Cell:
    """What the cells that one process measures share: everything but the batch size, which is 1 here."""
    return dataclasses.replace(cell, workload=cell.workload.curve)


def check_shard(shard: Shard) -> None:
    """Raise `InputError` for a part that there is not."""
    part, of = shard
    for number in (part, of):
        _positive("each number of a shard", number)
    if part > of:
        raise InputError("a shard is a part of a plan, counted from 1", f"{part} of {of}", "write for example 3/10")


def _part(sweeps: Sequence[Sweep], shard: Shard) -> set[Sweep]:
    """One part of the sweeps, which are dealt in turn: those that take alike after each other, in a random order."""
    check_shard(shard)
    part, of = shard
    shuffled = random.Random(0).sample(sweeps, len(sweeps))
    return {*sorted(shuffled, key=_alike)[part - 1 :: of]}


def _alike(sweep: Sweep) -> tuple[str, str, str, int, int]:
    """What the seconds that a sweep takes hang on most, as far as a plan tells."""
    first = sweep.listed[0]
    return first.framework, first.workload.architecture, first.workload.dtype, first.threads, len(sweep.listed)


def _first_repeat(sweep: Sweep) -> Cell:
    """What the repeats of a sweep share."""
    return dataclasses.replace(group(sweep.listed[0]), repeat=0)


def names() -> list[str]:
    """Plans that ship with the package."""
    return plugins.names(_FOLDER, suffix=".yaml")


def load_plan(name_or_path: str | os.PathLike[str]) -> Plan:
    """The plan in a YAML file, by the name of one that ships with the package or by path.

    Raises `DataError` for a file that cannot be read or is not YAML, and `InputError` for whatever in it means nothing:
    unknown keys, architectures, hyperparameters, frameworks, values out of range. Each names the file.
    """
    path = _find(name_or_path)
    content = files.read_yaml(path, law="a plan is a YAML file")
    try:
        return parse(content, name=path.stem.replace("_", "-"))
    except FtaxError as error:
        raise type(error)(error.law, f"{error.got} in {path}", error.do) from error


def parse(content: Any, *, name: str) -> Plan:
    """The plan that a parsed YAML file holds; raises `InputError` where it makes no sense.

    Where all sweeps are adaptive, the protocol is theirs (`ftax_model.collection.adaptive.PROTOCOL`), but for the
    values that the file gives.

    >>> text = "{frameworks: fake, workloads: [{architecture: toy, batch_size: [1, 2]}]}"
    >>> len(parse(files.parse_yaml(text), name="two").grids[0].workloads)
    2
    """
    plan = _mapping("a plan", content)
    for key in plan:
        plugins.check(key, ("name", "description", "order", "protocol", *_PLATFORM, "workloads"), what="plan key")
    platform = {key: plan[key] for key in _PLATFORM if key in plan}
    listed = [_mapping("a grid of workloads", one) for one in _listed(plan.get("workloads"))]
    grids = tuple(_within_reason(_grid({**platform, **one}) for one in listed))
    protocol = PROTOCOL.to_record() if grids and all(one.adaptive for one in grids) else {}
    return Plan(
        name=str(plan.get("name", name)),
        description=" ".join(str(plan.get("description", "")).split()),
        protocol=Protocol.from_record({**protocol, **_mapping("protocol", plan.get("protocol", {}))}),
        order=plan.get("order", "random"),
        grids=grids,
    )


def _within_reason(grids: Iterable[Grid]) -> Iterator[Grid]:
    """Grids one by one; raises `InputError` once they have too many workloads together."""
    count = 0
    for one in grids:
        count += len(one.workloads)
        if count > MAX_CELLS:
            raise InputError(f"a plan has {MAX_CELLS:,} cells at most", "more", "leave some out, or plan twice")
        yield one


def _grid(axes: dict[str, Any]) -> Grid:
    platform = {key: axes.pop(key, None) for key in _PLATFORM}
    if "architecture" not in axes:
        raise InputError("a grid of workloads names its architecture", f"only {', '.join(axes) or 'nothing'}", "add it")
    asked_for = axes.pop("architecture")
    names = architectures.names() if asked_for == ALL else _listed(asked_for)
    adaptive = _adaptive(axes.get("batch_size"))
    if adaptive:
        del axes["batch_size"]
    _few(axes, len(names))
    asked = [one for name in names for one in (_smallest(name, axes) if asked_for == ALL else grid(name, **axes))]
    repeats, longest_call_s = platform["repeats"], platform["longest_call_s"]
    if adaptive and longest_call_s is not None:
        cure = "leave one of them out"
        raise InputError("an adaptive batch size chooses itself", f"longest_call_s {longest_call_s} besides", cure)
    return Grid(
        workloads=tuple(dict.fromkeys(architectures.complete(workload) for workload in asked)),
        frameworks=_frameworks(platform["frameworks"]),
        threads=tuple(_listed(1 if platform["threads"] is None else platform["threads"])),
        repeats=1 if repeats is None else repeats,
        longest_call_s=math.inf if longest_call_s is None else longest_call_s,
        adaptive=adaptive,
    )


def _frameworks(asked_for: Any) -> tuple[str, ...]:
    """Those listed; or `ALL`, or all ``{except: [...]}``."""
    left_out: list[Any] = []
    if isinstance(asked_for, Mapping):
        plugins.check(next(iter(asked_for), ""), (EXCEPT,), what="key of frameworks")
        left_out, asked_for = _listed(asked_for[EXCEPT]), ALL
    for name in left_out:
        plugins.check(name, frameworks.names(), what="framework")
    if asked_for == ALL:
        return tuple(name for name in frameworks.installed() if name not in left_out)
    return tuple(_listed(asked_for))


def _smallest(name: str, axes: Mapping[str, Any]) -> list[Workload]:
    """The first workload of an architecture's own grid, with these axes in place of its own."""
    first = architectures.load(name).grid()[0]
    return grid(name, **{**first.settings, "input_size": first.input_size, "lengths": first.lengths, **axes})


def _adaptive(batch_size: Any) -> Adaptive | None:
    """``adaptive``, or a mapping of what is to be otherwise; ``None`` for batch sizes."""
    if batch_size == "adaptive":
        return Adaptive()
    if isinstance(batch_size, Mapping):
        return Adaptive.from_record(_mapping("an adaptive batch size", batch_size))
    return None


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    return plugins.path(_FOLDER, str(name_or_path), suffix=".yaml")


def _few(axes: Mapping[str, Any], factor: int) -> None:
    count = factor
    for values in axes.values():
        count *= len(values) if isinstance(values, list) else 1
    if not 1 <= count <= MAX_CELLS:
        raise InputError(f"a grid has 1 to {MAX_CELLS} workloads", f"{count} of {', '.join(axes)}", "change its lists")


def _mapping(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what} is a mapping of names to values", repr(value)[:60], "write it as name: value")
    return dict(value)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _positive(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{what} is a whole number above 0", repr(value), "give such a number")
