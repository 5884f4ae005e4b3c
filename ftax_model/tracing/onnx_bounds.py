"""Bounds on what an ONNX file of anybody may hold, told before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from onnx import ModelProto, TensorProto

from ftax_model.errors import DataError
from ftax_model.tracing import onnx_nodes

MOST_BYTES = (1 << 31) - 1
"""Of a file, without the weights that lie beside it; no protocol buffer is larger."""

MOST_NODES = 100_000
"""Of a graph, those of the functions that it calls and of the graphs inside it counted each time."""

DEEPEST = 64
"""How many functions may call each other."""

MOST_ELEMENTS = 1 << 34
"""Of a constant."""


def check(model: ModelProto, path: Path) -> None:
    """Raise `DataError` for a model that is too large once its functions are laid out, or whose constants are none.

    Weights that lie in other files lie in the folder of the file or below it, and are files there.
    """
    law, do = "an ONNX file holds a model", "check the file"
    why = _too_many(model) or next(filter(None, (_odd(one, path.parent) for one in _tensors(model))), "")
    if why:
        raise DataError(law, f"{path}: {why}", do)


def _too_many(model: ModelProto) -> str:
    """Why the functions and nodes of a model are too many; empty where they are not."""
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    known: dict[tuple[str, str, str], tuple[int, int]] = {}

    def laid_out(graph: Any, depth: int) -> tuple[int, int]:
        """The nodes of a graph or function with those that it calls, and how many call each other."""
        nodes, height = 0, 0
        for node in onnx_nodes.everywhere(graph):
            key = (node.domain, node.op_type, node.overload)
            own = (1, 0)
            if key in functions:
                if key not in known:
                    if depth == DEEPEST:
                        raise RecursionError
                    known[key] = laid_out(functions[key], depth + 1)
                own = known[key][0], known[key][1] + 1
            nodes, height = nodes + own[0], max(height, own[1])
        return nodes, height

    try:
        counts = [laid_out(graph, 0) for graph in (model.graph, *model.functions)]
    except RecursionError:
        counts = [(0, DEEPEST + 1)]
    if max(height for _, height in counts) > DEEPEST:
        return f"functions that call each other more than {DEEPEST} times"
    return f"more than {MOST_NODES:,} nodes" if max(nodes for nodes, _ in counts) > MOST_NODES else ""


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All constants of a model."""
    graphs = [model.graph]
    for graph in graphs:
        yield from graph.initializer
        for one in graph.sparse_initializer:
            yield from (one.values, one.indices)
        graphs += [inner for node in graph.node for inner in onnx_nodes.graphs(node)]
    nodes = [*onnx_nodes.everywhere(model.graph)]
    nodes += [node for function in model.functions for node in onnx_nodes.everywhere(function)]
    for node in nodes:
        for one in node.attribute:
            yield from (one.t, *one.tensors, one.sparse_tensor.values, one.sparse_tensor.indices)


def _odd(tensor: TensorProto, folder: Path) -> str:
    """Why a tensor is none; empty where it is one."""
    if tensor.data_type not in TensorProto.DataType.values():
        return f"a constant {tensor.name[:60]!r} of type {tensor.data_type}"
    if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > MOST_ELEMENTS:
        return f"a constant {tensor.name[:60]!r} of {'x'.join(map(str, tensor.dims))[:60]} elements"
    if tensor.data_location != TensorProto.EXTERNAL:
        return ""
    place = next((one.value for one in tensor.external_data if one.key == "location"), "")
    pure = PurePath(place)
    if not place or "\0" in place or pure.is_absolute() or ".." in pure.parts:
        return f"weights outside of its folder: {place[:60]!r}"
    file = folder / pure
    if file.exists() and not (file.is_file() and file.resolve().is_relative_to(folder.resolve())):
        return f"weights outside of its folder, or in no file: {place[:60]!r}"
    return ""
