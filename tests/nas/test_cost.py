"""LatencyCost where it is asked oddly: all forms of candidates, what means nothing, damaged files, other processes."""

from __future__ import annotations

import copy
import io
import json
import multiprocessing
import random
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.modeling import limits
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.nas import LatencyCost
from ftax_model.tracing import polynomials, sources, trace_workload
from ftax_model.tracing.polynomials import InexactError
from ftax_model.workload import Workload

PLATFORM = {"framework": "eager", "device": "amd-epyc-genoa-2core", "threads": 1}
CPU = LatencyPredictor.load(SHIPPED)
SAME = partial(pytest.approx, rel=1e-9)
ONE = {"num_layers": 2, "hidden_size": 96}


def cost_of(architecture: str | None = "feedforward", **options: Any) -> LatencyCost:
    return LatencyCost(CPU, **{**PLATFORM, "batch_size": 4, "architecture": architecture, **options})


@pytest.fixture(scope="module")
def cost() -> LatencyCost:
    return cost_of()


@pytest.fixture
def of_lists(monkeypatch: pytest.MonkeyPatch) -> Iterator[LatencyCost]:
    """The cost of a network with lists; without polynomials, for the forms of tables alone are looked at."""
    with monkeypatch.context() as patch:
        patch.setattr(polynomials, "derive", refused)
        yield cost_of("convnext")


def refused(*_: Any, **__: Any) -> None:
    raise InexactError("for a test")


def predicted(workload: Workload) -> float:
    return float(CPU.predict(workload, **PLATFORM, crossovers=False)["latency_s"].iloc[0])


# Forms of candidates


def test_tables_of_every_form_are_the_same_rows(cost: LatencyCost) -> None:
    rows = [{"num_layers": layers, "hidden_size": 32 * layers} for layers in range(2, 22)]
    expected = np.array([cost(one) for one in rows])
    frame = pd.DataFrame(rows)
    named = cost_of(variables=("num_layers", "hidden_size"))
    forms: dict[str, Any] = {
        "a list that is made a table": rows,
        "workloads": [Workload("feedforward", one) for one in rows],
        "a frame": frame,
        "a frame of floats": frame.astype(float),
        "a frame that may lack values": frame.astype("Int64"),
        "a frame of categories": frame.astype("category"),
        "a frame of objects": frame.astype(object),
        "small numbers": frame.astype({"num_layers": np.uint8, "hidden_size": np.int16}),
        "names, too": frame.assign(architecture="feedforward", dtype="float32"),
        "columns": {name: frame[name].to_numpy() for name in frame},
        "a structured array": frame.to_records(index=False),
    }
    for name, form in forms.items():
        assert cost(form) == SAME(expected), name
    assert named(frame.to_numpy()) == SAME(expected)
    assert cost({"num_layers": 3, "hidden_size": np.array([96, 96])}) == SAME([expected[1]] * 2)
    assert cost([rows[0], [rows[1]], Workload("feedforward", rows[2])]) == SAME(expected[:3])


def test_tables_hold_their_own_sizes_and_architectures() -> None:
    free = cost_of(None, batch_size=None)
    table = {
        "architecture": np.array(["feedforward", "layer-norm", "feedforward"]),
        "hidden_size": [96, 96, 128],
        "batch_size": np.array([1, 7, 3]),
        "input_size": np.array([16, 24, 8]),
    }
    table["hidden_size"] = np.array(table["hidden_size"])
    rows = [{name: column[at] for name, column in table.items()} for at in range(3)]
    assert free(table) == SAME([free(one) for one in rows])
    assert free(table)[1] == SAME(predicted(Workload("layer-norm", {"hidden_size": 96}, batch_size=7, input_size=24)))


def test_lists_are_columns_of_two_dimensions_or_of_entries(of_lists: LatencyCost) -> None:
    depths, widths = np.array([[2, 1], [1, 2]]), np.array([[8, 16], [24, 8]])
    expected = [
        predicted(Workload("convnext", {"depths": tuple(depth), "widths": tuple(width)}, batch_size=4, input_size=64))
        for depth, width in zip(depths.tolist(), widths.tolist(), strict=True)
    ]
    size = {"input_size": 64}
    assert of_lists({"depths": depths, "widths": widths, **size}) == SAME(expected)
    frame = pd.DataFrame({"depths": map(tuple, depths.tolist()), "widths": widths.tolist()})
    assert of_lists(frame.assign(**size)) == SAME(expected)
    ragged = pd.DataFrame({"depths": [(2, 1), (1, 1, 1)], "widths": [(8, 16), (8, 16, 32)]})
    assert of_lists(ragged.assign(**size))[0] == SAME(expected[0])
    usual = {"depths": (1, 1, 1, 1), "widths": (8, 16, 24, 32)}
    entries = {f"widths.{at}": np.array([8 * at + 8]) for at in range(4)}
    own = of_lists({**entries, "depths": np.ones((1, 4), int), **size})
    assert own[0] == SAME(of_lists({**usual, **size}))


def test_words_are_columns_too() -> None:
    own = cost_of("nasbench201", batch_size=1)
    one, other = ("none", *["nor_conv_1x1"] * 5), ("skip_connect", *["nor_conv_3x3"] * 5)
    cells = [{"cells": 1, "channels": 8, "operations": each} for each in (one, other)]
    expected = [predicted(Workload("nasbench201", each)) for each in cells]
    assert own(cells) == SAME(expected)
    assert own(pd.DataFrame(cells)) == SAME(expected)


def test_a_module_costs_what_the_predictor_says(cost: LatencyCost) -> None:
    with torch.device("meta"):
        module, inputs = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU()), torch.empty(4, 64)
    expected = CPU.predict(module, inputs, batch_sizes=[4], **PLATFORM, crossovers=False)["latency_s"].iloc[0]
    assert cost(module, inputs) == SAME(expected)
    low, high = cost.interval(module, inputs)
    assert low < expected < high


def test_features_are_those_of_traces(cost: LatencyCost) -> None:
    workload = Workload("feedforward", ONE, batch_size=4)
    own = trace_workload(workload).features()
    assert cost.features(ONE) == own
    many = cost.features({name: np.array([value] * 3) for name, value in ONE.items()})
    assert all(many[name].tolist() == [value] * 3 for name, value in own.items())


def test_what_is_not_there_costs_nothing(cost: LatencyCost) -> None:
    empty = pd.DataFrame({"num_layers": []})
    for nothing in ([], (), empty, {"num_layers": np.array([], dtype=int)}, empty.to_records(index=False)):
        assert cost(nothing).shape == (0,)
        assert [end.shape for end in cost.interval(nothing)] == [(0,), (0,)]
        assert cost.rank(nothing).shape == (0,)
        assert cost.features(nothing)["macs"].shape == (0,)


# Where polynomials say nothing


def test_what_has_no_polynomials_is_traced_once_and_costs_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(polynomials, "derive", refused)
    own, traced, find = cost_of("layer-norm"), list[Any](), sources.find

    def counted(model: Any, inputs: Any) -> Any:
        traced.append(model)
        return find(model, inputs)

    monkeypatch.setattr(sources, "find", counted)
    expected = [predicted(Workload("layer-norm", {"hidden_size": width}, batch_size=4)) for width in (96, 160)]
    traced.clear()
    for _ in range(3):
        assert [own({"hidden_size": width}) for width in (96, 160)] == SAME(expected)
        assert own({"hidden_size": np.array([96, 160])}) == SAME(expected)
    assert len(traced) == 2
    with pytest.raises(InputError, match="compare candidates"):
        own.gradient({"hidden_size": 96})
    with pytest.raises(InputError, match="compare candidates"):
        own.derive({"hidden_size": 96})


def test_sizes_far_beyond_those_traced_cost_what_the_predictor_says(cost: LatencyCost) -> None:
    for settings in ({"hidden_size": 40_000}, {"hidden_size": 1}, {"num_layers": 3, "intermediate_size": 100_001}):
        assert cost(settings) == SAME(predicted(Workload("feedforward", settings, batch_size=4)))


def test_sizes_that_nothing_can_hold_are_one_error(cost: LatencyCost) -> None:
    with pytest.raises(InputError, match="can be built") as error:
        cost({"hidden_size": 10**30})
    assert "\n" not in str(error.value)


# What means nothing

NOT_WHOLE = "num_layers is a whole number; got {}"
WRONG: dict[str, tuple[Any, str]] = {
    "an unknown hyperparameter": ({"num_layer": 2}, "did you mean 'num_layers'"),
    "an unknown column": ({"nope": np.array([2, 3])}, "got 'nope'"),
    "an unknown architecture": ({"architecture": "brt"}, "architecture is one of"),
    "an unknown one in a column": ({"architecture": np.array(["brt", "mlp"])}, "architecture is one of"),
    "a name that is none": ({"architecture": 3}, "an architecture is a name"),
    "another dtype": ({"dtype": "bfloat16"}, "a cost is of one precision, float32"),
    "a dtype that is none": ({"dtype": "int3"}, "dtype is one of"),
    "another dtype in a row": ({"dtype": np.array(["float32", "bfloat16"])}, "a cost is of one precision"),
    "another dtype of a workload": (Workload("feedforward", dtype="bfloat16"), "a cost is of one precision"),
    "lengths that are none": ({"lengths": "odd"}, "lengths is one of"),
    "unequal columns": ({"num_layers": np.array([2, 3]), "hidden_size": np.array([2, 3, 4])}, "equally long"),
    "a row of nan": ({"num_layers": np.array([2, np.nan])}, NOT_WHOLE.format("nan")),
    "a row without end": ({"num_layers": np.array([2, np.inf])}, NOT_WHOLE.format("inf")),
    "half a layer": ({"num_layers": np.array([2, 2.5])}, NOT_WHOLE.format("2.5")),
    "half a layer of many": ({"num_layers": np.resize([2, 2.5], 6000)}, NOT_WHOLE.format("2.5")),
    "a value that is missing": (pd.DataFrame({"num_layers": pd.array([2, None], "Int64")}), NOT_WHOLE.format("nan")),
    "a value that is masked": ({"num_layers": np.ma.array([2, 3], mask=[0, 1])}, "some of it masked"),
    "no layer": ({"num_layers": np.array([2, 0])}, "above 0; got 0"),
    "less than none": ({"num_layers": np.array([2, -3])}, "above 0; got -3"),
    "less than none of many": ({"num_layers": np.resize([2, -3], 6000)}, "above 0; got -3"),
    "half a layer in one": ({"num_layers": 2.5}, "whole number above 0; got 2.5"),
    "nan in one": ({"num_layers": float("nan")}, "got nan"),
    "less than none in one": ({"num_layers": -1}, "above 0; got -1"),
    "words": ({"num_layers": "two"}, "got 'two'"),
    "words in a column": ({"num_layers": np.array(["a", "b"])}, "got 'a'"),
    "yes": ({"num_layers": True}, "got True"),
    "nothing": ({"num_layers": None}, "got None"),
    "a list in place of a number": ({"num_layers": np.array([[2, 3], [2, 3]])}, r"got \(2, 3\)"),
    "an entry of no list": ({"num_layers.0": np.array([2, 3])}, "num_layers is a list"),
    "a column twice": (pd.DataFrame([[1, 2]], columns=["num_layers", "num_layers"]), r"got \(1, 2\)"),
    "an array without names": (np.array([[1, 2]]), "name the variables"),
    "an array of one dimension": (np.array([1, 2]), "two dimensions"),
    "no candidate": (None, "a NoneType without inputs"),
    "no candidate in a list": ([None], "a NoneType without inputs"),
    "a module without inputs": (torch.nn.ReLU(), "a ReLU without inputs"),
    "one of many": ([{"num_layers": layers} for layers in range(20)], "above 0; got 0"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("way", ["cost", "interval", "rank"])
def test_what_means_nothing_is_one_line_that_names_it(cost: LatencyCost, way: str, wrong: Any, said: str) -> None:
    cost(ONE)  # and is not what a form asked for before lets pass
    with pytest.raises(InputError, match=said) as error:
        (cost if way == "cost" else getattr(cost, way))(wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rows", [2, 6000])
def test_heads_that_do_not_divide_are_refused_in_every_form(rows: int) -> None:
    own, good = cost_of("multi-head-attention"), {"hidden_size": 96, "num_heads": 4}
    wrong = {"hidden_size": 96, "num_heads": 7}
    own(good)
    table = {name: np.resize([good[name], wrong[name]], rows) for name in good}
    for candidate in (wrong, table, [wrong], Workload("multi-head-attention", wrong)):
        with pytest.raises(InputError, match="num_heads divides hidden_size; got num_heads 7"):
            own(candidate)


@pytest.mark.parametrize(
    "wrong",
    [(2, 2, 2, "a"), (2, 2, 2, 2.5), (2, 2, 2, -2), (2, 2, 2, True), (), 2, (1, 1), "2, 2, 2, 2"],
    ids=str,
)
def test_lists_of_others_are_refused(of_lists: LatencyCost, wrong: Any) -> None:
    with pytest.raises(InputError, match="depths"):
        of_lists({"depths": wrong})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quantile": 1.5}, "a quantile lies between"),
        ({"quantile": "high"}, "a quantile lies between"),
        ({"quantile": float("nan")}, "a quantile lies between"),
        ({"batch_size": 0}, "batch size is a whole number"),
        ({"batch_size": 2.5}, "batch size is a whole number"),
        ({"workers": 0}, "number of workers"),
        ({"workers": -1}, "number of workers"),
        ({"variables": "num_layers"}, "variables are a list"),
        ({"variables": (1, 2)}, "variables are a list"),
        ({"architecture": "brt"}, "architecture is one of"),
        ({"framework": "eagr"}, "did you mean 'eager'"),
        ({"device": "nowhere"}, "this predictor knows"),
        ({"dtype": "int3"}, "int3"),
        ({"framework": None}, "a cost is of one platform"),
    ],
)
def test_a_cost_of_nothing_is_refused_when_it_is_made(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        cost_of(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("budget", [0, -1, float("nan"), "soon", None, True])
def test_a_budget_is_above_zero(cost: LatencyCost, budget: Any) -> None:
    for asked in (cost.feasible, cost.penalty):
        with pytest.raises(InputError, match="a budget is above zero"):
            asked(budget)


# Slopes


def test_a_slope_is_that_between_neighbours(cost: LatencyCost) -> None:
    here = {"num_layers": 6, "hidden_size": 512, "intermediate_size": 2048, "batch_size": 16, "input_size": 64}
    slopes = cost.gradient(here)
    assert {*slopes} == {*here}
    for name, value in here.items():
        step = max(round(0.25 * value), 1)
        above, below = (cost({**here, name: value + sign * step}) for sign in (1, -1))
        assert slopes[name] == pytest.approx((above - below) / (2 * step), rel=0.35), name
    assert cost.gradient(here, ["hidden_size"]) == {"hidden_size": slopes["hidden_size"]}
    assert {*cost.gradient({**here, "batch_size": 1})} == {*here} - {"batch_size"}


def test_a_point_that_is_whole_costs_the_same_between_others(cost: LatencyCost) -> None:
    values = np.array([[256.0, 1000.0], [300.0, 700.0]])
    found = cost.smooth(ONE, ["hidden_size", "intermediate_size"], values)
    names = ("hidden_size", "intermediate_size")
    assert found == SAME([cost({**ONE, **dict(zip(names, map(int, row), strict=True))}) for row in values])
    between = cost.smooth(ONE, ["hidden_size"], [[100.0], [100.5], [101.0]])
    assert np.isfinite(between).all()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda cost: cost.gradient(ONE, ["nope"]), "hyperparameter that is a number"),
        (lambda cost: cost.gradient(ONE, ["architecture"]), "hyperparameter that is a number"),
        (lambda cost: cost.gradient({"num_layers": 2.5}), "whole number"),
        (lambda cost: cost.gradient({**ONE, "batch_size": 1}, ["batch_size"]), "may vary there"),
        (lambda cost: cost.smooth({**ONE, "batch_size": 1}, ["batch_size"], [[8]]), "may vary there"),
        (lambda cost: cost.gradient(ONE, step=0), "a step is a part"),
        (lambda cost: cost.gradient(ONE, step=float("nan")), "a step is a part"),
        (lambda cost: cost.gradient(ONE, step=1), "a step is a part"),
        (lambda cost: cost.smooth(ONE, ["hidden_size"], [1, 2]), "points have two dimensions"),
        (lambda cost: cost.smooth(ONE, ["hidden_size"], [[1, 2]]), "points have two dimensions"),
        (lambda cost: cost.smooth(ONE, ["hidden_size"], [[np.nan]]), "nan"),
        (lambda cost: cost.gradient([ONE]), "a candidate is a workload"),
    ],
)
def test_slopes_of_nothing_are_refused(cost: LatencyCost, ask: Callable[[LatencyCost], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(cost)


# Intervals, quantiles, ranks


def test_quantiles_rise_and_intervals_hold_the_latency(cost: LatencyCost) -> None:
    rows = {"hidden_size": np.array([64, 512, 3000]), "num_layers": 3}
    middle, (low, high) = cost(rows), cost.interval(rows)
    quantiles = np.array([cost_of(quantile=level)(rows) for level in (0.05, 0.5, 0.9, 0.95)])
    assert (low < middle).all()
    assert (middle < high).all()
    assert (np.diff(quantiles, axis=0) > 0).all()
    assert quantiles[0] == SAME(low)
    assert quantiles[-1] == SAME(high)


def test_ranks_are_shared_by_those_that_cannot_be_told_apart(cost: LatencyCost) -> None:
    candidates = [{**ONE, "hidden_size": width} for width in (4096, 64, 65, 1024, 64)]
    ranks = cost.rank(candidates)
    assert ranks[1] == ranks[2] == ranks[4] == 1
    assert 1 < ranks[3] < ranks[0]
    assert cost.rank(ONE).tolist() == [1]


def test_budgets_are_held_against_every_form(cost: LatencyCost) -> None:
    rows = {"hidden_size": np.array([64, 4096])}
    first, second = cost(rows)
    budget = float(np.sqrt(first * second))
    assert cost.feasible(budget)(rows).tolist() == [True, False]
    assert cost.feasible(budget)({"hidden_size": 64}) is True
    assert cost.penalty(budget)(rows) == SAME([0, second / budget - 1])


def test_strict_costs_refuse_rows_and_platforms_far_away(cost: LatencyCost) -> None:
    near = {"hidden_size": 256, "input_size": 32}
    far = {"hidden_size": 6000, "num_layers": 8, "intermediate_size": 20_000}
    strict = cost_of(strict=True)
    assert strict(near) == SAME(cost(near))
    for candidates in (far, [near, far], {name: np.array([value] * 3) for name, value in far.items()}):
        for ask in (strict, strict.interval, strict.rank):
            with pytest.raises(InputError, match="one far outside of it"):
                ask(candidates)
    with pytest.raises(InputError, match="never measured"):
        cost_of(strict=True, device="amd-epyc-milan", threads=4)(near)


# Other threads and processes


def test_threads_that_meet_an_empty_cache_agree(
    cost: LatencyCost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fresh = cost_of(None)
    own = {"architecture": "layer-norm"}
    asked = [{**own, "hidden_size": 48 + 16 * at, "batch_size": 1 + at % 2} for at in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(fresh, asked)]
    assert found == SAME([cost(one) for one in asked])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_agree(cost: LatencyCost) -> None:
    asked = [{"hidden_size": 64 * at, "num_layers": 2} for at in range(1, 7)]
    expected = cost(asked)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert [*pool.map(cost, asked)] == expected.tolist()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_long_tables_are_the_same_in_any_number_of_threads(cost: LatencyCost, workers: int) -> None:
    rng = np.random.default_rng(workers)
    table = {"hidden_size": rng.integers(32, 2000, 50_001), "num_layers": rng.integers(2, 20, 50_001)}
    found = cost_of(workers=workers)(table)
    for at in (0, 1, 25_000, 49_999, 50_000):
        assert found[at] == cost({name: int(column[at]) for name, column in table.items()})


# Files


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[LatencyCost, Path]:
    """A cost, and what it saved."""
    own = cost_of("layer-norm", quantile=0.9)
    if request.param == "gpu":
        known = LatencyPredictor.load(PUBLISHED)
        own = LatencyCost(known, framework="eager", device="nvidia-l40s", architecture="layer-norm", batch_size=4)
    own({"hidden_size": 96})
    path = tmp_path_factory.mktemp("saved") / "cost.npz"
    own.save(path)
    return own, path


def test_what_is_loaded_is_what_was_saved(saved: tuple[LatencyCost, Path], tmp_path: Path) -> None:
    own, path = saved
    again = LatencyCost.load(path)
    table = {"hidden_size": np.array([64, 96, 700])}
    assert again(table).tolist() == own(table).tolist()
    assert [end.tolist() for end in again.interval(table)] == [end.tolist() for end in own.interval(table)]
    assert (again.platform, again.quantile, again.architecture) == (own.platform, own.quantile, own.architecture)
    again.save(tmp_path / "again.npz")
    assert LatencyCost.load(tmp_path / "again.npz")(table).tolist() == own(table).tolist()


def test_a_loaded_cost_derives_nothing_that_was_saved(
    saved: tuple[LatencyCost, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(polynomials, "derive", lambda *_, **__: pytest.fail("derived again"))
    assert LatencyCost.load(saved[1])({"hidden_size": 96}) == saved[0]({"hidden_size": 96})


def parts(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record and the arrays of a file."""
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    return json.loads(arrays.pop("record").tobytes()), arrays


def put(path: Path, record: Any, arrays: dict[str, Any]) -> Path:
    content = io.BytesIO()
    np.savez(content, **{**arrays, "record": np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)})
    path.write_bytes(content.getvalue())
    return path


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all that a record holds."""
    if way:
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in items:
        yield from places(own, (*way, key))


OTHERS: list[Any] = [None, -7, 10**9, 10**30, "x", [], 1.5, {}, True]


def test_a_file_with_anything_in_any_place_is_read_or_refused(saved: tuple[LatencyCost, Path], tmp_path: Path) -> None:
    record, arrays = parts(saved[1])
    draw = random.Random(0)
    refused = 0
    for way in draw.sample([*places(record)], 120):
        spoilt = copy.deepcopy(record)
        inner = spoilt
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = draw.choice(OTHERS)
        try:
            own = LatencyCost.load(put(tmp_path / "spoilt.npz", spoilt, arrays))
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        try:
            own({"hidden_size": 96, "batch_size": 4})
            own.interval({"hidden_size": np.array([96, 64]), "batch_size": 4})
        except FtaxError:
            refused += 1
    assert refused > 90


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "of another extent": lambda own: own[:0] if own.ndim else own[None],
    "below none": lambda own: np.full_like(own, -(10**6)),
    "of one more dimension": lambda own: own[None],
    "of halves": lambda own: own.astype(np.float16),
    "of words": lambda own: np.full(own.shape, "x"),
}


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_of_any_kind_are_read_or_refused(
    saved: tuple[LatencyCost, Path], tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    record, arrays = parts(saved[1])
    for name, value in arrays.items():
        path = put(tmp_path / "spoilt.npz", record, {**arrays, name: change(value)})
        try:
            own = LatencyCost.load(path)
        except DataError:
            continue
        own({"hidden_size": 96, "batch_size": 4})
    for name in arrays:
        with pytest.raises(DataError):
            LatencyCost.load(put(tmp_path / "less.npz", record, {own: arrays[own] for own in arrays if own != name}))


NUMBERS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a cost that is none": ("fit.costs", lambda own: own * np.nan, "costs of dispatches holds nan"),
    "negative costs": ("fit.costs", lambda own: -own, "costs of dispatches holds -"),
    "costs of 30 years": ("fit.costs", lambda own: own + 1e9, "costs of dispatches holds"),
    "a law of 30 years": ("fit.law", lambda own: own + 1e9, "the law holds"),
    "an overlap below 1": ("fit.overlap", lambda own: own * 0.1, "the overlap holds"),
    "a domain that runs down": ("fit.domain", lambda own: own[::-1] * [[2], [1]] + [[1], [0]], "ranges that run down"),
    "levels out of order": ("levels", lambda own: own[[1, 0, 2]], "levels out of order"),
    "a level beyond all": ("levels", lambda own: own + 1, "levels holds"),
    "ratios out of order": ("ratios", lambda own: own[[1, 0, 2]], "levels out of order"),
    "ratios that are none": ("ratios", lambda own: own * np.nan, "ratios holds nan"),
    "uncertain by less than nothing": ("fit.covariance", lambda own: own - 99, "variances of costs"),
    "a card that does nothing": ("fit.rates", lambda own: own * 0, "what a card does holds 0"),
    "trees without end": ("fit.scale.value", lambda own: own + np.float32(np.inf), "what trees say holds inf"),
    "trees of columns outside": ("fit.scale.feature", lambda own: own + np.int32(999), "nodes that are no trees"),
    "a child outside": ("fit.scale.right", lambda own: own + np.int32(99_999), "nodes that are no trees"),
}


@pytest.mark.parametrize(("name", "change", "said"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_of_no_machine_are_refused(
    saved: tuple[LatencyCost, Path], tmp_path: Path, name: str, change: Callable[[Any], Any], said: str
) -> None:
    record, arrays = parts(saved[1])
    if not arrays.get(name, np.zeros(0)).size:
        pytest.skip("of another kind of device")
    with pytest.raises(DataError, match=said):
        LatencyCost.load(put(tmp_path / "spoilt.npz", record, {**arrays, name: change(arrays[name])}))


def array(kind: str, shape: str, content: bytes = b"") -> bytes:
    """What ``numpy.save`` writes, of anything."""
    said = f"{{'descr': {kind}, 'fortran_order': False, 'shape': ({shape},), }}\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said.encode() + content


ZIPPED: dict[str, tuple[bytes, int]] = {
    "a bomb": (array("'<f8'", "8388608", bytes(1 << 26)), zipfile.ZIP_DEFLATED),
    "room for all": (array("'<f8'", "999999999, 999999999"), zipfile.ZIP_STORED),
    "objects": (array("'|O'", "1", b"cos\nsystem\n(S'true'\ntR."), zipfile.ZIP_STORED),
    "fields": (array("[('a', '<f8')]", "1", bytes(8)), zipfile.ZIP_STORED),
    "depth": (array("(" * 9000, "1"), zipfile.ZIP_STORED),
    "nothing": (b"", zipfile.ZIP_STORED),
}


@pytest.mark.parametrize(("content", "compression"), ZIPPED.values(), ids=ZIPPED.keys())
def test_nothing_is_made_room_for_but_what_is_there(
    saved: tuple[LatencyCost, Path], tmp_path: Path, content: bytes, compression: int
) -> None:
    path = tmp_path / "spoilt.npz"
    path.write_bytes(saved[1].read_bytes())
    with zipfile.ZipFile(path, "a", compression) as more:
        more.writestr("fit.more.npy", content)
    with pytest.raises(DataError, match=r"LatencyCost\.save wrote"):
        LatencyCost.load(path)


def test_a_file_names_no_other_file(saved: tuple[LatencyCost, Path], tmp_path: Path) -> None:
    record, arrays = parts(saved[1])
    record["families"][0][0] |= {
        "architecture": "onnx",
        "hyperparameters": {"place": "/etc/passwd", "digest": "0" * 16},
    }
    with pytest.raises(DataError, match="architecture is one of"):
        LatencyCost.load(put(tmp_path / "spoilt.npz", record, arrays))


def test_a_cost_that_says_nothing_of_any_machine_is_refused_when_it_answers(
    saved: tuple[LatencyCost, Path], tmp_path: Path
) -> None:
    record, arrays = parts(saved[1])
    name = "fit.trees" if "fit.trees.value" in arrays else "fit.device"
    each = 0.9 * limits.MOST_SUM / len(arrays[f"{name}.roots"])
    arrays[f"{name}.value"] = np.full_like(arrays[f"{name}.value"], each)
    own = LatencyCost.load(put(tmp_path / "dear.npz", record, arrays))
    for ask in (own, own.interval):
        for sizes in (96, np.array([96, 64])):
            with pytest.raises(DataError, match="a call takes between"):
                ask({"hidden_size": sizes})


def test_other_files_are_one_error(saved: tuple[LatencyCost, Path], tmp_path: Path) -> None:
    record, arrays = parts(saved[1])
    content = saved[1].read_bytes()
    files = {
        "of another version": {**record, "code": "0" * 16},
        "of another format": {**record, "format": "other"},
        "of another schema": {**record, "schema": 99},
        "of a list": [],
    }
    paths = [put(tmp_path / f"{name}.npz", own, arrays) for name, own in files.items()]
    for name, own in {"cut": content[: len(content) // 2], "empty": b"", "text": b"cost", "zip": b"PK\3\4"}.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(own)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, record=np.array([print], dtype=object))
    for path in (*paths, pickled, tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=r"saved itself|LatencyCost\.save wrote|of a later version") as error:
            LatencyCost.load(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="can be written"):
        saved[0].save(tmp_path)
