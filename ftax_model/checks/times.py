"""Whether records were written when they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)

AHEAD = timedelta(days=1)
"""What a clock may be ahead of ours."""

OUT_OF_ORDER = 0.1
"""Share of records written before the one in front of them above which a file is not as it was collected."""

FEWEST = 10


class Times(Check[Measured]):
    """``measured_at`` of each record, and when its sitting began."""

    kind = Measured
    looks_at = "times in the future, before 2020, out of order, or before their sitting began"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Records that say no time are left out."""
        told = [(one.cell.key, one.measured_at) for one in seen.good if one.measured_at]
        times = [(key, _time(text)) for key, text in told]
        none = [key for key, time in times if time is None]
        do = "a clock was off, or times were written by hand: mend them, and do not read drift from these records"
        if none:
            text = next(text for key, text in told if key == none[0])
            saw = f"measured_at is no time: {text[:40]!r}"
            yield self.wrong(saw, do, count=len(none), of=len(told), example=none[0])
        good = [(key, time) for key, time in times if time is not None]
        late = [(time, key) for key, time in good if time > seen.now + AHEAD]
        if late:
            saw = f"measured at {max(late)[0].isoformat()}, which is still to come"
            yield self.wrong(saw, do, count=len(late), of=len(told), example=max(late)[1])
        early = [(time, key) for key, time in good if time < EARLIEST]
        if early:
            saw = f"measured at {min(early)[0].isoformat()}, before there was such a tool"
            yield self.wrong(saw, do, count=len(early), of=len(told), example=min(early)[1])
        back = [key for (_, before), (key, after) in pairwise(good) if after < before]
        if len(good) >= FEWEST and len(back) > OUT_OF_ORDER * len(good):
            saw = "records stand before others that were measured earlier"
            do = "records are appended as they are measured: were lines sorted, drawn or times changed?"
            yield self.odd(saw, do, count=len(back), of=len(good), example=back[0])
        yield from self._sittings(seen, dict(good))

    def _sittings(self, seen: Measured, times: dict[str, datetime]) -> Iterator[Finding]:
        said = pd.Series(seen.environment["sitting"].tolist(), index=[one.cell.key for one in seen.good], dtype=object)
        before = [
            key
            for key, text in said.dropna().items()
            if (begun := _time(text)) and str(key) in times and times[str(key)] < begun - timedelta(minutes=1)
        ]
        if before:
            saw = "measured before its sitting began"
            do = "one of the two was changed: mend it"
            yield self.wrong(saw, do, count=len(before), of=len(times), example=str(before[0]))


def _time(text: str) -> datetime | None:
    """A time, in UTC where it does not say; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
