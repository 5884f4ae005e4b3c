"""Decisions as tables of 80 columns, as JSON and as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftax_model.advice.decision import BEST, TIE
from ftax_model.cli import _print
from ftax_model.cli._print import number, percent, rate, seconds, size_of
from ftax_model.dataset import by_name
from ftax_model.measurement import in_threads
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.platforms.platform import JOINT

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from ftax_model.advice.decision import Decision
    from ftax_model.advice.parts import Parts

WIDTH = 80
"""Columns that a decision takes at most."""

_MARKS = {BEST: "*", TIE: "=", "": " "}
_GAP = 2


@dataclass(frozen=True)
class Answer:
    """What is said of one model: the decision, what keeps a latency, and where time goes, if that was asked."""

    decision: Decision
    kept: pd.DataFrame | None = None
    parts: Parts | None = None

    @property
    def keeps(self) -> bool:
        """Whether any framework keeps the latency that is to be kept."""
        return self.kept is None or bool(self.kept["inside"].any())

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        own, place = self.decision, self.decision.place
        found: dict[str, Any] = {
            "model": own.model,
            "dtype": own.dtype,
            "device": place.device,
            "threads": place.threads,
            "predictions": _print.records(own.table),
        }
        if self.kept is not None:
            found["kept"] = _print.records(self.kept)
        if self.parts is not None:
            told = {"layers": self.parts.layers, "kinds": self.parts.kinds}
            call = {name: self.parts.call[name] for name in ("framework", "batch_size")}
            found["parts"] = {**call, **{name: _print.records(frame) for name, frame in told.items()}}
        return found


def show(
    answers: Sequence[Answer],
    notes: Iterable[str],
    *,
    slo_s: float | None,
    confidence: float,
    top: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print what is said of each model, then the notes, a line each, on the error stream."""
    if as_json:
        slo = None if slo_s is None else {"latency_s": slo_s, "confidence": confidence}
        found = [one.to_record() for one in answers]
        _print.answers("prediction", found, notes=[*notes, *_chosen(answers)], slo=slo)
        return
    if as_csv:
        import pandas as pd

        _print.as_csv(pd.concat([one.decision.table for one in answers]))
        return
    for at, one in enumerate(answers):
        if at:
            _print.say()
        _decision(one.decision)
        if one.kept is not None and slo_s is not None:
            _kept(one.kept, slo_s=slo_s, confidence=confidence)
        if one.parts is not None:
            _parts(one.parts, top=top)
    for note in [*notes, *_chosen(answers), *_noted(answers)]:
        _print.say(f"note: {note}", err=True)


def rows(frame: pd.DataFrame, *, as_csv: bool, as_json: bool) -> None:
    """Predictions on every platform, as CSV, JSON or a line each."""
    if as_csv:
        _print.as_csv(frame)
    elif as_json:
        _print.answers("prediction", [{"predictions": _print.records(frame)}], notes=[], slo=None)
    else:
        from ftax_model.cli import _show

        _show.predictions(frame)


def _decision(decision: Decision) -> None:
    table, place = decision.table, decision.place
    threads = f", {in_threads(place.threads)}" if kind_of(place.device) == "cpu" else ""
    title = f"{decision.model} on {place.device}, {decision.dtype}{threads}"
    columns = [_cells(part) for _, part in table.groupby("batch_size", sort=False)]
    names = _names(table)
    for at, block in enumerate(_blocks(names, columns)):
        _print.lines(_grid(names, block), title="" if at else title, width=WIDTH)
        _print.say()
    _print.say("* the fastest   = its interval does not tell it from the fastest")


def _names(table: pd.DataFrame) -> list[str]:
    """The first column: each framework, and below it its crossover."""
    found = []
    for row in by_name(table.drop_duplicates("framework")):
        found += [str(row["framework"]), f"  crossover {_crossover(row)}"]
        found += ["  memory"] if "memory_bytes" in row else []
    return [*found, "fastest", "  throughput"]


def _cells(part: pd.DataFrame) -> list[str]:
    """One column: the batch size, of each framework its latency and regime, then the fastest and its throughput."""
    found = [f"  batch {part['batch_size'].iloc[0]}"]
    for row in by_name(part):
        found += [f"{_MARKS[row['standing']]} {_between(row)}", f"  {row['regime']}"]
        found += [f"  {_memory(row)}"] if "memory_bytes" in row else []
    (best,) = by_name(part[part["standing"] == BEST])
    tied = ", tied" if (part["standing"] == TIE).any() else ""
    return [*found, f"  {best['framework']}{tied}", f"  {rate(best['throughput'])}"]


def _between(row: dict[str, Any]) -> str:
    """A latency with its interval, in one unit."""
    value, unit = seconds(row["latency_s"]).split()
    low, high = (_two(row[name] * _print.SECONDS[unit]) for name in ("low_s", "high_s"))
    return f"{value} {unit} ({low}-{high})"


def _memory(row: dict[str, Any]) -> str:
    """Peak memory with its interval, or what is known of it."""
    if math.isnan(row["memory_bytes"]):
        return f"over {size_of(row['memory_low_bytes'])}" if row["memory_low_bytes"] > 0 else "not known"
    value, unit = size_of(row["memory_bytes"]).split()
    low, high = (_two(row[f"memory_{end}_bytes"] / row["memory_bytes"] * float(value)) for end in ("low", "high"))
    return f"{value} {unit} ({low}-{high})"


def _two(value: float) -> str:
    """Two significant digits, never in powers of ten."""
    if value <= 0 or not math.isfinite(value):
        return str(value)
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):.{max(digits, 0)}f}"


def _crossover(row: dict[str, Any]) -> str:
    if row["censored"] == "below":
        return "below 1"
    return "beyond all" if row["censored"] == "above" else number(row["crossover_batch_size"])


def _blocks(names: list[str], columns: list[list[str]]) -> Iterator[list[list[str]]]:
    """As many batch sizes beside one another as fit, then the next."""
    block: list[list[str]] = []
    for column in columns:
        if block and sum(max(map(len, one)) + _GAP for one in [names, *block, column]) - _GAP > WIDTH:
            yield block
            block = []
        block.append(column)
    yield block


def _grid(names: list[str], block: list[list[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 0, 0, _GAP), header_style="bold")
    for heading in ("framework", *(column[0] for column in block)):
        grid.add_column(heading, no_wrap=True)
    for at, name in enumerate(names):
        cells = [column[at + 1] for column in block]
        dim = "dim" if name.startswith(" ") else ""
        grid.add_row(Text(name, dim), *(Text(cell, "bold green" if cell[0] == "*" else dim) for cell in cells))
    return grid


def _kept(kept: pd.DataFrame, *, slo_s: float, confidence: float) -> None:
    lines = [
        {
            "framework": row["framework"],
            "largest batch": f"{row['batch_size']}: stays below {seconds(row['quantile_s'])}"
            if row["inside"]
            else f"none: {seconds(row['quantile_s'])} at batch {row['batch_size']}",
            "highest throughput": f"{rate(row['throughput'])} at batch {row['throughput_batch_size']}"
            if row["inside"]
            else "-",
        }
        for row in by_name(kept)
    ]
    title = f"\nInside {seconds(slo_s)} with {100 * confidence:g} % confidence"
    _print.table(lines, dict.fromkeys(lines[0]), title=title, width=WIDTH)


def _parts(told: Parts, *, top: int) -> None:
    call = told.call
    _print.say(f"\nWhere {seconds(call['latency_s'])} go: {call['framework']}, batch {call['batch_size']}")
    for heading, frame in (("layer", told.layers), ("operators", told.kinds)):
        lines = [
            {
                heading: row["name"],
                "count": str(row["count"]),
                "host": seconds(row["host_s"]),
                "device": seconds(row["device_s"]),
                "share": percent(row["share"]),
            }
            for row in by_name(_shortened(frame, top))
        ]
        columns = {heading: None, "count": str, "host": str, "device": str, "share": str}
        _print.table(lines, columns, title="", width=WIDTH)
        _print.say()


def _shortened(frame: pd.DataFrame, top: int) -> pd.DataFrame:
    """The first rows, and a last one that sums the rest."""
    import pandas as pd

    rest = frame.iloc[top:]
    if len(rest) < 2:
        return frame
    summed = rest[["host_s", "device_s", "latency_s", "count", "share"]].sum()
    return pd.concat([frame.iloc[:top], pd.DataFrame([{"name": f"{len(rest)} more", **summed}])]).astype({"count": int})


def _chosen(answers: Sequence[Answer]) -> list[str]:
    """How places were chosen that were not named."""
    return list(dict.fromkeys(note for one in answers for note in one.decision.place.notes))


def _noted(answers: Sequence[Answer]) -> Iterator[str]:
    """What is noted of predictions, each once, with the frameworks and batch sizes that it is of."""
    for one in answers:
        table = one.decision.table
        each = table.assign(notes=table["notes"].str.split(JOINT)).explode("notes")
        each = each[each["notes"] != ""]
        found: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        for (note, framework), part in each.groupby(["notes", "framework"], sort=False):
            found.setdefault((str(note), tuple(part["batch_size"])), []).append(str(framework))
        for (note, sizes), frameworks in found.items():
            who = "all frameworks" if len(frameworks) == table["framework"].nunique() else ", ".join(frameworks)
            when = "" if len(sizes) == table["batch_size"].nunique() else f", batch {', '.join(map(str, sizes))}"
            yield f"{who}{when}: {note}"
