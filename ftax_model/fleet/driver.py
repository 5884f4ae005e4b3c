"""Driver: gives the machines of a fleet the cells that their kind of device lacks, and alone writes what comes back.

What happens on one machine is a generator of calls to its station (`Fleet._life`); answers are sent into it, and it is
closed where the machine is lost. The driver itself waits for nothing but the next answer.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections import ChainMap, Counter, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ftax_model.collection import frameworks
from ftax_model.collection.plan import Plan, Shard, Sweep
from ftax_model.collection.runner import Pace, Progress, Summary, describe
from ftax_model.collection.worker import Setup, failed
from ftax_model.collection.worker_pool import Interrupts
from ftax_model.dataset import Outcome, Writer
from ftax_model.device import Device
from ftax_model.errors import FtaxError, InputError, MissingError, one_line
from ftax_model.fleet import sentinels
from ftax_model.fleet.engine import RESOURCE, Engine
from ftax_model.measurement import Cell, Measurement, Profile, Record

POLL_S = 2.0
"""Seconds between two looks at which machines are there."""
PATIENCE_S = 60.0
"""Seconds that machines are waited for: the first of all, and those that were lost while cells are left for them."""
CHECK_S = 1800.0
"""Seconds of measuring after which sentinels are measured again."""
AWAY_S = 15.0
"""Those for which a machine that was lost is left alone; a cluster may take as long to see that it is gone."""
MOST_LOSSES = 2
"""Machines that a cell may be lost with before it is left for another run, and times that a machine may be lost without
any cell in between."""

Call = tuple[str, tuple[Any, ...]]
Life = Generator[Call | None, Any, Any]
"""Calls to a station, answers sent in; ``None`` waits until there may be work again."""


@dataclass
class Machine:
    """One machine of a fleet and what became of it, in cells; ``device`` is the name of its platform's device."""

    name: str
    device: str = ""
    measured: int = 0
    failed: int = 0
    lost: int = 0
    note: str = ""
    kind: Device | None = field(default=None, repr=False)
    frameworks: frozenset[str] = field(default=frozenset(), repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    refused: bool = field(default=False, repr=False)
    runs: int = field(default=0, repr=False)
    away_until: float = field(default=-math.inf, repr=False)
    in_a_row: int = field(default=0, repr=False)

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        names = ("name", "device", "measured", "failed", "lost", "note", "versions")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class FleetSummary:
    """What one collection on a fleet did: in all, machine by machine, and what is to be said of it."""

    all: Summary
    machines: tuple[Machine, ...]
    notes: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        machines = [one.to_record() for one in self.machines]
        return {**self.all.to_record(), "machines": machines, "notes": list(self.notes)}

    def __str__(self) -> str:
        return f"{self.all}; {len(self.machines)} machine{'s' * (len(self.machines) != 1)}"


class Work:
    """The sweeps of one device that are left, for the machines that have it; each is taken once at a time."""

    def __init__(self, sweeps: Iterable[Sweep]) -> None:
        self.at_work = 0
        self._waiting: dict[str, list[tuple[int, Sweep]]] = {}
        self._place: dict[Sweep, int] = {}
        for place, sweep in enumerate(sweeps):
            self._place[sweep] = place
            self.give_back(sweep)

    def take(self, installed: Iterable[str]) -> Sweep | None:
        """The next sweep of one of these frameworks, if there is one."""
        heaps = [self._waiting[name] for name in installed if self._waiting.get(name)]
        if not heaps:
            return None
        self.at_work += 1
        return heapq.heappop(min(heaps, key=lambda heap: heap[0][0]))[1]

    def give_back(self, sweep: Sweep) -> None:
        """A sweep that is not at its end, in the place that it had."""
        heapq.heappush(self._waiting.setdefault(sweep.listed[0].framework, []), (self._place[sweep], sweep))

    def waiting(self) -> dict[str, int]:
        """How many sweeps of each framework wait."""
        return {name: len(heap) for name, heap in self._waiting.items() if heap}

    def holds(self, installed: Iterable[str]) -> bool:
        """Whether sweeps of one of these frameworks wait."""
        return any(self._waiting.get(name) for name in installed)


class Fleet:
    """One collection of a plan on the machines of an engine.

    ``writer`` takes the measurements, ``beside`` what was measured to tell machines apart, ``profiles`` the operator
    profiles, where they are wanted; the others are as in `ftax_model.fleet.collect`.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        writer: Writer,
        beside: Writer,
        profiles: Writer | None = None,
        *,
        seed: int = 0,
        shard: Shard | None = None,
        budget_s: float | None = None,
        same_environment: bool = False,
        patience_s: float = PATIENCE_S,
        check_s: float = CHECK_S,
        tell: Progress | None = None,
    ) -> None:
        self._plan, self._engine, self._same = plan, engine, same_environment
        self._seed, self._shard = seed, shard
        self._writers: dict[type[Record], Writer] = {Measurement: writer}
        if profiles is not None:
            self._writers[Profile] = profiles
        repeats = max(one.repeats for one in plan.grids)
        self._sentinels = sentinels.Sentinels(beside, writer, repeats=repeats)
        self._patience_s, self._check_s = patience_s, check_s
        self._tell = tell or (lambda done, planned, now: None)
        self._begin = engine.now()
        self._deadline = math.inf if budget_s is None else self._begin + budget_s
        self._sitting = datetime.now(UTC).isoformat(timespec="seconds")
        self._machines: dict[str, Machine] = {}
        self._lives: dict[str, Life] = {}
        self._ready: deque[tuple[str, Any]] = deque()
        self._parked: dict[str, None] = {}
        self._met = self._changed = False
        self._sweeps: dict[str, list[Sweep]] = {}
        self._work: dict[tuple[type[Record], str], Work] = {}
        self._left: dict[type[Record], dict[str, Outcome]] = {kind: {} for kind in self._writers}
        self._losses: Counter[str] = Counter()
        self._pace = Pace(plan.protocol.cell_s)
        self._features: dict[str, Mapping[str, float]] = {}
        self._summaries = {kind: Summary(0, 0) for kind in self._writers}
        self._stopped_by = ""
        self._spent: set[str] = set()
        self._notes: dict[str, None] = {}

    def run(self, interrupts: Interrupts | None = None) -> FleetSummary:
        """Measure until nothing is left that a machine could do, or until a signal or the budget says so.

        Raises `MissingError` where no machine comes, `InputError` where environments differ that should not, and
        `DataError` where a file takes no more. What was measured until then is written.
        """
        polled, busy = -math.inf, self._begin
        while not self._stopped_by:
            now = self._engine.now()
            if now - polled >= POLL_S:
                polled = now
                self._welcome(self._engine.machines())
            self._changed = self._changed or not self._met
            self._go_on()
            if self._lives:
                busy = now
            elif self._is_over(now - busy):
                break
            answer = self._engine.next(POLL_S)
            if interrupts is not None and interrupts.name:
                self._stopped_by = interrupts.name
            elif self._engine.now() >= self._deadline:
                self._stopped_by = "budget"
            elif answer is not None and answer.machine in self._lives:
                if answer.lost:
                    self._lose(answer.machine, answer.lost)
                else:
                    self._ready.append((answer.machine, answer.value))
        for life in self._lives.values():
            life.close()
        able = [one for one in self._machines.values() if one.device or one.refused]
        if not (able or self._stopped_by or self._spent):
            first = next(iter(self._machines.values()))
            raise MissingError("a machine of a fleet measures", f"{first.name} {first.note}", "mend that and run again")
        return self._summary()

    def _welcome(self, names: Iterable[str]) -> None:
        """Begin with machines that are there and may have something to do."""
        for name in names:
            machine = self._machines.setdefault(name, Machine(name))
            if name not in self._lives and self._is_of_use(machine) and machine.away_until <= self._engine.now():
                machine.runs += 1
                self._lives[name] = self._life(machine)
                self._engine.start(name)
                self._ready.append((name, None))

    def _go_on(self) -> None:
        """Make the calls that follow from answers, and from work that came back."""
        while self._ready or self._wakes():
            name, value = self._ready.popleft()
            try:
                call = self._lives[name].send(value)
            except StopIteration:
                self._end(name)
                continue
            except _GoneError as error:
                self._lose(name, str(error))
                continue
            if call is None:
                self._parked[name], self._changed = None, True
            else:
                self._engine.call(name, *call)

    def _wakes(self) -> bool:
        """Whether some go on that wait: for the others to tell what they are, or for work that comes back."""
        if not self._changed:
            return False
        self._changed = False
        if not self._met:
            waits = self._engine.now() - self._begin < self._patience_s
            if waits and any(name not in self._parked for name in self._lives):
                return False
            self._met = True
            self._compare_environments()
        for name in [one for one in self._parked if self._may_go_on(self._machines[one])]:
            del self._parked[name]
            self._ready.append((name, None))
        return bool(self._ready)

    def _may_go_on(self, machine: Machine) -> bool:
        """Whether work waits for a machine, or none will come back."""
        own = self._work_of(machine)
        return any(work.holds(machine.frameworks) for work in own) or not any(work.at_work for work in own)

    def _is_of_use(self, machine: Machine) -> bool:
        """Whether a machine that is not at work has anything to do: one that is new, or work that came back."""
        if machine.refused or machine.in_a_row > MOST_LOSSES or machine.name in self._spent:
            return False
        return not machine.device or any(work.holds(machine.frameworks) for work in self._work_of(machine))

    def _work_of(self, machine: Machine) -> list[Work]:
        return [self._work[at] for kind in self._writers if (at := (kind, machine.device)) in self._work]

    def _is_over(self, idle_s: float) -> bool:
        """Whether nobody is at work, and nobody is worth waiting for."""
        if self._machines and not any(map(self._is_of_use, self._machines.values())):
            return True
        if idle_s < self._patience_s:
            return False
        if not self._machines:
            cure = f"start its nodes with ray start --resources '{{\"{RESOURCE}\": 1}}'"
            raise MissingError("a fleet has machines", f"no node that offers {RESOURCE} in {idle_s:.0f} s", cure)
        return True

    def _end(self, name: str) -> None:
        del self._lives[name]
        self._engine.stop(name)
        self._changed = True

    def _lose(self, name: str, why: str) -> None:
        """A machine is gone, and what it was at goes to others."""
        machine = self._machines[name]
        machine.lost += 1
        machine.in_a_row += 1
        machine.note, machine.away_until = f"lost: {why}", self._engine.now() + AWAY_S
        self._parked.pop(name, None)
        self._lives[name].close()
        self._end(name)

    def _life(self, machine: Machine) -> Life:
        """What a machine does, from its first answer to its last."""
        self._take(machine, (yield "describe", ()))
        yield None
        if machine.refused:
            return
        machine.device = yield from self._placed(machine, self._sentinels.device(machine.name, _name(machine)))
        measured = machine.measured
        for kind in self._writers:
            yield from self._all(machine, kind)
        if machine.measured > measured and machine.name not in self._spent:
            yield from self._check(machine)

    def _take(self, machine: Machine, told: Mapping[str, Any]) -> None:
        """Note what a machine told of itself; raises `_GoneError` where it is not understood."""
        try:
            peaks = tuple((dtype, rate) for dtype, rate in told["device"]["peak_macs"])
            machine.kind = Device(**{**told["device"], "peak_macs": peaks})
            machine.frameworks, machine.versions = frozenset(told["frameworks"]), dict(told["versions"])
            niceness = int(told["niceness"])
        except (KeyError, TypeError, ValueError) as error:
            raise _GoneError(f"it has another ftax_model, install the same there ({one_line(error)})") from error
        if niceness > 0:
            cure = "start its node with RAY_worker_niceness=0"
            self._notes[f"other programs come first on {machine.name} (niceness {niceness}): {cure}"] = None
        first = next((one for one in self._machines.values() if one.versions and not one.refused), machine)
        if self._met and self._same and (apart := _differences([first, machine])):
            machine.refused, machine.note = True, f"refused: {apart}"
            self._notes[f"{machine.name} came later and was refused: {apart}"] = None

    def _compare_environments(self) -> None:
        """Say where versions differ among the machines that were there at first, or refuse that."""
        apart = _differences([one for one in self._machines.values() if one.versions])
        if apart and self._same:
            cure = "install the same on all nodes, or leave --same-environment out"
            raise InputError("all machines have the same versions (--same-environment)", apart, cure)
        if apart:
            self._notes[f"versions differ, and are in every record: {apart}"] = None

    def _placed(self, machine: Machine, device: str) -> Generator[Call | None, Any, str]:
        """What the device of a machine is called, told by sentinels: as given, as another of its kind, or anew."""
        yield self._open(machine, device)
        cells = sentinels.cells(self._sweeps[device], machine.frameworks)
        for _ in range(2):  # noise is taken for a difference once in a hundred times
            seen = []
            for cell in cells:
                one = yield from self._ask(machine, Measurement, cell)
                seen += [one] if isinstance(one, Measurement) and one.status == "ok" else []
            found, known = self._sentinels.like(seen, first=device, usual=_name(machine))
            if known:
                break
        if not known:
            self._notes[f"{machine.name} is not like others of {_name(machine)}: its device is called {found}"] = None
        self._sentinels.add(seen, found)
        if found != device:
            yield self._open(machine, found)
        return found

    def _check(self, machine: Machine) -> Life:
        """Measure sentinels again, and say where a machine is not any more what it was."""
        was = machine.device
        machine.device = yield from self._placed(machine, was)
        if machine.device != was:
            self._notes[
                f"{machine.name} turned from {was} into {machine.device} while it measured; look at its last cells of"
                f" {was} before they are used (environment.machine, measured_at)"
            ] = None

    def _all(self, machine: Machine, kind: type[Record]) -> Life:
        """Sweep after sweep, until none is left or may come back."""
        checked = self._engine.now()
        while machine.name not in self._spent:
            if self._engine.now() - checked > self._check_s:
                yield from self._check(machine)
                checked = self._engine.now()
            work = self._work_on(kind, machine.device)
            sweep = work.take(machine.frameworks)
            if sweep is None:
                if not work.at_work:
                    return
                yield None
                continue
            may = len(sweep.wanted(self._done(kind)))
            try:
                yield from self._along(machine, kind, sweep)
            finally:
                work.at_work -= 1
                self._changed = True
                if sweep.next(self._done(kind)):
                    work.give_back(sweep)
                else:
                    self._count(kind, planned=len(sweep.wanted(self._done(kind))) - may)

    def _along(self, machine: Machine, kind: type[Record], sweep: Sweep) -> Life:
        """The cells of one sweep, as far as there is time."""
        while cell := sweep.next(self._done(kind)):
            begin = self._engine.now()
            if begin + self._pace.expected_s(cell) > self._deadline:
                self._spent.add(machine.name)
                return
            self._losses[cell.key] += 1
            if self._losses[cell.key] > MOST_LOSSES:
                self._left[kind][cell.key] = Outcome("left", None)
                self._notes[f"{describe(cell)} was left: {MOST_LOSSES} machines were lost with it"] = None
                continue
            if kind is Profile and (status := self._writers[Measurement].done[cell.key].status) != "ok":
                record: Record = failed(Profile, cell, status, "so ended its measurement")
            else:
                record = yield from self._ask(machine, kind, cell)
            del self._losses[cell.key]
            self._writers[kind].write(record)
            good = record.status == "ok"
            machine.in_a_row = 0
            if kind is Measurement:
                machine.measured += good
                machine.failed += not good
            self._count(kind, measured=int(good), failed=int(not good))
            self._pace.note(cell, self._engine.now() - begin)
            summary = self._summaries[kind]
            self._tell(summary.done, summary.planned, f"{describe(cell)} on {machine.name}")

    def _ask(self, machine: Machine, kind: type[Record], cell: Cell) -> Generator[Call | None, Any, Record]:
        """What a machine found of a cell; raises `_GoneError` where it cannot measure."""
        features = self._features.get(cell.workload.key)
        told = yield "look", (kind.__name__, cell.to_record(), features)
        if "stop" in told:
            raise _GoneError(told["stop"])
        try:
            found = kind.from_record(told["record"])
        except FtaxError as error:
            raise _GoneError(f"what it sent is no record: {error}") from error
        if isinstance(found, Measurement) and found.features:
            self._features[cell.workload.key] = found.features
        return found

    def _open(self, machine: Machine, device: str) -> Call:
        """Have a station measure as this device from now on."""
        assert machine.kind is not None
        where = dataclasses.replace(machine.kind, name=device)
        setup = Setup(where, self._plan.protocol, self._seed, f"{self._sitting} {machine.name} {machine.runs}")
        if device not in self._sweeps:
            self._sweeps[device] = self._plan.sweeps(where, seed=self._seed, shard=self._shard)
        firsts = (sweep.listed[0] for sweep in self._sweeps[device])
        pairs = {(cell.workload.architecture, cell.framework): cell for cell in firsts}
        return "open", (setup.to_record(), [cell.to_record() for cell in pairs.values()])

    def _work_on(self, kind: type[Record], device: str) -> Work:
        """What is left of a device; of profiles once all that could be measured is."""
        if (kind, device) not in self._work:
            sweeps, done = self._sweeps[device], self._done(kind)
            if kind is Profile:
                measured = self._writers[Measurement].done
                sweeps = [Sweep(one.wanted(measured)) for one in sweeps if _can_be_profiled(one)]
                sweeps = [one for one in sweeps if one.listed and all(cell.key in measured for cell in one.listed)]
            self._work[kind, device] = Work(sweep for sweep in sweeps if sweep.next(done))
            cells = [cell for sweep in sweeps for cell in sweep.wanted(done)]
            self._count(kind, planned=len(cells), done_before=sum(cell.key in done for cell in cells))
        return self._work[kind, device]

    def _done(self, kind: type[Record]) -> Mapping[str, Outcome]:
        """How the cells ended that are done, and those that are left for another run."""
        return ChainMap(self._left[kind], self._writers[kind].done)

    def _count(self, kind: type[Record], **more: int) -> None:
        own = self._summaries[kind]
        self._summaries[kind] = dataclasses.replace(own, **{name: getattr(own, name) + by for name, by in more.items()})

    def _summary(self) -> FleetSummary:
        stopped_by = self._stopped_by or ("budget" if self._spent else "")
        own = {kind: dataclasses.replace(one, stopped_by=stopped_by) for kind, one in self._summaries.items()}
        for (kind, device), work in self._work.items():
            for name, count in work.waiting().items():
                if not stopped_by and not any(name in one.frameworks for one in self._machines.values()):
                    what = "measured" if kind is Measurement else "profiled"
                    self._notes[f"{name} is on no machine: {count} sweeps of {device} were not {what}"] = None
        machines = tuple(sorted(self._machines.values(), key=lambda one: one.name))
        return FleetSummary(
            dataclasses.replace(own[Measurement], operators=own.get(Profile)), machines, tuple(self._notes)
        )


class _GoneError(Exception):
    """A machine that cannot measure any more."""


def _can_be_profiled(sweep: Sweep) -> bool:
    """Whether a sweep is a first repeat, of a framework that runs the operators of the trace."""
    first = sweep.listed[0]
    with suppress(MissingError):
        device = Device(first.device, "cpu", "", "", 1)
        return first.repeat == 0 and not frameworks.load(first.framework).supports_profile(first.workload, device)
    return False


def _name(machine: Machine) -> str:
    """What the device of a machine calls itself."""
    assert machine.kind is not None
    return machine.kind.name


def _differences(machines: Sequence[Machine]) -> str:
    """Versions that differ, with the machines that have them; empty where none does."""
    found = []
    for what in dict.fromkeys(name for one in machines for name in one.versions):
        own: dict[str, list[str]] = {}
        for one in machines:
            own.setdefault(one.versions.get(what, "none"), []).append(one.name)
        if len(own) > 1:
            said = (f"{version} ({', '.join(names[:3])}{' ...' * (len(names) > 3)})" for version, names in own.items())
            found.append(f"{what} {', '.join(said)}")
    return "; ".join(found)
