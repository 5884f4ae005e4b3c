"""One plot of a report as a PNG or SVG file, without a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import vl_convert

from ftax_model.errors import DataError, InputError
from ftax_model.files import write
from ftax_model.report import plots
from ftax_model.report.content import Content
from ftax_model.report.page import VEGA_LITE, records
from ftax_model.report.plots._base import ROWS

SUFFIXES = (".png", ".svg")

SCALE = 2.0
"""Pixels of a PNG for each of the specification."""

CONFIG: dict[str, Any] = {
    "background": "#ffffff",
    "font": "DejaVu Sans, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e6e6e6"},
    "legend": {
        "orient": "bottom",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "columns": 4,
        "labelLimit": 260,
        "layout": {"bottom": {"direction": "vertical", "anchor": "start"}},
    },
    "title": {"fontSize": 15, "anchor": "start", "subtitleFontSize": 12, "subtitlePadding": 6, "offset": 14},
    "mark": {"color": "#222222"},
    "rule": {"color": "#222222"},
    "text": {"color": "#222222"},
    "axisY": {"labelLimit": 320},
}


def check(path: str | os.PathLike[str]) -> str:
    """The suffix of a plot's file; raises `InputError` for one that is not of `SUFFIXES`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"a plot is written as {' or '.join(SUFFIXES)}", str(path), "choose such a name")
    return suffix


def draw(name: str, content: Content, path: str | os.PathLike[str], *, workload: str | None = None) -> Path:
    """Write a plot by the suffix of ``path``; one that shows one workload at a time shows ``workload``, or the first.

    Returns the path. Raises `InputError` for another suffix or a workload that is not there, `DataError` where the
    content has nothing to show or the file cannot be written.
    """
    suffix = check(path)
    plot = plots.load(name)
    subtitle = content.title
    if plot.one_workload or workload is not None:
        subtitle = workload if workload is not None else content.workloads[0]
        content = content.only(subtitle)
    rows = plot.data(content)
    if rows.empty:
        raise DataError(f"plot {name} needs what it shows", plot.lacking, "choose another plot: ftax plot --list")
    spec = plot.spec(content)
    spec["datasets"] = {**spec.get("datasets", {}), ROWS: records(rows)}
    spec |= {"title": {"text": plot.title, "subtitle": subtitle}}
    spec["config"] = {**spec.get("config", {}), **CONFIG}
    if suffix == ".svg":
        return write(path, vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE).encode())
    return write(path, vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=SCALE))
