"""ONNX graphs as traces: each node the operator of torch that does the same, in shapes inferred for a batch size.

Nodes whose inputs are all constants are folded, views cost nothing, and of choices and loops what runs is traced.
Shapes come from inference; where that does not tell them, from one run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper, shape_inference

from ftax_model import files
from ftax_model.errors import DataError, FtaxError, InputError, one_line
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features, onnx_nodes
from ftax_model.tracing._apart import apart
from ftax_model.tracing.kernels import kernels
from ftax_model.tracing.lifetimes import live_bytes
from ftax_model.tracing.onnx_bounds import MOST_BYTES, check
from ftax_model.tracing.onnx_flow import UNDECIDED, straighten
from ftax_model.tracing.onnx_nodes import Shape
from ftax_model.workload import DTYPES, QUANTISED

MOST_ELEMENTS = 1 << 30
"""Of an input of a graph that runs."""

MOST_VALUES = 4096
"""Elements of the largest constant whose values may decide shapes; of larger ones the shape alone is looked at."""


def read(path: str | os.PathLike[str]) -> ModelProto:
    """The model in a file, without the weights in files beside it.

    Raises `DataError` where it holds none, or one beyond the bounds of `ftax_model.tracing.onnx_bounds`.
    """
    law = "an ONNX file holds a model"
    if not Path(path).is_file():
        raise DataError(law, f"no file {path}", "check the path")
    size = Path(path).stat().st_size
    if size > MOST_BYTES:
        raise DataError(law, f"{path}: more than {MOST_BYTES:,} bytes", "keep its weights in files beside it")
    content = files.read(path, law=law, most=size)
    try:
        model = ModelProto.FromString(content)
        if not model.graph.node:
            raise DataError(law, f"{path}: no nodes", "check the file")
        check(model, Path(path))
        return inliner.inline_local_functions(model) if model.functions else model
    except FtaxError:
        raise
    except Exception as error:  # protobuf raises anything
        raise DataError(law, f"{path}: {one_line(error)}", "check the file") from error


class OnnxSweep:
    """The traces of an ONNX model at any batch sizes.

    ``shapes`` gives inputs a shape by name; where it does not, symbolic axes but the first have to be told. ``values``
    gives inputs their values, for those that decide what runs. The batch is the first axis of the inputs,
    ``batch_size`` the one that the file or ``shapes`` fixes, else 1. ``dtype`` is that of the weights, or
    `ftax_model.workload.QUANTISED`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shapes: Mapping[str, Shape] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self._model = read(path)
        try:
            self._look(shapes, values)
        except FtaxError:
            raise
        except Exception as error:  # what a file says of its inputs and constants can be anything
            law = "an ONNX file says of its inputs and constants what they are"
            raise DataError(law, f"{self.path.name}: {one_line(error)}", "check the file") from error

    def _look(self, shapes: Mapping[str, Shape] | None, values: Mapping[str, Any] | None) -> None:
        graph = self._model.graph
        constants = {one.name for one in graph.initializer}
        every = {one.name: one for one in graph.input if one.name not in constants}
        for name in (*(shapes or {}), *(values or {})):
            if name not in every:
                raise InputError(f"the inputs of {self.path.name} are {', '.join(every)}", name, "name one of those")
        self._values = {name: self._value(every[name], value) for name, value in (values or {}).items()}
        self._inputs = {name: one for name, one in every.items() if name not in self._values}
        firsts = [one.type.tensor_type.shape.dim[:1] for one in self._inputs.values()]
        self._symbol = next((own[0].dim_param for own in firsts if own and own[0].dim_param), "")
        self._shapes = {name: self._told(one, dict(shapes or {})) for name, one in self._inputs.items()}
        fixed = [shape[0] for shape in self._shapes.values() if shape and shape[0]]
        self.batch_size = fixed[0] if fixed else 1
        self._axes = {name: self._axis(one) for name, one in self._inputs.items()}
        dtypes = [_dtype(one.data_type) for one in graph.initializer]
        dtypes += [_dtype(one.type.tensor_type.elem_type) for one in self._inputs.values()]
        self.dtype = next((name for name in dtypes if name in DTYPES), "float32")
        if any(map(onnx_nodes.is_quantised, onnx_nodes.everywhere(graph))):
            self.dtype = QUANTISED
        self._light, self._weights = _without_weights(self._model, self.path.parent)

    @staticmethod
    def _value(told: Any, value: Any) -> np.ndarray[Any, Any]:
        """The value of an input, in its dtype; one of a single number serves an input of any number of axes."""
        tensor = told.type.tensor_type
        given = np.asarray(value, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        axes = len(tensor.shape.dim)
        return given.reshape((1,) * axes) if given.size == 1 and tensor.HasField("shape") else given

    def _told(self, value: Any, shapes: Mapping[str, Shape]) -> Shape:
        """The shape of an input, its first extent 0 where it is free; what one shape tells of an axis, others share."""
        if value.name in shapes:
            return shapes[value.name]
        known = {self._symbol: 0} if self._symbol else {}
        for name, shape in shapes.items():
            if name not in self._inputs:  # its value is given besides
                continue
            told = zip(self._inputs[name].type.tensor_type.shape.dim, shape, strict=False)
            known |= {one.dim_param: extent for one, extent in told if one.dim_param not in ("", "?")}
        extents = [
            one.dim_value or known.get(one.dim_param, 0 if at == 0 else None)
            for at, one in enumerate(value.type.tensor_type.shape.dim)
        ]
        free = [
            one.dim_param or "?"
            for one, extent in zip(value.type.tensor_type.shape.dim, extents, strict=True)
            if extent is None
        ]
        if free:
            law = f"the shape of {value.name} is known but for its batch"
            raise InputError(law, f"{', '.join(free)} open", f"give it: --shape {value.name}=1x...")
        return tuple(int(extent or 0) for extent in extents)

    def _axis(self, value: Any) -> int | None:
        """The axis of the batch in an input: of the symbol that the first free one bears, else the first, if it may.

        Else it is the only free axis, if that has the extent of the batch.
        """
        extents = value.type.tensor_type.shape.dim
        named = [at for at, one in enumerate(extents) if self._symbol and one.dim_param == self._symbol]
        if named or not extents:
            return named[0] if named else None
        free = [at for at, one in enumerate(extents) if not one.dim_value and one.dim_param in ("", "?")]
        if 0 in free or (not self._symbol and extents[0].dim_value == self.batch_size):
            return 0
        alone = len(free) == 1 and self._shapes[value.name][free[0]] == self.batch_size
        return free[0] if alone else None

    def _bound(self, batch_size: int) -> dict[str, Shape]:
        """The shapes of the inputs at a batch size."""
        found = {}
        for name, shape in self._shapes.items():
            axis = self._axes[name]
            found[name] = tuple(batch_size if at == axis else extent for at, extent in enumerate(shape))
        return found

    def __call__(self, batch_sizes: Iterable[int], more: Iterable[int] = ()) -> dict[int, Trace]:
        """The trace at each of these batch sizes, and at each of ``more`` where the graph takes it.

        Raises `InputError` for a size asked for that it does not take, and where that takes more than there is.
        """
        asked = list(batch_sizes)
        law, do = "an ONNX graph can be followed from its inputs on", "give their shapes and values, or check the file"
        held = sum(math.prod(one.dims) * _itemsize(one.data_type) for one in self._model.graph.initializer)
        found = apart(lambda: self._traces(asked, more), law=law, what=self.path.name, do=do, held=held)
        return {size: Trace.from_record(record) for size, record in found}

    def _traces(self, asked: list[int], more: Iterable[int]) -> list[tuple[int, dict[str, Any]]]:
        found = []
        for size in sorted({*asked, *more}):
            try:
                trace = self._trace(size)
                features.columns(trace, itemsize=4)  # of operators with shapes as those of their kind have
                kernels(trace, itemsize=4)
                found.append((size, trace.to_record()))
            except FtaxError:
                if size in asked:
                    raise
        return found

    def inputs(self, batch_size: int) -> dict[str, np.ndarray[Any, Any]]:
        """Inputs of one call, by name: the values that were given; else zeros, ones for masks and truth values.

        Whole numbers that rows of a table are looked up by name each of them in turn. Raises `InputError` for what is
        no tensor of numbers, or too large.
        """
        shapes = self._bound(batch_size)
        for name, shape in shapes.items():
            if math.prod(shape) > MOST_ELEMENTS:
                law = f"the inputs of {self.path.name} have at most {MOST_ELEMENTS:,} elements"
                raise InputError(law, f"{name} {'x'.join(map(str, shape))}", "give a smaller one: --shape")
        return {name: self._input(name, shape) for name, shape in shapes.items()} | self._values

    def _input(self, name: str, shape: Shape) -> np.ndarray[Any, Any]:
        code = self._inputs[name].type.tensor_type.elem_type
        if code in (TensorProto.UNDEFINED, TensorProto.STRING):
            raise InputError(f"the inputs of {self.path.name} are tensors of numbers", name, "measure it elsewhere")
        dtype = helper.tensor_dtype_to_np_dtype(code)
        tables = {one.name: one.dims for one in self._model.graph.initializer}
        lookups = (node for node in self._model.graph.node if node.op_type == "Gather" and node.input[1] == name)
        rows = min((tables[node.input[0]][0] for node in lookups if node.input[0] in tables), default=0)
        if rows and np.issubdtype(dtype, np.integer):
            return (np.arange(math.prod(shape)) % rows).astype(dtype).reshape(shape)
        return np.full(shape, "mask" in name or code == TensorProto.BOOL, dtype)

    def _trace(self, batch_size: int) -> Trace:
        own = self._bound(batch_size)
        model = ModelProto()
        model.CopyFrom(self._light)
        self._tell(model, own)
        run = partial(self._run, shapes=own)
        straighten(model, run)
        declared = self._declared(batch_size)
        del model.graph.value_info[:]
        model.graph.value_info.extend(declared)
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        try:
            inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except Exception as error:
            law = f"{self.path.name} takes a batch of {batch_size}"
            raise InputError(law, one_line(error), "ask for the batch size that it was exported for") from error
        graph = _Graph(inferred.graph, {*self._weights, *self._values})
        if graph.open:
            graph.fill(run(model, graph.open))
        return graph.trace()

    def _tell(self, model: ModelProto, own: Mapping[str, Shape]) -> None:
        """Set shapes of the inputs of a model, and make those constants whose values are given."""
        kept = [one for one in model.graph.input if one.name not in self._values]
        for value in kept:
            if value.name in own:
                _set_shape(value, own[value.name])
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in self._values.items())

    def _declared(self, batch_size: int) -> list[Any]:
        """What the file says of tensors that nodes of other domains put out, where that tells a shape."""
        foreign = {name for node in self._model.graph.node if "." in onnx_nodes.name(node) for name in node.output}
        found = []
        for one in self._model.graph.value_info:
            value = onnx.ValueInfoProto()
            value.CopyFrom(one)
            extents = value.type.tensor_type.shape.dim
            for at, extent in enumerate(extents):
                if extent.dim_param and (extent.dim_param == self._symbol or at == 0):
                    extent.dim_value = batch_size
            whole = all(extent.HasField("dim_value") for extent in extents)
            if one.name in foreign and whole and (self._symbol or batch_size == self.batch_size):
                found.append(value)
        return found

    def _run(self, model: ModelProto, names: list[str], *, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        """The values of tensors in one run on zeros."""
        import onnxruntime

        whole = ModelProto()
        whole.CopyFrom(model)
        known = {one.name for one in whole.graph.output}
        whole.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        given: dict[str, Any] = {
            name: np.zeros(shapes[name], helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type))
            for name, one in self._inputs.items()
        }
        try:
            given |= {name: _values(one, self.path.parent) for name, one in self._weights.items()}
            session = onnxruntime.InferenceSession(
                whole.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return dict(zip(names, session.run(names, given), strict=True))
        except Exception as error:  # onnxruntime raises its own kinds
            law, cure = f"{self.path.name} runs with its inputs", "give their shapes and values: --shape, --value"
            raise InputError(law, one_line(error), cure) from error


def _without_weights(model: ModelProto, folder: Path) -> tuple[ModelProto, dict[str, TensorProto]]:
    """A copy of a model in which large constants are inputs, and those constants by name."""
    constants = [*model.graph.initializer]
    large = {one.name: one for one in constants if math.prod(one.dims) > MOST_VALUES}
    already = {one.name for one in model.graph.input}
    inputs = [
        helper.make_tensor_value_info(name, one.data_type, tuple(one.dims))
        for name, one in large.items()
        if name not in already
    ]
    small = [
        numpy_helper.from_array(_values(one, folder), one.name) if _is_elsewhere(one) else one
        for one in constants
        if one.name not in large
    ]
    graph = helper.make_graph(
        model.graph.node,
        model.graph.name or "graph",
        [*model.graph.input, *inputs],
        model.graph.output,
        small,
        value_info=model.graph.value_info,
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version), large


def _values(constant: TensorProto, folder: Path) -> np.ndarray[Any, Any]:
    """The values of a constant; zeros where the file that holds them is not there."""
    if _is_elsewhere(constant):
        try:
            return np.asarray(numpy_helper.to_array(constant, str(folder)))
        except Exception:  # onnx raises its own kinds
            return np.zeros(tuple(constant.dims), helper.tensor_dtype_to_np_dtype(constant.data_type))
    return np.asarray(numpy_helper.to_array(constant))


class _Graph:
    """A straight graph whose shapes are inferred, on its way to a trace; ``given`` are inputs that are constants."""

    def __init__(self, graph: Any, given: Iterable[str]) -> None:
        self.nodes: list[NodeProto] = list(graph.node)
        self.inputs, self.outputs = ([one.name for one in ends] for ends in (graph.input, graph.output))
        self.shapes: dict[str, Shape] = {one.name: tuple(one.dims) for one in graph.initializer}
        self.types: dict[str, int] = {one.name: one.data_type for one in graph.initializer}
        for value in (*graph.value_info, *graph.output, *graph.input):
            tensor = value.type.tensor_type
            self.types[value.name] = tensor.elem_type
            extents = [one.dim_value if one.HasField("dim_value") else -1 for one in tensor.shape.dim]
            if tensor.HasField("shape") and min(extents, default=0) >= 0:
                self.shapes[value.name] = tuple(extents)
        self.folded: set[str] = {*given, *(one.name for one in graph.initializer)}
        for node in self.nodes:
            if all(name in self.folded for name in node.input if name) and not onnx_nodes.graphs(node):
                self.folded |= {*node.output}
        self.open = [
            name
            for node in self.nodes
            for name in node.output
            if name and node.domain != UNDECIDED and name not in self.shapes and name not in self.folded
        ]

    def fill(self, values: Mapping[str, Any]) -> None:
        """Take shapes from values."""
        for name, value in values.items():
            self.shapes[name] = tuple(np.shape(value))
            if not self.types.get(name) and isinstance(value, np.ndarray):
                self.types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)

    def trace(self) -> Trace:
        """The operators of all nodes that run."""
        levels: dict[str, int] = {}
        viewed: dict[str, str] = {}
        found, touched = [], []
        for node in self.nodes:
            level = max((levels.get(name, 0) for name in node.input), default=0)
            if onnx_nodes.is_alias(node):
                viewed |= dict.fromkeys(node.output, viewed.get(node.input[0], node.input[0]))
            if not {*node.output} <= self.folded and not onnx_nodes.is_view(node):
                operator = self._operator(node, level)
                found.append(operator)
                touched.append([viewed.get(name, name) for name in (*node.input, *node.output)])
                level = operator.level
            levels |= dict.fromkeys(node.output, level)
        used = {name for node in self.nodes if not {*node.output} <= self.folded for name in node.input}
        weights = [name for name in used & self.folded if _is_parameter(self.types.get(name, 0))]
        params = sum(math.prod(self.shapes.get(name) or (0,)) for name in weights)
        activations = {*self.inputs, *(name for names in touched for name in names)} - self.folded
        sizes = {name: self._bytes(name) for name in activations}
        returned = {viewed.get(name, name) for name in self.outputs}
        alive = live_bytes(touched, sizes, inputs=self.inputs, outputs=returned)
        operators = (replace(one, live_bytes=own) for one, own in zip(found, alive, strict=True))
        return Trace(tuple(operators), params, model_bytes=sum(map(self._bytes, weights)))

    def _operator(self, node: NodeProto, level: int) -> Operator:
        given = tuple(self.shapes.get(name, ()) if name else () for name in node.input)
        outputs = tuple(self.shapes.get(name, ()) for name in node.output if name)
        kind, macs, attributes = onnx_nodes.describe(node, given, outputs)
        read = {True: 0, False: 0}
        gathers = kind in ("index_select", "gather", "index")
        for at, name in enumerate(filter(None, node.input)):
            moved = self._bytes(name)
            if gathers and at == 0:
                moved = min(moved, sum(self._bytes(one) for one in node.output))
            read[name in self.folded] += moved
        return Operator(
            kind=kind,
            inputs=onnx_nodes.as_in_torch(
                kind, tuple(shape for shape, name in zip(given, node.input, strict=True) if name)
            ),
            outputs=outputs,
            macs=macs,
            activation_bytes=read[False] + sum(self._bytes(name) for name in node.output if name),
            weight_bytes=read[True],
            level=level + (macs > 0),
            attributes=attributes,
            layer=node.name,
        )

    def _bytes(self, name: str) -> int:
        return math.prod(self.shapes.get(name, (0,))) * _itemsize(self.types.get(name, 0))


def _is_elsewhere(constant: TensorProto) -> bool:
    """Whether the values of a constant are in another file."""
    return bool(constant.data_location == TensorProto.EXTERNAL)


def _dtype(code: int) -> str:
    return "float32" if code == TensorProto.FLOAT else str(TensorProto.DataType.Name(code)).lower()


def _is_parameter(code: int) -> bool:
    """Whether constants of a type are weights, and not shapes or places."""
    return code in _OF_WEIGHTS


_OF_WEIGHTS = {getattr(TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8")}


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
