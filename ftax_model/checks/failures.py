"""Whether what failed leaves enough to learn from."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured

MOST = 0.1
"""Share of cells that may fail."""

FEWEST = 10


class Failures(Check[Measured]):
    """Cells that were not measured."""

    kind = Measured
    looks_at = "the share of cells that failed, and frameworks of which all did"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By framework."""
        cells = pd.DataFrame(
            [(one.cell.framework, one.status, one.reason, one.cell.key) for one in seen.measurements],
            columns=["framework", "status", "reason", "key"],
        )
        for framework, part in cells.groupby("framework") if len(cells) else ():
            failed = part[part["status"] != "ok"]
            if len(failed) == len(part) or (len(part) >= FEWEST and len(failed) > MOST * len(part)):
                counts = failed["status"].value_counts()
                saw = f"{framework}: {', '.join(f'{count:,} {status}' for status, count in counts.items())}"
                why = str(failed["reason"].iloc[0])[:80]
                do = f"what is left may be the easy part: read the reasons ({why}), mend them and collect again"
                yield self.odd(saw, do, count=len(failed), of=len(part), example=str(failed["key"].iloc[0]))
