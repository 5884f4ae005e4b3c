"""How verdicts on claims are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftax_model.cli import _print

if TYPE_CHECKING:
    from ftax_model.claims import Verdict


def show(verdicts: Sequence[Verdict], *, evidence: bool, as_json: bool) -> None:
    """A row a claim with the verdict of each dataset, or with the reason where there is one; or JSON."""
    if as_json:
        _print.as_json([one.to_record() for one in verdicts])
        return
    datasets = list(dict.fromkeys(one.dataset for one in verdicts))
    if len(datasets) == 1:
        _print.table([vars(one) for one in verdicts], dict.fromkeys(["claim", "verdict", "reason"]))
    else:
        heads = {name: name if ", " not in name else "all together" for name in datasets}
        rows = {one.claim: {"claim": one.claim, **dict.fromkeys(heads.values(), "")} for one in verdicts}
        for one in verdicts:
            rows[one.claim][heads[one.dataset]] = one.verdict
        _print.table([*rows.values()], dict.fromkeys(["claim", *heads.values()]))
    if evidence:
        _evidence(verdicts)
        return
    _print.say("\nWhat each claim says, how it is tested, and the numbers: --evidence, or --json")


def _evidence(verdicts: Sequence[Verdict]) -> None:
    said = ""
    for one in verdicts:
        if one.claim != said:
            _print.say(f"\n{one.claim}: {one.statement} ({one.source})")
            said = one.claim
        _print.say(f"  {one.dataset}: {one.verdict}; {one.reason}")
        for case in one.evidence.get("examples", []):
            low, high = (_print.number(math.nan if case[end] is None else case[end]) for end in ("low", "high"))
            value = _print.number(math.nan if case["value"] is None else case["value"])
            _print.say(f"    {case['says']}: {case['what']}: {value} ({low} to {high})")
