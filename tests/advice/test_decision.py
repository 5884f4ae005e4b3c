"""Decisions: where a question is about, which framework is best, what keeps a latency, where time goes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from ftax_model.advice import place as places
from ftax_model.advice.decision import BEST, TIE, decide, judged, within
from ftax_model.advice.parts import parts
from ftax_model.advice.place import Place, place
from ftax_model.device import detect
from ftax_model.errors import InputError
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.operators import Trace
from ftax_model.tracing import sources
from ftax_model.workload import Workload

KNOWN = "amd-epyc-turin-2core"


@pytest.fixture(scope="module")
def shipped() -> LatencyPredictor:
    return LatencyPredictor.load(SHIPPED)


@pytest.fixture(scope="module")
def bert() -> sources.Source:
    return sources.of_workload(Workload("bert", {"num_layers": 2, "hidden_size": 128, "num_heads": 2}, input_size=32))


def test_a_question_without_a_device_is_about_this_machine(
    shipped: LatencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = dataclasses.replace(detect("cpu"), name="amd-epyc-turin-8core", cores=8)
    monkeypatch.setattr(places, "detect", lambda kind: machine)
    monkeypatch.setattr(places, "here", lambda kind=None: [machine])
    monkeypatch.setattr(places, "physical_cores", lambda device: 8)
    found = place(shipped)
    assert found.device == "amd-epyc-turin-8core"
    assert found.threads == 2
    assert "ftax calibrate" in found.notes[-1]
    assert place(shipped, threads=1).threads == 1


def test_of_an_unknown_machine_the_one_most_alike_answers(
    shipped: LatencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = dataclasses.replace(detect("cpu"), name="intel-pentium-g4400-2core", cores=2)
    monkeypatch.setattr(places, "here", lambda kind=None: [machine])
    found = place(shipped, threads=1)
    assert found.device == "intel-xeon-amx-2core"
    assert "intel-pentium-g4400-2core" in found.notes[0]


def test_a_gpu_here_is_asked_first_where_the_predictor_knows_any(
    shipped: LatencyPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = dataclasses.replace(detect("cpu"), name=KNOWN, cores=2)
    gpu = dataclasses.replace(cpu, name="nvidia-t4", kind="cuda")
    monkeypatch.setattr(places, "detect", lambda kind: gpu if kind == "cuda" else cpu)
    found = place(LatencyPredictor.load(PUBLISHED))
    assert (found.device, found.notes) == ("nvidia-t4", ("nvidia-t4 is this machine's GPU",))
    assert (
        place(shipped, threads=1)
        == place(shipped, device="cpu", threads=1)
        == Place(KNOWN, 1, notes=(f"{KNOWN} is this machine",))
    )


def test_a_named_device_is_taken_as_it_is(shipped: LatencyPredictor) -> None:
    assert place(shipped, device=KNOWN) == Place(KNOWN, 2)
    gpu = place(LatencyPredictor.load(PUBLISHED), device="nvidia-a100-sxm4-40gb", host_factor=1.0)
    assert gpu == Place("nvidia-a100-sxm-40gb", 1, None, 1.0)


def test_every_framework_answers_at_typical_sizes(shipped: LatencyPredictor, bert: sources.Source) -> None:
    found = decide(shipped, bert, Place(KNOWN, 1)).table
    assert set(found["framework"]) == {key[0] for key in shipped.known_}
    assert sorted(set(found["batch_size"])) == [1, 8, 64]
    assert (found["throughput"] == found["batch_size"] / found["latency_s"]).all()
    assert (found[found["standing"] == BEST].groupby("batch_size").size() == 1).all()


def test_of_a_trace_no_other_sizes_are_asked(shipped: LatencyPredictor, bert: sources.Source) -> None:
    traced = sources.of_trace(bert.trace(1))
    assert set(decide(shipped, traced, Place(KNOWN, 1)).table["batch_size"]) == {1}


def test_a_tie_is_where_the_interval_of_a_ratio_holds_1() -> None:
    rows = pd.DataFrame(
        {
            "curve": "m",
            "batch_size": [1, 1, 1, 2, 2],
            "framework": ["a", "b", "c", "a", "b"],
            "latency_s": [1.0, 1.3, 3.0, 5.0, 4.0],
            "low_s": [0.8, 0.9, 2.0, 4.5, 3.9],
            "high_s": [1.2, 3.0, 4.0, 6.0, 4.1],
        }
    ).assign(device="cpu", dtype="float32", threads=1, notes="")
    assert list(judged(rows)["standing"]) == [BEST, TIE, "", "", BEST]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_largest_batch_keeps_a_latency_and_the_next_does_not(
    shipped: LatencyPredictor, bert: sources.Source, confidence: float
) -> None:
    here, slo_s = Place(KNOWN, 1), 0.01
    for row in within(shipped, bert, here, slo_s=slo_s, confidence=confidence).to_dict("records"):
        assert row["inside"]
        sizes = [row["batch_size"], row["batch_size"] + 1, row["throughput_batch_size"]]
        asked = {"framework": row["framework"], "quantile": confidence, "crossovers": False, **here.asked}
        found = shipped.predict(bert, batch_sizes=sizes, **asked).set_index("batch_size")
        assert found.loc[sizes[0], "quantile_s"] <= slo_s < found.loc[sizes[1], "quantile_s"]
        assert row["throughput"] == pytest.approx(sizes[2] / found.loc[sizes[2], "latency_s"])
        assert row["throughput"] >= sizes[0] / found.loc[sizes[0], "latency_s"]


def test_more_confidence_keeps_no_more(shipped: LatencyPredictor, bert: sources.Source) -> None:
    found = [within(shipped, bert, Place(KNOWN, 1), slo_s=0.01, confidence=share) for share in (0.6, 0.9, 0.99)]
    assert (np.diff([one["batch_size"] for one in found], axis=0) <= 0).all()


def test_where_no_size_keeps_it_the_smallest_is_told(shipped: LatencyPredictor, bert: sources.Source) -> None:
    found = within(shipped, bert, Place(KNOWN, 1), slo_s=1e-6)
    assert not found["inside"].any()
    assert set(found["batch_size"]) == {1}
    assert found["throughput"].isna().all()


@pytest.mark.parametrize("wrong", [{"slo_s": 0.0}, {"slo_s": 1, "confidence": 1.0}, {"slo_s": 1, "confidence": 0.1}])
def test_a_latency_that_makes_no_sense_is_refused(
    shipped: LatencyPredictor, bert: sources.Source, wrong: dict[str, float]
) -> None:
    with pytest.raises(InputError):
        within(shipped, bert, Place(KNOWN, 1), **wrong)


@pytest.mark.parametrize("framework", ["eager", "onnxruntime", "inductor"])
@pytest.mark.parametrize("name", [SHIPPED, PUBLISHED])
def test_parts_sum_to_the_prediction(name: str, framework: str, bert: sources.Source) -> None:
    predictor = LatencyPredictor.load(name)
    here = Place(KNOWN, 1) if name == SHIPPED else Place("nvidia-a100-sxm-40gb", 1)
    found = parts(predictor, bert, here, framework=framework, batch_size=4)
    for table in (found.layers, found.kinds):
        for column in ("latency_s", "host_s", "device_s"):
            assert table[column].sum() == pytest.approx(found.call[column])
        assert table["share"].sum() == pytest.approx(1)
        assert (table[["latency_s", "host_s", "device_s"]] > -1e-12).all().all()
        assert table["latency_s"].is_monotonic_decreasing
    repeated = found.layers[found.layers["name"].str.contains(r"\*")]
    assert (repeated["count"] == 2).all()


def test_parts_are_told_by_the_law_where_it_is_all_there_is(shipped: LatencyPredictor, bert: sources.Source) -> None:
    fit = dataclasses.replace(
        shipped.select(framework="eager", device=KNOWN, threads=1, dtype="float32")[0], model=None
    )
    trace = bert.trace(2)
    row = pd.DataFrame([{"batch_size": 2, **trace.features()}])
    found = fit.attribute(trace, row)
    (said,) = fit.estimate(row).to_dict("records")
    assert found["latency_s"].sum() == pytest.approx(said["latency_s"])
    assert fit.attribute(Trace((), 0), row.assign(**dict.fromkeys(trace.features(), 0.0))).shape[0] == 1
