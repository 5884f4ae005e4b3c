"""ONNX Runtime: the module exported through torch.onnx, all graph optimisations, inputs and outputs bound."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from ftax_model.collection.builders import OnnxFile
from ftax_model.collection.frameworks._base import Framework
from ftax_model.collection.frameworks._onnx import exported
from ftax_model.collection.frameworks._torch import check_alike, tensors, unusable
from ftax_model.device import Device
from ftax_model.errors import MissingError
from ftax_model.workload import Workload

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Onnxruntime(Framework):
    """One session for all batch sizes of a module where the export leaves that dimension free, else one for each.

    A transformer first goes through ONNX Runtime's own optimiser for transformers, as the model type it knows it by, or
    else as a BERT: it joins attention, embeddings and skip connections with their norms into one operator each where it
    recognises them (of the 202 operators that the session alone leaves in a padded BERT of four layers, 49 remain).
    A session whose outputs are not those of the module is never used: where the optimiser spoils a graph, the graph as
    exported is taken. An ONNX file is opened as it is: there is no export, and nothing to compare.
    """

    takes: ClassVar[tuple[str, ...]] = ("module", "graph")

    preload = ("torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime.transformers.optimizer")

    optimizations: ClassVar[str] = "ORT_ENABLE_ALL"
    """Graph optimisations of the session, as ``GraphOptimizationLevel`` names them."""
    fusions: ClassVar[bool] = True
    """Whether the optimiser for transformers is used."""
    provider_options: ClassVar[Mapping[str, str]] = {}
    """Options of the execution provider beside those of the platform."""

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
        if workload.dtype == "bfloat16" and device.kind == "cpu":
            return "ONNX Runtime has no bfloat16 operators on a CPU"
        import onnxruntime

        provider = PROVIDERS[device.kind]
        return None if provider in onnxruntime.get_available_providers() else f"this ONNX Runtime has no {provider}"

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A run of the session on bound inputs; it returns the outputs as ``OrtValue``."""
        if self._model is not model or not self._free:
            self._session, self._free = self._made(model, inputs, device)
            self._model = model
        if isinstance(model, OnnxFile):
            _check_shapes(self._session, inputs)
        return _bound(self._session, inputs, device)

    def _made(self, model: Any, inputs: dict[str, Any], device: Device) -> tuple[Any, bool]:
        """A session, and whether it takes any batch size."""
        if isinstance(model, OnnxFile):
            return self._open(model.path, device), True
        load = functools.partial(self.load, model=model, inputs=inputs, device=device)
        (session, _), free = exported(model, inputs, load)
        return session, free

    def synchronize(self) -> None:
        """Wait for the GPU; a run waits by itself, for run options that say otherwise cost 45 microseconds a run."""
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.synchronize()

    def load(
        self, file: Path, *, model: Any, inputs: dict[str, Any], device: Device
    ) -> tuple[Any, Callable[[], tuple[Any, ...]]]:
        """A session for the file, and a run of it on fixed buffers, which returns them.

        Raises `NotImplementedError` where its outputs are not those of the module, `MissingError` where the device's
        provider does not load, and whatever ONNX Runtime raises.
        """
        expected = tensors(model(**inputs))
        self.synchronize()
        fused = _fused(file, model) if self.fusions else None
        if fused:
            with suppress(Exception):
                return self._checked(fused, model, inputs, expected, device)
        return self._checked(file, model, inputs, expected, device)

    def _checked(
        self, graph: Path | bytes, model: Any, inputs: dict[str, Any], expected: Sequence[Any], device: Device
    ) -> tuple[Any, Callable[[], tuple[Any, ...]]]:
        import torch

        session = self._open(graph, device)
        run = _bound_to(tuple(torch.empty_like(output) for output in expected), session, inputs, device)
        check_alike(run(), expected, model, inputs)
        return session, run

    def _open(self, graph: Path | bytes, device: Device) -> Any:
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, self.optimizations)
        provider = PROVIDERS[device.kind]
        settings = dict(self.provider_options)
        if device.kind == "cuda":
            onnxruntime.preload_dlls()
            settings["use_tf32"] = str(int(torch.get_float32_matmul_precision() != "highest"))
        session = onnxruntime.InferenceSession(graph, options, providers=[(provider, settings)])
        if provider not in session.get_providers():
            cure = "install the CUDA and cuDNN libraries that this ONNX Runtime wants"
            raise MissingError(f"{provider} loads", f"{', '.join(session.get_providers())} in its place", cure)
        return session


def _fused(file: Path, model: Any) -> bytes | None:
    """The file after the optimiser for transformers; ``None`` for another module, and where the optimiser fails.

    It stays in memory, where a graph may have two gigabytes; larger ones are left as exported.
    """
    configs = (getattr(module, "config", None) for module in model.modules())
    config = next((config for config in configs if hasattr(config, "num_attention_heads")), None)
    if config is None:
        return None
    from onnxruntime.transformers import optimizer

    sizes = {"num_heads": config.num_attention_heads, "hidden_size": getattr(config, "hidden_size", 0)}
    with suppress(Exception):
        graph = optimizer.optimize_model(
            str(file),
            model_type=config.model_type if config.model_type in optimizer.MODEL_TYPES else "bert",
            opt_level=0,  # the session does the rest, for its own device
            **{name: size if isinstance(size, int) else 0 for name, size in sizes.items()},
        )
        content: bytes = graph.model.SerializeToString()
        return content
    return None


def _check_shapes(session: Any, inputs: dict[str, Any]) -> None:
    """Raise `NotImplementedError` where a file fixes other extents than inputs have."""
    for node in session.get_inputs():
        shape = list(inputs[node.name].shape)
        if any(isinstance(fixed, int) and fixed != own for fixed, own in zip(node.shape, shape, strict=False)):
            raise NotImplementedError(f"its input {node.name} is of {node.shape}, not {shape}")


def _bound(session: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
    """A run on inputs that stay where they are, and outputs that stay on the device."""
    binding, held = _with_inputs(session, inputs, device)
    for node in session.get_outputs():
        binding.bind_output(node.name, device.kind)
    run, outputs = session.run_with_iobinding, binding.get_outputs

    def call(_alive: object = held) -> Any:
        run(binding)
        return outputs()

    return call


def _bound_to(
    outputs: tuple[Any, ...], session: Any, inputs: dict[str, Any], device: Device
) -> Callable[[], tuple[Any, ...]]:
    """A run on inputs that stay where they are, which writes to the tensors ``outputs`` and returns them."""
    binding, held = _with_inputs(session, inputs, device)
    for node, output in zip(session.get_outputs(), outputs, strict=True):
        _bind(binding.bind_output, node.name, output, device)
    run = session.run_with_iobinding

    def call(_alive: object = held) -> tuple[Any, ...]:
        run(binding)
        return outputs

    return call


def _with_inputs(session: Any, inputs: dict[str, Any], device: Device) -> tuple[Any, list[Any]]:
    """A binding of the session with its inputs bound, and the tensors it reads, which must stay alive."""
    binding, held = session.io_binding(), []
    for node in session.get_inputs():
        held.append(inputs[node.name].contiguous())
        _bind(binding.bind_input, node.name, held[-1], device)
    return binding, held


def _bind(bind: Callable[..., None], name: str, value: Any, device: Device) -> None:
    bind(name, device.kind, 0, _element_type(value), tuple(value.shape), value.data_ptr())


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
        torch.int8: types.INT8,
        torch.uint8: types.UINT8,
        torch.bool: types.BOOL,
        torch.float64: types.DOUBLE,
    }
    if value.dtype not in known:
        raise NotImplementedError(f"a tensor of {value.dtype} cannot be bound")
    return int(known[value.dtype])
