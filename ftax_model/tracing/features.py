"""A trace as numbers: what its operators ask of a device, grouped by how devices do such work.

A device does not see a hundred kinds of operators but a score of ways of working: products go at one rate, depthwise
convolutions at another, copies at that of memory. `amounts` says for one operator to which group it belongs and how
much of each quantity it asks for; `columns` sums these over a trace, and adds what is left of the shapes when they are
summed away: their mean logarithms. What a unit of each quantity costs is for the modelling stage to learn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from ftax_model.operators import Operator, Trace
from ftax_model.tracing import numbers

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
times groups), and is plain where torch does not call oneDNN for it (`_is_plain`); ``padded_macs`` count what vector
units compute where an extent does not fill them; a recurrent network reads (streams) its weights at every step.
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
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE, _CHANNELS_AT_ONCE = 4.0, 16.0, 8.0  # that vector units take


def group(operator: Operator) -> str:
    """The group of an operator, one of `QUANTITIES`; ``other`` where its kind is not known.

    >>> group(Operator("add_", inputs=((2, 3),), outputs=((2, 3),)))
    'elementwise'
    """
    own = form(operator)
    return NAMES[resolved(own, numbers.numbers(operator)) if own == CONVOLUTION else own]


def form(operator: Operator) -> int:
    """The position of an operator's group in `NAMES`; `CONVOLUTION` for those that numbers tell (`resolved`)."""
    if {"m", "k", "n"} <= operator.attributes.keys():
        return _AT["linear" if operator.weight_bytes else "matmul"]
    if "kernel" in operator.attributes:
        return CONVOLUTION
    if {"q_length", "kv_length"} <= operator.attributes.keys():
        return _AT["attention"]
    return _AT[_GROUP_OF.get(operator.kind, _GROUP_OF.get(operator.kind.removesuffix("_"), "other"))]


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
    own, quantities, extents = _described(operator, itemsize)
    return dict(zip(QUANTITIES[NAMES[own]], quantities, strict=False)), dict(zip(EXTENTS, extents, strict=True))


def linear(operator: Operator, *, itemsize: int = 4) -> tuple[str, dict[str, float], dict[str, float]]:
    """The group of an operator, what it adds to those of `SUMS` that it has a part in, and `EXTENTS`."""
    at, amounts_of, extents_of = _described(operator, itemsize)
    own, extents = NAMES[at], dict(zip(EXTENTS, extents_of, strict=True))
    quantities = zip(QUANTITIES[own], amounts_of, strict=False)
    found = {f"{own}.ops": 1.0, **{f"{own}.{name}": value for name, value in quantities}}
    traffic = operator.activation_bytes + operator.weight_bytes
    found |= {f"traffic.{size}": float(max(0, traffic - limit)) for size, limit in SIZES.items()}
    return own, found, extents


def columns(trace: Trace, *, itemsize: int = 4) -> dict[str, float]:
    """One value for each of `COLUMNS`, of one call, the whole batch.

    >>> columns(Trace((), params=0))["linear.ops"]
    0.0
    """
    found, scratch, weights = summed(trace, itemsize=itemsize)
    finish(weights, found, scratch)
    return dict(zip(COLUMNS, found, strict=True))


def summed(trace: Trace, *, itemsize: int = 4) -> tuple[list[float], list[float], float]:
    """Columns of a trace before `finish`, the `SCRATCH` that it needs, and the bytes of weights that are read."""
    found, scratch, weights = [0.0] * len(COLUMNS), [0.0] * SCRATCH, 0.0
    for own, count in Counter((form(one), *numbers.numbers(one, itemsize=itemsize)) for one in trace.operators).items():
        weights += add(int(own[0]), own[1:], float(count), itemsize, found, scratch)
    return found, scratch, weights


def _described(operator: Operator, itemsize: int) -> tuple[int, list[float], list[float]]:
    scratch, row = [0.0] * SCRATCH, numbers.numbers(operator, itemsize=itemsize)
    own = resolved(form(operator), row)
    describe(own, row, itemsize, scratch)
    return own, scratch[:MOST_QUANTITIES], scratch[MOST_QUANTITIES : MOST_QUANTITIES + len(EXTENTS)]


# What follows is arithmetic on numbers alone, which `ftax_model.modeling.compiled` also compiles: no names, no objects.

NAMES = tuple(QUANTITIES)
"""Groups of operators, in the order of their numbers."""

_AT = {name: at for at, name in enumerate(NAMES)}
CONVOLUTION = len(NAMES)
MOST_QUANTITIES = max(map(len, QUANTITIES.values()))
SCRATCH = MOST_QUANTITIES + len(EXTENTS) + len(NAMES)
"""Numbers that `add` works on: quantities and extents of an operator, and the weight of each group so far."""

_LINEAR, _MATMUL, _ATTENTION, _RECURRENT = (_AT[name] for name in ("linear", "matmul", "attention", "recurrent"))
_POINTWISE, _DENSE, _PLAIN, _GROUPED, _DEPTHWISE = (
    _AT[f"{name}-convolution"] for name in ("pointwise", "dense", "plain", "grouped", "depthwise")
)
_BATCH_NORMALISATION, _LAYER_NORMALISATION, _SOFTMAX = (
    _AT[name] for name in ("batch-normalisation", "layer-normalisation", "softmax")
)
_FOURIER, _OTHER, _POOLING = (_AT[name] for name in ("fourier", "other", "pooling"))
_FIRSTS = tuple(len(HOST) + sum(map(len, list(QUANTITIES.values())[:at])) for at in range(len(NAMES)))
_COUNTS = tuple(map(len, QUANTITIES.values()))
_TRAFFIC = len(HOST) + sum(_COUNTS)
_SHAPES = tuple(len(SUMS) + _SHAPED.index(name) * len(EXTENTS) if name in _SHAPED else -1 for name in NAMES)
_LIMITS = tuple(map(float, SIZES.values()))
_EXTENTS = len(EXTENTS)
_E_MACS, _E_M, _E_K, _E_N, _E_MATRICES, _E_KERNEL, _E_STRIDE, _E_BYTES, _E_WEIGHTS = (
    MOST_QUANTITIES + at for at in range(_EXTENTS)
)
_WEIGHED = MOST_QUANTITIES + _EXTENTS


def resolved(form: int, row: numbers.Row) -> int:
    """The group of an operator of a form, by its numbers."""
    if form != CONVOLUTION:
        return form
    if _is_plain(row):
        return _PLAIN
    if row[numbers.GROUPS] > 1:
        return _DEPTHWISE if row[numbers.WEIGHT_IN] == 1 else _GROUPED
    return _POINTWISE if row[numbers.TAPS] == 1 else _DENSE


def _is_plain(row: numbers.Row) -> bool:
    """Whether torch on one thread takes its own kernel and not oneDNN's, by its rule (``ConvParams::use_mkldnn``)."""
    widest_step = max(row[numbers.STRIDE], row[numbers.DILATION])
    if row[numbers.TAPS] == 1 and widest_step == 1 and row[numbers.IMAGES] < _MANY_IMAGES:
        return True
    return (
        row[numbers.GROUPS] == 1
        and row[numbers.IMAGES] == 1
        and row[numbers.INPUT_ELEMENTS] <= _SMALL_IMAGE
        and not (row[numbers.SPATIAL] > 1 and row[numbers.NARROWEST] > 3)
    )


def add(form: int, row: numbers.Row, count: float, itemsize: float, found: numbers.Row, scratch: numbers.Row) -> float:
    """Add ``count`` operators to columns, those of `SHAPES` still weighed (`finish`); returns the weights they read.

    ``found`` has a place for each of `COLUMNS`, ``scratch`` has `SCRATCH`.
    """
    own = resolved(form, row)
    describe(own, row, itemsize, scratch)
    found[own] += count
    for at in range(_COUNTS[own]):
        found[_FIRSTS[own] + at] += count * scratch[at]
    moved, weights = row[numbers.ACTIVATION_BYTES], scratch[_E_WEIGHTS]
    for at in range(len(_LIMITS)):
        found[_TRAFFIC + at] += count * max(0.0, moved + weights - _LIMITS[at])
    if _SHAPES[own] >= 0:
        weight = count * (row[numbers.MACS] or moved)
        scratch[_WEIGHED + own] += weight
        for at in range(_EXTENTS):
            found[_SHAPES[own] + at] += weight * math.log2(1 + scratch[MOST_QUANTITIES + at])
    return float(count * weights)


def finish(weights: float, found: numbers.Row, scratch: numbers.Row) -> None:
    """Make columns whole once all operators were added, which read so many bytes of weights."""
    for own in range(len(_SHAPES)):
        if _SHAPES[own] >= 0:
            weight = scratch[_WEIGHED + own] or 1.0
            for at in range(_EXTENTS):
                found[_SHAPES[own] + at] /= weight
    for at in range(len(_LIMITS)):
        found[_TRAFFIC + len(_LIMITS) + at] = max(0.0, weights - _LIMITS[at])


def describe(group: int, row: numbers.Row, itemsize: float, into: numbers.Row) -> None:
    """Put the quantities of an operator of a group, and then its extents, into the first places of a list."""
    weights = numbers.weight_bytes(row)
    for at in range(MOST_QUANTITIES + _EXTENTS):
        into[at] = 0.0
    into[_E_MACS], into[_E_BYTES], into[_E_WEIGHTS] = row[numbers.MACS], row[numbers.ACTIVATION_BYTES], weights
    if group in (_LINEAR, _MATMUL):
        _describe_product(row, itemsize, into)
    elif group in (_POINTWISE, _DENSE, _PLAIN, _GROUPED, _DEPTHWISE):
        _describe_convolution(row, weights, itemsize, into)
    elif group == _ATTENTION:
        matrices, m, n = row[numbers.BATCH] * row[numbers.HEADS], row[numbers.Q_LENGTH], row[numbers.KV_LENGTH]
        into[0], into[1] = row[numbers.MACS], row[numbers.ACTIVATION_BYTES]
        into[2], into[3] = matrices * m * n * itemsize, matrices
        into[_E_M], into[_E_K], into[_E_N], into[_E_MATRICES] = m, row[numbers.HEAD_SIZE], n, matrices
    elif group == _RECURRENT:
        sequences = row[numbers.SEQUENCES]
        steps = max(row[numbers.TOKENS] // max(sequences, 1.0), 1.0)
        into[0], into[1], into[2] = row[numbers.MACS], steps * row[numbers.MATRICES] / 2, steps * weights
        into[_E_M], into[_E_K], into[_E_N] = sequences, row[numbers.HIDDEN_SIZE], row[numbers.INPUT_SIZE]
        into[_E_MATRICES] = steps
    elif group in (_FOURIER, _OTHER):
        into[0], into[1] = row[numbers.MACS], row[numbers.ACTIVATION_BYTES]
    else:
        into[0] = row[numbers.ACTIVATION_BYTES]
        if group == _POOLING:
            into[1] = row[numbers.ELEMENTS] * itemsize
        elif group in (_BATCH_NORMALISATION, _LAYER_NORMALISATION, _SOFTMAX):
            width = row[numbers.AREA] if group == _BATCH_NORMALISATION else row[numbers.LAST]
            rows = row[numbers.FIRST] / max(width, 1.0)
            into[1], into[_E_M], into[_E_N] = rows, rows, width


def _describe_product(row: numbers.Row, itemsize: float, into: numbers.Row) -> None:
    """A product of ``batch`` matrices of m x k by k x n; of a vector where m is 1."""
    batch, m, k, n = row[numbers.BATCH], row[numbers.M], row[numbers.K], row[numbers.N]
    right_bytes = batch * k * n * itemsize
    into[0], into[1] = row[numbers.MACS], batch * _up(m, _ROWS_AT_ONCE) * k * _up(n, _COLUMNS_AT_ONCE)
    into[2], into[3], into[4] = batch * m * k * itemsize, right_bytes, batch * m * n * itemsize
    into[5], into[6] = batch * k * n if m == 1 else 0.0, right_bytes if m > 1 else 0.0
    into[7] = batch
    into[_E_M], into[_E_K], into[_E_N], into[_E_MATRICES] = m, k, n, batch


def _describe_convolution(row: numbers.Row, weights: float, itemsize: float, into: numbers.Row) -> None:
    """A convolution amounts to a product of its patches with its kernels, for each group."""
    groups, kernel, channels = row[numbers.GROUPS], row[numbers.TAPS], row[numbers.WEIGHT_IN]
    m, k, n = row[numbers.OUTPUTS] * row[numbers.POSITIONS], channels * kernel, row[numbers.CHANNELS] / groups
    into[0], into[1] = row[numbers.MACS], row[numbers.MACS]
    if groups == 1:
        into[1] = m * _up(channels, _CHANNELS_AT_ONCE) * kernel * _up(n, _CHANNELS_AT_ONCE)
    into[2], into[3] = row[numbers.INPUT_ELEMENTS] * itemsize, row[numbers.ELEMENTS] * itemsize
    into[4], into[5] = weights, groups * m * k * itemsize if kernel > 1 else 0.0
    into[6] = groups * row[numbers.OUTPUTS]
    into[_E_M], into[_E_K], into[_E_N], into[_E_MATRICES] = m, k, n, groups
    into[_E_KERNEL], into[_E_STRIDE] = kernel, row[numbers.STRIDE]


def _up(extent: float, tile: float) -> float:
    return math.ceil(extent / tile) * tile
