"""A small run of scripts/torture_plausible.py: what must be seen is seen, and clean parts are not called wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

KINDS = ("milliseconds for seconds", "records copied", "device name of another", "host time as latency")


def test_corruptions_are_seen(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = script("torture_plausible")
    monkeypatch.setattr(harness, "CORRUPTIONS", {kind: harness.CORRUPTIONS[kind] for kind in KINDS})
    monkeypatch.setattr(harness, "ROWS", 120)
    told: list[str] = []
    rows = harness.run(tmp_path, seed=1, tell=told.append, **{**harness.QUICK, "clean": 1})
    assert [row["what"] for row in rows if row["bad"]] == []
    assert {row["what"].partition(":")[0] for row in rows} == {*KINDS, "clean"}
    assert len(told) == len(KINDS) + len(harness.CLEAN)


def test_every_corruption_says_where_it_must_be_seen(script: Callable[[str], ModuleType]) -> None:
    harness = script("torture_plausible")
    assert {*harness.MUST} <= {*harness.CORRUPTIONS}
    assert all({*scopes} <= {*harness.SCOPES} for scopes in harness.MUST.values())
