"""Nested tensors, which skip the padding, are faster where models are compute-bound."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import RatioClaim, beside
from ftax_model.claims._seen import Seen


class NestedTensorsWinWhenComputeBound(RatioClaim):
    """Nested tensors beside padded ones."""

    statement = "Of padded batches (Penn Treebank lengths), nested tensors are faster once they are compute-bound"
    source = "section 4.1, sparse inputs; discussion: by 80.56 % at batch 128"
    test = (
        "a case is one model on sequences of Penn Treebank lengths at the largest batch size that is compute-bound in "
        "eager mode: nested tensors take less time than padded ones, beyond the floor"
    )
    lacking = "no sweep of padded sequences in nested tensors; the paper's figure 5 is not transcribed"
    wanted = (0.0, 1.0)
    alone = True
    plan = (
        {
            "architecture": "bert",
            "preset": "bert-mini",
            "lengths": "penn-treebank",
            "batch_size": [1, 2, 4, 8],
            "frameworks": ["eager", "nested"],
        },
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Nested tensors beside eager mode."""
        rows = seen.rows[seen.rows["lengths"] != "fixed"]
        eager = rows[(rows["framework"] == "eager") & (seen.regimes[rows.index] == "compute-bound")]
        both = beside(rows[rows["framework"] == "nested"], eager, but=["framework"])
        by = ["model", "setup", "device", "dtype", "threads"]
        return both[both["batch_size"] == both.groupby(by, dropna=False)["batch_size"].transform("max")]
