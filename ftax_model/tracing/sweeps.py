"""Traces at several batch sizes: of a workload, and of any module with the inputs of one call.

What a trace counts lies on straight lines in the batch size; where that is not so, each size is traced.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.operators import Operator, Trace
from ftax_model.tracing.numbers import LOOKUPS
from ftax_model.tracing.trace import tensors_in, trace, trace_workload
from ftax_model.workload import DTYPES, MAX_BATCH_SIZE, Workload, whole


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
    if not _alike(two, three):
        return {size: traced(size) for size in sizes}
    return {size: traced(size) if size < _LINE[0] else _on_line(two, three, size) for size in sizes}


BatchAxis = int | Mapping[str, int | None] | Sequence[int | None] | None
"""The axis of the batch: of all tensors, by the name of an input, of one after the other, or not told."""


class ModuleSweep:
    """The traces of one call of a module at any batch sizes.

    ``inputs`` are as in `trace`, nested as you like: lists, tuples, mappings, and objects such as caches. At
    their own ``batch_size``, which is the first extent of most tensors in them, they are traced as they are; at others
    each tensor is cut or its rows are repeated, along ``batch_axis``: an axis of all of them, one by the name of an
    input, one of each in order (``None`` for what has none; `batch_axes` reads them off what torch.export takes), or if
    it is not given the first axis where that has the extent of the batch, else the only one that has. Those traces are
    taken on the meta device, whatever the size of the batch; where values decide what runs, the module is called
    instead.

    ``own`` is the trace at the inputs' own batch size, if it was taken before. ``dtype`` is that of the parameters.
    Raises `InputError` where no input is a tensor with an axis.
    """

    def __init__(self, module: Any, inputs: Any, batch_axis: BatchAxis = None, *, own: Trace | None = None) -> None:
        from torch.nn import Module
        from torch.utils import _pytree

        if not isinstance(module, Module):
            law, got = "what is called with inputs is an nn.Module", f"a {type(module).__name__}"
            raise InputError(law, got, "give one module at a time; write one round a function")
        paths, self._tree = _pytree.tree_flatten_with_path(inputs)
        names = [str(getattr(path[0], "key", "")) if path else "" for path, _ in paths]
        self._leaves = [(leaf, tensors_in(leaf)) for _, leaf in paths]
        given = self._given(names, batch_axis)
        pairs = [(one, axis) for (_, own), axis in zip(self._leaves, given, strict=True) for one in own]
        firsts = [extent for one, axis in pairs if (extent := _extent(one, axis)) is not None]
        if not firsts:
            got = ", ".join(filter(None, names)) or "none"
            law = "inputs are tensors, by the names of arguments or in their order"
            raise InputError(law, got, "give those of one call")
        self.batch_size: int = Counter(firsts).most_common(1)[0][0]
        guess = batch_axis is None and self.batch_size > 1
        self._axes = [
            [self._axis(one, axis, guess=guess) for one in own]
            for (_, own), axis in zip(self._leaves, given, strict=True)
        ]
        dtypes = [str(one.dtype).removeprefix("torch.") for one in module.parameters() if one.is_floating_point()]
        self.dtype = Counter(dtypes).most_common(1)[0][0] if dtypes else "float32"
        plugins.check(self.dtype, DTYPES, what="dtype of a module")
        self._module, self._inputs, self._own = module, inputs, own
        self._elsewhere = cache(self._on_meta)

    @staticmethod
    def _given(names: list[str], batch_axis: BatchAxis) -> list[int | None]:
        """The axis of each tensor that is looked at for the batch."""
        if isinstance(batch_axis, Mapping):
            for name in batch_axis:
                plugins.check(name, names, what="input")
            return [batch_axis.get(name, 0) for name in names]
        if isinstance(batch_axis, Sequence):
            if len(batch_axis) != len(names):
                law = "an axis of each input is told, None for those without a batch"
                raise InputError(law, f"{len(batch_axis)} axes for {len(names)} inputs", "count them again")
            return [*batch_axis]
        return [batch_axis or 0] * len(names)

    def _axis(self, leaf: Any, axis: int | None, *, guess: bool) -> int | None:
        """The axis of the batch in a tensor, if it has one."""
        if _extent(leaf, axis) == self.batch_size:
            return axis
        own = [at for at, extent in enumerate(getattr(leaf, "shape", ())) if extent == self.batch_size]
        return own[0] if guess and len(own) == 1 else None

    def __call__(self, batch_sizes: Iterable[int], more: Iterable[int] = ()) -> dict[int, Trace]:
        """The trace at each of these batch sizes, and at each of ``more`` where that works.

        From 2 on all that is counted lies on straight lines, where a trace at the largest size and one at the inputs'
        own say so; else each size is traced. Raises `InputError` for a size asked for that cannot be.
        """
        asked = checked_batch_sizes(batch_sizes)
        own = self._own = self._own or trace(self._module, self._inputs)
        others = [size for size in sorted({*asked, *more}) if size != self.batch_size]
        line = self._line(own, others[-1]) if others else None
        found = {self.batch_size: own}
        for size in others:
            try:
                found[size] = _on_line(*line, size) if line and size >= _LINE[0] else self._at(size, own, size in asked)
            except InputError as error:
                if size in asked:
                    law = (
                        f"{type(self._module).__name__} runs at batch size {size}, asked for besides {self.batch_size}"
                    )
                    raise InputError(
                        law, str(error), "give batch_axis, or ask for the inputs' own batch size"
                    ) from error
        return {size: found[size] for size in sorted(found) if size in asked or size in {*more}}

    def _line(self, own: Trace, far: int) -> tuple[Trace, Trace] | None:
        """The traces at two batch sizes through which those of all lie, if they do."""
        if far <= _LINE[-1]:
            return None
        try:
            two, three = (self._elsewhere(size) for size in _LINE)
            straight = _alike(two, three) and _on_line(two, three, far) == self._elsewhere(far)
        except InputError:
            return None
        if self.batch_size >= _LINE[0]:
            straight = straight and _counts(_on_line(two, three, self.batch_size)) == _counts(own)
        return (two, three) if straight else None

    def _at(self, size: int, own: Trace, asked: bool) -> Trace:
        """The trace at one batch size: of the module itself where its values matter, and somebody asked for it."""
        try:
            values_matter = _counts(self._elsewhere(self.batch_size)) != _counts(own)
        except InputError:
            values_matter = True
        if not values_matter:
            return self._elsewhere(size)
        if not asked:
            raise InputError("values decide what runs", f"batch size {size}", "ask for it")
        return trace(self._module, self.resized(size))

    def _on_meta(self, size: int) -> Trace:
        from ftax_model.tracing._recorder import on_meta

        return on_meta(self._module, self.resized(size))

    def resized(self, size: int) -> Any:
        """The inputs of a call at another batch size: cut, or their rows again from the first on."""
        from torch.utils import _pytree

        leaves = []
        for (leaf, tensors), axes in zip(self._leaves, self._axes, strict=True):
            pairs = zip(tensors, axes, strict=True)
            grown = {id(one): one if axis is None else _rows(one, axis, size) for one, axis in pairs}
            leaves.append(copy.deepcopy(leaf, grown))
        return _pytree.tree_unflatten(leaves, self._tree)


def batch_axes(inputs: Any, dynamic_shapes: Any) -> list[int | None]:
    """The axis of the batch in each tensor of ``inputs``, by what ``torch.export`` takes as ``dynamic_shapes``.

    The batch is the dimension that most tensors share, the first of them where there are several. Raises `InputError`
    for shapes that do not fit the inputs, or tell of no dimension.
    """
    if not isinstance(inputs, Mapping | list | tuple):
        flat = dynamic_shapes is None or (isinstance(dynamic_shapes, Mapping) and all(map(_is_axis, dynamic_shapes)))
        inputs, dynamic_shapes = (inputs,), (dynamic_shapes,) if flat else dynamic_shapes
    told = [*_dimensions(inputs, dynamic_shapes)]
    names = Counter(name for own in told for name in own.values())
    if not names:
        law = "dynamic_shapes tell which axes are free: a Dim by its axis, for each input"
        raise InputError(law, repr(dynamic_shapes), "give each input its {0: Dim('batch')}, or batch_axis=")
    batch = names.most_common(1)[0][0]
    return [next((axis for axis, name in own.items() if name == batch), None) for own in told]


def _dimensions(inputs: Any, shapes: Any) -> Iterator[dict[int, str]]:
    """The names of the free axes of each tensor, in the order of torch's trees."""
    from torch.utils import _pytree

    parts = _pytree.tree_leaves(inputs, is_leaf=lambda one: one is not inputs)
    if len(parts) == 1 and parts[0] is inputs:
        pairs = shapes.items() if isinstance(shapes, Mapping) else enumerate(shapes or ())
        named = ((axis, str(getattr(one, "__name__", one))) for axis, one in pairs if not isinstance(one, int))
        yield {axis: name for axis, name in named if name not in ("None", "DimHint(STATIC)")}
        return
    if isinstance(shapes, Mapping) and isinstance(inputs, Mapping):
        within = [shapes.get(name) for name in inputs]
    else:
        within = [*(shapes.values() if isinstance(shapes, Mapping) else shapes or [None] * len(parts))]
    if len(within) != len(parts):
        law = "dynamic_shapes are nested as the inputs are"
        raise InputError(law, f"{len(within)} for {len(parts)} inputs", "give as many, None for those without")
    for one, own in zip(parts, within, strict=True):
        yield from _dimensions(one, own)


def _is_axis(name: Any) -> bool:
    return isinstance(name, int)


def checked_batch_sizes(batch_sizes: Iterable[Any]) -> list[int]:
    """The batch sizes, each once; raises `InputError` where there is none, or one that is no whole number above 0."""
    if not isinstance(batch_sizes, Iterable):
        raise InputError("batch sizes asked for are a list", repr(batch_sizes), f"write [{batch_sizes}]")
    found = [whole("batch size", size, MAX_BATCH_SIZE) for size in dict.fromkeys(batch_sizes)]
    if not found:
        raise InputError("batch sizes asked for are one or more", "none", "leave them out, or name some")
    return found


def _extent(leaf: Any, axis: int | None) -> int | None:
    """The extent of a tensor along an axis; ``None`` where it has none."""
    shape = getattr(leaf, "shape", ())
    return None if axis is None or axis >= len(shape) else int(shape[axis])


def _rows(tensor: Any, axis: int, size: int) -> Any:
    """So many rows of a tensor along an axis, from the first on, again from there where it has too few."""
    from torch import arange

    if size <= tensor.shape[axis]:
        return tensor.narrow(axis, 0, size).clone()
    return tensor.index_select(axis, arange(size, device=tensor.device) % tensor.shape[axis])


def _alike(one: Trace, other: Trace) -> bool:
    """Whether two traces are of the same operators, on tensors of as many axes."""
    return [_form(operator) for operator in one.operators] == [_form(operator) for operator in other.operators]


def _form(operator: Operator) -> tuple[Any, ...]:
    return operator.kind, tuple(map(len, operator.inputs)), tuple(map(len, operator.outputs))


def _counts(trace: Trace) -> list[tuple[str, int, tuple[tuple[int, ...], ...]]]:
    return [(operator.kind, operator.macs, operator.outputs) for operator in trace.operators]


_LINE = (2, 3)


def _on_line(two: Trace, three: Trace, size: int) -> Trace:
    pairs = zip(two.operators, three.operators, strict=True)
    return dataclasses.replace(two, operators=tuple(_operator_on_line(one, other, size) for one, other in pairs))


def _operator_on_line(two: Operator, three: Operator, size: int) -> Operator:
    values = {
        field.name: _value_on_line(getattr(two, field.name), getattr(three, field.name), size)
        for field in dataclasses.fields(Operator)
    }
    found = Operator(**values)
    return dataclasses.replace(found, weight_bytes=_rows_read(two, found)) if two.kind in LOOKUPS else found


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
