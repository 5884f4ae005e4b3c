"""Whether records are measurements of their own, or copies of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

FEWEST = 3
"""Samples that do not come twice by chance."""

DIGITS = 9
"""Significant digits of a latency that do not come twice by chance."""


class Copies(Check[Measured]):
    """Samples, or latencies of many digits, that several records share."""

    kind = Measured
    looks_at = "the same samples, or the same latency to the last digit, in several records"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Samples say more than latencies, and are looked at first."""
        samples: dict[object, list[str]] = defaultdict(list)
        latencies: dict[object, list[str]] = defaultdict(list)
        for one in seen.good:
            value = one.latency_s
            if len(one.samples) >= FEWEST and len(set(one.samples)) > 1:
                samples[one.samples].append(one.cell.key)
            elif value is not None and len(repr(value).replace(".", "").strip("0").split("e")[0]) >= DIGITS:
                latencies[value].append(one.cell.key)
        yield from self._told(list(samples.values()), len(seen.good), "the very same samples")
        yield from self._told(list(latencies.values()), len(seen.good), "the very same latency, digit by digit")

    def _told(self, groups: Sequence[Sequence[str]], of: int, what: str) -> Iterator[Finding]:
        twice = [group for group in groups if len(group) > 1]
        if twice:
            count = sum(map(len, twice))
            saw = f"{count:,} records in {len(twice):,} groups hold {what}: {twice[0][0]} and {twice[0][1]}"
            do = "one of each is a copy: drop those that were not measured"
            yield self.wrong(saw, do, count=count, of=of, example=twice[0][1])
