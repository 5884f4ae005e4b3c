"""What differs between two datasets, as tables: by group, then the cells that are furthest apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftax_model.cli import _print
from ftax_model.cli._print import number, seconds
from ftax_model.dataset import by_name
from ftax_model.measurement import in_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftax_model.advice.difference import Difference, Side

LONGEST = 3
"""Names of what changed in a line; JSON has all."""


def show(found: Difference, words: tuple[str, str], *, top: int, as_csv: bool, as_json: bool) -> None:
    """Groups, then the ``top`` cells, and what there is beside them; or all cells as CSV, or JSON."""
    names = tuple(Path(word).name for word in words)
    if as_csv:
        _print.as_csv(found.cells)
        return
    notes = [*_alone(names[0], found.one), *_alone(names[1], found.other)]
    if as_json:
        sides = {side: {"name": name, **vars(own)} for side, name, own in _sides(found, names)}
        changed = [vars(one) for one in found.changed]
        cells = _print.records(found.cells.head(top))
        answers = _print.records(found.groups)
        _print.answers("difference", answers, notes=notes, **sides, changed=changed, cells=cells)
        return
    title = " to ".join(f"{name} ({own.device})" if own.device else name for _, name, own in _sides(found, names))
    lines = [
        {name: "-" if row[name] != row[name] else str(row[name]) for name in found.by}
        | {
            "cells": f"{row['cells']:,}",
            "ratio": number(row["ratio"]),
            "interval": _interval(row),
            "differs": _yes(row),
            "cells that do": f"{row['cells_beyond']:,}",
            "furthest": f"{row['furthest']}: {number(row['furthest_ratio'])}",
        }
        for row in by_name(found.groups)
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title=title)
    shown = [
        {
            "cell": f"{row['curve']}, batch {row['batch_size']}, {row['framework']}" + _threads(found, row),
            "A": seconds(row["one_s"]),
            "B": seconds(row["other_s"]),
            "ratio": number(row["ratio"]),
            "interval": _interval(row),
            "differs": _yes(row),
        }
        for row in by_name(found.cells.head(top))
    ]
    if shown:
        _print.table(shown, dict.fromkeys(shown[0]), title="\nThe cells furthest apart")
    _print.say("\nRatios are B over A. Of cells that noise alone moves, 1 in 100 differs.")
    if found.changed:
        rest = len(found.changed) - LONGEST
        more = f"; and {rest} more (--json)" * (rest > 0)
        _print.say(f"also changed: {'; '.join(map(str, found.changed[:LONGEST]))}{more}")
    for note in notes:
        _print.say(f"note: {note}", err=True)


def _sides(found: Difference, names: tuple[str, ...]) -> list[tuple[str, str, Side]]:
    return [("one", names[0], found.one), ("other", names[1], found.other)]


def _alone(name: str, side: Side) -> list[str]:
    """What is to be said of cells that were not measured on both sides."""
    counts = {f"cells in {name} alone": side.alone, f"cells that failed in {name} alone": side.failed}
    return [f"{what}: {count:,}" for what, count in counts.items() if count]


def _interval(row: Mapping[str, Any]) -> str:
    return f"{number(row['low'])} to {number(row['high'])}"


def _yes(row: Mapping[str, Any]) -> str:
    return "yes" if row["beyond"] else "no"


def _threads(found: Difference, row: Mapping[str, Any]) -> str:
    """The number of threads, where cells differ in it."""
    return f", {in_threads(int(row['threads']))}" if found.cells["threads"].nunique() > 1 else ""
