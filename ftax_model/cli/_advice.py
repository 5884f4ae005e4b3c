"""Advice as tables: what changes do, what differs, what may have made a gap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftax_model.cli import _print
from ftax_model.cli._print import number, seconds
from ftax_model.dataset import by_name
from ftax_model.measurement import in_threads

if TYPE_CHECKING:
    from ftax_model.advice.changes import Claim
    from ftax_model.advice.gap import Gap
    from ftax_model.advice.place import Place
    from ftax_model.advice.verify import Verified
    from ftax_model.cli._compare import Compared

WIDTH = 100
"""Columns of these tables in a file or a pipe."""


def verified(found: Sequence[Claim], place: Place) -> list[Verified]:
    """The first claims measured, with a progress bar."""
    from ftax_model.advice.verify import verify

    with _print.progress("verifying") as advance:
        return verify(found, place, on_progress=advance)


def claims(
    row: Mapping[str, Any],
    found: Sequence[Claim],
    verified: Sequence[Verified],
    notes: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """One line a claim: what it changes, the latency after, and by how much it differs; then those measured."""
    if as_json:
        said = {"call": _plain(row), "claims": [_claim(one) for one in found]}
        _print.answers("advice", [{**said, "verified": [_verified(one) for one in verified]}], notes=notes)
        return
    _print.say(
        f"{row['curve']}, batch {row['batch_size']}, {row['framework']} on {row['device']}: "
        f"{seconds(row['latency_s'])} ({seconds(row['low_s'])} to {seconds(row['high_s'])}), {row['regime']}\n"
    )
    lines = [
        {"change": one.text, "latency": seconds(one.after["latency_s"]), "by": _signed(*one.change_s)} for one in found
    ]
    _print.table(lines, dict.fromkeys(lines[0]), width=WIDTH)
    if verified:
        told = [
            {
                "claim": one.claim.text,
                "measured": f"{seconds(one.before_s)} to {seconds(one.after_s)}",
                "ratio": number(one.ratio),
                "claimed": f"{number(change.value)} ({number(change.low)} to {number(change.high)})",
                "holds": "yes" if one.holds else "no",
            }
            for one in verified
            for change in [one.claim.change]
        ]
        _print.table(told, dict.fromkeys(told[0]), title="\nMeasured here", width=WIDTH)
    noted = {str(one.after["notes"]) for one in found} | {str(row["notes"])}
    for note in [*notes, *sorted(filter(None, noted))]:
        _print.say(f"note: {note}", err=True)


def compared(found: Sequence[Compared], *, as_json: bool) -> None:
    """A table for each pair of lines, and where they cross."""
    notes = [*dict.fromkeys(note for one in found for note in one.notes)]
    if as_json:
        told = [
            {
                "one": one.names[0],
                "other": one.names[1],
                "of": one.of,
                "rows": _print.records(one.table),
                "crossings": one.crossings,
            }
            for one in found
        ]
        _print.answers("comparison", told, notes=notes)
        return
    for at, one in enumerate(found):
        lines = [
            {
                "batch": str(row["batch_size"]),
                one.names[0]: seconds(row["one_s"]),
                one.names[1]: seconds(row["other_s"]),
                "ratio": number(row["ratio"]),
                "interval": "-" if math.isnan(row["low"]) else f"{number(row['low'])} to {number(row['high'])}",
                "differs": _yes(row["beyond"]),
            }
            for row in by_name(one.table)
        ]
        _print.say() if at else None
        columns: dict[str, Any] = dict.fromkeys(lines[0], str)
        _print.table(lines, columns, title=one.of, width=WIDTH)
        for size in one.crossings:
            _print.say(f"the lines cross at batch {number(size)}")
    for note in notes:
        _print.say(f"note: {note}", err=True)


def gap(found: Gap, *, as_json: bool) -> None:
    """What was measured beside what is predicted, then the causes."""
    row = found.predicted
    if as_json:
        said = {"measured_s": found.measured_s, "predicted": _plain(row), "inside": found.inside}
        _print.answers("gap", [{**said, "causes": [vars(one) for one in found.causes]}], notes=[])
        return
    where = "inside" if found.inside else "outside"
    times = number(found.measured_s / row["latency_s"])
    _print.say(
        f"{row['curve']}, batch {row['batch_size']}, {row['framework']} on {row['device']}, "
        f"{in_threads(row['threads'])}: measured {seconds(found.measured_s)}, predicted "
        f"{seconds(row['latency_s'])} ({seconds(row['low_s'])} to {seconds(row['high_s'])}), {where}: "
        f"{times} times as long\n"
    )
    if not found.causes:
        _print.say("nothing here explains more: measure again in fresh processes (ftax measure --repeats 3)")
        return
    lines = [
        {
            "": one.level,
            "cause": one.name,
            "what speaks for it": one.evidence,
            "predicted then": seconds(one.latency_s),
            "to settle it": one.command,
        }
        for one in found.causes
    ]
    _print.table(lines, dict.fromkeys(lines[0]), width=_print.WIDTH)


def _signed(value: float, low: float, high: float) -> str:
    """Seconds more or less, with their interval.

    >>> _signed(-0.002, -0.003, 0.0004)
    '-2 ms (-3 ms to +400 us)'
    """
    return f"{_one(value)} ({_one(low)} to {_one(high)})"


def _one(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{seconds(abs(value))}"


def _yes(value: Any) -> str:
    return "not known" if value is None or value != value else "yes" if value else "no"  # pandas' NA is none of these


def _claim(one: Claim) -> dict[str, Any]:
    value, low, high = one.change_s
    return {
        "kind": one.kind,
        "text": one.text,
        "before_s": one.before["latency_s"],
        "after_s": one.after["latency_s"],
        "change_s": value,
        "change_low_s": low,
        "change_high_s": high,
        "ratio": one.change.value,
        "ratio_low": one.change.low,
        "ratio_high": one.change.high,
        "notes": one.after["notes"],
    }


def _verified(one: Verified) -> dict[str, Any]:
    measured = {"before_s": one.before_s, "after_s": one.after_s, "ratio": one.ratio, "holds": one.holds}
    return {"kind": one.claim.kind, "text": one.claim.text, **measured}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    import pandas as pd

    return _print.records(pd.DataFrame([dict(row)]))[0]
