#!/usr/bin/env python3
"""How fast the trees of a shipped predictor are walked, by what a cost compiles and by libraries.

    .venv/bin/python scripts/bench_trees.py --json

The trees are those of one platform's correction; rows are drawn at random between their thresholds. Compared are the
walk that `ftax_model.modeling.compiled` makes part of its one pass (numba), ONNX Runtime's ``TreeEnsembleRegressor``,
treelite's own evaluation (``pip install treelite``; left out where it is not installed) and ours in NumPy: microseconds
of one row alone and of a row among many, one thread, medians; and how far answers lie apart at most.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from ftax_model.modeling import compiled
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.platforms.flat import forest
from ftax_model.modeling.predictor import LatencyPredictor

Walk = Callable[[Any], Any]


def by_numba(trees: Trees) -> Walk:
    """The walk of a cost, row by row."""
    own, numba = forest([trees]), compiled.numba()

    @numba.njit(nogil=True)
    def walk(own: Any, rows: Any, out: Any) -> None:
        for at in range(len(rows)):
            out[at] = compiled.walk(own, rows[at])

    def run(rows: Any) -> Any:
        out = np.empty(len(rows))
        walk(own, rows, out)
        return out

    return run


def by_onnxruntime(trees: Trees, columns: int) -> Walk:
    """The same trees as an ONNX graph."""
    import onnxruntime
    from onnx import TensorProto, helper

    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    nodes: dict[str, list[Any]] = {name: [] for name in names}
    targets: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    own = trees.nodes
    for number, at in each_node(trees):
        leaf, root = own["left"][at] == at, int(trees.roots[number])
        values = (number, at - root, own["feature"][at], own["threshold"][at], "LEAF" if leaf else "BRANCH_LEQ")
        for name, value in zip(names, (*values, own["left"][at] - root, own["right"][at] - root), strict=True):
            nodes[name].append(value if isinstance(value, str) else float(value) if name == "values" else int(value))
        if leaf:
            for name, value in zip(targets, (number, int(at - root), 0, float(own["value"][at])), strict=True):
                targets[name].append(value)
    leaves = np.array(nodes["modes"]) == "LEAF"
    for name in ("truenodeids", "falsenodeids"):
        nodes[name] = np.where(leaves, 0, nodes[name]).tolist()
    attributes = {f"nodes_{name}": value for name, value in nodes.items()}
    attributes |= {f"target_{name}": value for name, value in targets.items()}
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **attributes)
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    imports = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"x": rows})[0][:, 0]


def by_treelite(trees: Trees, columns: int) -> Walk:
    """The same trees in treelite."""
    import treelite
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    count = len(trees.roots)
    builder = ModelBuilder(
        threshold_type="float32",
        leaf_output_type="float32",
        metadata=Metadata(
            num_feature=columns, task_type="kRegressor", average_tree_output=False, num_target=1, num_class=[1],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=count, target_id=[0] * count, class_id=[0] * count),
        postprocessor=PostProcessorFunc(name="identity"),
        base_scores=[0.0],
    )  # fmt: skip
    own, last = trees.nodes, -1
    for number, at in each_node(trees):
        if number != last:
            if last >= 0:
                builder.end_tree()
            builder.start_tree()
            last = number
        root = int(trees.roots[number])
        builder.start_node(int(at) - root)
        if own["left"][at] == at:
            builder.leaf(float(own["value"][at]))
        else:
            builder.numerical_test(
                feature_id=int(own["feature"][at]),
                threshold=float(own["threshold"][at]),
                default_left=True,
                opname="<=",
                left_child_key=int(own["left"][at]) - root,
                right_child_key=int(own["right"][at]) - root,
            )
        builder.end_node()
    builder.end_tree()
    model = builder.commit()
    return lambda rows: treelite.gtil.predict(model, rows, nthread=1)[:, 0, 0]


def each_node(trees: Trees) -> Any:
    """The tree and the position of each node."""
    ends = [*trees.roots[1:].tolist(), len(trees.nodes["left"])]
    for number, (root, end) in enumerate(zip(trees.roots.tolist(), ends, strict=True)):
        for at in range(root, end):
            yield number, at


def microseconds(walk: Walk, rows: Any, repeats: int) -> float:
    """Median time of a row."""
    walk(rows)
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        walk(rows)
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times) / len(rows)


@click.command()
@click.option("--rows", default=20_000, show_default=True, help="Rows of the many.")
@click.option("--repeats", default=9, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(rows: int, repeats: int, as_json: bool) -> None:
    """Print a line for each way."""
    (fit,) = LatencyPredictor.load("cpu").select(
        framework="eager", device="amd-epyc-genoa-2core", threads=1, dtype="float32"
    )
    assert fit.model is not None
    trees = fit.model.trees_[0]  # type: ignore[attr-defined]
    inner = trees.nodes["left"] != np.arange(len(trees.nodes["left"]))
    columns = int(trees.nodes["feature"].max()) + 1
    told = trees.nodes["threshold"][inner]
    drawn = np.random.default_rng(0).choice(told, (rows, columns)).astype(np.float32)
    ways: dict[str, Walk] = {"numba, in our own pass": by_numba(trees), "onnxruntime": by_onnxruntime(trees, columns)}
    if importlib.util.find_spec("treelite"):
        ways["treelite"] = by_treelite(trees, columns)
    ways["numpy"] = trees.predict
    usual, found = trees.predict(drawn[:1000]), []
    for name, walk in ways.items():
        alone = microseconds(lambda one, walk=walk: [walk(own) for own in one], drawn[:200, None], repeats)
        apart = float(np.abs(walk(drawn[:1000]) - usual).max())
        found.append(
            {"way": name, "alone_us": alone, "among_many_us": microseconds(walk, drawn, repeats), "apart": apart}
        )
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{len(trees.roots)} trees, {len(inner)} nodes; microseconds a row")
    for one in found:
        click.echo(
            f"{one['way']:<24}{one['alone_us']:>9.1f} alone {one['among_many_us']:>9.2f} among {rows:,}"
            f"   {one['apart']:.1e} apart"
        )


if __name__ == "__main__":
    main()
