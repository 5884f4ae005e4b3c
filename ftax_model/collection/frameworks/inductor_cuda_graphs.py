"""Inductor whose kernels are launched together, as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks.inductor import Inductor
from ftax_model.device import Device


class InductorCudaGraphs(Inductor):
    """``mode="reduce-overhead"``, with torch's own management of graphs: what people deploy, its Python included."""

    devices = ("cuda",)
    options = {"cuda": {"triton.cudagraphs": True}}
    calls_to_settle = 4
    """One compiles, one warms up, one records, and one is played back."""

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """As the base says; raises `NotImplementedError` where torch leaves the graphs out."""
        from torch._dynamo.utils import counters

        counters["inductor"].clear()
        call = super().prepare(model, inputs, device)
        skips = counters["inductor"]["cudagraph_skips"]
        if skips:
            raise NotImplementedError(f"torch.compile leaves {skips} CUDA graphs out")
        return call
