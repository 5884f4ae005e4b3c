"""How results are shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ftax_model.errors import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions
    from rich.progress import Progress, ProgressColumn
    from rich.segment import Segment
    from rich.table import Table


WIDTH = 200
"""Columns of a table that goes into a file or a pipe."""


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values; nan and infinity become null."""
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return found


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line of text for people; what a terminal would obey in it is shown instead."""
    click.echo(printable(text), err=err)


def as_csv(frame: pd.DataFrame) -> None:
    """Print a frame for programs, as it is."""
    click.echo(frame.to_csv(index=False), nl=False)


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
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for name, form in columns.items():
        shown.add_column(name.replace("_", " "), justify="left" if form is None else "right", no_wrap=form is not None)
    for row in rows:
        cells = (str(row[name]) if form is None else form(row[name]) for name, form in columns.items())
        shown.add_row(*cells)
    lines(shown, title=title, width=width)


def lines(shown: Table, *, title: str = "", width: int | None = None) -> None:
    """Print a table, as wide as the terminal, or `WIDTH` where there is none, unless a ``width`` is given."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=width or (None if sys.stdout.isatty() else WIDTH))
    if title:
        console.print(printable(title), style="bold", soft_wrap=True)
    console.print(_Printable(shown))


class _Printable:
    """Anything that rich shows, the texts in it as `printable` makes them."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for text, style, control in console.render(self._shown, options):
            yield Segment(text if control else printable(text), style, control)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with the time left, once it is told how many are done, of how many, and what is happening now.

    It stands on the error stream, if that is a terminal; else nothing is shown.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    left = (TextColumn("[dim]left"), TimeRemainingColumn())
    bar = _live(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *left)
    task = bar.add_task(what, total=None)

    def advance(done: int, total: int, now: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, description=escape(printable(now)))

    try:
        yield advance
    finally:
        bar.stop()


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, float], None]]:
    """A bar once it is told how many rows are done, and which share of all that is; shown where `progress` is."""
    from rich.markup import escape
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    bar = _live(*shown, transient=True)
    task = bar.add_task(escape(what), total=1.0)

    def tell(rows: int, share: float) -> None:
        bar.start()
        bar.update(task, completed=share, description=escape(f"{what}, {rows:,} rows"))

    try:
        yield tell
    finally:
        bar.stop()


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner with the time since, and a bar once parts of the work are known; shown where `progress` is."""
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    from ftax_model.progress import heard

    shown = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with _live(*shown, transient=True) as bar:
        task = bar.add_task(what, total=None)
        with heard(lambda done, total: bar.update(task, completed=done, total=total)):
            yield


def _live(*columns: ProgressColumn, transient: bool = False) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    return Progress(*columns, console=console, transient=transient, disable=not console.is_interactive)


def answers(name: str, found: Iterable[Any], *, notes: Iterable[str], **more: Any) -> None:
    """Print answers as JSON; ``ftax_model/schemas/NAME.json`` says what is in it."""
    as_json({"format": f"ftax_model.{name.title()}", "schema": SCHEMA, **more, "notes": [*notes], "answers": [*found]})


SCHEMA = 1
"""Version of what `answers` prints."""


def seconds(value: float | None) -> str:
    """Seconds in the unit that suits them.

    >>> seconds(0.0123), seconds(4.2e-5), seconds(7.79e-7), seconds(None)
    ('12.3 ms', '42 us', '779 ns', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    unit = next((unit for unit, factor in SECONDS.items() if value * factor >= _ONE), "ns" if value else "s")
    return f"{number(value * SECONDS[unit])} {unit}"


SECONDS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Units of a latency, and how many of each are a second."""

_ONE = 0.9995  # from here on, three digits are those of 1


def duration(value: float) -> str:
    """Seconds as people plan with them.

    >>> duration(0.4), duration(75), duration(600), duration(20000)
    ('1 s', '1 min 15 s', '10 min', '5 h 33 min')
    """
    whole = math.ceil(value)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60 if whole < 600 else 0, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def number(value: float | None) -> str:
    """Three significant digits, never in powers of ten, or a dash.

    >>> number(0.1234), number(1234.5), number(1e-7), number(math.inf), number(None)
    ('0.123', '1,234', '0.0000001', 'inf', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    plain = f"{value:.3g}"
    return f"{value:.{max(2 - math.floor(math.log10(abs(value))), 0)}f}".rstrip("0") if "e" in plain else plain


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
    """A share as a percentage with one decimal, or a dash.

    >>> percent(0.0823), percent(-0.0002), percent(0.0), percent(1.0), percent(137.76), percent(None)
    ('8.2 %', 'below 0.1 %', '0 %', '100 %', '13,776 %', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if value and abs(value) < 0.0005:
        return "below 0.1 %"
    return f"{100 * value:,.{1 if value and abs(value) < 0.9995 else 0}f} %"


def signed(value: float | None) -> str:
    """A correlation or error with two decimals and its sign, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:+.2f}"
