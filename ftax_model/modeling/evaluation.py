"""How good predictions are: held-out models, error figures, and the repeatability floor that they stand beside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.model_selection import LeaveOneGroupOut

from ftax_model import dataset
from ftax_model.errors import DataError
from ftax_model.modeling.predictor import COLUMNS, PLATFORM, LatencyPredictor, conformal, design, law
from ftax_model.modeling.regime import fit_curve

CELL = ("curve", "batch_size", *PLATFORM)
"""Columns that rows share when fresh processes measured the same thing."""


def hold_out(table: pd.DataFrame, *, by: str = "model", confidence: float = 0.9) -> pd.DataFrame:
    """Every measured row predicted by a fit that saw no row of its ``by`` (a column: model, architecture, family).

    Returns the measured rows with ``predicted_s``; its interval ``low_s`` to ``high_s``, from the errors on the other
    groups, each left out in turn; ``regime``; ``predicted_crossover``; and ``error`` (predicted over measured, less 1).
    Rows of a platform that no other group measured are left out. Raises `DataError` where there are fewer than two
    groups.
    """
    rows = dataset.good(table)
    if rows[by].nunique() < 2:
        raise DataError(f"holding out needs two of {by}", f"{rows[by].nunique()}", f"measure another {by}")
    parts = [part for _, part in rows.groupby(list(PLATFORM)) if part[by].nunique() > 1]
    found = rows.join(pd.concat([_leave_each_out(part, by, confidence) for part in parts]), how="inner")
    return found.assign(error=found["predicted_s"] / found["latency_s"] - 1).reset_index(drop=True)


def _leave_each_out(rows: pd.DataFrame, by: str, confidence: float) -> pd.DataFrame:
    X, y, groups = design(rows), rows["latency_s"].to_numpy(float), rows[by].to_numpy()
    parts = []
    for train, test in LeaveOneGroupOut().split(X, y, groups):
        fitted, unseen = law().fit(X.iloc[train], y[train]), X.iloc[test]
        columns = {
            "predicted_s": fitted.predict(unseen),
            "regime": fitted.regime(unseen),
            "predicted_crossover": fitted.crossover_batch_size(unseen),
        }
        parts.append(pd.DataFrame(columns, index=unseen.index))
    found = pd.concat(parts).loc[rows.index]
    predicted = found["predicted_s"].to_numpy()
    others = {group: groups != group for group in set(groups)}
    spread = {group: conformal(predicted[rest], y[rest], confidence) for group, rest in others.items()}
    factor = np.exp([spread[group] for group in groups])
    return found.assign(low_s=predicted / factor, high_s=predicted * factor)


def summary(left_out: pd.DataFrame, *, by: Iterable[str] = ("framework", "regime")) -> pd.DataFrame:
    """The error figures of `errors` for each value of the columns ``by``, the repeatability floor beside them.

    ``left_out`` is what `hold_out` returned; ``covered`` is the share of rows inside their interval.
    """
    by = list(by)
    found = [
        {
            **dict(zip(by, key, strict=True)),
            **errors(part["predicted_s"], part["latency_s"]),
            "covered": float(part["latency_s"].between(part["low_s"], part["high_s"]).mean()),
            "floor": floor(part),
        }
        for key, part in left_out.groupby(by)
    ]
    return pd.DataFrame(found)


def sweeps(table: pd.DataFrame, predictor: LatencyPredictor) -> pd.DataFrame:
    """One row for each measured sweep of batch sizes: its latency, regime and crossover.

    Columns: ``curve``, the platform, ``batch_size`` (the smallest measured) with its ``latency_s`` (median over
    repeats); ``crossover_batch_size``, ``crossover_low``, ``crossover_high`` and ``censored`` from the sweep itself
    (`ftax_model.modeling.regime.fit_curve`; nan below three batch sizes); ``regime`` at the smallest batch. Below its
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
        own["regime"] = _regime(first, crossover["crossover_batch_size"])
        found.append({**dict(zip(["curve", *PLATFORM], key, strict=True)), **own, **crossover})
    return pd.DataFrame(found)


def _regime(first: pd.Series[Any], crossover: float) -> str:
    """The regime of a sweep's first row: flat or growing by the sweep itself, the rest by the law."""
    if math.isnan(crossover):
        return str(first["regime"])
    if first["batch_size"] < crossover:
        return "framework-bound" if first["host_s"] >= first["constant_s"] else "memory-bound"
    return "compute-bound" if first["regime"] == "framework-bound" else str(first["regime"])


def _crossover(part: pd.DataFrame) -> dict[str, Any]:
    names = ("crossover_batch_size", "crossover_low", "crossover_high", "censored")
    if len(part) < 3:
        return dict(zip(names, (float("nan"),) * 3 + ("",), strict=True))
    curve = fit_curve(part["batch_size"].to_numpy(float), part["latency_s"].to_numpy(float))
    return {name: getattr(curve, name) for name in names}


def errors(predicted: Iterable[float], measured: Iterable[float]) -> dict[str, float]:
    """Error figures of predictions against measurements, both in seconds.

    ``n``, ``median`` and ``mape`` (of the absolute relative error), ``within_10`` (share within 10 %), ``bias`` (mean
    signed relative error), ``spearman`` (nan below three rows).
    """
    got, truth = np.asarray(list(predicted), float), np.asarray(list(measured), float)
    relative = got / truth - 1
    return {
        "n": float(len(truth)),
        "median": float(np.median(np.abs(relative))),
        "mape": float(np.mean(np.abs(relative))),
        "within_10": float(np.mean(np.abs(relative) <= 0.1)),
        "bias": float(np.mean(relative)),
        "spearman": float(spearmanr(got, truth).statistic) if len(truth) > 2 else float("nan"),
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
