"""The picture of a dataset in the manner of the paper's figure 4: latency over batch size, points on fitted curves."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftax_model import dataset
from ftax_model.errors import DataError
from ftax_model.files import write
from ftax_model.modeling.estimators.regime import fit_curve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = 3
SMALLEST = 3
"""Fewest batch sizes that make a curve."""

DIAMOND: dict[str, Any] = {
    "marker": "D",
    "linestyle": "none",
    "markersize": 9,
    "markerfacecolor": "none",
    "markeredgewidth": 1.6,
}

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""


def predicted(left_out: pd.DataFrame, path: str | os.PathLike[str], *, largest: int = 12) -> Path:
    """Draw predicted curves with their bands over measured points, one panel per curve, and write it as PNG.

    ``left_out`` are rows that were predicted without their model (`ftax_model.modeling.judging.evaluation.hold_out`):
    lines and bands are predictions and their intervals, points what was measured (median over repeats). Returns the
    path; raises `DataError` as `figure` does.
    """
    columns = ["latency_s", "predicted_s", "low_s", "high_s"]
    rows = left_out.groupby(["curve", "framework", "batch_size"])[columns].median().reset_index()
    return _drawn(rows, path, _predicted_panel, largest=largest, marks={})


def figure(table: pd.DataFrame, path: str | os.PathLike[str], *, largest: int = 12) -> Path:
    """Draw one panel per curve (model, input, dtype), one colour per framework, and write it as PNG.

    Points are measured latencies (median over repeats), lines the law fitted to each sweep of batch sizes, a
    diamond on a line its crossover batch size. At most ``largest`` panels, those with the most points first.

    Returns the path. Raises `DataError` where nothing was measured at three batch sizes, or the file cannot be written.
    """
    from matplotlib.lines import Line2D

    rows = dataset.good(table)
    rows = rows.groupby(["curve", "framework", "batch_size"])["latency_s"].median().reset_index()
    return _drawn(rows, path, _panel, largest=largest, marks={"crossover": Line2D([], [], **DIAMOND, color="grey")})


def _drawn(
    rows: pd.DataFrame,
    path: str | os.PathLike[str],
    draw: Callable[[Axes, pd.DataFrame, dict[str, str]], None],
    *,
    largest: int,
    marks: Mapping[str, Any],
) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    distinct = rows.groupby(["curve", "framework"])["batch_size"].transform("nunique")
    rows = rows[distinct >= SMALLEST]
    if rows.empty:
        law = f"a curve needs {SMALLEST} batch sizes of one model"
        raise DataError(law, "fewer of every model", "measure more batch sizes")
    names = list(rows["curve"].value_counts().index[:largest])
    colours = dict(zip(sorted(rows["framework"].unique()), COLOURS * 9, strict=False))
    columns = min(COLUMNS, len(names))
    lines = math.ceil(len(names) / columns)
    drawing = Figure(figsize=(4.2 * columns, 3.2 * lines + 0.6), layout="constrained")
    panels = drawing.subplots(lines, columns, squeeze=False).flatten()
    for panel, name in zip(panels, sorted(names), strict=False):
        draw(panel, rows[rows["curve"] == name], colours)
        _axes(panel, name)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    handles |= marks
    drawing.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)
    FigureCanvasAgg(drawing)
    picture = io.BytesIO()
    drawing.savefig(picture, dpi=130, format="png")
    return write(path, picture.getvalue())


def _predicted_panel(panel: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    for framework, part in rows.groupby("framework"):
        part = part.sort_values("batch_size")
        size, colour = part["batch_size"].to_numpy(float), colours[str(framework)]
        panel.plot(size, 1e3 * part["latency_s"], "o", color=colour, markersize=4, label=f"{framework}, measured")
        panel.plot(size, 1e3 * part["predicted_s"], color=colour, linewidth=1.2, label="predicted unseen")
        panel.fill_between(size, 1e3 * part["low_s"], 1e3 * part["high_s"], color=colour, alpha=0.15, linewidth=0)


def _panel(panel: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    for framework, part in rows.groupby("framework"):
        part = part.sort_values("batch_size")
        size, latency = part["batch_size"].to_numpy(float), part["latency_s"].to_numpy(float)
        colour = colours[str(framework)]
        panel.plot(size, 1e3 * latency, "o", color=colour, markersize=4, label=framework)
        curve = fit_curve(size, latency)
        smooth = np.geomspace(size.min(), size.max(), 100)
        panel.plot(smooth, 1e3 * curve.latency_s(smooth), color=colour, linewidth=1.2)
        crossover = curve.crossover_batch_size
        if size.min() <= crossover <= size.max():
            height = 1e3 * float(curve.latency_s(crossover))
            panel.plot(crossover, height, color=colour, **DIAMOND)


def _axes(panel: Axes, name: str) -> None:
    from matplotlib.ticker import LogLocator

    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    panel.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    panel.set_title(name, fontsize=9)
    panel.set_xlabel("batch size")
    panel.set_ylabel("latency (ms)")
    panel.grid(visible=True, which="major", linewidth=0.4, alpha=0.6)
