#!/usr/bin/env python
"""Rank networks on devices of others by proxies and by laws of a few measurements, and say what a search would lose.

    .venv/bin/python scripts/proxy_tournament.py --data ../shared/data

Networks are those of HELP (NAS-Bench-201, FBNet, OFA) and of HAT, with the latencies that were published. Proxies need
no measurement. ``law`` is the law's columns fitted to k networks (`Transfer`), ``averaged`` the average over the sets
of columns that may be in it (`AveragedLaw`), ``averaged, devices`` the same beside the other devices of the table as
rivals: their laws and, of the same networks, their latencies; never the same device at another batch size. ``law, all``
is fitted to every network that may be drawn: about what the columns can tell.

**random** rows follow HELP: drawn from the middle 80 % by latency of the networks to learn from (which takes all
latencies to know; of HAT's, from all of them). **chosen** rows are those that tell most (`telling`) of 300 networks
drawn, whose latencies nobody knows. Spearman and Kendall (tau-b) are those on the networks held out, in HELP's spaces
without the fastest and slowest tenth: mean over devices and draws, with the standard deviation over draws of the mean
over devices. Error is the mean absolute one of predicted seconds, median over devices and draws.

**Regret** is what an architecture search would lose: within a latency budget it takes the largest of the networks held
out that is predicted to keep it (capacity is MACs: the tables hold no accuracy), the one predicted fastest of equals.
Regret is that network's measured latency over the least of any as large, less one: what measuring everything saves at
the same capacity. ``over`` is by how much its measured latency exceeds the budget, zero where it keeps it. Budgets are
the 10, 25, 50, 75 and 90 % quantiles of latency, or of the proxy's own values where a proxy stands for it; shown are
the median and, after the stroke, the mean over budgets, devices and draws. Of equal networks the luckiest measurement
is the least, so even perfect knowledge of what a network takes on average has regret.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from threadpoolctl import threadpool_limits

from ftax_model import files, proxies
from ftax_model.cli import _options, _print
from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling.estimators.averaged import AveragedLaw, rivals, telling
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.transfer import Transfer
from ftax_model.modeling.judging.published import (
    HAT,
    SPACES,
    Devices,
    hat_columns,
    hat_proxies,
    help_table,
    middle,
    read,
)

COUNTS = (3, 10, 20, 30, 100)
BUDGETS = (0.1, 0.25, 0.5, 0.75, 0.9)
LAWS = ("law", "averaged", "averaged, devices")
WAYS = ("random", "chosen")
ALL = "law, all"
SEEN = 300
"""Networks among which rows are chosen."""

HAT_SPLIT = 0.8
"""Share of HAT's networks, in a fixed random order, that may be learnt from; the others are held out."""

Rows = NDArray[np.intp]

PUBLISHED = (
    (
        "HELP",
        "nasbench201",
        "10 networks, other devices known",
        "Spearman 0.932, mean of six kinds of device kept aside",
    ),
    ("HELP", "nasbench201", "the same", "Spearman 0.987 on a GPU at batch 256, 0.989 on a Xeon"),
    ("FLOPs", "nasbench201", "none", "Spearman 0.787, mean of the same six, as HELP tells"),
    ("BRP-NAS", "nasbench201", "900 networks of each device", "as HELP tells its protocol; no figure at hand"),
    ("HAT", "hat", "1,600 networks", "error "),
)
"""Who, on what, from how many measurements, and what they report; HAT's errors are those of `HAT`."""


@dataclass(frozen=True)
class Field:
    """Networks of one space on one device.

    ``columns`` are the law's and ``proxies`` those of `COUNTS` there, one row a network; ``latency_s`` what they take.
    ``drawn`` and ``pool`` are positions of the networks that random and chosen rows come from, ``ranked`` and ``held``
    of those that ranks and regret are told of. ``coefs`` (n_others, n_columns) are the laws of other devices and
    ``others`` (n_networks, n_others) their latencies of the same networks, nan where they
    were not measured.
    """

    space: str
    device: str
    columns: Array
    latency_s: Array
    proxies: pd.DataFrame
    drawn: Rows
    pool: Rows
    ranked: Rows
    held: Rows
    coefs: Array
    others: Array


def fields(folder: Path) -> list[Field]:
    """All that a folder holds; raises `DataError` where it holds nothing."""
    found = []
    if (folder / "help").is_dir():
        found += list(_help(help_table(folder)))
    found += list(_hat(folder / "hat"))
    if not found:
        law = "the tournament reads the tables of HELP and HAT"
        raise DataError(law, f"no help/help.parquet and no hat/*.csv in {folder}", "name their folder: --data")
    return found


def _help(table: pd.DataFrame) -> Iterator[Field]:
    spaces = {name: Devices.of(table, name) for name in SPACES if (table["space"] == name).any()}
    laws = {name: own.laws(SPACES[name].block) for name, own in spaces.items()}
    for name, own in spaces.items():
        space = SPACES[name]
        for key in own.latency_s:
            asked = (own.latency_s.index < space.end) & own.latency_s[key].notna()
            features, latency_s = own.features[asked], own.latency_s.loc[asked, key].to_numpy(float)
            pool, held = (
                np.flatnonzero(part) for part in (features.index < space.split, features.index >= space.split)
            )
            strangers = [
                (other, index)
                for other in space.laws_from
                for index in laws.get(other, ())
                if spaces[other].device[index] != own.device[key]
            ]
            here = own.latency_s[asked].reindex(columns=[index if other == name else "" for other, index in strangers])
            yield Field(
                space=name,
                device=str(key),
                columns=own.columns(space.block)[asked],
                latency_s=latency_s,
                proxies=features.rename(columns={"n_conv_layers": "depth"})[list(proxies.COUNTS)].astype(float),
                drawn=middle(latency_s, pool),
                pool=pool,
                ranked=middle(latency_s, held),
                held=held,
                coefs=np.array([laws[other][index] for other, index in strangers]).reshape(-1, 6),
                others=here.to_numpy(float),
            )


def _hat(folder: Path) -> Iterator[Field]:
    tables = {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}
    columns = {name: hat_columns(table).to_numpy() for name, table in tables.items()}
    latency_s = {
        name: (table["latency_mean_encoder"] + table["latency_mean_decoder"]).to_numpy(float) / 1e3
        for name, table in tables.items()
    }
    laws = {name: Transfer(strength=0).fit(columns[name], latency_s[name]).coef_ for name in tables}
    for name, table in tables.items():
        order = np.random.default_rng(0).permutation(len(table))
        many = int(HAT_SPLIT * len(table))
        others = [other for other in laws if other != name and other.split("_")[0] == name.split("_")[0]]
        yield Field(
            space="hat",
            device=name.split("_", 1)[-1],
            columns=columns[name],
            latency_s=latency_s[name],
            proxies=hat_proxies(table),
            drawn=order[:many],
            pool=order[:many],
            ranked=order[many:],
            held=order[many:],
            coefs=np.array([laws[other] for other in others]).reshape(-1, columns[name].shape[1]),
            others=np.full((len(table), len(others)), np.nan),
        )


def play(field: Field, counts: tuple[int, ...], *, draws: int, seed: int) -> list[dict[str, Any]]:
    """Figures of every proxy and law on one device, one row for each draw and each budget in lists."""
    with threadpool_limits(1):
        about = {"space": field.space, "device": field.device}
        found = [
            {**about, "by": name, "rows": "-", "k": 0, "draw": 0, **_figures(field, field.proxies[name].to_numpy())}
            for name in proxies.COUNTS
        ]
        everything = Transfer(strength=0).fit(field.columns[field.pool], field.latency_s[field.pool])
        said = everything.predict(field.columns)
        whole = {"by": ALL, "rows": "-", "k": len(field.pool), "draw": 0}
        found.append({**about, **whole, **_figures(field, said, seconds=True)})
        beside, weights = rivals(field.columns, field.coefs, field.others)
        for count in counts:
            for draw in range(draws):
                for way in WAYS:
                    few = _rows(field, way, count, np.random.default_rng([seed, count, draw]))
                    for name, seconds in _laws(field, few, beside, weights).items():
                        own = {"by": name, "rows": way, "k": count, "draw": draw}
                        found.append({**about, **own, **_figures(field, seconds, seconds=True)})
    return found


def _rows(field: Field, way: str, count: int, rng: np.random.Generator) -> Rows:
    """Positions of the networks to measure."""
    if way == "random":
        return rng.choice(field.drawn, count, replace=False)
    seen = rng.choice(field.pool, min(SEEN, len(field.pool)), replace=False)
    return seen[telling(field.columns[seen], count)]


def _laws(field: Field, few: Rows, beside: Array, weights: Array) -> dict[str, Array]:
    """Predicted seconds of all networks by each of `LAWS`, from the ``few`` that were measured."""
    models: dict[str, tuple[Array, Any]] = {
        "law": (field.columns, Transfer()),
        "averaged": (field.columns, AveragedLaw()),
    }
    if beside.shape[1]:
        columns = np.hstack([field.columns, beside])
        models["averaged, devices"] = (columns, AveragedLaw(tuple(weights)))
    return {name: model.fit(X[few], field.latency_s[few]).predict(X) for name, (X, model) in models.items()}


def _figures(field: Field, said: Array, *, seconds: bool = False) -> dict[str, Any]:
    measured, ranked, held = field.latency_s, field.ranked, field.held
    constant = np.ptp(said[ranked]) == 0
    wrong = np.abs(said[held] / measured[held] - 1).mean() if seconds else np.nan
    capacity = field.proxies["macs"].to_numpy()[held]
    return {
        "spearman": 0.0 if constant else float(spearmanr(said[ranked], measured[ranked]).statistic),
        "kendall": 0.0 if constant else float(kendalltau(said[ranked], measured[ranked]).statistic),
        "error": float(wrong),
        **search(said[held], measured[held], capacity, seconds=seconds),
    }


def search(said: Array, measured: Array, capacity: Array, *, seconds: bool) -> dict[str, list[float]]:
    """``regret`` and ``over`` at each of `BUDGETS` of a search that believes what is ``said`` (see the module).

    ``seconds`` tells whether that is seconds; else a budget is a quantile of its own values, and nothing is ``over``.
    """
    lost, over = [], []
    for budget in np.quantile(measured if seconds else said, BUDGETS):
        kept = np.flatnonzero(said <= budget)
        kept = kept if len(kept) else np.array([np.argmin(said)])
        taken = kept[np.lexsort((said[kept], -capacity[kept]))[0]]
        lost.append(float(measured[taken] / measured[capacity >= capacity[taken]].min() - 1))
        over.append(max(float(measured[taken] / budget - 1), 0.0) if seconds else np.nan)
    return {"regret": lost, "over": over}


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """One row for each space, ranker, way to choose rows and k; see the module for the figures."""
    keys = ["space", "by", "rows", "k"]
    lines = []
    for key, part in found.groupby(keys, sort=False):
        lost, over = (np.concatenate(part[name].to_list()) for name in ("regret", "over"))
        over_draws = part.groupby("draw")["spearman"].mean()
        lines.append(
            {
                **dict(zip(keys, key, strict=True)),
                "devices": int(part["device"].nunique()),
                "draws": len(over_draws),
                "spearman": float(part["spearman"].mean()),
                "spearman_sd": float(over_draws.std()) if len(over_draws) > 1 else np.nan,
                "kendall": float(part["kendall"].mean()),
                "error": float(part["error"].median()),
                "regret": float(np.median(lost)),
                "regret_mean": float(lost.mean()),
                "over": float(np.median(over)),
                "over_mean": float(over.mean()),
            }
        )
    return pd.DataFrame(lines)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Spearman and mean regret over k, a column of panels for each space; proxies are level lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ftax_model.report.curves import COLOURS

    spaces = list(table["space"].unique())
    drawing = Figure(figsize=(3.4 * len(spaces), 5.8), layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(2, len(spaces), squeeze=False, sharey="row", sharex=True)
    names = (*LAWS, *proxies.COUNTS)
    for space, column in zip(spaces, panels.T, strict=True):
        own = table[table["space"] == space]
        for name, colour in zip(names, COLOURS, strict=True):
            part = own[own["by"] == name]
            for panel, figure, unit in zip(column, ("spearman", "regret_mean"), (1, 100), strict=True):
                if name in proxies.COUNTS:
                    panel.axhline(unit * part[figure].iloc[0], color=colour, linewidth=1, linestyle=":", label=name)
                for way, style in zip(WAYS if name in LAWS else (), ("o--", "o-"), strict=False):
                    line = part[part["rows"] == way]
                    label = name if way == WAYS[-1] else None
                    panel.plot(line["k"], unit * line[figure], style, color=colour, markersize=3, label=label)
        column[0].set(title=space, xscale="log")
        column[1].set(xlabel="networks measured", yscale="symlog", ylim=(0, None))
        for panel in column:
            panel.grid(linewidth=0.4, alpha=0.6)
    panels[0][0].set_ylabel("Spearman")
    panels[1][0].set_ylabel("mean regret, %")
    panels[0][-1].legend(fontsize=7, title="rows chosen; dashed: random", title_fontsize=7)
    picture = io.BytesIO()
    drawing.savefig(picture, dpi=110, format="png")
    files.write(path, picture.getvalue())


@click.command(help=__doc__.split("\n\n")[0])
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of help/ and hat/."
)
@click.option("--draws", type=click.IntRange(1), default=20, show_default=True, help="Draws of the rows measured.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--quick", is_flag=True, help="Three draws, k = 3 and 10.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the curves too: FILE.png.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(data: Path, draws: int, seed: int, quick: bool, picture: Path | None, jobs: int, as_json: bool) -> None:
    counts, draws = (COUNTS[:2], min(draws, 3)) if quick else (COUNTS, draws)
    try:
        jobs = _options.processes(jobs)
        entered = fields(data)
        parts = Parallel(n_jobs=jobs)(delayed(play)(field, counts, draws=draws, seed=seed) for field in entered)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    found = pd.DataFrame([row for part in parts for row in part])
    table = summary(found)
    if picture:
        draw(table, picture)
    if as_json:
        _print.as_json({"summary": _print.records(table), "devices": _print.records(_by_device(found))})
        return
    for space, part in table.groupby("space", sort=False):
        _show(str(space), part, counts)
    devices = _by_device(found)
    help_ = devices["space"].isin(list(SPACES))
    _show_devices(devices[help_], "spearman", 10, "Spearman, HELP's protocol", _number)
    _show_devices(devices[~help_], "error", 20, "mean error", _print.percent)
    _show_published(table)


def _by_device(found: pd.DataFrame) -> pd.DataFrame:
    """Means over draws, one row for each device, ranker, way to choose rows and k."""
    keys = ["space", "device", "by", "rows", "k"]
    lost = found["regret"].map(np.mean)
    figures = ["spearman", "kendall", "error", "regret_mean"]
    return found.assign(regret_mean=lost).groupby(keys, sort=False)[figures].mean().reset_index()


def _show(space: str, table: pd.DataFrame, counts: tuple[int, ...]) -> None:
    """The tables of one space: a line for each ranker, a column for each k."""
    about = f"{space}, {table['devices'].max()} devices, {table['draws'].max()} draws"
    cells: Mapping[str, Any] = {
        "Spearman": lambda row: _number(row["spearman"]) + _plus_minus(row["spearman_sd"]),
        "Kendall": lambda row: _number(row["kendall"]),
        "Regret, median / mean, %": lambda row: _percents(row, "regret", "regret_mean"),
        "Over the budget, median / mean, %": lambda row: _percents(row, "over", "over_mean"),
        "Error, %": lambda row: _percents(row, "error"),
    }
    for figure, cell in cells.items():
        lines = []
        for (name, way), part in table.groupby(["by", "rows"], sort=False):
            if cell(part.iloc[0]) == "-":
                continue
            rows = part.set_index("k")
            line = {"by": str(name), "rows": str(way), "no k": cell(rows.iloc[0]) if way == "-" else ""}
            line |= {f"k = {k}": cell(rows.loc[k]) if way != "-" else "" for k in counts}
            lines.append(line)
        right = dict.fromkeys(lines[0], str) | {"by": None, "rows": None}
        _print.table(lines, right, title=f"{figure}: {about}")
        click.echo()


def _show_devices(table: pd.DataFrame, figure: str, count: int, title: str, form: Callable[[float], str]) -> None:
    """A figure of each device after ``count`` networks drawn at random."""
    own = table[(table["k"] == count) & (table["rows"] == "random")]
    if own.empty:
        return
    wide = own.pivot(index=["space", "device"], columns="by", values=figure).reindex(columns=list(LAWS))
    lines = [
        {"space": space, "device": device, **{name: form(row[name]) for name in LAWS}}
        for (space, device), row in wide.iterrows()
    ]
    right = dict.fromkeys(lines[0], str) | {"space": None, "device": None}
    _print.table(lines, right, title=f"By device, k = {count} drawn at random: {title}")
    click.echo()


def _show_published(table: pd.DataFrame) -> None:
    hat = ", ".join(f"{100 * error:.1f} % {device}" for device, error in HAT.items())
    lines = [
        {"who": who, "space": space, "measured": measured, "reports": text + (hat if who == "HAT" else "")}
        for who, space, measured, text in PUBLISHED
        if (table["space"] == space).any()
    ]
    if lines:
        _print.table(lines, dict.fromkeys(lines[0]), title="Published, for other devices where not said otherwise")


def _plus_minus(deviation: float) -> str:
    return "" if np.isnan(deviation) else f" ±{deviation:.3f}"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _percents(row: pd.Series, *names: str) -> str:
    return "-" if np.isnan(row[names[0]]) else " / ".join(f"{100 * row[name]:.1f}" for name in names)


if __name__ == "__main__":
    main()
