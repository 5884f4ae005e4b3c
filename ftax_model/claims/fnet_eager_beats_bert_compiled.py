"""FNet in eager mode is faster than BERT in ONNX Runtime."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import CELL, EVERY, RatioClaim
from ftax_model.claims._seen import Seen


class FnetEagerBeatsBertCompiled(RatioClaim):
    """FNet in eager mode beside BERT-Base in ONNX Runtime."""

    statement = "FNet in eager PyTorch is faster than BERT-Base in ONNX Runtime at batch 1"
    source = "discussion: by 10.31 %, device and precision not stated"
    test = "a case is one input size and precision at batch 1: FNet in eager mode takes less time, beyond the floor"
    lacking = "no FNet (base) in eager mode and BERT-Base in ONNX Runtime with one input size at batch 1"
    needed = EVERY
    alone = True
    wanted = (0.0, 1.0)
    plan = (
        {"architecture": "fnet", "preset": "fnet-base", "input_size": 32, "batch_size": 1, "frameworks": "eager"},
        {"architecture": "bert", "preset": "bert-base", "input_size": 32, "batch_size": 1, "frameworks": "onnxruntime"},
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """FNet beside BERT-Base."""
        rows = seen.rows[seen.rows["batch_size"] == 1]
        fnet = rows[(rows["published"] == "fnet-base") & (rows["framework"] == "eager")]
        bert = rows[(rows["published"] == "bert-base") & (rows["framework"] == "onnxruntime")]
        on = [name for name in CELL if name not in ("model", "framework")]
        return fnet.merge(bert, on=on, suffixes=("", "_other"))
