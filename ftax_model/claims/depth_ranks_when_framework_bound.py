"""Depth ranks models as latency does where they are framework-bound."""

from __future__ import annotations

from ftax_model.claims._ranking import GOOD, Ranking


class DepthRanksWhenFrameworkBound(Ranking):
    """Depth against latency."""

    statement = "Where models are framework-bound, depth is a good proxy for latency"
    source = "section 3; section 4.2"
    test = "a case is one framework and precision: Spearman correlation of depth with latency at batch 1 is 0.8 or more"
    lacking = "no framework with six framework-bound models of three architectures whose depth is known"
    column, regime = "depth", "framework-bound"
    wanted = (GOOD, 1.0)
