"""Coverage: whether intervals hold the share of latencies that they promise, figure by figure, with each one's error.

Rows of one family err together, so that a share of rows inside says less than as many independent ones would. Beside
the exact binomial interval of the rows stands that of the effective number of them (Kish, 1965; Korn and Graubard,
1998): rows over their design effect, which is told by how alike rows of one family are, in the figure itself or in the
mean over all figures, whichever is more. A machine that is left out is one machine: all its rows share how it differs
from those that are known, and its figures are its own, not those of machines in general.

Of many figures some look bad by chance. One is called so where the whole of its simultaneous interval (Bonferroni: all
figures of a table together are wrong in 5 % of tables at most) lies below the promise. What a predictor that is built
anew is held against besides are the figures of the one that it replaces, and shortfalls that are known, each with a
reason, which are not to get worse.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from ftax_model import files
from ftax_model.errors import DataError
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.judging import regimes
from ftax_model.modeling.judging.evaluation import with_intervals
from ftax_model.modeling.judging.intervals import Errors, kinds
from ftax_model.modeling.platforms.fitting import COUNTS, Learnt
from ftax_model.modeling.platforms.known import keys, platform_of
from ftax_model.modeling.platforms.platform import FAMILY, PlatformFit, enough_families
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.modeling.rows import PLATFORM, folds, with_kernels

PROMISE = 0.9
"""Share of latencies that intervals hold where nobody says otherwise."""

FALSE_ALARMS = 0.05
"""Share of tables in which a figure may be called bad though all intervals are right."""

SPLITS: Mapping[str, str] = {
    "model": "model never seen",
    "family": "family never seen",
    "machine": "machine and family never seen, nothing measured there",
    "calibrated": "machine and family never seen, calibrated with a minute's rows",
}
"""What was held out, by name."""

BATCHES: Mapping[str, float] = {"1": 1, "2 to 8": 8, "9 to 64": 64, "above 64": math.inf}
"""Classes of batch sizes, each with its largest."""

BEFORE = "coverage.csv"
"""File beside the predictors that ship, with the figures of each, as it was built."""

SHORTFALLS = "shortfalls.yaml"
"""File beside it with what is known to be covered badly, and why."""

KEY = ("split", "device", "framework", "by", "value")
"""Columns that name a figure; ``by`` is ``all``, ``regime`` or ``batch``, and ``value`` which of them."""


def figures(rows: pd.DataFrame, *, promise: float = PROMISE) -> pd.DataFrame:
    """The share of rows inside their intervals, by split, device and framework: of all, by regime, by batch size.

    ``rows`` hold ``split``, ``device``, ``framework``, ``regime`` as measured, ``batch_size``, ``architecture``,
    ``latency_s``, ``predicted_s``, ``low_s`` and ``high_s``. Columns beside `KEY`: ``rows``, ``families``, ``covered``,
    its exact binomial 95 % interval ``rows_low`` to ``rows_high``; ``independent``, the effective number of rows, and
    the interval ``low`` to ``high`` by these; ``most``, the upper end of the simultaneous one; ``width``, the median of
    high over low; ``median`` error, and ``worst``, the largest factor off. ``below`` says that ``most`` is below the
    promise.
    """
    rows = rows[rows[["low_s", "high_s"]].notna().all(axis=1)]
    said = rows["predicted_s"]
    low_s, high_s = np.minimum(rows["low_s"], said), np.maximum(rows["high_s"], said)
    rows = rows.assign(
        all="all",
        batch=batch_class(rows["batch_size"]),
        inside=rows["latency_s"].between(low_s, high_s).astype(float),
        wide=high_s / low_s,
        error=(said / rows["latency_s"] - 1).abs(),
        factor=np.maximum(said / rows["latency_s"], rows["latency_s"] / said),
    )
    table = pd.concat([_figures(rows, by) for by in ("all", "regime", "batch")], ignore_index=True)
    inside, n = table["covered"] * table["independent"], table["independent"]
    level = 1 - FALSE_ALARMS / max(len(table), 1)
    table = table.assign(low=lower(inside, n, 0.975), high=upper(inside, n, 0.975), most=upper(inside, n, level))
    return table.assign(below=table["most"] < promise)


def _figures(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    key = ["split", "device", "framework", by]
    found = rows.groupby(key).agg(
        rows=("inside", "size"),
        families=(FAMILY, "nunique"),
        covered=("inside", "mean"),
        width=("wide", "median"),
        median=("error", "median"),
        worst=("factor", "max"),
    )
    own = rows.groupby([*key, FAMILY])["inside"].agg(["size", "sum"]).join(found["covered"])
    own = own.assign(square=(own["sum"] - own["covered"] * own["size"]) ** 2, pairs=own["size"] * (own["size"] - 1))
    sums = own.groupby(level=key)[["square", "pairs"]].sum()
    inside = found["covered"] * found["rows"]
    ends = {"rows_low": lower(inside, found["rows"], 0.975), "rows_high": upper(inside, found["rows"], 0.975)}
    found = found.assign(**ends, independent=found["rows"] / effects(found.join(sums)))
    return found.reset_index(names=["split", "device", "framework", "value"]).assign(by=by)


def effects(figures: pd.DataFrame) -> Array:
    """The design effect of each figure: how many rows tell as much as one independent row, 1 or more.

    Columns: ``rows``, ``families`` and ``covered``; sums over families of ``square``, by how many rows each differs
    from the share of all, squared, and of ``pairs``, its rows times one less.
    """
    several, spread = figures["families"] > 1, figures["covered"] * (1 - figures["covered"])
    n = figures["families"].where(several)
    square, pairs = figures["square"] * n / (n - 1), figures["pairs"]
    possible = float((spread * pairs)[several].sum())
    together = float((square - spread * figures["rows"])[several].sum())
    alike = min(max(together / possible, 0.0), 1.0) if possible else 0.0
    in_the_mean = 1 + alike * pairs / figures["rows"]
    itself = square / (spread * figures["rows"]).where(spread > 0)
    return np.asarray(np.fmax(in_the_mean.to_numpy(float), itself.to_numpy(float)))


def batch_class(sizes: pd.Series[Any]) -> pd.Series[Any]:
    """The class of each batch size, one of `BATCHES`."""
    return pd.Series(np.array([*BATCHES])[np.searchsorted([*BATCHES.values()], sizes)], index=sizes.index)


def lower(inside: Any, n: Any, level: float) -> Array:
    """The lower end of the exact interval of shares (Clopper and Pearson, 1934), of numbers that need not be whole."""
    return 1 - upper(np.asarray(n, dtype=float) - np.asarray(inside, dtype=float), n, level)


def upper(inside: Any, n: Any, level: float) -> Array:
    """The upper end, as `lower`."""
    inside, outside = np.asarray(inside, dtype=float), np.asarray(n, dtype=float) - np.asarray(inside, dtype=float)
    return np.where(outside > _NONE, beta.ppf(level, inside + 1, np.maximum(outside, _NONE)), 1.0)


_NONE = 1e-9  # rows, less than which are rounding
_WRITTEN = ("rows", "families", "covered", "low", "high", "width", "median", "worst")
_TOLD = 3  # figures that a refusal names


def judged(table: pd.DataFrame, folder: Path, name: str, *, promise: float = PROMISE) -> pd.DataFrame:
    """The `figures` of a predictor with ``before``, what it reached before, ``known``, its shortfall, and ``why``.

    ``folder`` holds `BEFORE` and `SHORTFALLS`. ``why`` is empty where a figure is well: where its simultaneous interval
    reaches the promise and, where it is below that itself, what it reached before; of a known shortfall, that one.
    Raises `DataError` for files that are none.
    """
    written = _read(folder)
    reached = {_key(one): one["covered"] for one in written[written["predictor"] == name].to_dict("records")}
    short = {_key(one): one["covered"] for one in shortfalls(folder, name)}
    named = [_key(one) for one in table.to_dict("records")]
    before, known = (np.array([own.get(key, math.nan) for key in named], dtype=float) for own in (reached, short))
    most, listed = table["most"].to_numpy(), ~np.isnan(known)
    less = ~listed & (table["covered"] < promise).to_numpy() & (most < before)
    reasons = {
        "worse than known": most < known,
        "below the promise": ~listed & (most < promise),
        "worse than before": less,
    }
    return table.assign(before=before, known=known, why=np.select([*reasons.values()], [*reasons], ""))


def refusal(found: pd.DataFrame, name: str, *, promise: float = PROMISE) -> str:
    """Why a predictor with these figures (`judged`) is not to be taken, in one line; empty where it is."""
    bad = found[found["why"] != ""].sort_values("most")
    if bad.empty:
        return ""
    told = "; ".join(f"{label(one)}: {_shares(one)} ({one['why']})" for one in bad.head(_TOLD).to_dict("records"))
    more = f"; and {len(bad) - _TOLD} more" if len(bad) > _TOLD else ""
    law = f"intervals of {name} hold {promise:.0%} of latencies, and no less than before"
    return f"{law}; got {len(bad)} of {len(found)} figures that do not: {told}{more}"


def label(figure: Mapping[Any, Any]) -> str:
    """A figure in words: what was held out, where, of which rows."""
    own = {"all": "", "regime": f", {figure['value']}", "batch": f", batch {figure['value']}"}
    return f"{figure['split']}, {figure['device']}, {figure['framework']}{own[figure['by']]}"


def shortfalls(folder: Path, name: str) -> list[dict[str, Any]]:
    """What is known to be covered badly by a predictor: `KEY`, ``covered`` and the ``reason``, one each."""
    law = "known shortfalls are a list for each predictor, each with what it is, covered and a reason"
    path = folder / SHORTFALLS
    listed = files.read_yaml(path, law=law) if path.is_file() else {}
    try:
        own = [{**one, "covered": float(one["covered"])} for one in listed.get(name, [])]
        complete = all({*KEY, "reason"} <= {*one} for one in own)
    except (AttributeError, KeyError, TypeError, ValueError):
        complete, own = False, []
    if not complete:
        raise DataError(law, str(path), "mend the file")
    return own


def write(table: pd.DataFrame, folder: Path, name: str, *, note: str = "") -> Path:
    """Write the `figures` of a predictor into `BEFORE`, beside those of others; ``note`` says why they were taken."""
    before = _read(folder)
    own = table[[*KEY, *_WRITTEN]].assign(note=note)
    own.insert(0, "predictor", name)
    others = before[before["predictor"] != name]
    found = pd.concat([others, own]) if len(others) else own
    found = found.sort_values("predictor", kind="stable")
    return files.write(folder / BEFORE, found.to_csv(index=False, float_format="%.4g").encode())


def _read(folder: Path) -> pd.DataFrame:
    path, law = folder / BEFORE, "figures of coverage are those that a build of predictors wrote"
    columns = ["predictor", *KEY, *_WRITTEN, "note"]
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    text = files.read(path, law=law, do="build them again").decode(errors="replace")
    try:
        found = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(("value", "note"), str), keep_default_na=False)
        return found[columns].astype(dict.fromkeys(_WRITTEN, float))
    except (LookupError, ValueError) as error:
        raise DataError(law, f"{path}: {error}", "build them again") from error


def _key(figure: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(str(figure[name]) for name in KEY)


def _shares(one: Mapping[Any, Any]) -> str:
    return f"{100 * one['covered']:.0f} % ({100 * one['low']:.0f} to {100 * one['high']:.0f})"


def of_learnt(
    learnt: Learnt, *, confidence: float = PROMISE, fits: Iterable[PlatformFit] | None = None
) -> pd.DataFrame:
    """The rows that were left out while CPUs were learnt, with the intervals that follow from all others.

    The others hold no row of the same model or family, nor, where a machine was left out, of that machine. One row each
    and split, as `figures` wants them. ``fits`` are those whose intervals are looked at where they are not the learnt
    ones: a predictor's that was fitted to the same rows before.
    """
    of_platform = {fit.platform: fit for fit in (learnt.fits if fits is None else fits)}
    found = [
        with_intervals(part, confidence, of_platform[platform_of(part)])
        for _, part in learnt.left_out.groupby(list(PLATFORM))
    ]
    machines = learnt.machines
    by = FAMILY if len(machines) and enough_families(machines) else "model"
    for count, split in ((min(COUNTS), "machine"), (max(COUNTS), "calibrated")):
        own = machines[machines["count"] == count] if len(machines) else machines
        for _, part in own.groupby(keys(own).to_numpy()) if len(own) else []:
            found.append(_new_machines(part, confidence, by).assign(split=split))
    rows = pd.concat(found)
    seen = rows[~rows.index.duplicated()]
    regime = regimes.measured(seen, regimes.by_law(seen), regimes.sweeps(seen))
    return rows.assign(regime=regime.loc[rows.index].to_numpy())


def _new_machines(missed: pd.DataFrame, confidence: float, by: str) -> pd.DataFrame:
    """Rows of a framework on machines left out, each with the interval of errors on others, of other families."""
    device, group = missed["device"].to_numpy(), missed[by].to_numpy()
    kind, scale = kinds(missed["regime"], missed["outside"]), missed["expected"].to_numpy()
    ratio = missed["ratio"].to_numpy() / scale
    ends = np.full((2, len(missed)), math.nan)
    for machine, name in dict.fromkeys(zip(device, group, strict=True)):
        asked, others = (device == machine) & (group == name), (device != machine) & (group != name)
        if others.any():
            ends[:, asked] = Errors.of(ratio[others], kind[others]).interval(confidence, kind[asked])
    said = missed["predicted_s"]
    return missed.assign(low_s=said * np.exp(ends[0] * scale), high_s=said * np.exp(ends[1] * scale))


def of_gpus(predictor: LatencyPredictor, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of GPUs that nothing was learnt from, as the predictor says, and as calibrated on other families.

    As `figures` wants them; frameworks that the predictor does not know are left out, and those of less than three
    families are not calibrated.
    """
    rows = with_kernels(table[table["framework"].isin(predictor.gpus_)].assign(host="here").reset_index(drop=True))
    regime = regimes.measured(rows, regimes.by_law(rows), regimes.sweeps(rows))
    found = []
    for _, part in rows.groupby("framework"):
        found.append(said(predictor, part).assign(split="machine"))
        if part[FAMILY].nunique() > 2:
            for train, test in folds(part[FAMILY], most=10):
                calibrated = predictor.calibrate(part.iloc[train])
                found.append(said(calibrated, part.iloc[test], host="here").assign(split="calibrated"))
    own = pd.concat(found)
    return own.assign(regime=regime.loc[own.index].to_numpy())


def said(predictor: LatencyPredictor, rows: pd.DataFrame, host: str | None = None) -> pd.DataFrame:
    """Rows of GPUs that hold kernels, with ``predicted_s``, ``low_s``, ``high_s`` and ``regime`` by a predictor."""
    levels, found = ((1 - predictor.confidence) / 2, (1 + predictor.confidence) / 2), []
    for (framework, device, dtype), part in rows.groupby(["framework", "device", "dtype"]):
        (fit,) = predictor.select(framework=str(framework), device=str(device), dtype=str(dtype), host=host)
        estimate = fit.estimate(part)
        low, high = fit.quantiles(part, estimate, levels)
        seconds = estimate["latency_s"].to_numpy()
        ends = {"low_s": seconds * np.exp(low), "high_s": seconds * np.exp(high)}
        found.append(part.assign(predicted_s=seconds, regime=estimate["regime"], **ends))
    return pd.concat(found)
