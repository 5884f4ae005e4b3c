"""A fleet of simulated machines under the real driver: what the driver costs, and what lost machines cost the fleet.

    .venv/bin/python scripts/simulate_fleet.py --cells 1000000 --machines 100

Machines are of several kinds, take simulated seconds for a cell, and are lost at random and come back. The driver, the
plan, the records and the file that they are written to are real. Prints a line a fleet: ``busy`` is the share of the
machines' time that went into cells that count.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import itertools
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.plan import Grid, Plan
from ftax_model.dataset import Writer
from ftax_model.device import Device
from ftax_model.fleet import sentinels_file
from ftax_model.fleet.driver import Fleet, FleetSummary
from ftax_model.fleet.engine import Answer
from ftax_model.measurement import Cell, Measurement, Profile
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload, grid

CELL_S = 0.5
"""Simulated seconds of one cell."""
START_S = 5.0
"""Those of a station that starts, and of worker processes that do."""
NOISE = 0.01
"""Standard deviation of log latency from one measurement to the next."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
VERSIONS = {"python": "3.11", "torch": "2.13.0"}


@dataclass
class Simulated:
    """A machine: its device, and how many times as long it takes as others of that name."""

    name: str
    device: str
    factor: float = 1.0
    versions: Mapping[str, str] = field(default_factory=lambda: VERSIONS)
    lost_every_s: float = float("inf")
    away_s: float = 60.0
    frameworks: tuple[str, ...] = ("fake",)
    niceness: int = 0
    there: bool = True
    run: int = 0
    busy_s: float = 0.0
    setup: Mapping[str, Any] = field(default_factory=dict)


class Simulation:
    """An engine (`ftax_model.fleet.engine.Engine`) of simulated machines on a simulated clock."""

    def __init__(self, machines: Sequence[Simulated], *, seed: int = 0, cell_s: float = CELL_S) -> None:
        self._own = {one.name: one for one in machines}
        self._draw = random.Random(seed)
        self._cell_s = cell_s
        self._now = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, int, Any]] = []
        self._features: dict[Workload, dict[str, float]] = {}
        self.took_s, self.lost = 0.0, 0
        self.asked: list[tuple[float, str, str]] = []
        for one in machines:
            self._lose_later(one)

    def machines(self) -> list[str]:
        """As `Engine` says."""
        return [one.name for one in self._own.values() if one.there]

    def start(self, machine: str) -> None:
        """As `Engine` says."""
        self._own[machine].run += 1

    def call(self, machine: str, method: str, arguments: Sequence[Any]) -> None:
        """As `Engine` says."""
        begin = time.perf_counter()
        one = self._own[machine]
        seconds, value = getattr(self, f"_{method}")(one, *arguments)
        if one.there:
            self._later(seconds, machine, one.run, Answer(machine, value))
        else:
            self._later(seconds, machine, one.run, Answer(machine, lost="it is not there"))
        self.took_s += time.perf_counter() - begin

    def next(self, within_s: float) -> Answer | None:
        """As `Engine` says."""
        begin = time.perf_counter()
        try:
            return self._next(self._now + within_s)
        finally:
            self.took_s += time.perf_counter() - begin

    def _next(self, end: float) -> Answer | None:
        while self._events and self._events[0][0] <= end:
            self._now, _, name, run, what = heapq.heappop(self._events)
            one = self._own[name]
            if what == "leave":
                one.there, self.lost = False, self.lost + 1
                self._later(one.away_s, name, 0, "come")
                self._later(0.0, name, one.run, Answer(name, lost="the node died"))
            elif what == "come":
                one.there = True
                self._lose_later(one)
            elif run == one.run:  # not of a station that was stopped since
                return what  # type: ignore[no-any-return]
        self._now = end
        return None

    def stop(self, machine: str) -> None:
        """As `Engine` says."""
        self._own[machine].run += 1

    def now(self) -> float:
        """As `Engine` says."""
        return self._now

    def close(self) -> None:
        """As `Engine` says."""
        self._events.clear()

    def _later(self, seconds: float, machine: str, run: int, what: Any) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._order), machine, run, what))

    def _lose_later(self, one: Simulated) -> None:
        if one.lost_every_s < float("inf"):
            self._later(self._draw.expovariate(1 / one.lost_every_s), one.name, 0, "leave")

    def _describe(self, one: Simulated) -> tuple[float, dict[str, Any]]:
        device = Device(one.device, "cpu", one.device, one.device, 2)
        told = {"device": dataclasses.asdict(device), "frameworks": list(one.frameworks), "versions": one.versions}
        return START_S, {**told, "niceness": one.niceness}

    def _open(self, one: Simulated, setup: Mapping[str, Any], cells: Sequence[Any]) -> tuple[float, None]:
        one.setup = setup
        return START_S, None

    def _look(
        self, one: Simulated, kind: str, cell: Mapping[str, Any], features: Mapping[str, float] | None
    ) -> tuple[float, dict[str, Any]]:
        wanted = Cell.from_record(cell)
        assert wanted.device == one.setup["device"]["name"]
        self.asked.append((self._now, one.name, wanted.key))
        seconds = self._cell_s * self._draw.uniform(0.5, 1.5)
        one.busy_s += seconds
        if kind == Profile.__name__:
            return seconds, {"record": Profile(wanted, latency_s=1e-3, profiled_s=1e-3, events=1, calls=3).to_record()}
        if wanted.workload not in self._features:
            self._features[wanted.workload] = trace_workload.__wrapped__(wanted.workload).features()
        own = self._features[wanted.workload]
        latency_s = Fake.seconds(own) * one.factor * self._draw.lognormvariate(0.0, NOISE)
        record = Measurement(
            wanted,
            latency_s=latency_s,
            samples=(latency_s,),
            features=own,
            environment={"sitting": one.setup["sitting"], "versions": one.versions, "machine": one.name},
        )
        return seconds, {"record": record.to_record()}


def plan(cells: int) -> Plan:
    """A plan of so many ``toy`` cells, or a few more, on each device: depths and widths, `SIZES`, repeats."""
    repeats = 5 if cells >= 1000 else 1
    models = -(-cells // (len(SIZES) * repeats))
    depths = max(int(models**0.5), 1)
    widths = -(-models // depths)
    toys = grid(
        "toy", num_layers=[*range(2, 2 + depths)], width=[*range(8, 8 + widths)], batch_size=[*SIZES], input_size=1
    )
    return Plan("simulated", (Grid(tuple(toys), ("fake",), (1,), repeats),))


def fleet(machines: int, kinds: int, lost_every_s: float) -> list[Simulated]:
    """So many machines of so many kinds, each kind another device."""
    return [
        Simulated(f"machine-{at}", f"kind-{at % kinds}-cpu-2core", 1 + 0.5 * (at % kinds), lost_every_s=lost_every_s)
        for at in range(machines)
    ]


def collect(wanted: Plan, engine: Simulation, out: Path, **options: Any) -> FleetSummary:
    """What the driver does with them."""
    with Writer(out) as writer, Writer(sentinels_file(out)) as sentinels:
        return Fleet(wanted, engine, writer, sentinels, **options).run()


def rows(
    machines: Sequence[int], cells: int, kinds: int, lost_every_s: float, folder: Path
) -> Iterator[dict[str, Any]]:
    """A row for each number of machines."""
    for count in machines:
        own = min(kinds, count)
        simulated = fleet(count, own, lost_every_s)
        engine, out = Simulation(simulated), folder / f"{count}.jsonl"
        begin, cpu = time.perf_counter(), time.process_time()
        found = collect(plan(-(-cells // own)), engine, out)
        wall_s = time.perf_counter() - begin - engine.took_s
        done = found.all.measured + found.all.failed
        yield {
            "machines": count,
            "kinds": own,
            "cells": done,
            "left": found.all.remaining,
            "losses": engine.lost,
            "hours": engine.now() / 3600,
            "busy": done * CELL_S / (count * engine.now()),
            "driver_us_a_cell": 1e6 * wall_s / done,
            "cells_a_second": done / wall_s,
            "cpu_share": (time.process_time() - cpu) / (wall_s + engine.took_s),
            "gb_of_file": out.stat().st_size / 1e9,
            "gb_of_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        out.unlink()


def main() -> None:
    """Simulate, and print a line a fleet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=10_000, help="in all, about")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--kinds", type=int, default=8)
    parser.add_argument("--lost-every", type=float, default=3600.0, help="seconds after which a machine is lost")
    parser.add_argument("--folder", type=Path, help="to write the datasets in; a temporary one without")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for row in rows(asked.machines, asked.cells, asked.kinds, asked.lost_every, Path(folder)):
            shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
            print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
