"""Drift: how often ``ftax doctor --baseline`` calls noise drift, and how small a drift it finds.

Noise is drawn as it was seen: sittings of a machine apart by a normal draw, processes by a heavy-tailed one, one in
fifty disturbed. Beside that, sittings that the project's datasets hold, and (at full size) sittings measured here.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from ftax_model import dataset
from ftax_model.collection import drift
from ftax_model.collection.plan import load_plan
from ftax_model.collection.runner import collect
from ftax_model.device import detect
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload

FULL: dict[str, Any] = {"draws": 2000, "measured": 8}
QUICK: dict[str, Any] = {"draws": 200, "measured": 0}

BETWEEN = (0.01, 0.025, 0.04)
"""How far sittings lie apart (standard deviations of log latency): as the project's datasets show it."""
PROCESSES = 0.05
DRIFTS = (0.05, 0.1, 0.2, 0.3)
FRAMEWORKS = ("eager", "onnxruntime")


def run(
    folder: Path, *, seed: int, tell: Callable[[str], None], draws: int, measured: int
) -> Iterator[dict[str, Any]] | list[dict[str, Any]]:
    """Rows: comparisons without a drift (``alarms`` among them), and with one (``found``)."""
    rng, rows = random.Random(seed), []
    for between, sittings in itertools.product(BETWEEN, (1, 5)):
        tell(f"simulated: sittings {100 * between:g} % apart, {sittings} in the baseline")
        name = f"sittings {100 * between:g} % apart, {sittings} in the baseline"
        alarms = sum(_alarm(_draw(rng, between, sittings, 0.0)) for _ in range(draws))
        found = {
            f"found_{100 * by:g}_percent": sum(_alarm(_draw(rng, between, sittings, by)) for _ in range(draws // 10))
            / (draws // 10)
            for by in DRIFTS
        }
        promised = drift.FALSE_ALARMS if between <= drift.BETWEEN else 0.05
        rows.append(_row(f"simulated, {name}", draws, alarms, promised) | found)
    tell("sittings of the datasets")
    rows += [_row("sittings of the datasets", *_between_sittings(rng, draws // 4), 0.05)]
    if measured:
        rows.append(_row("sittings measured here", *_here(folder, measured, tell), 0.05))
    return rows


def _row(what: str, runs: int, alarms: int, promised: float) -> dict[str, Any]:
    """``bad`` are the alarms beyond what chance explains of the share that is promised."""
    most = int(stats.binom.isf(0.001, runs, promised)) if runs else 0
    share = alarms / runs if runs else math.nan
    return {"what": what, "runs": runs, "bad": max(alarms - most, 0), "alarms": alarms, "alarms_share": round(share, 4)}


def _alarm(pair: tuple[list[Measurement], list[Measurement]]) -> bool:
    return any(one.drifted for one in drift.shifts(*pair))


def _draw(rng: random.Random, between: float, sittings: int, by: float) -> tuple[list[Measurement], list[Measurement]]:
    """A baseline of some sittings and one sitting more, in which all took longer ``by`` so much."""
    every = [list(_sitting(rng, str(at), between)) for at in range(sittings + 1)]
    slower = [dataclasses.replace(one, latency_s=(one.latency_s or 0.0) * (1 + by)) for one in every[-1]]
    return [one for own in every[:-1] for one in own], slower


def _sitting(rng: random.Random, name: str, between: float) -> Iterator[Measurement]:
    for framework in FRAMEWORKS:
        shared = rng.gauss(0.0, between)
        for cell, repeat in itertools.product(range(3), range(3)):
            own = PROCESSES * rng.gauss(0, 1) / math.sqrt(rng.gammavariate(2, 0.5) * 2)  # of four degrees of freedom
            disturbed = 0.3 * (rng.random() < 0.02)
            workload = Workload("toy", {"num_layers": cell + 1})
            latency_s = 1e-3 * (cell + 1) * math.exp(shared + own + disturbed)
            where = Cell(workload, framework, "simulated", repeat=repeat)
            yield Measurement(where, latency_s=latency_s, environment={"sitting": name})


def _between_sittings(rng: random.Random, draws: int) -> tuple[int, int]:
    """Random sentinels of cells that a dataset holds in several sittings, one of them against another."""
    seen = defaultdict(lambda: defaultdict(list))  # type: ignore[var-annotated]
    for name in dataset.names():
        for one in dataset.read(dataset.find(name)):
            if one.status == "ok":
                seen[dataclasses.replace(one.cell, repeat=0)][str(one.environment.get("sitting"))].append(one)
    pairs = defaultdict(list)
    for cell, own in seen.items():
        for then, now in itertools.permutations(sorted(own), 2):
            pairs[cell.device, then, now, cell.framework].append(cell)
    usable = {key: cells for key, cells in pairs.items() if len(cells) >= 7}
    alarms = 0
    for _ in range(draws):
        device, then, now, _ = rng.choice(sorted(usable))
        own = [cells for key, cells in usable.items() if key[:3] == (device, then, now)]
        cells = [cell for one in rng.sample(own, min(2, len(own))) for cell in rng.sample(one, 4)]
        before, after = ([one for cell in cells for one in seen[cell][sitting]] for sitting in (then, now))
        alarms += _alarm((before, after))
    return draws, alarms


def _here(folder: Path, sittings: int, tell: Callable[[str], None]) -> tuple[int, int]:
    """Sittings measured one after another on this machine, each against each."""
    plan, found = load_plan(drift.PLAN), list[Sequence[Measurement]]()
    for at in range(sittings):
        tell(f"measuring sitting {at + 1} of {sittings} on {detect('cpu').name}")
        collect(plan, folder / f"{at}.jsonl")
        found.append(dataset.read(folder / f"{at}.jsonl"))
    pairs = list(itertools.permutations(found, 2))
    return len(pairs), sum(_alarm((list(then), list(now))) for then, now in pairs)
