"""Whether the features of a workload are its own: the same on every platform, and in step along a batch sweep."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.operators import FEATURES

SAME = 1.001
"""Times that a feature of one workload may differ from record to record: they are counted, not measured."""

IN_STEP = {"macs": 1.6, "activations": 1.6, "params": SAME, "depth": 1.5, "n_ops": 1.5, "weight_bytes": 4.0}
"""Times that a feature, MACs and activations for each input, may differ along a sweep.

DeBERTa computes its relative positions once a batch: 1.32, 1.37 and, of operators, 1.19; embeddings look up other rows.
"""

FOR_EACH = ("macs", "activations")

STRAIGHT = 1e-3
"""Share by which they may lie off the line between the smallest and the largest batch size of a sweep.

Along all sweeps of the project's own datasets they lie on it to the last digit.
"""

WITH_BATCH = "activation_bytes"
"""What grows with the batch, though not in step."""


class Features(Check[Measured]):
    """Features of one workload, and of one sweep."""

    kind = Measured
    looks_at = "MACs and other features that differ between records of one workload, or run out of step with the batch"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Workloads first, then sweeps."""
        rows = seen.rows
        held = [name for name in FEATURES if name in rows and rows[name].notna().any()]
        do = (
            "features are counted, not measured: trace the models again (ftax import --trace), or see what changed them"
        )
        for name in held:
            values = rows[name].astype(float)
            ratio = _apart(values, rows["workload"])
            other = ratio[ratio > SAME]
            if len(other):
                saw = f"{name} of one workload is up to {other.max():.4g} times another record's"
                yield self.wrong(saw, do, count=len(other), of=len(rows), example=key_at(rows, other.idxmax()))
            if name in IN_STEP:
                ratio = _apart(values / rows["batch_size"] if name in FOR_EACH else values, rows["curve"])
                other = ratio[ratio > IN_STEP[name]]
                if len(other):
                    each = " for each input" if name in FOR_EACH else ""
                    saw = f"{name}{each} differs up to {other.max():.4g} times along one batch sweep"
                    yield self.wrong(saw, do, count=len(other), of=len(rows), example=key_at(rows, other.idxmax()))
        for name in (one for one in FOR_EACH if one in held):
            off = _off_the_line(rows, name)
            if len(off):
                saw = f"{name} lie up to {off.max():.1%} off a line along a batch sweep"
                what = "each input adds as many: trace the models again (ftax import --trace)"
                yield self.odd(saw, what, count=len(off), of=len(rows), example=key_at(rows, off.idxmax()))
        if WITH_BATCH in held:
            ordered = rows.sort_values("batch_size").drop_duplicates("workload")
            falls = ordered.groupby("curve")[WITH_BATCH].diff() < 0
            if falls.any():
                saw = f"{WITH_BATCH} falls as the batch grows"
                first = ordered.loc[falls[falls].index[0]]
                yield self.wrong(saw, do, count=int(falls.sum()), of=len(ordered), example=str(first["key"]))


def _off_the_line(rows: pd.DataFrame, name: str) -> pd.Series[float]:
    """How far rows lie off the line between the ends of their sweep, relative to its largest: beyond `STRAIGHT`."""
    own = rows.loc[rows[name].notna(), ["curve", "batch_size", name]].astype({"batch_size": float, name: float})
    ordered = own.sort_values("batch_size", kind="stable").groupby("curve")
    first, last = (own[["curve"]].join(ends, on="curve") for ends in (ordered.first(), ordered.last()))
    steps = (last["batch_size"] - first["batch_size"]).where(lambda one: one > 0)
    line = first[name] + (last[name] - first[name]) * (own["batch_size"] - first["batch_size"]) / steps
    off = ((own[name] - line).abs() / own.groupby("curve")[name].transform("max").clip(lower=1.0)).dropna()
    return off[off > STRAIGHT]


def _apart(values: pd.Series[float], groups: pd.Series[str]) -> pd.Series[float]:
    """The largest value of each row's group over its smallest; nan where that is 0."""
    grouped = values.groupby(groups)
    smallest = grouped.transform("min")
    return (grouped.transform("max") / smallest.where(smallest > 0)).astype(float)
