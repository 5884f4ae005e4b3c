"""``ftax check``: what a user types, and what is printed."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from ftax_model import check, checks
from ftax_model.cli import EXIT_BAD_INPUT, EXIT_NO, main


@pytest.fixture
def slow_rows(tmp_path: Path) -> Path:
    """A toy dataset of which one record is in milliseconds."""
    out = tmp_path / "toy.jsonl"
    assert main(["collect", "toy", "--out", str(out)]) == 0
    first, *rest = map(json.loads, out.read_text().splitlines())
    first["latency_s"] *= 1e3
    first["samples"] = []
    out.write_text("".join(json.dumps(one) + "\n" for one in [first, *rest]))
    return out


def test_what_is_odd_is_told_with_an_example_and_a_cure(slow_rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["check", str(slow_rows), "--only", "units"]) == EXIT_NO
    said = capsys.readouterr().out
    assert "wrong: units: rows take up to" in said
    assert "are these milliseconds?" in said
    assert f"{slow_rows}, a dataset: 1 wrong; 1 check looked at it" in said


def test_all_well_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nvidia-h200", "--only", "labels,clocks"]) == 0
    assert capsys.readouterr().out == "nvidia-h200, a dataset: nothing odd; 2 checks looked at it\n"


def test_json_holds_what_the_schema_says(slow_rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["check", str(slow_rows), "--json"]) == EXIT_NO
    told = json.loads(capsys.readouterr().out)
    schema = json.loads((resources.files("ftax_model.schemas") / "checked.json").read_text(encoding="utf-8"))
    jsonschema.validate(told, schema)
    assert told["answers"]
    (of,) = told["of"]
    assert set(of["checks"]) == {name for name in checks.names() if checks.load(name).kind.kind == "dataset"}


def test_the_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list", "--json"]) == 0
    assert [one["check"] for one in json.loads(capsys.readouterr().out)] == checks.names()
    assert main(["check", "--list"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nvidia-h20"], "did you mean 'nvidia-h200'"),
        (["nvidia-h200", "--only", "clock"], "did you mean 'clocks'"),
        (["nvidia-h200", "--only", "width"], "checks of a dataset are batches, clocks"),
        (["nvidia-h200", "--against", "nvidia-h200"], "leave --against out"),
    ],
)
def test_bad_input(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == EXIT_BAD_INPUT
    assert said in capsys.readouterr().err


def test_the_public_name() -> None:
    assert check("nvidia-h200", only=["labels"]) == []
