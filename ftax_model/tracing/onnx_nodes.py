"""Nodes of ONNX graphs: the kind of operator that does the same in a trace, its MACs, and what sets its cost.

Nodes of other domains than ONNX's own go by their domain and name, those of ONNX Runtime by ``com.microsoft``. What has
no counterpart keeps its name, so that its cost counts as unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from onnx import NodeProto, helper

Shape = tuple[int, ...]
Described = tuple[str, int, dict[str, Any]]
"""A kind, MACs and attributes, as in `ftax_model.operators.Operator`."""

VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Size", "Dropout", "Constant"}
"""Nodes behind which there is neither arithmetic nor memory."""

KINDS: Mapping[str, str] = {
    **{name: name.lower() for name in (
        "Relu", "Sigmoid", "Tanh", "Elu", "Celu", "Mish", "Softplus", "Gelu", "Add", "Sub", "Mul", "Div", "Neg",
        "Where",
        "Abs", "Exp", "Log", "Erf", "Pow", "Sqrt", "Sin", "Cos", "Tan", "Floor", "Ceil", "Round", "Sign", "CumSum",
        "Atan", "Acos", "Asin", "Sinh", "Cosh", "PRelu",
    )},
    "Sum": "add", "Mean": "mean", "Min": "minimum", "Max": "maximum", "Clip": "clamp", "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "threshold", "HardSigmoid": "hardsigmoid", "HardSwish": "hardswish", "Selu": "elu",
    "Swish": "silu",
    "Reciprocal": "reciprocal", "Mod": "remainder", "BitShift": "bitwise_left_shift", "IsNaN": "isnan",
    "IsInf": "isinf",
    "Equal": "eq", "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le", "Not": "logical_not",
    "And": "logical_and", "Or": "logical_or", "Xor": "logical_xor",
    "Transpose": "clone", "Concat": "cat", "Slice": "clone", "Split": "clone", "Cast": "_to_copy",
    "CastLike": "_to_copy",
    "Expand": "clone", "Tile": "repeat", "Pad": "constant_pad_nd", "Range": "arange", "ConstantOfShape": "full",
    "DepthToSpace": "pixel_shuffle", "SpaceToDepth": "pixel_unshuffle", "Trilu": "tril", "EyeLike": "eye",
    "Gather": "index_select", "GatherElements": "gather", "GatherND": "index", "ScatterND": "index_put",
    "ScatterElements": "scatter", "OneHot": "scatter",
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin", "ReduceProd": "prod",
    "ReduceL2": "norm", "ReduceL1": "norm", "ReduceSumSquare": "norm", "ReduceLogSumExp": "logsumexp",
    "ArgMax": "argmax",
    "ArgMin": "argmin", "TopK": "topk", "NonZero": "nonzero", "Unique": "_unique2",
    "MaxPool": "max_pool2d_with_indices", "AveragePool": "avg_pool2d", "GlobalAveragePool": "mean",
    "GlobalMaxPool": "amax", "Resize": "upsample_nearest2d", "Upsample": "upsample_nearest2d",
    "GridSample": "grid_sampler_2d",
    "BatchNormalization": "native_batch_norm", "LayerNormalization": "native_layer_norm",
    "RMSNormalization": "rms_norm",
    "GroupNormalization": "native_group_norm", "InstanceNormalization": "native_group_norm",
    "Softmax": "_softmax", "LogSoftmax": "_log_softmax", "SimplifiedLayerNormalization": "rms_norm",
    "com.microsoft.SkipLayerNormalization": "native_layer_norm",
    "com.microsoft.EmbedLayerNormalization": "native_layer_norm",
    "com.microsoft.SkipSimplifiedLayerNormalization": "rms_norm", "RotaryEmbedding": "mul",
    "com.microsoft.RotaryEmbedding": "mul",
    "com.microsoft.Gelu": "gelu", "com.microsoft.FastGelu": "gelu", "com.microsoft.BiasGelu": "gelu",
    "com.microsoft.QuickGelu": "gelu",
}  # fmt: skip
"""Nodes, and the kind of operator that does the same in a trace."""


def name(node: NodeProto) -> str:
    """What a node is called by: its operator, with its domain where that is not ONNX's own.

    >>> name(helper.make_node("Relu", ["x"], ["y"])), name(helper.make_node("Mine", [], [], domain="my.own"))
    ('Relu', 'my.own.Mine')
    """
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def is_view(node: NodeProto) -> bool:
    """Whether neither arithmetic nor memory is behind a node."""
    return name(node) in VIEWS


def is_alias(node: NodeProto) -> bool:
    """Whether what a node puts out is its first input, in another shape."""
    return is_view(node) and name(node) not in _TELL_SHAPES and len(node.input) > 0


_TELL_SHAPES = {"Shape", "Size"}


def is_quantised(node: NodeProto) -> bool:
    """Whether a node computes in whole numbers, or turns numbers into those."""
    return bool(_QUANTISED.search(node.op_type))


_QUANTISED = re.compile(r"^Q(Linear|Gemm|Attention|MoE)|quantize|Integer|NBits|Bnb4", re.IGNORECASE)


def graphs(node: NodeProto) -> list[Any]:
    """The graphs inside a node, as choices and loops have."""
    return [graph for one in node.attribute for graph in ([one.g] if one.HasField("g") else one.graphs)]


def everywhere(graph: Any) -> Iterator[NodeProto]:
    """The nodes of a graph, and those of the graphs inside them."""
    for node in graph.node:
        yield node
        for inner in graphs(node):
            yield from everywhere(inner)


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def describe(node: NodeProto, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    """The kind, MACs and attributes of a node with inputs and outputs of these shapes, () where one is left out."""
    own = name(node)
    if own in _DESCRIBE:
        return _DESCRIBE[own](attributes(node), inputs, outputs)
    unknown = own if "." in own else f"onnx.{own}"
    if own in _QUANTISED_MACS:
        weight = inputs[_QUANTISED_MACS[own]]
        _, macs, _ = (_convolution if "Conv" in own else _product)(attributes(node), (inputs[0], weight), outputs)
        return unknown, macs, {}
    return KINDS.get(own, unknown), 0, {}


def as_in_torch(kind: str, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Shapes of the inputs of an operator in torch's order: of a recurrent one the states before the weights."""
    if kind not in ("lstm", "gru", "rnn_tanh"):
        return inputs
    data, weight, again, *_ = inputs
    return (data, (weight[0], data[1], again[2]), weight, again)


def _product(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    left, right = (
        shape if len(shape) > 1 else ((1, *shape) if at == 0 else (*shape, 1)) for at, shape in enumerate(inputs[:2])
    )
    m, k, n = left[-2], left[-1], right[-1]
    batch = math.prod(np.broadcast_shapes(left[:-2], right[:-2]))
    if len(right) == 2:  # one matrix for all: torch makes one product of it
        m, batch = m * batch, 1
    return "mm" if batch == 1 else "bmm", batch * m * k * n, {"batch": batch, "m": m, "k": k, "n": n}


def _gemm(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    m, n = outputs[0]
    k = inputs[0][0] if given.get("transA") else inputs[0][1]
    return "addmm", m * k * n, {"batch": 1, "m": m, "k": k, "n": n}


def _convolution(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    weight, axes = inputs[1], len(inputs[1]) - 2
    groups, transposed = int(given.get("group", 1)), bool(given.get("transposed"))
    over = inputs[0] if transposed else outputs[0]
    macs = math.prod(over[:1] + over[2:]) * math.prod(weight[2:]) * weight[1] * weight[0]
    macs //= groups if transposed else 1
    attributes = {
        "kernel": tuple(weight[2:]),
        "stride": tuple(given.get("strides", (1,) * axes)),
        "padding": tuple(given.get("pads", (0,) * 2 * axes))[:axes],
        "dilation": tuple(given.get("dilations", (1,) * axes)),
        "transposed": transposed,
        "groups": groups,
    }
    return "convolution", macs, attributes


def _transposed(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    kind, _, attributes = _convolution({**given, "transposed": True}, inputs, outputs)
    weight = inputs[1]
    macs = math.prod(inputs[0]) * weight[1] * math.prod(weight[2:])
    return kind, macs, attributes


def _recurrent(kind: str) -> Callable[..., Described]:
    def describe(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
        data, weight, again = inputs[
            :3
        ]  # (steps, batch, width), (directions, gates, width), (directions, gates, hidden)
        elements = math.prod(weight) + math.prod(again)
        tokens = data[0] * data[1]
        attributes = {
            "tokens": tokens,
            "input_size": data[2],
            "hidden_size": again[2],
            "matrices": 2 * weight[0],
            "matrix_elements": elements,
        }
        return kind, tokens * elements, attributes

    return describe


def _transformed(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    """A product of matrices that may lie turned over."""
    turned = [
        (*shape[:-2], shape[-1], shape[-2]) if given.get(flag) and len(shape) > 1 else shape
        for flag, shape in zip(("transA", "transB"), inputs, strict=False)
    ]
    return _product(given, (turned[0], turned[1]), outputs)


def _weight_only(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    """A product with a matrix of few bits."""
    return "com.microsoft.MatMulNBits", math.prod(inputs[0]) * int(given["N"]), {}


def _sums(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    """A sum over indices: of two tensors it is a product of matrices, one for each index that all three share."""
    equation = given["equation"].decode().replace(" ", "")
    left, _, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != 2 or "." in equation:
        return "onnx.Einsum", 0, {}
    extents = {
        i: extent for term, shape in zip(terms, inputs, strict=True) for i, extent in zip(term, shape, strict=True)
    }
    a, b = map(set, terms)
    kept = {*right} if "->" in equation else {i for i in extents if left.count(i) == 1}

    def over(indices: set[str]) -> int:
        return math.prod(extents[i] for i in indices)

    batch, m, k, n = over(a & b & kept), over((a - b) & kept), over((a & b) - kept), over((b - a) & kept)
    macs = over({*extents})
    return "mm" if batch == 1 else "bmm", macs, {"batch": batch, "m": m, "k": k, "n": n}


def _attention(own: str, *, past: int, mask: int) -> Callable[..., Described]:
    """Attention over heads that are an axis of their own, or lie side by side in the last one.

    ``past`` and ``mask`` are the places of keys from before and of a mask among the inputs.
    """

    def describe(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
        heads = int(given.get("q_num_heads", given.get("num_heads", 0)))
        of_keys = int(given.get("kv_num_heads", 0)) or heads
        query, key, value = (*inputs, (), ())[:3]
        if len(query) == 3 and not key:  # all three side by side
            width = query[2] // (heads + 2 * of_keys)
            query, key, value = ((*query[:2], many * width) for many in (heads, of_keys, of_keys))
        if len(query) == 3 and len(key) == len(value) == 3:
            query, key, value = (
                (shape[0], many, shape[1], shape[2] // many)
                for shape, many in zip((query, key, value), (heads, of_keys, of_keys), strict=True)
            )
        if not len(query) == len(key) == len(value) == 4:
            return own, 0, {}
        before = inputs[past][-2] if len(inputs) > past and len(inputs[past]) == 4 else 0
        a = {
            "batch": query[0],
            "heads": query[1],
            "kv_heads": key[1],
            "q_length": query[2],
            "kv_length": key[2] + before,
            "head_size": query[3],
            "value_size": value[3],
            "causal": bool(given.get("is_causal", given.get("unidirectional", 0))),
            "masked": len(inputs) > mask and bool(inputs[mask]),
        }
        rows = a["batch"] * a["heads"] * a["q_length"] * a["kv_length"]
        return "scaled_dot_product_attention", rows * (a["head_size"] + a["value_size"]), a

    return describe


def _fourier(given: Mapping[str, Any], inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Described:
    """A Fourier transform along one axis, by the convention of FFTW; the last axis holds real and imaginary parts."""
    real, out = inputs[0], outputs[0]
    points = max((one for one, other in zip(real[:-1], out[:-1], strict=True) if one != other), default=0)
    axis = int(given.get("axis", -2 if len(inputs) < 3 else 1))
    points = points or real[axis if axis < 0 else min(axis, len(real) - 1)]
    whole = real[-1] == 2
    per_point = (2.5 if whole else 1.25) * math.log2(max(points, 2))
    macs = round(per_point * math.prod(real) / real[-1])
    return "_fft_c2c" if whole else "_fft_r2c", macs, {"dim": (axis,)}


_DESCRIBE: Mapping[str, Callable[..., Described]] = {
    "MatMul": _product,
    "Gemm": _gemm,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "LSTM": _recurrent("lstm"),
    "GRU": _recurrent("gru"),
    "RNN": _recurrent("rnn_tanh"),
    "Einsum": _sums,
    "Attention": _attention("onnx.Attention", past=4, mask=3),
    "DFT": _fourier,
    "com.microsoft.MultiHeadAttention": _attention("com.microsoft.MultiHeadAttention", past=6, mask=5),
    "com.microsoft.GroupQueryAttention": _attention("com.microsoft.GroupQueryAttention", past=3, mask=9),
    "com.microsoft.FusedMatMul": _transformed,
    "com.microsoft.FusedConv": _convolution,
    "com.microsoft.FusedGemm": _gemm,
    "com.microsoft.MatMulNBits": _weight_only,
}

_QUANTISED_MACS = {
    "ConvInteger": 1,
    "MatMulInteger": 1,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
    "com.microsoft.DynamicQuantizeMatMul": 1,
}
"""Products and convolutions of whole numbers, and the place of their weights among their inputs."""
