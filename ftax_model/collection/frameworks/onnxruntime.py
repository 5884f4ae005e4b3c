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
from ftax_model.collection.frameworks._torch import flat, unusable
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
        self._free = False

    def version(self) -> str:
        """Version of ONNX Runtime, whichever of its builds is installed."""
        for build in metadata.packages_distributions().get("onnxruntime", ()):
            return metadata.version(build)
        raise MissingError("ONNX Runtime is installed", "no onnxruntime", "pip install onnxruntime")

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and a GPU needs the CUDA provider and a torch that puts the inputs there."""
        reason = super().supports(workload, device) or unusable(workload, device)
        if reason:
            return reason
        import onnxruntime

        provider = PROVIDERS[device.kind]
        return None if provider in onnxruntime.get_available_providers() else f"this ONNX Runtime has no {provider}"

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A run of the session on bound inputs; it returns the outputs as ``OrtValue``."""
        if self._model is not model or not self._free:
            self._model = model
            self._session, self._free = _session(model, inputs, device)
        return _bound(self._session, inputs, device)

    def synchronize(self) -> None:
        """Wait for the GPU; a run waits by itself, for run options that say otherwise cost 45 microseconds a run."""
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.synchronize()


def _session(model: Any, inputs: dict[str, Any], device: Device) -> tuple[Any, bool]:
    """A session for the model on inputs like these, and whether it takes any batch size.

    Exporting by tracing is some eight times faster; torch.export knows more models. A free batch dimension is exported
    at one batch size and tried at another. Raises `NotImplementedError` where no way leads to a session, `MissingError`
    where the device's provider does not load.
    """
    example = _other_batch(inputs)
    ways = [(True, _by_tracing), (True, _by_program)] if example else []
    for free, export in [*ways, (False, _by_tracing), (False, _by_program)]:
        try:
            session = _loaded(export, model, example if free else inputs, device, free=free)
            _bound(session, inputs, device)()
        except MissingError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            return session, free
    raise NotImplementedError(f"no export through torch.onnx loads and runs; the last one: {reason}")


def _other_batch(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with 2 or 3 rows, another number than they have; none where their first extents differ."""
    import torch

    sizes = {value.shape[0] if value.dim() else 0 for value in inputs.values()}
    if len(sizes) != 1 or 0 in sizes:
        return {}
    size = sizes.pop()
    rows = torch.arange(3 if size == 2 else 2) % size
    return {name: value[rows.to(value.device)] for name, value in inputs.items()}


def _loaded(export: Callable[..., None], model: Any, inputs: dict[str, Any], device: Device, *, free: bool) -> Any:
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
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), _quiet():
        file = Path(folder) / "model.onnx"
        export(flat(model, inputs), tuple(inputs.values()), str(file), names=list(inputs), free=free)
        session = onnxruntime.InferenceSession(str(file), options, providers=[(provider, settings)])
    if provider not in session.get_providers():
        cure = "install the CUDA and cuDNN libraries that this ONNX Runtime wants"
        raise MissingError(f"{provider} loads", f"{', '.join(session.get_providers())} in its place", cure)
    return session


def _by_tracing(module: Any, values: tuple[Any, ...], file: str, *, names: list[str], free: bool) -> None:
    import torch

    axes = {name: {0: "batch"} for name in names} if free else {}
    torch.onnx.export(module, values, file, dynamo=False, input_names=names, dynamic_axes=axes)


def _by_program(module: Any, values: tuple[Any, ...], file: str, *, names: list[str], free: bool) -> None:
    import torch

    shapes = (tuple({0: "batch"} for _ in names),) if free else None
    torch.onnx.export(module, values, file, dynamo=True, input_names=names, dynamic_shapes=shapes, verbose=False)


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
