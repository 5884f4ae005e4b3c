"""SqueezeBERT has fewer MACs than BERT and is about as slow."""

from __future__ import annotations

import math

from ftax_model.claims._base import FLAT
from ftax_model.claims._variants import Variant


class SqueezebertIsNoFasterThanBert(Variant):
    """SqueezeBERT beside BERT-Base."""

    statement = "SqueezeBERT has a third of the MACs of BERT-Base and hardly less latency at batch 1"
    source = "figure 1"
    test = "a case is one input size and precision in eager mode: fewer MACs, and at least 0.8 of the latency"
    lacking = "no SqueezeBERT and BERT-Base with one input size at batch 1 in eager mode"
    variant, original = ("squeezebert",), "bert-base"
    wanted = (1 / FLAT, math.inf)
    plan = (
        {"architecture": ["bert", "squeezebert"], "input_size": 32, "batch_size": 1, "frameworks": "eager"},
        {"architecture": ["bert", "squeezebert"], "batch_size": 1, "frameworks": "eager", "on": "cuda"},
    )
