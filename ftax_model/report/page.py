"""The report as one HTML file that needs nothing else: plots, their numbers, the data card and provenance."""

from __future__ import annotations

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import vl_convert
from markdown_it import MarkdownIt
from markupsafe import Markup

from ftax_model.files import write
from ftax_model.modeling.judging.ratios import NOISE
from ftax_model.report import plots
from ftax_model.report.content import Content
from ftax_model.report.plots._base import ROWS

DIGITS = 6
"""Significant digits of the numbers on the page."""

SWITCHES = {"framework": "framework", "device": "device", "family": "family", "regime": "regime"}
"""Columns by which the page can be narrowed down, and their headings."""

VEGA_LITE = "6.4"
"""Version of Vega-Lite that draws the specifications of altair 6."""


def page(content: Content) -> str:
    """The page; the same content gives the same text."""
    names = {name: plots.load(name) for name in plots.names()}
    data = {name: plot.data(content) for name, plot in names.items()}
    drawn = {name: plot for name, plot in names.items() if len(data[name])}
    shown = [
        {
            "name": name,
            "title": plot.title,
            "reading": plot.reading,
            "one_workload": plot.one_workload,
            "least_width": plot.least_width,
            "columns": [{"name": key, "heading": head} for key, head in plot.columns.items() if key in data[name]],
            "spec": plot.spec(content),
            "data": packed(data[name]),
        }
        for name, plot in drawn.items()
    ]
    embedded = {"rows": ROWS, "noise": NOISE, "workloads": _by_family(content), "plots": shown}
    return _template().render(
        content=content,
        plots=shown,
        left_out=[(plot.title, plot.lacking) for name, plot in names.items() if name not in drawn],
        switches=_switches(content),
        embedded=Markup(_json(embedded)),
        card=Markup(_markdown(content.card)),
        claims=Markup(_markdown(content.claims)),
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        vega=Markup(_vega()),
    )


def save(content: Content, path: str | os.PathLike[str]) -> Path:
    """Write the page in one step; returns its path, raises `DataError` where it cannot be written."""
    return write(path, page(content).encode())


def packed(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns of a frame as plain JSON values; words as their place in a list of the distinct ones.

    Numbers have `DIGITS` significant digits; missing ones are null. `unpacked` is the way back.
    """
    found: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            found[str(name)] = [_rounded(value) for value in column.tolist()]
        else:
            words = list(dict.fromkeys(column.fillna("").astype(str)))
            place = {word: at for at, word in enumerate(words)}
            found[str(name)] = {"words": words, "at": [place[word] for word in column.fillna("").astype(str)]}
    return found


def unpacked(data: dict[str, Any]) -> pd.DataFrame:
    """The frame that `packed` was given, numbers rounded."""
    return pd.DataFrame(
        {name: [own["words"][at] for at in own["at"]] if isinstance(own, dict) else own for name, own in data.items()}
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values, rounded as on the page."""
    columns = {str(name): list(own) for name, own in unpacked(packed(frame)).items()}
    return [dict(zip(columns, map(_none, values), strict=True)) for values in zip(*columns.values(), strict=True)]


def _none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(value: Any) -> int | float | None:
    if isinstance(value, int):
        return value
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def _switches(content: Content) -> list[dict[str, Any]]:
    """The switches that have more than one position; of several devices the first alone is on when the page opens."""
    found = []
    for column, heading in SWITCHES.items():
        own = content.cells[column].dropna()
        values = content.devices if column == "device" else sorted(map(str, own.unique()))
        on = values[:1] if column == "device" else values
        if len(values) > 1:
            found.append({"column": column, "heading": heading, "values": [(one, one in on) for one in values]})
    return found


def _by_family(content: Content) -> list[dict[str, Any]]:
    """Workloads under their families, the first of them first."""
    family = content.cells.drop_duplicates("curve").set_index("curve")["family"]
    groups: dict[str, list[str]] = {}
    for one in content.workloads:
        groups.setdefault(str(family[one]), []).append(one)
    return [{"family": name, "workloads": own} for name, own in groups.items()]


def _json(value: Any) -> str:
    """JSON that no text in it can break out of a script element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _markdown(text: str) -> str:
    """Markdown as HTML; tags within it are shown as they are written."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"]).render(text))


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed, as one script."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)).replace(
        "</script", "<\\/script"
    )


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_text("page.html"))


def _text(name: str) -> str:
    return (Path(__file__).parent / "template" / name).read_text(encoding="utf-8")
