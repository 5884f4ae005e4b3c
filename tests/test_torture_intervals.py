"""The harness of intervals on tables drawn at random, and the build that it is a gate of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from ftax_model.cli import main as cli
from ftax_model.modeling.judging import coverage

Scripts = Callable[[str], ModuleType]


def test_right_intervals_raise_no_alarm_and_narrow_ones_are_found(script: Scripts, tmp_path: Path) -> None:
    right, narrow = script("torture_intervals").run(tmp_path, seed=0, tell=print, cpus=(), gpus=(), tables=8)
    assert (right["runs"], right["bad"], right["note"]) == (8, 0, "0 tables with a false alarm")
    assert narrow["bad"] == 0
    assert int(narrow["note"].split()[0]) > 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen rows of the fake framework."""
    folder = tmp_path_factory.mktemp("toy")
    plan, data = folder / "plan.yaml", folder / "toy.jsonl"
    plan.write_text(
        "frameworks: fake\nworkloads: [{architecture: toy, num_layers: [2, 3, 5, 7], batch_size: [1, 4, 9]}]\n"
    )
    assert cli(["collect", str(plan), "--out", str(data)]) == 0
    return data


@pytest.mark.slow
def test_a_build_is_refused_where_intervals_are_too_narrow(
    script: Scripts, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, drawn = script("build_cpus"), script("torture_intervals").drawn
    words = [str(data), "--out", str(tmp_path), "--jobs", "1"]
    found = CliRunner().invoke(build.main, words)
    assert found.exit_code == 0, found.output
    assert {one.name for one in tmp_path.iterdir()} == {"cpu.json.gz", coverage.BEFORE}
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert CliRunner().invoke(build.main, [*words, "--judge"]).exit_code == 0
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before, "the same figures of the same file"

    narrow = drawn(np.random.default_rng(1), narrow=0.4)
    monkeypatch.setattr(coverage, "of_learnt", lambda learnt, **_: narrow)
    found = CliRunner().invoke(build.main, words)
    assert found.exit_code == 1
    assert found.stderr.count("\n") == 1
    assert "family, drawn, 0" in found.stderr
    assert "--accept REASON" in found.stderr
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before

    found = CliRunner().invoke(build.main, [*words, "--accept", "drawn for a test"])
    assert found.exit_code == 0, found.output
    assert "drawn for a test" in (tmp_path / coverage.BEFORE).read_text()

    monkeypatch.setattr(coverage, "of_learnt", lambda learnt, **_: drawn(np.random.default_rng(1)))
    assert CliRunner().invoke(build.main, words).exit_code == 0


def test_a_build_of_no_dataset_is_refused(script: Scripts, tmp_path: Path) -> None:
    found = CliRunner().invoke(script("build_cpus").main, [str(tmp_path / "none.jsonl"), "--out", str(tmp_path)])
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1)
