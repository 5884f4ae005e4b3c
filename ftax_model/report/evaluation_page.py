"""The page of an evaluation: predicted against measured, errors beside baselines, coverage, crossovers, calibration."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftax_model.files import write
from ftax_model.modeling.judging import machines
from ftax_model.modeling.judging.evaluation import REFERENCES, Report, summary
from ftax_model.report.curves import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def figure(report: Report, path: str | os.PathLike[str]) -> Path:
    """Draw the page and write it as PNG; returns the path, raises `DataError` where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(15, 9), layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(2, 3).flatten()
    split = "family" if (report.left_out["split"] == "family").any() else str(report.left_out["split"].iloc[0])
    _predicted(panels[0], report, split)
    _beside(panels[1], report)
    _families(panels[2], report, split)
    _coverage(panels[3], report)
    _crossovers(panels[4], report, split)
    _calibration(panels[5], report)
    picture = io.BytesIO()
    drawing.savefig(picture, dpi=110, format="png")
    return write(path, picture.getvalue())


def _predicted(axes: Axes, report: Report, split: str) -> None:
    rows = report.left_out[report.left_out["split"] == split]
    for (name, part), colour in zip(rows.groupby("framework"), COLOURS * 9, strict=False):
        axes.loglog(part["latency_s"], part["predicted_s"], ".", ms=2.5, alpha=0.5, color=colour, label=name)
    ends = np.array([rows["latency_s"].min(), rows["latency_s"].max()])
    axes.loglog(ends, ends, color="black", lw=0.8)
    axes.set(title=f"{split} never seen: predicted against measured", xlabel="measured (s)", ylabel="predicted (s)")
    axes.legend(fontsize=8, markerscale=4)


def _beside(axes: Axes, report: Report) -> None:
    table = summary(report.left_out, by=["split"]).set_index("split")
    names = ["floor", "median", *(name for name in REFERENCES if name in table)]
    width = 0.8 / len(names)
    for at, (name, colour) in enumerate(zip(names, COLOURS * 9, strict=False)):
        places = np.arange(len(table)) + at * width
        axes.bar(places, 100 * table[name], width, color=colour, label="predictor" if name == "median" else name)
    axes.set_xticks(np.arange(len(table)) + 0.4 - width / 2, list(table.index))
    axes.set(title="median error by what was held out", ylabel="%")
    axes.legend(fontsize=7)
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])


def _families(axes: Axes, report: Report, split: str) -> None:
    rows = report.left_out[report.left_out["split"] == split]
    errors = rows.assign(miss=100 * rows["error"].abs()).groupby("architecture")["miss"].median().sort_values()
    axes.barh(list(errors.index), errors, color=COLOURS[0])
    axes.tick_params(axis="y", labelsize=6)
    axes.set(title=f"{split} never seen: median error", xlabel="%")


def _coverage(axes: Axes, report: Report) -> None:
    table = summary(report.left_out, by=["split", "regime"])
    labels = [f"{row.split}, {row.regime}" for row in table.itertuples()]
    axes.barh(labels, 100 * table["covered"], color=COLOURS[2])
    axes.axvline(90, color="black", lw=0.8)
    axes.tick_params(axis="y", labelsize=7)
    axes.set(title="share of measurements inside their interval", xlabel="%", xlim=(50, 100))


def _crossovers(axes: Axes, report: Report, split: str) -> None:
    axes.set(title=f"{split} never seen: crossover batch size", xlabel="measured", ylabel="predicted")
    if not len(report.crossovers):
        axes.text(0.5, 0.5, "no sweep of four batch sizes", ha="center")
        return
    found: Any = report.crossovers
    found = found[(found["split"] == split) & (found["censored"] == "")]
    for (name, part), colour in zip(found.groupby("framework"), COLOURS * 9, strict=False):
        axes.loglog(2 ** part["measured"], 2 ** part["predicted"], ".", ms=5, alpha=0.6, color=colour, label=name)
    axes.loglog([0.5, 128], [0.5, 128], color="black", lw=0.8)
    axes.legend(fontsize=8)


def _calibration(axes: Axes, report: Report) -> None:
    axes.set(title="machine never seen", xlabel="rows measured on each platform", ylabel="median error, %")
    if not len(report.machines):
        axes.text(0.5, 0.5, "one machine alone", ha="center")
        return
    table = machines.means(report.machines)
    counts = sorted(set(table["rows"]) - {"plan"}, key=int)
    counts += ["plan"] if "plan" in set(table["rows"]) else []
    for (name, part), colour in zip(table.groupby("framework"), COLOURS * 9, strict=False):
        own = part.set_index("rows").reindex(counts)
        axes.plot(range(len(counts)), 100 * own["median"], "o-", color=colour, label=name)
        axes.plot(range(len(counts)), 100 * own["by three factors"], "--", color=colour, lw=0.8)
        axes.plot(range(len(counts)), 100 * own["by law"], ":", color=colour, lw=0.8)
    axes.set_xticks(range(len(counts)), ["specified" if count == "0" else count for count in counts])
    axes.set_ylim(0, 80)
    title = "mean over machines; dashed: three factors, dotted: law, same rows"
    axes.legend(fontsize=8, title=title, title_fontsize=8)
