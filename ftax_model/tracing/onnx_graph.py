"""ONNX graphs as traces: each node the operator of torch that does the same, in shapes inferred for a batch size.

Nodes whose inputs are all constants are folded, views cost nothing, and what has no counterpart keeps its own name, so
that its cost counts as unknown. Shapes come from inference; where that does not tell them, from one run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.operators import Operator, Trace
from ftax_model.workload import DTYPES

Shape = tuple[int, ...]

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
    "Softmax": "_softmax", "LogSoftmax": "_log_softmax",
}  # fmt: skip
"""Nodes, and the kind of operator that does the same in a trace."""


def read(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """The model in a file; raises `DataError` where it holds none."""
    law = "an ONNX file holds a model"
    try:
        return onnx.load(str(path))
    except OSError as error:
        raise DataError(law, f"{path}: {error.strerror or error}", "check the path") from error
    except Exception as error:  # protobuf raises anything
        raise DataError(law, f"{path}: {type(error).__name__}", "check the file") from error


class OnnxSweep:
    """The traces of an ONNX model at any batch sizes.

    ``shapes`` gives inputs a shape by name; where it does not, symbolic axes but the first have to be told. The batch
    is the first axis of the inputs, ``batch_size`` the one that the file or ``shapes`` fixes, else 1.
    """

    def __init__(self, path: str | os.PathLike[str], shapes: Mapping[str, Shape] | None = None) -> None:
        self.path = Path(path)
        self.model = read(path)
        constants = {one.name for one in self.model.graph.initializer}
        self._inputs = {one.name: one for one in self.model.graph.input if one.name not in constants}
        for name in shapes or {}:
            if name not in self._inputs:
                law = f"the inputs of {self.path.name} are {', '.join(self._inputs)}"
                raise InputError(law, name, "name one of those")
        firsts = [one.type.tensor_type.shape.dim[:1] for one in self._inputs.values()]
        self._symbol = next((own[0].dim_param for own in firsts if own and own[0].dim_param), "")
        self._shapes = {name: self._told(one, dict(shapes or {})) for name, one in self._inputs.items()}
        fixed = [shape[0] for shape in self._shapes.values() if shape and shape[0]]
        self.batch_size = fixed[0] if fixed else 1
        self._axes = {name: self._axis(one) for name, one in self._inputs.items()}
        dtypes = [_dtype(one.data_type) for one in self.model.graph.initializer]
        dtypes += [_dtype(one.type.tensor_type.elem_type) for one in self._inputs.values()]
        self.dtype = next((name for name in dtypes if name in DTYPES), "float32")

    def _told(self, value: Any, shapes: Mapping[str, Shape]) -> Shape:
        """The shape of an input, its first extent 0 where it is free."""
        if value.name in shapes:
            return shapes[value.name]
        extents = value.type.tensor_type.shape.dim
        free = [
            one.dim_param or "?"
            for at, one in enumerate(extents)
            if at and not one.dim_value and not (one.dim_param and one.dim_param == self._symbol)
        ]
        if free:
            law = f"the shape of {value.name} is known but for its batch"
            raise InputError(law, f"{', '.join(free)} open", f"give it: --shape {value.name}=1x...")
        return tuple(int(one.dim_value) for one in extents)

    def _axis(self, value: Any) -> int | None:
        """The axis of the batch in an input: of the symbol that the first free one bears, else the first, if it may."""
        extents = value.type.tensor_type.shape.dim
        named = [at for at, one in enumerate(extents) if self._symbol and one.dim_param == self._symbol]
        if named or not extents:
            return named[0] if named else None
        free = not extents[0].dim_value
        return 0 if free or (not self._symbol and extents[0].dim_value == self.batch_size) else None

    def _bound(self, batch_size: int) -> dict[str, Shape]:
        """The shapes of the inputs at a batch size."""
        found = {}
        for name, shape in self._shapes.items():
            axis = self._axes[name]
            found[name] = tuple(batch_size if at == axis else extent for at, extent in enumerate(shape))
        return found

    def __call__(self, batch_sizes: Iterable[int], more: Iterable[int] = ()) -> dict[int, Trace]:
        """The trace at each of these batch sizes, and at each of ``more`` where the graph takes it.

        Raises `InputError` for a size asked for that it does not take.
        """
        asked, found = list(batch_sizes), {}
        for size in sorted({*asked, *more}):
            try:
                found[size] = self._trace(size)
            except FtaxError:
                if size in asked:
                    raise
        return found

    def _trace(self, batch_size: int) -> Trace:
        own = self._bound(batch_size)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for value in model.graph.input:
            if value.name in own:
                _set_shape(value, own[value.name])
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        try:
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except Exception as error:
            law = f"{self.path.name} takes a batch of {batch_size}"
            said = " ".join(str(error).split())[:200]
            raise InputError(law, said, "ask for the batch size that it was exported for") from error
        graph = _Graph(inferred.graph, own)
        if graph.open:
            graph.fill(self._run(model, own, graph.open))
        return graph.trace()

    def _run(
        self, model: onnx.ModelProto, shapes: Mapping[str, Shape], names: list[str]
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The values of tensors whose shapes inference did not tell, of one run on zeros."""
        import onnxruntime

        whole = onnx.ModelProto()
        whole.CopyFrom(model)
        known = {one.name for one in whole.graph.output}
        whole.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        zeros = {
            name: np.zeros(shapes[name], helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type))
            for name, one in self._inputs.items()
        }
        try:
            session = onnxruntime.InferenceSession(
                whole.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return dict(zip(names, session.run(names, zeros), strict=True))
        except Exception as error:  # onnxruntime raises its own kinds
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{self.path.name} runs with its inputs", said, "give their shapes: --shape") from error


class _Graph:
    """A graph whose shapes are inferred, on its way to a trace; ``around`` is the one that it is a branch of."""

    def __init__(self, graph: Any, shapes: Mapping[str, Shape], around: _Graph | None = None) -> None:
        self.nodes = list(graph.node)
        self.shapes: dict[str, Shape] = {**(around.shapes if around else {}), **shapes}
        self.shapes |= {one.name: tuple(one.dims) for one in graph.initializer}
        self.items: dict[str, int] = {**(around.items if around else {})}
        self.items |= {one.name: _itemsize(one.data_type) for one in graph.initializer}
        for value in (*graph.value_info, *graph.output, *graph.input):
            tensor = value.type.tensor_type
            self.items[value.name] = _itemsize(tensor.elem_type)
            extents = [one.dim_value if one.HasField("dim_value") else -1 for one in tensor.shape.dim]
            if tensor.HasField("shape") and min(extents, default=0) >= 0:
                self.shapes[value.name] = tuple(extents)
        self.folded: set[str] = {*(around.folded if around else ()), *(one.name for one in graph.initializer)}
        for node in self.nodes:
            if all(name in self.folded for name in node.input if name) and not _has_graph(node):
                self.folded |= {*node.output}
        self.open = [
            name
            for node in self.nodes
            for name in node.output
            if name and name not in self.shapes and name not in self.folded
        ]

    def fill(self, values: Mapping[str, Any]) -> None:
        """Take shapes from values."""
        for name, value in values.items():
            self.shapes[name], self.items[name] = tuple(np.shape(value)), int(np.asarray(value).itemsize)

    def trace(self) -> Trace:
        """The operators of all nodes that run."""
        levels: dict[str, int] = {}
        found = []
        for node in self.nodes:
            if {*node.output} <= self.folded or (node.op_type in VIEWS and node.domain in ("", "ai.onnx")):
                before = max((levels.get(name, 0) for name in node.input), default=0)
                levels |= dict.fromkeys(node.output, before)
                continue
            level = max((levels.get(name, 0) for name in node.input), default=0)
            operator = self._operator(node, level)
            found.append(operator)
            branch = self._branch(node)
            found += branch
            deep = max((one.level for one in branch), default=0)
            levels |= dict.fromkeys(node.output, operator.level + deep)
        used = {name for node in self.nodes if not {*node.output} <= self.folded for name in node.input}
        return Trace(tuple(found), sum(math.prod(self.shapes.get(name, (0,))) for name in used & self.folded))

    def _branch(self, node: Any) -> list[Operator]:
        """What the longer branch of a choice runs, where its shapes are inferred; nothing for other nodes."""
        if node.op_type != "If" or node.domain not in ("", "ai.onnx"):
            return []
        branches = [_Graph(one.g, {}, self) for one in node.attribute]
        traced = [own.trace().operators for own in branches if not own.open]
        return [*max(traced, key=len, default=())]

    def _operator(self, node: Any, level: int) -> Operator:
        inputs = [name for name in node.input if name]
        shapes = tuple(self.shapes.get(name, ()) for name in inputs)
        outputs = tuple(self.shapes.get(name, ()) for name in node.output if name)
        described = _DESCRIBE.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        kind, macs, attributes = described(_given(node), shapes, outputs) if described else (self._kind(node), 0, {})
        read = {True: 0, False: 0}
        gathers = kind in ("index_select", "gather", "index")
        for at, name in enumerate(inputs):
            moved = self._bytes(name)
            if gathers and at == 0:
                moved = min(moved, sum(self._bytes(one) for one in node.output))
            read[name in self.folded] += moved
        return Operator(
            kind=kind,
            inputs=shapes,
            outputs=outputs,
            macs=macs,
            activation_bytes=read[False] + sum(self._bytes(name) for name in node.output if name),
            weight_bytes=read[True],
            level=level + (macs > 0),
            attributes=attributes,
            layer=node.name,
        )

    @staticmethod
    def _kind(node: Any) -> str:
        if node.domain not in ("", "ai.onnx"):
            return f"{node.domain}.{node.op_type}"
        return KINDS.get(node.op_type, f"onnx.{node.op_type}")

    def _bytes(self, name: str) -> int:
        return math.prod(self.shapes.get(name, (0,))) * self.items.get(name, 4)


Described = tuple[str, int, dict[str, Any]]


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


_DESCRIBE: Mapping[str, Callable[..., Described]] = {
    "MatMul": _product,
    "Gemm": _gemm,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "LSTM": _recurrent("lstm"),
    "GRU": _recurrent("gru"),
    "RNN": _recurrent("rnn_tanh"),
}


def _given(node: Any) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _has_graph(node: Any) -> bool:
    return any(one.HasField("g") or one.graphs for one in node.attribute)


def _dtype(code: int) -> str:
    return "float32" if code == TensorProto.FLOAT else str(TensorProto.DataType.Name(code)).lower()


def _itemsize(code: int) -> int:
    if code in (TensorProto.UNDEFINED, TensorProto.STRING):
        return 4
    return int(np.dtype(helper.tensor_dtype_to_np_dtype(code)).itemsize)


def _set_shape(value: Any, shape: Shape) -> None:
    tensor = value.type.tensor_type
    tensor.ClearField("shape")
    tensor.shape.SetInParent()
    for extent in shape:
        tensor.shape.dim.add().dim_value = extent
