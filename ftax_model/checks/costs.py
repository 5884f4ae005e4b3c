"""Whether the costs in a predictor are those of a machine."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted
from ftax_model.checks.peak import ABOVE
from ftax_model.device import rates
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.platforms.known import Known
from ftax_model.modeling.platforms.platform import PlatformFit

LONGEST_S, SHORTEST_S = 1e-3, 1e-9
"""Seconds between which the dispatch of an operator lies, on CPUs and GPUs, in any framework."""

FAR = 12.0
"""Times that one cost of an operator may differ from the mean over machines; of those that ship the most is 7."""


class Costs(Check[Fitted]):
    """The law's costs and those of operators, of each platform."""

    kind = Fitted
    looks_at = "costs that no machine has: negative, huge, above a peak, far from all known machines"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """The worst of each kind, over all platforms."""
        fits = seen.predictor.fits_
        impossible = [_impossible(fit) for fit in fits]
        far = ["" if said else _far(fit) for fit, said in zip(fits, impossible, strict=True)]
        for what, found in (("wrong", impossible), ("odd", far)):
            told = [(fit, said) for fit, said in zip(fits, found, strict=True) if said]
            if told:
                fit, said = told[0]
                telling = self.wrong if what == "wrong" else self.odd
                do = "look at the rows that it was fitted to (ftax check DATASET), and fit it again"
                yield telling(f"{fit.platform}: {said}", do, count=len(told), of=len(fits), example=str(fit.platform))


def _impossible(fit: PlatformFit) -> str:
    """Why costs cannot be those of a machine; empty where they can."""
    own = dict(fit.law.parameters_)
    if isinstance(fit.model, CorrectedModel):
        own |= {"an operator's " + str(name): value for name, value in fit.model.structure_.costs_.items()}
        own["an operator's intercept"] = fit.model.structure_.intercept_
    for name, value in own.items():
        if name != "overlap" and not (math.isfinite(value) and value >= 0):
            return f"a cost of {value:g} s, {name}"
    told = rates(fit.platform.device, fit.platform.dtype, fit.platform.threads)
    cost = fit.law.parameters_.get("macs", 0.0)
    if told and cost and 1 / cost > ABOVE * max(told.macs, told.convolution_macs):
        return f"{1 / cost:.3g} MACs/s, where the peak is {max(told.macs, told.convolution_macs):.3g}"
    dispatch = fit.law.parameters_.get("n_ops", 0.0)
    if dispatch > LONGEST_S:
        return f"{dispatch:.3g} s for the dispatch of an operator"
    return ""


def _far(fit: PlatformFit) -> str:
    """Which cost lies far from all known machines; empty where none does."""
    dispatch = fit.law.parameters_.get("n_ops", 0.0)
    if 0 < dispatch < SHORTEST_S:
        return f"{dispatch:.3g} s for the dispatch of an operator"
    costs = fit.law.parameters_
    if not any(value for name, value in costs.items() if name not in ("overlap", "intercept", "n_ops")):
        return "nothing that a MAC or a byte costs could be seen"
    if not (isinstance(fit.model, CorrectedModel) and isinstance(fit.known, Known)):
        return ""
    reference = fit.known.reference.costs_
    ratio = pd.Series(np.abs(np.log(fit.model.structure_.costs_ / reference)), index=reference.index)
    if ratio.max() > math.log(FAR):
        name = str(ratio.idxmax())
        return f"{name} costs {fit.model.structure_.costs_[name] / reference[name]:.3g} times what other machines pay"
    return ""
