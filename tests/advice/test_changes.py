"""Advice: claims follow from the predictor, and are ordered, bounded and measurable."""

from __future__ import annotations

import pytest

from ftax_model import architectures
from ftax_model.advice import variants
from ftax_model.advice.changes import FREE, Adviser, Claim
from ftax_model.advice.place import Place
from ftax_model.modeling.judging.ratios import ratio
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.tracing import sources
from ftax_model.tracing.sources import find
from ftax_model.workload import Workload

SMALL = Workload("bert", {"num_layers": 2, "hidden_size": 64, "num_heads": 2, "intermediate_size": 128}, input_size=16)
GPU = Place("nvidia-a100-sxm-40gb", 1)
CPU = Place("amd-epyc-turin-2core", 1)


def advice(name: str, place: Place, framework: str = "eager", model: object = SMALL) -> dict[str, list[Claim]]:
    adviser = Adviser(LatencyPredictor.load(name), model, place, framework=framework, batch_size=1)  # type: ignore[arg-type]
    found: dict[str, list[Claim]] = {}
    for claim in adviser.claims():
        found.setdefault(claim.kind, []).append(claim)
    return found


@pytest.fixture(scope="module")
def on_gpu() -> dict[str, list[Claim]]:
    return advice(PUBLISHED, GPU)


@pytest.fixture(scope="module")
def on_cpu() -> dict[str, list[Claim]]:
    return advice(SHIPPED, CPU)


def test_where_the_framework_is_all_growth_is_free(on_gpu: dict[str, list[Claim]]) -> None:
    for kind in ("batch", "input", "width"):
        claim = on_gpu[kind][0]
        assert claim.text.startswith("likely free: ")  # the host is not known
        assert claim.after["latency_s"] <= (1 + FREE) * claim.before["latency_s"]
    assert "fewer MACs will not help here" in on_gpu["macs"][0].text


def test_what_is_said_to_be_free_is_the_last_that_is() -> None:
    predictor = LatencyPredictor.load(PUBLISHED)
    (claim,) = (one for one in advice(PUBLISHED, GPU)["batch"])
    size = claim.after["batch_size"]
    asked = {"framework": "eager", "crossovers": False, **GPU.asked}
    rows = predictor.predict(SMALL, batch_sizes=[1, size, 2 * size], **asked)["latency_s"].tolist()
    assert rows[1] == claim.after["latency_s"] <= 1.05 * rows[0]
    assert rows[2] > 1.05 * rows[0] or size >= 64


def test_where_compute_is_all_nothing_is_free() -> None:
    found = advice(SHIPPED, CPU, model=Workload("bert", {"num_layers": 2}))
    assert found["batch"][0].text.startswith("not free: batch 2")
    assert "macs" not in found


@pytest.mark.parametrize("where", ["on_gpu", "on_cpu"])
def test_claims_are_what_the_predictor_says(where: str, request: pytest.FixtureRequest) -> None:
    found: dict[str, list[Claim]] = request.getfixturevalue(where)
    assert {"batch", "input", "width", "framework", "layer", "fusion", "host", "device"} <= set(found)
    for claims in found.values():
        for claim in claims:
            value, low, high = claim.change_s
            assert low <= value <= high
            assert value == pytest.approx(claim.after["latency_s"] - claim.before["latency_s"])
            assert claim.change == ratio(claim.after, claim.before)
    assert found["layer"][0].change_s[0] < 0
    assert found["width"][-1].change_s[0] <= 0
    assert found["host"][0].change_s[0] < 0
    assert all(one.change_s[0] < 0 for one in found["fusion"])


def test_each_other_framework_is_named_once_fastest_first(on_cpu: dict[str, list[Claim]]) -> None:
    claims = on_cpu["framework"]
    assert sorted(one.after["framework"] for one in claims) == ["inductor", "onnxruntime", "openvino", "torchscript"]
    seconds = [one.after["latency_s"] for one in claims]
    assert seconds == sorted(seconds)


def test_calls_are_those_that_are_claimed(on_cpu: dict[str, list[Claim]]) -> None:
    predictor = LatencyPredictor.load(SHIPPED)
    for kind in ("batch", "input", "width", "framework", "layer"):
        claim = on_cpu[kind][0]
        assert claim.calls is not None
        for call, row in zip(claim.calls, (claim.before, claim.after), strict=True):
            asked = {"framework": call.framework, "crossovers": False, **CPU.asked}
            said = predictor.predict(find(call.model), batch_sizes=[call.batch_size], **asked)
            assert said["latency_s"].iloc[0] == row["latency_s"]
    assert on_cpu["fusion"][0].calls is None


def test_of_a_trace_only_its_own_size_is_spoken_of() -> None:
    found = advice(SHIPPED, CPU, model=sources.of_trace(find(SMALL).trace(1)))
    assert set(found) == {"framework", "fusion", "host", "device"}


def test_variants_change_what_they_say_and_nothing_else() -> None:
    resnet = architectures.complete(Workload("resnet"))
    assert variants.scaled(resnet, 0.5).settings["widths"] == (32, 64, 128, 256)  # type: ignore[union-attr]
    assert variants.a_layer_fewer(resnet).settings["depths"] == (3, 4, 5, 3)  # type: ignore[union-attr]
    assert variants.a_layer_fewer(architectures.complete(Workload("bert", {"num_layers": 1}))) is None
    assert variants.with_input_size(architectures.complete(Workload("vit")), 225) is None
    trace = find(SMALL).trace(1)
    assert all(one.kind != "gelu" for one in variants.without(trace, "gelu").operators)


@pytest.mark.parametrize("name", [name for name in architectures.names() if architectures.load(name).family != "block"])
def test_every_architecture_has_variants_that_complete(name: str) -> None:
    workload = architectures.complete(Workload(name))
    for factor in (0.5, 1.1, 2.0):
        wider = variants.scaled(workload, factor)
        assert wider is None or architectures.complete(wider) == wider


def test_what_is_surely_free_is_said_so() -> None:
    predictor = LatencyPredictor.load(SHIPPED)
    adviser = Adviser(predictor, Workload("mlp", {"num_layers": 16}), CPU, framework="eager", batch_size=1)
    row = {**adviser.row, "low_s": 0.99 * adviser.row["latency_s"], "high_s": 1.01 * adviser.row["latency_s"]}
    adviser.row = row
    for times, said in ((1.0, "free: "), (1.04, "free: "), (1.06, "not free: ")):
        after = {name: times * row[name] if name in ("latency_s", "low_s", "high_s") else row[name] for name in row}
        assert adviser._how_free(after) == said
    assert adviser._how_free({**row, "high_s": 1.5 * row["latency_s"]}) == "likely free: "
