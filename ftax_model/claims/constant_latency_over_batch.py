"""Latency does not change with batch size while it is small, in any model."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import EVERY, FLAT, RatioClaim, beside
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen


class ConstantLatencyOverBatch(RatioClaim):
    """Batch 2 beside batch 1."""

    statement = "At small batch sizes latency is constant, for all models"
    source = "section 3.2; caption of figure 4"
    test = "a case is one model: batch 2 takes under 1.25 times as long as batch 1"
    lacking = "no model at batch 1 and 2 in eager mode, TorchScript or ONNX Runtime"
    needed = EVERY
    wanted = (0.0, FLAT)
    plan = (
        {"architecture": "bert", "preset": "bert-tiny", "input_size": 16, "batch_size": [1, 2], "on": "cpu"},
        {"architecture": "resnet", "preset": "resnet-18", "input_size": 64, "batch_size": [1, 2], "on": "cpu"},
        {"architecture": ["bert", "resnet"], "dtype": ["float32", "float16"], "batch_size": [1, 2], "on": "cuda"},
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Batch 2 beside batch 1."""
        rows = theirs(seen.rows)
        return beside(rows[rows["batch_size"] == 2], rows[rows["batch_size"] == 1], but=["batch_size"])
