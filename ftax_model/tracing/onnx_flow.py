"""ONNX graphs made straight: of a choice the branch that runs, of a loop one copy of its body for each round.

Which branch runs and how many rounds there are is looked up in one run of the graph (`Run`); choices of a graph that
does not run fall on the longer branch, and stay in the graph to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ftax_model.errors import InputError
from ftax_model.tracing import onnx_nodes

Run = Callable[[ModelProto, list[str]], Mapping[str, np.ndarray[Any, Any]]]
"""The values of named tensors of a model in one run; raises `InputError` where it does not run."""

MOST_NODES = 50_000
"""Nodes of the longest graph that loops are laid out to."""

UNDECIDED = "onnx"
"""Domain of the choices of which nobody knows how they fall."""

_FIRST_AXIS = "straight/first-axis"


def straighten(model: ModelProto, run: Run) -> None:
    """Put what runs in the place of each choice and loop of a model.

    Raises `InputError` for a loop in a graph that does not run, or of too many rounds.
    """
    fresh = count()
    if any(map(_flows, model.graph.node)):
        model.opset_import.append(helper.make_opsetid(UNDECIDED, 1))
        model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), _FIRST_AXIS))
    while any(map(_flows, model.graph.node)):
        found = _looked_up(model, run)
        nodes: list[NodeProto] = []
        for node in model.graph.node:
            nodes += _undone(model, node, found, next(fresh)) if _flows(node) else [node]
            if len(nodes) > MOST_NODES:
                law = f"loops are laid out to {MOST_NODES} operators"
                raise InputError(law, f"more in {node.op_type} {node.name}", "ask for fewer rounds: shorter inputs")
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _flows(node: NodeProto) -> bool:
    return onnx_nodes.name(node) in ("If", "Loop", "Scan")


def _looked_up(model: ModelProto, run: Run) -> dict[str, Any]:
    """For the output of each choice which way it falls, and for that of each loop its rounds; from one run."""
    asked = ModelProto()
    asked.CopyFrom(model)
    wanted: dict[str, str] = {}
    for node in asked.graph.node:
        if not _flows(node):
            continue
        if node.op_type == "If":
            wanted[node.output[0]] = node.input[0]
        elif node.op_type == "Scan":
            wanted[node.output[0]] = node.input[-1]
        else:  # an output of its own counts the rounds
            body, rounds = _body(node), f"{node.output[0]}/rounds"
            body.node.append(helper.make_node("Identity", [body.input[0].name], [rounds]))
            body.output.append(helper.make_tensor_value_info(rounds, TensorProto.INT64, []))
            node.output.append(f"{rounds}-all")
            wanted[node.output[0]] = f"{rounds}-all"
    known = {one.name: numpy_helper.to_array(one) for one in asked.graph.initializer if one.name in wanted.values()}
    try:
        known |= run(asked, list(dict.fromkeys({*wanted.values()} - {*known})))
    except InputError:
        if any(node.op_type != "If" for node in asked.graph.node if _flows(node)):
            raise
    return {output: known[name] for output, name in wanted.items() if name in known}


def _undone(model: ModelProto, node: NodeProto, found: Mapping[str, Any], number: int) -> list[NodeProto]:
    """The nodes that run in place of one."""
    if node.op_type == "If":
        value = found.get(node.output[0])
        branches = {one.name: one.g for one in node.attribute}
        if value is not None:
            branch = branches["then_branch" if bool(np.all(value)) else "else_branch"]
            return _inlined(model, branch, {}, node.output, f"{node.output[0]}/{number}/")
        branch = max(branches.values(), key=lambda one: len(one.node))
        seen = helper.make_node("If", [node.input[0]], [f"{node.output[0]}/{number}/taken"], domain=UNDECIDED)
        return [seen, *_inlined(model, branch, {}, node.output, f"{node.output[0]}/{number}/")]
    given = onnx_nodes.attributes(node)
    value = found[node.output[0]]
    if node.op_type == "Loop":
        return _rounds(model, node, int(value.shape[0]), number, carried=2)
    scanned = int(given["num_scan_inputs"])
    axes = [*given.get("scan_input_axes", [0] * scanned)]
    turned = [*given.get("scan_input_directions", [0] * scanned)]
    return _rounds(
        model, node, int(value.shape[axes[-1]]), number, carried=0, scanned=[*zip(axes, turned, strict=True)]
    )


def _rounds(
    model: ModelProto,
    node: NodeProto,
    rounds: int,
    number: int,
    *,
    carried: int,
    scanned: Iterable[tuple[int, int]] = (),
) -> list[NodeProto]:
    """A body once for each round: ``carried`` inputs of its own come first, what is ``scanned`` last."""
    body, sides = _body(node), [*scanned]
    states = [*node.input[carried : len(node.input) - len(sides)]]
    first = int(carried > 0)  # a loop's body says first whether it goes on
    collected: list[list[str]] = [[] for _ in node.output[len(states) :]]
    nodes: list[NodeProto] = []
    for at in range(rounds):
        prefix = f"{node.output[0]}/{number}.{at}/"
        names: dict[str, str] = {}
        if carried:
            model.graph.initializer.append(numpy_helper.from_array(np.array(at, np.int64), f"{prefix}round"))
            model.graph.initializer.append(numpy_helper.from_array(np.array(True), f"{prefix}goes-on"))
            names |= {body.input[0].name: f"{prefix}round", body.input[1].name: f"{prefix}goes-on"}
        names |= {one.name: state for one, state in zip(body.input[carried:], states, strict=False)}
        for (axis, turned), one, source in zip(
            sides, body.input[len(body.input) - len(sides) :], node.input[len(node.input) - len(sides) :], strict=True
        ):
            where = numpy_helper.from_array(
                np.array(rounds - 1 - at if turned else at, np.int64), f"{prefix}{one.name}/at"
            )
            model.graph.initializer.append(where)
            nodes.append(helper.make_node("Gather", [source, where.name], [f"{prefix}{one.name}"], axis=axis))
            names[one.name] = f"{prefix}{one.name}"
        outputs = [f"{prefix}out{i}" for i in range(len(body.output))]
        nodes += _inlined(model, body, names, outputs, prefix)
        states = outputs[first : first + len(states)]
        for own, name in zip(collected, outputs[first + len(states) :], strict=True):
            own.append(name)
        if len(nodes) > MOST_NODES:
            return nodes
    ends = [(name, [state]) for name, state in zip(node.output, states, strict=False)]
    nodes += [helper.make_node("Identity", own, [name]) for name, own in ends if name]
    for name, own in zip(node.output[len(states) :], collected, strict=True):
        if name and own:
            nodes += [_row(model, one) for one in own]
            nodes.append(helper.make_node("Concat", [f"{one}/row" for one in own], [name], axis=0))
    return nodes


def _row(model: ModelProto, name: str) -> NodeProto:
    """A node that gives a tensor a first axis, as the version of the operators writes it."""
    version = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if version < 13:
        return helper.make_node("Unsqueeze", [name], [f"{name}/row"], axes=[0])
    return helper.make_node("Unsqueeze", [name, _FIRST_AXIS], [f"{name}/row"])


def _inlined(
    model: ModelProto, graph: Any, names: Mapping[str, str], outputs: Iterable[str], prefix: str
) -> list[NodeProto]:
    """The nodes of a graph within another, its own names made different by a prefix; it puts out ``outputs``."""
    own = {name: f"{prefix}{name}" for node in graph.node for name in node.output if name}
    own |= {one.name: f"{prefix}{one.name}" for one in graph.initializer}
    names = {**names, **own}
    for one in graph.initializer:
        copy = TensorProto()
        copy.CopyFrom(one)
        copy.name = names[one.name]
        model.graph.initializer.append(copy)
    nodes = [_renamed(node, names) for node in graph.node]
    pairs = zip(graph.output, outputs, strict=False)
    return nodes + [helper.make_node("Identity", [names.get(one.name, one.name)], [name]) for one, name in pairs]


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy of a node with other names, in the graphs inside it too."""
    copy = NodeProto()
    copy.CopyFrom(node)
    for side in (copy.input, copy.output):
        side[:] = [names.get(name, name) for name in side]
    for graph in onnx_nodes.graphs(copy):
        inner = {one.name for one in (*graph.input, *graph.initializer)}
        inner |= {name for one in graph.node for name in one.output}
        outer = {name: new for name, new in names.items() if name not in inner}
        nodes = [_renamed(one, outer) for one in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        for one in graph.output:
            one.name = outer.get(one.name, one.name)
    return copy


def _body(node: NodeProto) -> Any:
    return next(one.g for one in node.attribute if one.name == "body")
