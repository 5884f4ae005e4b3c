"""Whether what a predictor promises can follow from what it was learnt from."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted
from ftax_model.modeling.judging.intervals import EVERY

FEWEST, FEWEST_MODELS = 20, 4
"""Rows and models of a platform below which its costs are mostly those of others."""


class FewRows(Check[Fitted]):
    """Rows, models and errors behind each platform."""

    kind = Fitted
    looks_at = "platforms learnt from few rows or models, and from too few errors for the coverage they promise"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """Platforms of GPUs have a machine each."""
        fits = seen.predictor.fits_
        few = [fit for fit in fits if fit.n_rows < FEWEST or fit.n_models < FEWEST_MODELS]
        if few:
            least = min(few, key=lambda fit: (fit.n_models, fit.n_rows))
            saw = f"{least.platform}: learnt from {least.n_rows} rows of {least.n_models} models"
            do = "its costs are mostly those of other machines, its interval theirs: measure more of it (ftax collect)"
            yield self.odd(saw, do, count=len(few), of=len(fits), example=str(least.platform))
        needed = math.ceil(2 / (1 - seen.predictor.confidence)) - 1
        short = [fit for fit in fits if len(fit.errors.by_kind[EVERY]) < needed]
        if short:
            least = min(short, key=lambda fit: len(fit.errors.by_kind[EVERY]))
            saw = (
                f"{least.platform}: an interval of {seen.predictor.confidence:.0%} from "
                f"{len(least.errors.by_kind[EVERY])} errors; it takes {needed}"
            )
            do = "its ends are no more than the largest errors seen: measure more models of it"
            yield self.odd(saw, do, count=len(short), of=len(fits), example=str(least.platform))
        machines = [one for known in seen.predictor.gpus_.values() for one in known.machines]
        few_calls = [one for one in machines if 0 < one.n_rows < FEWEST]
        if few_calls:
            fewest = min(few_calls, key=lambda one: one.n_rows)
            name = f"{fewest.device} under {fewest.host}"
            saw, do = f"{name}: learnt from {fewest.n_rows} calls", "its costs are mostly those of other machines"
            yield self.odd(saw, do, count=len(few_calls), of=len(machines), example=name)
