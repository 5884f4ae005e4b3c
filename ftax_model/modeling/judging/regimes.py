"""Regimes of what was measured: from the sweep of batch sizes where there is one, else from the law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.known import design, law
from ftax_model.modeling.platforms.platform import parts, regimes
from ftax_model.modeling.rows import PLATFORM

SWEEP = ("curve", *PLATFORM)
"""Columns that the rows of one sweep of batch sizes share."""

FEWEST_SIZES = 3
"""Batch sizes that make a sweep."""

UNKNOWN = "unknown"
"""The regime of a row that has no sweep and lacks what the law looks at."""

_FOUND = ("overlap", "crossover_batch_size", "crossover_low", "crossover_high", "censored")
_MANY = 100  # sweeps from which processes of their own are worth it


def sweeps(rows: pd.DataFrame) -> pd.DataFrame:
    """What each measured sweep of batch sizes says, from the medians of its cells (`fit_curve`); one row each.

    Columns: `SWEEP`, ``sizes`` (how many), ``overlap``, ``crossover_batch_size``, its interval ``crossover_low`` to
    ``crossover_high``, and ``censored``; nan and empty below three batch sizes.
    """
    cells = rows.groupby([*SWEEP, "batch_size"], as_index=False)["latency_s"].median()
    own = [(key, part["batch_size"].to_numpy(float), part["latency_s"]) for key, part in cells.groupby(list(SWEEP))]
    jobs = None if len(own) > _MANY else 1
    found = in_parallel((delayed(_sweep)(sizes, latency_s.to_numpy(float)) for _, sizes, latency_s in own), jobs=jobs)
    told = [{**dict(zip(SWEEP, key, strict=True)), **one} for (key, *_), one in zip(own, found, strict=True)]
    return pd.DataFrame(told, columns=[*SWEEP, "sizes", *_FOUND])


def _sweep(sizes: Any, latency_s: Any) -> dict[str, Any]:
    if len(sizes) < FEWEST_SIZES:
        return {"sizes": len(sizes), **dict.fromkeys(_FOUND, math.nan), "censored": ""}
    curve = fit_curve(sizes, latency_s)
    return {"sizes": len(sizes), **{name: getattr(curve, name) for name in _FOUND}}


def measured(rows: pd.DataFrame, estimate: pd.DataFrame, swept: pd.DataFrame) -> pd.Series[Any]:
    """The regime of each row: flat below the crossover of its sweep, else what grows with the batch; index as ``rows``.

    ``estimate`` is what a law or predictor says of the rows (``host_s``, ``constant_s`` and ``regime``): it tells
    whether the framework or the traffic of weights makes a floor, and all of rows without a sweep. ``swept`` is what
    `sweeps` found.
    """
    crossover = rows[list(SWEEP)].merge(swept, on=list(SWEEP), how="left")["crossover_batch_size"].to_numpy(float)
    told = regimes(estimate, rows["batch_size"].astype(float), crossover)
    found = np.where(np.isnan(crossover), estimate["regime"], told)
    return pd.Series(found, index=rows.index, dtype=object)


def by_law(rows: pd.DataFrame) -> pd.DataFrame:
    """What the law, fitted to the rows of each platform themselves, says of them, as `measured` wants it.

    Rows of a platform that has a single one are of `UNKNOWN` regime.
    """
    found = []
    for _, part in rows.groupby(list(PLATFORM)):
        if len(part) > 1:
            fitted = law(part).fit(design(part), part["latency_s"])
            found.append(parts(fitted, part)[["host_s", "constant_s", "regime"]])
        else:
            found.append(pd.DataFrame({"host_s": math.nan, "constant_s": math.nan, "regime": UNKNOWN}, part.index))
    return pd.concat(found).loc[rows.index]
