"""LatencyCost: what `LatencyPredictor.predict` says, in any form of candidates, from any process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace
from ftax_model.nas._tables import first, table_of
from ftax_model.workload import Workload

CPU = {"framework": "eager", "device": "amd-epyc-genoa-2core", "threads": 1}
SMALL = {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024, "vocab_size": 1024}
CANDIDATES = [
    {**SMALL, "input_size": 32},
    {**SMALL, "num_layers": 9, "num_heads": 8, "input_size": 100},
    {**SMALL, "hidden_size": 320, "num_heads": 5, "intermediate_size": 777},
]
SAME = pytest.approx


@pytest.fixture(scope="module")
def cpu():
    return LatencyPredictor.load("cpu")


@pytest.fixture(scope="module")
def cost(cpu):
    return LatencyCost(cpu, **CPU, architecture="bert", batch_size=8)


def predicted(predictor, candidates, platform, *, batch_size=8, dtype="float32", architecture="bert"):
    own = [{name: value for name, value in one.items() if name != "input_size"} for one in candidates]
    sizes = [one.get("input_size") for one in candidates]
    workloads = [
        Workload(architecture, settings, batch_size=batch_size, input_size=size, dtype=dtype)
        for settings, size in zip(own, sizes, strict=True)
    ]
    return predictor.predict(workloads, **platform, crossovers=False, quantile=0.9)


def test_platforms_of_cpus_are_answered_as_the_predictor_does(cpu):
    for one in [fit.platform for fit in cpu.fits_][::7]:
        platform = {"framework": one.framework, "device": one.device, "threads": one.threads}
        expected = predicted(cpu, CANDIDATES, platform, dtype=one.dtype)
        asked = {**platform, "dtype": one.dtype, "architecture": "bert", "batch_size": 8}
        cost, careful = LatencyCost(cpu, **asked), LatencyCost(cpu, **asked, quantile=0.9)
        assert cost(CANDIDATES) == SAME(expected["latency_s"].to_numpy(), rel=1e-9), one
        assert careful(CANDIDATES) == SAME(expected["quantile_s"].to_numpy(), rel=1e-9), one
        low, high = cost.interval(CANDIDATES)
        assert low == SAME(expected["low_s"].to_numpy(), rel=1e-9), one
        assert high == SAME(expected["high_s"].to_numpy(), rel=1e-9), one


def test_gpus_are_answered_as_the_predictor_does():
    gpus = LatencyPredictor.load("published-gpus")
    for framework in ("eager", "cuda-graphs"):
        platform = {"framework": framework, "device": "nvidia-t4"}
        expected = predicted(gpus, CANDIDATES, platform)
        for quantile, column in ((None, "latency_s"), (0.9, "quantile_s")):
            cost = LatencyCost(gpus, **platform, architecture="bert", batch_size=8, quantile=quantile)
            assert cost(CANDIDATES) == SAME(expected[column].to_numpy(), rel=1e-9), framework


def test_one_input_and_one_head_are_answered_as_the_predictor_does(cpu):
    candidates = [{**SMALL, "num_heads": 1}, {**SMALL, "num_layers": 1}, SMALL]
    expected = predicted(cpu, candidates, CPU, batch_size=1)["latency_s"].to_numpy()
    assert LatencyCost(cpu, **CPU, architecture="bert", batch_size=1)(candidates) == SAME(expected, rel=1e-9)


def test_networks_of_words_are_answered_as_the_predictor_does(cpu):
    cost = LatencyCost(cpu, **CPU, batch_size=1)
    space = SearchSpace.load("nasbench201")
    candidates = [{**one, "cells": 1, "channels": 8} for one in space.sample(8, seed=3)]
    workloads = [space.workload(one, batch_size=1) for one in candidates]
    expected = cpu.predict(workloads, **CPU, crossovers=False)["latency_s"].to_numpy()
    assert cost(candidates) == SAME(expected, rel=1e-9)
    assert cost.features(candidates[0])["n_ops"] > 0


def test_forms_of_candidates_agree(cost):
    rows = [
        {"num_layers": layers, "hidden_size": 64 * heads, "num_heads": heads} for layers in (2, 5) for heads in (3, 4)
    ]
    expected = np.array([cost(one) for one in rows])
    frame = pd.DataFrame(rows)
    columns = {name: frame[name].to_numpy() for name in frame}
    assert cost(rows) == SAME(expected)
    assert cost(frame) == SAME(expected)
    assert cost(columns) == SAME(expected)
    assert cost(frame.to_records(index=False)) == SAME(expected)
    assert cost([Workload("bert", one) for one in rows]) == SAME(expected)
    assert cost(rows[0] | {"architecture": "bert", "num_layers": np.int64(2)}) == SAME(expected[0])
    assert cost([]).shape == (0,)


def test_entries_of_lists_are_columns(cpu):
    cost = LatencyCost(cpu, **CPU, architecture="resnet", batch_size=2)
    usual = {"block": "basic", "depths": (1, 1), "input_size": 64}
    expected = [cost({**usual, "widths": own}) for own in ((64, 128), (64, 96))]
    table = {**usual, "depths": np.full((2, 2), 1), "block": np.array(["basic"] * 2)}
    assert cost({**table, "widths": np.array([[64, 128], [64, 96]])}) == SAME(expected)
    assert expected[0] > expected[1]


def test_entries_that_are_not_told_are_as_usual():
    table = table_of({"widths.2": np.array([256, 192])}, ())
    assert first(table, {"architecture": "resnet"}, 1) == {"architecture": "resnet", "widths": (64, 128, 192, 512)}
    with pytest.raises(InputError, match="entries"):
        first(table_of({"block.1": np.array([2, 3])}, ()), {"architecture": "resnet"}, 0)


def test_columns_of_an_array_are_named_when_the_cost_is_made(cpu, cost):
    named = LatencyCost(cpu, **CPU, architecture="bert", batch_size=8, variables=("num_layers", "num_heads"))
    expected = [cost({"num_layers": layers, "num_heads": heads}) for layers, heads in ((2, 6), (3, 4))]
    assert named(np.array([[2, 6], [3, 4]])) == SAME(expected)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_heads": 5}, "divides"),
        ({"number_of_layers": 5}, "hyperparameter of bert"),
        ({"num_layers": -1}, "above 0"),
        ({"num_layers": 2.5}, "whole number"),
        ({"dtype": "bfloat16"}, "one precision"),
        ({"num_layers": np.array([1, 2]), "hidden_size": np.array([1, 2, 3])}, "equally long"),
        ({"num_heads": np.array([12, 5])}, "divides"),
        ({"num_layers": np.array([2.5, 3.0])}, "whole number"),
        ({"heads": np.array([2, 3])}, "hyperparameter of bert"),
        (np.zeros((2, 3)), "two dimensions"),
        (7, "model"),
    ],
)
def test_what_is_no_candidate_is_said(cost, wrong, said):
    with pytest.raises(InputError, match=said):
        cost(wrong)


def test_budgets_ranks_and_slopes(cost):
    low, middle, high = ({"num_layers": layers} for layers in (2, 3, 12))
    budget = cost(middle)
    assert cost.feasible(budget)([low, middle, high]).tolist() == [True, True, False]
    assert cost.penalty(budget)(low) == 0
    assert cost.penalty(budget)(high) == SAME(cost(high) / budget - 1)
    assert cost.rank([high, low, low]).tolist() == [2, 1, 1]
    slope = cost.gradient(middle, ["num_layers"])["num_layers"]
    assert slope == SAME(cost({"num_layers": 4}) - budget, rel=0.3)
    with pytest.raises(InputError, match="hyperparameter that is a number"):
        cost.gradient(middle, ["layers"])
    with pytest.raises(InputError, match="above zero"):
        cost.feasible(-1.0)


def test_the_twin_has_the_slopes_of_the_cost(cost):
    import torch

    twin = cost.twin(["num_layers", "hidden_size"], SMALL)
    point = torch.tensor([[4.0, 256.0]], requires_grad=True)
    seconds = twin(point)
    seconds.sum().backward()
    slopes = cost.gradient(SMALL, ["num_layers", "hidden_size"])
    assert seconds.item() == SAME(cost(SMALL), rel=1e-6)
    assert point.grad.tolist()[0] == SAME(list(slopes.values()), rel=1e-4)


def seconds(cost):
    return cost(CANDIDATES[0])


def test_workers_agree(cost):
    expected = seconds(cost)
    assert seconds(pickle.loads(pickle.dumps(cost))) == expected  # noqa: S301
    fresh = pickle.loads(pickle.dumps(cost))  # noqa: S301
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(seconds, [fresh] * 16)) == {expected}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(seconds, cost).result() == expected


def test_a_saved_cost_needs_no_torch(cost, tmp_path):
    path = tmp_path / "cost.npz"
    expected = seconds(cost)
    cost.save(path)
    code = (
        "import sys; from ftax_model.nas import LatencyCost;"
        f"print(LatencyCost.load({str(path)!r})({CANDIDATES[0]!r}));"
        "print({'torch', 'pandas', 'sklearn'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert float(said[0]) == expected
    assert said[1] == "set()"


def test_other_files_are_refused(cost, tmp_path):
    path = tmp_path / "cost.npz"
    with pytest.raises(DataError):
        LatencyCost.load(path)
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError):
        LatencyCost.load(path)
    cost.save(path)
    with np.load(path) as content:
        arrays = dict(content)
    for name in ("fit.trees.right", "fit.costs", "ratios"):
        np.savez(path, **{**arrays, name: arrays[name][:-1] + 10_000_000})
        with pytest.raises(DataError):
            LatencyCost.load(path)


def test_strict_refuses_what_was_not_measured(cpu):
    strict = LatencyCost(cpu, **CPU, architecture="bert", batch_size=1, strict=True)
    assert strict(SMALL) > 0
    with pytest.raises(InputError, match="strict"):
        strict({**SMALL, "num_layers": 2, "intermediate_size": 1 << 24})
