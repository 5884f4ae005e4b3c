"""A trace as numbers: what its operators ask of a device, grouped by how devices do such work.

A device does not see a hundred kinds of operators but a score of ways of working: products go at one rate, depthwise
convolutions at another, copies at that of memory. `amounts` says for one operator to which group it belongs and how
much of each quantity it asks for; `columns` sums these over a trace, and adds what is left of the shapes when they are
summed away: their mean logarithms. What a unit of each quantity costs is for the modelling stage to learn.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from ftax_model.operators import Operator, Trace

Amounts = Mapping[str, float]

_CONVOLUTION = ("macs", "padded_macs", "input_bytes", "output_bytes", "weight_bytes", "patch_bytes", "images")
_PRODUCT = ("macs", "padded_macs", "left_bytes", "right_bytes", "output_bytes", "vector_macs", "packed_bytes")
_ROWS = ("bytes", "rows")

QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "linear": _PRODUCT,
    "matmul": (*_PRODUCT, "matrices"),
    "pointwise-convolution": _CONVOLUTION,
    "dense-convolution": _CONVOLUTION,
    "plain-convolution": _CONVOLUTION,
    "grouped-convolution": _CONVOLUTION,
    "depthwise-convolution": _CONVOLUTION,
    "attention": ("macs", "bytes", "score_bytes", "matrices"),
    "recurrent": ("macs", "steps", "streamed_bytes"),
    "fourier": ("macs", "bytes"),
    "batch-normalisation": _ROWS,
    "layer-normalisation": _ROWS,
    "softmax": _ROWS,
    "rectifier": ("bytes",),
    "activation": ("bytes",),
    "transcendental": ("bytes",),
    "elementwise": ("bytes",),
    "copy": ("bytes",),
    "pooling": ("bytes", "output_bytes"),
    "reduction": ("bytes",),
    "gather": ("bytes",),
    "other": ("macs", "bytes"),
}
"""Groups of operators, and the quantities that each asks for beside its dispatch (``ops``).

``bytes`` are those read and written; a product of m x k by k x n has a left, a right and an output matrix, and is that
of a vector where m is 1 (``vector_macs``), else libraries pack its right matrix first (``packed_bytes``); a
convolution gathers patches of its input where its kernel is wider than a pixel, for each of its ``images`` (inputs
times groups), and is plain where torch does not call oneDNN for it (`_plain`); ``padded_macs`` count what vector units
compute where an extent does not fill them; a recurrent network reads (streams) its weights at every step.
"""

SIZES: Mapping[str, int] = {"128K": 1 << 17, "1M": 1 << 20, "32M": 1 << 25}
"""Sizes that caches have. What one operator moves beyond each (``traffic``), and what all weights together take beyond
it (``weights``), are columns of their own."""

EXTENTS = ("macs", "m", "k", "n", "matrices", "kernel", "stride", "bytes", "weights")
"""What the shapes of an operator are told by: a product's extents, and those of the product that another amounts to."""

_SHAPED = tuple(name for name, own in QUANTITIES.items() if "macs" in own or own == _ROWS)

HOST = tuple(f"{group}.ops" for group in QUANTITIES)
"""Columns that count dispatches."""

DEVICE = (
    *(f"{group}.{quantity}" for group, own in QUANTITIES.items() for quantity in own),
    *(f"{what}.{size}" for what in ("traffic", "weights") for size in SIZES),
)
"""Columns that count work and traffic."""

SUMS = (*HOST, *DEVICE)
"""Columns that sum over operators."""

SHAPES = tuple(f"{group}.{extent}~" for group in _SHAPED for extent in EXTENTS)
"""Columns that hold the mean log2 of an extent over the operators of a group, each counting by its MACs or bytes."""

COLUMNS = (*SUMS, *SHAPES)
"""All columns, in order."""

_KINDS: Mapping[str, set[str]] = {
    "recurrent": {"lstm", "gru", "rnn_tanh", "rnn_relu"},
    "fourier": {"_fft_c2c", "_fft_r2c", "_fft_c2r"},
    "batch-normalisation": {"native_batch_norm", "batch_norm", "_native_batch_norm_legit_no_training"},
    "layer-normalisation": {"native_layer_norm", "native_group_norm", "rms_norm", "_fused_rms_norm", "layer_norm"},
    "softmax": {"_softmax", "_log_softmax", "_safe_softmax"},
    "rectifier": {"relu", "relu6", "hardtanh", "leaky_relu", "prelu", "threshold", "hardswish", "hardsigmoid"},
    "activation": {
        "silu", "gelu", "sigmoid", "tanh", "elu", "mish", "softplus", "celu", "glu", "log_sigmoid_forward",
    },
    "transcendental": {
        "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "erf", "pow", "rsqrt", "sqrt", "sin", "cos", "tan",
        "logsumexp", "logaddexp", "div", "reciprocal", "linalg_vector_norm", "atan2", "cumsum", "floor_divide",
        "remainder", "fmod", "acos", "asin", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "erfc", "erfinv",
        "polar", "sinc",
    },
    "elementwise": {
        "add", "sub", "mul", "neg", "clamp", "clamp_min", "clamp_max", "where", "masked_fill", "bitwise_and",
        "bitwise_or", "bitwise_not", "bitwise_xor", "logical_and", "logical_or", "logical_not", "eq", "ne", "lt", "le",
        "gt", "ge", "abs", "maximum", "minimum", "rsub", "addcmul", "addcdiv", "square", "sign", "lerp", "floor",
        "ceil", "round", "trunc", "isnan", "isinf", "conj_physical", "real", "imag", "bernoulli", "native_dropout",
        "bitwise_right_shift", "bitwise_left_shift", "__lshift__", "__rshift__", "nan_to_num", "view_as_real",
        "logical_xor",
    },
    "copy": {
        "clone", "copy", "_to_copy", "cat", "constant_pad_nd", "roll", "flip", "stack", "contiguous", "repeat", "fill",
        "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "arange",
        "zero", "select_scatter", "slice_scatter", "tril", "triu", "im2col", "col2im", "pixel_shuffle", "unfold_copy",
        "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d", "linspace",
        "eye", "repeat_interleave", "channel_shuffle", "diagonal_copy", "uniform", "normal", "randn", "rand",
        "randn_like", "rand_like",
    },
    "pooling": {
        "max_pool2d_with_indices", "avg_pool2d", "avg_pool1d", "avg_pool3d", "max_pool3d_with_indices", "max_pool1d",
        "max_pool2d", "_adaptive_avg_pool2d", "_adaptive_avg_pool1d", "_adaptive_avg_pool3d", "adaptive_max_pool2d",
        "upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "grid_sampler_2d",
        "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "upsample_linear1d",
    },
    "reduction": {
        "mean", "sum", "amax", "amin", "max", "min", "prod", "var", "var_mean", "std", "std_mean", "argmax", "argmin",
        "any", "all", "histc", "_unique2", "_is_all_true", "_is_any_true",
        "aminmax", "cummax", "cummin", "unique_consecutive", "mse_loss",
        "bincount", "topk", "sort", "cumprod", "norm", "nonzero", "count_nonzero", "multinomial", "kthvalue",
    },
    "gather": {
        "embedding", "index_select", "gather", "index", "index_put", "_index_put_impl", "index_copy", "index_add",
        "scatter", "scatter_add",
        "scatter_reduce", "masked_scatter", "_unsafe_index", "_unsafe_index_put", "take", "embedding_bag",
        "_embedding_bag", "masked_select", "searchsorted", "bucketize", "isin",
    },
}  # fmt: skip
"""Kinds of operators (without the underscore of those in place) that are told by their names."""

_ODD = {"_local_scalar_dense", "_weight_norm_interface", "as_strided", "diag_embed", "xlogy"}
"""Kinds in no group that were measured all the same."""

_NAMED = 5  # kinds that a note names

_GROUP_OF = {kind: group for group, kinds in _KINDS.items() for kind in kinds}
_MANY_IMAGES, _SMALL_IMAGE = 16, 20480  # inputs, and elements of one, from which torch calls oneDNN
_TILES = (4, 16)  # rows and columns of a product, and channels of a convolution, that vector units take at once


def group(operator: Operator) -> str:
    """The group of an operator, one of `QUANTITIES`; ``other`` where its kind is not known.

    >>> group(Operator("add_", inputs=((2, 3),), outputs=((2, 3),)))
    'elementwise'
    """
    if {"m", "k", "n"} <= operator.attributes.keys():
        return "linear" if operator.weight_bytes else "matmul"
    if "kernel" in operator.attributes:
        return _convolution(operator)
    if {"q_length", "kv_length"} <= operator.attributes.keys():
        return "attention"
    return _GROUP_OF.get(operator.kind, _GROUP_OF.get(operator.kind.removesuffix("_"), "other"))


def is_known(operator: Operator) -> bool:
    """Whether an operator is of a kind whose cost is known; one that is not counts by its dispatch and bytes.

    >>> is_known(Operator("add", inputs=((2, 3),), outputs=((2, 3),))), is_known(Operator("my_own", (), ()))
    (True, False)
    """
    return group(operator) != "other" or operator.kind.removesuffix("_") in _ODD


def unknown(trace: Trace) -> str:
    """The operators of a trace that are not known (`is_known`), with their share of dispatches and bytes; or nothing.

    >>> unknown(Trace((Operator("my_own", (), (), activation_bytes=8), Operator("add", (), ())), params=0))
    'my_own (50 % of dispatches, 100 % of bytes)'
    """
    odd = [operator for operator in trace.operators if not is_known(operator)]
    if not odd:
        return ""
    names = list(dict.fromkeys(operator.kind for operator in odd))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shares = 100 * len(odd) / len(trace.operators), 100 * unknown_share(trace)
    return f"{', '.join(names[:_NAMED])}{more} ({shares[0]:.0f} % of dispatches, {shares[1]:.0f} % of bytes)"


def unknown_share(trace: Trace) -> float:
    """The share of bytes that operators move which are not known, between 0 and 1."""
    moved = [(is_known(one), one.activation_bytes + one.weight_bytes) for one in trace.operators]
    return sum(own for known, own in moved if not known) / max(sum(own for _, own in moved), 1)


def amounts(operator: Operator, *, itemsize: int = 4) -> tuple[dict[str, float], dict[str, float]]:
    """How much of each of its group's quantities an operator asks for, and its `EXTENTS`.

    ``itemsize`` is the bytes of an element. Bytes are those of the trace, where it counts them.
    """
    own = group(operator)
    quantities, extents = _DESCRIBE.get(own, _describe_plain)(operator, itemsize)
    known = {
        "macs": float(operator.macs),
        "bytes": float(operator.activation_bytes),
        "output_bytes": float(operator.output_elements * itemsize),
        "weight_bytes": float(operator.weight_bytes),
    }
    shared = {"macs": known["macs"], "bytes": known["bytes"], "weights": known["weight_bytes"]}
    return {name: {**known, **quantities}[name] for name in QUANTITIES[own]}, {**shared, **extents}


def linear(operator: Operator, *, itemsize: int = 4) -> tuple[str, dict[str, float], dict[str, float]]:
    """The group of an operator, what it adds to those of `SUMS` that it has a part in, and `EXTENTS`."""
    own = group(operator)
    quantities, extents = amounts(operator, itemsize=itemsize)
    found = {f"{own}.ops": 1.0, **{f"{own}.{name}": value for name, value in quantities.items()}}
    traffic = operator.activation_bytes + operator.weight_bytes
    found |= {f"traffic.{size}": float(max(0, traffic - limit)) for size, limit in SIZES.items()}
    return own, found, extents


def columns(trace: Trace, *, itemsize: int = 4) -> dict[str, float]:
    """One value for each of `COLUMNS`, of one call, the whole batch.

    >>> columns(Trace((), params=0))["linear.ops"]
    0.0
    """
    found = dict.fromkeys(COLUMNS, 0.0)
    weighed: defaultdict[str, float] = defaultdict(float)
    for operator, count in Counter(map(_Signature, trace.operators)).items():
        one = operator.of
        own, sums, extents = linear(one, itemsize=itemsize)
        for name, value in sums.items():
            found[name] += count * value
        if own in _SHAPED:
            weight = float(count * (one.macs or one.activation_bytes))
            weighed[own] += weight
            for extent in EXTENTS:
                found[f"{own}.{extent}~"] += weight * math.log2(1 + extents.get(extent, 0.0))
    for own, weight in weighed.items():
        for extent in EXTENTS:
            found[f"{own}.{extent}~"] /= weight or 1.0
    weights = sum(operator.weight_bytes for operator in trace.operators)
    return found | {f"weights.{size}": float(max(0, weights - limit)) for size, limit in SIZES.items()}


class _Signature:
    """An operator that is equal to every other one of its cost."""

    def __init__(self, operator: Operator) -> None:
        self.of = operator
        attributes = tuple(sorted((name, str(value)) for name, value in operator.attributes.items()))
        counts = (operator.macs, operator.activation_bytes, operator.weight_bytes)
        self._key = (operator.kind, operator.inputs, operator.outputs, counts, attributes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Signature) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


Described = tuple[dict[str, float], dict[str, float]]


def _describe_plain(operator: Operator, itemsize: int) -> Described:
    return {}, {}


def _describe_product(operator: Operator, itemsize: int) -> Described:
    batch, m, k, n = (float(operator.attributes.get(name, 1)) for name in ("batch", "m", "k", "n"))
    right_bytes = batch * k * n * itemsize
    quantities = {
        "padded_macs": batch * _up(m, _TILES[0]) * k * _up(n, _TILES[1]),
        "left_bytes": batch * m * k * itemsize,
        "right_bytes": right_bytes,
        "output_bytes": batch * m * n * itemsize,
        "vector_macs": batch * k * n if m == 1 else 0.0,
        "packed_bytes": right_bytes if m > 1 else 0.0,
        "matrices": batch,
    }
    return quantities, {"m": m, "k": k, "n": n, "matrices": batch}


def _convolution(operator: Operator) -> str:
    attributes, weight = operator.attributes, operator.inputs[1]
    if _plain(operator):
        return "plain-convolution"
    if attributes.get("groups", 1) > 1:
        return "depthwise-convolution" if weight[1] == 1 else "grouped-convolution"
    return "pointwise-convolution" if math.prod(attributes["kernel"]) == 1 else "dense-convolution"


def _plain(operator: Operator) -> bool:
    """Whether torch on one thread takes its own kernel and not oneDNN's, by its rule (``ConvParams::use_mkldnn``)."""
    attributes, shape = operator.attributes, operator.inputs[0]
    kernel, steps = attributes["kernel"], (*attributes.get("stride", (1,)), *attributes.get("dilation", (1,)))
    if math.prod(kernel) == 1 and max(steps) == 1 and shape[0] < _MANY_IMAGES:
        return True
    return (
        attributes.get("groups", 1) == 1
        and shape[0] == 1
        and math.prod(shape) <= _SMALL_IMAGE
        and not (len(kernel) > 1 and min(kernel) > 3)
    )


def _describe_convolution(operator: Operator, itemsize: int) -> Described:
    """A convolution amounts to a product of its patches with its kernels, for each group."""
    groups, kernel = operator.attributes.get("groups", 1), math.prod(operator.attributes["kernel"])
    output, channels = operator.outputs[0], operator.inputs[1][1]
    m, k, n = output[0] * math.prod(output[2:]), channels * kernel, output[1] / groups
    padded = m * _up(channels, _TILES[1] // 2) * kernel * _up(n, _TILES[1] // 2) if groups == 1 else operator.macs
    quantities = {
        "padded_macs": float(padded),
        "input_bytes": float(math.prod(operator.inputs[0]) * itemsize),
        "patch_bytes": float(groups * m * k * itemsize) if kernel > 1 else 0.0,
        "images": float(groups * output[0]),
    }
    stride = max(operator.attributes.get("stride", (1,)))
    return quantities, {"m": m, "k": k, "n": n, "matrices": groups, "kernel": kernel, "stride": stride}


def _describe_attention(operator: Operator, itemsize: int) -> Described:
    a = operator.attributes
    matrices, m, n = float(a.get("batch", 1) * a.get("heads", 1)), a["q_length"], a["kv_length"]
    quantities = {"score_bytes": matrices * m * n * itemsize, "matrices": matrices}
    return quantities, {"m": m, "k": a.get("head_size", 1), "n": n, "matrices": matrices}


def _describe_recurrent(operator: Operator, itemsize: int) -> Described:
    a = operator.attributes
    states = operator.inputs[1] if len(operator.inputs) > 1 else ()
    sequences = states[1] if len(states) == 3 else 1  # (layers and directions, sequences, width)
    steps = max(a["tokens"] // max(sequences, 1), 1)
    quantities = {"steps": steps * a["matrices"] / 2, "streamed_bytes": float(steps * operator.weight_bytes)}
    return quantities, {"m": sequences, "k": a["hidden_size"], "n": a["input_size"], "matrices": steps}


def _describe_rows(operator: Operator, itemsize: int) -> Described:
    """What is normalised together: a channel of an image, or the last extent of everything else."""
    shape = operator.outputs[0] if operator.outputs else ()
    width = math.prod(shape[2:]) if group(operator) == "batch-normalisation" else (shape or (1,))[-1]
    rows = math.prod(shape) / max(width, 1)
    return {"rows": rows}, {"m": rows, "n": width}


def _up(extent: float, tile: int) -> float:
    return math.ceil(extent / tile) * tile


_DESCRIBE: Mapping[str, Callable[[Operator, int], Described]] = {
    **dict.fromkeys(("linear", "matmul"), _describe_product),
    **dict.fromkeys((name for name in QUANTITIES if name.endswith("convolution")), _describe_convolution),
    **dict.fromkeys(("batch-normalisation", "layer-normalisation", "softmax"), _describe_rows),
    "attention": _describe_attention,
    "recurrent": _describe_recurrent,
}
