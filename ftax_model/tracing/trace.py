"""From a module or a workload to its trace; importing this imports no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

from ftax_model import architectures
from ftax_model.architectures import Architecture
from ftax_model.errors import InputError
from ftax_model.operators import Trace
from ftax_model.tracing._bounds import ALONE, bounded
from ftax_model.workload import Workload


class ValuesError(InputError):
    """A module that asks for values which the meta device does not hold; it can be traced on real tensors."""


def trace(module: Any, inputs: Any) -> Trace:
    """The operators that eager mode dispatches for one call of a module, in order.

    ``inputs`` are those of the call: a mapping of names, a list or tuple in order, or the only one.

    The module runs once, where it is: on the meta device that costs no memory and no arithmetic, and the counts are
    the same as on a real one. Values that the module makes from nothing (positions) are known there; a question about
    others (``if mask.all()``) is answered with no, which is true of a padding mask. Where a number is asked for, a
    module on the meta device runs once more on random weights, if its inputs have values (``Trace.way`` says so); if
    they have none it raises `ValuesError`, and the module must be traced on real tensors. Whatever goes wrong in the
    module is an `InputError`. A module that is a `Trace` itself is believed.

    What counts: views and bare allocations are left out, and what eager dispatches as one fused kernel (attention,
    LSTM) is one operator. MACs are those of products and convolutions, with both products of attention, masked or not,
    and half the usual 5 N log2 N operations of a Fourier transform; formulas that others registered with torch
    (``torch.utils.flop_counter.register_flop_formula``) count too.
    """
    if isinstance(module, Trace):
        return module
    from ftax_model.tracing._recorder import can_draw, record

    try:
        return record(module, inputs)
    except ValuesError:
        if not can_draw(module, inputs):
            raise
    return record(module, inputs, draw=True)


def tensors_in(leaf: Any) -> list[Any]:
    """The tensors in a part of a module's inputs: itself, or within an object of any kind, a cache for example."""
    from torch import Tensor
    from torch.nn import Module

    found: dict[int, Any] = {}
    seen, to_see = set[int](), [leaf]
    while to_see:
        one = to_see.pop()
        if id(one) in seen or isinstance(one, Module | type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            found[id(one)] = one
        elif isinstance(one, Mapping):
            to_see += [*one.values()][::-1]
        elif isinstance(one, list | tuple):
            to_see += one[::-1]
        else:
            to_see += [*getattr(one, "__dict__", {}).values()][::-1]
    return [*found.values()]


@lru_cache(maxsize=256)
def trace_workload(workload: Workload) -> Trace:
    """The trace of a workload, built on the meta device; raises `InputError` for a workload that cannot be completed.

    Examples
    --------
    >>> trace_workload(Workload("toy", {"num_layers": 3, "width": 8}, batch_size=2)).features()["macs"]
    384.0
    """
    full = architectures.complete(workload)
    if full != workload:
        return trace_workload(full)
    architecture = architectures.load(full.architecture)
    try:
        with ALONE, _meta_device(architecture), bounded():
            module, inputs = architecture.build(full)
    except (RuntimeError, TypeError, OverflowError) as error:  # what torch raises of sizes that it cannot hold
        why = f"{architectures.label(full)}: {type(error).__name__}: {error}".partition("\n")[0]
        raise InputError("a workload is one that can be built", why, "choose other sizes") from error
    with bounded():
        return trace(module, inputs)


def params(workload: Workload) -> int:
    """Elements of the parameters of a completed workload, which is built on the meta device and not called."""
    architecture = architectures.load(workload.architecture)
    with ALONE, _meta_device(architecture), bounded():
        module, _ = architecture.build(workload)
    return module.params if isinstance(module, Trace) else sum(own.numel() for own in module.parameters())


def _meta_device(architecture: Architecture) -> AbstractContextManager[object]:
    if "torch" not in architecture.preload:
        return contextlib.nullcontext()
    import torch

    return torch.device("meta")  # type: ignore[no-any-return]
