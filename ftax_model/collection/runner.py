"""Runner: measures and profiles the cells of a plan that a dataset does not hold yet, groups in their own processes."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftax_model import architectures, outside
from ftax_model.collection import frameworks, worker
from ftax_model.collection.builders import builder
from ftax_model.collection.plan import Grid, Plan, Shard, Sweep, group, load_plan
from ftax_model.collection.timing import Protocol
from ftax_model.collection.worker import Setup
from ftax_model.collection.worker_pool import InProcess, Interrupts, Isolated, Stop, WorkerPool
from ftax_model.dataset import Outcome, Writer, operators_file, read
from ftax_model.device import Device, detect
from ftax_model.errors import InputError, MissingError
from ftax_model.measurement import Cell, Measurement, Profile, Record
from ftax_model.workload import Workload

ENOUGH = "enough"
"""What stopped a run that was told so."""

Progress = Callable[[int, int, str], None]
"""Called with the cells done, the cells planned (adaptive sweeps may do with fewer) and what is happening now."""


@dataclass(frozen=True)
class Summary:
    """What one run of `collect` did, in cells.

    ``planned`` are all that may be measured, less those that sweeps turned out not to need; ``done_before``
    were in the dataset already; ``failed`` were recorded with a status other than ``ok``; ``stopped_by`` is ``budget``,
    ``enough``, ``SIGINT``, ``SIGTERM``, ``a lost device`` and why or, where the run came to its end, empty.
    ``operators`` is the summary of the profiles, where they were asked for.
    """

    planned: int
    done_before: int
    measured: int = 0
    failed: int = 0
    stopped_by: str = ""
    operators: Summary | None = None

    @property
    def done(self) -> int:
        """Cells of the plan that the dataset holds now."""
        return self.done_before + self.measured + self.failed

    @property
    def remaining(self) -> int:
        """Cells of the plan that another run would measure, or at most, where sweeps are adaptive."""
        return self.planned - self.done

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        own = {**dataclasses.asdict(self), "remaining": self.remaining}
        return {**own, "operators": self.operators.to_record() if self.operators else None}

    def __str__(self) -> str:
        parts = [f"{self.measured} cells measured"]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.done_before} done before"] if self.done_before else []
        parts += [f"{self.remaining} of {self.planned} remain"] if self.remaining else []
        if self.stopped_by == ENOUGH:
            parts += ["the error to be expected falls no more"]
        elif self.stopped_by:
            parts += [f"stopped by {self.stopped_by}: run again to go on"]
        return ", ".join(parts) + (f"; operators: {self.operators}" if self.operators else "")


def collect(
    plan: Plan | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    device: str = "cpu",
    seed: int = 0,
    shard: Shard | None = None,
    budget_s: float | None = None,
    isolate: bool = True,
    operators: bool = False,
    trust: bool = False,
    on_progress: Progress | None = None,
    enough: Callable[[], bool] | None = None,
) -> Summary:
    """Measure every cell of a plan that the dataset ``out`` does not hold yet, and append each as soon as it is known.

    ``plan`` is a plan, or the name or path of one; ``out`` a ``.jsonl`` file, made where there is none; ``device`` a
    device kind, ``cpu`` or ``cuda``; ``seed`` that of the order of cells, of weights and inputs. A ``shard``, as
    (3, 10), is the part of the plan that this machine measures; see `Plan.sweeps`.

    After ``budget_s`` seconds it stops, and begins no cell that would take longer. The first SIGINT or SIGTERM stops it
    too. The cell at hand is dropped then, and measured by the next run.

    With ``isolate`` cells are measured in worker processes: one that crashes, hangs or runs out of memory costs that
    cell alone, which is recorded with its status and reason. Without, all is done in this process; a crash is a crash,
    and nothing cuts a cell short. A device that is lost stops the run; the cell at hand is measured by the next one.

    With ``operators``, once all cells are measured, each is profiled in another worker, its first repeat alone, for the
    time of every operator; see `ftax_model.dataset.operators_file` for where that is written. Cells of frameworks that
    do not run the operators of the trace are left out.

    Cells of frameworks that are not installed (`missing`) are recorded as unsupported. Models from outside that run
    code are measured where the plan is one to ``trust``.

    ``on_progress`` is called before each cell and at the end. ``enough`` is asked after each sweep of batch sizes, and
    ends the run once it is true.

    Raises `FtaxError` before anything is measured where plan, device, framework or output are no good, and `DataError`
    where the output takes no more.
    """
    begin = time.monotonic()
    check_budget(budget_s)
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    where = detect(device)
    sweeps = plan.sweeps(where, seed=seed, shard=shard)
    for curve in {one.listed[0].workload.curve for one in sweeps}:
        if outside.is_one(curve):
            outside.check_trust(curve.architecture, str(curve.settings["place"]), trust=trust)
    absent = missing(plan)
    modules = preload(one.listed[0] for one in sweeps if one.listed[0].framework not in absent)
    setup = Setup(where, plan.protocol, seed)
    deadline = math.inf if budget_s is None else begin + budget_s
    run = functools.partial(_run, deadline=deadline, first_guess_s=plan.protocol.cell_s, tell=on_progress or _silent)
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(out))
        profiles = stack.enter_context(Writer(operators_file(out), Profile)) if operators else None
        interrupts = stack.enter_context(Interrupts())
        pool: WorkerPool = Isolated(setup, modules, interrupts, deadline) if isolate else InProcess(setup, interrupts)
        stack.enter_context(pool)
        summary = run(sweeps, _measured_by(pool, absent), writer, enough=enough)
        if profiles is not None:
            here = [one for one in sweeps if one.listed[0].framework not in absent]
            firsts = [Sweep(one.wanted(writer.done)) for one in here if _can_be_profiled(one, where)]
            look = _profiled_by(pool, writer.done)
            summary = dataclasses.replace(summary, operators=run(firsts, look, profiles, stopped_by=summary.stopped_by))
    return summary


def measure(
    workloads: Iterable[Workload],
    frameworks: Iterable[str],
    *,
    threads: Iterable[int] = (1,),
    repeats: int = 1,
    device: str = "cpu",
    out: str | os.PathLike[str] | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    budget_s: float | None = None,
    trust: bool = False,
    on_progress: Progress | None = None,
) -> list[Measurement]:
    """The measurements of workloads, registered ones or from outside (`ftax_model.outside`), in each framework.

    As `collect` takes them, with one ``protocol``: each sweep of batch sizes in a process of its own, ``repeats``
    times; those that fail with their reason. They are in the order of repeats, workloads, frameworks and threads. With
    ``out``, a ``.jsonl`` file, they are appended to that, and those that it holds already are not measured again. What
    the budget or a signal left no time for is not among them. Workloads that run code are ones to ``trust``. Raises as
    `collect` does.
    """
    cells = Grid(tuple(map(architectures.complete, workloads)), tuple(frameworks), tuple(threads), repeats)
    plan = Plan("these models", (cells,), protocol=protocol or Protocol())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measurements.jsonl" if out is None else Path(out)
        collect(plan, file, device=device, seed=seed, budget_s=budget_s, trust=trust, on_progress=on_progress)
        found = {one.cell.key: one for one in read(file)}
    return [found[cell.key] for cell in plan.cells(detect(device)) if cell.key in found]


def check_budget(budget_s: float | None) -> None:
    """Raise `InputError` for what is no number of seconds to measure in."""
    if budget_s is not None and not budget_s > 0:
        raise InputError("a budget is a number of seconds above 0", repr(budget_s), "give such a number, or none")


def missing(plan: Plan) -> dict[str, str]:
    """What each framework of a plan needs that is not installed; empty where all are."""
    found = {}
    for name in dict.fromkeys(name for one in plan.grids for name in one.frameworks):
        try:
            frameworks.load(name)
        except MissingError as error:
            found[name] = f"not installed: {error.law}"
    return found


class Pace:
    """How long a cell may take, from what the cells before it took."""

    def __init__(self, first_guess_s: float) -> None:
        self._first_guess_s = first_guess_s
        self._longest: dict[Cell, float] = {}
        self._total_s, self._count = 0.0, 0

    def note(self, cell: Cell, seconds: float) -> None:
        """A cell took so many seconds."""
        self._longest[group(cell)] = max(seconds, self._longest.get(group(cell), 0.0))
        self._total_s += seconds
        self._count += 1

    def expected_s(self, cell: Cell) -> float:
        """The longest seen in the cell's group, else the mean of all, else the protocol's."""
        mean = self._total_s / self._count if self._count else self._first_guess_s
        return self._longest.get(group(cell), mean)


def _run(
    sweeps: Iterable[Sweep],
    look: Callable[[Cell], Record],
    writer: Writer,
    *,
    deadline: float,
    first_guess_s: float,
    tell: Progress,
    stopped_by: str = "",
    enough: Callable[[], bool] | None = None,
) -> Summary:
    """Look at every cell that the writer does not hold yet, until something stops it or has stopped the run before."""
    wanted = {sweep: sweep.wanted(writer.done) for sweep in sweeps}
    cells = [cell for own in wanted.values() for cell in own]
    summary = Summary(len(cells), sum(cell.key in writer.done for cell in cells), stopped_by=stopped_by)
    pace = Pace(first_guess_s)
    for sweep, may in wanted.items():
        while not summary.stopped_by and (cell := sweep.next(writer.done)):
            begin = time.monotonic()
            if begin + pace.expected_s(cell) > deadline:
                summary = dataclasses.replace(summary, stopped_by="budget")
                break
            tell(summary.done, summary.planned, describe(cell))
            try:
                record = look(cell)
            except Stop as stop:
                summary = dataclasses.replace(summary, stopped_by=str(stop))
                break
            writer.write(record)
            pace.note(cell, time.monotonic() - begin)
            column = "measured" if record.status == "ok" else "failed"
            summary = dataclasses.replace(summary, **{column: getattr(summary, column) + 1})
        if enough is not None and not summary.stopped_by and enough():
            summary = dataclasses.replace(summary, stopped_by=ENOUGH)
        spared = len(may) - len(sweep.wanted(writer.done))
        summary = dataclasses.replace(summary, planned=summary.planned - spared)
    tell(summary.done, summary.planned, f"stopped by {summary.stopped_by}" if summary.stopped_by else "done")
    return summary


def _measured_by(pool: WorkerPool, absent: Mapping[str, str]) -> Callable[[Cell], Measurement]:
    """Has the pool measure a cell, with the features of its workload once they are known.

    ``absent`` says of frameworks why they are not here.
    """
    features: dict[str, Mapping[str, float]] = {}

    def look(cell: Cell) -> Measurement:
        if cell.framework in absent:
            return worker.failed(Measurement, cell, "unsupported", absent[cell.framework])
        measurement = pool.measure(cell, features=features.get(cell.workload.key))
        if measurement.features:
            features[cell.workload.key] = measurement.features
        return measurement

    return look


def _profiled_by(pool: WorkerPool, outcomes: Mapping[str, Outcome]) -> Callable[[Cell], Profile]:
    """Has the pool profile a cell, unless measuring it failed: then the profile fails with it."""

    def look(cell: Cell) -> Profile:
        status = outcomes[cell.key].status
        return (
            pool.profile(cell) if status == "ok" else worker.failed(Profile, cell, status, "so ended its measurement")
        )

    return look


def _can_be_profiled(sweep: Sweep, device: Device) -> bool:
    first = sweep.listed[0]
    return first.repeat == 0 and not frameworks.load(first.framework).supports_profile(first.workload, device)


def preload(cells: Iterable[Cell]) -> list[str]:
    """Modules that cells of frameworks that are installed need, the plugins' own among them."""
    pairs = {(cell.workload.architecture, cell.framework): cell for cell in cells}
    plugins = [one for cell in pairs.values() for one in (frameworks.load(cell.framework), builder(cell.workload))]
    return list(dict.fromkeys(module for plugin in plugins for module in (*plugin.preload, type(plugin).__module__)))


def describe(cell: Cell) -> str:
    """A cell in a few words, for people."""
    return f"{architectures.label(cell.workload)}, batch {cell.workload.batch_size}, {cell.framework}"


def _silent(done: int, planned: int, now: str) -> None:
    pass
