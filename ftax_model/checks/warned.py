"""Whether measurements hold much against themselves."""

from __future__ import annotations

from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

MOST = {"wide-spread": 0.3, "foreign-load": 0.2, "throttled": 0.05, "short-block": 0.1, "clock-setback": 0.01}
"""Share of rows that may hold each of these against themselves."""

DO = {
    "wide-spread": "the machine is not quiet or steady: ftax doctor",
    "foreign-load": "something else ran: stop it, and measure again",
    "throttled": "let it cool, or fix its clocks, and measure again",
    "short-block": "longer blocks: the clock's steps are in these numbers",
    "clock-setback": "a time server moved the clock: measure again",
}

UNLIKE = ("subnormal", "nan", "infinite")
LEAST_SHARE = 0.01
"""Share of subnormal values in a call from which on a CPU takes much longer than with a trained network's."""

FEWEST = 10


class Warned(Check[Measured]):
    """Warnings of rows, and what activations they were measured with."""

    kind = Measured
    looks_at = "many rows with warnings; activations that are subnormal, NaN or infinite"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By warning, then by kind of activation."""
        rows = seen.rows
        for name, most in MOST.items() if len(rows) >= FEWEST else ():
            part = rows[rows["warnings"].str.contains(name)]
            if len(part) > most * len(rows):
                saw = f"{name} in {len(part) / len(rows):.0%} of the rows"
                yield self.odd(saw, DO[name], count=len(part), of=len(rows), example=str(part["key"].iloc[0]))
        for kind in UNLIKE:
            shares = {one.cell.key: _share(one.telemetry.get("activations"), kind) for one in seen.good}
            far = {key: share for key, share in shares.items() if share > (LEAST_SHARE if kind == UNLIKE[0] else 0.0)}
            if far:
                key = max(far, key=far.__getitem__)
                saw = f"{far[key]:.2g} of all activations of a call are {kind}"
                do = "no trained network has them, and some CPUs take a hundred times as long: give it sane weights"
                yield self.odd(saw, do, count=len(far), of=len(seen.good), example=key)


def _share(shares: object, kind: str) -> float:
    value = shares.get(kind) if isinstance(shares, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0
