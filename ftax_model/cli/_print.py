"""How results are shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


WIDTH = 200
"""Columns of a table that goes into a file or a pipe."""


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values; nan and infinity become null."""
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return found


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries of the frame's own values."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def as_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Callable[[Any], str] | None],
    *,
    title: str = "",
    width: int | None = None,
) -> None:
    """Print the named columns, headings as given by their keys; a formatter turns each value into text."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for name, form in columns.items():
        shown.add_column(name.replace("_", " "), justify="left" if form is None else "right", no_wrap=form is not None)
    for row in rows:
        cells = (str(row[name]) if form is None else form(row[name]) for name, form in columns.items())
        shown.add_row(*map(escape, cells))
    lines(shown, title=title, width=width)


def lines(shown: Table, *, title: str = "", width: int | None = None) -> None:
    """Print a table, as wide as the terminal, or `WIDTH` where there is none, unless a ``width`` is given."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=width or (None if sys.stdout.isatty() else WIDTH))
    if title:
        console.print(title, style="bold", soft_wrap=True)
    console.print(shown)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on the error stream, once it is told how many are done, of how many, and what is happening now."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True, highlight=False))
    task = bar.add_task(what, total=None)

    def advance(done: int, total: int, now: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, description=now)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def seconds(value: float | None) -> str:
    """Seconds in the unit that suits them.

    >>> seconds(0.0123), seconds(4.2e-5), seconds(None)
    ('12.3 ms', '42 us', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1 or unit == "us":
            return f"{value * factor:.3g} {unit}" if value * factor < 100 else f"{value * factor:.0f} {unit}"
    raise AssertionError


def duration(value: float) -> str:
    """Seconds as people plan with them.

    >>> duration(0.4), duration(75), duration(600), duration(20000)
    ('1 s', '1 min 15 s', '10 min', '5 h 33 min')
    """
    whole = math.ceil(value)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60 if whole < 600 else 0, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"


def counted(value: float | None) -> str:
    """A count, with k, M, G or T.

    >>> counted(12.0), counted(4.089e9)
    ('12', '4.09 G')
    """
    return _scaled(value, ("", " k", " M", " G", " T", " P"))


def size_of(value: float | None) -> str:
    """Bytes, with kB, MB and so on, or a dash.

    >>> size_of(102.4e6), size_of(math.nan)
    ('102 MB', '-')
    """
    return _scaled(value, (" B", " kB", " MB", " GB", " TB", " PB"))


def _scaled(value: float | None, units: tuple[str, ...]) -> str:
    if value is None or math.isnan(value):
        return "-"
    scale = 0
    while abs(value) >= 999.5 and scale < len(units) - 1:
        value, scale = value / 1000, scale + 1
    return f"{value:.3g}{units[scale]}"


def rate(value: float) -> str:
    """How many a second.

    >>> rate(4.97), rate(5537.0)
    ('4.97/s', '5.54 k/s')
    """
    return f"{counted(value)}/s"


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def signed(value: float | None) -> str:
    """A correlation or error with two decimals and its sign, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:+.2f}"
