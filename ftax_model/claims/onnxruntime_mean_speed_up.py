"""ONNX Runtime takes 71.38 % of the latency of eager PyTorch away at batch 1 in half precision, on average."""

from __future__ import annotations

from ftax_model.claims._crossing import MeanSpeedUp


class OnnxruntimeMeanSpeedUp(MeanSpeedUp):
    """A mean over models."""

    statement = "At batch 1 in half precision ONNX Runtime is 71.38 % faster than eager PyTorch, on average"
    framework = "onnxruntime"
    said = 0.7138
