"""Funnel Transformer has fewer MACs than BERT and is slower."""

from __future__ import annotations

from ftax_model.claims._variants import Variant


class FunnelIsSlowerThanBert(Variant):
    """Funnel beside BERT-Base."""

    statement = "Funnel Transformer has fewer MACs than BERT-Base and is slower at batch 1"
    source = "section 4.2.2; figure 1"
    test = "a case is one input size and precision in eager mode: fewer MACs, and latency higher beyond the floor"
    lacking = "no Funnel (small) and BERT-Base with one input size at batch 1 in eager mode"
    variant, original = ("funnel-small",), "bert-base"
    plan = (
        {"architecture": ["bert", "funnel"], "input_size": 32, "batch_size": 1, "frameworks": "eager"},
        {"architecture": ["bert", "funnel"], "batch_size": 1, "frameworks": "eager", "on": "cuda"},
    )
