"""An operator as a row of numbers: all that models look at, for columns and kernels to be worked out from.

What follows from the numbers (`ftax_model.tracing.features`, `ftax_model.tracing.kernels`) is plain arithmetic on such
a row, so that the same functions serve operators that were traced and, compiled, those of a search.
"""

from __future__ import annotations

import math
from typing import Any

from ftax_model.operators import Operator

NUMBERS = (
    "macs", "activation_bytes", "weight_bytes", "table_bytes", "row_itemsize", "elements", "first", "read", "arguments",
    "input_1", "input_2", "input_3", "input_4",
    "batch", "m", "k", "n",
    "images", "input_elements", "outputs", "positions", "channels", "weight_out", "weight_in", "groups", "taps",
    "widest", "narrowest", "spatial", "stride", "dilation", "transposed",
    "heads", "q_length", "kv_length", "head_size",
    "tokens", "matrices", "hidden_size", "input_size", "sequences",
    "second", "area", "last", "normalised",
)  # fmt: skip
"""What is told of an operator; 0 where it has no such thing, 1 for ``groups``, ``stride`` and ``dilation``.

``table_bytes`` are those of the table that a lookup gathers weights from, of which it reads no more than it puts out,
in elements of ``row_itemsize``; ``weight_bytes`` what it reads besides. ``elements`` are those of all outputs,
``first`` of the first one, ``read`` of all inputs, ``input_1`` to ``input_4`` of each of them, the last of the largest
from the fourth on. A product has ``batch`` to ``n``; a convolution ``images`` (of its input) to ``transposed``, with
``positions`` of an output channel and ``taps`` of its kernel; attention ``batch`` and ``heads`` to ``head_size``; a
recurrent network ``tokens`` to ``sequences``. ``second``, ``area`` (of the third on) and ``last`` are
extents of the first output, ``normalised`` the elements of the second one.
"""

(
    MACS, ACTIVATION_BYTES, WEIGHT_BYTES, TABLE_BYTES, ROW_ITEMSIZE, ELEMENTS, FIRST, READ, ARGUMENTS,
    INPUT_1, INPUT_2, INPUT_3, INPUT_4,
    BATCH, M, K, N,
    IMAGES, INPUT_ELEMENTS, OUTPUTS, POSITIONS, CHANNELS, WEIGHT_OUT, WEIGHT_IN, GROUPS, TAPS,
    WIDEST, NARROWEST, SPATIAL, STRIDE, DILATION, TRANSPOSED,
    HEADS, Q_LENGTH, KV_LENGTH, HEAD_SIZE,
    TOKENS, MATRICES, HIDDEN_SIZE, INPUT_SIZE, SEQUENCES,
    SECOND, AREA, LAST, NORMALISED,
) = range(len(NUMBERS))  # fmt: skip

LOOKUPS = ("embedding", "index_select", "gather", "index")
"""Kinds of operators that read of a table, their first input, no more than they put out."""

_INDEX, _SIZES = 8, (1, 2, 4, 8)  # bytes of an index, and of elements

Row = Any
"""The numbers of one operator: a list of floats, or an array where the arithmetic is compiled."""


def numbers(operator: Operator, *, itemsize: int = 4) -> list[float]:
    """The numbers of an operator whose elements have ``itemsize`` bytes, in the order of `NUMBERS`."""
    own = [0.0] * len(NUMBERS)
    first = operator.outputs[0] if operator.outputs else ()
    sizes = [math.prod(shape) for shape in operator.inputs]
    own[MACS], own[ACTIVATION_BYTES] = operator.macs, operator.activation_bytes
    own[ELEMENTS], own[FIRST] = operator.output_elements, math.prod(first) if operator.outputs else 0
    own[READ], own[ARGUMENTS], own[INPUT_4] = sum(sizes), len(sizes), max(sizes[3:], default=0)
    own[INPUT_1 : INPUT_1 + len(sizes[:3])] = sizes[:3]
    own[WEIGHT_BYTES], own[TABLE_BYTES], own[ROW_ITEMSIZE] = _weights(operator, itemsize)
    own[SECOND] = first[1] if len(first) > 1 else 1
    own[AREA], own[LAST] = math.prod(first[2:]), first[-1] if first else 1
    own[NORMALISED] = math.prod(operator.outputs[1]) if len(operator.outputs) > 1 else 0
    attributes = operator.attributes
    own[GROUPS] = attributes.get("groups", 1)
    own[STRIDE], own[DILATION] = (max(attributes.get(name, (1,))) for name in ("stride", "dilation"))
    if "kernel" in attributes:
        _fill_convolution(own, operator)
    elif {"m", "k", "n"} <= attributes.keys():
        own[BATCH], own[M], own[K], own[N] = (attributes.get(name, 1) for name in ("batch", "m", "k", "n"))
    elif {"q_length", "kv_length"} <= attributes.keys():
        own[BATCH], own[HEADS] = attributes.get("batch", 1), attributes.get("heads", 1)
        own[Q_LENGTH], own[KV_LENGTH] = attributes["q_length"], attributes["kv_length"]
        own[HEAD_SIZE] = attributes.get("head_size", 1)
    elif {"tokens", "matrices", "hidden_size", "input_size"} <= attributes.keys():
        own[TOKENS], own[MATRICES] = attributes["tokens"], attributes["matrices"]
        own[HIDDEN_SIZE], own[INPUT_SIZE] = attributes["hidden_size"], attributes["input_size"]
        states = operator.inputs[1] if len(operator.inputs) > 1 else ()
        own[SEQUENCES] = states[1] if len(states) == 3 else 1  # (layers and directions, sequences, width)
    return [float(value) for value in own]


def weight_bytes(row: Row) -> float:
    """Bytes of weights that an operator reads."""
    return float(row[WEIGHT_BYTES] + min(row[TABLE_BYTES], row[ELEMENTS] * row[ROW_ITEMSIZE]))


def taken(row: Row) -> float:
    """Elements of the largest input."""
    return float(max(row[INPUT_1], row[INPUT_2], row[INPUT_3], row[INPUT_4]))


def _weights(operator: Operator, itemsize: int) -> tuple[int, int, int]:
    """What an operator reads of weights besides rows of a table, the bytes of the table, and of an element of it."""
    total, out = operator.weight_bytes, operator.output_elements
    if operator.kind not in LOOKUPS or not total or not operator.inputs or not out:
        return total, 0, 0
    shape = operator.inputs[0]
    every, row = math.prod(shape), math.prod(shape[1:])
    indices = _INDEX * sum(math.prod(one) for one in operator.inputs[1:])  # weights themselves, or activations
    sizes = [(operator.activation_bytes - moved) / out for moved in (0, indices)]
    size = next((int(one) for one in sizes if one in _SIZES), itemsize)  # what is put out is of the table's type
    for elements in (row, every):  # the same row for every input is stored once
        if total == size * min(elements, out):
            return 0, size * elements, size
    besides = total - size * min(every, out)
    return (besides, size * every, size) if besides >= 0 else (total, 0, 0)


def _fill_convolution(own: list[Any], operator: Operator) -> None:
    attributes, shape, weight, output = operator.attributes, *operator.inputs[:2], operator.outputs[0]
    kernel = attributes["kernel"]
    own[IMAGES], own[INPUT_ELEMENTS] = shape[0], math.prod(shape)
    own[OUTPUTS], own[CHANNELS], own[POSITIONS] = output[0], output[1], math.prod(output[2:])
    own[WEIGHT_OUT], own[WEIGHT_IN] = weight[:2]
    own[TAPS], own[WIDEST], own[NARROWEST], own[SPATIAL] = math.prod(kernel), max(kernel), min(kernel), len(kernel)
    own[TRANSPOSED] = bool(attributes.get("transposed"))
