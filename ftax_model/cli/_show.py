"""Results as tables: what was learnt, what is predicted, what was measured beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftax_model.cli import _print
from ftax_model.cli._print import number, percent, seconds, signed

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.collection.plan import Plan
    from ftax_model.collection.runner import Summary
    from ftax_model.modeling.predictor import LatencyPredictor


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


def predictions(frame: pd.DataFrame, *, as_json: bool) -> None:
    """One line a workload and platform."""
    if as_json:
        _print.as_json(_print.records(frame))
        return
    rows = [
        {
            "workload": row["curve"],
            "batch": str(row["batch_size"]),
            "platform": _platform(row),
            "latency": seconds(row["latency_s"]),
            "interval": f"{seconds(row['low_s'])} to {seconds(row['high_s'])}",
            "regime": row["regime"],
            "crossover_batch_size": crossover(row),
        }
        for row in _print.rows(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))
    _notes(frame)


def crossovers(frame: pd.DataFrame, *, as_json: bool) -> None:
    """The crossover alone, one line a platform."""
    columns = ["curve", "framework", "device", "dtype", "threads", "regime", "notes"]
    columns += ["crossover_batch_size", "crossover_low", "crossover_high", "censored"]
    if as_json:
        _print.as_json(_print.records(frame[columns]))
        return
    rows = [
        {"workload": row["curve"], "platform": _platform(row), "crossover_batch_size": crossover(row)}
        for row in _print.rows(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))
    _notes(frame)


def proxies(frame: pd.DataFrame, *, as_json: bool) -> None:
    """Rank correlations, one line a group, one column a proxy."""
    if as_json:
        _print.as_json(_print.records(frame))
        return
    groups = [name for name in frame.columns if name not in ("proxy", "spearman", "kendall", "n")]
    names = list(dict.fromkeys(frame["proxy"]))
    rows = []
    for key, part in frame.groupby(groups, sort=False):
        cells = {row["proxy"]: f"{signed(row['spearman'])} {signed(row['kendall'])}" for row in _print.rows(part)}
        own = dict(zip(groups, key, strict=True))
        rows.append({**own, "rows": str(part["n"].iloc[0]), **{name: cells[name] for name in names}})
    _print.table(rows, dict.fromkeys(rows[0]), title="Spearman and Kendall correlation with measured latency")


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
        for row in _print.rows(frame)
    ]
    _print.table(rows, dict.fromkeys(rows[0]))


def held_out(frame: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Predicted beside measured for the smallest and largest batch of each model, then the errors of all rows."""
    rows = []
    for (curve, framework), part in frame.groupby(["curve", "framework"]):
        ends = _print.rows(part.sort_values(["batch_size", "repeat"]).drop_duplicates("batch_size").iloc[[0, -1]])
        rows.append(
            {
                "model never seen": curve,
                "framework": framework,
                "batch": " | ".join(str(end["batch_size"]) for end in ends),
                "measured": " | ".join(seconds(end["latency_s"]) for end in ends),
                "predicted": " | ".join(seconds(end["predicted_s"]) for end in ends),
                "interval at the larger": f"{seconds(ends[-1]['low_s'])} to {seconds(ends[-1]['high_s'])}",
                "median error": f"{100 * part['error'].abs().median():.0f} %",
            }
        )
    _print.table(rows, dict.fromkeys(rows[0]))
    shares = ("median", "mape", "within_10", "bias", "covered", "floor")
    lines = [
        {"framework": row["framework"], "regime": row["regime"], "rows": f"{row['n']:.0f}"}
        | {name: percent(row[name]) for name in shares}
        | {"spearman": signed(row["spearman"])}
        for row in _print.rows(summary)
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title="\nErrors on models never seen, and the repeatability floor")


def collect(plan: Plan, out: Path, **options: Any) -> Summary:
    """Collect with a progress bar on the error stream; returns the summary, which is printed there too."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ftax_model.collection.runner import collect as run

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console)
    task = progress.add_task(f"measuring {plan.name}", total=None)

    def advance(done: int, total: int, now: str) -> None:
        progress.start()
        progress.update(task, completed=done, total=total, description=now)

    try:
        summary = run(plan, out, on_progress=advance, **options)
    finally:
        if progress.live.is_started:
            progress.stop()
    console.print(str(summary))
    return summary


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
    if value is None:
        return "not seen"
    if error is None:
        return f"{number(value * factor)} {unit}".strip()
    return f"{number(value * factor)} +- {number(error * factor)} {unit}".strip()


def _platform(row: dict[str, Any]) -> str:
    from ftax_model.measurement import Platform

    return str(Platform(row["framework"], row["device"], row["dtype"], row["threads"]))


def _notes(frame: pd.DataFrame) -> None:
    import click

    for note in dict.fromkeys(frame["notes"]):
        if note:
            count = int((frame["notes"] == note).sum())
            click.echo(f"note: {count} of {len(frame)} predictions are {note}", err=True)
