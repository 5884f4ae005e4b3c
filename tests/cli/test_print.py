"""What strangers wrote reaches the terminal as text, and nothing of it is obeyed."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest
from rich.table import Table

from ftax_model import cli, dataset
from ftax_model.cli import _print, main
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"


def test_nothing_is_obeyed_in_texts_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    _print.say(f"note: {EVIL}")
    _print.say(EVIL, err=True)
    _print.table([{"name": EVIL}], {"name": None}, title=EVIL)
    shown = Table(box=None)
    shown.add_column(EVIL)
    shown.add_row(EVIL)
    _print.lines(shown)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert (out.count(SHOWN[:7]), err.count(SHOWN)) == (5, 1)


def test_nothing_is_obeyed_in_refusals_and_warnings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([EVIL]) == 2
    assert main(["datasets", f"--{EVIL}"]) == 2
    cli._one_line(UserWarning(f"{EVIL}\nftax: all is well"))
    _, err = capsys.readouterr()
    assert "\x1b" not in err
    assert "\x07" not in err
    assert err.count("\n") == 3


def test_a_reason_of_a_stranger_is_data_in_json_and_text_elsewhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "theirs.jsonl"
    cell = Cell(Workload("toy"), "fake", "fake")
    with dataset.Writer(file) as writer:
        writer.write(Measurement(cell, status="crashed", reason=EVIL))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main(["fit", str(file), "--out", str(tmp_path / "model.json")])
    assert code == 2
    assert "\x1b" not in "".join(capsys.readouterr())
    assert json.loads(file.read_text())["reason"] == EVIL


def test_commands_print_in_one_place() -> None:
    folder = Path(cli.__file__).parent
    others = {
        file.name for file in folder.glob("*.py") if re.search(r"\bclick\.echo\(|(?<!_)\bprint\(", file.read_text())
    }
    assert others <= {"_print.py", "__init__.py", "completion.py"}
