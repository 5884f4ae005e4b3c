"""GPUs at the command line: answers from published measurements, and a calibration of a GPU that is not there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ftax_model import LatencyPredictor, architectures, device
from ftax_model.cli import main
from ftax_model.collection.plan import load_plan
from ftax_model.device import Device
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.predictor import PUBLISHED
from ftax_model.workload import Workload

H100 = Device(
    name="nvidia-h100-sxm",
    kind="cuda",
    model="NVIDIA H100 80GB HBM3",
    host_cpu="AMD EPYC (family 26, model 2)",
    cores=8,
)
ASKED = ["--device", H100.name, "--framework", "eager", "--architecture", "mlp", "--num-layers", "12"]


def answer(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["predict", *ASKED, *options, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["answers"]
    return dict(one["predictions"][0])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six short calls on an H100 whose host takes 0.4 times as long as the mean of known ones."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(device, "detect", lambda kind="cpu": dataclasses.replace(H100, kind=kind))
    published, lines = LatencyPredictor.load(PUBLISHED), []
    for layers in (2, 4, 6, 8, 16, 20):
        workload = architectures.complete(Workload("mlp", {"num_layers": layers, "hidden_size": 32}))
        said = published.predict(workload, framework="eager", device=H100.name, host_factor=0.4)
        seconds = float(said["latency_s"].iloc[0])
        one = Measurement(
            Cell(workload, "eager", H100.name), "ok", "", seconds, {"framework_version": "2.13.0"}, "2026"
        )
        lines.append(json.dumps(one.to_record()))
    file = tmp_path / "h100.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_gpu_has_an_answer_right_after_installation(capsys: pytest.CaptureFixture[str]) -> None:
    row = answer(capsys)
    assert 1e-5 < row["low_s"] < row["latency_s"] < row["high_s"] < 1e-2
    assert row["notes"].endswith("host unknown")
    quick, slow = (answer(capsys, "--host-factor", factor)["latency_s"] for factor in ("0.4", "2"))
    assert slow > 2.5 * quick
    capsys.readouterr()
    main(["predict", *ASKED])
    assert "predictor published-gpus was learnt from what others measured" in capsys.readouterr().err


def test_a_host_that_is_not_known_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *ASKED, "--host", "nobody"]) == 2
    assert "ftax: host, unless five calls there are measured (ftax calibrate), is one of" in capsys.readouterr().err


def test_a_calibration_of_a_gpu_is_kept_and_found(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = answer(capsys)
    assert main(["calibrate", "--device", "cuda", "--from", str(machine)]) == 0
    shown = capsys.readouterr()
    assert "eager on nvidia-h100-sxm, float32, 1 thread" in shown.out
    own = answer(capsys)
    quick = answer(capsys, "--host-factor", "0.4")["latency_s"]
    assert own["latency_s"] == pytest.approx(quick, rel=0.15)
    assert own["high_s"] / own["low_s"] < 0.7 * wide["high_s"] / wide["low_s"]
    assert own["notes"].endswith("6 calls of its own")
    assert main(["calibrate", "--device", "cuda", "--forget"]) == 0
    assert answer(capsys)["latency_s"] == wide["latency_s"]


def test_the_plan_that_calibrates_a_gpu_begins_with_what_tells_the_host() -> None:
    plan = load_plan("calibrate-gpu")
    first = [workload for grid in plan.grids[:3] for workload in grid.workloads]
    assert all(one.architecture in ("mlp", "bert") and one.batch_size <= 8 for one in first)
