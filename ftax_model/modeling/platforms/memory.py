"""KnownMemory: what measured processes say of the peak memory that a framework needs on a kind of device.

What a framework holds does not depend on how fast the machine is, so that the rows of all machines are one. On a CPU it
is the resident memory of the whole process, from the module in torch to its last call, exporting and compiling
included; on a GPU what torch had allocated there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model import dataset, values
from ftax_model.modeling.estimators.memory import BEFORE, COLUMNS, MemoryModel
from ftax_model.modeling.judging.intervals import FEWEST, OUTSIDE, Errors
from ftax_model.modeling.limits import AMOUNT, COUNT
from ftax_model.modeling.platforms.known import Key, keys
from ftax_model.modeling.platforms.platform import FAMILY, FAR
from ftax_model.modeling.rows import PLATFORM, folds
from ftax_model.values import reading

MEASURED = "peak_memory_bytes"
"""Column with what was measured."""

FEWEST_ROWS = 4
"""Rows from which a framework is learnt."""

LEAST_SPREAD = 0.2
"""Standard deviation of log ratios, at least, where too few rows were left out to tell."""

FLOOR, MODEL = "floor", "model"
"""Kinds of rows: what takes most of their memory."""

FRESH, USED = "fresh", "used"
"""Processes whose first call it is, and those that other batch sizes of the sweep were measured in before."""


@dataclass(frozen=True)
class KnownMemory:
    """What is known of the peak memory of one framework on one kind of device.

    ``errors`` are log ratios of measured over predicted of families left out. ``largest`` holds the most of each column
    (`COLUMNS`) that was measured, ``n_rows`` how many rows were.
    """

    framework: str
    kind: str
    model: MemoryModel
    errors: Errors
    largest: Mapping[str, float]
    n_rows: int

    @property
    def key(self) -> Key:
        """The framework and the kind of device."""
        return self.framework, self.kind

    def estimate(self, rows: pd.DataFrame, *, confidence: float) -> pd.DataFrame:
        """For each row ``memory_bytes`` with its interval, ``memory_low_bytes`` to ``memory_high_bytes``, and ``why``.

        The latter says why to trust it less, empty where there is no reason. Rows whose trace does not tell what is
        needed have nan.
        """
        found = pd.DataFrame(np.nan, index=rows.index, columns=list(ESTIMATED))
        found["why"] = "of unknown peak memory (the trace does not tell what it holds)"
        told = rows[rows[list(COLUMNS)].notna().all(axis=1)]
        if told.empty:
            return found
        kind = _kinds(self.model, told, self.largest)
        low, high = self.errors.interval(confidence, kind)
        middle = self.model.predict(told)
        ends = middle * np.exp(np.minimum(low, 0.0)), middle * np.exp(np.maximum(high, 0.0))
        found.loc[told.index, list(ESTIMATED)] = np.column_stack([middle, *ends])
        found.loc[told.index, "why"] = np.where(kind == OUTSIDE, "far outside the data in memory", "")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` is the way back."""
        return {
            "framework": self.framework,
            "kind": self.kind,
            "costs": self.model.to_dict(),
            "errors": self.errors.to_dict(),
            "largest": dict(self.largest),
            "n_rows": self.n_rows,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> KnownMemory:
        """What `to_dict` wrote; raises `DataError` for anything else."""
        with reading("peak memory"):
            return cls(
                framework=values.text(record["framework"], "the framework"),
                kind=values.text(record["kind"], "the kind of device"),
                model=MemoryModel.from_dict(record["costs"]),
                errors=Errors.from_dict(record["errors"]),
                largest={
                    name: values.number(record["largest"][name], f"the largest {name}", AMOUNT) for name in COLUMNS
                },
                n_rows=values.whole(record["n_rows"], "the number of rows", COUNT),
            )


ESTIMATED = ("memory_bytes", "memory_low_bytes", "memory_high_bytes")
"""Columns of a prediction."""


def unknown(framework: str, kind: str, rows: pd.DataFrame) -> pd.DataFrame:
    """As `KnownMemory.estimate` where a framework was not measured: nothing but that weights are held at least once."""
    found = pd.DataFrame(np.nan, index=rows.index, columns=list(ESTIMATED))
    device = {"cuda": "GPUs", "cpu": "CPUs"}.get(kind, kind)
    why = f"of unknown peak memory (that of {framework} on {device} was not measured: weights alone are the least)"
    return found.assign(memory_low_bytes=rows["model_bytes"], why=why)


def useful(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that tell of memory, with `BEFORE`; ``table`` holds the columns of operators.

    Rows of a sweep lie in the order in which one process took them; where a batch size comes again, another began.
    """
    if not {MEASURED, *COLUMNS, "status", "curve", "batch_size"} <= set(table.columns):
        return table[:0].assign(**{BEFORE: 0})
    rows = dataset.good(table)
    of_sweep = [name for name in ("curve", *PLATFORM, "repeat") if name in rows]
    taken: dict[Any, list[Any]] = {}
    before = []
    for key, size in zip(rows[of_sweep].itertuples(index=False, name=None), rows["batch_size"], strict=True):
        sizes = taken.setdefault(key, [])
        if size in sizes:
            sizes.clear()
        before.append(len(sizes))
        sizes.append(size)
    rows = rows.assign(**{BEFORE: before})
    return rows[rows[[MEASURED, *COLUMNS]].notna().all(axis=1) & (rows[MEASURED] > 0)]


def learn(table: pd.DataFrame) -> dict[Key, KnownMemory]:
    """What the rows of a dataset's frame say, which hold the columns of operators; empty where none does."""
    rows, found = useful(table), {}
    for key, part in rows.groupby(keys(rows)) if len(rows) else []:
        if len(part) >= FEWEST_ROWS:
            framework, kind = str(key).rsplit("/", 1)
            largest = {name: float(part[name].max()) for name in COLUMNS}
            model = MemoryModel().fit(part, part[MEASURED])
            errors = _errors(_left_out(part))
            found[framework, kind] = KnownMemory(framework, kind, model, errors, largest, len(part))
    return found


def left_out(table: pd.DataFrame, *, confidence: float = 0.9) -> pd.DataFrame:
    """Each row that tells of memory, predicted by models that saw nothing of its family.

    Columns beside its own: ``predicted_bytes`` with its interval ``memory_low_bytes`` to ``memory_high_bytes``, from
    errors on all other families; ``process``, `FRESH` or `USED`; and ``mostly``, what takes most of it (`FLOOR`,
    `MODEL`), or `OUTSIDE` of what the models had seen.
    """
    rows, found = useful(table), []
    for _, part in rows.groupby(keys(rows)) if len(rows) else []:
        if FAMILY not in part or part[FAMILY].nunique() < 2 or len(part) < FEWEST_ROWS:
            continue
        missed = _left_out(part)
        for _, own in missed.groupby(FAMILY):
            others = missed.drop(own.index)
            ends = _errors(others).interval(confidence, own["kind"])
            low, high = (own["predicted_bytes"] * np.exp(end) for end in ends)
            found.append(own.assign(memory_low_bytes=low, memory_high_bytes=high))
    if not found:
        return rows[:0]
    table = pd.concat(found).sort_index()
    return table.assign(process=np.where(table[BEFORE] == 0, FRESH, USED), mostly=table["kind"])


def _left_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one framework with ``predicted_bytes``, ``ratio`` (log of measured over it) and ``kind``."""
    predicted, kind = np.zeros(len(rows)), np.full(len(rows), MODEL, dtype=object)
    for train, test in folds(rows[_group(rows)]):
        seen, unseen = rows.iloc[train], rows.iloc[test]
        model = MemoryModel().fit(seen, seen[MEASURED])
        predicted[test] = model.predict(unseen)
        kind[test] = _kinds(model, unseen, {name: float(seen[name].max()) for name in COLUMNS})
    ratio = np.log(rows[MEASURED].to_numpy(float) / predicted)
    return rows.assign(predicted_bytes=predicted, ratio=ratio, kind=kind)


def _errors(missed: pd.DataFrame) -> Errors:
    """Errors of rows left out; of few rows a normal distribution as wide as they are, or as `LEAST_SPREAD`."""
    ratio = missed["ratio"].to_numpy(float)
    if len(ratio) < FEWEST:
        return Errors.normal().times(max(math.sqrt(float(np.mean(ratio**2))), LEAST_SPREAD))
    return Errors.of(ratio, missed["kind"])


def _kinds(model: MemoryModel, rows: pd.DataFrame, largest: Mapping[str, float]) -> NDArray[np.str_]:
    """The kind of each row: `FLOOR` or `MODEL`, by what takes more, or `OUTSIDE` of what was measured."""
    own = np.where(model.predict(rows) > 2 * model.costs_["floor"], MODEL, FLOOR)
    far = np.any([rows[name].to_numpy(float) > FAR * largest[name] for name in COLUMNS], axis=0)
    return np.asarray(np.where(far, OUTSIDE, own))


def _group(rows: pd.DataFrame) -> str:
    return FAMILY if FAMILY in rows and rows[FAMILY].nunique() > 1 else "curve"
