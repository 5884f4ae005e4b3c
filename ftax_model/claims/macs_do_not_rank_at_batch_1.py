"""MACs do not rank models as latency does at batch 1."""

from __future__ import annotations

from ftax_model.claims._ranking import GOOD, Ranking


class MacsDoNotRankAtBatch1(Ranking):
    """MACs against latency, whatever the regime."""

    statement = "At batch 1 MACs fail to predict latency across models"
    source = "introduction; figure 1"
    test = "a case is one framework and precision: Spearman correlation of MACs with latency at batch 1 is below 0.8"
    lacking = "no framework with six models of three architectures at batch 1 whose MACs are known"
    column = "macs"
    wanted = (-1.0, GOOD)
