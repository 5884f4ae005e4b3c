"""MACs do not rank models as latency does where they are framework-bound."""

from __future__ import annotations

from ftax_model.claims._ranking import GOOD, Ranking


class MacsDoNotRankWhenFrameworkBound(Ranking):
    """MACs against latency."""

    statement = "Where models are framework-bound, MACs are a poor proxy for latency"
    source = "introduction; figure 1, of models whose regime it does not tell"
    test = "a case is one framework and precision: Spearman correlation of MACs with latency at batch 1 is below 0.8"
    lacking = "no framework with six framework-bound models of three architectures whose MACs are known"
    column, regime = "macs", "framework-bound"
    wanted = (-1.0, GOOD)
