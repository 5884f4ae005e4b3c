"""Half precision stays framework-bound up to larger batch sizes than single precision."""

from __future__ import annotations

from ftax_model.claims._base import Case, Claim, models
from ftax_model.claims._crossing import crossing, later
from ftax_model.claims._seen import Seen
from ftax_model.dataset import by_name


class HalfPrecisionCrossesLater(Claim):
    """Crossovers in two precisions."""

    statement = "In half precision models are framework-bound up to larger batch sizes than in single precision"
    source = "section 4, analysis"
    test = "a case is one model in one framework: its crossover in half precision is later, beyond both intervals"
    lacking = "no sweep in half and in single precision of which either is framework-bound at batch 1"
    plan = (
        {
            "architecture": "bert",
            "preset": "bert-tiny",
            "input_size": 16,
            "dtype": ["float32", "bfloat16"],
            "batch_size": [1, 2, 4, 8, 16],
            "frameworks": ["eager", "torchscript"],
            "on": "cpu",
        },
        {
            "architecture": ["bert", "resnet"],
            "dtype": ["float32", "float16"],
            "batch_size": [1, 4, 16, 64],
            "frameworks": ["eager", "torchscript", "onnxruntime"],
            "on": "cuda",
        },
    )

    def cases(self, seen: Seen) -> list[Case]:
        """Half beside single precision; sweeps that are compute-bound from batch 1 in both say nothing."""
        rows = models(seen.crossovers)
        half, single = rows[rows["dtype"].isin(["float16", "bfloat16"])], rows[rows["dtype"] == "float32"]
        pairs = by_name(crossing(half, single, but="dtype"))
        found = (
            later(row, f"{row['model']}, {row['framework']}: octaves from {row['dtype_other']} to {row['dtype']}")
            for row in pairs
        )
        return [case for case in found if case]
