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
        if WITH_BATCH in held:
            ordered = rows.sort_values("batch_size").drop_duplicates("workload")
            falls = ordered.groupby("curve")[WITH_BATCH].diff() < 0
            if falls.any():
                saw = f"{WITH_BATCH} falls as the batch grows"
                first = ordered.loc[falls[falls].index[0]]
                yield self.wrong(saw, do, count=int(falls.sum()), of=len(ordered), example=str(first["key"]))


def _apart(values: pd.Series[float], groups: pd.Series[str]) -> pd.Series[float]:
    """The largest value of each row's group over its smallest; nan where that is 0."""
    grouped = values.groupby(groups)
    smallest = grouped.transform("min")
    return (grouped.transform("max") / smallest.where(smallest > 0)).astype(float)
