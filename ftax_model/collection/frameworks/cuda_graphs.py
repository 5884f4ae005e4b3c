"""CUDA graphs: eager PyTorch captured once, then one launch for all kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._torch import TorchFramework
from ftax_model.device import Device

WARM_UP = 3
"""Calls before the capture, in which libraries choose their kernels and allocate their workspaces."""


class CudaGraphs(TorchFramework):
    """``torch.cuda.CUDAGraph``: warmed up on a side stream, captured, replayed; anew for every batch size.

    The graph reads inputs of its own, copied once, and always writes the same outputs.
    """

    devices = ("cuda",)

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A replay of the graph, which returns its outputs.

        Raises `NotImplementedError` where the module does what a graph cannot hold, such as waiting for the GPU.
        """
        import torch

        held = {name: value.clone() for name, value in inputs.items()}
        call = functools.partial(model, **held)
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                call()
        here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                outputs = call()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            torch.cuda.synchronize()  # a GPU that is lost says so here, in its own words
            raise NotImplementedError(f"a CUDA graph cannot hold it: {error}") from error
        replay = graph.replay

        def run(_alive: object = held) -> Any:
            replay()
            return outputs

        return run
