"""ONNX Runtime is faster than eager PyTorch at batch 1."""

from __future__ import annotations

from ftax_model.claims._crossing import FasterAtBatchOne


class OnnxruntimeIsFasterAtBatch1(FasterAtBatchOne):
    """One model at batch 1 in two frameworks."""

    statement = "At batch 1 ONNX Runtime is faster than eager PyTorch"
    source = "section 4.1; figure 4"
    frameworks = ("onnxruntime",)
