"""Results as tables: what was learnt, what is predicted, what was measured beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftax_model.cli import _print
from ftax_model.cli._print import counted, duration, number, percent, seconds, signed, size_of
from ftax_model.dataset import by_name

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.collection.plan import Plan
    from ftax_model.collection.runner import Summary
    from ftax_model.fleet import FleetSummary
    from ftax_model.modeling.judging.evaluation import Report
    from ftax_model.modeling.platforms.platform import PlatformFit
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.operators import Trace
    from ftax_model.proxies import Judged
    from ftax_model.schedule import Estimate
    from ftax_model.tracing.sources import Source


def fits(predictor: LatencyPredictor, *, as_json: bool) -> None:
    """What was learnt of each platform, each number with its standard error."""
    rows = [fit.constants() for fit in predictor.fits_]
    if as_json:
        _print.as_json(rows)
        return
    columns = {
        "platform": None,
        "overhead per op": lambda row: _with_error(row, "overhead_per_op_s", 1e6, "us"),
        "compute": lambda row: _with_error(row, "macs_per_s", 1e-9, "GMACs/s"),
        "activations": lambda row: _with_error(row, "activation_bytes_per_s", 1e-9, "GB/s"),
        "weights": lambda row: _with_error(row, "weight_bytes_per_s", 1e-9, "GB/s"),
        "overlap p": lambda row: _with_error(row, "overlap", 1, ""),
        "rows": lambda row: f"{row['n_rows']} of {row['n_models']} models",
    }
    shown = [{name: row[name] if form is None else form(row) for name, form in columns.items()} for row in rows]
    _print.table(shown, {name: None if form is None else str for name, form in columns.items()})


def predictions(frame: pd.DataFrame) -> None:
    """One line a workload and platform."""
    rows = [
        {
            "workload": row["curve"],
            "batch": str(row["batch_size"]),
            "platform": _platform(row),
            "latency": seconds(row["latency_s"]),
            "interval": f"{seconds(row['low_s'])} to {seconds(row['high_s'])}",
            "regime": row["regime"],
            "crossover_batch_size": crossover(row),
            **(_memory(row) if "memory_bytes" in row else {}),
        }
        for row in by_name(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))
    _notes(frame)


def _memory(row: dict[str, Any]) -> dict[str, str]:
    """Peak memory of a process, and its interval."""
    low, high = (size_of(row[f"memory_{end}_bytes"]) for end in ("low", "high"))
    return {"memory": size_of(row["memory_bytes"]), "memory_interval": f"{low} to {high}"}


def traces(source: Source, found: Mapping[int, Trace], *, top: int, as_json: bool) -> None:
    """What a model asks for at each batch size, and by layer at the first of them."""
    import pandas as pd

    from ftax_model.tracing import features

    totals = [
        {"batch_size": size, **trace.features(), **trace.memory(), "unknown": features.unknown(trace), "way": trace.way}
        for size, trace in found.items()
    ]
    layers = _layers(next(iter(found.values())))
    if as_json:
        own = _print.records(pd.DataFrame(totals))
        _print.as_json({"model": source.label, "dtype": source.dtype, "traces": own, "layers": layers})
        return
    counts = dict.fromkeys(("macs", "params", "n_ops", "depth"), counted)
    shown = {"batch_size": None, **counts, **dict.fromkeys(_BYTES, size_of)}
    rows = [{**one, "batch_size": str(one["batch_size"])} for one in totals]
    _print.table(rows, shown, title=f"{source.label}, {source.dtype}")
    rest = layers[top:]
    if rest:
        others = {name: sum(one[name] for one in rest) for name in ("macs", "n_ops", "bytes")}
        layers = [*layers[:top], {"layer": f"{len(rest)} more", **others}]
    if layers:
        of_layers = {"layer": None, "macs": counted, "n_ops": counted, "bytes": size_of}
        _print.table(layers, of_layers, title=f"\nlayers by MACs and bytes, batch size {next(iter(found))}")
    for one in totals[:1]:
        if one["unknown"]:
            _print.say(f"note: operators of unknown cost: {one['unknown']}", err=True)
        if one["way"]:
            _print.say(f"note: traced on {one['way']}", err=True)


_BYTES = ("activation_bytes", "weight_bytes", "live_bytes", "model_bytes")


def _layers(trace: Trace) -> list[dict[str, Any]]:
    """MACs, operators and bytes of each layer, most first."""
    found: dict[str, dict[str, Any]] = {}
    for one in trace.operators:
        own = found.setdefault(one.layer or "(itself)", {"macs": 0.0, "n_ops": 0.0, "bytes": 0.0})
        own["macs"] += one.macs
        own["n_ops"] += 1
        own["bytes"] += one.activation_bytes + one.weight_bytes
    rows = [{"layer": name, **own} for name, own in found.items()]
    return sorted(rows, key=lambda row: (-row["macs"], -row["bytes"]))


def crossovers(frame: pd.DataFrame, *, as_json: bool) -> None:
    """The crossover alone, one line a platform."""
    columns = ["curve", "framework", "device", "dtype", "threads", "regime", "notes"]
    columns += ["crossover_batch_size", "crossover_low", "crossover_high", "censored"]
    if as_json:
        _print.as_json(_print.records(frame[columns]))
        return
    rows = [
        {"workload": row["curve"], "platform": _platform(row), "crossover_batch_size": crossover(row)}
        for row in by_name(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))
    _notes(frame)


def proxies(found: Judged, *, statistic: str = "spearman", as_json: bool) -> None:
    """Every figure of each proxy over all rows, then one of them by group, the notes, and which proxy to use."""
    from ftax_model.modeling.judging.ranking import FEWEST, STATISTICS

    if as_json:
        _print.as_json(judged(found))
        return
    rows = [
        {"proxy": row["proxy"], "rows": str(row["n"] or f"too few: {row['note']}")}
        | {name: _with_ends(row, name) if row["n"] else "" for name in STATISTICS}
        for row in by_name(found.overall)
    ]
    title = "Every proxy over all rows, with 90 % intervals over families"
    _print.table(rows, dict.fromkeys(rows[0]), title=title)
    groups = list(found.table.columns[: found.table.columns.get_loc("proxy")])
    names = list(dict.fromkeys(found.table["proxy"]))
    lines, few = [], []
    for key, part in found.table.groupby(groups, sort=False):
        own = {name: str(value) for name, value in zip(groups, key, strict=True)}
        if most := part["n"].max():
            cells = {
                row["proxy"]: _with_ends(row, statistic, between="\n") if row["n"] else "" for row in by_name(part)
            }
            lines.append({**own, "rows": str(most), **{name: cells[name] for name in names}})
        else:
            few.append(f"{' '.join(own.values())} ({part['note'].iloc[0]})")
    if lines:
        _print.table(lines, dict.fromkeys(lines[0]), title=f"\nBy {', '.join(groups)}: {STATISTICS[statistic]}")
    _print.say()
    if few:
        _print.say(f"No figure below {FEWEST} rows of one platform: {'; '.join(few)}.\n")
    for note in found.notes:
        _print.say(f"note: {note}")
    _print.say(f"Which proxy should I use? {found.answer}")


def judged(found: Judged) -> dict[str, Any]:
    """Figures of proxies as JSON values."""
    tables = {"proxies": found.table, "overall": found.overall}
    own: dict[str, Any] = {name: _print.records(table) for name, table in tables.items()}
    return {**own, "notes": list(found.notes), "answer": found.answer}


def _whole(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _two_digits(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _with_ends(row: dict[str, Any], name: str, *, between: str = " ") -> str:
    """A figure of a proxy with its interval."""
    form = _whole if name in ("pairs", "mape") else _two_digits
    if math.isnan(row[name]):
        return "-"
    low, high = (form(row[f"{name}{end}"]).removesuffix(" %") for end in ("_low", "_high"))
    return form(row[name]) + ("" if "-" in (low, high) else f"{between}[{low}, {high}]")


def sweeps(frame: pd.DataFrame) -> None:
    """One line a workload, for each framework its latency, regime and crossover."""
    rows = [
        {
            "workload": row["curve"],
            "framework": row["framework"],
            "batch": str(row["batch_size"]),
            "latency": seconds(row["latency_s"]),
            "regime": row["regime"],
            "crossover_batch_size": crossover(row),
        }
        for row in by_name(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))


def held_out(frame: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Predicted beside measured for the smallest and largest batch of each model, then the errors of all rows."""
    rows = []
    for (curve, framework), part in frame.groupby(["curve", "framework"]):
        ends = by_name(part.sort_values(["batch_size", "repeat"]).drop_duplicates("batch_size").iloc[[0, -1]])
        rows.append(
            {
                "model never seen": curve,
                "framework": framework,
                "batch": " | ".join(str(end["batch_size"]) for end in ends),
                "measured": " | ".join(seconds(end["latency_s"]) for end in ends),
                "predicted": " | ".join(seconds(end["predicted_s"]) for end in ends),
                "law alone": " | ".join(seconds(end["by law"]) for end in ends),
                "interval at the larger": f"{seconds(ends[-1]['low_s'])} to {seconds(ends[-1]['high_s'])}",
                "median error": f"{100 * part['error'].abs().median():.0f} %",
            }
        )
    _print.table(rows, dict.fromkeys(rows[0]))
    shares = ("median", "mape", "within_10", "bias", "covered", "floor", "by law")
    lines = [
        {"framework": row["framework"], "regime": row["regime"], "rows": f"{row['n']:.0f}"}
        | {name: percent(row[name]) for name in shares}
        | {"worst": f"{number(row['worst'])} x"}
        for row in by_name(summary)
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title="\nErrors on models never seen, and the repeatability floor")


def measured(frame: pd.DataFrame, *, asked: int, notes: Sequence[str] = (), as_json: bool = False) -> None:
    """Measured beside predicted (`ftax_model.modeling.judging.beside`), then what failed, and the errors of all."""
    from ftax_model.modeling.judging.beside import errors

    if as_json:
        _print.answers("measured", _print.records(frame), notes=notes)
    elif len(good := frame[frame["status"] == "ok"]):
        several = [name for name in ("curve", "threads", "repeat") if good[name].nunique() > 1]
        rows = [{**{name: str(row[name]) for name in several}, **_beside(row)} for row in by_name(good)]
        title = "" if "curve" in several else str(good["curve"].iloc[0])
        _print.table(rows, dict.fromkeys(rows[0]), title=title)
        found = errors(frame)
        if found["cells"]:
            inside = f"{found['inside']} of {found['cells']} in the interval"
            _print.say(f"median error {percent(found['median'])}, {inside}")
        _notes(good)
    for note in () if as_json else notes:
        _print.say(f"note: {note}", err=True)
    for row in by_name(frame[frame["status"] != "ok"]):
        what = f"{row['curve']}, batch {row['batch_size']}, {_platform(row)}"
        _print.say(f"{row['status']}: {what}: {row['reason']}", err=True)
    if len(frame) < asked:
        _print.say(f"note: {asked - len(frame)} of {asked} cells were not measured: no time was left", err=True)


def _beside(row: Mapping[str, Any]) -> dict[str, str]:
    known = row["error"] == row["error"]
    return {
        "framework": row["framework"],
        "batch": str(row["batch_size"]),
        "measured": seconds(row["latency_s"]),
        "spread": percent(row["spread"]),
        "predicted": seconds(row["predicted_s"]),
        "interval": f"{seconds(row['low_s'])} to {seconds(row['high_s'])}" if known else "-",
        "inside": ("yes" if row["inside"] else "no") if known else "-",
        "error": percent(row["error"]),
        "warnings": row["warnings"],
    }


def collect(plan: Plan, out: Path, **options: Any) -> Summary:
    """Collect with a progress bar on the error stream; returns the summary, which is printed there too."""
    from ftax_model.collection.runner import collect as run
    from ftax_model.collection.runner import missing

    for name, why in missing(plan).items():
        _print.say(f"note: cells of {name} are recorded as unsupported ({why})", err=True)
    with _print.progress(f"measuring {plan.name}") as advance:
        summary = run(plan, out, on_progress=advance, **options)
    _print.say(str(summary), err=True)
    return summary


def fleet(plan: Plan, out: Path, *, as_json: bool, **options: Any) -> FleetSummary:
    """As `collect`, on the machines of a fleet; prints a line a machine too."""
    from ftax_model.fleet import collect as run

    with _print.progress(f"measuring {plan.name}") as advance:
        found = run(plan, out, on_progress=advance, **options)
    if not as_json:
        rows = [one.to_record() for one in found.machines]
        _print.table(rows, {"name": None, "device": None, "measured": str, "failed": str, "lost": str, "note": None})
    for note in found.notes:
        _print.say(f"note: {note}", err=True)
    _print.say(str(found), err=True)
    return found


def schedule(estimates: Sequence[Estimate], *, as_json: bool) -> None:
    """What a collection would measure, one line a sweep, and how long that takes for each framework."""
    from ftax_model.schedule import UNKNOWN, totals

    if as_json:
        _print.as_json({"cells": [one.to_record() for one in estimates], "totals": totals(estimates)})
        return
    rows = _sweeps(estimates)
    if rows:
        _print.table(rows, dict.fromkeys(rows[0]))
    lines = [
        {"framework": name, "cells": own["cells"], "at_least": own["least_s"], "at_most": own["most_s"]}
        for name, own in totals(estimates).items()
    ]
    columns = {"framework": None, "cells": str, "at_least": duration, "at_most": duration}
    _print.table(lines, columns, title="\nTime to measure" if rows else "")
    if any(one.note.startswith(UNKNOWN) for one in estimates):
        cure = "fit a predictor (ftax fit) and give it with --model"
        _print.say(f"note: latencies are not known of all platforms, and what is slow takes longer; {cure}")
    if any(one.prepare_s is None and one.most_s for one in estimates):
        _print.say("note: exporting and compiling come on top, unless a dataset (--seen) tells what they take")


def _sweeps(estimates: Iterable[Estimate]) -> list[dict[str, str]]:
    """A row for the cells that differ in batch size alone, as far as the same is to be known of them."""
    from ftax_model import architectures

    found: dict[tuple[str, ...], list[Estimate]] = {}
    for one in estimates:
        cell = one.cell
        shared = (
            architectures.label(cell.workload.curve),
            cell.framework,
            str(cell.threads),
            str(cell.repeat),
            one.note,
        )
        found.setdefault(shared, []).append(one)
    return [
        {
            "workload": workload,
            "framework": framework,
            "threads": threads,
            "repeat": repeat,
            "batch": " ".join(str(size) for size in sorted(one.cell.workload.batch_size for one in own)),
            "at_least": duration(sum(one.least_s for one in own)),
            "at_most": duration(sum(one.most_s for one in own)),
            "note": note,
        }
        for (workload, framework, threads, repeat, note), own in found.items()
    ]


def crossover(row: dict[str, Any]) -> str:
    """A crossover with its interval, or in words where it is censored."""
    if row["censored"] == "below":
        bound = "compute-bound" if row["regime"] == "framework-bound" else row["regime"]
        return f"{bound} from batch 1"
    if row["censored"] == "above":
        return "framework-bound up to the largest batch tried"
    low, high = row["crossover_low"], row["crossover_high"]
    return f"{number(row['crossover_batch_size'])} ({number(low)} to {number(high)})"


def _with_error(row: dict[str, Any], name: str, factor: float, unit: str) -> str:
    value, error = row[name], row[f"{name}_se"]
    if not value:
        return "not seen"  # the bound of the fit, not a cost of nothing
    if error is None:
        return f"{number(value * factor)} {unit}".strip()
    return f"{number(value * factor)} +- {number(error * factor)} {unit}".strip()


def _platform(row: dict[str, Any]) -> str:
    from ftax_model.measurement import Platform

    return str(Platform(row["framework"], row["device"], row["dtype"], row["threads"]))


def _notes(frame: pd.DataFrame) -> None:
    from ftax_model.modeling.judging.beside import REFUSED

    for note in dict.fromkeys(frame["notes"]):
        if note:
            count = int((frame["notes"] == note).sum())
            said = f"{count} of {len(frame)} predictions are {note}"
            _print.say(f"note: {note if note.startswith(REFUSED) else said}", err=True)


def evaluation(report: Report, *, as_json: bool) -> None:
    """The error tables of held-out predictions, shares in percent."""
    tables = report.tables()
    if as_json:
        _print.as_json({title: _print.records(table) for title, table in tables.items()})
        return
    for title, table in tables.items():
        logarithmic = title.startswith("crossover")
        lines = [
            {name: _figure(name, value, logarithmic=logarithmic) for name, value in row.items()}
            for row in by_name(table)
        ]
        if lines:
            _print.table(lines, dict.fromkeys(lines[0]), title=f"\n{title}")
    _print.say("\nmedian, mape: absolute relative error. width: half the interval over the prediction. floor: how far")
    _print.say("two fresh processes differ; repeats: rank correlation of their errors (near 0: noise). by ...: median")
    _print.say("error of plainer laws. worst: the largest factor one is off by. Crossovers: log2 of predicted over")
    _print.say("measured, absolute. A machine after 0 rows: by specifications alone; plan: all of `ftax calibrate`.")
    if len(report.memory):
        _print.say("Memory, family never seen: of a fresh process, or of one used for other batch sizes before, which")
        _print.say("holds what those left; mostly: what takes most of it, the floor of the framework or the model.")


def calibrated(fits: Sequence[PlatformFit], kept: Path, *, as_json: bool) -> None:
    """The error that is to be expected on each platform of a calibrated machine, by regime."""
    rows = [
        {"platform": str(fit.platform), "rows": fit.n_rows, "began at": fit.origin, **fit.expected_errors()}
        for fit in fits
    ]
    if as_json:
        _print.as_json({"file": str(kept), "platforms": rows})
        return
    names = ("all", "framework-bound", "memory-bound", "compute-bound")
    shown = [{**dict.fromkeys(names, float("nan")), **row} for row in rows]
    columns = {name: percent if name in names else str if name == "rows" else None for name in _CALIBRATED}
    _print.table(shown, columns, title="Median error to be expected, by regime")
    _print.say(f"kept in {kept}", err=True)


_CALIBRATED = ("platform", "rows", "began at", "all", "framework-bound", "memory-bound", "compute-bound")


def _figure(name: str, value: Any, *, logarithmic: bool) -> str:
    if not isinstance(value, float):
        return str(value)
    if name in ("n", "rows", "seen"):
        return f"{value:.0f}"
    if name in ("worst", "crossover"):
        return number(value)
    if name in ("spearman", "repeats"):
        return signed(value)
    return number(value) if logarithmic and name not in ("censored", "right") else percent(value)
