"""``ftax collect --dry-run``: nothing is measured, the cells and their time are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftax_model.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy measured and fitted."""
    path = tmp_path_factory.mktemp("dry")
    assert main(["collect", "toy", "--out", str(path / "toy.jsonl")]) == 0
    assert main(["fit", str(path / "toy.jsonl"), "--known", "none", "--out", str(path / "toy.json")]) == 0
    return path


def dry(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["collect", *(str(argument) for argument in arguments), "--dry-run", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_cells_and_totals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = dry(capsys, "toy", "--model", folder / "toy.json")
    assert len(found["cells"]) == found["totals"]["all"]["cells"] == found["totals"]["fake"]["cells"] == 200
    assert sum(cell["least_s"] for cell in found["cells"]) == pytest.approx(found["totals"]["all"]["least_s"])
    assert {"workload", "framework", "threads", "repeat", "latency_s", "prepare_s", "most_s", "note"} <= set(
        found["cells"][0]
    )


def test_what_is_in_the_dataset_is_not_to_be_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "toy.jsonl"
    before = out.read_bytes()
    assert dry(capsys, "toy", "--out", out)["cells"] == []
    assert out.read_bytes() == before
    nothing = folder / "none.jsonl"
    assert len(dry(capsys, "toy", "--out", nothing, "--seen", out)["cells"]) == 200
    assert not nothing.exists()


def test_shards_are_the_plan_together(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [dry(capsys, "toy", "--shard", f"{part}/3")["cells"] for part in (1, 2, 3)]
    keys = [json.dumps([cell["workload"], cell["repeat"]]) for part in parts for cell in part]
    assert len(keys) == len(set(keys)) == 200
    assert max(map(len, parts)) - min(map(len, parts)) == 8  # sweeps stay whole


def test_table_has_a_line_for_each_sweep_and_says_what_is_not_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["collect", "toy", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sweeps = [line for line in lines if "1 2 4 8 16 32 64 128" in line]
    assert len(sweeps) == 25
    assert all("platform not known" in line for line in sweeps)
    assert any("--model" in line for line in lines)
    assert main(["collect", "toy", "--dry-run", "--model", str(folder / "toy.json")]) == 0
    assert "not known" not in capsys.readouterr().out


def test_without_an_output_there_is_no_collection(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "toy"]) == 2
    assert "--out" in capsys.readouterr().err
