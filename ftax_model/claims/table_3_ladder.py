"""Table 3: BERT-Base at batch 1 gets faster from framework to framework."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import EVERY, RatioClaim, beside
from ftax_model.claims._seen import Seen

_LADDER = ("eager", "torchscript", "cuda-graphs", "onnxruntime", "onnxruntime-cuda-graphs")


class Table3Ladder(RatioClaim):
    """Each framework beside the one before it."""

    statement = (
        "BERT-Base at batch 1 gets faster from eager to TorchScript, CUDA graphs, ONNX Runtime, and that in CUDA graphs"
    )
    source = "table 3"
    test = "a case is one step of those that are there: the later framework takes less time, beyond the floor"
    lacking = "no BERT-Base with 128 tokens at batch 1 in two frameworks of the table"
    needed = EVERY
    alone = True
    wanted = (0.0, 1.0)
    plan = (
        {
            "architecture": "bert",
            "preset": "bert-base",
            "batch_size": 1,
            "frameworks": ["eager", "torchscript", "onnxruntime"],
        },
        {"architecture": "bert", "preset": "bert-base", "batch_size": 1, "frameworks": [*_LADDER], "on": "cuda"},
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Steps between neighbours of the ladder, as far as they were measured."""
        rows = of_bert(seen)
        rows = rows[rows["framework"].isin(_LADDER)]
        rows = rows.assign(rung=[_LADDER.index(name) for name in rows["framework"]])
        both = beside(rows, rows, but=["framework"])
        both = both[both["rung"] > both["rung_other"]]
        next_one = both.groupby(["setup", "device", "dtype", "threads", "rung"])["rung_other"].transform("max")
        return both[both["rung_other"] == next_one]


def of_bert(seen: Seen) -> pd.DataFrame:
    """BERT-Base with 128 tokens at batch 1 in all frameworks; of the paper in table 3 alone."""
    rows = seen.rows[(seen.rows["published"] == "bert-base") & (seen.rows["batch_size"] == 1)]
    rows = rows[(rows["input_size"] == 128) & (rows["lengths"] == "fixed")]
    return rows[rows["setup"].isin(["", "table 3"])]
