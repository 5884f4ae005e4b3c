"""Builders: what makes the module of a workload and its inputs; an architecture, or what reads a model from outside.

They trust what they are given: who collects has asked (`ftax_model.outside.check_trust`).
"""

from __future__ import annotations

import abc
import copy
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from ftax_model import architectures, outside
from ftax_model.tracing import BatchAxis, ModuleSweep, sources
from ftax_model.tracing.trace import tensors_in
from ftax_model.workload import Workload

FORMS: Mapping[str, str] = {
    "module": "a module",
    "trace": "a trace",
    "script": "a TorchScript file",
    "graph": "an ONNX file",
}
"""What builders give in the place of a module, and what that is called."""


class Builder(Protocol):
    """What builds workloads: every `Architecture`, and one for each kind of model from outside.

    One serves the batch sizes of one model.
    """

    @property
    def form(self) -> str:
        """What it gives, one of `FORMS`."""

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that it imports."""

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """As `Architecture` says."""

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        """As `Architecture` says."""


def builder(workload: Workload) -> Builder:
    """What builds a workload; raises `InputError` for an architecture that is not there."""
    return _KINDS[workload.architecture]() if outside.is_one(workload) else architectures.load(workload.architecture)


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file in the place of a module: its graph runs as it is, with the weights that it holds."""

    path: Path


class _Outside(abc.ABC):
    """Builds a module from outside once, with the inputs of one call, which are cut or repeated for each batch size."""

    form: ClassVar[str] = "module"
    preload: ClassVar[tuple[str, ...]] = ("torch",)

    @abc.abstractmethod
    def made(self, workload: Workload) -> tuple[Any, Any, BatchAxis]:
        """The module in evaluation mode, with weights, the inputs of one call in any form, and where the batch is."""

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The module, as one that takes tensors by name, and these."""
        import torch

        module, inputs, axis = self.made(workload)
        here = torch.get_default_device()
        self._sweep = ModuleSweep(module.to(here), _moved(inputs, here), axis)
        own = self._sweep.resized(workload.batch_size)
        return _by_name(module, own), _tensors(own)

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        """As `Architecture` says; a module that does not take them says so when it is called."""
        return _tensors(self._sweep.resized(workload.batch_size))


class _Function(_Outside):
    """What a function of the user's builds, with its own weights and inputs."""

    def made(self, workload: Workload) -> tuple[Any, Any, BatchAxis]:
        with sources.function(outside.place(workload, trust=True)) as build:
            module, inputs = build()
            return module.eval(), inputs, None


class _Configuration(_Outside):
    """A model of transformers with random weights, as those of the architectures here."""

    preload = ("torch", "transformers.modeling_utils")

    def made(self, workload: Workload) -> tuple[Any, Any, BatchAxis]:
        import torch

        from ftax_model.architectures._torch import set_statistics
        from ftax_model.tracing import huggingface

        config = huggingface.read_config(outside.place(workload, trust=True))
        with torch.device("cpu"):
            _, inputs, _ = huggingface.called(config, tokens=workload.input_size, dtype=workload.dtype)
        here = torch.get_default_device()
        model = huggingface.build(config, dtype=workload.dtype).to(here)
        model.loss_function = None  # as in `TransformersArchitecture.model`
        inputs = _moved(_drawn(inputs), here)
        set_statistics(model, ModuleSweep(model, inputs).resized)
        return model, inputs, None


class _Program(_Outside):
    """A program of torch.export, as the module that it is; where its batch is not free it takes its own alone."""

    def made(self, workload: Workload) -> tuple[Any, Any, BatchAxis]:
        module, inputs, axis = sources.program(outside.place(workload, trust=True), trust=True)
        for part in module.modules():  # a program refuses to change its mode, which exporters set once more
            part.__dict__.pop("train", None)
            part.__dict__.pop("eval", None)
        return module.eval(), inputs, axis


class _Script(_Outside):
    """A TorchScript file on random inputs of the shapes that were given."""

    form = "script"

    def made(self, workload: Workload) -> tuple[Any, Any, BatchAxis]:
        place = outside.place(workload, trust=True)
        module, inputs = sources.script(place, shapes=outside.shapes(workload), trust=True)
        return module.eval(), _drawn(inputs), None


class _Onnx:
    """An ONNX file and inputs of the shapes that it declares: numbers drawn at random, whole ones that it can take."""

    form = "graph"
    preload = ("torch", "onnx")

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        from ftax_model.tracing.onnx_graph import OnnxSweep

        place = outside.place(workload, trust=True)
        self._sweep = OnnxSweep(place, outside.shapes(workload), outside.values(workload))
        return OnnxFile(Path(place)), self._inputs(workload.batch_size)

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        return self._inputs(workload.batch_size)

    def _inputs(self, batch_size: int) -> dict[str, Any]:
        import torch

        found = {name: _tensor(value) for name, value in self._sweep.inputs(batch_size).items()}
        return cast(dict[str, Any], _moved(_drawn(found), torch.get_default_device()))


_KINDS: Mapping[str, Callable[[], Builder]] = {
    "module": _Function,
    "hf": _Configuration,
    "onnx": _Onnx,
    "export": _Program,
    "torchscript": _Script,
}


def _tensor(array: Any) -> Any:
    import torch

    if array.dtype.name == "bfloat16":  # of no type that torch knows from numpy
        return torch.from_numpy(array.astype("float32")).to(torch.bfloat16)
    return torch.from_numpy(array)


def _drawn(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs whose floating point tensors of zeros are normal random numbers instead."""
    import torch

    def drawn(value: Any) -> Any:
        empty = isinstance(value, torch.Tensor) and value.is_floating_point() and not value.any()
        return torch.randn(value.shape, device=value.device).to(value.dtype) if empty else value

    return {name: drawn(value) for name, value in inputs.items()}


def _moved(inputs: Any, device: Any) -> Any:
    """Inputs of any form with all tensors in them on a device."""
    memo = {id(one): one.to(device) for one in tensors_in(inputs)}
    return copy.deepcopy(inputs, memo)


def _arguments(inputs: Any) -> list[tuple[str | None, Any]]:
    """The arguments of a call, those given by name with it."""
    if isinstance(inputs, Mapping):
        return [(str(name), value) for name, value in inputs.items()]
    return [(None, value) for value in (inputs if isinstance(inputs, list | tuple) else [inputs])]


def _named(inputs: Any) -> Iterator[tuple[str | None, Any, dict[str, Any]]]:
    """Each argument of a call: what it is given by, itself, and the tensors in it by names of their own."""
    import torch

    for at, (keyword, value) in enumerate(_arguments(inputs)):
        name = keyword or f"input_{at}"
        if isinstance(value, torch.Tensor):
            yield keyword, value, {name: value}
        else:
            yield keyword, value, {f"{name}_{i}": one for i, one in enumerate(tensors_in(value))}


def _tensors(inputs: Any) -> dict[str, Any]:
    """All tensors in the inputs of a call, by name."""
    return {name: one for _, _, own in _named(inputs) for name, one in own.items()}


def _by_name(module: Any, inputs: Any) -> Any:
    """A module that takes the tensors in ``inputs`` by name alone; all else in them stays as it is."""
    import torch

    parts = list(_named(inputs))
    if all(keyword is not None and isinstance(value, torch.Tensor) for keyword, value, _ in parts):
        return module
    fills = [(keyword, _fill(value, own)) for keyword, value, own in parts]

    class ByName(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, **tensors: Any) -> Any:
            made = [(keyword, fill(tensors)) for keyword, fill in fills]
            by_name = {keyword: value for keyword, value in made if keyword is not None}
            return self.module(*(value for keyword, value in made if keyword is None), **by_name)

    found = ByName()
    found.training = False
    return found


def _fill(value: Any, own: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """What makes an argument of tensors by name: itself, or a copy round them, for a call may change it (a cache)."""
    if not own:
        return lambda tensors: value
    if next(iter(own.values())) is value:
        return operator.itemgetter(next(iter(own)))
    places = {name: id(one) for name, one in own.items()}
    return lambda tensors: copy.deepcopy(value, {at: tensors[name] for name, at in places.items()})
