"""``ftax measure``: what a user types, and what is printed beside what was predicted."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import onnx.parser
import pytest

from ftax_model import LatencyPredictor
from ftax_model.cli import main
from ftax_model.collection.runner import measure
from ftax_model.dataset import frame, load_dataset, read
from ftax_model.device import detect
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.rows import with_operators
from ftax_model.tracing import features
from ftax_model.workload import grid

TOY = ["measure", "--architecture", "toy", "--num-layers", "6", "--width", "48", "--framework", "fake"]

NET = """<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 16] x) => (float[n, 16] y) { u = Add(x, x) y = Relu(u) }"""

WHOLE = """<ir_version: 8, opset_import: ["" : 17]>
g (uint8[n, 4] x) => (int32[n, 4] y) { y = MatMulInteger(x, w) }"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder and a working directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def learnt() -> LatencyPredictor:
    """A predictor of the fake framework."""
    asked = grid("toy", num_layers=[2, 8, 32], width=[16, 64], batch_size=[1, 8, 64])
    return LatencyPredictor(jobs=1).fit(frame(measure(asked, ["fake"])))


@pytest.fixture
def calibrated(learnt: LatencyPredictor) -> LatencyPredictor:
    """The same, as this machine's own."""
    here = detect("cpu")
    mine.prepared()
    learnt.about_ = mine.about(here)
    learnt.save(mine.predictor_file(here.name))
    return learnt


@pytest.fixture
def net(home: Path) -> str:
    onnx.save(onnx.parser.parse_model(NET), home / "net.onnx")
    return str(home / "net.onnx")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    schema = json.loads((resources.files("ftax_model.schemas") / "measured.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    return found["answers"]


def test_measured_stands_beside_predicted(calibrated: LatencyPredictor, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, *TOY, "--batch-size", "1,8")
    assert [row["batch_size"] for row in rows] == [1, 8]
    for row in rows:
        assert row["predicted_s"] == pytest.approx(row["latency_s"], rel=0.1)
        assert row["low_s"] < row["predicted_s"] < row["high_s"]
        assert row["error"] == pytest.approx(row["predicted_s"] / row["latency_s"] - 1)
        assert row["inside"] == (row["low_s"] <= row["latency_s"] <= row["high_s"])
        assert {"spread", "warnings", "regime", "key", "status"} <= row.keys()
    assert main([*TOY[:-2], "--batch-size", "1,8"]) == 0  # fake is what is known
    shown = capsys.readouterr()
    assert "toy L6" in shown.out
    assert "of 2 in the interval" in shown.out
    assert shown.out.count("fake ") == 2


def test_it_needs_no_torch(home: Path) -> None:
    code = (
        f"import sys; from ftax_model.cli import main; code = main({TOY!r}); sys.exit(code or 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "not predicted: " in run.stderr  # the predictor that ships knows no such framework


def test_out_goes_on_and_repeats_are_rows(
    calibrated: LatencyPredictor, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(home / "out.jsonl")
    first = printed(capsys, *TOY, "--repeats", "2", "--out", out)
    again = printed(capsys, *TOY, "--repeats", "3", "--out", out)
    assert [row["repeat"] for row in again] == [0, 1, 2]
    assert again[:2] == first
    assert len(read(out)) == 3


def test_nothing_measured_ends_with_1(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--onnx", net, "--framework", "fake"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "unsupported: net.onnx" in shown.err
    assert "it is an ONNX file, not" in shown.err
    assert main([*TOY, "--budget", "2s", "--repeats", "99"]) == 0
    assert "were not measured: no time was left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trace", "net.json"], "got a trace; measure the model that it was taken of"),
        (["--onnx", "missing.onnx"], "check the path"),
        (["--module", "no_such_module:net"], "PACKAGE.FILE:FUNCTION"),
        (["--architecture", "toy", "--framework", "no-such"], "framework is one of"),
        (["--architecture", "toy", "--framework", "fake", "--threads", "many"], "--threads"),
        (["--architecture", "toy", "--framework", "fake", "--budget", "soon"], "duration"),
        (["--architecture", "toy", "--framework", "fake", "--repeats", "0"], "repeats"),
        ([], "a model is named by one of"),
    ],
)
def test_bad_input_is_one_line_and_2(
    arguments: list[str], says: str, net: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "--onnx", net, "--out", "net.json"]) == 0
    capsys.readouterr()
    assert main(["measure", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err.splitlines()[-1]
    assert "Traceback" not in shown.err


def test_kept_cells_are_those_of_a_calibration(
    calibrated: LatencyPredictor, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = mine.measurements_file(detect("cpu").name)
    for count in (1, 2):
        assert main([*TOY, "--save"]) == 0
        assert f"kept in {kept}" in capsys.readouterr().err
        assert [one.cell.repeat for one in read(kept)] == [*range(count)]
    assert not (mine.folder() / "traces").exists()  # of a registered one they are taken anew


@pytest.mark.slow
def test_a_kept_file_calibrates_by_its_operators(net: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["measure", "--onnx", net, "--framework", "onnxruntime", "--batch-size", "1,64"]
    before = printed(capsys, *asked, "--save")
    kept = str(mine.measurements_file(detect("cpu").name))
    assert with_operators(load_dataset(kept))[list(features.COLUMNS)].notna().all(axis=None)
    out = str(home / "own.json.gz")
    assert main(["calibrate", "--from", kept, "--out", out]) == 0
    assert "no traces" not in capsys.readouterr().err
    (fit,) = LatencyPredictor.load(out).fits_
    assert (fit.n_rows, fit.model is not None) == (2, True)
    assert before[0]["status"] == "ok"
    (mine.traces_file(read(kept)[0].cell.workload)).unlink()
    assert main(["calibrate", "--from", kept, "--out", out]) == 0
    assert "note: no traces are kept of net.onnx" in capsys.readouterr().err


@pytest.mark.slow
def test_whole_numbers_are_measured_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.parser.parse_model(WHOLE)
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.UINT8, (4, 4), [1] * 16))
    onnx.save(model, home / "whole.onnx")
    (row,) = printed(capsys, "measure", "--onnx", "whole.onnx", "--framework", "onnxruntime")
    assert (row["dtype"], row["predicted_s"], row["inside"]) == ("int8", None, None)
    assert row["notes"].startswith("not predicted: latency is predicted in float32")
