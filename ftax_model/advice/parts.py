"""Parts: where the predicted time of a call goes, by layer and by kind of operator, host and device apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftax_model.advice.place import Place
from ftax_model.dataset import by_name
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing.sources import Source

ITSELF = "(itself)"
"""The layer of operators that the model dispatches outside of its parts."""


@dataclass(frozen=True)
class Parts:
    """Where the time of one call goes.

    ``call`` is the row that `LatencyPredictor.predict` gives of it. ``layers`` and ``kinds`` hold ``name``, ``count``
    (layers of that name, or operators), ``host_s`` and ``device_s``, which sum to those of the call, ``latency_s``,
    which sums to its latency, and ``share`` of it; most first. Layers that differ by their numbers alone are one.
    """

    call: dict[str, Any]
    layers: pd.DataFrame
    kinds: pd.DataFrame


def parts(
    predictor: LatencyPredictor, source: Source, place: Place, *, framework: str, batch_size: int | None = None
) -> Parts:
    """Tell apart the time of one call; raises what `LatencyPredictor.attribute` raises."""
    size = source.batch_size if batch_size is None else batch_size
    asked: dict[str, Any] = {"framework": framework, **place.asked}
    (call,) = by_name(predictor.predict(source, batch_sizes=[size], crossovers=False, **asked))
    found = predictor.attribute(source, batch_size=size, **asked)
    named = found.assign(name=found["layer"].replace("", ITSELF))
    layers = _summed(named.assign(name=named["name"].map(_alike)), count="layer")
    kinds = _summed(found.assign(name=found["kind"]), count="")
    return Parts(call, layers, kinds)


def _alike(layer: str) -> str:
    """A layer's path without its numbers.

    >>> _alike("encoder.layer.11.attention.self")
    'encoder.layer.*.attention.self'
    """
    return re.sub(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.|$)", "*", layer)


def _summed(rows: pd.DataFrame, *, count: str) -> pd.DataFrame:
    groups = rows.groupby("name", sort=False)
    found = groups[["host_s", "device_s", "latency_s"]].sum()
    counted = groups[count].nunique() if count else groups.size()
    found = found.assign(count=counted, share=found["latency_s"] / found["latency_s"].sum())
    return found.sort_values("latency_s", ascending=False, kind="stable").reset_index()
