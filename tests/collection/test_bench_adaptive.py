"""The benchmark of adaptive sweeps: it keeps its promise on invented curves, and measures real ones."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from ftax_model.collection.adaptive import Adaptive

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_adaptive.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_adaptive", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_crossover_within_a_tenth_for_two_fifths_of_the_time(bench, capsys):
    assert bench.main(["--fake", "--curves", "30", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["curves"] + found["censored"] == len(found["rows"]) == 30
    assert found["curves"] >= 12
    assert found["median_error"] <= 0.1
    assert found["median_time_ratio"] <= 0.4
    for row in found["rows"]:
        assert set(row["batch_sizes"]) <= set(Adaptive().candidates)


def test_table(bench, capsys):
    assert bench.main(["--fake", "--curves", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_real_curves_are_enough(bench):
    assert len(bench.PAIRS) >= 18
    assert len({framework for framework, _ in bench.PAIRS}) == 3


@pytest.mark.slow
def test_real_curve(bench, capsys):
    assert bench.main(["--curves", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["curve"].startswith("mlp")
    assert row["adaptive"] > 0
    assert 3 <= len(row["batch_sizes"]) <= 8
    assert row["time_ratio"] > 0


def test_time_spent_is_that_of_all_calls(bench):
    from ftax_model.measurement import Cell, Measurement
    from ftax_model.workload import Workload

    cell = Cell(Workload("toy"), "fake", "cpu")
    one = Measurement(cell, latency_s=0.5, samples=(0.5,) * 3, calls_per_block=2, warmup_calls=4, first_call_s=7.0)
    assert bench.spent_s(one) == 7.0 + (4 + 6) * 0.5
    assert bench.points([one, Measurement(cell, status="crashed", reason="x")]) == {1: (0.5, 12.0)}
