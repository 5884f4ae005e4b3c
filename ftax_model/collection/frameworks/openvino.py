"""OpenVINO: a static runtime for CPUs, given the module's ONNX export."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from ftax_model.collection.builders import OnnxFile
from ftax_model.collection.frameworks._base import Framework
from ftax_model.collection.frameworks._onnx import exported
from ftax_model.collection.frameworks._torch import check_alike, tensors, unusable
from ftax_model.device import Device
from ftax_model.workload import Workload

PRECISIONS = {"torch.float32": "f32", "torch.bfloat16": "bf16"}
"""Names of OpenVINO for the types it is told to compute in; left alone it takes bfloat16 wherever the CPU has it."""


class Openvino(Framework):
    """Compiled for latency (one stream, as many threads as torch has), and for the shapes of each batch size anew.

    It reads ONNX, and not the module itself, because OpenVINO's converter of modules reports its use over the network.
    """

    devices = ("cpu",)
    preload = ("torch", "onnx", "onnxscript", "openvino")
    takes = ("module", "graph")

    def __init__(self) -> None:
        self._model: Any = None
        self._graph: Any = None
        self._free = False

    def version(self) -> str:
        """Version of OpenVINO."""
        return metadata.version("openvino")

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and bfloat16 needs a CPU that has it."""
        reason = super().supports(workload, device) or unusable(workload, device)
        if reason is None and workload.dtype == "bfloat16" and "BF16" not in _capabilities():
            return "this CPU has no bfloat16 instructions, and OpenVINO would compute in float32"
        return reason

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """An inference on inputs that stay where they are, into outputs that do too, which it returns."""
        if self._model is model and self._free:
            return _run(self._graph, model, inputs)
        if isinstance(model, OnnxFile):
            self._graph, self._free, self._model = _core().read_model(str(model.path)), True, model
            return _run(self._graph, model, inputs)
        (self._graph, run), self._free = exported(model, inputs, functools.partial(_load, model=model, inputs=inputs))
        self._model = model
        return run


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _capabilities() -> list[str]:
    return list(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _load(file: Path, *, model: Any, inputs: dict[str, Any]) -> tuple[Any, Callable[[], tuple[Any, ...]]]:
    graph = _core().read_model(str(file))
    return graph, _run_as(model, graph, inputs)


def _run(graph: Any, model: Any, inputs: dict[str, Any]) -> Callable[[], Any]:
    """A run of the graph on these inputs: of a file as it is, of a module with its outputs compared."""
    if not isinstance(model, OnnxFile):
        return _run_as(model, graph, inputs)
    dtype = next((str(value.dtype) for value in inputs.values() if str(value.dtype) in PRECISIONS), "torch.float32")
    request, values = _request(graph, inputs, PRECISIONS[dtype])
    infer = functools.partial(request.infer, share_outputs=True)

    def run(_alive: object = values) -> Any:
        return infer()

    return run


def _request(graph: Any, inputs: dict[str, Any], precision: str) -> tuple[Any, list[Any]]:
    """A request of the graph compiled for these inputs and given them, and the memory that it reads."""
    import torch

    graph.reshape({node: list(inputs[node.any_name].shape) for node in graph.inputs})
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = _core().compile_model(graph, "CPU", settings)
    request = compiled.create_infer_request()
    values = [inputs[node.any_name].contiguous() for node in compiled.inputs]
    for node, value in zip(compiled.inputs, values, strict=True):
        request.set_tensor(node, _shared(value))
    return request, values


def _run_as(model: Any, graph: Any, inputs: dict[str, Any]) -> Callable[[], tuple[Any, ...]]:
    """A run of the graph on these inputs; raises `NotImplementedError` where outputs are not those of the module."""
    import torch

    with torch.no_grad():
        expected = tensors(model(**inputs))
    request, values = _request(graph, inputs, PRECISIONS[str(next(model.parameters()).dtype)])
    outputs = tuple(torch.empty_like(output) for output in expected)
    for node, value in zip(request.get_compiled_model().outputs, outputs, strict=True):
        request.set_tensor(node, _shared(value))
    infer = functools.partial(request.infer, share_outputs=True)

    def run(_alive: object = values) -> tuple[Any, ...]:
        infer()
        return outputs

    check_alike(run(), expected, model, inputs)
    return run


def _shared(value: Any) -> Any:
    """A tensor of OpenVINO on the memory of one of torch."""
    import openvino
    import torch

    if value.dtype == torch.bfloat16:  # numpy has none
        return openvino.Tensor(value.view(torch.int16).numpy(), openvino.Shape(value.shape), openvino.Type.bf16)
    return openvino.Tensor(value.numpy(), shared_memory=True)
