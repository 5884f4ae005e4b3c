"""Compare: two latencies beside each other at each batch size, whether they differ, and where the lines cross."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import dataset
from ftax_model.dataset import by_name
from ftax_model.errors import DataError
from ftax_model.modeling.judging.evaluation import floor
from ftax_model.modeling.judging.ratios import ratio
from ftax_model.modeling.platforms.platform import JOINT
from ftax_model.modeling.rows import WORKLOAD

FLOORS = 2.9
"""Times the floor beyond which two measurements of the same thing hardly ever lie apart.

Of normal errors 95 % of differences between two are smaller than 2.9 times their median.
"""

_CELL = (*WORKLOAD, "threads", "framework")
"""What two measurements share that are compared."""


def crossings(ratios: Mapping[int, float]) -> list[float]:
    """Batch sizes at which ratios by batch size pass 1, read off straight lines between logarithms, ascending.

    >>> [round(size, 1) for size in crossings({1: 0.5, 4: 2.0, 8: 4.0})]
    [2.0]
    """
    sizes = sorted(ratios)
    logs = {size: math.log(ratios[size]) for size in sizes}
    found = []
    for one, other in pairwise(sizes):
        if logs[one] * logs[other] < 0:
            share = logs[one] / (logs[one] - logs[other])
            found.append(math.exp(math.log(one) + share * math.log(other / one)))
    return found


def predicted(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Predictions of two things by batch size: seconds of each, ``ratio`` with its interval, and whether it is told.

    ``one`` and ``other`` are what `LatencyPredictor.predict` gives of one curve on one platform each.
    Columns: ``batch_size``, ``one_s``, ``other_s``, ``ratio`` (one over other), ``low``, ``high``,
    ``beyond`` (whether the interval excludes 1), ``notes``. Raises `DataError` where no batch size is in both.
    """
    rows = []
    for first in by_name(one):
        for second in by_name(other[other["batch_size"] == first["batch_size"]]):
            found = ratio(first, second)
            notes = JOINT.join(dict.fromkeys(filter(None, (first["notes"], second["notes"]))))
            rows.append(
                {
                    "batch_size": int(first["batch_size"]),
                    "one_s": float(first["latency_s"]),
                    "other_s": float(second["latency_s"]),
                    "ratio": found.value,
                    "low": found.low,
                    "high": found.high,
                    "beyond": found.told,
                    "notes": notes,
                }
            )
    if not rows:
        raise DataError("a comparison is of batch sizes that both have", "none", "name some: --batch-size 1,8,64")
    return pd.DataFrame(rows)


def measured(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Measurements of the same cells in two datasets, frames as `ftax_model.dataset.frame`.

    A cell is a workload and a thread count in a framework, whatever the device; repeats count by their median.
    Columns: ``curve``, ``framework``, ``threads``, ``batch_size``, ``one_s``, ``other_s``, ``ratio``, ``low`` and
    ``high`` (as far as two measurements of the same thing lie apart on these machines), and ``beyond``. Where nothing
    was repeated the ends are nan and ``beyond`` is missing. Raises `DataError` where no cell is in both.
    """
    pair = [dataset.good(table) for table in (one, other)]
    keys = list(_CELL)
    found = [rows.groupby(keys, dropna=False)["latency_s"].median() for rows in pair]
    both = pd.concat(found, axis=1, keys=["one_s", "other_s"], join="inner").reset_index()
    if both.empty:
        law = "two datasets are compared by the cells that both measured"
        raise DataError(law, "no cell in common", "measure the same plan on both: ftax collect")
    names = pair[0].drop_duplicates(keys).set_index(keys)["curve"]
    own = both.join(names, on=keys)
    own["ratio"] = own["one_s"] / own["other_s"]
    floors = pd.concat([_floors(rows) for rows in pair], axis=1, keys=["one", "other"])
    apart = np.sqrt((floors**2).mean(axis=1)).reindex(own["framework"]).to_numpy(float) * FLOORS
    own = own.assign(low=own["ratio"] * np.exp(-apart), high=own["ratio"] * np.exp(apart))
    own["beyond"] = pd.array(np.abs(np.log(own["ratio"])) > apart, dtype="boolean")
    own.loc[np.isnan(apart), "beyond"] = pd.NA
    columns = ["curve", "framework", "threads", "batch_size", "one_s", "other_s", "ratio", "low", "high", "beyond"]
    return own[columns].sort_values(columns[:4]).reset_index(drop=True)


def _floors(rows: pd.DataFrame) -> pd.Series[Any]:
    """The floor of each framework in a dataset, or that of all of them where it was not repeated itself."""
    own: pd.Series[Any] = floor(rows, by=["framework"])
    return own.reindex(rows["framework"].unique()).fillna(floor(rows))
