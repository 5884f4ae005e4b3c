"""ONNX files: graphs with other operators, shapes, attributes and names, followed at two batch sizes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 - here, and not in each copy of this process
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from ftax_model.tracing import features, onnx_nodes, sources

GRAPHS = (
    """<ir_version: 8, opset_import: ["" : 17]> agraph (float[n, 3, 8, 8] x) => (float[n, 4] y)
    <float[4, 3, 3, 3] w, float[4] b, int64[2] s = {0, -1}, float[4, 4] m> {
        a = Conv <pads = [1, 1, 1, 1]> (x, w, b)  c = Relu (a)  d = GlobalAveragePool (c)
        e = Reshape (d, s)  f = Gemm <transB = 1> (e, m, b)  y = Softmax <axis = -1> (f)
    }""",
    """<ir_version: 8, opset_import: ["" : 17]> agraph (float[n, 4] x) => (float[n, p] y)
    <int64[2] reps = {1, 3}, float lim = {0.0}> {
        t = Tile (x, reps)  q = ReduceSum (t)  k = Greater (q, lim)
        y = If (k) <then_branch = g () => (float[n, p] a) { a = Relu (t) },
                    else_branch = h () => (float[n, p] b) { b = Exp (t) }>
    }""",
    """<ir_version: 8, opset_import: ["" : 17]> agraph (float[n, 4] x) => (float[n, 4] y)
    <int64 rounds = {3}, bool go = {1}> {
        y = Loop (rounds, go, x) <body = g (int64 i, bool c, float[n, 4] v) => (bool d, float[n, 4] w)
                                  { d = Identity (c)  w = Relu (v) }>
    }""",
    """<ir_version: 8, opset_import: ["" : 17, "own" : 1]> agraph (float[n, 4] x) => (float[n, 4] y)
    { a = own.twice (x)  z = NonZero (a)  r = Cast <to = 1> (z)  m = ReduceMax (r)  y = Add (a, m) }
    <domain: "own", opset_import: ["" : 17]> twice (v) => (w) { u = Relu (v)  w = Add (u, u) }""",
    """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> agraph (float[n, 6, 8] x) => (float y)
    <float[1, 32, 8] w, float[1, 32, 8] r, float[8, 24] q, float[24] bias> {
        h, l = LSTM <hidden_size = 8> (x, w, r)  e = Einsum <equation = "nij,nkj->nik"> (x, x)
        t = com.microsoft.Attention <num_heads = 2> (x, q, bias)
        s = Shape (h)  o = ConstantOfShape (s)  k = Resize <mode = "nearest"> (h, , , s)  y = ReduceMean (t)
    }""",
)

NAMES = sorted(
    {"If", "Loop", "Scan", "MatMul", "Gemm", "Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "Einsum", "Attention",
     "DFT", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "Constant", "ConstantOfShape", "Range",
     "Tile", "Expand", "Pad", "Resize", "NonZero", "Unique", "TopK", "Compress", "SequenceConstruct", "SequenceAt",
     "SplitToSequence", "Optional", "STFT", "NonMaxSuppression", "StringNormalizer", "RandomNormal", "Identity",
     "Reshape", "Squeeze", "Unsqueeze", "Shape", "Size", "QuantizeLinear", "Evil"} | {*onnx_nodes.KINDS}
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 3, 7, 64, 255, 4096, 2**20, 2**31 - 1, 2**31, 2**40, 2**62, -(2**40), -(2**63), 2**63 - 1)
FLOATS = (0.0, 1.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), -float("inf"))
PLACES = ("../../../../etc/passwd", "/etc/passwd", "weights.bin", "", ".", "a/../../b", "/dev/zero", "x" * 300)


def seeds() -> list[bytes]:
    """Small graphs of each kind, with the choice, loop, function and open shape that some have."""
    return [filled(parser.parse_model(text)).SerializeToString() for text in GRAPHS]


def filled(model: ModelProto) -> ModelProto:
    """A model in which what is declared beside the graph has zeros as its values."""
    for one in model.graph.value_info:
        tensor = one.type.tensor_type
        shape = [extent.dim_value for extent in tensor.shape.dim]
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), one.name))
    del model.graph.value_info[:]
    return model


def read(data: bytes, folder: Path) -> None:
    """Read a graph and follow it at its own batch size and at 3, as a prediction does."""
    file = folder / "net.onnx"
    file.write_bytes(data)
    source = sources.of_onnx(file)
    for trace in source.traced([source.batch_size], [3]).values():
        features.columns(trace, itemsize=4)
        trace.memory()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A graph with a few parts changed; bytes where it is none."""
    try:
        model = ModelProto.FromString(data)
    except Exception:  # protobuf raises its own kinds
        return _cut(data, dice)
    if dice.random() < 0.05 or not model.graph.node:
        return _cut(data, dice)
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        change: Callable[[ModelProto, random.Random], None] = dice.choice(_CHANGES)
        try:
            change(model, dice)
        except (IndexError, ValueError, TypeError):  # there is no such part, or it takes no such value
            continue
    return bytes(model.SerializeToString())


def _cut(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.randbytes(dice.randint(0, 4)) + data[at + dice.randint(0, 8) :]


def _node(model: ModelProto, dice: random.Random) -> Any:
    return dice.choice([*onnx_nodes.everywhere(model.graph)])


def _operator(model: ModelProto, dice: random.Random) -> None:
    node = _node(model, dice)
    node.op_type, node.domain = dice.choice(NAMES), dice.choice(("", "", "", "com.microsoft", "own", "evil"))
    if "." in node.op_type:
        node.domain, _, node.op_type = node.op_type.rpartition(".")


def _names(model: ModelProto, dice: random.Random) -> None:
    node, known = _node(model, dice), _known(model)
    side = dice.choice((node.input, node.output))
    side[dice.randrange(len(side))] = dice.choice([*known, "", "new"])


def _more_names(model: ModelProto, dice: random.Random) -> None:
    node = _node(model, dice)
    dice.choice((node.input, node.output)).append(dice.choice([*_known(model), "", "new"]))


def _fewer_names(model: ModelProto, dice: random.Random) -> None:
    node = _node(model, dice)
    del dice.choice((node.input, node.output))[-1]


def _known(model: ModelProto) -> list[str]:
    found = [name for node in onnx_nodes.everywhere(model.graph) for name in (*node.input, *node.output)]
    return [*found, *(one.name for one in (*model.graph.input, *model.graph.initializer))]


def _attribute(model: ModelProto, dice: random.Random) -> None:
    attribute = dice.choice([one for node in onnx_nodes.everywhere(model.graph) for one in node.attribute])
    values: tuple[Any, ...] = (
        dice.choice(NUMBERS), dice.choice(FLOATS), [dice.choice(NUMBERS) for _ in range(dice.randint(1, 5))],
        dice.choice(("", "ij,jk->ik", "i...,->", "linear", "x" * 500)), [1.0, float("nan")],
        helper.make_tensor("t", TensorProto.INT64, [1], [dice.choice(NUMBERS)]),
        model.graph if dice.random() < 0.1 else 1,
    )  # fmt: skip
    attribute.CopyFrom(helper.make_attribute(attribute.name, dice.choice(values)))


def _new_attribute(model: ModelProto, dice: random.Random) -> None:
    name = dice.choice(("axis", "axes", "group", "strides", "pads", "dilations", "num_heads", "hidden_size", "to", "N"))
    value = dice.choice((dice.choice(NUMBERS), [dice.choice(NUMBERS)] * 2))
    _node(model, dice).attribute.append(helper.make_attribute(name, value))


def _shape(model: ModelProto, dice: random.Random) -> None:
    value = dice.choice([*model.graph.input, *model.graph.output, *model.graph.value_info])
    tensor = value.type.tensor_type
    match dice.randrange(5):
        case 0:
            tensor.elem_type = dice.choice((0, 1, 7, 8, 9, 10, 16, 17, 99, 2**31 - 1))
        case 1:
            tensor.ClearField("shape")
        case 2:
            tensor.shape.dim.add().dim_value = dice.choice(NUMBERS)
        case 3:
            dice.choice(tensor.shape.dim).dim_value = dice.choice(NUMBERS)
        case _:
            dice.choice(tensor.shape.dim).dim_param = dice.choice(("n", "", "?", "m"))


def _constant(model: ModelProto, dice: random.Random) -> None:
    one = dice.choice(model.graph.initializer)
    match dice.randrange(6):
        case 0:
            one.dims[dice.randrange(len(one.dims))] = dice.choice(NUMBERS)
        case 1:
            one.dims.append(dice.choice(NUMBERS))
        case 2:
            one.data_type = dice.choice((0, 1, 7, 8, 9, 10, 16, 17, 22, 99))
        case 3:
            one.int64_data[:] = [dice.choice(NUMBERS) for _ in one.int64_data]
        case 4:
            one.raw_data = dice.randbytes(dice.randint(0, 64))
        case _:
            one.data_location = TensorProto.EXTERNAL
            one.external_data.add(key="location", value=dice.choice(PLACES))
            one.external_data.add(key=dice.choice(("offset", "length")), value=str(dice.choice((*NUMBERS, "x"))))


def _order(model: ModelProto, dice: random.Random) -> None:
    nodes = [*model.graph.node]
    at = dice.randrange(len(nodes))
    match dice.randrange(3):
        case 0:
            dice.shuffle(nodes)
        case 1:
            del nodes[at]
        case _:
            nodes.insert(dice.randrange(len(nodes)), nodes[at])
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _versions(model: ModelProto, dice: random.Random) -> None:
    if dice.random() < 0.5:
        dice.choice(model.opset_import).version = dice.choice((*NUMBERS, 1, 9, 11, 13, 18, 21))
    else:
        model.ir_version = dice.choice((*NUMBERS, 3, 4, 7))


def _functions(model: ModelProto, dice: random.Random) -> None:
    function = dice.choice(model.functions)
    if dice.random() < 0.5:
        node = dice.choice(function.node)
        node.op_type, node.domain = function.name, function.domain
    else:
        model.functions.add().CopyFrom(function)


_CHANGES = (
    _operator, _operator, _operator, _names, _names, _more_names, _fewer_names, _attribute, _attribute, _new_attribute,
    _shape, _shape, _constant, _constant, _order, _versions, _functions,
)  # fmt: skip
