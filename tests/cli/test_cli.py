"""The command line as a user meets it: the whole line on the toy, JSON everywhere, help at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ftax_model
from ftax_model.cli import main
from ftax_model.dataset import load_dataset, load_operators, operators_file
from ftax_model.modeling.rows import of_operators, with_operators
from ftax_model.tracing.features import DEVICE, HOST


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy measured and fitted."""
    path = tmp_path_factory.mktemp("line")
    assert main(["collect", "toy", "--out", str(path / "toy.jsonl")]) == 0
    assert main(["fit", str(path / "toy.jsonl"), "--known", "none", "--out", str(path / "toy.json")]) == 0
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> object:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return json.loads(capsys.readouterr().out)


def predictions(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    found: Any = printed(capsys, *arguments, "--json")
    rows: list[dict[str, Any]] = found["answers"][0]["predictions"]
    return rows


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert ftax_model.__version__ in capsys.readouterr().out


def test_module_is_the_command() -> None:
    run = subprocess.run([sys.executable, "-m", "ftax_model", "--help"], capture_output=True, text=True, check=True)
    for name in ("collect", "crossover", "demo", "doctor", "fit", "list", "measure", "predict", "proxies"):
        assert f"  {name} " in run.stdout


@pytest.mark.parametrize(
    "name", ["collect", "crossover", "demo", "doctor", "fit", "list", "measure", "predict", "proxies"]
)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_collect_measures_all_and_then_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(load_dataset(folder / "toy.jsonl")) == 200
    again = printed(capsys, "collect", "toy", "--out", folder / "toy.jsonl", "--json")
    assert isinstance(again, dict)
    assert again["measured"] == 0
    assert len(load_dataset(folder / "toy.jsonl")) == 200


def test_predict_answers_per_batch_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("predict", folder / "toy.json", "--architecture", "toy", "--num-layers", 5, "--batch-size", "1,64")
    rows = predictions(capsys, *asked)
    assert [row["batch_size"] for row in rows] == [1, 64]
    for row in rows:
        assert row["low_s"] < row["latency_s"] < row["high_s"]
    assert rows[0]["latency_s"] < rows[1]["latency_s"]
    assert main([str(part) for part in asked]) == 0
    assert "\nfake " in capsys.readouterr().out


def test_crossover_is_the_same_as_predicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (folder / "toy.json", "--architecture", "toy", "--num-layers=5", "--json")
    (crossover,) = printed(capsys, "crossover", *asked)  # type: ignore[misc]
    prediction = predictions(capsys, "predict", *asked)[0]
    assert crossover["crossover_batch_size"] == prediction["crossover_batch_size"]
    assert crossover["crossover_low"] < crossover["crossover_batch_size"] < crossover["crossover_high"]


def test_proxies_depth_ranks_the_framework_bound_and_macs_the_compute_bound(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "proxies", folder / "toy.jsonl", "--json")
    assert isinstance(found, dict)
    best = {(row["regime"], row["proxy"]): row["spearman"] for row in found["proxies"]}
    assert best["framework-bound", "n_ops"] > best["framework-bound", "macs"]
    assert best["compute-bound", "macs"] > best["compute-bound", "n_ops"]


def test_proxies_says_in_words_where_rows_are_few_and_ends_with_the_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proxies", str(folder / "toy.jsonl"), "--by", "batch_size,model", "--statistic", "pairs"]) == 0
    shown = capsys.readouterr().out
    assert "No figure below 10 rows of one platform: 1 " in shown
    assert shown.splitlines()[-1].startswith("Which proxy should I use? To rank calls before they are measured: ")
    assert main(["proxies", str(folder / "toy.jsonl"), "--statistic", "pair"]) == 2
    assert "did you mean 'pairs'" in capsys.readouterr().err


def test_list_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "list", "--json")
    assert isinstance(found, dict)
    assert {"toy", "bert", "resnet"} <= {row["name"] for row in found["architectures"]}
    assert {"fake", "eager", "torchscript", "onnxruntime"} <= {row["name"] for row in found["frameworks"]}
    assert "toy" in {row["name"] for row in found["plans"]}
    one = printed(capsys, "list", "--architecture", "bert", "--json")
    assert isinstance(one, dict)
    assert "num_layers" in {row["name"] for row in one["hyperparameters of bert"]}


def test_doctor_says_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever this machine is like, the findings are there, and only a bad one makes the exit code 1."""
    capsys.readouterr()
    failed = main(["doctor", "--quick", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert {"governor", "load", "timer"} <= {finding["name"] for finding in findings}
    assert failed == any(finding["level"] == "bad" for finding in findings)


def test_collect_profiles_operators_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, out = tmp_path / "plan.yaml", tmp_path / "toy.jsonl"
    plan.write_text("frameworks: fake\nworkloads: [{architecture: toy, num_layers: [3, 5, 8], batch_size: [1, 9]}]\n")
    for done_before in (0, 6):
        summary = printed(capsys, "collect", plan, "--out", out, "--operators", "--json")
        assert isinstance(summary, dict)
        assert summary["operators"]["done_before"] == done_before
        assert summary["operators"]["remaining"] == 0
    said = [json.loads(line) for line in operators_file(out).read_text().splitlines()]
    assert {(one["status"], one.get("reason")) for one in said} == {("ok", said[0].get("reason"))}
    frame = load_operators(out)
    assert sorted(frame["count"]) == [3, 3, 5, 5, 8, 8]
    table = load_dataset(out)
    assert len(table) == 6
    single, whole = of_operators(frame).set_index("key"), with_operators(table, jobs=1).set_index("key")
    names = [name for name in (*HOST, *DEVICE) if not name.startswith("weights.")]
    sums = single[names].mul(single["count"], axis=0).groupby("key").sum()
    assert sums.loc[whole.index].to_numpy() == pytest.approx(whole[names].to_numpy())
    assert main(["fit", str(out), "--out", str(tmp_path / "fitted.json")]) == 0


def test_evaluate_prints_a_table_for_each_split_and_draws_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.png"
    found = printed(capsys, "evaluate", folder / "toy.jsonl", "--page", page, "--jobs", "1", "--json")
    assert isinstance(found, dict)
    rows = {row["split"]: row for row in found["latency by split"]}
    assert set(rows) == {"model", "size"}
    assert rows["model"]["median"] < 0.01 < rows["model"]["by macs"]
    assert page.read_bytes()[:4] == b"\x89PNG"
    assert main(["evaluate", str(folder / "toy.jsonl"), "--split", "model", "--jobs", "1"]) == 0
    assert "latency by split" in capsys.readouterr().out


@pytest.fixture
def few(tmp_path: Path) -> Path:
    plan = tmp_path / "few.yaml"
    plan.write_text("frameworks: fake\nworkloads: [{architecture: toy, width: [8, 512], batch_size: [1, 64]}]\n")
    return plan


def test_calibrate_measures_a_few_cells_and_says_what_to_expect(
    folder: Path, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.json"
    found = printed(capsys, "calibrate", folder / "toy.json", "--out", out, "--plan", few, "--json")
    assert isinstance(found, dict)
    (row,) = found["platforms"]
    assert row["rows"] == 4
    assert 0 < row["all"] < 1
    assert (tmp_path / "mine.measured.jsonl").exists()
    assert predictions(capsys, "predict", out, "--architecture", "toy")


def test_a_calibration_is_kept_found_and_forgotten(
    folder: Path, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert main(["calibrate", str(folder / "toy.json"), "--plan", str(few)]) == 0
    assert "Median error to be expected" in capsys.readouterr().out
    assert main(["predict", "--architecture", "toy", "--framework", "fake"]) == 0
    assert "this machine's own predictor" in capsys.readouterr().err
    assert main(["calibrate", "--forget"]) == 0
    assert capsys.readouterr().out.count("removed") == 2
    assert main(["calibrate", "--forget"]) == 0
    assert "nothing is kept" in capsys.readouterr().out


def test_measurements_of_another_machine_or_none_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own = (folder / "toy.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(own[0])
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({**record, "device": "another-2core", "key": "x"}) + "\n", encoding="utf-8")
    assert main(["calibrate", str(folder / "toy.json"), "--from", str(other)]) == 2
    assert "a calibration is of one machine" in capsys.readouterr().err
    environment = {**record["environment"], "framework_version": "99"}
    other.write_text(f"{own[1]}\n{json.dumps({**record, 'environment': environment})}\n", encoding="utf-8")
    assert main(["calibrate", str(folder / "toy.json"), "--from", str(other)]) == 2
    assert "one version of each framework" in capsys.readouterr().err


def test_predict_answers_right_after_installation(capsys: pytest.CaptureFixture[str]) -> None:
    rows = predictions(capsys, "predict", "--architecture", "mlp", "--num-layers", "4", "--threads", "1")
    assert {"eager", "onnxruntime"} <= {row["framework"] for row in rows}
    for row in rows:
        assert row["low_s"] < row["latency_s"] < row["high_s"], row


def test_peak_memory_stands_beside_latency_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["predict", "cpu", "--architecture", "mlp", "--framework", "eager", "--threads", "1"]
    for row in predictions(capsys, *asked, "--memory"):
        assert row["memory_low_bytes"] < row["memory_bytes"] < row["memory_high_bytes"]
    assert main([*asked, "--memory", "--all"]) == 0
    assert "memory interval" in capsys.readouterr().out
    assert main([*asked, "--all"]) == 0
    assert "memory interval" not in capsys.readouterr().out
