"""Models are framework-bound up to larger batch sizes on a faster device."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ftax_model.claims._base import FLAT, Case, Claim, models
from ftax_model.claims._crossing import crossing, later
from ftax_model.claims._seen import Seen
from ftax_model.dataset import by_name


class FasterDeviceCrossesLater(Claim):
    """Crossovers on two devices."""

    statement = "On a faster device models are framework-bound up to larger batch sizes"
    source = "section 4.3"
    test = (
        "a case is one model in one framework on two devices, of which one takes under 0.8 of the other's time for a "
        "further example in the batch (median over models): its crossover is later there, beyond both intervals"
    )
    lacking = "no sweeps of one model on two devices, one faster than the other; name several datasets"
    across = True

    def cases(self, seen: Seen) -> list[Case]:
        """The faster device beside the slower, framework by framework."""
        rows, found = models(seen.crossovers), []
        for one, other in itertools.combinations(sorted(rows["device"].unique()), 2):
            both = crossing(rows[rows["device"] == one], rows[rows["device"] == other], but="device")
            both = both[(both["slope_s"] > 0) & (both["slope_s_other"] > 0)]
            for _, own in both.groupby(["framework", "dtype", "threads"]):
                pace = float(np.median(np.log(own["slope_s"] / own["slope_s_other"])))
                if abs(pace) < math.log(FLAT):
                    continue
                for row in by_name(own):
                    ordered = row if pace < 0 else _swapped(row)
                    what = f"{row['model']}, {row['framework']}: octaves from {ordered['device_other']} to "
                    found.append(later(ordered, f"{what}{ordered['device']}"))
        return [case for case in found if case]


def _swapped(row: dict[str, object]) -> dict[str, object]:
    """The same row with the two devices in each other's place."""
    turned = {name.removesuffix("_other"): value for name, value in row.items() if name.endswith("_other")}
    return {**row, **turned, **{f"{name}_other": row[name] for name in turned}}
