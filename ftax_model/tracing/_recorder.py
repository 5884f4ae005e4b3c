"""Watch one call of a torch module and write down each operator that it dispatches."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from ftax_model.errors import FtaxError, InputError
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import _costs
from ftax_model.tracing._bounds import ALONE, MOST_CALLS, beyond
from ftax_model.tracing.lifetimes import live_bytes
from ftax_model.tracing.trace import ValuesError, tensors_in

BOOKKEEPING = {
    "_unsafe_view", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes", "lift_fresh", "lift",
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "scalar_tensor",
    "squeeze_", "unsqueeze_", "t_", "transpose_", "swapaxes_", "detach_", "resize_", "set_",
}  # fmt: skip
"""Dispatched, but neither memory nor arithmetic is behind it: views under another name, bare allocations, numbers."""

GATHERS = {"embedding", "index_select", "gather", "index"}
"""Operators that read of their first tensor only as much as they put out."""

SCATTERS = {"index_put_", "_index_put_impl_", "index_copy_", "index_add_", "scatter_", "masked_scatter_"}
"""Operators that write of their first tensor only as much as they read of the last."""

OVERWRITES = {"copy_", "fill_", "zero_", "normal_", "uniform_", *SCATTERS}
"""Operators that write to their first tensor without reading it."""

MOST_VALUES = 2**20
"""Elements of the largest tensor whose values are computed beside it."""

MOST_DRAWN = 2**40
"""Elements of the weights of the largest module that is run on random ones."""


def record(
    module: torch.nn.Module,
    inputs: Any,
    weights: Mapping[str, torch.Tensor] | None = None,
    *,
    draw: bool = False,
) -> Trace:
    """The trace of one call of a module, which runs once where it is, or with other weights by name.

    With ``draw`` weights on the meta device get random values where they meet inputs that have some. Whatever goes
    wrong in there is an `InputError` that names it in one line.
    """
    _check_dense([*module.parameters(), *module.buffers(), *tree_leaves(inputs)])
    named = isinstance(inputs, Mapping)
    inputs = tree_map(_of_its_own, inputs)
    arguments = () if named else tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    try:
        own = [*module.parameters(), *module.buffers()] if weights is None else [*weights.values()]
        recorder = Recorder(own, tensors_in(inputs))
        values = _Drawn(recorder.weights) if draw else _Values(recorder.weights)
        with (
            ALONE,
            torch.inference_mode(False),
            torch.no_grad(),
            _layers(module, recorder.layers),
            _unchecked_distributions(),
            _Fused(recorder, values),
            _Dispatched(recorder, values),
        ):
            if weights is None:
                output = module(*arguments, **(inputs if named else {}))
            else:
                output = torch.func.functional_call(module, dict(weights), arguments, inputs if named else {})
        found = recorder.with_lifetimes(tensors_in(output))
    except FtaxError:
        raise
    except Exception as error:  # code of others: it can raise anything
        raise _refused(module, error) from error
    params = sum(parameter.numel() for parameter in module.parameters())
    return Trace(found, params, DRAWN if draw else "", _held(own))


DRAWN = "random weights, whose values decide what runs"
"""How a trace was taken where weights had to have values and had none."""


def _of_its_own(leaf: Any) -> Any:
    """A part of a call's inputs that the call may change: a cache grows as it is called with."""
    return leaf if isinstance(leaf, torch.Tensor) or not tensors_in(leaf) else copy.deepcopy(leaf)


def _check_dense(values: Iterable[Any]) -> None:
    """Raise `InputError` for a tensor whose elements do not lie in rows and columns."""
    for one in values:
        if isinstance(one, torch.Tensor) and (one.is_nested or one.layout is not torch.strided):
            got = "a nested tensor" if one.is_nested else f"one of layout {one.layout}"
            raise InputError(
                "a trace knows dense tensors", got, "make it dense (to_dense, to_padded_tensor), or measure"
            )


def can_draw(module: torch.nn.Module, inputs: Any) -> bool:
    """Whether a module without values, but with inputs that have some, is small enough to run on random weights."""
    tensors = _tensors(tree_leaves(inputs))
    elements = sum(parameter.numel() for parameter in module.parameters())
    return any(map(torch.Tensor.dim, tensors)) and not any(one.is_meta for one in tensors) and elements <= MOST_DRAWN


def on_meta(module: torch.nn.Module, inputs: Any) -> Trace:
    """The trace of a module that stays where it is, called with empty weights and empty inputs of its shapes.

    Whole numbers and truth values among both keep what they are.
    """
    weights = {
        name: torch.empty_like(tensor, device="meta") if tensor.is_floating_point() else tensor
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    inputs = tree_map_only(torch.Tensor, lambda one: one.to("meta") if one.is_floating_point() else one, inputs)
    return record(module, inputs, weights)


def _refused(module: torch.nn.Module, error: Exception) -> InputError:
    """What went wrong in somebody's module, in one line."""
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text[:_LONGEST]}{'...' if len(text) > _LONGEST else ''}"
    name = type(module).__name__
    if any(map(torch.nn.parameter.is_lazy, (*module.parameters(), *module.buffers()))):
        return InputError(
            "a module is traced once it knows the shapes of its weights", f"lazy layers in {name}", "call it"
        )
    lacking = isinstance(error, NotImplementedError) or any(word in text for word in _NO_VALUES)
    if any(parameter.is_meta for parameter in module.parameters()) and lacking:
        law, cure = "a trace without values depends on none of them", "trace the module with real weights and inputs"
        return ValuesError(law, f"{name}: {said}", cure)
    if module.training and not isinstance(module, torch.fx.GraphModule):
        return InputError(
            "a module runs with its inputs", f"{name}, in training mode: {said}", "call eval(), or mend what it says"
        )
    return InputError("a module runs with its inputs", f"{name}: {said}", "mend one of them; try them without a trace")


_LONGEST = 200  # characters of somebody else's error
_NO_VALUES = ("no fake impl", "not allocated", "meta")  # what errors say that come of the meta device


class Recorder:
    """Operators seen so far, the storages that each touched, and how deep in the data flow those were written."""

    def __init__(self, weights: Iterable[torch.Tensor], inputs: Iterable[torch.Tensor]) -> None:
        self.operators: list[Operator] = []
        self.layers: list[str] = []
        self.paused = False
        # A weak reference keeps the name of a storage from being given to another, but not its memory.
        self._levels: dict[StorageWeakRef, int] = {}
        self.weights = {_storage(part) for tensor in weights for part in _parts(tensor)}
        self._touched: list[set[StorageWeakRef]] = []
        self._sizes: dict[StorageWeakRef, int] = {}
        self._inputs = [self._sized(tensor) for tensor in inputs]

    def add(self, kind: str, arguments: Any, output: Any, *, macs: int, attributes: Mapping[str, Any]) -> None:
        """Write down one operator that took ``arguments`` and gave ``output``, trees that hold tensors."""
        inputs, outputs = _tensors(arguments), _tensors(output)
        level = max((self._levels.get(_storage(tensor), 0) for tensor in inputs), default=0) + (macs > 0)
        written = sum(_written(kind, tensor, inputs) for tensor in outputs)
        read = {True: 0, False: 0}
        for position, tensor in enumerate(_once(inputs)):
            if position or kind not in OVERWRITES:
                read[_storage(tensor) in self.weights] += _read(kind, tensor, outputs, first=position == 0)
        self._levels |= {_storage(tensor): level for tensor in outputs}
        self._touched.append({self._sized(tensor) for tensor in (*inputs, *outputs)})
        self.operators.append(
            Operator(
                kind=kind,
                inputs=tuple(tuple(tensor.shape) for tensor in inputs),
                outputs=tuple(tuple(tensor.shape) for tensor in outputs),
                macs=macs,
                activation_bytes=read[False] + written,
                weight_bytes=read[True],
                level=level,
                attributes=attributes,
                layer=self.layers[-1] if self.layers else "",
            )
        )

    def with_lifetimes(self, outputs: Iterable[torch.Tensor]) -> tuple[Operator, ...]:
        """The operators, each with the bytes of activations alive while it ran; the call returned ``outputs``."""
        kept = {_storage(tensor) for tensor in outputs}
        sizes = {storage: size for storage, size in self._sizes.items() if storage not in self.weights}
        alive = live_bytes(self._touched, sizes, inputs=self._inputs, outputs=kept)
        return tuple(replace(one, live_bytes=own) for one, own in zip(self.operators, alive, strict=True))

    def _sized(self, tensor: torch.Tensor) -> StorageWeakRef:
        """The storage of a tensor, whose size is kept."""
        storage = tensor.untyped_storage()
        found = StorageWeakRef(storage)
        self._sizes[found] = storage.nbytes()
        return found

    def fused(self, fused: _costs.Fused, args: Any, kwargs: Any, output: Any) -> None:
        """Write down an operator that is told by formula."""
        attributes = fused.attributes(*args, **kwargs)
        self.add(fused.kind, (args, kwargs), output, macs=fused.macs(attributes), attributes=attributes)


class _Dispatched(TorchDispatchMode):  # type: ignore[misc]
    """Hands every operator that reaches the dispatcher to the recorder."""

    supports_higher_order_operators = True

    def __init__(self, recorder: Recorder, values: _Values) -> None:
        super().__init__()
        self._recorder, self._values = recorder, values
        self._calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise beyond(f"more than {MOST_CALLS:,} operators in one call")
        if isinstance(func, HigherOrderOperator):
            return self._of_functions(func, args, kwargs)
        if _composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        args, kwargs = self._values.given((args, kwargs))
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            output: Any = self._values.answer(args[0])
        elif func is torch.ops.aten._to_copy.default and _leaves_meta(args[0], kwargs):
            output = self._values.copied(args[0], kwargs)
            if output is args[0]:
                return output
        elif func is torch.ops.aten._grouped_mm.default and args[0].is_meta:
            output = _costs.grouped_output(args, kwargs)
        else:
            output = func(*args, **kwargs)
            self._values.follow(func, args, kwargs, output)
        kind = _kind(func)
        if func.overloadpacket in _costs.ATTENTION and not self._recorder.paused:
            self._recorder.fused(
                _costs.SDPA, args[:3], {"is_causal": _named(func, args, kwargs, "is_causal")}, output[0]
            )
            return output
        if not (self._recorder.paused or func.is_view or kind in BOOKKEEPING):
            macs = _costs.macs(func, args, kwargs, output)
            attributes = _costs.attributes(func, args, kwargs)
            written = output[0] if kind == "native_batch_norm" and not args[5] else output  # no statistics then
            self._recorder.add(kind, (args, kwargs), written, macs=macs, attributes=attributes)
        return output

    def _of_functions(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Operators that take functions: attention with a score of its own, and the first branch of two."""
        if func.name() == "cond":
            _, branch, _, operands = args
            with self:
                return branch(*operands)
        if func.name() != "flex_attention":
            law = "a trace knows the operators that take functions cond and flex_attention"
            raise InputError(law, func.name(), "take it out of the module")
        query, key, value = args[:3]
        output = query.new_empty((*query.shape[:-1], value.shape[-1]))
        sums = query.new_empty(query.shape[:-1])
        self._recorder.fused(_costs.SDPA, (query, key, value), {}, output)
        return output, sums, sums


class _Values:
    """The values behind meta tensors that a module makes from nothing (positions, masks), computed beside them."""

    def __init__(self, weights: set[StorageWeakRef]) -> None:
        self._weights = weights
        self._known = WeakTensorKeyDictionary()
        self._overwritten: set[StorageWeakRef] = set()

    def given(self, tree: Any) -> Any:
        """The arguments of an operator as it is to be called with them: on the meta device all, where some are.

        Values of those that a module made elsewhere stay known.
        """
        if len({tensor.is_meta for tensor in _tensors(tree) if tensor.is_meta or tensor.dim()}) < 2:
            return tree
        return tree_map_only(torch.Tensor, self._lift, tree)

    def _lift(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_meta:
            return tensor
        found = torch.empty_like(tensor, device="meta")
        self._known[found] = tensor
        if _storage(tensor) in self._weights:
            self._weights.add(_storage(found))
        return found

    def follow(self, func: Any, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        """Compute the values of ``output`` where those of all arguments are known and they are few."""
        results = [tensor for tensor in _tensors(output) if tensor.is_meta]
        if not results:
            return
        arguments = _tensors((args, kwargs))
        random = torch.Tag.nondeterministic_seeded in func.tags
        if not random and sum(t.numel() for t in results) <= MOST_VALUES and all(map(self._has, arguments)):
            device = {"device": "cpu"} if "device" in kwargs else {}
            args, kwargs = tree_map_only(torch.Tensor, self._get, (args, dict(kwargs)))
            for tensor, value in zip(results, _tensors(func(*args, **{**kwargs, **device})), strict=True):
                self._known[tensor] = value
        elif func._schema.is_mutable:
            self._overwritten |= {_storage(tensor) for tensor in results}

    def named(self, output: torch.Tensor, func: Any, args: Any, kwargs: Mapping[str, Any]) -> torch.Tensor:
        """A tensor that was made of numbers, whose values are known from here on."""
        if output.is_meta and not any(tensor.is_meta for tensor in _tensors((args, kwargs))):
            self._known[output] = func(*args, **{**kwargs, "device": "cpu"})
        return output

    def copied(self, tensor: torch.Tensor, kwargs: Mapping[str, Any]) -> torch.Tensor:
        """A tensor of the meta device on another one: its values where they are known, else it stays where it is."""
        if self._has(tensor):
            return torch.ops.aten._to_copy(self._get(tensor), **kwargs)
        dtype = kwargs.get("dtype")
        return tensor if dtype in (None, tensor.dtype) else tensor.to(dtype)

    def listed(self, tensor: torch.Tensor) -> Any:
        """The values of a tensor as lists; raises `ValuesError` where they are not known."""
        if not self._has(tensor):
            raise ValuesError(_NO_NUMBERS, f"a module that lists the values of a {tensor.dtype} tensor", _REAL)
        return self._get(tensor).tolist()

    def answer(self, tensor: torch.Tensor) -> bool | int | float | complex:
        """What a meta tensor says when it is asked for its value: the value if known, else no."""
        if self._has(tensor):
            return self._get(tensor).item()  # type: ignore[no-any-return]
        if tensor.dtype is torch.bool:
            return False
        raise ValuesError(_NO_NUMBERS, f"a module that asks for the value of a {tensor.dtype} tensor", _REAL)

    def _has(self, tensor: torch.Tensor) -> bool:
        return not tensor.is_meta or (tensor in self._known and _storage(tensor) not in self._overwritten)

    def _get(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._known[tensor] if tensor.is_meta else tensor


_NO_NUMBERS, _REAL = "a trace on the meta device depends on no number in an input", "trace it with real tensors"


class _Drawn(_Values):
    """Values for everything that meets some: drawn for weights of the meta device, one tensor for all of a shape."""

    def __init__(self, weights: set[StorageWeakRef]) -> None:
        super().__init__(weights)
        self._shared: dict[tuple[torch.Size, torch.dtype], torch.Tensor] = {}

    def given(self, tree: Any) -> Any:
        """Arguments that all have values, where some of them that are more than a number have."""
        if not any(not tensor.is_meta and tensor.dim() for tensor in _tensors(tree)):
            return tree
        return tree_map_only(torch.Tensor, self._valued, tree)

    def copied(self, tensor: torch.Tensor, kwargs: Mapping[str, Any]) -> torch.Tensor:
        """A tensor with values, off the meta device."""
        return torch.ops.aten._to_copy(self._valued(tensor), **kwargs)

    def _valued(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._has(tensor):
            return self._get(tensor)
        if _storage(tensor) not in self._weights:
            found = self._known[tensor] = _draw(tensor)
            return found
        key = tensor.shape, tensor.dtype
        if key not in self._shared:
            self._shared[key] = _draw(tensor)
            self._weights.add(_storage(self._shared[key]))
        return self._shared[key]


def _draw(like: torch.Tensor) -> torch.Tensor:
    """Random numbers in the shape of a tensor: near 1 along one axis, else so that products keep their scale.

    Whole numbers and truth values are 0. Where there are very many, rows (of more than two axes: matrices) overlap.
    """
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    random = torch.Generator().manual_seed(0)
    if like.dim() < 2:
        return torch.rand(like.shape, generator=random).mul(0.2).add(0.9).to(like.dtype)
    strides = list(like.stride())
    if like.numel() > MOST_VALUES * 8:
        strides = [_OVERLAP] * like.dim()
        strides[-2:] = [like.shape[-1] if like.dim() > 2 else _OVERLAP, 1]
    apart = zip(like.shape, strides, strict=True)
    numbers = torch.randn(1 + sum((extent - 1) * stride for extent, stride in apart), generator=random)
    scale = (like.shape[0] / max(like.numel(), 1)) ** 0.5
    return numbers.mul(scale).to(like.dtype).as_strided(like.shape, strides)


_OVERLAP = 16  # elements from one row to the next, of those that overlap: what kernels call aligned


def _leaves_meta(tensor: torch.Tensor, kwargs: Mapping[str, Any]) -> bool:
    """Whether a copy of a tensor is to be taken off the meta device."""
    device = kwargs.get("device")
    return tensor.is_meta and device is not None and torch.device(device).type != "meta"


_FROM_PYTHON = {torch.tensor, torch.as_tensor}
"""What makes tensors of numbers, past the dispatcher."""


@contextmanager
def _unchecked_distributions() -> Iterator[None]:
    """Leave out the checks that distributions make of their parameters: they ask for values."""
    of = torch.distributions.Distribution
    before = of._validate_args
    of.set_default_validate_args(False)
    try:
        yield
    finally:
        of.set_default_validate_args(before)


class _Fused(TorchFunctionMode):  # type: ignore[misc]
    """Catches the functions that eager runs as one kernel before they come apart into many operators."""

    def __init__(self, recorder: Recorder, values: _Values) -> None:
        super().__init__()
        self._recorder, self._values = recorder, values

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        fused = _costs.FUSED.get(func)
        if func is torch._nested_tensor_from_mask_left_aligned and args[0].is_meta:
            return False  # as for most masks; layers then go on with the padded tensor
        if func is torch.Tensor.tolist and args[0].is_meta:
            return self._values.listed(args[0])
        if func in _FROM_PYTHON:
            return self._values.named(func(*args, **kwargs), func, args, kwargs)
        if func is torch.nn.functional.multi_head_attention_forward:
            return self._with_attention(func, args, kwargs)
        if fused is None or self._recorder.paused:
            return func(*args, **kwargs)
        args, kwargs = self._values.given((args, kwargs))
        self._recorder.paused = True
        try:
            output = fused.run(func, *args, **kwargs)
        finally:
            self._recorder.paused = False
        self._recorder.fused(fused, args, kwargs, output)
        return output

    def _with_attention(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function of torch's in Python, which this mode does not see the inside of, with the attention in it."""
        functional = torch.nn.functional
        plain = functional.scaled_dot_product_attention

        def attention(*args: Any, **kwargs: Any) -> Any:
            return self.__torch_function__(plain, (), args, kwargs)

        functional.scaled_dot_product_attention = attention
        try:
            return func(*args, **kwargs)
        finally:
            functional.scaled_dot_product_attention = plain


@contextmanager
def _layers(module: torch.nn.Module, layers: list[str]) -> Iterator[None]:
    """Keep the path of the module that is running at the end of ``layers``."""
    with ExitStack() as hooks:
        for path, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):  # it takes no hooks
                continue
            enter = part.register_forward_pre_hook(_pushes(layers, path))
            leave = part.register_forward_hook(_pops(layers, path), always_call=True)
            hooks.callback(enter.remove)
            hooks.callback(leave.remove)
        yield


def _pushes(layers: list[str], path: str) -> Callable[..., None]:
    return lambda *_: layers.append(path)


def _pops(layers: list[str], path: str) -> Callable[..., None]:
    def leave(*_: Any) -> None:
        if layers and layers[-1] == path:  # another hook may have kept it from entering
            layers.pop()

    return leave


def _named(func: Any, args: Any, kwargs: Mapping[str, Any], name: str) -> Any:
    """An argument of an operator by its name; ``None`` where it was left out."""
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | {**kwargs}
    return given.get(name)


@cache
def _composite(func: Any) -> bool:
    """Whether the operator is made of others; it comes here whole where its tensors were made in inference mode."""
    has_kernel = functools.partial(torch._C._dispatch_has_kernel_for_dispatch_key, func.name())
    return has_kernel("CompositeImplicitAutograd") and not has_kernel("CPU")


def _kind(func: Any) -> str:
    return str(func.overloadpacket).removeprefix("aten.")


def _parts(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """A tensor, and those that it is made of where it is of another class, as quantised weights are."""
    yield tensor
    if is_traceable_wrapper_subclass(tensor):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _parts(getattr(tensor, name))


def _held(weights: Iterable[torch.Tensor]) -> int:
    """Bytes of all storages behind weights, each once."""
    parts = (part for tensor in weights for part in _parts(tensor) if not is_traceable_wrapper_subclass(part))
    return sum({_storage(part): part.untyped_storage().nbytes() for part in parts}.values())


def _storage(tensor: torch.Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _tensors(tree: Any) -> list[torch.Tensor]:
    """All tensors in the arguments or the output of an operator: lists, tuples and dictionaries, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        return []
    return [tensor for part in tree for tensor in _tensors(part)]


def _once(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _read(kind: str, tensor: torch.Tensor, outputs: list[torch.Tensor], *, first: bool) -> int:
    if kind == "_grouped_mm" and not first and tensor.dim() == 3 and outputs[0].dim() == 2:
        groups = int(tensor.shape[0])  # those without rows are not read
        return _bytes(tensor) * min(int(outputs[0].shape[0]), groups) // groups
    if first and kind in GATHERS:
        return min(_bytes(tensor), sum(int(output.numel()) for output in outputs) * int(tensor.element_size()))
    return _bytes(tensor)


def _written(kind: str, tensor: torch.Tensor, inputs: list[torch.Tensor]) -> int:
    return min(_bytes(tensor), _bytes(inputs[-1])) if kind in SCATTERS else _bytes(tensor)


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes behind a tensor; what is only repeated (stride 0) counts once."""
    repeats = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size and not stride)
    return int(tensor.numel() // math.prod(repeats) * tensor.element_size())
