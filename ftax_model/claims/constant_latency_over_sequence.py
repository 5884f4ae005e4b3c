"""Latency does not change with sequence length while it is small."""

from __future__ import annotations

import pandas as pd

from ftax_model import architectures
from ftax_model.claims._base import CELL, FLAT, RatioClaim, extremes
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen


class ConstantLatencyOverSequence(RatioClaim):
    """The two shortest sequences of a model beside each other."""

    statement = "At small sequence lengths latency is constant"
    source = "section 3.2; figure 4, last panel"
    test = (
        "a case is one model at its smallest batch size: between its two shortest sequences, twice as long or more, "
        "latency grows by under a quarter with each doubling"
    )
    lacking = "no model on tokens with two sequence lengths at one batch size"
    wanted = (0.0, FLAT)
    plan = (
        {"architecture": "bert", "preset": "bert-tiny", "input_size": [4, 8], "batch_size": 1, "on": "cpu"},
        {"architecture": "bert", "preset": "bert-base", "input_size": [8, 16], "batch_size": 1, "on": "cuda"},
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The second shortest sequence beside the shortest."""
        rows = theirs(seen.rows)
        rows = rows[rows["architecture"].isin(_on_tokens())]
        by = [name for name in CELL if name != "input_size"]
        rows = rows[rows.groupby(by, dropna=False)["input_size"].transform("nunique") > 1]
        smallest = rows.groupby([name for name in by if name != "batch_size"], dropna=False)["batch_size"].transform(
            "min"
        )
        rows = rows[rows["batch_size"] == smallest]
        first = rows.groupby(by, dropna=False)["input_size"].rank(method="dense") <= 2
        return extremes(rows[first], "input_size", by)


def _on_tokens() -> set[str]:
    return {name for name in architectures.names() if architectures.load(name).input_unit == "tokens"}
