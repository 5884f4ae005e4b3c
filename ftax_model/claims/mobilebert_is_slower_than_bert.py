"""MobileBERT has fewer MACs than BERT and is slower."""

from __future__ import annotations

from ftax_model.claims._variants import Variant


class MobilebertIsSlowerThanBert(Variant):
    """MobileBERT beside BERT-Base."""

    statement = "MobileBERT has fewer MACs than BERT-Base and is slower at batch 1"
    source = "figure 1"
    test = "a case is one input size and precision in eager mode: fewer MACs, and latency higher beyond the floor"
    lacking = "no MobileBERT and BERT-Base with one input size at batch 1 in eager mode"
    variant, original = ("mobilebert",), "bert-base"
    plan = (
        {"architecture": ["bert", "mobilebert"], "input_size": 32, "batch_size": 1, "frameworks": "eager"},
        {"architecture": ["bert", "mobilebert"], "batch_size": 1, "frameworks": "eager", "on": "cuda"},
    )
