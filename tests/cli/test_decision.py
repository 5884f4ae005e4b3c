"""``ftax predict`` as a decision: tables of 80 columns, JSON by the schema, CSV, exit codes."""

from __future__ import annotations

import csv
import io
import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

from ftax_model.cli import main

ASKED = ("predict", "cpu", "--device", "amd-epyc-turin-2core", "--architecture", "bert", "--num-layers", "2")
ASKED += ("--hidden-size", "128", "--num-heads", "2", "--input-size", "32")


def printed(capsys: pytest.CaptureFixture[str], *more: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main([*ASKED, *more]) == code
    return capsys.readouterr()


def answered(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(capsys, *more, "--json")[0])
    schema = json.loads((resources.files("ftax_model.schemas") / "prediction.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def test_a_table_is_80_columns_wide_and_names_every_framework(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "--batch-size", "1,2,4,8,16,32,64", "--slo", "10ms", "--explain")
    assert max(map(len, out.splitlines())) <= 80
    for name in ("eager", "torchscript", "onnxruntime", "openvino", "inductor"):
        assert out.count(f"\n{name} ") >= 3
    for size in (1, 2, 4, 8, 16, 32, 64):
        assert f"batch {size} " in out
    assert all(line.startswith("note: ") for line in err.splitlines())


def test_json_is_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = answered(capsys, "--slo", "10ms", "--confidence", "0.95", "--explain", "--threads", "1")
    (answer,) = found["answers"]
    assert found["slo"] == {"latency_s": 0.01, "confidence": 0.95}
    assert (answer["device"], answer["threads"]) == ("amd-epyc-turin-2core", 1)
    assert {row["batch_size"] for row in answer["predictions"]} == {1, 8, 64}
    assert {row["framework"] for row in answer["kept"]} == {row["framework"] for row in answer["predictions"]}
    assert sum(row["share"] for row in answer["parts"]["layers"]) == pytest.approx(1)


def test_all_rows_are_as_the_schema_says_too(capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = answered(capsys, "--all")["answers"]
    assert {row["threads"] for row in answer["predictions"]} == {1, 2}
    assert "standing" not in answer["predictions"][0]


def test_csv_holds_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = answered(capsys)["answers"]
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "--csv")[0])))
    latencies = [row["latency_s"] for row in answer["predictions"]]
    assert [float(row["latency_s"]) for row in rows] == pytest.approx(latencies, rel=1e-9)
    assert list(rows[0]) == list(answer["predictions"][0])


def test_a_latency_that_is_not_kept_is_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "--slo", "10s", "--batch-size", "1", "--check")
    out, _ = printed(capsys, "--slo", "1us", "--check", code=1)
    assert "none: " in out
    printed(capsys, "--slo", "1us")


@pytest.mark.parametrize("wrong", [("--slo", "10"), ("--slo", "0ms"), ("--check",), ("--framework", "onnxruntim")])
def test_what_makes_no_sense_is_one_line(capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]) -> None:
    out, err = printed(capsys, *wrong, code=2)
    assert not out
    assert len(err.splitlines()) == 1
    assert "did you mean 'onnxruntime'" in err or wrong[0] != "--framework"
