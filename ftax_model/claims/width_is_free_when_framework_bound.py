"""Width costs nothing where models are framework-bound."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims import _sizes
from ftax_model.claims._base import FLAT, RatioClaim
from ftax_model.claims._seen import Seen


class WidthIsFreeWhenFrameworkBound(RatioClaim):
    """A wide model beside a narrow one."""

    statement = "Where models are framework-bound, they can be made wider at no cost in latency"
    source = "section 3; table 1"
    test = (
        "a case is two models that differ in width alone, both framework-bound at batch 1: with each doubling of the "
        "width latency grows by under a quarter"
    )
    lacking = (
        "no two models that differ in width alone, both framework-bound by their sweeps (table 1 is a claim itself)"
    )
    wanted = (0.0, FLAT)
    plan = _sizes.PLAN

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """The widest beside the narrowest."""
        return _sizes.grown(seen, _sizes.WIDTH, regime="framework-bound")
