"""The harness of large datasets, on small ones: every step is a row, and growth and failures are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ftax_model import dataset


def test_what_is_generated_is_a_dataset_of_many_models(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    harness = script("torture_load")
    table = dataset.load_dataset(harness.generate(tmp_path / "rows.jsonl", 300))
    assert len(table) == 300
    one = {"architecture": "bert", "hyperparameters": {"intermediate_size": 512, "num_layers": 2}}
    assert harness._wider(one, 3) == {"intermediate_size": 536, "num_layers": 2}
    assert harness._wider({"architecture": "resnet", "hyperparameters": {"hidden_size": 4}}, 3) == {"hidden_size": 4}


def test_steps_are_rows_and_what_grows_is_counted(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, told = script("torture_load"), []
    rows = harness.run(tmp_path, seed=0, tell=told.append, sizes=(60,), steps=("pack", "frame .parquet"))
    assert [(one["what"], one["runs"], one["bad"]) for one in rows] == [("pack", 60, 0), ("frame .parquet", 60, 0)]
    assert all(one["cpu_s"] > 0 and one["peak_mib"] > 0 for one in rows)
    before: dict[str, Any] = {"what": "pack", "runs": 10, "seconds": 2.0, "cpu_s": 2.0, "us_a_row": 1e-3}
    row = harness._row(tmp_path, "pack", 60, before)
    assert (row["bad"], "times as much" in row["why"]) == (1, True)
    row = harness._row(tmp_path, "pack", 60, {**before, "seconds": 1e5})
    assert (row["bad"], row["why"][:10]) == (1, "would take")
    (tmp_path / "rows.jsonl").write_text("{}\n")
    row = harness._row(tmp_path, "pack", 60, None)
    assert (row["bad"], "schema version" in row["why"]) == (1, True)
