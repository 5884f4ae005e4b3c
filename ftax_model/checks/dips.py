"""Whether predictions grow with the batch."""

from __future__ import annotations

from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted
from ftax_model.modeling.rows import PLATFORM

ODD, WRONG = 0.95, 0.7
"""Part of what a smaller batch is predicted to take."""


class Dips(Check[Fitted]):
    """Predicted sweeps of a few small models."""

    kind = Fitted
    looks_at = "predictions that fall as the batch grows; of a few small models"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """Over all platforms together."""
        own = seen.sweeps
        if own.empty:
            return
        part = own.groupby(["curve", *PLATFORM])["latency_s"].transform(lambda values: values / values.cummax())
        low = part[part < ODD]
        if len(low):
            row = own[part == low.min()].iloc[0]
            name = f"{row['curve']} at batch {row['batch_size']}, {row['framework']} on {row['device']}"
            saw = f"a larger batch is predicted to take {low.min():.3g} of a smaller one's time: {name}"
            do = "believe neither of the two more than the interval says; measure there, and calibrate"
            telling = self.wrong if low.min() < WRONG else self.odd
            yield telling(saw, do, count=len(low), of=len(own), example=name)
