"""ONNX Runtime with basic graph optimisations alone: constants folded, what has no effect left out, nothing fused."""

from __future__ import annotations

from ftax_model.collection.frameworks.onnxruntime import Onnxruntime


class OnnxruntimeBasic(Onnxruntime):
    """Graph optimisations of level ``ORT_ENABLE_BASIC``, and no optimiser for transformers."""

    optimizations = "ORT_ENABLE_BASIC"
    fusions = False
