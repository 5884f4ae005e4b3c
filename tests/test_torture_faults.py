"""The harness of faults: nothing is lost, and where something is lost it is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]

PLANTED = """
import json, random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torture_faults as faults
from ftax_model import dataset, files

def limited():
    return faults.collections_of(folder, draw, "limited", 3, faults.limited).bad

def cut():
    return faults.collections_of(folder, draw, "cut", 3, faults.cut_within_a_line).bad

def shared():
    return faults.at_once(folder / "shared.json", draw, 3)["bad"]

folder, draw = Path(sys.argv[2]), random.Random(0)
with faults.alone(), faults.set_apart(folder):
    found = [limited(), cut(), shared()]
    dataset.Writer._cut_back = lambda self: None
    found.append(limited())
    dataset._is_cut = lambda line: False
    found.append(cut())
    files.write = lambda path, content: path.write_bytes(content)
    found.append(shared())
print(json.dumps(found))
"""
"""Three kinds of fault, tried on what is there and on what was made worse; in a process of its own, for it forks."""


def test_what_is_lost_is_found(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PLANTED, str(ROOT / "scripts"), str(tmp_path)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *sound, limited, cut, shared = json.loads(ended.stdout)
    assert sound == [0, 0, 0]
    assert min(limited, cut, shared) > 0


@pytest.mark.slow
def test_nothing_is_lost(script: Callable[[str], ModuleType]) -> None:
    found = script("torture").apart("faults", quick=True, seed=0)
    assert {row["what"]: row["bad"] for row in found["rows"]} == dict.fromkeys(
        (row["what"] for row in found["rows"]), 0
    )
    assert sum(row["runs"] for row in found["rows"]) > 300
    assert sum(row.get("resumed", 0) for row in found["rows"]) > 100
