"""What a claim is: a statement of the paper, cases of it in measurements, and a verdict with its evidence."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ftax_model.claims._seen import Seen
from ftax_model.dataset import by_name

HOLDS, FAILS, UNDECIDED, NOT_TESTABLE = "holds", "fails", "undecided", "not testable here"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_TESTABLE)

MOST = 0.8
"""Share of cases, each architecture counting once, that bears out a claim which is meant as a rule."""

EVERY = 1.0
"""The same of a claim that is said of all models, or of a few cells by name."""

FLAT = 1.25
"""Latency over latency that still counts as the same: under a quarter more."""

DRAWS = 2000
EXAMPLES = 6

Range = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """One comparison: a value and its 90 % interval, and whether it bears the claim out, ``None`` where noise decides.

    ``unit`` is the architecture; cases of one are not independent and count as one together.
    """

    what: str
    unit: str
    value: float
    low: float
    high: float
    bears: bool | None

    @classmethod
    def within(cls, what: str, unit: str, value: float, interval: Range, wanted: Range) -> Case:
        """A case that is borne out where the interval lies in ``wanted``, and not where it lies outside.

        >>> Case.within("a ratio", "bert", 1.1, (1.0, 1.2), (0.0, 1.25)).bears
        True
        """
        low, high = interval
        outside = high < wanted[0] or low > wanted[1]
        inside = wanted[0] <= low and high <= wanted[1]
        return cls(what, unit, value, low, high, False if outside else True if inside else None)


@dataclass(frozen=True)
class Verdict:
    """What a dataset says of a claim: one of `VERDICTS`, the reason in words, and the numbers behind it."""

    claim: str
    statement: str
    source: str
    dataset: str
    verdict: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**vars(self), "evidence": dict(self.evidence)}


class Claim(abc.ABC):
    """One claim of the paper; one file in this folder each.

    A subclass sets the class attributes and writes `cases`.
    """

    statement: ClassVar[str]
    source: ClassVar[str]
    """Where it stands in the paper."""
    test: ClassVar[str]
    """What a case is, and when it bears the claim out."""
    lacking: ClassVar[str]
    """What a dataset lacks in which there is no case."""
    needed: ClassVar[float] = MOST
    alone: ClassVar[bool] = False
    """Whether one architecture is enough, as the claim is of one model; of a rule two are needed."""
    units: ClassVar[str] = "architecture"
    """What counts once however many cases there are of it."""
    across: ClassVar[bool] = False
    """Whether it compares devices, so that all datasets are judged together."""
    plan: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """What to measure, as grids of a plan (`ftax_model.collection.plan`); ``on`` is the kind of device that a grid is
    for, if it is for one alone."""

    @abc.abstractmethod
    def cases(self, seen: Seen) -> list[Case]:
        """Every case of the claim in ``seen``; none where it cannot be tested there."""

    def judge(self, seen: Seen, *, name: str) -> Verdict:
        """The verdict of ``seen``.

        Within an architecture the share of cases counts that bear the claim out; over architectures their mean. Cases
        within noise count as against at its low end and as for at its high end; with `MOST`, both ends also bear the 90
        % interval of a bootstrap over architectures. It holds where the low end reaches ``needed``, and fails where the
        high end does not. A rule that was seen on one architecture is undecided.
        """
        cases = self.cases(seen)
        if not cases:
            return Verdict(name, self.statement, self.source, seen.name, NOT_TESTABLE, self.lacking)
        low, high = share(cases, resampled=self.needed < EVERY)
        counts = {
            "cases": len(cases),
            "units": len({case.unit for case in cases}),
            "borne_out": sum(case.bears is True for case in cases),
            "refuted": sum(case.bears is False for case in cases),
            "within_noise": sum(case.bears is None for case in cases),
        }
        evidence = {
            "test": self.test,
            **counts,
            "units_are": self.units,
            "share_low": round(low, 3),
            "share_high": round(high, 3),
            "share_needed": self.needed,
            "floor": round(seen.floor, 4),
            "floor_assumed": seen.assumed,
            "examples": [_example(case) for case in examples(cases)],
        }
        verdict, reason = self._decided(counts, low, high), self._reason(counts, seen, low, high)
        return Verdict(name, self.statement, self.source, seen.name, verdict, reason, evidence)

    def _decided(self, counts: Mapping[str, int], low: float, high: float) -> str:
        if self._is_no_rule(counts, low):
            return UNDECIDED
        return HOLDS if low >= self.needed else FAILS if high < self.needed else UNDECIDED

    def _is_no_rule(self, counts: Mapping[str, int], low: float) -> bool:
        """Whether cases are of one architecture and the claim is of more; one model can refute what is said of all."""
        refutes = self.needed == EVERY and low < EVERY
        return counts["units"] == 1 and not self.alone and not refutes

    def _reason(self, counts: Mapping[str, int], seen: Seen, low: float, high: float) -> str:
        total, units = counts["cases"], counts["units"]
        words = [
            f"borne out by {counts['borne_out']} of {total} case{'s' * (total != 1)}",
            f"refuted by {counts['refuted']}",
            f"{counts['within_noise']} within noise",
        ]
        rule = ", which makes no rule" if self._is_no_rule(counts, low) else ""
        of = f"of {units} {self.units}s" if units > 1 else f"of one {self.units} alone{rule}"
        ends = f"{100 * low:.0f} %" if round(low, 2) == round(high, 2) else f"{100 * low:.0f} to {100 * high:.0f} %"
        asked = "every one is needed" if self.needed == EVERY else f"{100 * self.needed:.0f} % needed"
        floor = (
            f"; floor {'assumed to be' if seen.assumed else 'of'} {100 * seen.floor:.1f} %" if not seen.parts else ""
        )
        return f"{', '.join(words)}, {of}; share {ends}, {asked}{floor}"


def share(cases: Sequence[Case], *, resampled: bool) -> Range:
    """Low and high end of the share of cases that bear a claim out, each architecture counting once.

    >>> share([Case("", "bert", 1, 1, 1, True), Case("", "gpt2", 1, 1, 1, None)], resampled=False)
    (0.5, 1.0)
    """
    units = sorted({case.unit for case in cases})
    own = {unit: [case.bears for case in cases if case.unit == unit] for unit in units}
    low = np.array([np.mean([one is True for one in own[unit]]) for unit in units])
    high = np.array([np.mean([one is not False for one in own[unit]]) for unit in units])
    if not resampled:
        return float(low.mean()), float(high.mean())
    drawn = np.random.default_rng(0).integers(len(units), size=(DRAWS, len(units)))
    ends = np.quantile(low[drawn].mean(axis=1), 0.05), np.quantile(high[drawn].mean(axis=1), 0.95)
    return float(ends[0]), float(ends[1])


def examples(cases: Sequence[Case]) -> list[Case]:
    """A few cases: of those for, against and within noise in turn, the first of each architecture first."""
    kinds: dict[bool | None, list[Case]] = {True: [], False: [], None: []}
    for case in cases:
        kinds[case.bears].append(case)
    for bears, own in kinds.items():
        counts: dict[str, int] = {}
        turns = [counts.update({case.unit: counts.get(case.unit, 0) + 1}) or counts[case.unit] for case in own]
        kinds[bears] = [own[at] for at in sorted(range(len(own)), key=turns.__getitem__)]
    found = [own[at] for at in range(EXAMPLES) for own in kinds.values() if at < len(own)]
    return found[:EXAMPLES]


def _example(case: Case) -> dict[str, Any]:
    numbers = {name: _rounded(getattr(case, name)) for name in ("value", "low", "high")}
    word = {True: "bears it out", False: "refutes it", None: "within noise"}[case.bears]
    return {"what": case.what, **numbers, "says": word}


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


class RatioClaim(Claim):
    """A claim on one latency over another.

    A subclass sets ``wanted``, the range in which the ratio lies where the claim is true, and writes `pairs`.
    """

    wanted: ClassVar[Range]

    @abc.abstractmethod
    def pairs(self, seen: Seen) -> pd.DataFrame:
        """One row a case, as `beside` gives it.

        ``doublings``, if it is there, is how often what is varied doubles between the two; the ratio is then that of
        one doubling.
        """

    def cases(self, seen: Seen) -> list[Case]:
        """Ratios with their intervals by the repeatability floor."""
        found = []
        for row in by_name(self.pairs(seen)):
            doublings = float(row.get("doublings", 1.0))
            ratio = math.log(row["latency_s"] / row["latency_s_other"]) / doublings
            noise = seen.apart(row["framework"], row.get("framework_other", row["framework"])) / doublings
            interval = math.exp(ratio - noise), math.exp(ratio + noise)
            found.append(Case.within(_compared(row), row["architecture"], math.exp(ratio), interval, self.wanted))
        return found


def beside(one: pd.DataFrame, other: pd.DataFrame, *, but: Sequence[str] = ()) -> pd.DataFrame:
    """Cells that agree in all of `CELL` but the columns ``but``, in one row; columns of the other end in ``_other``."""
    on = [name for name in CELL if name not in but]
    return one.merge(other, on=on, suffixes=("", "_other"))


CELL = ("model", "input_size", "lengths", "setup", "framework", "device", "dtype", "threads", "batch_size")
"""Columns that say what a cell is of."""


def extremes(rows: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """The largest beside the smallest value of a column in each group of rows that agree in ``by``; ``doublings``."""
    found = []
    for _, own in rows.groupby(list(by), dropna=False):
        if own[column].nunique() < 2:
            continue
        ordered = own.sort_values(column, kind="stable")
        least, most = ordered.iloc[0], ordered.iloc[-1]
        if most[column] >= 2 * least[column]:
            other = {f"{name}_other": value for name, value in least.items()}
            found.append({**most, **other, "doublings": math.log2(most[column] / least[column])})
    return pd.DataFrame(found, columns=None if found else ["latency_s"])


def models(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of whole models, not of single layers."""
    return rows[rows["family"] != "block"]


def _compared(row: Mapping[str, Any]) -> str:
    """What is compared, in words: the cell, and in what the other differs."""
    changed = [
        f"{_word(row[name])} over {_word(row[f'{name}_other'])}"
        for name in ("model", "framework", "dtype", "batch_size", "input_size")
        if row.get(f"{name}_other", row[name]) != row[name]
    ]
    same = [
        f"batch {row[name]}" if name == "batch_size" else str(row[name])
        for name in ("model", "framework", "dtype", "batch_size")
        if row.get(f"{name}_other", row[name]) == row[name]
    ]
    return ", ".join([*same, *changed])


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
