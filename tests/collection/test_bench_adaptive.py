"""The benchmark of adaptive sweeps: it keeps its promise on invented curves, and measures real ones."""

import json

import pytest

from ftax_model.collection.adaptive import PROTOCOL, Adaptive
from ftax_model.collection.timing import Protocol


@pytest.fixture(scope="module")
def bench(script):
    return script("bench_adaptive")


def test_crossover_within_a_tenth_for_two_fifths_of_the_time(bench, capsys):
    assert bench.main(["--fake", "--curves", "30", "--json"]) == 0
    quiet = json.loads(capsys.readouterr().out)
    noisy = quiet["noisy"]
    for one in (quiet, noisy):
        assert one["curves"] + one["censored"] == len(one["rows"]) == 30
        assert one["curves"] >= 12
        assert one["median_time_ratio"] <= 0.4
        for row in one["rows"]:
            assert set(row["batch_sizes"]) <= set(Adaptive().candidates)
    assert quiet["median_error"] <= 0.1
    assert quiet["median_error_to_truth"] <= 0.05


def test_noisy_sweep_is_as_near_to_a_full_one_as_another_full_one_is(bench):
    noisy = bench.summary(list(bench.invented(40, bench.NOISY, PROTOCOL)))
    assert noisy["median_floor"] > 0.05
    assert noisy["median_error"] <= 1.3 * noisy["median_floor"]
    assert noisy["median_error_to_truth"] <= 1.6 * noisy["median_full_to_truth"]


def test_points_measured_as_long_as_all_others_take_more_time(bench):
    quick, long = (
        [row.time_ratio for row in bench.invented(3, bench.QUIET, protocol)] for protocol in (PROTOCOL, Protocol())
    )
    assert all(one < 0.6 * other for one, other in zip(quick, long, strict=True))


def test_differences_and_times_of_a_row(bench):
    def sweep(crossover, spent_s):
        return {size: (1 + size / crossover, spent_s) for size in (1, 2, 4, 8, 16, 32)}

    row = bench.Row.of("x", {"full": sweep(4, 1.0), "again": sweep(9, 3.0), "adaptive": sweep(6, 0.5)}, truth=5.0)
    assert (row.full, row.again, row.adaptive) == pytest.approx((4, 9, 6), rel=0.01)
    assert (row.error, row.floor, row.error_to_truth, row.full_to_truth) == pytest.approx(
        (0.5, 1.25, 0.2, 0.2), abs=0.02
    )
    assert row.error_to_mean == pytest.approx(0, abs=0.01)
    assert row.time_ratio == pytest.approx(0.25)
    assert bench.difference(2.0, 0.0) == bench.difference(2.0, float("inf")) == float("inf")


def test_table(bench, capsys):
    assert bench.main(["--fake", "--curves", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 3
    assert ["off the truth" in line for line in lines] == [False, False, True] * 2


def test_what_is_not_known_is_not_told(bench):
    assert bench.summary([])["median_error"] is None
    assert bench.told(bench.summary([])) == "no curve whose crossover lies inside"


def test_real_curves_are_enough(bench):
    assert len(bench.PAIRS) >= 18
    assert len({framework for framework, _ in bench.PAIRS}) == 3


@pytest.mark.slow
def test_real_curve(bench, capsys):
    assert bench.main(["--curves", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["curve"].startswith("mlp")
    assert row["adaptive"] > 0
    assert row["again"] > 0
    assert row["truth"] is None
    assert 3 <= len(row["batch_sizes"]) <= 8
    assert row["time_ratio"] > 0


def test_time_spent_is_that_of_all_calls(bench):
    from ftax_model.measurement import Cell, Measurement
    from ftax_model.workload import Workload

    cell = Cell(Workload("toy"), "fake", "cpu")
    one = Measurement(cell, latency_s=0.5, samples=(0.5,) * 3, calls_per_block=2, warmup_calls=4, first_call_s=7.0)
    assert bench.spent_s(one) == 7.0 + (4 + 6) * 0.5
    assert bench.points([one, Measurement(cell, status="crashed", reason="x")]) == {1: (0.5, 12.0)}
