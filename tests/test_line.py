"""The whole line, collect to predict, on the toy and the fake: the law put in comes out, and no torch is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, RegimeModel, Workload, load_dataset
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.runner import collect
from ftax_model.modeling.judging import evaluation, regimes
from ftax_model.proxies import proxies
from ftax_model.tracing import trace_workload


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("line") / "toy.jsonl"
    summary = collect("toy", out, isolate=False)
    assert summary.measured == 200
    return load_dataset(out)


@pytest.fixture(scope="module")
def predictor(table: pd.DataFrame) -> LatencyPredictor:
    return LatencyPredictor().fit(table)


def test_the_law_put_in_comes_out(table: pd.DataFrame) -> None:
    law = RegimeModel(overhead=["n_ops"], compute=["macs", "activation_bytes"]).fit(table, table["latency_s"])
    found, true = law.parameters_, Fake
    assert found["intercept"] == pytest.approx(true.overhead_s, rel=0.05)
    assert found["n_ops"] == pytest.approx(true.overhead_s_per_op, rel=0.02)
    assert found["macs"] == pytest.approx(true.compute_s_per_mac, rel=0.02)
    assert found["overlap"] == pytest.approx(true.overlap, rel=0.1)


def test_standard_errors_are_of_the_size_of_the_errors(predictor: LatencyPredictor) -> None:
    (fit,) = predictor.fits_
    found = fit.constants()
    for name, true in (("overhead_per_op_s", Fake.overhead_s_per_op), ("macs_per_s", 1 / Fake.compute_s_per_mac)):
        assert abs(found[name] - true) < 4 * found[f"{name}_se"] < 0.1 * true


def test_unseen_workloads_are_predicted_within_the_noise(predictor: LatencyPredictor) -> None:
    workloads = [Workload("toy", {"num_layers": 6, "width": 96}, batch_size=size) for size in (1, 5, 48)]
    predicted = predictor.predict(workloads)
    truth = [Fake.seconds(trace_workload(workload).features()) for workload in workloads]
    assert np.allclose(predicted["latency_s"], truth, rtol=0.03)
    assert (predicted["low_s"] < truth).all()
    assert (predicted["high_s"] > truth).all()


def test_crossover_is_where_host_and_device_time_meet(predictor: LatencyPredictor) -> None:
    workload = Workload("toy", {"num_layers": 8, "width": 128})
    (row,) = predictor.predict(workload).to_dict("records")
    features = trace_workload(workload).features()
    host = Fake.overhead_s + Fake.overhead_s_per_op * features["n_ops"]
    per_input = Fake.compute_s_per_mac * features["macs"] + Fake.traffic_s_per_byte * features["activation_bytes"]
    assert row["crossover_batch_size"] == pytest.approx(host / per_input, rel=0.05)
    assert row["crossover_low"] < host / per_input < row["crossover_high"]
    assert row["regime"] == "framework-bound"
    assert row["censored"] == ""


def test_crossovers_outside_the_batches_measured_are_censored(predictor: LatencyPredictor) -> None:
    wide, narrow = Workload("toy", {"width": 1000}), Workload("toy", {"num_layers": 32, "width": 16})
    found = predictor.predict([wide, narrow])
    assert list(found["censored"]) == ["below", "above"]


def test_held_out_models_are_predicted_and_intervals_hold(table: pd.DataFrame) -> None:
    left_out = evaluation.hold_out(table)
    assert len(left_out) == len(table)
    figures = evaluation.errors(left_out["predicted_s"], left_out["latency_s"])
    assert figures["median"] < 0.02
    assert figures["spearman"] > 0.999
    covered = left_out["latency_s"].between(left_out["low_s"], left_out["high_s"]).mean()
    assert 0.8 < covered <= 1


def test_sweeps_tell_the_crossover_of_each_curve(table: pd.DataFrame, predictor: LatencyPredictor) -> None:
    sweeps = evaluation.sweeps(table, predictor).set_index("curve")
    assert len(sweeps) == 25
    law = predictor.predict(Workload("toy", {"num_layers": 8, "width": 64})).iloc[0]
    seen = sweeps.loc[law["curve"], "crossover_batch_size"]
    assert abs(np.log2(seen / law["crossover_batch_size"])) < 0.25


def test_a_row_is_of_one_regime_in_every_table(table: pd.DataFrame, predictor: LatencyPredictor) -> None:
    estimate = predictor.predict_frame(table)[["host_s", "constant_s", "regime"]]
    found = regimes.measured(table, estimate.assign(regime="memory-bound"), regimes.sweeps(table))
    first = table.assign(regime=found).sort_values("batch_size").drop_duplicates("curve").set_index("curve")["regime"]
    told = evaluation.sweeps(table, predictor).set_index("curve")["regime"]
    assert (first[told.index] == told).all(), "the sweep decides, whatever the law says of the row"


def test_proxies_change_places_between_regimes(table: pd.DataFrame) -> None:
    judged = proxies(table)
    found = judged.table.set_index(["regime", "proxy"])["spearman"]
    assert found["framework-bound", "n_ops"] > 0.9 > found["framework-bound", "macs"]
    assert found["compute-bound", "macs"] > 0.9 > found["compute-bound", "n_ops"]
    assert re.search(r"of framework-bound calls (depth|the operator count) \(.*; MACs \d+ %\)", judged.answer)
    assert "of compute-bound calls MACs (" in judged.answer


def test_a_saved_predictor_says_the_same(predictor: LatencyPredictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "model.json")
    again = LatencyPredictor.load(tmp_path / "model.json")
    workload = Workload("toy", {"num_layers": 3}, batch_size=3)
    pd.testing.assert_frame_equal(again.predict(workload), predictor.predict(workload))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json"]


def test_the_line_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from ftax_model.cli import main\n"
        f"assert main(['collect', 'toy', '--out', {str(tmp_path / 'toy.jsonl')!r}]) == 0\n"
        f"assert main(['fit', {str(tmp_path / 'toy.jsonl')!r}, '--out', {str(tmp_path / 'toy.json')!r}]) == 0\n"
        f"assert main(['predict', {str(tmp_path / 'toy.json')!r}, '--architecture', 'toy']) == 0\n"
        "assert not {'torch', 'transformers', 'onnxruntime'} & set(sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
