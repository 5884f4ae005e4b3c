"""Models that differ in depth or width alone, beside each other: the form of the claims on sizes."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from ftax_model.claims._base import CELL, extremes
from ftax_model.claims._seen import THEIRS, Seen

DEPTH = ("num_layers",)
WIDTH = ("hidden_size", "intermediate_size", "num_heads")
"""What grows together with the width of a transformer; the first is what tells how wide it is."""

PLAN: tuple[dict[str, Any], ...] = (
    {
        "architecture": "mlp",
        "num_layers": [4, 16],
        "hidden_size": [64, 128],
        "batch_size": [1, 4, 16, 64],
        "frameworks": ["eager", "onnxruntime"],
    },
    {
        "architecture": "bert",
        "num_layers": [2, 4],
        "hidden_size": 128,
        "num_heads": 2,
        "intermediate_size": 512,
        "vocab_size": 1024,
        "input_size": 16,
        "batch_size": [1, 4, 16, 64],
        "frameworks": ["eager", "onnxruntime"],
    },
    {
        "architecture": "bert",
        "num_layers": 2,
        "hidden_size": 64,
        "num_heads": 1,
        "intermediate_size": 256,
        "vocab_size": 1024,
        "input_size": 16,
        "batch_size": [1, 4, 16, 64],
        "frameworks": ["eager", "onnxruntime"],
    },
)


def grown(seen: Seen, names: tuple[str, ...], *, regime: str, batch_size: int | None = 1) -> pd.DataFrame:
    """The largest beside the smallest of models that differ in the hyperparameters ``names`` alone, both in a regime.

    Each at one ``batch_size``, or at the largest that both have. Columns as in `ftax_model.claims._base.extremes`.
    """
    rows = seen.rows[(seen.regimes == regime) & seen.rows["framework"].isin(THEIRS)]
    rows = rows if batch_size is None else rows[rows["batch_size"] == batch_size]
    settings = [json.loads(text) for text in rows["hyperparameters"]]
    rows = rows.assign(
        size=[float(own.get(names[0], "nan")) for own in settings],
        rest=[json.dumps({k: v for k, v in own.items() if k not in names}, sort_keys=True) for own in settings],
    )
    by = ["architecture", "rest", *(name for name in CELL if name != "model")]
    found = extremes(rows[rows["size"].notna()], "size", by)
    if batch_size is None and len(found):
        alike = found.groupby([name for name in by if name != "batch_size"], dropna=False)["batch_size"]
        found = found[found["batch_size"] == alike.transform("max")]
    return found
