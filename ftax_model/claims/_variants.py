"""Models with fewer MACs beside the ones that they are to replace: the form of the claims on efficient variants."""

from __future__ import annotations

import math
from typing import ClassVar

import pandas as pd

from ftax_model.claims._base import CELL, EVERY, Case, RatioClaim
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen


class Variant(RatioClaim):
    """A published model with fewer MACs beside another one at batch 1, in the frameworks of the paper."""

    variant: ClassVar[tuple[str, ...]]
    original: ClassVar[str]
    frameworks: ClassVar[tuple[str, ...]] = ("eager", "unstated")
    needed = EVERY
    alone = True
    wanted = (1.0, math.inf)

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The variant beside the original: one input size, precision, thread count and framework."""
        rows = theirs(seen.rows[seen.rows["batch_size"] == 1])
        rows = rows[rows["framework"].isin(self.frameworks)]
        on = [name for name in CELL if name != "model"]
        own, other = rows[rows["published"].isin(self.variant)], rows[rows["published"] == self.original]
        return own.merge(other, on=on, suffixes=("", "_other"))

    def cases(self, seen: Seen) -> list[Case]:
        """As the base says; a variant that does not have fewer MACs refutes the claim."""
        found, pairs = super().cases(seen), self.pairs(seen)
        fewer = (pairs["macs"] < pairs["macs_other"]).tolist() if len(pairs) else []
        share = (pairs["macs"] / pairs["macs_other"]).tolist() if len(pairs) else []
        return [
            Case(
                f"{case.what}, {100 * part:.0f} % of the MACs",
                case.unit, case.value, case.low, case.high, case.bears if less else False,
            )
            for case, less, part in zip(found, fewer, share, strict=True)
        ]  # fmt: skip
