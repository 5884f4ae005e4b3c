"""Bad input: one line that says the law, what was got and what to do; exit code 2; nothing written before is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftax_model.cli import main
from ftax_model.dataset import Writer
from ftax_model.measurement import Measurement
from ftax_model.modeling.predictor import SCHEMA

PREDICT = ("predict", "MODEL", "--architecture")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and a fitted model, and files that are neither."""
    path = tmp_path_factory.mktemp("bad")
    assert main(["collect", "toy", "--out", str(path / "toy.jsonl")]) == 0
    assert main(["fit", str(path / "toy.jsonl"), "--known", "none", "--out", str(path / "MODEL")]) == 0
    (path / "not.yaml").write_text("workloads: [unclosed\n")
    (path / "list.yaml").write_text("- a\n- list\n")
    (path / "key.yaml").write_text(plan(framworks="[fake]"))
    (path / "architecture.yaml").write_text(plan(architecture="berd"))
    (path / "framework.yaml").write_text(plan(frameworks="[tensorflow]"))
    (path / "hyperparameter.yaml").write_text(plan(num_layer="3"))
    (path / "batch.yaml").write_text(plan(batch_size="0"))
    (path / "empty.jsonl").touch()
    lines = (path / "toy.jsonl").read_text().splitlines(keepends=True)
    (path / "one.jsonl").write_text(lines[0])
    (path / "corrupt.jsonl").write_text(lines[0] + lines[1][:50] + "\n" + lines[2])
    (path / "mixed.jsonl").write_text(lines[0] + json.dumps({**json.loads(lines[1]), "schema": 2}) + "\n")
    (path / "words.jsonl").write_text("these are\nwords\n")
    (path / "broken.jsonl").write_text("".join(lines))
    (path / "broken.operators.jsonl").write_text(lines[0])
    (path / "other.json").write_text('{"format": "something else"}')
    (path / "damaged.json").write_text((path / "MODEL").read_text().replace('"law"', '"lore"'))
    (path / "schema.json").write_text((path / "MODEL").read_text().replace(f'"schema":{SCHEMA}', '"schema":9'))
    return path


def plan(architecture: str = "toy", frameworks: str = "[fake]", batch_size: str = "1", **other: str) -> str:
    own = other if "framworks" in other else {}
    grid = {"architecture": architecture, "batch_size": batch_size, **{k: v for k, v in other.items() if k not in own}}
    lines = [f"frameworks: {frameworks}", *(f"{key}: {value}" for key, value in own.items()), "workloads:"]
    return "\n".join([*lines, "  - {" + ", ".join(f"{key}: {value}" for key, value in grid.items()) + "}"]) + "\n"


CASES = {
    "unknown command": (("colect",), "did you mean 'collect'"),
    "unknown option": (("fit", "toy.jsonl", "--out", "x.json", "--wat"), "--wat"),
    "unknown architecture": ((*PREDICT, "berd"), "did you mean 'bert'"),
    "unknown framework": ((*PREDICT, "toy", "--framework", "tensorflow"), "tensorflow"),
    "platform not measured": ((*PREDICT, "toy", "--framework", "fakes"), "did you mean 'fake'"),
    "dtype not measured": ((*PREDICT, "toy", "--dtype", "float16"), "float16"),
    "unknown dtype": ((*PREDICT, "toy", "--dtype", "int3"), "float32"),
    "unknown hyperparameter": ((*PREDICT, "toy", "--num-layer", "3"), "did you mean '--num-layers'"),
    "mistyped option": ((*PREDICT, "toy", "--treads", "2"), "did you mean '--threads'"),
    "mistyped flag": ((*PREDICT, "toy", "--expalin"), "did you mean '--explain'"),
    "mistyped option with =": ((*PREDICT, "toy", "--bach-size=2"), "did you mean '--batch-size'"),
    "mistyped option that names the model": (("predict", "--architecure", "toy"), "did you mean '--architecture'"),
    "mistyped option of explain-gap": (("explain-gap", "--measure", "toy.jsonl", "--latncy", "1s"), "'--measured'"),
    "mistyped option of a command without hyperparameters": (("fit", "toy.jsonl", "--kown", "cpu"), "'--known'"),
    "unknown preset": ((*PREDICT, "bert", "--preset", "bert-bsae"), "did you mean 'bert-base'"),
    "preset of no architecture": (("predict", "--trace", "x.json", "--preset", "bert-base"), "leave it out"),
    "unknown device": (("predict", "--architecture", "toy", "--device", "nvidia-a1O"), "did you mean 'nvidia-a10'"),
    "unknown host": (
        ("predict", "--architecture", "mlp", "--device", "nvidia-l4", "--host", "h100-togeter"),
        "did you mean 'h100-together'",
    ),
    "unknown device to do without": (
        ("predict", "cpu", "--architecture", "toy", "--without-device", "amd-epyc-genoa-2cor"),
        "did you mean 'amd-epyc-genoa-2core'",
    ),
    "unknown predictor": (("predict", "published-gpu", "--architecture", "toy"), "did you mean 'published-gpus'"),
    "architecture without its option": (("predict", "bert"), "write --architecture bert"),
    "preset without its options": (("crossover", "resnet50"), "write --architecture resnet --preset resnet-50"),
    "unknown shell": (("completion", "bsh"), "bash"),
    "hyperparameter without value": ((*PREDICT, "toy", "--num-layers"), "--name value"),
    "hyperparameter of another kind": ((*PREDICT, "toy", "--num-layers", "many"), "whole number"),
    "hyperparameter not positive": ((*PREDICT, "toy", "--num-layers", "0"), "whole number"),
    "hyperparameters that contradict": ((*PREDICT, "bert", "--num-heads", "7"), "divides"),
    "batch 0": ((*PREDICT, "toy", "--batch-size", "0"), "from 1 to"),
    "batch -1": ((*PREDICT, "toy", "--batch-size", "-1"), "from 1 to"),
    "batch a million": ((*PREDICT, "toy", "--batch-size", "1000000"), "from 1 to"),
    "batch a word": ((*PREDICT, "toy", "--batch-size", "two"), "whole numbers"),
    "input size 0": ((*PREDICT, "toy", "--input-size", "0"), "from 1 to"),
    "far outside, strict": ((*PREDICT, "toy", "--width", "100000", "--strict"), "far outside"),
    "no model file": (("predict", "none.json", "--architecture", "toy"), "No such file"),
    "model file not JSON": (("predict", "words.jsonl", "--architecture", "toy"), "not JSON"),
    "model file not ours": (("predict", "other.json", "--architecture", "toy"), "ftax fit wrote"),
    "model file damaged": (("predict", "damaged.json", "--architecture", "toy"), "damaged"),
    "model file of another schema": (("predict", "schema.json", "--architecture", "toy"), "schema 9"),
    "model file is a folder": (("predict", ".", "--architecture", "toy"), "directory"),
    "unknown plan": (("collect", "tony", "--out", "x.jsonl"), "toy"),
    "no plan file": (("collect", "none.yaml", "--out", "x.jsonl"), "none.yaml"),
    "plan not YAML": (("collect", "not.yaml", "--out", "x.jsonl"), "YAML"),
    "plan a list": (("collect", "list.yaml", "--out", "x.jsonl"), "list.yaml"),
    "plan with an unknown key": (("collect", "key.yaml", "--out", "x.jsonl"), "framworks"),
    "plan with an unknown architecture": (("collect", "architecture.yaml", "--out", "x.jsonl"), "berd"),
    "plan with an unknown framework": (("collect", "framework.yaml", "--out", "x.jsonl"), "tensorflow"),
    "plan with an unknown hyperparameter": (("collect", "hyperparameter.yaml", "--out", "x.jsonl"), "num_layer"),
    "plan with batch 0": (("collect", "batch.yaml", "--out", "x.jsonl"), "from 1 to"),
    "budget a word": (("collect", "toy", "--out", "x.jsonl", "--budget", "soon"), "9m"),
    "device unknown": (("collect", "toy", "--out", "x.jsonl", "--device", "tpu"), "cpu"),
    "output in no folder": (("collect", "toy", "--out", "none/x.jsonl"), "No such file"),
    "output a folder": (("collect", "toy", "--out", "."), "directory"),
    "output not a dataset": (("collect", "toy", "--out", "words.jsonl"), "line 1"),
    "output not operator profiles": (("collect", "toy", "--out", "broken.jsonl", "--operators"), "fields of Profile"),
    "operator profiles of a dataset are none": (("fit", "broken.jsonl", "--out", "x.json"), "fields of Profile"),
    "model in no folder": (("fit", "toy.jsonl", "--out", "none/x.json"), "No such file"),
    "confidence of 2": (("fit", "toy.jsonl", "--out", "x.json", "--confidence", "2"), "between 0 and 1"),
    "no dataset file": (("fit", "none.jsonl", "--out", "x.json"), "none.jsonl"),
    "unknown dataset": (("fit", "nothing", "--out", "x.json"), "dataset"),
    "mistyped dataset": (("fit", "x86-epyc-2cor", "--out", "x.json"), "did you mean 'x86-epyc-2core'"),
    "mistyped plan": (("collect", "tyo", "--out", "x.jsonl"), "did you mean 'toy'"),
    "dataset empty": (("fit", "empty.jsonl", "--out", "x.json"), "no row"),
    "dataset of one row": (("fit", "one.jsonl", "--known", "none", "--out", "x.json"), "two"),
    "dataset corrupt in the middle": (("fit", "corrupt.jsonl", "--out", "x.json"), "line 2"),
    "dataset of mixed schemas": (("fit", "mixed.jsonl", "--out", "x.json"), "schema 2"),
    "dataset of words": (("fit", "words.jsonl", "--out", "x.json"), "line 1"),
    "shard of none": (("collect", "toy", "--out", "x.jsonl", "--shard", "0/3"), "whole number above 0"),
    "shard beyond the last": (("collect", "toy", "--out", "x.jsonl", "--shard", "4/3"), "4 of 3"),
    "shard of words": (("collect", "toy", "--dry-run", "--shard", "a"), "PART/PARTS"),
    "no process": (("evaluate", "toy.jsonl", "--jobs", "0"), "number of processes"),
    "proxies by no column": (("proxies", "toy.jsonl", "--by", "colour"), "colour"),
}


@pytest.mark.parametrize(("arguments", "says"), CASES.values(), ids=CASES.keys())
def test_one_line_and_exit_2(
    arguments: tuple[str, ...],
    says: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_truncated_last_line_is_dropped_with_a_warning(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes((folder / "toy.jsonl").read_bytes()[:-20])
    assert main(["fit", str(cut), "--out", str(tmp_path / "model.json"), "--json"]) == 0
    shown = capsys.readouterr()
    assert "cut off" in shown.err
    assert json.loads(shown.out)[0]["n_rows"] == 199


def test_no_usable_row(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads((folder / "toy.jsonl").read_text().splitlines()[0])
    cell = Measurement.from_record(first).cell
    with Writer(tmp_path / "failed.jsonl") as writer:
        writer.write(Measurement(cell, status="crashed", reason="signal 11"))
    assert main(["fit", str(tmp_path / "failed.jsonl"), "--out", str(tmp_path / "model.json")]) == 2
    assert "1 crashed" in capsys.readouterr().err
    assert not (tmp_path / "model.json").exists()


def test_framework_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(plan(frameworks="[onnxruntime]"))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    monkeypatch.delitem(__import__("sys").modules, "ftax_model.collection.frameworks.onnxruntime", raising=False)
    assert main(["collect", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "x.jsonl")]) == 0
    assert "recorded as unsupported" in capsys.readouterr().err


def test_output_without_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "toy", "--out", "/proc/x.jsonl"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "none.jsonl", "--out"),
        ("calibrate", "none.json", "--out"),
        ("report", "none.jsonl", "--out"),
        ("plot", "pareto", "none.jsonl", "--out"),
        ("trace", "--architecture", "none", "--out"),
        ("evaluate", "none.jsonl", "--page"),
    ],
    ids=lambda words: words[0],
)
def test_output_that_cannot_be_is_told_before_all_else(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, str(tmp_path / "missing" / "out.png")]) == 2
    assert "No such file or directory; choose another path" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("list", "--json"), ("list",), ("nosuch",)])
def test_streams_without_room_are_bad_input(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "ftax_model", *words]
    with Path("/dev/full").open("wb") as full:
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
        assert told.returncode == 2
        assert told.stderr.count("\n") == 1
        assert subprocess.run(command, stdout=full, stderr=full, check=False).returncode == 2
