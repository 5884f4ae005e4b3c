"""The choice of batch sizes, on curves that follow the law, on noisy ones and on some that do not."""

import math
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ftax_model.collection.adaptive import CLIMB, Adaptive, crossover_range
from ftax_model.collection.plan import group, parse
from ftax_model.collection.runner import collect
from ftax_model.dataset import read
from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import latency
from ftax_model.modeling.estimators.regime import fit_curve

FLOOR_S = 0.004


def swept(adaptive, measure):
    """What is seen when the sweep has chosen all of its sizes."""
    seen = {}
    while (size := adaptive.next(seen)) is not None:
        assert size not in seen
        assert size in adaptive.candidates
        seen[size] = measure(size)
    return seen


def lawful(crossover, overlap):
    return lambda size: float(latency(FLOOR_S, FLOOR_S * size / crossover, overlap))


crossovers = st.floats(0.0, 7.0).map(lambda exponent: 2.0**exponent)
overlaps = st.floats(0.0625, 1.0).map(lambda inverse: 1 / inverse)


@settings(deadline=None, max_examples=60)
@given(crossover=crossovers, overlap=overlaps, tolerance=st.sampled_from([0.05, 0.1, 0.2]))
def test_crossover_of_a_lawful_curve_is_bracketed_to_the_tolerance(crossover, overlap, tolerance):
    seen = swept(Adaptive(tolerance=tolerance), lawful(crossover, overlap))
    low, high = crossover_range(seen, 128)
    grain = 2 ** (1 / 16)
    assert low / grain <= crossover <= high * grain
    if 2 < crossover < 32:  # nearer to the ends no size tells it from others
        assert len(seen) == 8 or math.log(high / low) / 2 <= 1.8 * tolerance  # 1.64 standard errors, and the grid


@settings(deadline=None, max_examples=60)
@given(crossover=crossovers, overlap=overlaps)
def test_sizes_not_measured_are_known_from_those_that_were(crossover, overlap):
    curve = lawful(crossover, overlap)
    seen = swept(Adaptive(tolerance=0.1), curve)
    if len(seen) > 3:  # it does not bend otherwise, and the fit assumes an overlap
        fitted = fit_curve(list(seen), list(seen.values()))
        for size in Adaptive().candidates:
            assert float(fitted.latency_s(size)) == pytest.approx(curve(size), rel=0.15)


@pytest.mark.parametrize("overlap", [1.0, 2.0, 16.0])
def test_few_sizes_do_for_a_crossover_inside(overlap):
    assert sum(len(swept(Adaptive(), lawful(crossover, overlap))) for crossover in (2, 4, 8, 16, 32)) <= 5 * 4.5


@pytest.mark.parametrize(("crossover", "most"), [(1e-3, 3), (1e6, 4)])
def test_a_curve_that_does_not_bend_is_left_soon(crossover, most):
    assert len(swept(Adaptive(), lawful(crossover, 2.0))) <= most


def test_three_sizes_are_never_enough_for_a_bend():
    for overlap in (1.0, 2.0, 16.0):
        assert min(len(swept(Adaptive(tolerance=1.0), lawful(crossover, overlap))) for crossover in (4, 8, 16)) == 4


def noisy(crossover, overlap, noise, draw):
    return lambda size: lawful(crossover, overlap)(size) * draw.lognormvariate(0, noise)


def test_noisier_points_make_longer_sweeps():
    counts = []
    for noise in (0.0, 0.05, 0.2):
        draw = random.Random(0)
        curves = [noisy(2 ** draw.uniform(2, 5), 1 / draw.uniform(0.2, 1), noise, draw) for _ in range(40)]
        counts.append(sum(len(swept(Adaptive(), curve)) for curve in curves))
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize(("noise", "least"), [(0.02, 0.85), (0.06, 0.7)])
def test_interval_of_a_noisy_curve_holds_the_truth_mostly(noise, least):
    draw, held = random.Random(1), []
    for _ in range(100):
        crossover = 2 ** draw.uniform(1, 6)
        low, high = crossover_range(swept(Adaptive(), noisy(crossover, 1 / draw.uniform(0.1, 1), noise, draw)), 128)
        held.append(low <= crossover <= high)
    assert sum(held) >= least * len(held)


def test_it_climbs_and_does_not_jump():
    seen = swept(Adaptive(), lawful(1e6, 2.0))
    largest = 0
    for size in seen:
        assert size <= max(CLIMB * largest, 1)
        largest = max(size, largest)
    assert max(swept(Adaptive(), lawful(0.01, 2.0))) <= CLIMB**2


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.floats(1e-6, 1e3)), min_size=8, max_size=8),
    st.integers(2, 200),
    st.floats(0.001, 1.0),
)
def test_whatever_is_measured_it_ends_and_tries_nothing_above_a_failure(values, largest, tolerance):
    adaptive = Adaptive(largest, tolerance)
    seen = {}
    while (size := adaptive.next(seen)) is not None:
        assert size not in seen
        assert size in adaptive.candidates
        assert all(size < other for other, value in seen.items() if value is None)
        seen[size] = values[len(seen) % 8]
    assert 1 in seen


any_sizes = st.lists(st.sampled_from([1, 2, 3, 8, 24, 64, 100, 128]), min_size=1, unique=True)


@settings(deadline=None, max_examples=60)
@given(crossover=crossovers, overlap=overlaps, sizes=any_sizes)
def test_the_choice_does_not_depend_on_the_order_of_what_was_seen(crossover, overlap, sizes):
    curve, adaptive = lawful(crossover, overlap), Adaptive()
    choice = adaptive.next({size: curve(size) for size in sizes})
    assert choice == adaptive.next({size: curve(size) for size in sorted(sizes)})
    assert choice not in sizes


@settings(deadline=None, max_examples=60)
@given(crossover=crossovers, overlap=overlaps, sizes=any_sizes)
def test_where_calls_are_long_the_choice_is_a_smaller_batch(crossover, overlap, sizes):
    curve, adaptive = lawful(crossover, overlap), Adaptive()
    short, long = (adaptive.next({size: unit * curve(size) for size in sizes}) for unit in (1e-6, 1e3))
    assert (short is None) == (long is None)
    assert short is None or long <= short


def test_long_calls_are_saved():
    largest = [max(swept(Adaptive(), lambda size, unit=unit: unit * lawful(8, 2.0)(size))) for unit in (1e-6, 1.0, 1e3)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > largest[-1]


def test_a_curve_that_follows_no_law_is_measured_in_full():
    steps = {1: 1.0, 2: 3.0, 4: 2.0, 8: 7.0, 16: 5.0, 32: 30.0, 64: 20.0, 128: 90.0}
    assert set(swept(Adaptive(), steps.__getitem__)) == set(steps)


def test_candidates_are_powers_of_two_and_the_largest():
    assert Adaptive().candidates == (1, 2, 4, 8, 16, 32, 64, 128)
    assert Adaptive(max=96).candidates == (1, 2, 4, 8, 16, 32, 64, 96)
    assert Adaptive(max=2).candidates == (1, 2)


def test_nothing_runs():
    assert Adaptive().next({}) == 1
    assert Adaptive().next({1: None}) is None


def test_a_looser_tolerance_never_needs_more():
    for crossover in (2.0, 5.0, 11.0, 40.0):
        counts = [len(swept(Adaptive(tolerance=t), lawful(crossover, 1.5))) for t in (0.02, 0.1, 0.5)]
        assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"max": 1}, "from 2 to"),
        ({"max": 4.0}, "from 2 to"),
        ({"max": True}, "from 2 to"),
        ({"tolerance": 0}, "above 0"),
        ({"tolerance": 1.1}, "at most 1"),
        ({"tolerance": "fine"}, "above 0"),
        ({"tolerance": float("nan")}, "above 0"),
        ({"tolerence": 0.1}, "did you mean 'tolerance'"),
    ],
)
def test_refusals(record, says):
    with pytest.raises(InputError, match=says):
        Adaptive.from_record(record)


def plan(batch_size, *, layers=(4, 16), repeats=1, framework="fake"):
    text = f"""
        frameworks: {framework}
        repeats: {repeats}
        workloads: [{{architecture: toy, num_layers: {list(layers)}, width: 128, batch_size: {batch_size}}}]
        """
    return parse(yaml.safe_load(text), name="test")


def chosen(path):
    """Batch sizes in the order they were measured, by the sweep they belong to."""
    found = {}
    for one in read(path):
        found.setdefault(group(one.cell), []).append(one.cell.workload.batch_size)
    return found


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


def test_collection_measures_few_sizes_and_finds_the_crossover(out, tmp_path):
    summary = collect(plan("adaptive"), out)
    assert summary.planned == summary.measured == len(read(out)) < 2 * 6
    assert summary.remaining == 0
    collect(plan([1, 2, 4, 8, 16, 32, 64, 128]), tmp_path / "full.jsonl")
    for layers in (4, 16):
        few, full = (
            fit_curve(
                *zip(*((m.cell.workload.batch_size, m.latency_s) for m in read(file) if is_of(m, layers)), strict=True)
            )
            for file in (out, tmp_path / "full.jsonl")
        )
        assert few.crossover_batch_size == pytest.approx(full.crossover_batch_size, rel=0.1)


def is_of(measurement, layers):
    return measurement.cell.workload.settings["num_layers"] == layers


def test_second_run_goes_on_as_the_first_would_have(out, tmp_path):
    whole = tmp_path / "whole.jsonl"
    collect(plan("adaptive"), whole, isolate=False)
    lines = whole.read_text().splitlines(keepends=True)
    for done in range(len(lines)):
        out.write_text("".join(lines[:done]))
        summary = collect(plan("adaptive"), out, isolate=False)
        assert (summary.planned, summary.done_before) == (len(lines), done)
        assert summary.remaining == 0
        assert chosen(out) == chosen(whole)


def test_what_a_full_sweep_measured_is_enough(out):
    collect(plan([1, 2, 4, 8, 16, 32, 64, 128]), out, isolate=False)
    summary = collect(plan("adaptive"), out, isolate=False)
    assert (summary.planned, summary.done_before, summary.measured) == (16, 16, 0)


def test_progress_never_exceeds_what_is_planned_and_ends_there(out):
    told = []
    collect(plan("adaptive"), out, isolate=False, on_progress=lambda *what: told.append(what[:2]))
    assert told[0] == (0, 16)
    assert all(done <= planned for done, planned in told)
    assert [planned for _, planned in told] == sorted((planned for _, planned in told), reverse=True)
    assert told[-1][0] == told[-1][1] == len(read(out))


def test_budget_leaves_the_rest_to_the_next_run(out):
    summary = collect(plan("adaptive"), out, budget_s=0.5, isolate=False)
    assert (summary.stopped_by, summary.measured, summary.planned) == ("budget", 0, 16)
    assert collect(plan("adaptive"), out, budget_s=60, isolate=False).remaining == 0


def test_every_repeat_is_a_sweep_of_its_own(out):
    collect(plan("adaptive", repeats=2), out, isolate=False)
    assert sorted(key.repeat for key in chosen(out)) == [0, 0, 1, 1]


def test_what_fails_is_recorded_and_nothing_larger_is_tried(faulty, out):
    summary = collect(plan("{max: 4}", framework="raising"), out, isolate=False)
    assert summary.failed == 2  # 4 rows are too many for it, and with 1 and 4 the climb begins
    assert summary.remaining == 0
    assert {tuple(sizes) for sizes in chosen(out).values()} == {(1, 4, 2)}


def test_operators_are_profiled_for_the_sizes_that_were_chosen(out):
    summary = collect(plan("adaptive"), out, isolate=False, operators=True)
    assert summary.operators.planned == summary.measured
    assert summary.operators.remaining == 0
