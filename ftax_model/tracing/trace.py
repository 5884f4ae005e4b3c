"""From a module or a workload to its trace; importing this imports no torch."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from ftax_model import architectures, plugins
from ftax_model.architectures import Architecture
from ftax_model.errors import InputError
from ftax_model.operators import Operator, Trace
from ftax_model.workload import DTYPES, Workload


def trace(module: Any, inputs: Any) -> Trace:
    """The operators that eager mode dispatches for one call of a module, in order.

    ``inputs`` are those of the call: a mapping of names, a list or tuple in order, or the only one.

    The module runs once, where it is: on the meta device that costs no memory and no arithmetic, and the counts are
    the same as on a real one. Values that the module makes from nothing (positions) are known there; a question about
    others (``if mask.all()``) is answered with no, which is true of a padding mask; one for a number raises
    `InputError`, and the module must be traced on real tensors, as does whatever goes wrong in the module. A module
    that is a `Trace` itself is believed.

    What counts: views and bare allocations are left out, and what eager dispatches as one fused kernel (attention,
    LSTM) is one operator. MACs are those of products and convolutions, with both products of attention, masked or not,
    and half the usual 5 N log2 N operations of a Fourier transform; formulas that others registered with torch
    (``torch.utils.flop_counter.register_flop_formula``) count too.
    """
    if isinstance(module, Trace):
        return module
    from ftax_model.tracing._recorder import record

    if isinstance(inputs, Mapping):
        return record(module, (), inputs)
    return record(module, inputs if isinstance(inputs, list | tuple) else (inputs,), {})


@lru_cache(maxsize=256)
def trace_workload(workload: Workload) -> Trace:
    """The trace of a workload, built on the meta device; raises `InputError` for a workload that cannot be completed.

    >>> trace_workload(Workload("toy", {"num_layers": 3, "width": 8}, batch_size=2)).features()["macs"]
    384.0
    """
    full = architectures.complete(workload)
    if full != workload:
        return trace_workload(full)
    architecture = architectures.load(full.architecture)
    with _meta_device(architecture):
        module, inputs = architecture.build(full)
    return trace(module, inputs)


def trace_sweep(workload: Workload, batch_sizes: Iterable[int]) -> dict[int, Trace]:
    """The traces of a workload at several batch sizes, from no more than three that are really taken.

    From batch size 2 on all that a trace counts lies on straight lines (see `along`); batch size 1 stands apart.
    """
    return along(lambda size: trace_workload(workload.with_batch_size(size)), batch_sizes)


def along(traced: Callable[[int], Trace], batch_sizes: Iterable[int]) -> dict[int, Trace]:
    """Traces by batch size, from a function that takes one: those of 1, 2 and 3 are taken, the others follow.

    Every extent and count of an operator grows by the same amount from one batch size to the next; what it gathers from
    a table ends with the whole table. Where the operators of 2 and 3 are not the same ones, each size is taken.
    """
    sizes = list(dict.fromkeys(batch_sizes))
    if max(sizes) <= _LINE[-1] or len(sizes) == 1:
        return {size: traced(size) for size in sizes}
    two, three = (traced(size) for size in _LINE)
    alike = len(two.operators) == len(three.operators) and all(
        one.kind == other.kind for one, other in zip(two.operators, three.operators, strict=True)
    )
    if not alike:
        return {size: traced(size) for size in sizes}
    return {size: traced(size) if size < _LINE[0] else _on_line(two, three, size) for size in sizes}


class ModuleSweep:
    """The traces of ``module(**inputs)`` at any batch sizes; the inputs are cut or repeated along their first axis.

    ``batch_size`` is that of the inputs: the extent of most of their first axes; tensors of another one are left as
    they are. ``dtype`` is that of the parameters. Raises `InputError` where no input is a tensor with an axis.
    """

    def __init__(self, module: Any, inputs: Mapping[str, Any]) -> None:
        firsts = [len(value) for value in inputs.values() if getattr(value, "ndim", 0)]
        if not firsts:
            got = f"{', '.join(inputs) or 'nothing'}"
            raise InputError("inputs are tensors by the names of arguments", got, "give those of one call")
        self.batch_size = Counter(firsts).most_common(1)[0][0]
        dtypes = [str(one.dtype).removeprefix("torch.") for one in module.parameters() if one.is_floating_point()]
        self.dtype = Counter(dtypes).most_common(1)[0][0] if dtypes else "float32"
        plugins.check(self.dtype, DTYPES, what="dtype of a module")
        self._module, self._inputs = module, dict(inputs)

    def __call__(self, batch_sizes: Iterable[int]) -> dict[int, Trace]:
        """The trace at each of these batch sizes."""
        return along(lambda size: trace(self._module, self._resized(size)), batch_sizes)

    def _resized(self, size: int) -> dict[str, Any]:
        return {
            name: value[[0] * size] if getattr(value, "ndim", 0) and len(value) == self.batch_size else value
            for name, value in self._inputs.items()
        }


_LINE = (2, 3)
_LOOKUPS = ("embedding", "index_select")


def _on_line(two: Trace, three: Trace, size: int) -> Trace:
    pairs = zip(two.operators, three.operators, strict=True)
    return Trace(tuple(_operator_on_line(one, other, size) for one, other in pairs), two.params)


def _operator_on_line(two: Operator, three: Operator, size: int) -> Operator:
    values = {
        field.name: _value_on_line(getattr(two, field.name), getattr(three, field.name), size)
        for field in dataclasses.fields(Operator)
    }
    found = Operator(**values)
    return dataclasses.replace(found, weight_bytes=_rows_read(two, found)) if two.kind in _LOOKUPS else found


def _rows_read(two: Operator, found: Operator) -> int:
    """Bytes of weights that a lookup reads: as much of its table as it puts out, and what it reads besides."""
    itemsize = two.activation_bytes // max(two.output_elements, 1)
    table = math.prod(two.inputs[0]) * itemsize
    besides = two.weight_bytes - min(table, two.output_elements * itemsize)
    return min(table, found.output_elements * itemsize) + besides if besides >= 0 else found.weight_bytes


def _value_on_line(two: Any, three: Any, size: int) -> Any:
    if isinstance(two, Mapping):
        return {name: _value_on_line(two[name], three[name], size) for name in two}
    if isinstance(two, tuple):
        return tuple(_value_on_line(one, other, size) for one, other in zip(two, three, strict=True))
    if isinstance(two, int) and not isinstance(two, bool):
        return two + (size - _LINE[0]) * (three - two)
    return two


def _meta_device(architecture: Architecture) -> AbstractContextManager[object]:
    if "torch" not in architecture.preload:
        return contextlib.nullcontext()
    import torch

    return torch.device("meta")  # type: ignore[no-any-return]
