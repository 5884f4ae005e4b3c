"""Machines held out: each in turn is new, the others are known, and so many rows of it were measured.

What a calibration gives is judged on whole models that are not among the rows measured, beside the law fitted to the
same rows and three factors (host, computing, memory) on the known costs; with no rows at all specifications must do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.crossover import compare, figures
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.transfer import Transfer
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.fitting import drawn
from ftax_model.modeling.platforms.known import Key, Known, design, kind_of, law, platform_of
from ftax_model.modeling.platforms.platform import BLOCK
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.modeling.rows import PLATFORM

MACHINE = "machine"
"""Name of the split that holds out machines."""

COUNTS = (0, 5, 10, 20, 40)
"""Rows of each platform that are measured on the new machine."""

PLAN = -1
"""Stands for the rows of a plan, however many there are."""

DRAWS = 3
"""How often rows are drawn at random."""

STRENGTH = 4.0
"""Rows that the proportions of three factors are worth."""


def judge(
    rows: pd.DataFrame,
    *,
    plan: Collection[str] = (),
    counts: Iterable[int] = COUNTS,
    draws: int = DRAWS,
    confidence: float = 0.9,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Rows of each machine, predicted as on a new one, for each count and draw; rows hold the columns of operators.

    ``plan`` are keys of workloads; the rows of those are another set to calibrate with (count `PLAN`). Columns beside
    those of the rows: ``known`` (machines), ``rows`` (the count), ``seen`` (rows measured on the platform), ``draw``,
    ``predicted_s``, ``low_s``, ``high_s``, ``regime``, ``outside``, ``error``, ``by law`` and ``by three factors``,
    seconds, ``crossover_octaves``, absolute log2 of predicted over measured at the first row of each sweep whose
    crossover was measured inside, in the first draw of no rows, most rows and plan. Raises `DataError` where there are
    not two machines.
    """
    machines = sorted(rows["device"].unique())
    if len(machines) < 2:
        raise DataError("holding out a machine needs two", ", ".join(machines), "name datasets of two machines or more")
    found = []
    for machine in machines:
        others = rows[rows["device"] != machine].reset_index(drop=True)
        known = LatencyPredictor(confidence=confidence, jobs=jobs)
        known.of_learnt(known.learn(others, families=False, most=_TURNS))
        own = rows[rows["device"] == machine].reset_index(drop=True)
        tasks = [(count, draw) for count in counts for draw in range(draws if count else 1)]
        tasks += [(PLAN, 0)] if plan else []
        found += in_parallel((delayed(_calibrated)(known, own, count, draw, plan) for count, draw in tasks), jobs=jobs)
    judged: pd.DataFrame = pd.concat([one for one in found if len(one)], ignore_index=True)
    return judged


def _calibrated(
    known: LatencyPredictor, rows: pd.DataFrame, count: int, draw: int, plan: Collection[str]
) -> pd.DataFrame:
    chosen = _of_plan(rows, plan) if count == PLAN else drawn(rows, count, seed=draw)
    seen = rows[chosen]
    whole = rows["family"] != BLOCK
    whole = whole if whole.any() else ~whole
    rest = rows[~chosen & whole & ~rows["model"].isin(seen["model"].unique())]
    predictor = LatencyPredictor(confidence=known.confidence, jobs=1).fit(seen, known=known) if len(seen) else known
    crossovers = draw == 0 and count in (0, PLAN, max(COUNTS))  # each sweep takes a second
    machines = ", ".join(sorted({machine for one in known.known_.values() for machine in one.machines}))
    found = []
    for _, part in rest.groupby(list(PLATFORM)):
        of_platform = seen[(seen[list(PLATFORM)] == part[list(PLATFORM)].iloc[0]).all(axis=1)]
        try:
            said = predictor.predict_frame(part, crossovers=crossovers)
        except InputError:
            continue  # no device file says what the machine is
        own = part.assign(
            known=machines,
            rows=count,
            seen=len(of_platform),
            draw=draw,
            predicted_s=said["latency_s"],
            **{name: said[name] for name in ("low_s", "high_s", "regime")},
            **{name.replace("_s", "_part_s"): said[name] for name in ("host_s", "device_s", "constant_s")},
            outside=said["notes"].str.contains("far outside|never measured \\(", regex=True),
            error=said["latency_s"] / part["latency_s"] - 1,
        )
        own["by law"] = _by_law(of_platform, part)
        own["by three factors"] = factored(known.known_, of_platform, part)
        found.append(own.assign(crossover_octaves=_octaves(own, said) if crossovers else math.nan))
    return pd.concat(found) if found else rows[:0]


def _of_plan(rows: pd.DataFrame, plan: Collection[str]) -> pd.Series[bool]:
    return rows["key"].str.partition("/")[0].isin(set(plan))


def _octaves(rows: pd.DataFrame, said: pd.DataFrame) -> pd.Series[float]:
    """Absolute log2 of predicted over measured crossover, at one row of each sweep that has one inside."""
    found = pd.Series(math.nan, index=rows.index)
    sweeps = compare(rows.drop(columns="by law"))
    for sweep in sweeps.to_dict("records") if len(sweeps) else []:
        own = rows.index[rows["curve"] == sweep["curve"]]
        predicted = float(np.log2(max(float(said.loc[own[0], "crossover_batch_size"]), 1e-3)))
        one = pd.DataFrame([sweep])
        found[own[0]] = figures([predicted], one)["median"]
    return found


def _by_law(seen: pd.DataFrame, rest: pd.DataFrame) -> Array:
    if len(seen) < 2:
        return np.full(len(rest), math.nan)
    return law(seen).fit(design(seen), seen["latency_s"].to_numpy(float)).predict(design(rest))


def factored(known: Mapping[Key, Known], seen: pd.DataFrame, rest: pd.DataFrame) -> Array:
    """Seconds of rows by three factors on the mean costs of known machines, fitted to the rows seen; nan without."""
    platform = platform_of(rest)
    one = known.get((platform.framework, kind_of(platform.device)))
    if one is None or seen.empty:
        return np.full(len(rest), math.nan)
    model = one.model()
    model.structure_, model.trees_ = one.reference, one.trees
    fitted = Transfer(prior=np.ones(3), strength=STRENGTH).fit(_three_times(model.times(seen)), seen["latency_s"])
    return fitted.predict(_three_times(model.times(rest)))


def _three_times(times: pd.DataFrame) -> Array:
    """Seconds on the host, computing, and moving memory, shape (n_rows, 3)."""
    memory_s = times["memory_s"].to_numpy()
    return np.column_stack([times["host_s"], np.maximum(times["device_s"] - memory_s, 0.0), memory_s])


def tables(judged: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Errors on each new machine by count of rows, and at the most rows by regime, by title."""
    by = ["device", "known", "framework", "dtype", "threads", "rows"]
    most = judged["rows"].eq(PLAN) if judged["rows"].eq(PLAN).any() else judged["rows"].eq(judged["rows"].max())
    return {
        "machine never seen, after so many rows of each platform": summary(judged, by),
        "machine never seen, mean over machines": means(judged),
        "machine never seen, at the most rows, by regime": summary(judged[most], [*by[:-1], "regime"]),
    }


def means(judged: pd.DataFrame) -> pd.DataFrame:
    """Means over new machines of `summary`, by framework and count of rows, of float32 on one thread."""
    plain = judged[(judged["dtype"] == "float32") & (judged["threads"] == 1)]
    table = summary(plain, ["device", "framework", "rows"])
    found = table.drop(columns=["device", "seen"]).groupby(["framework", "rows"], sort=False).mean()
    found.insert(0, "machines", table.groupby(["framework", "rows"], sort=False).size())
    return found.reset_index()


def summary(judged: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Error figures of rows that `judge` predicted, for each value of the columns ``by``; ``covered`` and ``width`` are
    of the intervals, ``crossover`` the median octaves.
    """
    found = []
    for key, part in judged.groupby(by):
        ratio = np.abs(np.log(1 + part["error"]))
        others = {name: float((part[name] / part["latency_s"] - 1).abs().median()) for name in _OTHERS}
        own: dict[str, Any] = {
            **dict(zip(by, key, strict=True)),
            "seen": float(part["seen"].mean()),
            "n": float(len(part) / part["draw"].nunique()),
            "median": float(part["error"].abs().median()),
            "mape": float(part["error"].abs().mean()),
            "worst": float(np.exp(ratio.max())),
            "covered": float(part["latency_s"].between(part["low_s"], part["high_s"]).mean()),
            "width": float(((part["high_s"] - part["low_s"]) / (2 * part["predicted_s"])).median()),
            "crossover": float(part["crossover_octaves"].median()),
            **others,
        }
        found.append(own)
    return _named(pd.DataFrame(found))


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(rows=table["rows"].map(lambda n: "plan" if n == PLAN else str(n))) if "rows" in table else table


_OTHERS = ("by law", "by three factors")
_TURNS = 5  # in which models of the known machines are left out
