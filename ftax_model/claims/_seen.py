"""Seen: what a dataset, or the paper, holds for claims to be judged by; cells, noise, regimes and crossovers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from ftax_model import architectures, dataset
from ftax_model.claims import _paper
from ftax_model.errors import FtaxError
from ftax_model.modeling.estimators.crossover import FEWEST_SIZES
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.judging import evaluation
from ftax_model.modeling.parallel import in_parallel

APART = 2.44
"""Times the floor within which 90 % of differences of two looks at one cell lie: of normal errors 1.645 / 0.6745."""

ASSUMED_FLOOR = 0.05
"""The floor that is assumed where nothing was measured twice; it is then said so."""

ENOUGH_REPEATED = 5
"""Cells measured twice from which a framework has a floor of its own."""

PLATFORM = ("setup", "framework", "device", "dtype", "threads")
CURVE = ("model", "input_size", "lengths", *PLATFORM)
"""Columns that a batch sweep shares. ``setup`` is the figure or table of the paper, empty of what was measured here."""

FEW = 40
"""Sweeps up to which they are fitted in one process."""

THEIRS = ("eager", "torchscript", "onnxruntime")
"""The frameworks of the paper's main figures."""

OF_MODEL = ("architecture", "family", "published", "hyperparameters")


@dataclass(frozen=True, eq=False)
class Seen:
    """One dataset, or several ones joined (``parts``).

    ``rows`` holds one row a cell, good ones alone: `CURVE`, ``batch_size``, `OF_MODEL`, ``latency_s`` (median over
    repeats), ``host_s``, ``device_s`` (seconds), ``busy`` (share of the device that works), ``macs``, ``depth``,
    ``n_ops``. ``published`` is the published size that a model has, whatever its vocabulary. ``floors`` are the
    repeatability floors by framework, ``floor`` that of all; ``assumed`` whether it was measured.
    """

    name: str
    rows: pd.DataFrame
    floors: Mapping[str, float] = field(default_factory=dict)
    floor: float = ASSUMED_FLOOR
    assumed: bool = True
    parts: tuple[Seen, ...] = ()

    def apart(self, one: str, other: str) -> float:
        """How far two latencies lie apart by noise alone, in log space (90 %), by their frameworks."""
        pair = [self.floors.get(name, self.floor) for name in (one, other)]
        return APART * math.sqrt(sum(floor**2 for floor in pair) / 2)

    @cached_property
    def crossovers(self) -> pd.DataFrame:
        """One row for each sweep of four batch sizes or more that begins at 1, in the frameworks of the paper.

        `CURVE`, `OF_MODEL`, ``crossover`` (batch size), ``low`` and ``high`` (its 90 % interval), ``slope_s`` (seconds
        that a further example takes).
        """
        if self.parts:
            return pd.concat([part.crossovers for part in self.parts], ignore_index=True)
        sweeps = [
            rows
            for _, rows in self.rows[self.rows["framework"].isin(THEIRS)].groupby(list(CURVE), dropna=False)
            if rows["batch_size"].nunique() >= FEWEST_SIZES and rows["batch_size"].min() == 1
        ]
        points = [rows[["batch_size", "latency_s"]].to_numpy(float) for rows in sweeps]
        jobs = None if len(points) > FEW else 1  # processes take seconds to start
        curves = in_parallel((delayed(fit_curve)(own[:, 0], own[:, 1]) for own in points), jobs=jobs)
        found = [
            {
                **rows.iloc[0][[*CURVE, *OF_MODEL]].to_dict(),
                "crossover": curve.crossover_batch_size,
                "low": curve.crossover_low,
                "high": curve.crossover_high,
                "slope_s": curve.slope_s,
            }
            for rows, curve in zip(sweeps, curves, strict=True)
        ]
        return pd.DataFrame(found, columns=[*CURVE, *OF_MODEL, "crossover", "low", "high", "slope_s"])

    @cached_property
    def regimes(self) -> pd.Series[str]:
        """The regime of each row: by the clocks of host and device, else by the crossover of its sweep.

        ``framework-bound``, ``compute-bound`` (or memory-bound), or empty where neither tells.
        """
        keys, rows = list(CURVE), self.rows
        swept = rows[[*keys, "batch_size"]].merge(self.crossovers[[*keys, "low", "high"]], on=keys, how="left")
        size, low, high = (swept[name].to_numpy(float) for name in ("batch_size", "low", "high"))
        host, device = (rows[name].to_numpy(float) for name in ("host_s", "device_s"))
        found = np.select(
            [host > device, host <= device, size < low, size > high],
            ["framework-bound", "compute-bound", "framework-bound", "compute-bound"],
            default="",
        )
        return pd.Series(found, index=rows.index, dtype=str)


def of_table(table: pd.DataFrame, name: str) -> Seen:
    """What the frame of a dataset holds; raises `DataError` where nothing in it was measured."""
    rows = dataset.good(table, what=name)
    if "setup" not in rows:
        rows = rows.assign(setup="", busy=rows["device_s"].astype(float) / rows["latency_s"])
    rows = rows.assign(published=_published(rows))
    keys = [*CURVE, "batch_size"]
    numbers = ["latency_s", "host_s", "device_s", "busy", "macs", "depth", "n_ops"]
    rows = rows.astype(dict.fromkeys([*numbers, "input_size"], float))
    repeated = rows[rows.duplicated(keys, keep=False)]
    floor, floors = ASSUMED_FLOOR, {}
    if len(repeated):
        floor = evaluation.floor(repeated)
        counts = repeated.drop_duplicates(keys)["framework"].value_counts()
        own = evaluation.floor(repeated, by=["framework"])
        floors = {str(key): float(own[key]) for key in counts.index if counts[key] >= ENOUGH_REPEATED}
    grouped = rows.groupby(keys, dropna=False, sort=True)
    cells = grouped[numbers].median().join(grouped[list(OF_MODEL)].first()).reset_index()
    return Seen(name, cells, floors, floor, assumed=not len(repeated))


def load(name: str) -> Seen:
    """What the dataset of that name or path holds, or the transcribed paper (`ftax_model.claims._paper.NAME`).

    Raises as `ftax_model.dataset.load_dataset` does.
    """
    if name == _paper.NAME:
        return of_table(_paper.frame(), name)
    return of_table(dataset.load_dataset(name), Path(name).name.partition(".")[0])


def joined(seen: Iterable[Seen]) -> Seen:
    """Several datasets as one, for claims that compare devices."""
    parts = tuple(seen)
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    floor = max(part.floor for part in parts)
    return Seen(", ".join(part.name for part in parts), rows, floor=floor, assumed=False, parts=parts)


def _published(rows: pd.DataFrame) -> list[str]:
    known: dict[tuple[str, str], str] = {}
    found = []
    for architecture, text in zip(rows["architecture"], rows["hyperparameters"], strict=True):
        key = (architecture, text)
        if key not in known:
            known[key] = _preset(architecture, json.loads(text))
        found.append(known[key])
    return found


def _preset(architecture: str, settings: Mapping[str, Any]) -> str:
    """The published size of these hyperparameters, whatever the vocabulary; empty where there is none."""
    try:
        own = architectures.load(architecture)
    except FtaxError:
        return ""
    for name, changed in own.presets.items():
        full = {**own.defaults, **changed}
        if all(_plain(settings.get(key)) == _plain(full[key]) for key in full if key != "vocab_size"):
            return name
    return ""


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
