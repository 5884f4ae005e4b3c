"""scripts/torture: every harness keeps the contract, and a broken promise is told from none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
HARNESS = """
FULL, QUICK = {"times": 5}, {"times": 2}

def run(folder, *, seed, tell, times):
    tell("at it")
    (folder / "x").touch()
    return [{"what": "drawn", "runs": times, "bad": seed, "share": 0.25}]
"""


@pytest.fixture
def torture(script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/torture.py beside a harness of its own."""
    found = script("torture")
    for name, text in {
        "good": HARNESS,
        "lost": "FULL = QUICK = {}\ndef run(folder, **_):\n    raise SystemExit(7)\n",
    }.items():
        (tmp_path / f"torture_{name}.py").write_text(text)
    monkeypatch.setattr(found, "HERE", tmp_path)
    return found


@pytest.mark.parametrize("file", sorted(SCRIPTS.glob("torture_*.py")), ids=lambda file: file.stem)
def test_every_harness_keeps_the_contract(file: Path, script: Callable[[str], ModuleType]) -> None:
    module = script(file.stem)
    assert module.__doc__
    assert set(module.FULL) == set(module.QUICK)
    assert callable(module.run)


def test_a_harness_runs_in_an_empty_folder(torture: ModuleType) -> None:
    assert torture.names() == ["good", "lost"]
    found = torture.here("good", quick=False, seed=0, tell=lambda _: None)
    assert found["rows"] == [{"what": "drawn", "runs": 5, "bad": 0, "share": 0.25}]


def test_the_counts_are_printed(torture: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert torture.main(["--here", "good", "--quick"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["runs"] == 2
    assert torture.main(["--here", "good", "--seed", "3"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"][0]["bad"] == 3


def test_a_harness_that_ends_badly_is_a_broken_promise(
    torture: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "torture.py"
    beside.write_text((SCRIPTS / "torture.py").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(torture, "__file__", str(beside))
    assert torture.main(["--json"]) == 1
    good, lost = json.loads(capsys.readouterr().out)
    assert (good["harness"], good["rows"][0]["bad"]) == ("good", 0)
    assert lost["rows"] == [{"what": "the harness itself", "runs": 1, "bad": 1, "exit_code": 7}]
    assert torture.main(["--only", "good"]) == 0
    shown = capsys.readouterr().out
    assert "share 0.25" in shown
    assert "broken promises: 0" in shown


def test_an_unknown_harness_is_refused() -> None:
    asked = [sys.executable, str(SCRIPTS / "torture.py"), "--only", "nosuch"]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 2
