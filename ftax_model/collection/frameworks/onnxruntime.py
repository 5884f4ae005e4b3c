"""ONNX Runtime: the module exported through torch.onnx, all graph optimisations, inputs and outputs bound."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from ftax_model.collection.frameworks._base import Framework
from ftax_model.collection.frameworks._torch import flat, without_cuda
from ftax_model.device import Device
from ftax_model.errors import MissingError
from ftax_model.workload import Workload

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Onnxruntime(Framework):
    """One session for all batch sizes of a module where the export leaves that dimension free, else one for each."""

    preload = ("torch", "onnx", "onnxscript", "onnxruntime")

    def __init__(self) -> None:
        self._model: Any = None
        self._session: Any = None

    def version(self) -> str:
        """Version of ONNX Runtime, whichever of its builds is installed."""
        for build in metadata.packages_distributions().get("onnxruntime", ()):
            return metadata.version(build)
        raise MissingError("ONNX Runtime is installed", "no onnxruntime", "pip install onnxruntime")

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and a GPU needs the CUDA provider and a torch that puts the inputs there."""
        reason = super().supports(workload, device) or without_cuda(device)
        if reason:
            return reason
        import onnxruntime

        provider = PROVIDERS[device.kind]
        return None if provider in onnxruntime.get_available_providers() else f"this ONNX Runtime has no {provider}"

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A run of the session on bound inputs; it returns the outputs as ``OrtValue``."""
        if self._model is model:
            return _bound(self._session, inputs, device)
        session = _free_session(model, inputs, device)
        if session is None:
            return _bound(_session(model, inputs, device, free=False), inputs, device)
        self._model, self._session = model, session
        return _bound(session, inputs, device)

    def synchronize(self) -> None:
        """Wait for the GPU; a run waits by itself, for run options that say otherwise cost 45 microseconds a run."""
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.synchronize()


def _free_session(model: Any, inputs: dict[str, Any], device: Device) -> Any:
    """A session with a free batch dimension, exported at one batch size and tried at another; ``None`` if it fails."""
    import torch

    sizes = {value.shape[0] if value.dim() else None for value in inputs.values()}
    size = sizes.pop()
    if sizes or size is None:
        return None
    rows = torch.arange(3 if size == 2 else 2) % size
    example = {name: value[rows.to(value.device)] for name, value in inputs.items()}
    try:
        session = _session(model, example, device, free=True)
        _bound(session, inputs, device)()
    except Exception:
        return None
    return session


def _session(model: Any, inputs: dict[str, Any], device: Device, *, free: bool) -> Any:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    provider = PROVIDERS[device.kind]
    settings = {}
    if device.kind == "cuda":
        onnxruntime.preload_dlls()
        settings["use_tf32"] = str(int(torch.get_float32_matmul_precision() != "highest"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        _export(model, inputs, file, free=free)
        session = onnxruntime.InferenceSession(str(file), options, providers=[(provider, settings)])
    if provider not in session.get_providers():
        raise NotImplementedError(f"{provider} does not load: {', '.join(session.get_providers())} took its place")
    return session


def _export(model: Any, inputs: dict[str, Any], file: Path, *, free: bool) -> None:
    """Write the module as ONNX: by tracing, some eight times faster, or else by torch.export, which knows more.

    Raises `NotImplementedError` where neither can.
    """
    import torch

    module, values, names = flat(model, inputs), tuple(inputs.values()), list(inputs)
    axes = {0: "batch"} if free else {}
    with torch.no_grad(), _quiet():
        try:
            torch.onnx.export(
                module, values, str(file), dynamo=False, input_names=names, dynamic_axes=dict.fromkeys(names, axes)
            )
        except Exception:
            shapes = (tuple(axes for _ in names),) if free else None
            try:
                torch.onnx.export(
                    module, values, str(file), dynamo=True, input_names=names, dynamic_shapes=shapes, verbose=False
                )
            except torch.onnx.OnnxExporterError as error:
                raise NotImplementedError(f"torch.onnx cannot export it: {error}") from error


def _bound(session: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
    """A run on inputs that stay where they are, and outputs that stay on the device."""
    binding = session.io_binding()
    values = {node.name: inputs[node.name].contiguous() for node in session.get_inputs()}
    for name, value in values.items():
        binding.bind_input(name, device.kind, 0, _element_type(value), tuple(value.shape), value.data_ptr())
    for node in session.get_outputs():
        binding.bind_output(node.name, device.kind)
    run, outputs = session.run_with_iobinding, binding.get_outputs

    def call(_alive: object = values) -> Any:
        run(binding)
        return outputs()

    return call


def _element_type(value: Any) -> int:
    import onnx
    import torch

    types = onnx.TensorProto
    known = {
        torch.float32: types.FLOAT,
        torch.float16: types.FLOAT16,
        torch.bfloat16: types.BFLOAT16,
        torch.int64: types.INT64,
        torch.int32: types.INT32,
        torch.bool: types.BOOL,
    }
    if value.dtype not in known:
        raise NotImplementedError(f"an input of {value.dtype} cannot be bound")
    return int(known[value.dtype])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter prints (from C++ too) and its warnings to itself; errors come through."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nowhere, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
