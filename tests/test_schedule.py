"""The schedule of a plan: which cells, how long, and how sure of it."""

from __future__ import annotations

import pytest
import yaml

from ftax_model import architectures, dataset, schedule
from ftax_model.collection.plan import Plan, load_plan, parse
from ftax_model.collection.runner import collect
from ftax_model.device import Device, detect
from ftax_model.measurement import Measurement
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing import trace_workload

CPU = detect("cpu")
GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Measurement]:
    """The toy plan, measured."""
    file = tmp_path_factory.mktemp("measured") / "toy.jsonl"
    collect("toy", file, isolate=False)
    return dataset.read(file)


@pytest.fixture(scope="module")
def predictor(measured: list[Measurement]) -> LatencyPredictor:
    """What is learnt of them."""
    return LatencyPredictor().fit(dataset.frame(measured))


def plan(batch_size: str, more: str = "") -> Plan:
    return parse(
        yaml.safe_load(f"{{frameworks: fake, workloads: [{{architecture: toy, batch_size: {batch_size} {more}}}]}}"),
        name="x",
    )


def test_every_cell_is_listed_with_its_predicted_latency(
    measured: list[Measurement], predictor: LatencyPredictor
) -> None:
    told: list[tuple[int, int]] = []
    found = schedule.schedule(load_plan("toy"), CPU, predictor=predictor, on_progress=lambda *what: told.append(what))
    truth = {one.cell: one.latency_s for one in measured}
    assert {one.cell for one in found} == set(truth)
    for one in found:
        assert one.latency_s == pytest.approx(truth[one.cell], rel=0.1)
        assert 0 < one.least_s <= one.most_s
        assert one.note == ""
    assert (told[0], told[-1]) == ((0, 25), (25, 25))


def test_order_is_that_of_the_collection(measured: list[Measurement]) -> None:
    found = schedule.schedule(load_plan("toy"), CPU)
    assert [one.cell for one in found] == [one.cell for one in measured]


def test_what_is_done_is_left_out(measured: list[Measurement]) -> None:
    done = {one.cell.key: dataset.Outcome(one.status, one.latency_s) for one in measured[:150]}
    assert [one.cell for one in schedule.schedule(load_plan("toy"), CPU, done=done)] == [
        one.cell for one in measured[150:]
    ]


def test_without_a_predictor_there_is_the_time_of_the_protocol() -> None:
    found = schedule.schedule(plan("[1, 2]"), CPU)
    assert [(one.latency_s, one.least_s, one.most_s, one.note) for one in found] == [
        (None, 1.0, 1.0, schedule.UNKNOWN)
    ] * 2


def test_platform_that_was_never_measured_is_not_guessed(predictor: LatencyPredictor) -> None:
    found = schedule.schedule(plan("[1, 2]", ", threads: 2"), CPU, predictor=predictor)
    assert {one.note for one in found} == {schedule.UNKNOWN}


def test_adaptive_sweep_is_walked_through_with_predictions(predictor: LatencyPredictor) -> None:
    few = schedule.schedule(plan("adaptive", ", num_layers: 16, width: 128"), CPU, predictor=predictor)
    assert 3 <= len(few) < 8
    assert all(one.note == "" for one in few)
    every = schedule.schedule(plan("adaptive"), CPU)
    assert [one.cell.workload.batch_size for one in every] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert [schedule.IF_NEEDED in one.note for one in every] == [False] + [True] * 7


def test_what_is_not_supported_takes_no_time() -> None:
    text = "{frameworks: [eager, cuda-graphs], workloads: [{architecture: bert, dtype: [float16, float32]}]}"
    found = {
        (one.cell.framework, one.cell.workload.dtype): one
        for one in schedule.schedule(parse(yaml.safe_load(text), name="x"), CPU)
    }
    assert found["eager", "float32"].most_s == 1.0
    for pair in (("eager", "float16"), ("cuda-graphs", "float32")):
        assert (found[pair].least_s, found[pair].most_s) == (0.0, 0.0)
        assert found[pair].note.startswith("unsupported: ")


def test_time_to_prepare_comes_from_cells_like_it(measured: list[Measurement]) -> None:
    import dataclasses

    seen = [dataclasses.replace(one, prepare_s=number) for number, one in enumerate(measured[:3], start=1)]
    without, (one, two) = (schedule.schedule(plan("[1, 2]"), CPU, seen=what) for what in ((), seen))
    assert [other.prepare_s for other in without] == [None, None]
    assert (one.prepare_s, two.most_s) == (2.0, without[1].most_s + 2.0)


def test_gpu_takes_three_clocks_and_its_energy(predictor: LatencyPredictor) -> None:
    cpu = schedule.schedule(plan("[1]"), CPU, predictor=predictor)[0]
    assert cpu.latency_s is not None
    gpu = schedule.schedule(plan("[1]"), GPU)[0]
    assert gpu.most_s == 1.0 + load_plan("toy").protocol.energy_s


def test_totals_add_up(predictor: LatencyPredictor) -> None:
    text = "{frameworks: [fake, eager], workloads: [{architecture: mlp, batch_size: [1, 2]}]}"
    found = schedule.schedule(parse(yaml.safe_load(text), name="x"), CPU)
    totals = schedule.totals(found)
    assert list(totals) == [*dict.fromkeys(one.cell.framework for one in found), schedule.ALL]
    for column in ("cells", "least_s", "most_s"):
        assert totals[schedule.ALL][column] == totals["fake"][column] + totals["eager"][column]
    assert schedule.totals([])[schedule.ALL]["cells"] == 0


def straight(name: str) -> None:
    """Features of an architecture's smallest workload, one of each kind of lengths, lie on lines from batch 2 on."""
    one = architectures.load(name)
    for workload in {workload.lengths: one.complete(workload) for workload in reversed(one.grid())}.values():
        two, three, eight = (trace_workload(workload.with_batch_size(size)).features() for size in (2, 3, 8))
        assert {key: two[key] + 6 * (three[key] - two[key]) for key in two} == eight


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["toy", "mlp", "bert", "resnet", "lstm"])
def test_features_are_straight_lines_in_the_batch_size(name: str) -> None:
    straight(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(set(architectures.names()) - {"toy", "mlp", "bert", "resnet", "lstm"}))
def test_features_of_every_architecture_are(name: str) -> None:
    straight(name)
