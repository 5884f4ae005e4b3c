"""What a terminal gets and a pipe does not: colour, a bar with the time left, a spinner."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftax_model.cli import _print

pty = pytest.importorskip("pty")

ESCAPE = "\x1b["
BOLD_GREEN = f"{ESCAPE}1;32m"
ROW = "from ftax_model.cli import _print; from rich.table import Table; from rich.text import Text\n"
ROW += (
    "one = Table(box=None); one.add_column('a'); one.add_row(Text('b', 'bold green')); _print.lines(one, title='c')\n"
)
BAR = "from ftax_model.cli import _print\n"
BAR += "with _print.progress('counting') as advance: advance(0, 2, 'one'); advance(1, 2, '[two]')\n"
SPINNER = "from ftax_model.cli import _print\nwith _print.working('thinking'): pass\n"


def on_a_terminal(code: str, **variables: str) -> str:
    """What Python code writes to a terminal of 80 columns, both streams."""
    leader, follower = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    env = {**known, "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    run = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, stdin=follower, env=env)
    os.close(follower)
    found = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        found += part
    os.close(leader)
    assert run.wait() == 0
    return found.decode()


def in_a_pipe(code: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    return run.stdout + run.stderr


def test_colour_is_for_terminals_that_take_it() -> None:
    assert BOLD_GREEN in on_a_terminal(ROW)
    assert "32m" not in on_a_terminal(ROW, NO_COLOR="1")
    assert ESCAPE not in on_a_terminal(ROW, TERM="dumb")
    assert ESCAPE not in in_a_pipe(ROW)


def test_a_bar_says_how_much_time_is_left() -> None:
    shown = on_a_terminal(BAR)
    assert "1/2" in shown
    assert "[two]" in shown  # not taken for a style
    assert "left" in shown
    assert "counting" not in in_a_pipe(BAR)
    assert in_a_pipe(BAR) == ""
    assert "left" not in on_a_terminal(BAR, TERM="dumb")


def test_a_spinner_is_gone_afterwards() -> None:
    shown = on_a_terminal(SPINNER)
    assert "thinking" in shown
    assert shown.rstrip().endswith(f"{ESCAPE}2K")
    assert in_a_pipe(SPINNER) == ""


def test_what_is_printed_meanwhile_stays_on_its_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _print.working("thinking"):
        print("out")
        print("err", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.9996e-3, "1 ms"), (0.99949e-3, "999 us"), (123.4, "123 s"), (4e-10, "0.4 ns"), (0.0, "0 s")]
)
def test_seconds_read_well(value: float, shown: str) -> None:
    assert _print.seconds(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1490.0, "1,490"), (1e6, "1,000,000"), (1.234e-6, "0.00000123")])
def test_numbers_are_never_powers_of_ten(value: float, shown: str) -> None:
    assert _print.number(value) == shown


def test_a_table_of_a_file_is_wide(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    _print.table([{"long": "word " * 30}], {"long": None})
    assert len(out.getvalue().splitlines()) == 2


def test_brackets_in_a_cell_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    _print.table([{"name": "[bold]x[/] [a, b]"}], {"name": None})
    assert capsys.readouterr().out.splitlines()[1].strip() == "[bold]x[/] [a, b]"
