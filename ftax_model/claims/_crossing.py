"""Crossovers beside each other, and speed-ups over eager PyTorch: the forms that several claims share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ftax_model.claims._base import DRAWS, EVERY, Case, Claim, Range, RatioClaim, beside, models
from ftax_model.claims._seen import THEIRS, Seen

SMALLEST = 2.0**-10
"""A crossover batch size of zero counts as this one, so that it has a logarithm."""

_Z = 1.645


def later(row: dict[str, Any], what: str) -> Case | None:
    """Whether the crossover of a row is later than ``_other``'s, in octaves; ``None`` where both are below batch 1.

    The interval is that of the difference of two independent estimates. Where either never comes within reach of the
    sweep, noise decides.
    """
    one, other = ({name: row[f"{name}{end}"] for name in ("crossover", "low", "high")} for end in ("", "_other"))
    if max(one["high"], other["high"]) <= 1:
        return None
    logs = [{name: math.log2(max(value, SMALLEST)) for name, value in each.items()} for each in (one, other)]
    (a, b), known = logs, all(math.isfinite(each["crossover"]) for each in logs)
    value = a["crossover"] - b["crossover"] if known else math.nan
    low = value - math.hypot(a["crossover"] - a["low"], b["high"] - b["crossover"]) if known else -math.inf
    high = value + math.hypot(a["high"] - a["crossover"], b["crossover"] - b["low"]) if known else math.inf
    return Case.within(what, row["architecture"], value, (low, high), (0.0, math.inf))


class FasterAtBatchOne(RatioClaim):
    """A framework against eager PyTorch, whole models at batch 1."""

    frameworks: ClassVar[tuple[str, ...]]
    dtypes: ClassVar[tuple[str, ...]] = ()
    wanted = (0.0, 1.0)
    lacking = "no whole model at batch 1 both in that framework and in eager mode"
    test = "a case is one model at batch 1: latency over that of eager mode is below 1, beyond the floor"
    plan: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"architecture": "bert", "preset": "bert-tiny", "input_size": 16, "batch_size": 1, "on": "cpu"},
        {"architecture": "resnet", "preset": "resnet-18", "input_size": 64, "batch_size": 1, "on": "cpu"},
        {"architecture": ["bert", "resnet"], "dtype": ["float32", "float16"], "batch_size": 1, "on": "cuda"},
    )

    def __init_subclass__(cls) -> None:
        cls.plan = tuple({**one, "frameworks": ["eager", *cls.frameworks]} for one in FasterAtBatchOne.plan)

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The framework beside eager mode."""
        rows = models(seen.rows[seen.rows["batch_size"] == 1])
        rows = rows[rows["dtype"].isin(self.dtypes)] if self.dtypes else rows
        own = rows[rows["framework"].isin(self.frameworks)]
        return beside(own, rows[rows["framework"] == "eager"], but=["framework"])


class MeanSpeedUp(Claim):
    """How much of eager PyTorch's latency a framework takes away at batch 1 in half precision, on average."""

    framework: ClassVar[str]
    said: ClassVar[float]
    """The share that the paper prints."""
    tolerance = 0.05
    needed = EVERY
    alone = True
    units = "mean"
    lacking = "no whole model at batch 1 in half precision both in that framework and in eager mode"
    test = (
        "one case: the mean share over architectures by which latency falls at batch 1 in half precision, its interval "
        "by a bootstrap over architectures and the floor, lies within five points of what is printed"
    )
    source = "section 4.1"

    def __init_subclass__(cls) -> None:
        cls.plan = (
            {
                "architecture": ["bert", "resnet"],
                "dtype": "float16",
                "batch_size": 1,
                "frameworks": ["eager", cls.framework],
                "on": "cuda",
            },
        )

    def cases(self, seen: Seen) -> list[Case]:
        """The mean alone, of as many architectures as there are."""
        rows = models(seen.rows[(seen.rows["batch_size"] == 1) & seen.rows["dtype"].isin(["float16", "bfloat16"])])
        own = rows[rows["framework"] == self.framework]
        both = beside(own, rows[rows["framework"] == "eager"], but=["framework"])
        if both.empty:
            return []
        both = both.assign(log=np.log(both["latency_s"] / both["latency_s_other"]))
        logs = both.groupby("architecture")["log"].mean().to_numpy(float)
        random = np.random.default_rng(0)
        drawn = logs[random.integers(len(logs), size=(DRAWS, len(logs)))]
        drawn = drawn + random.normal(0, seen.apart(self.framework, "eager") / _Z, drawn.shape)
        means = (1 - np.exp(drawn)).mean(axis=1)
        low, high = np.quantile(means, [0.05, 0.95])
        value = float((1 - np.exp(logs)).mean())
        wanted: Range = (self.said - self.tolerance, self.said + self.tolerance)
        what = f"mean over {len(logs)} architecture{'s' * (len(logs) != 1)}, {len(both)} models"
        return [Case.within(what, "mean", value, (float(low), float(high)), wanted)]


def crossing(one: pd.DataFrame, other: pd.DataFrame, *, but: str) -> pd.DataFrame:
    """Rows of `Seen.crossovers` that agree in all but one column, in one row each; the other's end in _other."""
    on = ["model", "input_size", "lengths", "setup", "framework", "device", "dtype", "threads"]
    return one.merge(other, on=[name for name in on if name != but], suffixes=("", "_other"))


def theirs(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of whole models in the frameworks of the paper's main figures."""
    return models(rows[rows["framework"].isin([*THEIRS, "unstated"])])
