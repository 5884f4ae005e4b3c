"""Table 1: twice the width, four times the batch or the sequence at the latency of BERT-Base."""

from __future__ import annotations

import json

import pandas as pd

from ftax_model.claims._base import EVERY, FLAT, RatioClaim
from ftax_model.claims._seen import Seen


class Table1WidthBatchAndSequenceAreFree(RatioClaim):
    """Three larger workloads beside BERT-Base."""

    statement = "BERT-Base at twice the width, or batch 4, or 512 tokens takes as long as at batch 1 with 128 tokens"
    source = "table 1"
    test = "a case is one of the three in eager mode: it takes under 1.25 times as long"
    lacking = "no BERT-Base at batch 1 with 128 tokens in eager mode beside one of the three"
    needed = EVERY
    alone = True
    wanted = (0.0, FLAT)
    plan = (
        {"architecture": "bert", "preset": "bert-base", "batch_size": [1, 4], "frameworks": "eager"},
        {"architecture": "bert", "preset": "bert-base", "input_size": 512, "batch_size": 1, "frameworks": "eager"},
        {
            "architecture": "bert",
            "hidden_size": 1536,
            "num_heads": 24,
            "intermediate_size": 6144,
            "batch_size": 1,
            "frameworks": "eager",
        },
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Each of the three beside BERT-Base."""
        rows = seen.rows[(seen.rows["architecture"] == "bert") & (seen.rows["framework"] == "eager")]
        rows = rows[rows["lengths"] == "fixed"]
        base, wide = rows["published"] == "bert-base", [_twice_as_wide(text) for text in rows["hyperparameters"]]
        first, short = rows["batch_size"] == 1, rows["input_size"] == 128
        larger = (base & (rows["batch_size"] == 4) & short) | (base & first & (rows["input_size"] == 512))
        larger |= pd.Series(wide, index=rows.index, dtype=bool) & first & short
        on = ["setup", "framework", "device", "dtype", "threads"]
        return rows[larger].merge(rows[base & first & short], on=on, suffixes=("", "_other"))


def _twice_as_wide(text: str) -> bool:
    own = json.loads(text)
    return (own.get("num_layers"), own.get("hidden_size"), own.get("intermediate_size")) == (12, 1536, 6144)
