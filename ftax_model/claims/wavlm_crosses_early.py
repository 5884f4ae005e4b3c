"""WavLM, which reads long inputs, crosses over at small batch sizes."""

from __future__ import annotations

from ftax_model.claims._base import Case, Claim
from ftax_model.claims._crossing import theirs
from ftax_model.claims._seen import Seen
from ftax_model.dataset import by_name


class WavlmCrossesEarly(Claim):
    """The crossover of WavLM."""

    statement = "WavLM is compute-bound from small batch sizes on: its crossover is below batch 4"
    source = "appendix E"
    test = "a case is one size of WavLM on half a second of audio or more in one framework: its crossover is below 4"
    lacking = "no sweep of WavLM on half a second of audio or more; the paper's figure is not transcribed"
    alone = True
    plan = (
        {
            "architecture": "wavlm",
            "num_layers": 4,
            "hidden_size": 128,
            "num_heads": 4,
            "intermediate_size": 512,
            "conv_channels": 64,
            "input_size": 8000,
            "batch_size": [1, 2, 4, 8],
            "frameworks": ["eager", "onnxruntime"],
            "on": "cpu",
        },
        {"architecture": "wavlm", "batch_size": [1, 2, 4, 8], "frameworks": "eager", "on": "cuda"},
    )

    def cases(self, seen: Seen) -> list[Case]:
        """Crossovers with their intervals."""
        rows = theirs(seen.crossovers)
        rows = rows[(rows["architecture"] == "wavlm") & (rows["input_size"] >= 8000)]
        return [
            Case.within(
                f"{row['model']}, {row['framework']}: crossover batch size",
                row["architecture"],
                row["crossover"],
                (row["low"], row["high"]),
                (0.0, 4.0),
            )
            for row in by_name(rows)
        ]
