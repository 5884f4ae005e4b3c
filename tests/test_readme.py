"""What the README and the pages for programs show is true: commands run, Python runs, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ftax_model import errors
from ftax_model.errors import FtaxError

ROOT = Path(__file__).resolve().parent.parent
README, AGENTS, SKILL = ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "skills/predict-latency/SKILL.md"

every_page = pytest.mark.parametrize("page", (README, AGENTS, SKILL), ids=lambda page: page.name)

SCHEMAS = ROOT / "ftax_model/schemas"

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


def commands(page: Path) -> list[str]:
    """Every shell command of a page."""
    shell = (block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "sh")
    return [command for block in shell for command in block.commands()]


@every_page
def test_every_command_is_one_that_can_be_checked(page: Path) -> None:
    unknown = [command for command in commands(page) if not command.startswith(("ftax ", *LEFT_ALONE))]
    assert not unknown, f"only ftax, scripts, pip, git clone and cd stand in sh blocks; got {unknown}"
    assert any(command.startswith("ftax ") for command in commands(page))


def test_the_two_commands_are_shown() -> None:
    assert {"scripts/demo", "scripts/test"} <= set(commands(README))


def test_scripts_are_there() -> None:
    for command in commands(README):
        if command.startswith("scripts/"):
            assert os.access(ROOT / command.split()[0], os.X_OK), f"{command}: no such script, or not executable"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    inside = {target for pair in targets for target in pair if target and not re.match(r"https?:|#|mailto:", target)}
    lost = sorted(target for target in inside if not (page.parent / target.split("#")[0]).exists())
    assert not lost, f"{page.name} points to what is not there: {', '.join(lost)}"


@pytest.mark.slow
@every_page
def test_commands_and_python_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, each block on what those before it left there; the Python blocks share their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, str(page), "exec"), names)  # noqa: S102
        for command in block.commands() if block.language == "sh" else ():
            if not command.startswith(LEFT_ALONE):
                run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
                assert run.returncode == 0, f"{page.name}:{block.line}: {command}\n{run.stdout}\n{run.stderr}"


def test_the_page_for_programs_names_what_there_is() -> None:
    """Every command in its examples prints JSON; schemas, kinds of refusals and notes are those of the code."""
    text = AGENTS.read_text(encoding="utf-8")
    assert all("--json" in command for command in commands(AGENTS))
    assert set(re.findall(r"schemas/(\w+\.json)\)", text)) == {file.name for file in SCHEMAS.glob("*.json")}
    for name, file in re.findall(r"`(ftax_model\.\w+)` \| \[(\w+\.json)\]", text):
        assert json.loads((SCHEMAS / file).read_text(encoding="utf-8"))["properties"]["format"]["const"] == name
    refusals = text.partition("## Refusals")[2]
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, FtaxError)}
    assert set(re.findall(r"^\| `(\w+Error)`", refusals, re.MULTILINE)) == kinds - {"FtaxError"}
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "ftax_model").rglob("*.py"))
    for cell in re.findall(r"^\| (`[a-z].*?) \|", refusals, re.MULTILINE):
        for note in re.findall(r"`(.+?)`", cell):
            assert re.split(r"\.\.\.|\(", note)[0].strip() in code, note


def test_the_skill_says_what_it_is_for() -> None:
    front = SKILL.read_text(encoding="utf-8").split("---\n")[1]
    told = yaml.safe_load(front)
    assert told["name"] == SKILL.parent.name
    assert 0 < len(told["description"]) <= 1024


def test_blocks_of_a_text() -> None:
    sh = "```sh\n# first\nftax list  # short\nftax fit a.jsonl \\\n    --out b.json\n\nscripts/demo\n```\n"
    text = f"A title\n\n{sh}```\nplain\n```\n```python\nx = 1\n```\n"
    shell, plain, python = blocks(text)
    assert shell.commands() == ["ftax list", "ftax fit a.jsonl      --out b.json", "scripts/demo"]
    assert (shell.language, shell.line) == ("sh", 4)
    assert (plain.language, plain.text) == ("", "plain\n")
    assert (python.language, python.text, python.line) == ("python", "x = 1\n", 15)
