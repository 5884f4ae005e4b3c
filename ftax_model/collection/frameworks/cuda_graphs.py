"""CUDA graphs: eager PyTorch captured once, then one launch for all kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._torch import TorchFramework, captured
from ftax_model.device import Device


class CudaGraphs(TorchFramework):
    """``torch.cuda.CUDAGraph``: warmed up on a side stream, captured, replayed; anew for every batch size.

    The graph reads inputs of its own, copied once, and always writes the same outputs.
    """

    devices = ("cuda",)

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A replay of the graph, which returns its outputs.

        Raises `NotImplementedError` where the module does what a graph cannot hold, such as waiting for the GPU.
        """
        held = {name: value.clone() for name, value in inputs.items()}
        graph, outputs = captured(functools.partial(model, **held))
        replay = graph.replay

        def run(_alive: object = held) -> Any:
            replay()
            return outputs

        return run

    def graph(self, call: Callable[[], Any]) -> Callable[[], object] | None:
        """The call itself."""
        return call
