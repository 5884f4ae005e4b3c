"""CUDA graphs are faster than eager PyTorch where models are framework-bound."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import RatioClaim, beside
from ftax_model.claims._seen import Seen


class CudaGraphsWinWhenFrameworkBound(RatioClaim):
    """CUDA graphs beside eager mode."""

    statement = "Where models are framework-bound, CUDA graphs are faster than eager PyTorch"
    source = "section 4.1; table 3"
    test = (
        "a case is one model at batch 1, unless eager mode is known to be compute-bound there: CUDA graphs take less "
        "time, beyond the floor"
    )
    lacking = "no model at batch 1 in CUDA graphs and in eager mode: it takes a GPU of NVIDIA"
    wanted = (0.0, 1.0)
    plan = (
        {
            "architecture": ["bert", "resnet"],
            "dtype": ["float32", "float16"],
            "batch_size": 1,
            "frameworks": ["eager", "cuda-graphs"],
            "on": "cuda",
        },
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The framework beside eager mode."""
        rows = seen.rows[seen.rows["batch_size"] == 1]
        eager = rows[(rows["framework"] == "eager") & (seen.regimes[rows.index] != "compute-bound")]
        return beside(rows[rows["framework"] == "cuda-graphs"], eager, but=["framework"])
