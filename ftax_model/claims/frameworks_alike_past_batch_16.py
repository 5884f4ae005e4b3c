"""Past batch 16 latencies hardly differ between frameworks."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import EVERY, FLAT, RatioClaim
from ftax_model.claims._seen import Seen
from ftax_model.claims.frameworks_alike_when_compute_bound import FrameworksAlikeWhenComputeBound as _Alike
from ftax_model.claims.frameworks_alike_when_compute_bound import largest


class FrameworksAlikePastBatch16(RatioClaim):
    """Two frameworks at the largest batch size, whatever the regime."""

    statement = "For batch sizes larger than 16 latencies differ little between frameworks, for all models"
    source = "discussion"
    test = (
        "a case is one model at its largest input in TorchScript or ONNX Runtime, at the largest batch size above 16 "
        "that eager mode has too: latencies are within 1.25 times of each other"
    )
    lacking = "no model above batch 16 in eager mode and in another framework of the paper"
    needed = EVERY
    wanted = (1 / FLAT, FLAT)
    plan = _Alike.plan

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The framework beside eager mode."""
        rows = seen.rows[seen.rows["batch_size"] > 16]
        longest = rows.groupby(["model", "dtype"])["input_size"].transform("max")
        return largest(rows[rows["input_size"] == longest])
