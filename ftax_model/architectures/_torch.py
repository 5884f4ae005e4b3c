"""What the architectures that are torch modules share: a module and its inputs are made apart."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ftax_model.architectures._base import Architecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload


class TorchArchitecture(Architecture):
    """A torch module that takes any batch size; subclasses write `module` and `inputs`, for a completed workload."""

    @abstractmethod
    def module(self, workload: Workload) -> Any:
        """The module, in any precision."""

    @abstractmethod
    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Its keyword inputs, batch dimension first."""

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The module in evaluation mode and in the workload's precision, and its inputs."""
        import torch

        module = self.module(workload).to(torch.get_default_device(), getattr(torch, workload.dtype))
        return module.eval(), self.inputs(workload)

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        """As the base says: the module takes any batch size."""
        return self.inputs(workload)


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
