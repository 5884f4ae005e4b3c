"""How results are shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd


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
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Callable[[Any], str] | None], *, title: str = ""
) -> None:
    """Print the named columns, headings as given by their keys; a formatter turns each value into text."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, form in columns.items():
        shown.add_column(name.replace("_", " "), justify="left" if form is None else "right", no_wrap=form is not None)
    for row in rows:
        shown.add_row(*(str(row[name]) if form is None else form(row[name]) for name, form in columns.items()))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(shown)


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


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def signed(value: float | None) -> str:
    """A correlation or error with two decimals and its sign, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{value:+.2f}"
