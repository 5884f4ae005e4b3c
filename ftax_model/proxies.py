"""Proxies: how well MACs, depth and the rest stand in for latency, by regime, and which of them to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from threadpoolctl import threadpool_limits

from ftax_model import dataset, plugins
from ftax_model.device import rates
from ftax_model.errors import DataError
from ftax_model.modeling.judging import evaluation, regimes
from ftax_model.modeling.judging.ranking import FEWEST, quality
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.known import design, law
from ftax_model.modeling.platforms.platform import FAMILY, predict_left_out
from ftax_model.modeling.predictor import LatencyPredictor, with_features
from ftax_model.modeling.rows import PLATFORM, folds, with_operators

COUNTS = ("macs", "params", "depth", "n_ops", "activations")
"""Proxies that are columns of a dataset."""

SIMPLE = (*COUNTS, "bytes", "roofline")
"""Proxies that nothing is fitted for: counts of a trace, the bytes it moves, and seconds by the device's data sheet."""

PROXIES = (*SIMPLE, "law", "predictor")
"""All that can stand in for latency; the last two are predictions of calls whose family was left out of the fit."""

TURNS = 5
"""Turns in which families are left out."""

_NAMES = {"macs": "MACs", "n_ops": "the operator count", "law": "the law", "predictor": "the predictor"}


@dataclass(frozen=True)
class Judged:
    """How good proxies are on a dataset.

    ``table`` holds one row for each group and proxy: the columns grouped by, ``proxy``, ``n``, and each of
    `ftax_model.modeling.judging.ranking.STATISTICS` with its ends ``..._low`` and ``..._high``, nan where no platform
    has ten rows; ``note`` then counts them. ``overall`` is the same of all rows, ``answer`` says in a sentence which
    proxy to use, and ``notes`` what to hold against the figures.
    """

    table: pd.DataFrame
    overall: pd.DataFrame
    answer: str
    notes: tuple[str, ...]


def proxies(
    table: pd.DataFrame,
    *,
    predictor: LatencyPredictor | None = None,
    by: Sequence[str] = ("framework", "regime"),
    full: bool = False,
    jobs: int | None = None,
) -> Judged:
    """How good each of `PROXIES` that a dataset's frame tells is, within each value of the columns ``by``.

    A row is a cell, the median of its repeats, and is compared with rows of its own platform alone. Its ``regime`` is
    that of its sweep of batch sizes, or else the law's, from ``predictor`` or from a fit to the table itself (see
    `ftax_model.modeling.judging.regimes`); ``unknown`` of rows that lack what the law looks at. ``full`` judges the
    full predictor too, which takes minutes: workloads are traced again, and operators learnt in `TURNS` turns.

    Raises `InputError` for a column that is not there and `DataError` where no row was measured or holds a proxy.
    """
    rows = dataset.good(table)
    for name in by:
        plugins.check(name, ["regime", *map(str, rows.columns)], what="column to group by")
    if not any(name in rows and rows[name].notna().any() for name in COUNTS):
        cure = "attach traces: ftax import --trace, or measure: ftax collect"
        raise DataError("a proxy is a feature of a trace", "a dataset that holds none", cure)
    cells, notes = _with_floors(rows)
    cells = _with_regimes(cells, predictor)
    cells = cells.assign(bytes=_bytes(cells), roofline=_roofline(cells), law=_by_law(cells))
    notes += _about_roofline(cells)
    if full:
        cells = cells.assign(predictor=_by_predictor(cells, jobs=jobs))
    names = [name for name in PROXIES if name in cells and cells[name].notna().any()]
    overall = judge(cells, by=(), names=names)
    of_regimes = judge(cells, by=("regime",), names=names)
    found = of_regimes if tuple(by) == ("regime",) else judge(cells, by=by, names=names)
    return Judged(found, overall, answer(of_regimes, overall), tuple(notes))


def judge(cells: pd.DataFrame, *, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """The figures of each proxy for each value of the columns ``by`` (see `Judged`); of all rows for none."""
    groups = cells.groupby(list(by), sort=True) if by else [((), cells)]
    found = []
    for key, part in groups:
        for name in names:
            own = quality(part, name)
            few = own.pop("lacking")
            note = "" if own["n"] else _too_few(part, name, few)
            found.append({**dict(zip(by, key, strict=True)), "proxy": name, **own, "note": note})
    return pd.DataFrame(found)


def _too_few(rows: pd.DataFrame, name: str, few: int) -> str:
    if not few:
        return "no row holds it"
    platforms = rows[rows[name].notna()].groupby(list(PLATFORM)).ngroups
    words = "1 row" if few == 1 else f"{few} rows"
    return words if platforms == 1 else f"{words} of {platforms} platforms"


def answer(of_regimes: pd.DataFrame, overall: pd.DataFrame) -> str:
    """Which proxy to use, in one sentence: the best of `SIMPLE` in each regime, by pairs put in the right order.

    ``of_regimes`` and ``overall`` are what `judge` says by regime and of all rows.
    """
    said = []
    for regime, part in of_regimes.groupby("regime"):
        best = _best(part)
        if best is not None and regime != regimes.UNKNOWN:
            said.append(f"of {regime} calls {best}")
    whole = _best(overall)
    if whole is None:
        return f"No proxy can be named: no platform has {FEWEST} rows or more."
    said.append(f"of all calls, whatever their regime, {whole}")
    text = f"To rank calls before they are measured: {'; '.join(said)}"
    fitted = overall[overall["proxy"].isin(["law", "predictor"]) & (overall["n"] > 0)]
    if len(fitted):
        best_fit = dataset.by_name(fitted.sort_values("pairs"))[-1]
        text += (
            f"; {_NAMES[best_fit['proxy']]}, fitted to other families of this dataset, {_share(best_fit)}"
            f" with a mean error of {100 * best_fit['mape']:.0f} %"
        )
    return f"{text}."


def _best(part: pd.DataFrame) -> str | None:
    """The simple proxy that puts most pairs in order, those within its interval, and MACs beside it."""
    own = {row["proxy"]: row for row in dataset.by_name(part) if row["proxy"] in SIMPLE and row["n"]}
    own = {name: row for name, row in own.items() if not math.isnan(row["pairs"])}
    if not own:
        return None
    first, *others = sorted(own, key=lambda name: -own[name]["pairs"])
    least = np.nanmin([own[first]["pairs"], own[first]["pairs_low"]])
    ties = [name for name in others if own[name]["pairs"] >= least]
    text = f"{_named(first)} ({_share(own[first])} of pairs in order"
    if ties:
        text += f"; not told from it: {', '.join(f'{_named(name)} {_share(own[name])}' for name in ties)}"
    if "macs" in others and "macs" not in ties:
        text += f"; MACs {_share(own['macs'])}"
    return f"{text})"


def _share(row: Mapping[str, Any]) -> str:
    return f"{100 * row['pairs']:.0f} %"


def _named(name: str) -> str:
    return _NAMES.get(name, name)


def _with_floors(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Cells, each the median of its repeats, with the repeatability ``floor`` of their platform."""
    keys = [name for name in evaluation.CELL if name in rows]
    latency_s = rows.groupby(keys)["latency_s"].transform("median")
    cells = rows.assign(latency_s=latency_s).drop_duplicates(keys).reset_index(drop=True)
    every = evaluation.floor(rows)
    floors = evaluation.floor(rows, by=PLATFORM).rename("floor").reset_index()
    told = cells[list(PLATFORM)].merge(floors, on=list(PLATFORM), how="left")["floor"].to_numpy(float)
    if math.isnan(every):
        return cells.assign(floor=0.0), ["nothing was measured twice: the floor is unknown, and every pair counts"]
    notes = []
    if np.isnan(told).any():
        notes = [f"platforms where nothing was measured twice have the floor of the others, {100 * every:.1f} %"]
    return cells.assign(floor=np.where(np.isnan(told), every, told)), notes


def _with_regimes(cells: pd.DataFrame, predictor: LatencyPredictor | None) -> pd.DataFrame:
    told = _with_law(cells)
    found = pd.Series(regimes.UNKNOWN, index=cells.index, name="regime")
    if len(told):
        names = ["host_s", "constant_s", "regime"]
        estimate = regimes.by_law(told) if predictor is None else predictor.predict_frame(told)[names]
        found.loc[told.index] = regimes.measured(told, estimate, regimes.sweeps(told))
    return cells.assign(regime=found)


def _with_law(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows that the law can look at; none where no row holds MACs."""
    try:
        return with_features(cells)
    except DataError:
        return cells[:0]


def _bytes(cells: pd.DataFrame) -> pd.Series[float]:
    """Bytes of activations and weights that a call moves."""
    if not {"activation_bytes", "weight_bytes"} <= set(cells):
        return pd.Series(math.nan, index=cells.index)
    return cells["activation_bytes"].astype(float) + cells["weight_bytes"].astype(float)


def _roofline(cells: pd.DataFrame) -> pd.Series[float]:
    """Seconds by the device file: MACs over the peak or bytes over the bandwidth, whichever is more.

    Where the file has no bandwidth, or the row no bytes, MACs alone.
    """
    found = pd.Series(math.nan, index=cells.index)
    if "macs" not in cells:
        return found
    moved = _bytes(cells)
    for _, part in cells.groupby(list(PLATFORM)):
        sheet = rates(*part[["device", "dtype", "threads"]].iloc[0])
        if sheet is not None:
            seconds = part["macs"].astype(float) / sheet.macs
            found[part.index] = np.fmax(seconds, moved[part.index] / sheet.bandwidth) if sheet.bandwidth else seconds
    return found


def _about_roofline(cells: pd.DataFrame) -> list[str]:
    notes = []
    for device, part in cells.groupby("device"):
        sheets = [rates(*one) for one in set(part[["device", "dtype", "threads"]].itertuples(index=False, name=None))]
        if not any(sheets):
            notes.append(f"no roofline of {device}: no device file tells its peaks (ftax list names those that do)")
        elif not any(sheet.bandwidth for sheet in sheets if sheet):
            notes.append(f"the roofline of {device} is MACs over the peak alone: its device file has no bandwidth")
        elif _bytes(part).isna().all():
            notes.append(f"the roofline of {device} is MACs over the peak alone: no row tells bytes")
    return notes


def _by_law(cells: pd.DataFrame) -> pd.Series[float]:
    """Seconds by the law, fitted to the rows of the same platform without those of the family."""
    found = pd.Series(math.nan, index=cells.index)
    for _, part in _with_law(cells).groupby(list(PLATFORM)):
        if part[FAMILY].nunique() < 2 or len(part) < FEWEST:
            continue
        for train, test in folds(part[FAMILY], most=TURNS):
            seen = part.iloc[train]
            fitted = law(part).fit(design(seen), seen["latency_s"])
            found[part.index[test]] = fitted.predict(design(part.iloc[test]))
    return found


def _by_predictor(cells: pd.DataFrame, *, jobs: int | None) -> pd.Series[float]:
    """Seconds by the full predictor, which learns from the rows of all platforms without those of the family."""
    found = pd.Series(math.nan, index=cells.index)
    rows = with_operators(_with_law(cells), jobs=jobs)
    if rows.empty or rows[FAMILY].nunique() < 2:
        return found
    pairs = list(folds(rows[FAMILY], most=TURNS))
    with threadpool_limits(1):
        said = in_parallel(
            (delayed(predict_left_out)(rows.iloc[train], rows.iloc[test]) for train, test in pairs), jobs=jobs
        )
    for one in said:
        found[one.index] = one["predicted_s"]
    return found
