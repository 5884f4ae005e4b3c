"""Drift: whether sentinel cells take longer or shorter than when a baseline was measured, beyond what noise explains.

Log latencies of a cell are a constant, plus what its sitting (one run of a collection) shares on a platform, plus what
each process adds. Two sittings of a quiet virtual machine are some percent apart for no reason that anybody knows:
`BETWEEN`, with some `TRUST` in it, is where the noise between sittings begins, and sittings of the baseline sharpen it.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftax_model.collection.doctor import Finding
from ftax_model.collection.plan import Grid, Plan, load_plan
from ftax_model.errors import DataError
from ftax_model.measurement import Cell, Measurement, Platform

BETWEEN = 0.025
"""Standard deviation of what a sitting shares, in log seconds: of the project's own datasets it is 0.01 to 0.04."""
TRUST = 4
"""Sittings, and processes, that these count as where variances are learnt."""
FREEDOM = 20
"""Degrees of freedom of the noise that is expected, before sittings add theirs."""
WITHIN = 0.05
"""Standard deviation from process to process of one sitting, in log seconds; the processes at hand sharpen it."""
FALSE_ALARMS = 0.01
"""How often, at most, something is called drift where all is noise: of a whole comparison, all platforms together."""
LEAST = 0.02
"""Relative difference below which a drift is of no interest, however well it is known."""

PLAN = "sentinel"
FEWEST_CELLS, MOST_CELLS = 3, 4
SHORT_S = 0.05
"""Seconds of the longest call among sentinels that are chosen from a dataset."""


@dataclass(frozen=True)
class Shift:
    """How much longer the cells of a platform take: ``by`` is the log of the ratio, now over then, in the median.

    ``noise`` is the log ratio that noise alone exceeds in one comparison of a hundred. ``apart`` are cells that moved
    otherwise than their platform did, beyond their own noise. ``changed`` says what is another version now.
    """

    platform: Platform
    by: float
    noise: float
    cells: int
    sittings: int
    changed: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether noise does not explain it."""
        return abs(self.by) > max(self.noise, math.log1p(LEAST))


Looks = Mapping[str, list[Measurement]]
"""Measurements of one cell, by sitting."""


@dataclass(frozen=True)
class Noise:
    """By how much two looks at the same cells differ for no reason: variances of log ratios.

    ``per_cell`` is what the processes of each cell leave, ``shared`` what a sitting adds to all of them alike, which
    ``sittings`` of the first look tell.
    """

    per_cell: Mapping[Cell, float]
    shared: float
    sittings: int

    def of_cells(self, share: float) -> dict[Cell, float]:
        """The log ratio that noise alone exceeds in such a share of cells, for each cell."""
        times = self._times(share)
        return {cell: times * math.sqrt(own + self.shared) for cell, own in self.per_cell.items()}

    def of_median(self, share: float) -> float:
        """The log ratio that noise alone exceeds in such a share of medians over all cells."""
        own = math.pi / 2 * sum(self.per_cell.values()) / len(self.per_cell) ** 2
        return self._times(share) * math.sqrt(own + self.shared)

    def _times(self, share: float) -> float:
        """Standard deviations, of an estimate of so many degrees of freedom."""
        from scipy import stats

        return float(stats.t.isf(share / 2, FREEDOM + self.sittings - 1))


def sentinels(baseline: Iterable[Measurement], device: str) -> Plan:
    """What to measure again of a baseline: the plan `PLAN`, as far as that was measured, else short cells of each
    platform.

    Raises `DataError` where nothing was measured on ``device`` (a name).
    """
    good = [one for one in baseline if one.status == "ok"]
    own = list(dict.fromkeys(_first(one) for one in good if one.cell.device == device))
    if not own:
        elsewhere = ", ".join(sorted({one.cell.device for one in good})) or "nothing measured"
        cure = "name another file; one that is not there yet is made"
        raise DataError(f"a baseline was measured on this device, {device}", elsewhere, cure)
    plan = load_plan(PLAN)
    usual = {workload for grid in plan.grids for workload in grid.workloads}
    wanted = [cell for cell in own if cell.workload in usual] or _short(good, own)
    grids: dict[tuple[str, int], list[Cell]] = {}
    for cell in wanted:
        grids.setdefault((cell.framework, cell.threads), []).append(cell)
    repeats = max(grid.repeats for grid in plan.grids)
    return dataclasses.replace(
        plan,
        grids=tuple(
            Grid(tuple(cell.workload for cell in cells), (framework,), (threads,), repeats)
            for (framework, threads), cells in grids.items()
        ),
    )


def shifts(before: Iterable[Measurement], now: Iterable[Measurement]) -> list[Shift]:
    """How the platforms moved from a baseline to what was measured now; of cells that were measured in both."""
    then, here = by_cell(before), by_cell(now)
    platforms: dict[Platform, list[Cell]] = {}
    for cell in here:
        if cell in then:
            platforms.setdefault(cell.platform, []).append(cell)
    return [_shift(platform, cells, then, here, len(platforms)) for platform, cells in platforms.items()]


def findings(found: Sequence[Shift]) -> list[Finding]:
    """What to say of it, a finding for each platform and one for where the drift comes from."""
    if not found:
        cure = "measure a baseline anew, into another file"
        return [Finding("drift", "unknown", "no cell could be measured both then and now", cure)]
    said = [_finding(one) for one in found]
    drifted = [one for one in found if one.drifted]
    return [*said, _cause(found)] if drifted else said


def numbered(baseline: Iterable[Measurement], now: Iterable[Measurement]) -> list[Measurement]:
    """What was measured now as further repeats of the baseline's cells, to be added to it."""
    last: dict[Cell, int] = {}
    for one in baseline:
        last[_first(one)] = max(last.get(_first(one), -1), one.cell.repeat)
    found = []
    for one in now:
        last[_first(one)] = last.get(_first(one), -1) + 1
        found.append(dataclasses.replace(one, cell=dataclasses.replace(one.cell, repeat=last[_first(one)])))
    return found


def _shift(
    platform: Platform, cells: Sequence[Cell], then: Mapping[Cell, Looks], here: Mapping[Cell, Looks], platforms: int
) -> Shift:
    moved = {cell: centre(here[cell]) - centre(then[cell]) for cell in cells}
    by = statistics.median(moved.values())
    noise, share = noise_of(cells, then, here), FALSE_ALARMS / platforms
    apart = [
        f"{_name(cell)} {_percent(moved[cell])}"
        for cell, limit in noise.of_cells(share / len(cells)).items()
        if len(cells) >= FEWEST_CELLS and abs(moved[cell] - by) > max(limit, math.log1p(LEAST))
    ]
    limit = noise.of_median(share)
    return Shift(platform, by, limit, len(cells), noise.sittings, _changed(then, here, cells), tuple(apart))


def noise_of(cells: Sequence[Cell], then: Mapping[Cell, Looks], here: Mapping[Cell, Looks]) -> Noise:
    """The noise of cells that a sitting moves alike, as those of a platform, from what two looks at them show."""
    within = _within([*(then[cell] for cell in cells), *(here[cell] for cell in cells)])
    between, sittings = _between([then[cell] for cell in cells])
    per_cell = {cell: within * (1 / _count(then[cell]) + 1 / _count(here[cell])) for cell in cells}
    return Noise(per_cell, between * (1 + 1 / sittings), sittings)


def _within(cells: Iterable[Looks]) -> float:
    """Variance of log latencies from process to process of one sitting."""
    squares, known = TRUST * WITHIN**2, 0
    for looks in cells:
        for own in looks.values():
            logs = [_log(one) for one in own]
            squares += sum((value - statistics.fmean(logs)) ** 2 for value in logs)
            known += len(logs) - 1
    return squares / (TRUST + known)


def _between(cells: Sequence[Looks]) -> tuple[float, int]:
    """Variance of what a sitting shares, and the number of sittings in which every cell was measured."""
    sittings = sorted(set.intersection(*(set(looks) for looks in cells)))
    shared = [
        statistics.fmean(statistics.median(map(_log, looks[name])) - centre(looks) for looks in cells)
        for name in sittings
    ]
    squares = sum((value - statistics.fmean(shared)) ** 2 for value in shared) if shared else 0.0
    count = max(len(sittings), 1)
    return (TRUST * BETWEEN**2 + squares) / (TRUST + count - 1), count


def _finding(one: Shift) -> Finding:
    name = f"drift of {one.platform.framework}"
    name += f", {one.platform.dtype}" * (one.platform.dtype != "float32")
    saw = f"{_percent(one.by)} over {one.cells} cells; noise reaches {100 * math.expm1(one.noise):.1f} %"
    saw += f"; apart from the others: {', '.join(one.apart)}" if one.apart else ""
    if one.drifted:
        return Finding(name, "bad", saw, "see 'cause of drift'")
    if one.apart:
        cure = "look at what computes these: a library or a kernel may be another one"
        return Finding(name, "warning", saw, cure)
    return Finding(name, "good", saw)


def _cause(found: Sequence[Shift]) -> Finding:
    """Whether versions or the machine moved, as far as platforms whose versions stayed can tell."""
    name = "cause of drift"
    moved = [one for one in found if one.drifted]
    stayed = [one for one in moved if not one.changed]
    changed = sorted({text for one in moved for text in one.changed})
    if stayed:
        names = ", ".join(dict.fromkeys(one.platform.framework for one in stayed))
        cure = "look for neighbours, throttling, governor and power settings; measure again, or calibrate anew"
        return Finding(name, "bad", f"the machine: {names} moved, and no version of theirs did", cure)
    if any(not one.changed and not one.drifted for one in found):
        cure = "calibrate anew: ftax calibrate; or put the versions back"
        saw = f"versions: {', '.join(changed)}; platforms whose versions stayed did not move"
        return Finding(name, "bad", saw, cure)
    cure = "put the versions back and look again; what is still there then is the machine"
    return Finding(name, "bad", f"versions ({', '.join(changed)}) or the machine: nothing stayed that could tell", cure)


def _changed(then: Mapping[Cell, Looks], here: Mapping[Cell, Looks], cells: Iterable[Cell]) -> tuple[str, ...]:
    found = dict[str, None]()
    for cell in cells:
        old, new = (_versions(list(looks[cell].values())[-1][-1].environment) for looks in (then, here))
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name):
                found[f"{name} {old.get(name, 'none')} to {new.get(name, 'none')}"] = None
    return tuple(found)


def _versions(environment: Mapping[str, Any]) -> dict[str, Any]:
    told = environment.get("versions")
    own = {name: environment.get(name) for name in ("framework_version", "os", "governor") if name in environment}
    return own | ({k: v for k, v in told.items() if k != "ftax_model"} if isinstance(told, Mapping) else {})


def _short(good: Iterable[Measurement], own: Iterable[Cell]) -> list[Cell]:
    """Of each platform some cells whose calls are short, from the shortest to the longest of those."""
    latency = {_first(one): one.latency_s or math.inf for one in good}
    platforms: dict[Platform, list[Cell]] = {}
    for cell in own:
        if latency[cell] <= SHORT_S:
            platforms.setdefault(cell.platform, []).append(cell)
    found = []
    for cells in platforms.values():
        cells.sort(key=latency.__getitem__)
        places = {round(at * (len(cells) - 1) / max(MOST_CELLS - 1, 1)) for at in range(MOST_CELLS)}
        found += [cells[at] for at in sorted(places)]
    return found


def by_cell(measurements: Iterable[Measurement]) -> dict[Cell, dict[str, list[Measurement]]]:
    """The good ones by cell, of whatever repeat, and by sitting."""
    found: dict[Cell, dict[str, list[Measurement]]] = {}
    for one in measurements:
        if one.status == "ok":
            sitting = str(one.environment.get("sitting", ""))
            found.setdefault(_first(one), {}).setdefault(sitting, []).append(one)
    return found


def _first(one: Measurement) -> Cell:
    return dataclasses.replace(one.cell, repeat=0)


def _log(one: Measurement) -> float:
    assert one.latency_s is not None
    return math.log(one.latency_s)


def centre(looks: Looks) -> float:
    """The log latency of a cell: the mean over sittings of the median over processes."""
    return statistics.fmean(statistics.median(map(_log, own)) for own in looks.values())


def _count(looks: Looks) -> int:
    return sum(map(len, looks.values()))


def _name(cell: Cell) -> str:
    from ftax_model import architectures

    return f"{architectures.label(cell.workload)}, batch {cell.workload.batch_size}"


def _percent(by: float) -> str:
    return f"{100 * math.expm1(by):+.1f} %"
