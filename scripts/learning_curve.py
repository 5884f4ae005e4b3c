"""How good predictions on a new machine are after so many rows measured there, by several ways of using them.

    .venv/bin/python scripts/learning_curve.py x86-epyc-2core intel-xeon-amx-2core amd-epyc-genoa-2core

Each machine in turn is new and the others are known. So many rows of each platform (float32, one thread) are drawn,
mostly of single layers; predicted are whole models that are not among them, in the same families and others. ``ours``
is one formula from no rows to all; ``three factors`` multiply the known machines' host, computing and memory time;
``from scratch`` learns operators from the rows alone; ``law`` is the law fitted to them. Medians, mean and worst
(the largest factor off) of each, in per cent but for the last. ``--picture FILE`` draws them.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from ftax_model import dataset, files
from ftax_model.cli import _print
from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling.judging.machines import factored
from ftax_model.modeling.platforms.fitting import drawn
from ftax_model.modeling.platforms.known import Key, Known, design, law, learn
from ftax_model.modeling.platforms.platform import BLOCK, predict_left_out
from ftax_model.modeling.rows import PLATFORM, with_operators

COUNTS = (0, 5, 10, 20, 40, 80, 160, 320)
WAYS = ("ours", "three factors", "from scratch", "law")


def curve(rows: pd.DataFrame, machine: str, counts: tuple[int, ...], *, jobs: int) -> list[dict[str, Any]]:
    """Errors on one machine, the others known, one row for each count and framework."""
    with threadpool_limits(1):
        known = learn(rows[rows["device"] != machine].reset_index(drop=True))
    own = rows[rows["device"] == machine].reset_index(drop=True)
    parts = Parallel(n_jobs=jobs)(delayed(_judge)(own, known, count) for count in counts)
    return [{"machine": machine, **row} for part in parts for row in part]


def _judge(rows: pd.DataFrame, known: dict[Key, Known], count: int) -> list[dict[str, Any]]:
    with threadpool_limits(1):
        chosen = drawn(rows, count)
        seen = rows[chosen]
        rest = rows[~chosen & (rows["family"] != BLOCK) & ~rows["model"].isin(seen["model"].unique())]
        ours = predict_left_out(seen, rest, known)["predicted_s"]
        found = []
        for framework, part in rest.groupby("framework"):
            own = seen[seen["framework"] == framework]
            if len(own) < min(count, 1):
                continue
            said = {"ours": ours.reindex(part.index)}
            if len(own) > 1:
                said["three factors"] = factored(known, own, part)
                said["from scratch"] = predict_left_out(own, part)["predicted_s"].reindex(part.index)
                fitted = law(own).fit(design(own), own["latency_s"].to_numpy(float))
                said["law"] = fitted.predict(design(part))
            found.append({"framework": framework, "rows": len(own), "n": len(part), **_figures(said, part)})
    return found


def _figures(said: dict[str, Any], rows: pd.DataFrame) -> dict[str, float]:
    found = {}
    for way in WAYS:
        ratio = np.log(np.asarray(said.get(way, np.nan), dtype=float) / rows["latency_s"].to_numpy(float))
        missed = np.abs(np.expm1(np.broadcast_to(ratio, len(rows))))
        found |= {way: float(np.median(missed)), f"{way}, mean": float(missed.mean())}
        found[f"{way}, worst"] = float(np.exp(np.abs(ratio).max()))
    return found


def draw(table: pd.DataFrame, path: Path) -> None:
    """Median errors over counts, one panel for each machine and framework that was measured on all of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ftax_model.report.curves import COLOURS

    machines = sorted(table["machine"].unique())
    everywhere = table.groupby("framework")["machine"].nunique() == len(machines)
    frameworks = sorted(everywhere[everywhere].index)
    drawing = Figure(figsize=(3.4 * len(frameworks), 2.8 * len(machines)), layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(len(machines), len(frameworks), squeeze=False, sharey=True)
    for machine, line in zip(machines, panels, strict=True):
        for framework, panel in zip(frameworks, line, strict=True):
            own = table[(table["machine"] == machine) & (table["framework"] == framework)]
            for way, colour in zip(WAYS, COLOURS, strict=False):
                panel.plot(own["rows"] + 1, 100 * own[way], "o-", color=colour, markersize=3, label=way)
            panel.set(xscale="log", ylim=(0, 80), title=f"{framework}, {machine} new", xlabel="rows measured + 1")
            panel.title.set_fontsize(8)
            panel.grid(linewidth=0.4, alpha=0.6)
        line[0].set_ylabel("median error, %")
    panels[0][0].legend(fontsize=7)
    picture = io.BytesIO()
    drawing.savefig(picture, dpi=110, format="png")
    files.write(path, picture.getvalue())


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the curves too: FILE.png.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(names: tuple[str, ...], picture: Path | None, jobs: int, as_json: bool) -> None:
    try:
        table = dataset.good(pd.concat([dataset.load_dataset(name) for name in names], ignore_index=True))
        table = table[(table["dtype"] == "float32") & (table["threads"] == 1)]
        counts = table.groupby(list(PLATFORM))["latency_s"].transform("size")
        rows = with_operators(table[counts > 2 * COUNTS[4]].reset_index(drop=True), jobs=jobs)
        machines = sorted(rows["device"].unique())
        if len(machines) < 2:
            raise DataError("a new machine needs a known one", ", ".join(machines), "name two datasets or more")
        found = [row for machine in machines for row in curve(rows, machine, COUNTS, jobs=jobs)]
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if picture:
        draw(pd.DataFrame(found), picture)
    if as_json:
        _print.as_json(found)
        return
    lines = [
        {name: str(row[name]) for name in ("machine", "framework", "rows", "n")}
        | {way: _cell(row, way) for way in WAYS}
        for row in found
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title="median / mean, % / worst, times")


def _cell(row: dict[str, Any], way: str) -> str:
    """Median, mean and worst in short."""
    if np.isnan(row[way]):
        return "-"
    return f"{100 * row[way]:.1f} / {100 * row[f'{way}, mean']:.1f} / {row[f'{way}, worst']:.1f}"


if __name__ == "__main__":
    main()
