"""Schedule: the cells of a plan before they are measured, and the seconds that each will take."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftax_model.collection import frameworks
from ftax_model.collection.plan import Plan, Shard, Sweep
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import Outcome
from ftax_model.device import Device
from ftax_model.errors import InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing import trace_sweep

UNKNOWN = "platform not known"
"""Note of a cell whose latency cannot be predicted."""

IF_NEEDED = "only if its sweep needs it"
"""Note of a cell that an adaptive sweep may do without."""

ALL = "all"
"""Name of the total over frameworks."""


@dataclass(frozen=True)
class Estimate:
    """One cell and what it will take.

    ``latency_s`` is predicted, ``None`` where the platform is not known; ``prepare_s`` is what exporting and compiling
    took in cells like it, ``None`` where there were none. The whole takes ``least_s`` if all calls are alike, and
    ``most_s`` at most; where the latency is not known, both are the time after which the protocol begins nothing more.
    Building and tracing the model come on top. ``note`` says what is to be known of these numbers.
    """

    cell: Cell
    latency_s: float | None
    prepare_s: float | None
    least_s: float
    most_s: float
    note: str = ""

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "cell"}
        return {**self.cell.to_record(), **values}


def schedule(
    plan: Plan,
    device: Device,
    *,
    predictor: LatencyPredictor | None = None,
    done: Mapping[str, Outcome] | None = None,
    seen: Iterable[Measurement] = (),
    seed: int = 0,
    shard: Shard | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Estimate]:
    """What a collection of the plan, or of a ``shard`` of it, would measure, in its order.

    Cells that are ``done`` (how they ended, by their keys) are left out. Measurements that were ``seen`` tell what it
    takes to prepare a cell. Adaptive sweeps are walked through with predicted latencies; where there are none, all that
    they may measure is listed. ``on_progress`` is called with the sweeps looked at and the number of all.

    Raises `MissingError` where a framework is not installed, `InputError` for a shard that there is not.
    """
    oracle = _Oracle(device, plan.protocol, predictor, seen)
    sweeps = plan.sweeps(device, seed=seed, shard=shard)
    found: list[Estimate] = []
    for number, sweep in enumerate(sweeps):
        if on_progress:
            on_progress(number, len(sweeps))
        found += _walk(sweep, oracle, dict(done or {}))
    if on_progress:
        on_progress(len(sweeps), len(sweeps))
    return found


def totals(estimates: Iterable[Estimate]) -> dict[str, dict[str, float]]:
    """Cells and seconds (``cells``, ``least_s``, ``most_s``) by framework, and of `ALL` of them."""
    found: dict[str, dict[str, float]] = {}
    every = {"cells": 0, "least_s": 0.0, "most_s": 0.0}
    for one in estimates:
        own = found.setdefault(one.cell.framework, dict.fromkeys(every, 0))
        for total in (own, every):
            total["cells"] += 1
            total["least_s"] += one.least_s
            total["most_s"] += one.most_s
    return {**found, ALL: every}


def _walk(sweep: Sweep, oracle: _Oracle, done: dict[str, Outcome]) -> Iterator[Estimate]:
    """The cells of a sweep, as it would choose them."""
    waiting = [cell for cell in sweep.cells if cell.key not in done]
    estimates = {one.cell: one for one in oracle.estimates(waiting)}
    if all(one.note != UNKNOWN for one in estimates.values()):
        while cell := sweep.next(done):
            yield estimates[cell]
            done[cell.key] = Outcome("ok", estimates[cell].latency_s)
        return
    for one in estimates.values():
        chosen = one.note == UNKNOWN and one.cell not in sweep.listed
        yield dataclasses.replace(one, note=f"{UNKNOWN}; {IF_NEEDED}") if chosen else one


class _Oracle:
    """What can be known of cells beforehand."""

    def __init__(
        self, device: Device, protocol: Protocol, predictor: LatencyPredictor | None, seen: Iterable[Measurement]
    ) -> None:
        self._device, self._protocol, self._predictor = device, protocol, predictor
        self._frameworks: dict[str, frameworks.Framework] = {}
        self._prepared: dict[tuple[str, ...], list[float]] = {}
        for one in seen:
            if one.prepare_s is not None:
                for like in _likes(one.cell):
                    self._prepared.setdefault(like, []).append(one.prepare_s)

    def estimates(self, cells: Sequence[Cell]) -> Iterator[Estimate]:
        """What each cell of a sweep takes; nothing where its framework does not support it."""
        reasons = {cell: self._framework(cell.framework).supports(cell.workload, self._device) for cell in cells}
        latencies = self._predict([cell for cell in cells if not reasons[cell]])
        for cell, reason in reasons.items():
            if reason:
                yield Estimate(cell, None, None, 0.0, 0.0, f"unsupported: {reason}")
            else:
                yield self._estimate(cell, *latencies.get(cell, (None, UNKNOWN)))

    def _estimate(self, cell: Cell, latency_s: float | None, note: str) -> Estimate:
        gpu = self._device.kind == "cuda"
        least_s, most_s = self._protocol.cell_s, self._protocol.cell_s
        if latency_s is not None:
            least_s, most_s = self._protocol.expected_s(latency_s, clocks=3 if gpu else 1)
        prepared = next((self._prepared[like] for like in _likes(cell) if like in self._prepared), None)
        prepare_s = statistics.fmean(prepared) if prepared else None
        more_s = (prepare_s or 0.0) + (self._protocol.energy_s if gpu else 0.0)
        return Estimate(cell, latency_s, prepare_s, least_s + more_s, most_s + more_s, note)

    def _predict(self, cells: Sequence[Cell]) -> dict[Cell, tuple[float, str]]:
        """Predicted seconds of one call of each cell of a sweep, with notes; none where it was never measured."""
        if self._predictor is None or not cells:
            return {}
        platform = dataclasses.asdict(cells[0].platform)
        try:
            (fit,) = self._predictor.select(**platform)
        except InputError:
            return {}
        if not fit.n_rows:
            return {}
        traces = trace_sweep(cells[0].workload, [cell.workload.batch_size for cell in cells])
        rows = [{**trace.features(), "batch_size": size, **platform} for size, trace in traces.items()]
        predicted = self._predictor.predict_frame(pd.DataFrame(rows))
        return dict(zip(cells, zip(predicted["latency_s"], predicted["notes"], strict=True), strict=True))

    def _framework(self, name: str) -> frameworks.Framework:
        if name not in self._frameworks:
            self._frameworks[name] = frameworks.load(name)
        return self._frameworks[name]


def _likes(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """What cells are like this one, the most alike first."""
    return (cell.framework, cell.workload.architecture), (cell.framework,)
