"""Readers under a few hundred mutated inputs each, and the watch that sees what they must not do."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGETS = sorted(file.stem.removeprefix("fuzz_") for file in (ROOT / "scripts").glob("fuzz_*.py"))


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_results_or_refusals(script: Callable[[str], ModuleType], tmp_path: Path, name: str) -> None:
    said: list[str] = []
    (row,) = script("torture_fuzz").run(tmp_path, seed=1, tell=said.append, inputs=300, only=[name])
    assert (row["runs"], row["bad"]) == (300, 0), "\n".join(said)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_a_target_are_good_files(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # one of them damages all that is there
    target = script(f"fuzz_{name}")
    for data in target.seeds():
        target.read(data, tmp_path)


def test_mutations_keep_json_but_for_what_only_a_text_can_hold(script: Callable[[str], ModuleType]) -> None:
    fuzz, dice = script("torture_fuzz"), random.Random(0)
    document = json.dumps({"a": [1, 2.5, {"b": None}], "c": "word"}).encode()
    found = {fuzz.mutated(document, dice) for _ in range(1000)}
    assert len(found) > 100
    for one in found:
        json.loads(one)
    assert any(one.count(b'"a":') > 1 for one in found)
    assert any(b'"c": "word"' in fuzz.mutated(b"[1]\n" + document + b"\n", dice) for _ in range(20))
    assert len({fuzz.mutated(b"name: [1, 2]\n", dice) for _ in range(100)}) > 50
    assert len({fuzz.mutated(b"\xff\x00\x01", dice) for _ in range(100)}) > 50


def test_the_watch_sees_what_a_reader_must_not_do(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "scripts")!r})
import torture_fuzz
folder = Path({str(tmp_path)!r}, "work")
folder.mkdir()
watch = torture_fuzz.Watch(folder)
def seen(do):
    watch.on = True
    try:
        do()
    except (OSError, SyntaxError):
        pass
    watch.on = False
    found = sorted(one.rpartition(" ")[0] for one in watch.seen)
    watch.seen.clear()
    print(found)
seen(lambda: (folder / "a").write_text("x"))
seen(lambda: (folder / "a").read_text())
seen(lambda: Path(torture_fuzz.__file__).read_text())
seen(lambda: __import__("colorsys"))
seen(lambda: Path("/etc/passwd").read_text())
seen(lambda: (folder / "../b").write_text("x"))
seen(lambda: (folder / "../b").unlink())
seen(lambda: os.listdir("/etc"))
seen(lambda: socket.socket())
seen(lambda: subprocess.run(["true"]))
seen(lambda: eval("1 + 1"))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[:4] == ["[]"] * 4
    assert told[4:8] == [
        "['reads a file outside']",
        "['writes a file outside']",
        "['os.remove outside']",
        "['os.listdir outside']",
    ]
    assert told[8] == "['socket.__new__']"
    assert "subprocess.Popen" in told[9]
    assert told[10] == "['compile', 'exec']"
