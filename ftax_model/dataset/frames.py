"""Tidy frames of measurements and of operator profiles, and what is asked of a frame."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ftax_model import architectures
from ftax_model.errors import DataError, FtaxError
from ftax_model.measurement import CLOCKS, WIDE_SPREAD, Cell, Measurement, Profile
from ftax_model.operators import FEATURES, SIGNATURE, TIMES, Operator, OperatorTiming

if TYPE_CHECKING:
    import pandas as pd


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row a measurement, tidy.

    Columns: ``key``; ``architecture``, ``family``, ``model`` (label of architecture and hyperparameters), ``curve``
    (model, input size, dtype: what one batch sweep shares), ``hyperparameters`` (JSON), ``batch_size``, ``input_size``,
    ``lengths``; ``framework``, ``device``, ``dtype``, ``threads``, ``repeat``; the clocks in seconds
    (`ftax_model.measurement.CLOCKS`); ``energy_j``; the features of the trace (`ftax_model.operators.FEATURES`);
    ``spread``, ``prepare_s``, ``first_call_s``, ``peak_memory_bytes``; ``status``, ``reason`` and ``warnings`` (joined
    by commas): what the measurement holds against itself (`ftax_model.measurement.Measurement.warnings`), and
    ``non-monotone`` where a larger batch of the same sweep was clearly faster.
    """
    import pandas as pd

    labels: dict[object, str] = {}
    rows = list(_rows(list(measurements), labels))
    return pd.DataFrame(rows, columns=None if rows else ["key", "status", "latency_s"])


def operator_frame(profiles: Iterable[Profile]) -> pd.DataFrame:
    """One row for each workload, platform and distinct operator signature, tidy.

    Columns: ``key`` (that of the measurement in the dataset); ``architecture``, ``family``, ``model``, ``curve``,
    ``batch_size``, ``framework``, ``device``, ``dtype``, ``threads`` as in `frame`; ``latency_s``, ``profiled_s`` and
    ``events`` of the whole call (see `ftax_model.measurement.Profile`); the signature: ``kind``, ``inputs`` and
    ``outputs`` (shapes), ``macs``, ``activation_bytes``, ``weight_bytes``, and each of its attributes, missing where an
    operator has none of that name (``m``, ``k``, ``n``, ``batch``; ``kernel``, ``stride``, ``groups``, ...); ``count``
    of such operators in a call, how many of them are ``unmatched``, and the median ``host_s`` and ``device_s`` of the
    others. A profile that failed has no row.
    """
    import pandas as pd

    labels: dict[object, str] = {}
    rows = [row for profile in profiles for row in _operator_rows(profile, labels)]
    table = pd.DataFrame(rows, columns=None if rows else ["key", "kind", "count", *TIMES])
    return table.astype(dict.fromkeys(TIMES, float))


def operators(table: pd.DataFrame) -> list[Operator]:
    """The operators that the rows of an `operator_frame` are of, without their place in the model."""
    plain = [name for name in SIGNATURE if name != "attributes"]
    named = [name for name in table.columns if name not in {*plain, *_BESIDE_OPERATORS}]
    found = []
    for own in table[[*plain, *named]].to_dict("records"):
        given = {name: own[name] for name in named if own[name] is not None and own[name] == own[name]}  # nan: missing
        found.append(Operator(**{name: own[name] for name in plain}, attributes=given))
    return found


def by_name(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of any frame as dictionaries of its own values, by the names of columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def good(table: pd.DataFrame, *, what: str = "the dataset") -> pd.DataFrame:
    """The rows that were measured (``status`` ok); raises `DataError` where there is none."""
    rows = table[table["status"] == "ok"].reset_index(drop=True)
    if rows.empty:
        reasons = ", ".join(f"{count} {status}" for status, count in table["status"].value_counts().items())
        raise DataError(
            "a fit needs measured rows", f"{what}: {reasons or 'no row at all'}", "measure some: ftax collect"
        )
    return rows


def _rows(measurements: Sequence[Measurement], labels: dict[object, str]) -> Iterator[dict[str, object]]:
    slow = _non_monotone(measurements)
    for measurement in measurements:
        cell, workload = measurement.cell, measurement.cell.workload
        yield {
            **_workload_columns(cell, labels),
            "hyperparameters": json.dumps(workload.settings, sort_keys=True),
            "batch_size": workload.batch_size,
            "input_size": workload.input_size,
            "lengths": workload.lengths,
            **_platform_columns(cell),
            "repeat": cell.repeat,
            **{clock: getattr(measurement, clock) for clock in CLOCKS},
            "energy_j": measurement.energy_j,
            **{name: measurement.features.get(name) for name in FEATURES},
            "spread": measurement.spread,
            "prepare_s": measurement.prepare_s,
            "first_call_s": measurement.first_call_s,
            "peak_memory_bytes": measurement.peak_memory_bytes,
            "status": measurement.status,
            "reason": measurement.reason,
            "warnings": ",".join([*measurement.warnings(), *["non-monotone"] * (cell.key in slow)]),
        }


def _non_monotone(measurements: Iterable[Measurement]) -> set[str]:
    """Keys of those that took longer than a larger batch of the same sweep and repeat did, by more than both spreads.

    What disturbs a measurement makes it slower, so it is the smaller batch that is doubted.
    """
    sweeps: dict[Cell, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.status == "ok":
            curve = dataclasses.replace(measurement.cell, workload=measurement.cell.workload.curve)
            sweeps.setdefault(curve, []).append(measurement)
    found = set()
    for sweep in sweeps.values():
        fastest = math.inf
        for one in sorted(sweep, key=lambda one: one.cell.workload.batch_size, reverse=True):
            low, high = _range(one)
            if low > fastest:
                found.add(one.cell.key)
            fastest = min(fastest, high)
    return found


def _range(measurement: Measurement) -> tuple[float, float]:
    """Latency less and plus its spread, that of a measurement with too few samples as wide as it may be."""
    assert measurement.latency_s is not None
    spread = WIDE_SPREAD if measurement.spread is None else measurement.spread
    return measurement.latency_s * (1 - spread), measurement.latency_s * (1 + spread)


def _operator_rows(profile: Profile, labels: dict[object, str]) -> Iterator[dict[str, object]]:
    alike: dict[str, list[OperatorTiming]] = {}
    for timing in profile.timings:
        alike.setdefault(json.dumps(timing.operator.signature), []).append(timing)
    for timings in alike.values():
        operator = timings[0].operator
        matched = [timing for timing in timings if timing.host_s is not None]
        yield {
            **_workload_columns(profile.cell, labels),
            "batch_size": profile.cell.workload.batch_size,
            **_platform_columns(profile.cell),
            **{name: getattr(profile, name) for name in ("latency_s", "profiled_s", "events")},
            **{name: getattr(operator, name) for name in SIGNATURE if name != "attributes"},
            **operator.attributes,
            "count": len(timings),
            "unmatched": len(timings) - len(matched),
            **{name: _median(getattr(timing, name) for timing in matched) for name in TIMES},
        }


_BESIDE_OPERATORS = {
    "key", "architecture", "family", "model", "curve", "batch_size", "framework", "device", "dtype", "threads",
    "latency_s", "profiled_s", "events", "count", "unmatched", *TIMES,
}  # fmt: skip
"""Columns of an `operator_frame` that are of the call, or what was measured."""


def _workload_columns(cell: Cell, labels: dict[object, str]) -> dict[str, object]:
    workload = cell.workload
    for part in (workload.model, workload.curve):
        if part not in labels:
            labels[part] = _label(part)
    return {
        "key": cell.key,
        "architecture": workload.architecture,
        "family": _family(workload.architecture),
        "model": labels[workload.model],
        "curve": labels[workload.curve],
    }


def _platform_columns(cell: Cell) -> dict[str, object]:
    return {name: getattr(cell.platform, name) for name in ("framework", "device", "dtype", "threads")}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _label(workload: object) -> str:
    from ftax_model.workload import Workload

    assert isinstance(workload, Workload)
    try:
        return architectures.label(workload)
    except FtaxError:  # imported, or measured by a version that had another architecture folder
        parts = [" ".join([workload.architecture, *(f"{name}={value}" for name, value in workload.settings.items())])]
        parts += [str(workload.input_size)] if workload.input_size is not None else []
        parts += [workload.dtype] if workload.dtype != "float32" else []
        return ", ".join(parts)


def _family(architecture: str) -> str:
    return architectures.load(architecture).family if architecture in architectures.names() else "unknown"
