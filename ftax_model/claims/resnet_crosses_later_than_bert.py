"""Convolutional and transformer networks cross over at different batch sizes: ResNet-50 later than BERT-Base."""

from __future__ import annotations

from ftax_model.claims._base import Case, Claim
from ftax_model.claims._crossing import later
from ftax_model.claims._seen import Seen
from ftax_model.dataset import by_name


class ResnetCrossesLaterThanBert(Claim):
    """Crossovers of two models."""

    statement = "The narrower, deeper ResNet-50 is framework-bound up to larger batch sizes than the wider BERT-Base"
    source = "conclusion; figure 4"
    test = (
        "a case is one framework and precision: the crossover of ResNet-50 (224 pixels) is later than that of "
        "BERT-Base (128 tokens), beyond both intervals"
    )
    lacking = "no sweeps of ResNet-50 at 224 pixels and BERT-Base at 128 tokens, or both compute-bound from batch 1"
    alone = True
    units = "pair of models"
    plan = (
        {
            "architecture": ["bert", "resnet"],
            "dtype": ["float32", "float16"],
            "batch_size": [1, 4, 16, 64],
            "frameworks": ["eager", "torchscript", "onnxruntime"],
            "on": "cuda",
        },
    )

    def cases(self, seen: Seen) -> list[Case]:
        """ResNet-50 beside BERT-Base."""
        rows = seen.crossovers
        resnet = rows[(rows["published"] == "resnet-50") & (rows["input_size"] == 224)]
        bert = rows[(rows["published"] == "bert-base") & (rows["input_size"] == 128)]
        on = ["setup", "framework", "device", "dtype", "threads"]
        pairs = by_name(resnet.merge(bert, on=on, suffixes=("", "_other")))
        found = (later(row, f"{row['framework']}, {row['dtype']}: octaves from BERT to ResNet") for row in pairs)
        return [case for case in found if case]
