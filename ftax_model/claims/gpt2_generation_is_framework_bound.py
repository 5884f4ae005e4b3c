"""Writing with GPT-2 is framework-bound at small batch sizes."""

from __future__ import annotations

import pandas as pd

from ftax_model.claims._base import FLAT, RatioClaim, beside
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen


class Gpt2GenerationIsFrameworkBound(RatioClaim):
    """Batch 2 beside batch 1, 16 tokens written."""

    statement = "Latency of writing 16 tokens with GPT-2 is constant at small batch sizes"
    source = "appendix C"
    test = "a case is one size of GPT-2 in one framework: batch 2 takes under 1.25 times as long as batch 1"
    lacking = "no generation with GPT-2 at batch 1 and 2; the paper's figure is not transcribed"
    wanted = (0.0, FLAT)
    alone = True
    plan = (
        {
            "architecture": "gpt2-generate",
            "num_layers": 2,
            "hidden_size": 128,
            "num_heads": 2,
            "intermediate_size": 512,
            "vocab_size": 1024,
            "batch_size": [1, 2],
            "frameworks": ["eager", "torchscript"],
            "on": "cpu",
        },
        {"architecture": "gpt2-generate", "batch_size": [1, 2], "frameworks": "eager", "on": "cuda"},
    )

    def pairs(self, seen: Seen) -> pd.DataFrame:
        """Batch 2 beside batch 1."""
        rows = theirs(seen.rows[seen.rows["architecture"] == "gpt2-generate"])
        return beside(rows[rows["batch_size"] == 2], rows[rows["batch_size"] == 1], but=["batch_size"])
