"""At batch sizes that are compute-bound half precision brings the speed-up that it promises."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import FLAT, RatioClaim, beside, models
from ftax_model.claims._seen import Seen
from ftax_model.claims.half_precision_crosses_later import HalfPrecisionCrossesLater as _Crosses


class HalfPrecisionIsFasterWhenComputeBound(RatioClaim):
    """Two precisions at the largest batch size."""

    statement = "At compute-bound batch sizes half precision is faster than single precision"
    source = "section 4, analysis"
    test = (
        "a case is one model in one framework at the largest batch size that is compute-bound in both: half precision "
        "takes under 0.8 of the time"
    )
    lacking = "no model in half and in single precision at a batch size where both are compute-bound"
    wanted = (0.0, 1 / FLAT)
    plan = _Crosses.plan

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Half beside single precision."""
        rows = models(seen.rows[seen.regimes == "compute-bound"])
        half, single = rows[rows["dtype"].isin(["float16", "bfloat16"])], rows[rows["dtype"] == "float32"]
        both = beside(half, single, but=["dtype"])
        by = ["model", "input_size", "lengths", "setup", "framework", "device", "dtype", "threads"]
        return both[both["batch_size"] == both.groupby(by, dropna=False)["batch_size"].transform("max")]
