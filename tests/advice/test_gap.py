"""Gaps: causes that speak from the record, from other settings, and from the prediction itself."""

from __future__ import annotations

import pytest

from ftax_model.advice.gap import Gap, explain
from ftax_model.advice.place import Place
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.tracing.sources import Source, find
from ftax_model.workload import Workload

PLACE = Place("amd-epyc-turin-2core", 1)
BERT = Workload("bert", {"preset": "bert-mini"})


@pytest.fixture(scope="module")
def predictor() -> LatencyPredictor:
    return LatencyPredictor.load(SHIPPED)


def gap(
    predictor: LatencyPredictor, times: float, record: Measurement | None = None, source: Source | None = None
) -> Gap:
    own = source or find(BERT)
    said = predictor.predict(own, framework="eager", crossovers=False, **PLACE.asked)["latency_s"].iloc[0]
    asked = {"framework": "eager", "batch_size": 1, "measured_s": times * said, "record": record}
    return explain(predictor, own, PLACE, **asked)


def test_a_latency_of_two_batches_is_told_as_one(predictor: LatencyPredictor) -> None:
    said = predictor.predict(BERT, batch_sizes=[1, 2], framework="eager", crossovers=False, **PLACE.asked)["latency_s"]
    found = gap(predictor, said[1] / said[0])
    assert not found.inside
    shapes = next(one for one in found.causes if one.name == "shapes")
    assert shapes.level == "likely"
    assert "a batch of 2" in shapes.evidence
    assert shapes.latency_s == pytest.approx(said[1])


def test_a_latency_too_short_is_that_of_more_threads(predictor: LatencyPredictor) -> None:
    here = {"framework": "eager", "device": PLACE.device, "crossovers": False}
    one, two = (predictor.predict(BERT, threads=count, **here)["latency_s"].iloc[0] for count in (1, 2))
    found = gap(predictor, two / one)
    threads = next(one for one in found.causes if one.name == "threads")
    assert "2 threads, not 1" in threads.evidence
    assert threads.level == "likely"
    assert all(one.latency_s is None or one.latency_s < found.predicted["latency_s"] for one in found.causes)


def test_what_a_record_holds_against_itself_comes_first(predictor: LatencyPredictor) -> None:
    settings = {"threads": 4, "attention": "eager", "mkldnn": False}
    environment = {"torch": settings, "affinity": [0], "load_before": 0.9, "versions": {"torch": "2.9"}}
    cell = Cell(BERT, "eager", PLACE.device, threads=2)
    record = Measurement(cell, latency_s=1.0, environment=environment, telemetry={"throttled": "hot"})
    predictor.about_ = {"versions": {"torch": "2.13.0"}}
    found = gap(predictor, 3.0, record)
    predictor.about_ = {}
    said = " | ".join(one.evidence for one in found.causes if one.level == "likely")
    for word in (
        "other processes",
        "lowered its clock",
        "torch ran 4 threads",
        "1 of the CPUs",
        "attention is eager",
        "oneDNN is off",
    ):
        assert word in said
    assert any(one.name == "versions" and "2.13.0" in one.evidence for one in found.causes)
    assert [one.level for one in found.causes] == sorted(
        (one.level for one in found.causes), key=("likely", "possible", "unlikely").index
    )


def test_a_latency_inside_the_interval_needs_no_cause(predictor: LatencyPredictor) -> None:
    found = gap(predictor, 1.0)
    assert found.inside
    assert not [one for one in found.causes if one.level == "likely"]


def test_what_the_prediction_is_unsure_of_is_named(predictor: LatencyPredictor) -> None:
    found = gap(predictor, 3.0, source=find(Workload("bert", {"preset": "bert-large"}, input_size=8192)))
    assert any(one.name == "the prediction" and "far outside" in one.evidence for one in found.causes)
