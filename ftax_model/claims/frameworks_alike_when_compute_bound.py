"""Differences between frameworks vanish once models are compute-bound."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import FLAT, RatioClaim, beside
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen


class FrameworksAlikeWhenComputeBound(RatioClaim):
    """Two frameworks at the largest batch size."""

    statement = "At compute-bound batch sizes latencies differ little between frameworks"
    source = "section 4.1"
    test = (
        "a case is one model in TorchScript or ONNX Runtime at the largest batch size that is compute-bound there and "
        "in eager mode: latencies are within 1.25 times of each other"
    )
    lacking = "no model at a batch size that is compute-bound in eager mode and in another framework of the paper"
    wanted = (1 / FLAT, FLAT)
    plan = (
        {"architecture": "bert", "preset": "bert-tiny", "input_size": 16, "batch_size": [1, 4, 16, 64], "on": "cpu"},
        {"architecture": "resnet", "preset": "resnet-18", "input_size": 64, "batch_size": [1, 4, 8, 16], "on": "cpu"},
        {
            "architecture": ["bert", "resnet"],
            "dtype": ["float32", "float16"],
            "batch_size": [1, 4, 16, 64],
            "on": "cuda",
        },
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The framework beside eager mode."""
        return largest(seen.rows[seen.regimes == "compute-bound"])


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Other frameworks of the paper beside eager mode, each model at the largest batch size of both."""
    rows = theirs(rows)
    eager = rows["framework"] == "eager"
    both = beside(rows[~eager], rows[eager], but=["framework"])
    by = ["model", "input_size", "lengths", "setup", "framework", "device", "dtype", "threads"]
    return both[both["batch_size"] == both.groupby(by, dropna=False)["batch_size"].transform("max")]
