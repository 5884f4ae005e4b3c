"""What the architectures that are torch modules share: a module and its inputs are made apart."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from ftax_model.architectures._base import Architecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload

FEWEST_VALUES = 128
"""Values of a channel from which the statistics of a batch normalisation are taken, at least."""


class TorchArchitecture(Architecture):
    """A torch module that takes any batch size; subclasses write `module` and `inputs`, for a completed workload."""

    @abstractmethod
    def module(self, workload: Workload) -> Any:
        """The module, in any precision."""

    @abstractmethod
    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Its keyword inputs, batch dimension first."""

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The module in evaluation mode and in the workload's precision, and its inputs.

        Batch normalisations have the statistics of random inputs (`set_statistics`).
        """
        import torch

        module = self.module(workload).to(torch.get_default_device(), getattr(torch, workload.dtype)).eval()
        set_statistics(module, lambda size: self.inputs(dataclasses.replace(workload, batch_size=size)))
        return module, self.inputs(workload)

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        """As the base says: the module takes any batch size."""
        return self.inputs(workload)


def set_statistics(module: Any, inputs: Callable[[int], dict[str, Any]]) -> None:
    """Give each batch normalisation the statistics of what reaches it in one call, so that unit variance leaves it.

    ``inputs`` makes those of a batch size; on the meta device there are none to take. With the statistics that a norm
    begins with (mean 0, variance 1) activations of deep networks decay layer by layer, down to subnormal numbers, each
    of which costs some CPUs a hundred cycles; a trained network has none.
    """
    import torch

    norms = [part for part in module.modules() if _is_batch_norm(part)]
    if not norms or norms[0].running_mean.is_meta:
        return
    fewest = FEWEST_VALUES

    def look(norm: Any, values: tuple[Any, ...]) -> None:
        nonlocal fewest
        found = values[0].float()
        fewest = min(fewest, found.numel() // found.shape[1])
        apart = [axis for axis in range(found.dim()) if axis != 1]
        variance = found.var(apart, unbiased=False)
        norm.running_mean.copy_(found.mean(apart))
        norm.running_var.copy_(variance)
        if norm.weight is not None:  # else a variance far below eps would stay as small as it is
            norm.weight.copy_(torch.where(variance > 0, (1 + norm.eps / variance).sqrt(), 1.0))

    handles = [part.register_forward_pre_hook(look) for part in norms]
    try:
        with torch.no_grad():
            module(**inputs(2))
            if fewest < FEWEST_VALUES:
                module(**inputs(2 * math.ceil(FEWEST_VALUES / fewest)))
    finally:
        for handle in handles:
            handle.remove()


def _is_batch_norm(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None


def numbers(workload: Workload, *shape: int) -> Any:
    """Normal random numbers of (batch, *shape) in the workload's precision."""
    import torch

    return torch.randn(workload.batch_size, *shape, dtype=getattr(torch, workload.dtype))


def images(workload: Workload, channels: int = 3) -> Any:
    """Random pixels of (batch, channels, input size, input size)."""
    size = input_size(workload)
    return numbers(workload, channels, size, size)


def input_size(workload: Workload) -> int:
    """The input size of a completed workload."""
    assert workload.input_size is not None, "a completed workload has an input size"
    return workload.input_size


def multiple(workload: Workload, unit: int, *, of: str) -> Workload:
    """The workload, if its input size is a multiple of ``unit``, which is called ``of``; else `InputError`."""
    size = input_size(workload)
    if size % unit:
        near = max(unit, round(size / unit) * unit)
        raise InputError(f"the input size of {workload.architecture} is a multiple of {of}", str(size), f"take {near}")
    return workload


def at_least(workload: Workload, least: int) -> Workload:
    """The workload, if its input size is at least ``least``; else `InputError`."""
    size = input_size(workload)
    if size < least:
        raise InputError(
            f"the input size of {workload.architecture} is at least {least}", str(size), "take a larger one"
        )
    return workload
