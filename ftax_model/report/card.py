"""The card of a dataset: what was measured, how, how well it repeats itself, and what it says; as Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from ftax_model import dataset
from ftax_model.measurement import Measurement
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.judging import evaluation
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.modeling.rows import PLATFORM

SETUP = ("framework", "dtype", "threads")
"""What of a platform varies within the dataset of one device."""

SENTINEL = 5
"""Repeats from which a cell is a sentinel: measured again and again, to see the machine drift."""

REGIMES = ("framework-bound", "memory-bound", "compute-bound")
PROXIES = ("macs", "depth", "n_ops", "activations")
FEW = 12
"""Rows below which no correlation is shown."""


def card(measurements: Sequence[Measurement]) -> str:
    """Tables of a dataset's records: machine, counts, warnings, floor, sentinel, and three facts. Numbers are rounded.

    Raises `DataError` where nothing was measured.
    """
    table = dataset.frame(measurements)
    rows = dataset.good(table)
    predictor = LatencyPredictor(operators=False).fit(rows)
    rows = rows.assign(regime=predictor.predict_frame(rows)["regime"])
    curves = sweeps(rows)
    parts = [
        _machine(measurements),
        "**Counts**\n\n" + _markdown(_counts(table, curves)),
        "**Warnings**: what measurements hold against themselves, in good cells\n\n" + _markdown(_warnings(rows)),
        "**Repeatability floor**: median relative difference between two fresh processes that measured the same cell"
        "\n\n" + _markdown(_floors(rows)),
        _drift(measurements),
        "**How good proxies are**: Spearman correlation with latency, by the regime that the law sees (float32, one "
        "thread)\n\n" + _markdown(_proxies(rows)),
        "**How p differs between frameworks**: overlap exponent of the sweeps whose crossover lies inside the batch "
        "sizes measured, and of the law fitted to the whole platform\n\n" + _markdown(_overlaps(curves, predictor)),
        "**How far the crossover moves between frameworks**: that of the same model over that of eager\n\n"
        + _markdown(_moves(curves)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sweeps(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each sweep of four batch sizes or more: platform, ``curve``, and what `fit_curve` found."""
    cells = rows.groupby(["curve", *PLATFORM, "batch_size"], as_index=False)["latency_s"].median()
    found = []
    for key, part in cells.groupby(["curve", *PLATFORM]):
        if len(part) >= 4:
            curve = fit_curve(part["batch_size"].to_numpy(float), part["latency_s"].to_numpy(float))
            own = {name: getattr(curve, name) for name in ("overlap", "crossover_batch_size", "censored")}
            found.append({**dict(zip(("curve", *PLATFORM), key, strict=True)), **own})
    names = ["curve", *PLATFORM, "overlap", "crossover_batch_size", "censored"]
    return pd.DataFrame(found, columns=names)


def _machine(measurements: Iterable[Measurement]) -> str:
    good = [one for one in measurements if one.status == "ok"]
    first = good[0].environment
    versions: dict[str, str] = {}
    for one in good:
        versions |= one.environment.get("versions", {})
        versions |= {one.cell.framework: one.environment.get("framework_version", "")}
    protocol = ", ".join(f"{name} {value}" for name, value in first.get("protocol", {}).items())
    sittings = Counter(str(one.environment.get("sitting", "")) for one in good)
    lines = [
        f"- Machine: {first.get('device_model')}, {first.get('cores')} cores, {first.get('os')}, "
        f"frequency governor {first.get('governor') or 'not readable'}.",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.",
        f"- Protocol: {protocol}.",
        "- Sittings (UTC): "
        + "; ".join(f"{begun}, {count:,} good cells" for begun, count in sorted(sittings.items()))
        + ".",
    ]
    return "\n".join(lines)


def _counts(table: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, part in table.groupby(list(SETUP)):
        setup = dict(zip(SETUP, key, strict=True))
        ok = part[part["status"] == "ok"]
        cells = ok.groupby(["curve", "batch_size"]).size()
        own = _of(curves, setup)
        failed = part[part["status"] != "ok"]["status"].value_counts()
        found.append(
            {
                **setup,
                "measurements": len(ok),
                "cells": len(cells),
                "three times": int((cells >= 3).sum()),
                "architectures": ok["architecture"].nunique(),
                "models": ok["model"].nunique(),
                "sweeps": len(own),
                "crossover inside": int((own["censored"] == "").sum()),
                "failed": ", ".join(f"{count} {status}" for status, count in failed.items()) or "-",
            }
        )
    totals = {name: sum(row[name] for row in found) for name in ("measurements", "cells", "three times", "sweeps")}
    inside = {"crossover inside": sum(row["crossover inside"] for row in found)}
    ok = table[table["status"] == "ok"]
    kinds = {"architectures": ok["architecture"].nunique(), "models": ok["model"].nunique()}
    failed_all = {"failed": str(int((table["status"] != "ok").sum()))}
    return [*found, {"framework": "all", "dtype": "", "threads": "", **totals, **kinds, **inside, **failed_all}]


def _of(curves: pd.DataFrame, setup: dict[str, Any]) -> pd.DataFrame:
    """The sweeps of one framework, precision and number of threads."""
    found: pd.DataFrame = curves[(curves[list(SETUP)] == pd.Series(setup)).all(axis=1)]
    return found


def _warnings(rows: pd.DataFrame) -> list[dict[str, Any]]:
    counts = Counter(word for text in rows["warnings"] for word in text.split(",") if word)
    counts["none"] = int((rows["warnings"] == "").sum())
    return [
        {"warning": word, "cells": count, "share": _percent(count / len(rows))} for word, count in counts.most_common()
    ]


def _floors(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for framework, part in rows.groupby("framework"):
        times = part.groupby(["curve", "threads", "batch_size"])["repeat"].transform("size")
        repeated = part[(times > 1) & (times < SENTINEL)]
        if repeated.empty:
            continue
        floors = evaluation.floor(repeated, by=["regime"])
        own = {regime: _percent(float(floors.get(regime, math.nan))) for regime in REGIMES}
        cells = repeated.groupby(["curve", "threads", "batch_size"]).ngroups
        found.append({"framework": framework, "cells": cells, **own, "all": _percent(evaluation.floor(repeated))})
    return found


def _drift(measurements: Iterable[Measurement]) -> str:
    """The sentinel cells, how far they spread, and whether they moved with time."""
    cells: dict[str, list[Measurement]] = {}
    for one in sorted(measurements, key=lambda one: one.measured_at):
        if one.status == "ok":
            cells.setdefault(one.cell.key.rpartition("/")[0], []).append(one)
    found = []
    for own in cells.values():
        if len(own) < SENTINEL:
            continue
        seconds = np.array([one.latency_s for one in own], float)
        third = max(len(own) // 3, 1)
        cell = own[0].cell
        found.append(
            {
                "sentinel": f"{dataset.frame(own[:1])['curve'].iloc[0]}, batch {cell.workload.batch_size}",
                "framework": cell.framework,
                "processes": len(own),
                "median": _seconds(float(np.median(seconds))),
                "largest over smallest": f"{seconds.max() / seconds.min():.2f}",
                "last third over first": f"{np.median(seconds[-third:]) / np.median(seconds[:third]):.2f}",
            }
        )
    text = "**Sentinel**: the same cells in fresh processes from the beginning of the run to its end\n\n"
    return text + _markdown(found) if found else ""


def _proxies(rows: pd.DataFrame) -> list[dict[str, Any]]:
    plain = rows[(rows["threads"] == 1) & (rows["dtype"] == "float32")]
    found = []
    for regime in REGIMES:
        for framework, part in plain[plain["regime"] == regime].groupby("framework"):
            if len(part) >= FEW:
                own = {name: f"{spearmanr(part[name], part['latency_s']).statistic:+.2f}" for name in PROXIES}
                found.append({"regime": regime, "framework": framework, "rows": len(part), **own})
    return found


def _overlaps(curves: pd.DataFrame, predictor: LatencyPredictor) -> list[dict[str, Any]]:
    found = []
    for fit in predictor.fits_:
        platform = fit.platform
        setup = {name: getattr(platform, name) for name in SETUP}
        own = _of(curves, setup)
        inside = own[own["censored"] == ""]["overlap"]
        low, middle, high = _quartiles(inside)
        found.append(
            {
                **setup,
                "sweeps": len(inside),
                "median p": _number(middle),
                "quartiles": f"{_number(low)} to {_number(high)}",
                "p of the law": _number(fit.law.overlap_),
            }
        )
    return found


def _moves(curves: pd.DataFrame, *, base: str = "eager") -> list[dict[str, Any]]:
    own = curves.pivot_table(index=["curve", "threads"], columns="framework", values="crossover_batch_size")
    inside = curves.assign(inside=curves["censored"] == "").pivot_table(
        index=["curve", "threads"], columns="framework", values="inside", aggfunc="min"
    )
    found = []
    for framework in (name for name in own.columns if name != base and base in own.columns):
        both = own[[base, framework]].dropna()
        seen = inside.loc[both.index, [base, framework]].astype(bool)
        ratios = (both[framework] / both[base])[seen.all(axis=1)]
        low, middle, high = _quartiles(ratios)
        found.append(
            {
                "framework": framework,
                "models": len(both),
                "both inside": len(ratios),
                "median ratio": _number(middle),
                "quartiles": f"{_number(low)} to {_number(high)}",
                f"inside in {base} alone": int((seen[base] & ~seen[framework]).sum()),
                "inside in the other alone": int((seen[framework] & ~seen[base]).sum()),
            }
        )
    return found


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table with the columns of its first row."""
    if not rows:
        return "(none)"
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(f"{row[n]:,}" if isinstance(row[n], int) else str(row[n]) for n in names) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def _quartiles(values: pd.Series[float]) -> tuple[float, float, float]:
    """Of numbers that may be infinite; nan of none."""
    if values.empty:
        return math.nan, math.nan, math.nan
    low, middle, high = values.quantile([0.25, 0.5, 0.75], interpolation="nearest")
    return float(low), float(middle), float(high)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}"


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms"
