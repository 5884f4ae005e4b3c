#!/usr/bin/env python
"""Search text encoders for capacity and latency, and for capacity and MACs, then measure what either search found.

    .venv/bin/python scripts/search_transformer.py --calibration mine.jsonl --save cells.jsonl --rank 100

The predictor that ships is taken without what it knows of this machine (all devices of its device file), and calibrated
with a minute of measurements, as ``ftax calibrate`` takes them, of one framework and thread count.

Candidates are those of the search space ``text-encoder`` from two layers on, in finer steps. **Capacity** stands for
quality: the parameters that a network of the best shape and the same loss would have. By Kaplan et al. 2020 (arXiv
2001.08361) the loss falls with the parameters outside embeddings, N = layers * width * (4 * width + 2 * feed-forward),
as N^-0.076, and is raised little by shape: (6 layers, 4288 wide) is within 3 % of (48, 1600). Here that is a parabola
in the logarithm of width / layers, 0 % at the latter and 3 % at the former. Feed-forward layers count up to 4 widths.
Networks of one layer fall off that trend and are left out. So shape hardly matters to capacity, nor to MACs.

NSGA-II searches for either pair, at each call (batch size x tokens). Networks evenly along both fronts are measured in
fresh processes. **Lost** is by how much one of the MACs front takes longer than one of its capacity on the latency
front, whose logarithm of measured latency is interpolated over that of capacity. ``--rank`` measures random candidates
too, which the prediction, proxies and a second look (the repeatability floor) rank. Nothing else should run.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model import architectures, plugins
from ftax_model.cli import _options, _print
from ftax_model.collection import runner
from ftax_model.collection.fingerprint import fingerprint
from ftax_model.collection.plan import load_plan
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import load_dataset
from ftax_model.device import Device, canonical, detect
from ftax_model.errors import DataError, FtaxError, InputError, MissingError
from ftax_model.files import write
from ftax_model.modeling.platforms.anytime import Anytime
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace

Array = NDArray[Any]

SPACE = "text-encoder"
FINER = {"num_layers": range(2, 13), "head_size": range(16, 65, 8), "intermediate_size": range(128, 3073, 32)}
"""What is otherwise than in the space that ships."""

CALLS = ("1x16", "8x128")
"""Batch size and tokens of the calls that are searched for."""

LATENCY, MACS, RANDOM = "latency", "MACs", "random"
PROXIES = {"macs": MACS, "params": "parameters", "n_ops": "operators"}
CORRELATIONS = ("spearman", "kendall")
RANKED_BY = {"predicted_s": "predicted", **PROXIES, "second_s": "a second look"}

EXPONENT, WIDEST = 0.076, 4
BEST_SHAPE, KNOWN_SHAPE, KNOWN_LOSS = 1600 / 48, 4288 / 6, 0.03
LEAST = 1e5
"""Capacity from which networks are measured; below, both searches find the thinnest of two layers."""

POPULATION, SHOWN = 200, 1000
"""Of NSGA-II, and random candidates in the picture."""

FILE = click.Path(path_type=Path, dir_okay=False)
SHORT = Protocol(cell_s=0.3, warmup_s=0.1, least_blocks=2)
"""How candidates are measured that are many, and only ranked."""


def capacity(candidates: Sequence[Mapping[str, Any]]) -> Array:
    """Parameters that networks of the best shape and the same loss would have; see the module."""
    names = ("num_layers", "hidden_size", "intermediate_size")
    layers, width, inner = (np.array([one[name] for one in candidates], dtype=float) for name in names)
    params = layers * width * (4 * width + 2 * np.minimum(inner, WIDEST * width))
    raised = KNOWN_LOSS * (np.log(width / layers / BEST_SHAPE) / np.log(KNOWN_SHAPE / BEST_SHAPE)) ** 2
    return params * (1 + raised) ** (-1 / EXPONENT)


def search(space: SearchSpace, price: Callable[[list[dict[str, Any]]], Array], *, evaluations: int, seed: int) -> Array:
    """Indices of the candidates that NSGA-II finds: of each, no other has both a lower price and more capacity."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.optimize import minimize

    class Trade(Problem):  # type: ignore[misc]
        def _evaluate(self, x: Array, out: dict[str, Any], *_: Any, **__: Any) -> None:
            candidates = space.decode(x)
            out["F"] = np.log(np.column_stack([price(candidates), 1 / capacity(candidates)]))

    low, high = space.bounds
    size, whole = min(POPULATION, evaluations), {"vtype": float, "repair": RoundingRepair()}
    start = space.sample_indices(size, seed=seed)
    algorithm = NSGA2(size, sampling=start, crossover=SBX(**whole), mutation=PM(**whole))
    trade = Trade(n_var=len(low), n_obj=2, xl=low, xu=high, vtype=int)
    return np.asarray(minimize(trade, algorithm, ("n_eval", evaluations), seed=seed).X, dtype=np.int64)


def told(cost: LatencyCost, space: SearchSpace, rows: Array, **about: str) -> pd.DataFrame:
    """What is known of candidates before they are measured, one row each."""
    candidates = space.decode(rows)
    counted, ends = cost.features(candidates), zip(("low_s", "high_s"), cost.interval(candidates), strict=True)
    return pd.DataFrame(candidates).assign(
        **about,
        capacity=capacity(candidates),
        **{name: counted[name] for name in PROXIES},
        predicted_s=cost(candidates),
        **dict(ends),
        workload=[architectures.complete(space.workload(one)) for one in candidates],
    )


def spaces(calls: Sequence[str]) -> dict[str, SearchSpace]:
    """The candidates of each BATCHxTOKENS, by what it is called here; raises `InputError` for what is none."""
    record, found = SearchSpace.load(SPACE).to_record(), {}
    for call in calls:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", call):
            raise InputError("a call is BATCHxTOKENS", repr(call), "write for example 1x16")
        own = dict(zip(("batch_size", "input_size"), map(int, call.split("x")), strict=True))
        own |= {"hyperparameters": record["hyperparameters"] | FINER}
        found["batch {batch_size} x {input_size} tokens".format(**own)] = SearchSpace.from_record(record | own)
    return found


def unseen(model: str, here: Device) -> LatencyPredictor:
    """A predictor as if this machine had never been measured, nor any of the same device file."""
    found = LatencyPredictor.load(model)
    for machine in sorted({machine for one in found.known_.values() for machine in one.machines}):
        if canonical(machine) == canonical(here.name):
            found = _options.without(found, machine)
            click.echo(f"note: without what is known of {machine}", err=True)
    return found


def calibrated(
    known: LatencyPredictor, file: Path, here: Device, *, plan: str, framework: str, threads: int, budget_s: float
) -> LatencyPredictor:
    """The predictor with cells of one platform, of a file or, where there is none, of a plan, measured into it now.

    Raises `DataError` where no cell is of the platform.
    """
    if not file.is_file():
        chosen = fingerprint(load_plan(plan), here, [threads])
        plain = [one for one in chosen.grids if all(own.dtype == "float32" for own in one.workloads)]
        plugins.check(framework, {name: 0 for one in plain for name in one.frameworks}, what="framework of the plan")
        grids = tuple(replace(one, frameworks=(framework,)) for one in plain if framework in one.frameworks)
        with _print.progress("calibrating") as advance:
            enough = Anytime(known, file)
            runner.collect(replace(chosen, grids=grids), file, budget_s=budget_s, on_progress=advance, enough=enough)
    platform = {"framework": framework, "device": here.name, "threads": threads, "dtype": "float32", "status": "ok"}
    table = load_dataset(file)
    own = table[(table[[*platform]] == pd.Series(platform)).all(axis=1)]
    if own.empty:
        got = f"none of {framework} on {here.name} with {threads} threads in {file}"
        raise DataError("a calibration has cells of the platform", got, "name another file, new or measured there")
    click.echo(f"note: calibrated with {len(own)} cells of {framework}, threads: {threads}", err=True)
    return known.calibrate(own)


def along(fronts: pd.DataFrame, count: int) -> pd.DataFrame:
    """Of the fronts of each call the networks nearest to so many capacities, evenly between those that all reach."""
    parts = []
    for _, own in fronts.groupby("call", sort=False):
        ends = own.groupby("by")["capacity"].agg(["min", "max"])
        wanted = np.geomspace(max(LEAST, ends["min"].max()), ends["max"].min(), count)
        for _, front in own.groupby("by", sort=False):
            apart = np.abs(np.log(front["capacity"].to_numpy()[:, None] / wanted))
            parts.append(front.iloc[np.unique(apart.argmin(axis=0))])
    return pd.concat(parts, ignore_index=True)


def measured(table: pd.DataFrame, *, framework: str, repeats: int, **options: Any) -> pd.DataFrame:
    """The rows whose workload runs, with ``measured_s``, the median of the ``looks``, and the first two of these.

    Raises `DataError` where measuring was stopped.
    """
    asked = list(dict.fromkeys(table["workload"]))
    with _print.progress("measuring") as advance:
        found = runner.measure(asked, [framework], repeats=repeats, on_progress=advance, **options)
    if len(found) < repeats * len(asked):
        got = f"{len(found)} of {repeats * len(asked)} cells"
        raise DataError("every network is measured", got, "run again with the same --save and --calibration to go on")
    looks: dict[Any, list[float]] = {one: [] for one in asked}
    for one in found:
        if one.status == "ok":
            looks[one.cell.workload].append(float(one.latency_s or 0))
        else:
            click.echo(f"note: {architectures.label(one.cell.workload)}: {one.status}: {one.reason[:120]}", err=True)
    seen = [(looks[one], *looks[one], np.nan, np.nan)[:3] for one in table["workload"]]
    table = table.join(pd.DataFrame(seen, columns=["looks", "first_s", "second_s"], index=table.index))
    table = table[table["first_s"].notna()]
    return table.assign(measured_s=table["looks"].map(np.median)).reset_index(drop=True)


def lost(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> pd.Series:
    """By how much each network of ``theirs`` takes longer than ours of its capacity, where ours reach it."""
    ours = ours.sort_values("capacity")
    inside = theirs[theirs["capacity"].between(ours["capacity"].iloc[0], ours["capacity"].iloc[-1])]
    logs = (np.log(part.to_numpy(float)) for part in (inside["capacity"], ours["capacity"], ours[column]))
    return inside[column] / np.exp(np.interp(*logs)) - 1


def compared(fronts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """At each call what the MACs front loses, as measured and as predicted."""
    for call, part in fronts.groupby("call", sort=False):
        ours, theirs = (part[part["by"] == by] for by in (LATENCY, MACS))
        if len(ours):
            seen, said = (lost(ours, theirs, column) for column in ("measured_s", "predicted_s"))
            own = {"median": float(seen.median()), "worst": float(seen.max())}
            yield {"call": call, "networks": len(seen), **own, "predicted_median": float(said.median())}


def figures(fronts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """How well each front was predicted, and what two looks differ by."""
    for (call, by), part in fronts.groupby(["call", "by"], sort=False):
        errors = part["predicted_s"] / part["measured_s"] - 1
        yield {
            "call": call,
            "front": by,
            "networks": len(part),
            "framework_bound": int((part["regime"] == "framework-bound").sum()),
            "mape": float(errors.abs().mean()),
            "bias": float(errors.median()),
            "worst": float(errors.abs().max()),
            "inside": int(part["measured_s"].between(part["low_s"], part["high_s"]).sum()),
            "spearman": float(part["predicted_s"].corr(part["measured_s"], method="spearman")),
            "floor": float((part["second_s"] / part["first_s"] - 1).abs().median()),
        }


def ranked(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """How each ranks the candidates of a call as they were measured; a second look ranks those of the first."""
    for call, part in table.groupby("call", sort=False):
        for name, title in RANKED_BY.items():
            seen = part["first_s" if name == "second_s" else "measured_s"]
            both = {way: float(part[name].corr(seen, method=way)) for way in CORRELATIONS}
            yield {"call": call, "ranked_by": title, "candidates": int(part[name].notna().sum()), **both}


def draw(every: pd.DataFrame, networks: pd.DataFrame, path: Path) -> None:
    """Capacity over latency, a panel for each call: random candidates, both fronts, and what of them was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ftax_model.report.curves import COLOURS

    calls = list(every["call"].unique())
    drawing = Figure(figsize=(4.8 * len(calls), 4.4), layout="constrained")
    FigureCanvasAgg(drawing)
    (panels,) = drawing.subplots(1, len(calls), squeeze=False, sharey=True)
    for panel, call in zip(panels, calls, strict=True):
        for by, colour in {RANDOM: "#bbbbbb", LATENCY: COLOURS[0], MACS: COLOURS[1]}.items():
            said, own = (part[(part["call"] == call) & (part["by"] == by)] for part in (every, networks))
            label = f"best by {by}" if len(own) else "random candidates"
            panel.plot(1e3 * said["predicted_s"], said["capacity"], ".", color=colour, markersize=2, label=label)
            ends = (1e3 * own[name] for name in ("low_s", "high_s"))
            panel.hlines(own["capacity"], *ends, color=colour, alpha=0.35, linewidth=3)
            panel.plot(1e3 * own["measured_s"], own["capacity"], "o", color=colour, markersize=4)
        panel.set(title=call, xscale="log", yscale="log", xlabel="latency (ms)")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.grid(linewidth=0.4, alpha=0.6)
    panels[0].set_ylabel("capacity (parameters)")
    panels[0].legend(fontsize=7, title="large: measured, bars: predicted", title_fontsize=7)
    content = io.BytesIO()
    drawing.savefig(content, dpi=110, format="png")
    write(path, content.getvalue())


def searched(
    cost: LatencyCost, named: Mapping[str, SearchSpace], *, evaluations: int, seed: int, drawn: int
) -> pd.DataFrame:
    """The candidates of the front of each search, and so many drawn at random."""
    parts = []
    for call, space in named.items():
        rows = space.sample_indices(drawn, seed=seed + 1)
        parts.append(told(cost, space, rows, call=call, by=RANDOM))  # derives and compiles what the searches need
        for by, price in {LATENCY: cost, MACS: lambda some: cost.features(some)["macs"]}.items():
            begin = time.perf_counter()
            rows = search(space, price, evaluations=evaluations, seed=seed)
            spent = f"{evaluations:,} candidates in {time.perf_counter() - begin:.1f} s"
            click.echo(f"note: {call}, by {by}: {spent}, {len(rows)} on the front", err=True)
            parts.append(told(cost, space, rows, call=call, by=by))
    return pd.concat(parts, ignore_index=True)


def run(
    platform: dict[str, Any], calls: Sequence[str], *, model: str, plan: str, calibrate_for: str,
    calibration: Path | None, evaluations: int, count: int, repeats: int, rank: int, save: Path | None, seed: int,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Figures, candidates that were looked at, and networks of the fronts that were measured."""
    if find_spec("pymoo") is None:
        raise MissingError("this search needs pymoo", "no such package", "pip install -e .[search]")
    here, named, budget_s = detect("cpu"), spaces(calls), _options.duration(calibrate_for)
    with tempfile.TemporaryDirectory() as folder:
        file = calibration or Path(folder) / "calibration.jsonl"
        predictor = calibrated(unseen(model, here), file, here, plan=plan, budget_s=budget_s, **platform)
    cost = LatencyCost(predictor, device=here.name, **platform)
    every = searched(cost, named, evaluations=evaluations, seed=seed, drawn=max(SHOWN, rank))
    options = {"framework": platform["framework"], "threads": [platform["threads"]], "out": save}
    networks = measured(along(every[every["by"] != RANDOM], count), repeats=repeats, **options)
    ask = partial(predictor.predict, device=here.name, crossovers=False, **platform)
    networks = networks.assign(regime=[ask(one)["regime"].item() for one in networks["workload"]])
    few = every[every["by"] == RANDOM].groupby("call", sort=False).head(rank)
    few = measured(few, repeats=min(repeats, 2), protocol=SHORT, **options) if rank else few
    found = {"lost": compared(networks), "predicted": figures(networks), "ranked": ranked(few)}
    records = {name: _print.records(pd.DataFrame(rows)) for name, rows in found.items()}
    return {"platform": str(cost.platform), "evaluations": evaluations, **records}, every, networks


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--framework", default="eager", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--model", default=SHIPPED, show_default=True, help="The predictor, by name or file.")
@click.option("--plan", default="calibrate", show_default=True, help="What is measured to calibrate it.")
@click.option("--calibrate-for", default="60s", show_default=True, help="Longest time to calibrate it.")
@click.option("--calibration", type=FILE, help="The cells; measured where there are none.")
@click.option("--call", "calls", multiple=True, default=CALLS, show_default=True, help="BATCHxTOKENS; can be repeated.")
@click.option("--evaluations", type=click.IntRange(2), default=20_000, show_default=True, help="Of each search.")
@click.option("--measure", "count", type=click.IntRange(2), default=12, show_default=True, help="Networks of a front.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Fresh processes for each.")
@click.option("--rank", type=click.IntRange(0), default=0, show_default=True, help="Random candidates to rank.")
@click.option("--save", type=FILE, help="Keeps each cell that was measured, to go on from.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--picture", type=FILE, help="Draw the fronts: FILE.png.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(framework: str, threads: int, picture: Path | None, as_json: bool, **asked: Any) -> None:
    try:
        found, every, networks = run({"framework": framework, "threads": threads}, **asked)
        if picture:
            draw(every, networks, picture)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if as_json:
        _print.as_json({**found, "networks": _print.records(networks.drop(columns="workload"))})
        return
    click.echo(f"{found['platform']}, {found['evaluations']:,} candidates in each search")
    for name, title in {"lost": "by the MACs front", "predicted": "against measured", "ranked": "candidates"}.items():
        if rows := [{key: _text(key, value) for key, value in row.items()} for row in found[name]]:
            _print.table(rows, dict.fromkeys(rows[0]), title=f"\n{name.title()} {title}")


def _text(name: str, value: Any) -> str:
    plain = f"{value:.3f}" if name in CORRELATIONS and value is not None else str(value)
    return plain if name in CORRELATIONS or isinstance(value, int | str) else _print.percent(value)


if __name__ == "__main__":
    main()
