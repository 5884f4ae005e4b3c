"""Beside: what was measured, and what a predictor says of the same calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from ftax_model import dataset, outside
from ftax_model.errors import FtaxError, InputError
from ftax_model.measurement import Measurement, Platform
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing import sources
from ftax_model.tracing.sources import Source
from ftax_model.workload import Workload

SAID = {"latency_s": "predicted_s", "low_s": "low_s", "high_s": "high_s", "regime": "regime", "notes": "notes"}
"""Columns of a prediction that stand beside a measurement, and what they are called there."""

REFUSED = "not predicted:"
"""What the notes begin with where the predictor refuses."""


def beside(
    measurements: Iterable[Measurement],
    predictor: LatencyPredictor,
    models: Mapping[Workload, Source] | None = None,
    *,
    trust: bool = False,
) -> pd.DataFrame:
    """The frame of measurements (`ftax_model.dataset.frame`), and what the predictor says of each.

    ``models`` are sources of workloads of batch size 1, for those that were made before; others are made anew, those
    that run code where they are ones to ``trust``. Columns besides: ``predicted_s``, its interval ``low_s`` to
    ``high_s``, ``regime`` and ``notes``, as `LatencyPredictor` says; ``inside``, whether the measured latency lies
    within the interval; ``error``, predicted over measured less 1. Where the predictor refuses, they are missing, and
    ``notes`` say why. `errors` sums them up.
    """
    own, made = list(measurements), dict(models or {})
    sweeps: dict[tuple[Workload, Platform], set[int]] = {}
    for one in own:
        sweeps.setdefault(_sweep(one), set()).add(one.cell.workload.batch_size)
    said = {key: _said(predictor, made, *key, sizes=sorted(sizes), trust=trust) for key, sizes in sweeps.items()}
    rows = [said[_sweep(one)][one.cell.workload.batch_size] for one in own]
    table = dataset.frame(own)
    table = table.join(pd.DataFrame(rows, index=table.index, columns=[*SAID.values()]))
    table = table.astype({"predicted_s": float, "low_s": float, "high_s": float, "latency_s": float})
    good = table["predicted_s"].notna() & table["latency_s"].notna()
    inside = table["latency_s"].between(table["low_s"], table["high_s"])
    return table.assign(inside=inside.where(good), error=table["predicted_s"] / table["latency_s"] - 1)


def errors(table: pd.DataFrame) -> dict[str, float]:
    """``cells`` that are both measured and predicted, their ``median`` absolute error, and how many are ``inside``."""
    both = table[table["error"].notna()]
    return {"cells": len(both), "median": float(both["error"].abs().median()), "inside": int(both["inside"].sum())}


def of_record(curve: Workload, *, trust: bool = False) -> Source:
    """The source of a model that a record names; one from outside is known by the traces that are kept of it alone.

    The record may be a stranger's: without ``trust`` what lies at the place that it names is not opened, and does not
    run. Raises `InputError` where no traces are kept, and what `ftax_model.tracing.sources.of_workload` raises.
    """
    if trust or not outside.is_one(curve):
        return sources.of_workload(curve, trust=trust)
    traces = mine.kept_traces(curve)
    if not traces:
        cure = "add --trust, name the model itself and --latency, or keep its traces: ftax measure --save"
        raise InputError("no file is opened, or run, because a record names it", outside.label(curve), cure)
    label = outside.label(curve)
    return Source(label, min(traces), curve.dtype, partial(sources.held, label, traces))


def _sweep(one: Measurement) -> tuple[Workload, Platform]:
    return one.cell.workload.curve, one.cell.platform


def _said(
    predictor: LatencyPredictor,
    made: dict[Workload, Source],
    curve: Workload,
    platform: Platform,
    *,
    sizes: list[int],
    trust: bool,
) -> dict[int, dict[str, Any]]:
    """What the predictor says of a sweep on one platform, by batch size."""
    try:
        if curve not in made:
            made[curve] = of_record(curve, trust=trust)
        found = predictor.predict(
            made[curve],
            batch_sizes=sizes,
            framework=platform.framework,
            device=platform.device,
            threads=platform.threads,
            crossovers=False,
        )
    except FtaxError as error:
        return {size: {"notes": f"{REFUSED} {error}"} for size in sizes}
    found = found.set_index("batch_size")[[*SAID]].rename(columns=SAID)
    return {size: dict(found.loc[size]) for size in sizes}
