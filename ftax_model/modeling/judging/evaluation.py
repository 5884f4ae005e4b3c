"""How good predictions are: what is held out and how, error figures, and the repeatability floor beside them.

Rows of one model err together, so that models, families and sizes are held out, never single rows. Intervals are those
that a predictor would give: from the errors on everything else that was left out in its turn.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ftax_model import dataset, plugins
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.baselines import BASELINES
from ftax_model.modeling.estimators.crossover import compare, cross_predict, figures
from ftax_model.modeling.judging import machines, regimes
from ftax_model.modeling.judging.intervals import kinds
from ftax_model.modeling.judging.machines import MACHINE
from ftax_model.modeling.platforms import memory
from ftax_model.modeling.platforms.known import Known, design, law, platform_of
from ftax_model.modeling.platforms.platform import FAMILY, PlatformFit, errors_of, predict_left_out, turns
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.modeling.rows import PLATFORM, of_operators, with_operators

CELL = ("curve", "batch_size", *PLATFORM)
"""Columns that rows share when fresh processes measured the same thing."""

SPLITS: Mapping[str, str] = {
    "model": "model never seen, family known",
    "family": "family never seen",
    "framework": "framework never seen for this model, which was measured in others",
    "size": "the largest third of batch and input sizes of each model never seen",
    MACHINE: "machine never seen, calibrated with a few rows; the others are known",
}
"""What is held out, by name.

``framework`` are those rows of ``model`` whose cells were measured in other frameworks too: platforms are fitted apart,
so what those say of the model is no part of the prediction. (It would be no help: by how much a model is missed in one
framework says little of another.)
"""

WITHIN = tuple(name for name in SPLITS if name != MACHINE)
"""What is held out within machines that are known."""

REFERENCES = tuple(f"by {name}" for name in (*BASELINES, "law"))
"""What stands beside the predictor in every table, by the name of its column; each has seen the same rows."""

LARGEST_SHARE = 1 / 3
"""Of the batch sizes of a curve, and of the input sizes of a model, that ``size`` holds out."""


TURNS = 500
"""Models or families whose errors are left out one by one; no platform of a dataset that comes along has more."""


@dataclass(frozen=True)
class Report:
    """All that `report` found out: rows held out, sweeps held out, rows on machines held out, and what rows hold."""

    left_out: pd.DataFrame
    crossovers: pd.DataFrame
    machines: pd.DataFrame
    memory: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The error tables by title."""
        titles = {"split": "split", "framework": "framework", "regime": "regime", FAMILY: "family"}
        found = {
            f"latency by {title}": summary(self.left_out, by=dict.fromkeys(["split", column]))
            for column, title in titles.items()
            if column in self.left_out
        }
        if len(self.crossovers):
            found["crossover batch size by split"] = crossover_summary(self.crossovers, by=["split"])
            found["crossover batch size by framework"] = crossover_summary(self.crossovers)
        if len(self.machines):
            found |= machines.tables(self.machines)
        if len(self.memory):
            for column in ("process", "mostly"):
                found[f"peak memory by {column}"] = memory_summary(self.memory, by=["framework", column])
        return found


def report(
    table: pd.DataFrame,
    profiles: pd.DataFrame | None = None,
    *,
    splits: Iterable[str] = tuple(SPLITS),
    confidence: float = 0.9,
    plan: Collection[str] = (),
    jobs: int | None = None,
) -> Report:
    """Hold out all that `SPLITS` names, and compare crossovers and, where families are held out, peak memory.

    ``profiles`` are times of single operators (`ftax_model.dataset.load_operators`); those of what is held out are
    too. ``plan`` are keys of workloads that calibrate a machine (see `ftax_model.modeling.judging.machines`). Raises as
    `evaluate` does.
    """
    asked = set(splits)
    _check(asked)
    rows = with_operators(dataset.good(table), jobs=jobs)
    within = asked - {MACHINE}
    left_out = evaluate(rows, profiles, splits=within, confidence=confidence, jobs=jobs) if within else pd.DataFrame()
    new = machines.judge(rows, plan=plan, confidence=confidence, jobs=jobs) if MACHINE in asked else pd.DataFrame()
    found = left_out[left_out["split"].isin(["model", "family"])] if len(left_out) else left_out
    held = memory.left_out(rows, confidence=confidence) if "family" in asked else pd.DataFrame()
    return Report(left_out, crossovers(found, jobs=jobs) if len(found) else pd.DataFrame(), new, held)


def evaluate(
    table: pd.DataFrame,
    profiles: pd.DataFrame | None = None,
    *,
    splits: Iterable[str] = tuple(WITHIN),
    known: LatencyPredictor | None = None,
    confidence: float = 0.9,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Every measured row predicted by a fit that saw nothing of what its split holds out; one row each and split.

    ``splits`` are any of `SPLITS` but ``machine``; ``known`` is a predictor that the rows calibrate. Returns the
    measured rows with ``split``; ``predicted_s`` and its interval ``low_s`` to ``high_s``; ``regime`` as predicted;
    ``outside``, whether it lies outside of what the fit had seen;
    ``error`` (predicted over measured, less 1); and a column for each of `REFERENCES`, its prediction in seconds.
    Platforms where a split holds nothing out are left out of it. Raises `DataError` where there are no two models.
    """
    asked = set(splits)
    _check(asked)
    rows = with_operators(dataset.good(table), jobs=jobs)
    counts = rows.groupby(list(PLATFORM))["model"].transform("nunique")
    if not (counts > 1).any():
        raise DataError("holding out needs two of model", f"{rows['model'].nunique()}", "measure another model")
    rows = rows[counts > 1].reset_index(drop=True)
    predictor = LatencyPredictor(confidence=confidence, jobs=jobs)
    learnt = predictor.learn(rows, profiles, known=known, families="family" in asked, most=len(rows))
    fits = {fit.platform: fit for fit in learnt.fits}
    parts = [part for _, part in learnt.left_out.groupby(list(PLATFORM))]
    judged = [with_intervals(part, confidence, fits[platform_of(part)] if known else None) for part in parts]
    found = []
    for part in judged:
        own = rows[(rows[list(PLATFORM)] == part[list(PLATFORM)].iloc[0]).all(axis=1)]
        found += [_with_references(one, own, str(split)) for split, one in part.groupby("split")]
    left_out = pd.concat(found, ignore_index=True)
    if "framework" in asked:
        elsewhere = _measured_elsewhere(left_out[left_out["split"] == "model"])
        left_out = pd.concat([left_out, elsewhere], ignore_index=True)
    if "size" in asked:
        timed = None if profiles is None else of_operators(profiles)
        left_out = pd.concat([left_out, _largest_left_out(rows, timed, fits, confidence)], ignore_index=True)
    return left_out[left_out["split"].isin(asked)].reset_index(drop=True)


def _check(splits: set[str]) -> None:
    for split in splits:
        plugins.check(split, SPLITS, what="split")


def _measured_elsewhere(rows: pd.DataFrame) -> pd.DataFrame:
    cell = [name for name in CELL if name != "framework"]
    return rows[rows.groupby(cell)["framework"].transform("nunique") > 1].assign(split="framework")


def hold_out(table: pd.DataFrame, *, known: LatencyPredictor | None = None, confidence: float = 0.9) -> pd.DataFrame:
    """Every measured row predicted by a fit that saw no row of its model (`evaluate`)."""
    return evaluate(table, splits=["model"], known=known, confidence=confidence)


def with_intervals(missed: pd.DataFrame, confidence: float, fit: PlatformFit | None) -> pd.DataFrame:
    """Rows of a platform that were left out (`leave_out`), with the intervals that its fit gives.

    Each is the one that the fit would give had it not seen the errors on the row's own model, or family where that was
    left out; without a fit these errors are all there is. Of more models than `TURNS`, several are left out at a time.
    Columns besides: ``low_s`` to ``high_s``, and ``error``, predicted over measured less 1.
    """
    splits, scale = missed["split"].to_numpy(), missed["expected"].to_numpy()
    kind = kinds(missed["regime"], missed["outside"])
    known, count = None, len(missed)
    if fit is not None and fit.model is not None and isinstance(fit.known, Known):
        known, count = fit.known, fit.n_rows
    low, high = np.zeros(len(missed)), np.zeros(len(missed))
    for split in dict.fromkeys(splits):
        own = pd.factorize(missed[FAMILY if split == "family" else "model"])[0] % TURNS
        for turn in dict.fromkeys(own[splits == split]):
            asked, others = (splits == split) & (own == turn), missed[own != turn]
            if known is not None or len(others):
                ends = errors_of(known, count, others).interval(confidence, kind[asked])
                low[asked], high[asked] = ends[0] * scale[asked], ends[1] * scale[asked]
    predicted = missed["predicted_s"]
    return missed.assign(
        low_s=predicted * np.exp(low), high_s=predicted * np.exp(high), error=predicted / missed["latency_s"] - 1
    )


def _with_references(left_out: pd.DataFrame, rows: pd.DataFrame, split: str) -> pd.DataFrame:
    by = {"model": "model", "family": FAMILY}[split]
    columns: dict[str, Any] = {name: np.full(len(rows), math.nan) for name in REFERENCES}
    for train, test in turns(rows, by=by, most=len(rows) if by == FAMILY else 10):
        for name, predicted in _references(rows.iloc[train], rows.iloc[test]).items():
            columns[name][test] = predicted
    return left_out.join(pd.DataFrame(columns, index=rows.index))


def _references(seen: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    models = {**{name: make() for name, make in BASELINES.items()}, "law": law(seen)}
    found = {}
    for name, model in models.items():
        with suppress(InputError):  # rows that lack a feature have no answer of those that look at it
            found[f"by {name}"] = model.fit(seen, seen["latency_s"].to_numpy(float)).predict(unseen)
    return found


def _largest_left_out(
    rows: pd.DataFrame, profiles: pd.DataFrame | None, fits: Mapping[Platform, PlatformFit], confidence: float
) -> pd.DataFrame:
    """The largest sizes of each platform, predicted by models of all others; intervals are those of the whole fit."""
    large = np.zeros(len(rows), dtype=bool)
    for _, part in rows.groupby(list(PLATFORM)):
        own = part.reset_index(drop=True)
        inputs = own["model"] + own["dtype"] + own["lengths"] if "lengths" in own else own["model"]
        chosen = _largest(own, "curve", "batch_size") | _largest(own.assign(of=inputs), "of", "input_size")
        if own.loc[~chosen, "model"].nunique() > 1:
            large[rows.index.get_indexer(part.index)] = chosen
    if not large.any():
        return pd.DataFrame()
    said = predict_left_out(rows[~large], rows[large], None, profiles)
    found = []
    for _, part in said.groupby(list(PLATFORM)):
        fit = fits[platform_of(part)]
        seen = rows[~large & (rows[list(PLATFORM)] == part[list(PLATFORM)].iloc[0]).all(axis=1)]
        low, high = fit.quantiles(part, part, [(1 - confidence) / 2, (1 + confidence) / 2])
        predicted = part["predicted_s"]
        own = part.assign(
            split="size",
            low_s=predicted * np.exp(low),
            high_s=predicted * np.exp(high),
            error=predicted / part["latency_s"] - 1,
        )
        found.append(own.assign(**_references(seen, part)))
    return pd.concat(found, ignore_index=True)


def _largest(rows: pd.DataFrame, of: str, size: str) -> NDArray[np.bool_]:
    """Which rows hold one of the largest sizes of what they belong to; none where it has fewer than three."""
    large = np.zeros(len(rows), dtype=bool)
    for _, part in rows.groupby(of):
        sizes = sorted(part[size].unique())
        count = int(len(sizes) * LARGEST_SHARE)
        if count:
            large[part.index[part[size].isin(sizes[-count:])]] = True
    return large


def summary(left_out: pd.DataFrame, *, by: Iterable[str] = ("framework", "regime")) -> pd.DataFrame:
    """The error figures of `errors` for each value of the columns ``by``, the repeatability floor beside them.

    ``left_out`` is what `evaluate` returned; ``covered`` is the share of rows inside their interval, ``width`` the
    median of half its length over the prediction; each of `REFERENCES` has its median error. ``repeats`` is the rank
    correlation between the errors of two fresh processes at one cell: near 1 they are the model's, near 0 noise.
    """
    by = list(by)
    found = []
    for key, part in left_out.groupby(by) if by else [((), left_out)]:
        covered = part["latency_s"].between(part["low_s"], part["high_s"])
        found.append(
            {
                **dict(zip(by, key, strict=True)),
                **errors(part["predicted_s"], part["latency_s"]),
                "covered": float(covered.mean()),
                "width": float(((part["high_s"] - part["low_s"]) / (2 * part["predicted_s"])).median()),
                "floor": floor(part),
                "repeats": _repeats(part),
                **{name: errors(part[name], part["latency_s"])["median"] for name in REFERENCES if name in part},
            }
        )
    return pd.DataFrame(found)


def _repeats(left_out: pd.DataFrame) -> float:
    cells = left_out.groupby(list(CELL))["error"]
    pairs = pd.DataFrame({"first": cells.first(), "last": cells.last()})[cells.size() > 1]
    return float(pairs["first"].corr(pairs["last"], method="spearman")) if len(pairs) > _FEWEST_PAIRS else math.nan


_FEWEST_PAIRS = 20


def crossovers(left_out: pd.DataFrame, *, jobs: int | None = None) -> pd.DataFrame:
    """The sweeps of at least four batch sizes among rows that `evaluate` left out, and what is predicted of them.

    Columns beside those of `crossover.compare`: ``split``; ``predicted``, by regressors that saw
    nothing of the sweep's family (of its model, where that was held out); ``inside``, the same given that it crosses
    over within its batch sizes; ``read_off`` from the predicted latencies; ``law``, read off the law's. All are log2 of
    batch sizes.
    """
    found = []
    for split, rows in left_out.groupby("split"):
        sweeps = compare(rows, jobs=jobs)
        if len(sweeps):
            by = "model" if split == "model" else "architecture"
            predicted, inside = cross_predict(sweeps, by=by)
            found.append(sweeps.assign(split=split, predicted=predicted, inside=inside))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def crossover_summary(sweeps: pd.DataFrame, *, by: Iterable[str] = ("split", "framework")) -> pd.DataFrame:
    """Errors of predicted crossovers, absolute log2 of predicted over measured, for each value of ``by``.

    ``n`` sweeps whose crossover was measured inside their batch sizes: ``median`` and ``p90`` of them, ``bias`` (median
    signed), and the medians of ``given inside``, ``read off`` and ``law``; ``censored``, the share of the others, and
    ``right``, the share of those that are predicted beyond their bound too.
    """
    names = {"given inside": "inside", "read off": "read_off", "law": "law"}
    rows = []
    for key, part in sweeps.groupby(list(by)):
        inside = (part["censored"] == "").to_numpy()
        found = figures(part["predicted"], part)
        own: dict[str, Any] = {"n": int(inside.sum()), **{name: found[name] for name in ("median", "p90", "bias")}}
        own |= {name: figures(part[column], part)["median"] for name, column in names.items()}
        own |= {"given inside, p90": figures(part["inside"], part)["p90"]}
        own |= {"censored": float(1 - inside.mean()), "right": found["right"]}
        rows.append({**dict(zip(by, key, strict=True)), **own})
    return pd.DataFrame(rows)


def sweeps(table: pd.DataFrame, predictor: LatencyPredictor, *, swept: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row for each measured sweep of batch sizes: its latency, regime and crossover.

    Columns: ``curve``, the platform, ``batch_size`` (the smallest measured) with its ``latency_s`` (median over
    repeats); ``crossover_batch_size``, ``crossover_low``, ``crossover_high`` and ``censored`` from the sweep itself
    (`fit_curve`; nan below three batch sizes); ``regime`` at the smallest batch. Below its
    crossover a sweep is flat, and the law says whether the framework or the traffic of weights makes the floor.
    ``swept`` are the sweeps' crossovers where they were told before (`ftax_model.modeling.judging.regimes.sweeps`).
    """
    rows = dataset.good(table)
    told = dict.fromkeys(design(rows).columns.drop("batch_size"), "first")
    cells = rows.groupby(list(CELL), as_index=False).agg({"latency_s": "median", **told})
    estimate = predictor.predict_frame(cells)[["regime", "host_s", "constant_s"]]
    swept = regimes.sweeps(cells) if swept is None else swept
    cells = cells.assign(regime=regimes.measured(cells, estimate, swept))
    first = cells.sort_values("batch_size", kind="stable").drop_duplicates(list(regimes.SWEEP))
    found = first[[*regimes.SWEEP, "batch_size", "latency_s", "regime"]].merge(swept, on=list(regimes.SWEEP))
    return found.sort_values(list(regimes.SWEEP), ignore_index=True).drop(columns=["sizes", "overlap"])


def memory_summary(left_out: pd.DataFrame, *, by: Iterable[str] = ("framework", "process")) -> pd.DataFrame:
    """The figures of `errors` of peak memory for each value of ``by``, of rows that `memory.left_out` returned.

    Beside them ``covered``, ``width`` as in `summary`, and the median error of weights and activations alone.
    """
    found = []
    for key, part in left_out.groupby(list(by)):
        predicted, measured = part["predicted_bytes"], part[memory.MEASURED]
        low, high = part["memory_low_bytes"], part["memory_high_bytes"]
        alone = errors(part["model_bytes"] + part["live_bytes"], measured)["median"]
        own = errors(predicted, measured)
        own |= {"covered": float(measured.between(low, high).mean())}
        own |= {"width": float(((high - low) / (2 * predicted)).median()), "by weights + activations": alone}
        found.append({**dict(zip(by, key, strict=True)), **own})
    return pd.DataFrame(found)


def errors(predicted: Iterable[float], measured: Iterable[float]) -> dict[str, float]:
    """Error figures of predictions against measurements, both in seconds.

    ``n``, ``median`` and ``mape`` (of the absolute relative error), ``worst`` (the largest factor that one is off by,
    up or down), ``within_10`` (share within 10 %), ``bias`` (mean signed relative error), ``spearman`` (nan below three
    rows, or where all are the same).
    """
    got, truth = np.asarray(list(predicted), float), np.asarray(list(measured), float)
    relative = got / truth - 1
    ranked = len(truth) > 2 and np.ptp(got) > 0 and np.ptp(truth) > 0
    return {
        "n": float(len(truth)),
        "median": float(np.median(np.abs(relative))),
        "mape": float(np.mean(np.abs(relative))),
        "worst": float(np.exp(np.abs(np.log(got / truth)).max())),
        "within_10": float(np.mean(np.abs(relative) <= 0.1)),
        "bias": float(np.mean(relative)),
        "spearman": float(spearmanr(got, truth).statistic) if ranked else float("nan"),
    }


def floor(table: pd.DataFrame, *, by: Iterable[str] = ()) -> Any:
    """The repeatability floor: median relative difference between two fresh processes that measured the same cell.

    One number (nan where nothing was repeated), or a Series with one for each value of the columns ``by``.
    """
    rows = dataset.good(table)
    by = list(by)
    keys = [*by, *(key for key in CELL if key not in by)]
    repeated = rows.groupby(keys)["latency_s"].filter(lambda values: len(values) > 1)
    cells = rows.loc[repeated.index].groupby(keys)["latency_s"]
    differences = cells.agg(lambda values: _mean_difference(np.log(values.to_numpy())))
    return differences.groupby(by).median() if by else float(differences.median())


def _mean_difference(values: Any) -> float:
    """Mean absolute difference over all pairs."""
    gaps = np.abs(values[:, None] - values[None, :])
    return float(gaps.sum() / (len(values) * (len(values) - 1)))
