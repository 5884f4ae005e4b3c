"""ONNX Runtime whose kernels are launched together, as a CUDA graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._onnx import exported
from ftax_model.collection.frameworks.onnxruntime import Onnxruntime
from ftax_model.device import Device


class OnnxruntimeCudaGraphs(Onnxruntime):
    """The provider's ``enable_cuda_graph``: the first run captures, on buffers that stay where they are.

    Shapes are constants: one session for each batch size. ONNX Runtime refuses a session of which any operator would
    run on the CPU.
    """

    devices = ("cuda",)
    takes = ("module",)
    shows_kernels = False
    """A replay under the profiler ends in an unspecified launch failure (ONNX Runtime 1.31, CUDA 13)."""
    provider_options = {"enable_cuda_graph": "1"}

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A run that replays the graph and returns its output buffers."""
        load = functools.partial(self.load, model=model, inputs=inputs, device=device)
        (_, run), _ = exported(model, inputs, load, free=False)
        return run
