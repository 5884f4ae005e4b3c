"""Hostile models end in a trace or in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.slow
def test_hostile_models_are_traced_or_refused(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    harness, said = script("torture_models"), list[str]()
    rows = harness.run(tmp_path, seed=0, tell=said.append, **harness.QUICK)
    assert not said
    for row in rows:
        assert (row["bad"], row["runs"] > 10, row["refused"] > 3) == (0, True, True), row
