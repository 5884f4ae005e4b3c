"""Figure 3: the framework takes most of the time at small batch sizes and little at large ones."""

from __future__ import annotations

import math

from ftax_model.claims._base import Case, Claim
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import CURVE, Seen

_LARGE = 32
_MOST_OF_IT, _LITTLE = 0.5, 0.25


class OverheadShareShrinksWithBatch(Claim):
    """The share of latency in which the device does nothing."""

    statement = "Framework overhead is most of the latency at batch 1 and little of it at large batch sizes"
    source = "section 3.2; figure 3"
    test = (
        "a case is one model in eager mode: the share of latency in which no kernel runs is above a half at batch 1, "
        "or under a quarter at its largest batch size, of 32 or more"
    )
    lacking = "no clock of the device beside that of the call: on a CPU both are one"
    alone = True
    plan = (
        {
            "architecture": ["bert", "resnet"],
            "dtype": ["float32", "float16"],
            "batch_size": [1, 64],
            "frameworks": "eager",
            "on": "cuda",
        },
    )

    def cases(self, seen: Seen) -> list[Case]:
        """Both ends of each sweep that has the clock of the device."""
        rows = theirs(seen.rows[seen.rows["device_s"].notna() & (seen.rows["framework"] == "eager")])
        noise, found = seen.apart("eager", "eager"), []
        for _, own in rows.groupby(list(CURVE), dropna=False):
            largest = own["batch_size"].max()
            for size, wanted in ((1, (_MOST_OF_IT, 1.0)), (largest if largest >= _LARGE else 0, (-math.inf, _LITTLE))):
                at = own[own["batch_size"] == size]
                if at.empty:
                    continue
                row = at.iloc[0]
                busy = float(row["device_s"] / row["latency_s"])
                interval = 1 - busy * math.exp(noise), 1 - busy * math.exp(-noise)
                what = f"{row['model']}, {row['dtype']}, batch {size}: share of overhead"
                found.append(Case.within(what, str(row["architecture"]), 1 - busy, interval, wanted))
        return found
