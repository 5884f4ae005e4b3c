"""Depth costs latency where models are compute-bound."""

from __future__ import annotations

import math

import pandas as pd

from ftax_model.claims import _sizes
from ftax_model.claims._base import FLAT, RatioClaim
from ftax_model.claims._seen import Seen


class DepthCostsWhenComputeBound(RatioClaim):
    """A deep model beside a shallow one."""

    statement = "Where models are compute-bound, latency grows with depth"
    source = "section 3; section 4.2"
    test = (
        "a case is two models that differ in depth alone, both compute-bound, at the largest batch size: "
        "with each doubling of the layers latency grows to 1.25 times or more"
    )
    lacking = "no two models that differ in depth alone, both compute-bound by their sweeps"
    wanted = (FLAT, math.inf)
    plan = _sizes.PLAN

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The deepest beside the shallowest."""
        return _sizes.grown(seen, _sizes.DEPTH, regime="compute-bound", batch_size=None)
