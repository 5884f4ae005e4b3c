"""Whether the features of registered architectures are those of their trace."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model import architectures
from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.errors import FtaxError
from ftax_model.operators import FEATURES
from ftax_model.tracing.trace import trace_workload

MOST_MODELS = 6
"""Models that are traced again, each at its smallest batch size."""

MOST_PARAMS = 3e7
"""Parameters of models that are cheap to trace."""

OFF = {"macs": 1.01, "params": 1.01, "activations": 1.05, "depth": 1.1, "n_ops": 1.25}
"""Times that a feature may differ from a trace of today: versions of libraries write some operators in other ways."""


class Traces(Check[Measured]):
    """A few of the models, traced again."""

    kind = Measured
    looks_at = "features that a new trace of the architecture does not have; of a few cheap models"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By feature, over all models that were traced."""
        chosen = _chosen(seen.rows)
        off: dict[str, list[tuple[float, str]]] = {}
        done = 0
        for at in chosen:
            try:
                new = trace_workload(seen.good[int(at)].cell.workload).features()
            except FtaxError:
                continue
            done += 1
            for name, most in OFF.items():
                old = float(seen.rows[name][at]) if name in FEATURES else float("nan")
                ratio = max(old, new[name]) / min(old, new[name]) if min(old, new[name]) > 0 else 1.0
                if ratio > most:
                    off.setdefault(name, []).append((old / new[name], key_at(seen.rows, at)))
        for name, ratios in off.items():
            ratio, key = max(ratios, key=lambda one: abs(one[0] - 1))
            saw = f"{name} is {ratio:.4g} times that of a new trace"
            do = "were FLOPs taken for MACs, or was another model measured than the record says? attach traces anew"
            do = do if name == "macs" else "was another model measured than the record says, or with other versions?"
            telling = self.wrong if name in ("macs", "params") else self.odd
            yield telling(saw, do, count=len(ratios), of=done, example=key)


def _chosen(rows: pd.DataFrame) -> list[int]:
    """Places of a few models, each of another architecture, the smallest of each; the commonest architectures."""
    if rows.empty or not {"macs", "params"} <= set(rows):
        return []
    cheap = rows[rows["architecture"].isin(architectures.names()) & (rows["params"].astype(float) < MOST_PARAMS)]
    cheap = cheap[cheap["macs"].notna()].sort_values(["params", "batch_size"], kind="stable")
    first = cheap.drop_duplicates("architecture")
    common = cheap["architecture"].value_counts()
    ordered = first.assign(common=first["architecture"].map(common)).sort_values("common", ascending=False)
    return [int(at) for at in ordered.index[:MOST_MODELS]]
