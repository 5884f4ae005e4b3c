"""Decision: which framework is best at which batch size, and what fits under a latency that must be kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import outside
from ftax_model.advice.place import Place
from ftax_model.collection import frameworks
from ftax_model.collection.builders import builder
from ftax_model.dataset import by_name
from ftax_model.errors import InputError
from ftax_model.modeling.judging.ratios import ratio
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing.sources import Source

TYPICAL = (1, 8, 64)
"""Batch sizes that are looked at where none are asked for, as far as the model can be traced at them."""

BEST, TIE = "best", "tie"
"""How a framework stands at a batch size: it is the fastest, or its interval does not tell it from the fastest."""

LARGEST = 4096
"""Batch size up to which the largest within a latency is looked for."""

_STEP = 16  # batch sizes that are looked at in one turn between two that bracket the answer


@dataclass(frozen=True)
class Decision:
    """One model at one place.

    ``table`` holds the rows of `LatencyPredictor.predict`, one for each framework and batch size, with ``throughput``
    (inputs a second) and ``standing``: `BEST`, `TIE` or empty.
    """

    model: str
    dtype: str
    place: Place
    table: pd.DataFrame

    def best(self) -> dict[str, Any]:
        """The row of the fastest framework at the smallest batch size."""
        rows = self.table[self.table["standing"] == BEST].sort_values("batch_size")
        return by_name(rows)[0]


def decide(
    predictor: LatencyPredictor,
    source: Source,
    place: Place,
    *,
    batch_sizes: Iterable[int] | None = None,
    framework: str | None = None,
    strict: bool = False,
    memory: bool = False,
) -> Decision:
    """What each framework takes at each batch size, `TYPICAL` ones where none are asked for, and which is best.

    With ``memory``, peak memory too.
    Raises what `LatencyPredictor.predict` raises.
    """
    sizes = typical(source) if batch_sizes is None else [*batch_sizes]
    asked = {"framework": framework, "strict": strict, "memory": memory, **place.asked}
    found = able(source, predictor.predict(source, batch_sizes=sizes, **asked))
    return Decision(source.label, source.dtype, place, judged(found))


def able(source: Source, predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions without those of frameworks that do not take such a model: of an ONNX file those of eager mode."""
    curve = source.workload() if source.workload else None
    if curve is None or not outside.is_one(curve):
        return predictions
    form, known = builder(curve).form, frameworks.names()
    names = predictions["framework"].unique()
    takes = {name: name not in known or form in frameworks.takes(name) for name in names}
    kept = predictions[predictions["framework"].map(takes)]
    return kept.reset_index(drop=True) if len(kept) else predictions


def fastest(predictor: LatencyPredictor, source: Source, place: Place, batch_size: int) -> str:
    """The framework that is predicted to be the fastest at a batch size."""
    return str(decide(predictor, source, place, batch_sizes=[batch_size]).best()["framework"])


def typical(source: Source, more: Iterable[int] = TYPICAL) -> list[int]:
    """The batch size that a model came with, and of some others those that it can be traced at."""
    return sorted(source.traced([source.batch_size], more))


def judged(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with ``throughput`` and ``standing`` of each among those of its curve and batch size.

    Two frameworks tie where the interval of their ratio (`ftax_model.modeling.judging.ratios`) holds 1.
    """
    rows = predictions.assign(throughput=predictions["batch_size"] / predictions["latency_s"], standing="")
    for _, part in rows.groupby(["curve", "batch_size"], sort=False):
        told = dict(zip(part.index, by_name(part), strict=True))
        best = min(told, key=lambda at: float(told[at]["latency_s"]))
        for at, row in told.items():
            rows.at[at, "standing"] = BEST if at == best else "" if ratio(row, told[best]).told else TIE
    return rows


def within(
    predictor: LatencyPredictor,
    source: Source,
    place: Place,
    *,
    slo_s: float,
    confidence: float = 0.9,
    batch_sizes: Sequence[int] | None = None,
    framework: str | None = None,
) -> pd.DataFrame:
    """For each framework the largest batch size, and the highest throughput, that keep a latency with this confidence.

    A batch size keeps it where a share ``confidence`` of latencies of such models stays at ``slo_s`` or below. Sizes
    are those asked for, or up to `LARGEST` all that the model can be traced at. One row a framework: ``inside``,
    whether any size keeps it; ``batch_size``, the largest that does, or the smallest of all where none does, its
    ``latency_s`` and ``quantile_s``, what such a share stays below; ``throughput`` (inputs a second) and
    ``throughput_batch_size``, the highest among all that keep it, nan and 0 where none does; ``notes``. Raises
    `InputError` for a latency or confidence that makes no sense.
    """
    if not slo_s > 0:
        raise InputError("a latency to keep is above 0 seconds", repr(slo_s), "give for example 10ms")
    if not 0.5 <= confidence < 1:
        raise InputError("a confidence lies from 0.5 to below 1", repr(confidence), "choose for example 0.95")

    def at(sizes: Sequence[int]) -> pd.DataFrame:
        asked = {"framework": framework, "quantile": confidence, "crossovers": False, **place.asked}
        return able(source, predictor.predict(source, batch_sizes=sizes, **asked))

    free = batch_sizes is None
    doubled = [2**power for power in range(LARGEST.bit_length())]
    seen = at(typical(source, doubled) if batch_sizes is None else batch_sizes)
    while free and (more := _between(seen, slo_s, source)):
        seen = pd.concat([seen, at(more)], ignore_index=True)
    rows = [_kept(part.sort_values("batch_size"), slo_s) for _, part in seen.groupby("framework", sort=False)]
    return pd.DataFrame(rows)


def _between(seen: pd.DataFrame, slo_s: float, source: Source) -> list[int]:
    """Batch sizes to look at next: of each framework between the largest that keeps a latency and the next."""
    wanted: set[int] = set()
    for _, part in seen.groupby("framework"):
        sizes = part["batch_size"].to_numpy(int)
        low = int(sizes[part["quantile_s"].to_numpy() <= slo_s].max(initial=0))
        above = int(sizes[sizes > low].min(initial=LARGEST + 1))
        if low and above <= LARGEST and above - low > 1:
            steps = np.linspace(low, above, min(above - low, _STEP) + 1).round().astype(int)[1:-1]
            wanted |= set(steps.tolist())
    possible = source.traced([source.batch_size], wanted) if wanted else {}
    return sorted((wanted & possible.keys()) - set(seen["batch_size"]))


def _kept(rows: pd.DataFrame, slo_s: float) -> dict[str, Any]:
    told = by_name(rows.assign(throughput=rows["batch_size"] / rows["latency_s"]))
    inside = [row for row in told if row["quantile_s"] <= slo_s]
    own = inside[-1] if inside else told[0]
    fastest = max(inside, key=lambda row: row["throughput"], default=None)
    return {
        **{name: own[name] for name in ("curve", "framework", "device", "dtype", "threads")},
        "inside": bool(inside),
        "batch_size": own["batch_size"],
        "latency_s": own["latency_s"],
        "quantile_s": own["quantile_s"],
        "throughput": fastest["throughput"] if fastest else math.nan,
        "throughput_batch_size": fastest["batch_size"] if fastest else 0,
        "notes": own["notes"],
    }
