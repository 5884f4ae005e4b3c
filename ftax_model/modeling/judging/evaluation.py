"""How good predictions are: what is held out and how, error figures, and the repeatability floor beside them.

Rows of one model err together, so that models, families and sizes are held out, never single rows. Intervals are those
that a predictor would give: from the errors on everything else that was left out in its turn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ftax_model import dataset, plugins
from ftax_model.errors import DataError
from ftax_model.modeling.estimators.baselines import BASELINES
from ftax_model.modeling.estimators.crossover import compare, cross_predict, figures
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.judging.intervals import Errors, kinds
from ftax_model.modeling.platforms.calibration import assume, well_known
from ftax_model.modeling.platforms.platform import (
    COLUMNS,
    FAMILY,
    Learnt,
    design,
    find_siblings,
    fit_platform,
    law,
    of_platform,
    platform_of,
    regimes,
    turns,
)
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.modeling.rows import MANY, PLATFORM, of_operators, with_operators

CELL = ("curve", "batch_size", *PLATFORM)
"""Columns that rows share when fresh processes measured the same thing."""

SPLITS: Mapping[str, str] = {
    "model": "model never seen, family known",
    "family": "family never seen",
    "framework": "framework never seen for this model, which was measured in others",
    "size": "the largest third of batch and input sizes of each model never seen",
}
"""What is held out, by name.

``framework`` are those rows of ``model`` whose cells were measured in other frameworks too: platforms are fitted apart,
so what those say of the model is no part of the prediction. (It would be no help: by how much a model is missed in one
framework says little of another.)
"""

REFERENCES: Mapping[str, Callable[[], Any]] = {f"by {name}": make for name, make in {**BASELINES, "law": law}.items()}
"""What stands beside the predictor in every table, by the name of its column; each has seen the same rows."""

LARGEST_SHARE = 1 / 3
"""Of the batch sizes of a curve, and of the input sizes of a model, that ``size`` holds out."""


@dataclass(frozen=True)
class Report:
    """All that `report` found out: rows held out, sweeps held out, and the tables made of them."""

    left_out: pd.DataFrame
    crossovers: pd.DataFrame
    calibration: pd.DataFrame

    def calibration_means(self) -> pd.DataFrame:
        """Means over ``platforms`` of what calibration gave, by what was ``known`` beforehand and ``rows`` measured."""
        groups = self.calibration.drop(columns=["platform", "n"]).groupby(["known", "rows"])
        means = groups.mean()
        means.insert(0, "platforms", groups.size())
        return means.reset_index()

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
        if len(self.calibration):
            found["new platform, calibrated on so many rows"] = self.calibration
            found["new platform, mean over platforms"] = self.calibration_means()
        return found


def report(
    table: pd.DataFrame,
    profiles: pd.DataFrame | None = None,
    *,
    splits: Iterable[str] = tuple(SPLITS),
    confidence: float = 0.9,
    jobs: int = -1,
) -> Report:
    """Hold out all that `SPLITS` names, compare crossovers, and calibrate to each platform as if it were new.

    ``profiles`` are times of single operators (`ftax_model.dataset.load_operators`); those of what is held out are
    too. Raises as `evaluate` does.
    """
    left_out, learnt = _evaluate(table, profiles, set(splits), confidence, jobs)
    predictor = LatencyPredictor(confidence=confidence, jobs=jobs).of_learnt(learnt)
    rows = left_out[left_out["split"] == "model"]
    calibration = calibration_errors(predictor, rows, jobs=jobs) if len(learnt) > 1 else pd.DataFrame()
    asked = left_out[left_out["split"].isin(set(splits))].reset_index(drop=True)
    return Report(asked, crossovers(asked[asked["split"].isin(["model", "family"])], jobs=jobs), calibration)


def evaluate(
    table: pd.DataFrame,
    profiles: pd.DataFrame | None = None,
    *,
    splits: Iterable[str] = tuple(SPLITS),
    confidence: float = 0.9,
    jobs: int = -1,
) -> pd.DataFrame:
    """Every measured row predicted by a fit that saw nothing of what its split holds out; one row each and split.

    The measured rows with ``split``; ``predicted_s`` and its interval ``low_s`` to ``high_s``; ``regime`` as predicted;
    ``outside``, whether it lies outside of what the fit had seen; ``error`` (predicted over measured, less 1); and a
    column for each of `REFERENCES`, its prediction in seconds. Platforms where a split holds nothing out are left out
    of it. Raises `DataError` where no platform has two models.
    """
    left_out, _ = _evaluate(table, profiles, set(splits), confidence, jobs)
    return left_out[left_out["split"].isin(set(splits))].reset_index(drop=True)


def _evaluate(
    table: pd.DataFrame, profiles: pd.DataFrame | None, splits: set[str], confidence: float, jobs: int
) -> tuple[pd.DataFrame, list[Learnt]]:
    """Rows held out by ``splits``, and by model in any case; and what was learnt of each platform with them."""
    for split in splits:
        plugins.check(split, SPLITS, what="split")
    rows = with_operators(dataset.good(table), jobs=jobs)
    profiles = None if profiles is None else of_operators(profiles)
    parts = [part.reset_index(drop=True) for _, part in rows.groupby(list(PLATFORM)) if part["model"].nunique() > 1]
    if not parts:
        raise DataError("holding out needs two of model", f"{rows['model'].nunique()}", "measure another model")
    parts.sort(key=len, reverse=True)
    found: list[tuple[Learnt, list[pd.DataFrame]]] = Parallel(n_jobs=jobs if len(rows) > MANY else 1)(
        delayed(_evaluate_platform)(part, find_siblings(parts, part), of_platform(profiles, part), splits, confidence)
        for part in parts
    )
    left_out = pd.concat([one for _, own in found for one in own], ignore_index=True)
    if "framework" in splits:
        elsewhere = _measured_elsewhere(left_out[left_out["split"] == "model"])
        left_out = pd.concat([left_out, elsewhere], ignore_index=True)
    return left_out, [learnt for learnt, _ in found]


def _measured_elsewhere(rows: pd.DataFrame) -> pd.DataFrame:
    cell = [name for name in CELL if name != "framework"]
    return rows[rows.groupby(cell)["framework"].transform("nunique") > 1].assign(split="framework")


def hold_out(table: pd.DataFrame, *, confidence: float = 0.9) -> pd.DataFrame:
    """Every measured row predicted by a fit that saw no row of its model (`evaluate`)."""
    return evaluate(table, splits=["model"], confidence=confidence)


def _evaluate_platform(
    rows: pd.DataFrame,
    siblings: pd.DataFrame | None,
    profiles: pd.DataFrame | None,
    splits: set[str],
    confidence: float,
) -> tuple[Learnt, list[pd.DataFrame]]:
    learnt = fit_platform(rows, siblings=siblings, profiles=profiles, most=len(rows))
    judged = _with_intervals(learnt.left_out, confidence)
    found = [_with_references(part, rows, str(split)) for split, part in judged.groupby("split")]
    if "size" in splits:
        found += _largest_left_out(rows, profiles, confidence)
    return learnt, found


def _with_intervals(missed: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Each row with the interval that the errors of all but its own model and, if that was left out, family give."""
    splits, scale = missed["split"].to_numpy(), missed["expected"].to_numpy()
    own = np.where(splits == "family", missed.get(FAMILY, ""), missed["model"])
    kind = kinds(missed["regime"], missed["outside"])
    ratio = missed["ratio"].to_numpy() / scale
    low, high = np.zeros(len(missed)), np.zeros(len(missed))
    for split, group in dict.fromkeys(zip(splits, own, strict=True)):
        asked = (splits == split) & (own == group)
        same = missed[FAMILY] == group if split == "family" else missed["model"] == group
        others = ~same.to_numpy()
        if others.any():
            ends = Errors.of(ratio[others], kind[others]).interval(confidence, kind[asked])
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
    found = {}
    for name, make in REFERENCES.items():
        found[name] = make().fit(seen, seen["latency_s"].to_numpy(float)).predict(unseen)
    return found


def _largest_left_out(rows: pd.DataFrame, profiles: pd.DataFrame | None, confidence: float) -> list[pd.DataFrame]:
    large = _largest(rows, "curve", "batch_size")
    inputs = rows["model"] + rows["dtype"] + rows["lengths"] if "lengths" in rows else rows["model"]
    large |= _largest(rows.assign(of=inputs), "of", "input_size")
    if not large.any() or rows.loc[~large, "model"].nunique() < 2:
        return []
    seen, unseen = rows[~large].reset_index(drop=True), rows[large].reset_index(drop=True)
    fit = fit_platform(seen, profiles=profiles).fit
    estimate = fit.estimate(unseen)
    low, high = fit.quantiles(unseen, estimate, [(1 - confidence) / 2, (1 + confidence) / 2])
    predicted = estimate["latency_s"]
    own = unseen.assign(
        split="size",
        predicted_s=predicted,
        low_s=predicted * np.exp(low),
        high_s=predicted * np.exp(high),
        regime=estimate["regime"],
        outside=estimate["outside"],
        error=predicted / unseen["latency_s"] - 1,
    )
    return [own.assign(**_references(seen, unseen))]


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


def crossovers(left_out: pd.DataFrame, *, jobs: int = -1) -> pd.DataFrame:
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


def calibration_errors(
    predictor: LatencyPredictor,
    table: pd.DataFrame,
    *,
    counts: Iterable[int] = (0, 3, 5, 10, 20, 50),
    draws: int = 5,
    seed: int = 0,
    jobs: int = -1,
) -> pd.DataFrame:
    """How good a predictor is on a platform it never saw, after ``counts`` rows were measured there.

    Each platform of the table in turn is new; the others are known. Rows are drawn at random ``draws`` times; none are
    for a count of 0, where specifications must do (and a framework that is not known cannot be predicted). One row for
    each platform and count: ``n`` rows predicted in each draw, and means over draws of ``mape``, ``median``,
    ``covered`` and ``width`` (half the interval over the prediction, median), and ``by law``, the median error of the
    law fitted to the same rows; ``known`` is ``framework`` where another platform of it is known well, else
    ``nothing``. A count is left out where it is more than half of the platform's rows.
    """
    rows = with_operators(dataset.good(table), jobs=jobs)
    counts, tasks = sorted(counts), []
    for _, part in rows.groupby(list(PLATFORM)):
        known = LatencyPredictor(confidence=predictor.confidence, operators=predictor.operators, jobs=1)
        known.crossovers_ = predictor.crossovers_
        known.fits_ = [fit for fit in predictor.fits_ if fit.platform != platform_of(part)]
        if known.fits_:
            tasks.append((known, part.reset_index(drop=True)))
    found = Parallel(n_jobs=jobs)(
        delayed(_calibrated)(known, part, count, draws if count else 1, seed)
        for known, part in tasks
        for count in counts
        if 2 * count <= len(part)
        if count or assume(known.fits_, **dataclasses.asdict(platform_of(part)))
    )
    return pd.DataFrame(found)


def _calibrated(known: LatencyPredictor, rows: pd.DataFrame, count: int, draws: int, seed: int) -> dict[str, Any]:
    drawn = []
    for draw in range(draws):
        chosen = np.zeros(len(rows), dtype=bool)
        chosen[np.random.default_rng([seed, draw]).permutation(len(rows))[:count]] = True
        seen, rest = rows[chosen], rows[~chosen]
        predicted = (known.calibrate(seen) if count else known).predict_frame(rest, crossovers=False)
        drawn.append(
            {
                **errors(predicted["latency_s"], rest["latency_s"]),
                "covered": float(rest["latency_s"].between(predicted["low_s"], predicted["high_s"]).mean()),
                "width": float(((predicted["high_s"] - predicted["low_s"]) / (2 * predicted["latency_s"])).median()),
                "by law": _by_law(seen, rest) if count else math.nan,
            }
        )
    means = pd.DataFrame(drawn)[["n", "mape", "median", "covered", "width", "by law"]].mean()
    platform = platform_of(rows)
    kin = any(fit.platform.framework == platform.framework for fit in well_known(known.fits_))
    own = {"platform": str(platform), "known": "framework" if kin else "nothing", "rows": count}
    return {**own, **{str(name): float(value) for name, value in means.items()}}


def _by_law(seen: pd.DataFrame, rest: pd.DataFrame) -> float:
    predicted = law().fit(design(seen), seen["latency_s"]).predict(design(rest))
    return errors(predicted, rest["latency_s"])["median"]


def sweeps(table: pd.DataFrame, predictor: LatencyPredictor) -> pd.DataFrame:
    """One row for each measured sweep of batch sizes: its latency, regime and crossover.

    Columns: ``curve``, the platform, ``batch_size`` (the smallest measured) with its ``latency_s`` (median over
    repeats); ``crossover_batch_size``, ``crossover_low``, ``crossover_high`` and ``censored`` from the sweep itself
    (`fit_curve`; nan below three batch sizes); ``regime`` at the smallest batch. Below its
    crossover a sweep is flat, and the law says whether the framework or the traffic of weights makes the floor.
    """
    rows = dataset.good(table)
    cells = rows.groupby(list(CELL), as_index=False).agg({"latency_s": "median", **dict.fromkeys(COLUMNS, "first")})
    cells = cells.join(predictor.predict_frame(cells)[["regime", "host_s", "constant_s"]])
    found = []
    for key, part in cells.groupby(["curve", *PLATFORM]):
        part = part.sort_values("batch_size")
        first = part.iloc[0]
        crossover = _crossover(part)
        own = {"batch_size": int(first["batch_size"]), "latency_s": first["latency_s"]}
        own["regime"] = str(first["regime"])
        if not math.isnan(crossover["crossover_batch_size"]):
            own["regime"] = str(regimes(part[:1], part["batch_size"][:1], crossover["crossover_batch_size"])[0])
        found.append({**dict(zip(["curve", *PLATFORM], key, strict=True)), **own, **crossover})
    return pd.DataFrame(found)


def _crossover(part: pd.DataFrame) -> dict[str, Any]:
    names = ("crossover_batch_size", "crossover_low", "crossover_high", "censored")
    if len(part) < 3:
        return dict(zip(names, (float("nan"),) * 3 + ("",), strict=True))
    curve = fit_curve(part["batch_size"].to_numpy(float), part["latency_s"].to_numpy(float))
    return {name: getattr(curve, name) for name in names}


def errors(predicted: Iterable[float], measured: Iterable[float]) -> dict[str, float]:
    """Error figures of predictions against measurements, both in seconds.

    ``n``, ``median`` and ``mape`` (of the absolute relative error), ``within_10`` (share within 10 %), ``bias`` (mean
    signed relative error), ``spearman`` (nan below three rows, or where all are the same).
    """
    got, truth = np.asarray(list(predicted), float), np.asarray(list(measured), float)
    relative = got / truth - 1
    ranked = len(truth) > 2 and np.ptp(got) > 0 and np.ptp(truth) > 0
    return {
        "n": float(len(truth)),
        "median": float(np.median(np.abs(relative))),
        "mape": float(np.mean(np.abs(relative))),
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
