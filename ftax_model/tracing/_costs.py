"""MACs of operators, and what else sets their cost; for fused ones by formula."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


def macs(func: Any, args: Any, kwargs: Any, output: Any) -> int:
    """Multiply-accumulates of one dispatched operator; 0 where it has none."""
    packet = func.overloadpacket
    if packet in _OWN:
        return _OWN[packet](args, output)
    if str(packet).startswith("quantized.linear"):  # the weights are packed where nobody sees their shape
        return int(args[0].numel() * output.shape[-1])
    formula = flop_registry.get(packet)
    return int(formula(*args, **kwargs, out_val=output)) // 2 if formula else 0


def attributes(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """What sets the cost of a product, convolution or Fourier transform; empty for other operators."""
    describe = _ATTRIBUTES.get(func.overloadpacket)
    return describe(func, args, kwargs) if describe else {}


class Fused(ABC):
    """A function that eager runs as one kernel, called ``kind`` in a trace."""

    kind: str

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The output of the function."""
        return func(*args, **kwargs)

    @abstractmethod
    def attributes(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What sets its cost."""

    @abstractmethod
    def macs(self, attributes: Mapping[str, Any]) -> int:
        """Multiply-accumulates, from those attributes."""


class Attention(Fused):
    """Both products of scaled dot-product attention; a mask saves nothing."""

    kind = "scaled_dot_product_attention"

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Laid out like the query, as the fast kernels do: on the meta device torch does what its slow path would."""
        query, _, value = _arguments(args, kwargs, "query", "key", "value")
        if query.is_meta:
            shape = (*query.shape[:-1], value.shape[-1])
            return torch.empty_permuted(shape, query.dim_order(), dtype=query.dtype, device="meta")
        return func(*args, **kwargs)

    def attributes(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Extents of the three tensors (..., heads, length, width) and the kind of mask."""
        query, key, value, mask, _, causal = _arguments(
            args, kwargs, "query", "key", "value", "attn_mask", "dropout_p", "is_causal"
        )
        return {
            "batch": math.prod(query.shape[:-3]),
            "heads": query.shape[-3] if query.dim() > 2 else 1,
            "kv_heads": key.shape[-3] if key.dim() > 2 else 1,
            "q_length": query.shape[-2],
            "kv_length": key.shape[-2],
            "head_size": query.shape[-1],
            "value_size": value.shape[-1],
            "causal": bool(causal),
            "masked": mask is not None,
        }

    def macs(self, attributes: Mapping[str, Any]) -> int:
        """Queries by keys, and weights by values."""
        a = attributes
        return int(a["batch"] * a["heads"] * a["q_length"] * a["kv_length"] * (a["head_size"] + a["value_size"]))


class Recurrent(Fused):
    """All layers and steps of an LSTM, GRU or plain RNN: each weight matrix meets each token once."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def attributes(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Tokens of all sequences, input width, hidden width, and matrices with their elements."""
        weights = [value for value in args if isinstance(value, list | tuple)][-1]
        matrices = [weight for weight in weights if weight.dim() == 2]
        return {
            "tokens": math.prod(args[0].shape[:-1]),
            "input_size": args[0].shape[-1],
            "hidden_size": matrices[1].shape[1],
            "matrices": len(matrices),
            "matrix_elements": sum(matrix.numel() for matrix in matrices),
        }

    def macs(self, attributes: Mapping[str, Any]) -> int:
        """Tokens by elements of all matrices."""
        return int(attributes["tokens"] * attributes["matrix_elements"])


SDPA = Attention()

FUSED: Mapping[Callable[..., Any], Fused] = {
    torch.nn.functional.scaled_dot_product_attention: SDPA,
    torch.lstm: Recurrent("lstm"),
    torch.gru: Recurrent("gru"),
    torch.rnn_tanh: Recurrent("rnn_tanh"),
    torch.rnn_relu: Recurrent("rnn_relu"),
}
"""Functions that the dispatcher would see in pieces, on the meta device at least."""


ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_cudnn_attention,
    aten._scaled_dot_product_fused_attention_overrideable,
}
"""What attention is dispatched as where it does not come by the function: within others that call it."""


def _arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(names))


def _fourier_macs(args: Any, output: Any) -> int:
    """Half of 5 N log2 N operations for N complex points, of 2.5 N log2 N for real ones (the convention of FFTW)."""
    real = output if not output.is_complex() else args[0]
    points = math.prod(real.shape[axis] for axis in args[1])
    per_point = (2.5 if real.is_complex() else 1.25) * math.log2(points)
    return int(round(per_point * points) * (real.numel() // points))


def _elements(position: int) -> Callable[[Any, Any], int]:
    return lambda args, _: int(args[position].numel())


def _grouped_macs(args: Any, _: Any) -> int:
    """Rows by the matrix of their group: each row meets one, or each group has columns or rows of its own."""
    a, b = args[:2]
    rows = a.numel() // a.shape[0] if a.dim() == 3 and b.dim() == 2 else a.numel()
    return int(rows * b.shape[-1])


def _batched_macs(args: Any, _: Any) -> int:
    return int(args[1].numel() * args[2].shape[-1])


def _trilinear_macs(args: Any, _: Any) -> int:
    """Elements of the product of three tensors, each with the axes put in that it lacks."""
    extents = []
    for tensor, expand in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for axis in sorted(expand):
            shape.insert(axis, 1)
        extents.append(shape)
    return math.prod(torch.broadcast_shapes(*extents))


_OWN: Mapping[Any, Callable[[Any, Any], int]] = {
    aten.mv: _elements(0),
    aten.addmv: _elements(1),
    aten.dot: _elements(0),
    aten.vdot: _elements(0),
    aten._fft_c2c: _fourier_macs,
    aten._fft_r2c: _fourier_macs,
    aten._fft_c2r: _fourier_macs,
    aten.addbmm: _batched_macs,
    aten._int_mm: lambda args, output: int(args[0].numel() * output.shape[-1]),
    aten._grouped_mm: _grouped_macs,
    aten._trilinear: _trilinear_macs,
}


def _product(first: int) -> Callable[[Any, Any, Any], dict[str, Any]]:
    def describe(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        a, b = args[first].shape, args[first + 1].shape
        return {"batch": math.prod(a[:-2]), "m": a[-2], "k": a[-1], "n": b[-1]}

    return describe


def _vector(first: int) -> Callable[[Any, Any, Any], dict[str, Any]]:
    """A matrix by a vector is the product of a row by the matrix turned over; two vectors are a row by a column."""

    def describe(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        matrix = args[first]
        return {"batch": 1, "m": 1, "k": matrix.shape[-1], "n": matrix.shape[0] if matrix.dim() > 1 else 1}

    return describe


def _grouped(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """As many products as there are groups, each of its share of the rows."""
    a, b = args[:2]
    offsets = args[2] if len(args) > 2 else kwargs.get("offs")
    groups = b.shape[0] if b.dim() == 3 else a.shape[0] if a.dim() == 3 else len(offsets)
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    shared = {(2, 3): (math.ceil(m / groups), k, n), (2, 2): (m, math.ceil(k / groups), n)}
    m, k, n = shared.get((a.dim(), b.dim()), (m, k, n if b.dim() == 3 else math.ceil(n / groups)))
    return {"batch": groups, "m": m, "k": k, "n": n}


def grouped_output(args: Any, kwargs: Any) -> torch.Tensor:
    """What ``_grouped_mm`` puts out, which on the meta device it does in bfloat16 alone."""
    a, b = args[:2]
    offsets = args[2] if len(args) > 2 else kwargs.get("offs")
    shape: tuple[int, ...] = (*a.shape[:-1], b.shape[-1]) if a.dim() == 2 or b.dim() == 3 else (a.shape[1], b.shape[1])
    if a.dim() == b.dim() == 2:
        shape = (len(offsets), *shape)
    return torch.empty(shape, dtype=kwargs.get("out_dtype") or a.dtype, device="meta")


def _convolution(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    found = {name: given[name] for name in ("stride", "padding", "dilation", "transposed", "groups") if name in given}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return {"kernel": tuple(given["weight"].shape[2:]), **found}


def _fourier(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return {"dim": tuple(args[1])}


_ATTRIBUTES: Mapping[Any, Callable[[Any, Any, Any], dict[str, Any]]] = {
    aten.mm: _product(0),
    aten.bmm: _product(0),
    aten.addmm: _product(1),
    aten.baddbmm: _product(1),
    aten.addbmm: _product(1),
    aten.mv: _vector(0),
    aten.addmv: _vector(1),
    aten.dot: _vector(0),
    aten.vdot: _vector(0),
    aten._grouped_mm: _grouped,
    aten.convolution: _convolution,
    aten._convolution: _convolution,  # as TorchScript calls it
    aten._fft_c2c: _fourier,
    aten._fft_r2c: _fourier,
    aten._fft_c2r: _fourier,
}
