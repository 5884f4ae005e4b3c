"""What the frameworks share that know torch: inference mode, synchronisation, flat inputs and outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any

from ftax_model.collection.frameworks._base import Framework
from ftax_model.device import Device
from ftax_model.workload import Workload

AS_FAR = 3.0
"""How many times as far from exact outputs as a module's own those of another framework may be."""

WARM_UP = 3
"""Calls before a capture, in which libraries choose their kernels and allocate their workspaces."""


class TorchFramework(Framework):
    """A framework whose callables run on torch; subclasses write `prepare`."""

    def version(self) -> str:
        """Version of torch."""
        return metadata.version("torch")

    def supports(self, workload: Workload, device: Device) -> str | None:
        """As the base says, and what `unusable` says."""
        return super().supports(workload, device) or unusable(workload, device)

    def mode(self) -> AbstractContextManager[object]:
        """Inference mode."""
        import torch

        return torch.inference_mode()  # type: ignore[no-any-return]

    def synchronize(self) -> None:
        """Wait for the GPU."""
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.synchronize()


def captured(call: Callable[[], Any]) -> tuple[Any, Any]:
    """A CUDA graph of one call, which is warmed up on a side stream first, and the outputs that its replays write to.

    Raises `NotImplementedError` where the call does what a graph cannot hold, such as waiting for the GPU.
    """
    import torch

    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            call()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.stream(here), torch.cuda.graph(graph):  # a capture that fails leaves its own stream in place
            outputs = call()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        torch.cuda.synchronize()  # a GPU that is lost says so here, in its own words
        raise NotImplementedError(f"a CUDA graph cannot hold it: {error}") from error
    return graph, outputs


def unusable(workload: Workload, device: Device) -> str | None:
    """The reason why torch cannot run the workload there, or ``None``."""
    if device.kind == "cpu":
        return "float16 is for GPUs; a CPU computes it in float32" if workload.dtype == "float16" else None
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return None if torch.cuda.is_available() else f"torch {torch.__version__} cannot use the GPU"


def tensors(output: Any) -> tuple[Any, ...]:
    """All tensors in an output (a tensor, or tuples, lists and mappings of them), in order."""
    import torch

    if isinstance(output, torch.Tensor):
        return (output,)
    if isinstance(output, Mapping):
        output = output.values()
    if isinstance(output, Iterable) and not isinstance(output, str):
        return tuple(tensor for part in output for tensor in tensors(part))
    return ()


def flat(model: Any, names: Iterable[str]) -> Any:
    """The model as a module in evaluation mode that takes the inputs ``names`` by position and gives `tensors`."""
    import torch

    keywords = tuple(names)

    class Flat(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return tensors(self.model(**dict(zip(keywords, values, strict=True))))

    return Flat().eval()


def distance(found: Iterable[Any], expected: Iterable[Any], inputs: Mapping[str, Any]) -> float:
    """The largest relative difference of outputs, by norm; at tokens alone where ``inputs`` hold a mask of them."""
    mask = inputs.get("attention_mask")

    def shown(output: Any) -> Any:
        if mask is not None and output.shape[:2] == mask.shape:
            output = output[mask.bool()]
        return output.double()

    pairs = [(shown(one), shown(other)) for one, other in zip(found, expected, strict=True)]
    return max(float((one - other).norm() / other.norm().clamp(min=1e-30)) for one, other in pairs)


def check_alike(found: Iterable[Any], expected: Iterable[Any], model: Any, inputs: Mapping[str, Any]) -> None:
    """Raise `NotImplementedError` where outputs differ by more than rounding explains, or are not numbers.

    ``expected`` are the module's own. Half precision loses more the deeper a module is, and a GPU may round the factors
    of float32 to ten bits, as torch does in convolutions by default: outputs that differ are held against those in
    single precision throughout, and may be three times as far from them as the module's own.
    """
    import torch

    found, expected = tuple(found), tuple(expected)
    eps = max((torch.finfo(output.dtype).eps for output in expected if output.is_floating_point()), default=0.0)
    apart = distance(found, expected, inputs)
    if apart <= max(1e-3, 30 * eps):
        return
    rounded = eps > torch.finfo(torch.float32).eps or any(output.is_cuda for output in expected)
    exact = _exactly(model, inputs) if rounded else expected
    if not distance(found, exact, inputs) <= AS_FAR * distance(expected, exact, inputs):
        raise NotImplementedError(f"its outputs are not those of the module: they differ by {apart:.2g}")


def _exactly(model: Any, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Outputs of the module in single precision, with no factor rounded further."""
    import torch

    wide = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    precision, rounded = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            return tensors(copy.deepcopy(model).float()(**wide))
    finally:
        torch.backends.cudnn.allow_tf32 = rounded
        torch.set_float32_matmul_precision(precision)
