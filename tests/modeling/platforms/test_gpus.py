"""GPUs that were never there: cards and hosts of known costs, and what is learnt of them."""

from __future__ import annotations

import dataclasses
import gc
import gzip
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, architectures
from ftax_model.device import names as device_names
from ftax_model.device import specification
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators import kernels as costs
from ftax_model.modeling.estimators.kernels import COSTS, HOSTS, Calls, KernelModel
from ftax_model.modeling.platforms import gpus
from ftax_model.modeling.platforms.gpus import HOST, KNOWN, needed
from ftax_model.modeling.predictor import PUBLISHED
from ftax_model.modeling.rows import kernel_row, with_kernels
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace_sweep
from ftax_model.tracing.kernels import GROUPS, KERNELS
from ftax_model.workload import Workload

PUBLISHED_GPUS = LatencyPredictor.load(PUBLISHED)

HOSTS_OF = {
    ("nvidia-l40s", "slow"): 2.0,
    ("nvidia-l40s", "quick"): 0.5,
    ("nvidia-a100-sxm-40gb", "mean"): 1.0,
    ("nvidia-t4", "mean"): 1.0,
}
"""Machines, and how many times longer than usual their hosts take."""


def traced(width: int, layers: int) -> Trace:
    shapes = {"batch": 1, "m": width, "k": width, "n": width}
    square = 4 * width * width
    product = Operator(
        "addmm", ((width,), (width, width), (width, width)), ((width, width),), width**3, 2 * square, square, 1, shapes
    )
    relu = Operator("relu", ((width, width),), ((width, width),), 0, 2 * square)
    return Trace((product, relu) * layers, params=width * width * layers)


def truth(device: str, factor: float, calls: list[Any]) -> np.ndarray:
    """What such a machine takes: a product 1.4 times its roofline, a host so many times longer than usual."""
    logs = costs.ignorance().mean.copy()
    logs[:HOSTS] += np.log(factor)
    logs[HOSTS + GROUPS.index("linear")] = np.log(1.4)
    amounts = costs.columns(Calls.of(calls, [needed(Platform("eager", device, "float32", 1))] * len(calls)), costs.NONE)
    host_s, device_s = costs.terms(amounts, logs)
    return np.asarray((host_s**4 + device_s**4) ** 0.25)


def rows(machines: dict[tuple[str, str], float]) -> pd.DataFrame:
    traces = {
        f"{width} x {layers}": traced(width, layers) for width in (32, 128, 512, 1024, 2048) for layers in (1, 3, 8, 20)
    }
    own = {name: kernel_row(one, dtype="float32") for name, one in traces.items()}
    found = []
    for (device, host), factor in machines.items():
        seconds = truth(device, factor, [one["kernels"] for one in own.values()])
        for (name, one), latency_s in zip(own.items(), seconds, strict=True):
            told = {"framework": "eager", "device": device, "host": host, "dtype": "float32", "threads": 1}
            found.append({**told, "model": name, "batch_size": 1, "latency_s": latency_s, **one})
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def predictor() -> LatencyPredictor:
    sample = rows({("nvidia-t4", "mean"): 1.0}).assign(batch_size=64)
    return LatencyPredictor(jobs=1).learn_gpus(rows(HOSTS_OF), source="a test", sample=sample)


def missed(predictor: LatencyPredictor, device: str, factor: float, **asked: Any) -> float:
    """Median relative error on some other calls of a machine."""
    others = [traced(width, layers) for width in (64, 256, 1536) for layers in (2, 12)]
    seconds = truth(device, factor, [kernel_row(one, dtype="float32")["kernels"] for one in others])
    said = [predictor.predict(one, framework="eager", device=device, **asked)["latency_s"].iloc[0] for one in others]
    return float(np.median(np.abs(np.array(said) / seconds - 1)))


def test_a_known_machine_is_predicted(predictor: LatencyPredictor) -> None:
    assert missed(predictor, "nvidia-l40s", 2.0, host="slow") < 0.1
    assert missed(predictor, "nvidia-l40s", 0.5, host="quick") < 0.1


def test_a_card_never_seen_goes_by_its_data_sheet(predictor: LatencyPredictor) -> None:
    assert missed(predictor, "nvidia-h100-sxm", 1.0, host_factor=1.0) < 0.15
    assert missed(predictor, "nvidia-h100-sxm", 0.4, host_factor=0.4) < 0.15
    assert missed(predictor, "nvidia-h100-sxm", 0.4) > 0.2, "without its host it cannot be known"


def test_an_unknown_host_makes_the_interval_wide_where_the_host_decides(predictor: LatencyPredictor) -> None:
    small, large = traced(32, 8), traced(2048, 8)

    def width(call: Trace, **asked: Any) -> float:
        one = predictor.predict(call, framework="eager", device="nvidia-l4", **asked).iloc[0]
        return float(np.log(one["high_s"] / one["low_s"]))

    assert width(small) > 1.5 * width(small, host_factor=1.0)
    assert width(small) > 1.3 * width(large)


def test_five_calls_tell_the_host(predictor: LatencyPredictor) -> None:
    seen = rows({("nvidia-h100-sxm", "mine"): 0.4}).nsmallest(5, "latency_s")
    own = predictor.calibrate(seen)
    assert missed(own, "nvidia-h100-sxm", 0.4, host="mine") < 0.1
    assert missed(own, "nvidia-l40s", 2.0, host="slow") < 0.1, "what was known before still is"
    notes = own.predict(traced(64, 2), framework="eager", device="nvidia-h100-sxm", host="mine")["notes"].iloc[0]
    assert notes == "a test; 5 calls of its own"


def test_calibrating_needs_no_more_than_traces(predictor: LatencyPredictor) -> None:
    calls = [traced(32, layers) for layers in (1, 2, 4, 8, 16)]
    seconds = truth("nvidia-h100-sxm", 0.4, [kernel_row(one, dtype="float32")["kernels"] for one in calls])
    table = pd.DataFrame({"trace": calls, "latency_s": seconds})
    own = predictor.calibrate(table.assign(framework="eager", device="nvidia-h100-80gb-hbm3"))  # as the driver says
    assert missed(own, "nvidia-h100-sxm", 0.4, host="here") < 0.1


def test_a_row_without_trace_or_workload_is_refused(predictor: LatencyPredictor) -> None:
    table = pd.DataFrame({"latency_s": [1e-3], "framework": ["eager"], "device": ["nvidia-t4"]})
    with pytest.raises(DataError, match="no trace, and no architecture"):
        predictor.calibrate(table)


def test_rows_of_workloads_are_traced_again() -> None:
    workload = architectures.complete(Workload("mlp", {"num_layers": 2, "hidden_size": 16}, batch_size=4))
    table = pd.DataFrame(
        [
            {
                "architecture": "mlp",
                "hyperparameters": json.dumps(dict(workload.hyperparameters)),
                "batch_size": 4,
                "input_size": workload.input_size,
                "dtype": "float32",
                "lengths": "fixed",
            }
        ]
    )
    (own,) = with_kernels(table)["kernels"]
    assert own.count.sum() == len(trace_sweep(workload.curve, [4])[4].operators)


def test_what_is_noted_of_a_prediction(predictor: LatencyPredictor) -> None:
    def notes(device: str, **asked: Any) -> str:
        return str(predictor.predict(traced(64, 2), framework="eager", device=device, **asked)["notes"].iloc[0])

    assert notes("nvidia-l40s", host="slow") == "a test; 20 calls of its own"
    assert notes("nvidia-l40s") == "a test; host unknown"
    assert notes("nvidia-l4") == "a test; the card by its data sheet; host unknown"
    assert notes("nvidia-l4", host_factor=0.7) == "a test; the card by its data sheet"


def test_a_name_of_the_driver_means_the_card(predictor: LatencyPredictor) -> None:
    one, other = (
        predictor.predict(traced(64, 2), framework="eager", device=name) for name in ("tesla-t4", "nvidia-t4")
    )
    assert one["device"].iloc[0] == "nvidia-t4"
    assert one["latency_s"].iloc[0] == other["latency_s"].iloc[0]


def test_groups_never_measured_are_noted(predictor: LatencyPredictor) -> None:
    scan = Trace((Operator("cumsum", ((4, 4),), ((4, 4),), 0, 128),), 0)
    found = predictor.predict(scan, framework="eager", device="nvidia-t4")
    assert "operators never measured (scan)" in found["notes"].iloc[0]
    with pytest.raises(InputError, match="strict"):
        predictor.predict(scan, framework="eager", device="nvidia-t4", strict=True)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"framework": "eager", "device": "nvidia-geforce-gt-710"}, "peak_macs.float32, bandwidth, l2_bytes, multip"),
        ({"framework": "openvino", "device": "nvidia-t4"}, "on GPUs this predictor knows eager; got openvino"),
        ({"framework": "eager"}, "this predictor knows GPUs: nvidia-a100-sxm-40gb, nvidia-l40s, nvidia-t4; got device"),
        ({"framework": "eager", "device": "nvidia-t4", "host_factor": -1.0}, "a host factor is above zero; got -1.0"),
        ({"framework": "eager", "device": "nvidia-t4", "host_factor": float("nan")}, "a host factor is above zero"),
        ({"framework": "eager", "device": "amd-epyc-turin-2core", "host": "slow"}, "a host is that of a GPU"),
    ],
)
def test_bad_questions(predictor: LatencyPredictor, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predictor.predict(traced(64, 2), **asked)


def test_a_card_of_ones_own(predictor: LatencyPredictor, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = "kind = 'cuda'\nmatch = 'mine'\nsource = 'a guess'\nbandwidth = 1e12\npeak_macs = {float32 = 10e12}\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="l2_bytes, multiprocessors"):
        predictor.predict(traced(64, 2), framework="eager", device=str(file))
    file.write_text(f"l2_bytes = 40e6\nmultiprocessors = 100\n{text}", encoding="utf-8")
    assert predictor.predict(traced(64, 2), framework="eager", device=str(file))["latency_s"].iloc[0] > 0


def test_a_sweep_has_a_crossover(predictor: LatencyPredictor) -> None:
    mlp = Workload("mlp", {"num_layers": 16, "hidden_size": 256})
    found = predictor.predict(mlp, batch_sizes=[1, 64, 4096], framework="eager", device="nvidia-t4", host_factor=1.0)
    assert found["regime"].tolist()[0] == "framework-bound"
    assert found["latency_s"].is_monotonic_increasing
    assert 1 < found["crossover_batch_size"].iloc[0] < 4096
    assert (found["low_s"] <= found["latency_s"]).all()


def test_half_precision_is_faster_where_the_card_has_units_for_it(predictor: LatencyPredictor) -> None:
    both = [
        predictor.predict(
            Workload("mlp", {"num_layers": 8, "hidden_size": 4096}, batch_size=512, dtype=dtype),
            framework="eager", device="nvidia-a100-sxm-40gb",
        )["latency_s"].iloc[0]
        for dtype in ("float32", "float16")
    ]  # fmt: skip
    assert both[1] < 0.3 * both[0]


def test_a_file_gives_the_same_answers(predictor: LatencyPredictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "gpus.json.gz")
    again = LatencyPredictor.load(tmp_path / "gpus.json.gz")
    for device, asked in (
        ("nvidia-l40s", {"host": "slow"}),
        ("nvidia-b200", {"host_factor": 0.5}),
        ("nvidia-p100", {}),
    ):
        one, other = (p.predict(traced(200, 5), framework="eager", device=device, **asked) for p in (predictor, again))
        for name in ("latency_s", "low_s", "high_s"):
            assert other[name].iloc[0] == pytest.approx(one[name].iloc[0], rel=1e-3)
        low, high = (one[f"crossover_{end}"].iloc[0] for end in ("low", "high"))  # two laws may fit the curve alike
        assert low <= other["crossover_batch_size"].iloc[0] <= high


@pytest.mark.parametrize(
    "change",
    [
        lambda gpu: gpu["known"][0].update(reference=[0.0]),
        lambda gpu: gpu["known"][0].update(reference=[float("inf")] * len(COSTS)),
        lambda gpu: gpu["known"][0].update(reference=[1e3] * len(COSTS)),
        lambda gpu: gpu["known"][0].update(overlap=0.5),
        lambda gpu: gpu["known"][0].update(seen=["magic"]),
        lambda gpu: gpu["known"][0].update(trees=9),
        lambda gpu: gpu["trees"][0].pop(),
        lambda gpu: gpu["trees"][0][0].update(feature="x"),
        lambda gpu: gpu["known"][0]["machines"][0].update(covariance="x"),
        lambda gpu: gpu["known"][0]["machines"][0].update(logs="x"),
        lambda gpu: gpu["known"][0].update(errors={KNOWN: {}}),
        lambda gpu: gpu.update(columns=1),
        lambda gpu: gpu["sample"][0].update(kernels="AAAA"),
        lambda gpu: gpu.pop("sample"),
    ],
)
def test_a_spoilt_file_is_one_error(
    predictor: LatencyPredictor, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    file = tmp_path / "gpus.json.gz"
    predictor.save(file)
    record = json.loads(gzip.decompress(file.read_bytes()))
    change(record["gpus"])
    file.write_bytes(gzip.compress(json.dumps(record).encode()))
    with pytest.raises(DataError):
        LatencyPredictor.load(file)


def test_modules_and_cards_are_left_out_in_turn() -> None:
    found = gpus.left_out(rows({one: HOSTS_OF[one] for one in list(HOSTS_OF)[1:]}), counts=(0, 5))
    assert set(found["scenario"]) == {KNOWN, "0", "5"}
    per_row = found.groupby("scenario").size()
    assert (per_row == 3 * 20).all(), "every row once in every scenario"
    assert found.loc[found["scenario"] == "5", "ratio"].abs().median() < 0.2
    wide = found.groupby("scenario")["uncertainty"].median()
    assert wide["0"] > wide["5"] > wide[KNOWN] > 0


def test_a_host_is_left_out_of_a_card_that_others_hold(predictor: LatencyPredictor) -> None:
    found = gpus.left_out(rows(HOSTS_OF), counts=(0,))
    of_host = found[found["scenario"] == HOST]
    assert set(zip(of_host["device"], of_host["host"], strict=True)) == {
        ("nvidia-l40s", "slow"),
        ("nvidia-l40s", "quick"),
    }
    assert len(of_host) == 2 * 20
    long = of_host["model"].str.startswith("2048")
    assert of_host.loc[long, "ratio"].abs().median() < 0.1, "the card is known"
    assert of_host.loc[~long, "ratio"].abs().median() > 0.3, "the host is not"
    known = predictor.gpus_["eager"]
    platform = Platform("eager", "nvidia-l40s", "float32", 1)
    assert HOST in known.errors
    assert known.fit(platform).errors is known.errors[HOST]
    assert known.fit(dataclasses.replace(platform, device="nvidia-a30")).errors is known.errors["0"]


def test_no_rows_teach_nothing() -> None:
    with pytest.raises(DataError, match="learnt from measured calls; got none"):
        gpus.learn(rows(HOSTS_OF)[:0])


def test_another_framework_differs_everywhere_by_as_much_as_where_it_was_measured(predictor: LatencyPredictor) -> None:
    seen = rows({("nvidia-l40s", "slow"): 0.5}).assign(framework="quicker", dtype="float32")  # a quarter of eager's
    other = predictor.gpus_["eager"].of_another("quicker", seen)
    assert [(one.device, one.host, one.n_rows) for one in other.machines] == [("nvidia-l40s", "slow", 20)]
    both = LatencyPredictor(jobs=1)
    both.gpus_ = {**predictor.gpus_, "quicker": other}
    small = traced(32, 8)
    eager, quicker = (
        both.predict(small, framework=name, device="nvidia-t4", host_factor=1.0)["latency_s"].iloc[0]
        for name in ("eager", "quicker")
    )
    assert eager / 5 < quicker < eager / 2


def test_another_framework_is_told_by_all_machines_that_have_it(predictor: LatencyPredictor) -> None:
    cards = {("nvidia-v100", "elsewhere"): 0.5, ("nvidia-t4", "mean"): 0.25}
    seen = rows(cards).assign(framework="quicker")
    other = predictor.gpus_["eager"].of_another("quicker", seen, "by a test")
    assert {(one.device, one.host) for one in other.machines} == set(cards)
    assert other.source == "by a test"
    apart = (predictor.gpus_["eager"].reference - other.reference)[:HOSTS].mean()
    assert np.log(2) < apart < np.log(4) + 0.2, "between what the two machines say"


PAPER = {
    ("bert", "bert-base", "float16"): (21.8, 13.9, 4.9),
    ("bert", "bert-base", "float32"): (5.0, 1.5, 1.6),
    ("resnet", "resnet-50", "float16"): (24.8, 19.3, 4.4),
    ("resnet", "resnet-50", "float32"): (10.8, 8.0, 2.2),
}
"""Crossovers that follow from figure 4 of The Framework Tax, in eager mode, TorchScript and ONNX Runtime."""


def test_the_papers_own_crossovers_come_out() -> None:
    octaves = []
    for (architecture, preset, dtype), expected in PAPER.items():
        for framework, crossover in zip(("eager", "torchscript", "onnxruntime"), expected, strict=True):
            workload = Workload(architecture, {"preset": preset}, dtype=dtype)
            said = PUBLISHED_GPUS.predict(workload, framework=framework, device="nvidia-rtx-8000", host="framework-tax")
            octaves.append(abs(np.log2(said["crossover_batch_size"].iloc[0] / crossover)))
    assert np.median(octaves) < 0.35
    assert max(octaves) < 1.2


@pytest.mark.parametrize("name", [name for name in device_names() if specification(name)["kind"] == "cuda"])
def test_every_gpu_of_a_device_file_has_an_answer(name: str) -> None:
    found = PUBLISHED_GPUS.predict(traced(512, 4), device=name)
    assert set(found["framework"]) == set(PUBLISHED_GPUS.gpus_)
    assert found["latency_s"].between(1e-5, 0.1).all()
    assert (found["low_s"] < found["latency_s"]).all()
    assert (found["latency_s"] < found["high_s"]).all()
    wide = found["high_s"] / found["low_s"]
    never = found["notes"].str.contains("never measured")
    assert (wide[~never] < 200).all()
    assert (wide[never] < 1000).all()
    assert never[found["framework"] == "tensorrt"].all(), "it was measured with BERT alone, which has no rectifier"


def test_a_call_that_is_remembered_is_held_so_that_no_other_takes_its_place() -> None:
    (fit,) = PUBLISHED_GPUS.select(device="nvidia-a100-sxm-40gb", framework="eager", dtype="float32")
    rows = pd.DataFrame([kernel_row(traced(512, 2), dtype="float32")])
    asked = weakref.ref(rows[KERNELS].iloc[0])
    assert isinstance(fit.model, KernelModel)
    fit.model.times(rows)
    del rows
    gc.collect()
    assert asked() is not None
