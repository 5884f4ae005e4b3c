"""What README, documentation and pages for programs show is true: commands run, Python runs, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from ftax_model import errors
from ftax_model.cli import EXIT_NO, main
from ftax_model.errors import FtaxError

ROOT = Path(__file__).resolve().parent.parent
README, AGENTS, SKILL = ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "skills/predict-latency/SKILL.md"

DOCS = sorted((ROOT / "docs").rglob("*.md"))


def of_pages(*pages: Path) -> pytest.MarkDecorator:
    """One test a page."""
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


every_page = of_pages(README, AGENTS, SKILL, *DOCS)

SCHEMAS = ROOT / "ftax_model/schemas"

LEFT_ALONE = ("scripts/", "pip ", "git clone ", "cd ")
"""Commands that change the environment or the checkout; that they can be run is checked, and no more."""

PRINTS = "prints"
"""Title of a block that is what the Python block above it prints; a block of any other title is a file of that name."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of the page where the text begins, and its title."""

    language: str
    text: str
    line: int
    title: str = ""

    def commands(self) -> list[str]:
        """Shell commands, continued lines joined, comments left out."""
        lines = re.sub(r"(^|\s)# .*$", "", self.text.replace("\\\n", " "), flags=re.MULTILINE).splitlines()
        return [line.strip() for line in lines if line.strip()]


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block, in order."""
    fence = r"^```(\w*)(?: title=\"([^\"]+)\")?[^\n]*\n(.*?)^```\s*$"
    for match in re.finditer(fence, text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[3], line=text.count("\n", 0, match.start(3)) + 1, title=match[2] or "")


def commands(page: Path) -> list[str]:
    """Every shell command of a page."""
    shell = (block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "sh")
    return [command for block in shell for command in block.commands()]


def python(page: Path) -> list[str]:
    """Every Python block of a page."""
    return [block.text for block in blocks(page.read_text(encoding="utf-8")) if block.language == "python"]


@every_page
def test_every_command_is_one_that_can_be_checked(page: Path) -> None:
    unknown = [command for command in commands(page) if not command.startswith(("ftax ", *LEFT_ALONE))]
    assert not unknown, f"only ftax, scripts, pip, git clone and cd stand in sh blocks; got {unknown}"


@of_pages(README, AGENTS, SKILL, *(page for page in DOCS if page.parent.name == "how-to"))
def test_a_page_that_says_how_to_shows_a_command(page: Path) -> None:
    assert any(command.startswith("ftax ") or "ftax_model" in command for command in [*commands(page), *python(page)])


def test_the_two_commands_are_shown() -> None:
    assert {"scripts/demo", "scripts/test"} <= set(commands(README))


@every_page
def test_scripts_are_there(page: Path) -> None:
    """Those to be run, and those that a sentence says a number comes from."""
    for command in commands(page):
        if command.startswith("scripts/"):
            assert os.access(ROOT / command.split()[0], os.X_OK), f"{command}: no such script, or not executable"
    for script in re.findall(r"`(scripts/[\w./]+)", page.read_text(encoding="utf-8")):
        assert (ROOT / script).exists(), f"{script}: no such script"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    inside = {target for pair in targets for target in pair if target and not re.match(r"https?:|#|mailto:", target)}
    lost = sorted(target for target in inside if not (page.parent / target.split("#")[0]).exists())
    assert not lost, f"{page.name} points to what is not there: {', '.join(lost)}"


@pytest.mark.slow
@every_page
def test_commands_and_python_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one folder, each block on what those before it left there; the Python blocks share their names.

    Where a page says what a Python block prints, it prints that.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names = ModuleType("page")
    monkeypatch.setitem(sys.modules, names.__name__, names)  # what is pickled is looked for there
    printed = io.StringIO()
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.title == PRINTS:
            assert printed.getvalue() == block.text, f"{page.name}:{block.line}"
        elif block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed = io.StringIO()
            code = "\n" * (block.line - 1) + block.text
            with contextlib.redirect_stdout(printed):
                exec(compile(code, str(page), "exec"), vars(names))  # noqa: S102
        for command in block.commands() if block.language == "sh" else ():
            if not command.startswith(LEFT_ALONE):
                code = main(shlex.split(command)[1:])
                said = capsys.readouterr()
                tells = command.startswith(("ftax doctor", "ftax check"))  # a busy machine, what is odd
                good = (0, EXIT_NO) if tells else (0,)
                assert code in good, f"{page.name}:{block.line}: {command}\n{said.out}\n{said.err}"


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
    text = f'A title\n\n{sh}```\nplain\n```\n```python\nx = 1\n```\n```yaml title="a.yaml"\na: 1\n```\n'
    shell, plain, code, file = blocks(text)
    assert shell.commands() == ["ftax list", "ftax fit a.jsonl      --out b.json", "scripts/demo"]
    assert (shell.language, shell.line) == ("sh", 4)
    assert (plain.language, plain.text) == ("", "plain\n")
    assert (code.language, code.text, code.line, code.title) == ("python", "x = 1\n", 15, "")
    assert (file.language, file.text, file.title) == ("yaml", "a: 1\n", "a.yaml")
