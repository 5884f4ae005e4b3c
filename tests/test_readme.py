"""What the README shows is true: its commands run, its Python runs, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

LEFT_ALONE = ("scripts/", "pip ", "git clone ", "cd ")
"""Commands that change the environment or the checkout; that they can be run is checked, and no more."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the README where the text begins."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """Shell commands, continued lines joined, comments left out."""
        lines = re.sub(r"(^|\s)# .*$", "", self.text.replace("\\\n", " "), flags=re.MULTILINE).splitlines()
        return [line.strip() for line in lines if line.strip()]


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block, in order."""
    for match in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], line=text.count("\n", 0, match.start(2)) + 1)


def commands() -> list[str]:
    """Every shell command of the README."""
    shell = (block for block in blocks(README.read_text(encoding="utf-8")) if block.language == "sh")
    return [command for block in shell for command in block.commands()]


def test_every_command_is_one_that_can_be_checked() -> None:
    unknown = [command for command in commands() if not command.startswith(("ftax ", *LEFT_ALONE))]
    assert not unknown, f"only ftax, scripts, pip, git clone and cd stand in sh blocks; got {unknown}"
    assert any(command.startswith("ftax ") for command in commands())


def test_the_two_commands_are_shown() -> None:
    assert {"scripts/demo", "scripts/test"} <= set(commands())


def test_scripts_are_there() -> None:
    for command in commands():
        if command.startswith("scripts/"):
            assert os.access(ROOT / command.split()[0], os.X_OK), f"{command}: no such script, or not executable"


def test_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    inside = {target for pair in targets for target in pair if target and not re.match(r"https?:|#|mailto:", target)}
    lost = sorted(target for target in inside if not (ROOT / target.split("#")[0]).exists())
    assert not lost, f"the README points to what is not there: {', '.join(lost)}"


@pytest.mark.slow
def test_commands_and_python_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, each block on what those before it left there; the Python blocks share their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks(README.read_text(encoding="utf-8")):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, str(README), "exec"), names)  # noqa: S102
        for command in block.commands() if block.language == "sh" else ():
            if not command.startswith(LEFT_ALONE):
                run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
                assert run.returncode == 0, f"README.md:{block.line}: {command}\n{run.stdout}\n{run.stderr}"


def test_blocks_of_a_text() -> None:
    sh = "```sh\n# first\nftax list  # short\nftax fit a.jsonl \\\n    --out b.json\n\nscripts/demo\n```\n"
    text = f"A title\n\n{sh}```\nplain\n```\n```python\nx = 1\n```\n"
    shell, plain, python = blocks(text)
    assert shell.commands() == ["ftax list", "ftax fit a.jsonl      --out b.json", "scripts/demo"]
    assert (shell.language, shell.line) == ("sh", 4)
    assert (plain.language, plain.text) == ("", "plain\n")
    assert (python.language, python.text, python.line) == ("python", "x = 1\n", 15)
