"""What is known of the peak memory of frameworks: learnt from sweeps, judged on families never seen, kept in a file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ftax_model import LatencyPredictor, Workload
from ftax_model.cli import _show
from ftax_model.errors import DataError, InputError
from ftax_model.modeling.judging import evaluation
from ftax_model.modeling.platforms import memory
from ftax_model.modeling.platforms.memory import KnownMemory
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace

FLOOR, WEIGHTS, ALIVE = 4e8, 3.0, 2.0
SIZES = (1, 2, 4, 8)
TOY = Workload("toy", {"num_layers": 4, "width": 64})


def sweeps(
    families: int = 8, *, framework: str = "eager", device: str = "amd-epyc-turin-2core", left: float = 0.5
) -> pd.DataFrame:
    """Sweeps of made-up models; each call leaves a part of its weights behind."""
    draw, found = np.random.default_rng(0), []
    for family in range(families):
        for model in range(3):
            weights, alive = 10 ** draw.uniform(6, 9), 10 ** draw.uniform(4, 7.5)
            for before, size in enumerate(draw.permutation(SIZES)):
                held = FLOOR + (WEIGHTS + left * before) * weights + ALIVE * alive * size
                found.append(
                    {
                        "architecture": f"family {family}",
                        "model": f"{family} {model}",
                        "curve": f"{family} {model}",
                        "batch_size": int(size),
                        "framework": framework,
                        "device": device,
                        "dtype": "float32",
                        "threads": 1,
                        "repeat": 0,
                        "status": "ok",
                        "model_bytes": weights,
                        "live_bytes": alive * size,
                        "n_ops": 50.0,
                        "peak_memory_bytes": held * np.exp(draw.normal(0, 0.03)),
                    }
                )
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def known() -> KnownMemory:
    return memory.learn(sweeps())["eager", "cpu"]


def fresh(weights: float, alive: float) -> pd.DataFrame:
    return pd.DataFrame({"model_bytes": [weights], "live_bytes": [alive], "n_ops": [50.0]})


def test_a_fresh_process_is_predicted(known: KnownMemory) -> None:
    found = known.estimate(fresh(2e8, 5e7), confidence=0.9).iloc[0]
    assert found["memory_bytes"] == pytest.approx(FLOOR + WEIGHTS * 2e8 + ALIVE * 5e7, rel=0.1)
    assert found["memory_low_bytes"] < found["memory_bytes"] < found["memory_high_bytes"]
    assert found["why"] == ""


def test_a_process_begins_anew_where_a_batch_size_comes_again() -> None:
    table = sweeps(1)
    again = pd.concat([table, table], ignore_index=True)
    assert list(memory.useful(again)["before"]) == [0, 1, 2, 3] * 6


def test_rows_without_memory_teach_nothing() -> None:
    table = sweeps()
    assert memory.learn(table.drop(columns="peak_memory_bytes")) == {}
    assert memory.learn(table.drop(columns="live_bytes")) == {}
    assert memory.learn(table.assign(peak_memory_bytes=np.nan)) == {}
    assert memory.learn(table[:3]) == {}


def test_four_rows_are_enough_for_a_wide_interval() -> None:
    few = memory.learn(sweeps(4)[lambda rows: rows["batch_size"] == 1][:4])["eager", "cpu"]
    found = few.estimate(fresh(2e8, 5e7), confidence=0.9).iloc[0]
    assert found["memory_low_bytes"] < FLOOR + WEIGHTS * 2e8 + ALIVE * 5e7 < found["memory_high_bytes"]
    assert found["memory_high_bytes"] / found["memory_low_bytes"] > 1.8


def test_machines_are_one_and_kinds_of_devices_are_not() -> None:
    parts = [sweeps(device=name) for name in ("amd-epyc-turin-2core", "amd-epyc-genoa-2core", "nvidia-l4")]
    found = memory.learn(pd.concat(parts, ignore_index=True))
    assert {key: one.n_rows for key, one in found.items()} == {("eager", "cpu"): 192, ("eager", "cuda"): 96}


def test_far_outside_is_said_and_wider(known: KnownMemory) -> None:
    near, far = (known.estimate(fresh(size, 5e7), confidence=0.9).iloc[0] for size in (9e8, 9e10))
    assert far["why"] == "far outside the data in memory"
    width = [one["memory_high_bytes"] / one["memory_low_bytes"] for one in (near, far)]
    assert width[1] > width[0]


def test_what_a_trace_does_not_tell_is_not_known(known: KnownMemory) -> None:
    rows = pd.concat([fresh(2e8, 5e7), fresh(2e8, np.nan)], ignore_index=True)
    found = known.estimate(rows, confidence=0.9)
    assert list(found["memory_bytes"].isna()) == [False, True]
    assert "does not tell" in found["why"].iloc[1]


def test_families_left_out_are_judged_beside_weights_and_activations() -> None:
    found = evaluation.memory_summary(memory.left_out(sweeps(12)))
    assert list(found["process"]) == ["fresh", "used"]
    assert (found["median"] < 0.08).all()
    assert (found["covered"] > 0.75).all()
    assert (found["by weights + activations"] > 0.4).all()
    parts = evaluation.memory_summary(memory.left_out(sweeps(12)), by=["framework", "mostly"])
    assert {"floor", "model"} <= {*parts["mostly"]}
    assert parts["n"].sum() == found["n"].sum() == 12 * 3 * len(SIZES)


def test_an_evaluation_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = pd.DataFrame()
    _show.evaluation(evaluation.Report(nothing, nothing, nothing, memory.left_out(sweeps(12))), as_json=False)
    shown = capsys.readouterr().out
    assert "peak memory by process" in shown
    assert "peak memory by mostly" in shown
    assert "by weights + activations" in shown
    _show.evaluation(evaluation.Report(nothing, nothing, nothing, nothing), as_json=False)
    assert "emory" not in capsys.readouterr().out


def test_one_family_alone_is_not_judged() -> None:
    assert memory.left_out(sweeps(1)[:4]).empty


def test_it_survives_its_record(known: KnownMemory) -> None:
    again = KnownMemory.from_dict(json.loads(json.dumps(known.to_dict(), allow_nan=False)))
    rows = fresh(2e8, 5e7)
    pd.testing.assert_frame_equal(again.estimate(rows, confidence=0.8), known.estimate(rows, confidence=0.8), rtol=1e-3)


@pytest.fixture(scope="module")
def shipped() -> LatencyPredictor:
    return LatencyPredictor.load("cpu")


def predict(predictor: LatencyPredictor, what: Any, *arguments: Any, **options: Any) -> pd.Series[Any]:
    return predictor.predict(what, *arguments, memory=True, crossovers=False, **options).iloc[0]


ON = {"framework": "eager", "device": "amd-epyc-turin-2core", "threads": 1}


def test_the_shipped_predictor_knows_each_framework(shipped: LatencyPredictor) -> None:
    for framework, kind in shipped.known_:
        one = shipped.memory_[framework, kind]
        assert 0.9 < one.model.costs_["weights"] < 12
        assert 1 <= one.model.costs_["activations"] < 4
        assert 3e8 < one.model.costs_["floor"] < 6e8


def test_it_stands_beside_latency(shipped: LatencyPredictor) -> None:
    workload = Workload("bert", {"preset": "bert-tiny"}, batch_size=4)
    found = predict(shipped, workload, **ON)
    assert found["memory_low_bytes"] < found["memory_bytes"] < found["memory_high_bytes"]
    assert list(found.index[-4:]) == [*memory.ESTIMATED, "notes"]
    assert not {*memory.ESTIMATED} & {*shipped.predict(workload, crossovers=False, **ON).columns}
    larger = predict(shipped, workload.with_batch_size(64), **ON)
    assert larger["memory_bytes"] > found["memory_bytes"]


def test_a_module_and_a_trace_that_was_not_told_memory(shipped: LatencyPredictor) -> None:
    module = torch.nn.Linear(1000, 1000, device="meta")
    found = predict(shipped, module, torch.empty(2, 1000, device="meta"), **ON)
    floor = shipped.memory_["eager", "cpu"].model.costs_["floor"]
    assert floor < found["memory_bytes"] < floor + 2e7
    relu = Operator("relu", ((64, 64),), ((64, 64),), 0, 32_768)
    found = predict(shipped, Trace((relu,), 0), **ON)
    assert np.isnan(found["memory_bytes"])
    assert "of unknown peak memory" in found["notes"]


def test_a_framework_on_a_device_never_measured_has_none() -> None:
    found = predict(LatencyPredictor.load("published-gpus"), TOY, framework="eager", device="nvidia-l4")
    assert np.isnan(found["memory_bytes"])
    assert np.isnan(found["memory_high_bytes"])
    assert found["memory_low_bytes"] == 4 * 4 * 64 * 64
    assert "that of eager on GPUs was not measured" in found["notes"]


def test_calls_measured_on_a_gpu_teach_what_they_held() -> None:
    modules = [torch.nn.Sequential(*[torch.nn.Linear(512, 512, device="meta")] * count) for count in (1, 2, 4, 8, 16)]
    calls = [trace(module, torch.empty(8, 512, device="meta")) for module in modules]
    table = pd.DataFrame({"trace": calls, "latency_s": [31e-6, 55e-6, 104e-6, 196e-6, 389e-6]})
    table = table.assign(framework="eager", device="nvidia-l4", host="mine", status="ok", curve=range(5), threads=1)
    held = [9e6 + sum(call.memory().values()) for call in calls]
    table = table.assign(batch_size=8, dtype="float32", repeat=0, peak_memory_bytes=held)
    own = LatencyPredictor.load("published-gpus").calibrate(table)
    found = predict(own, calls[0], framework="eager", device="nvidia-l4", host="mine")
    assert found["memory_bytes"] == pytest.approx(held[0], rel=0.2)
    other = predict(own, calls[0], framework="cuda-graphs", device="nvidia-l4")
    assert np.isnan(other["memory_bytes"])


def test_what_is_not_known_is_refused_by_strict(shipped: LatencyPredictor) -> None:
    workload = Workload("mlp", {"num_layers": 4, "hidden_size": 128}, batch_size=8)
    assert shipped.predict(workload, strict=True, memory=True, crossovers=False, **ON)["notes"].iloc[0] == ""
    without = LatencyPredictor.load("cpu")
    without.memory_ = {}
    with pytest.raises(InputError, match="unknown peak memory"):
        without.predict(workload, strict=True, memory=True, crossovers=False, **ON)


def rewritten(shipped: LatencyPredictor, path: Path, change: Any) -> Path:
    shipped.save(path)
    record = json.loads(gzip.decompress(path.read_bytes()))
    change(record)
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    return path


def test_an_older_file_answers_without(shipped: LatencyPredictor, tmp_path: Path) -> None:
    older = LatencyPredictor.load(rewritten(shipped, tmp_path / "a.json.gz", lambda record: record.pop("memory")))
    found = predict(older, TOY, **ON)
    assert np.isnan(found["memory_bytes"])
    assert "was not measured" in found["notes"]
    again = LatencyPredictor.load(rewritten(shipped, tmp_path / "b.json.gz", lambda record: None))
    assert predict(again, TOY, **ON)["memory_bytes"] == predict(shipped, TOY, **ON)["memory_bytes"]


@pytest.mark.parametrize(
    "change",
    [
        {"costs": {}},
        {"costs": None},
        {"errors": {}},
        {"errors": {"every": ["a"]}},
        {"largest": {}},
        {"largest": {"model_bytes": None, "live_bytes": 1, "n_ops": 1}},
        {"n_rows": "many"},
    ],
)
def test_a_damaged_file_is_refused(shipped: LatencyPredictor, tmp_path: Path, change: dict[str, Any]) -> None:
    path = rewritten(shipped, tmp_path / "a.json.gz", lambda record: record["memory"][0].update(change))
    with pytest.raises(DataError):
        LatencyPredictor.load(path)
