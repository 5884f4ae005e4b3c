"""The notebooks run, need nothing but themselves, and are committed with what they showed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST_BYTES = 3_000_000
PATH = re.compile(r"""(?:^|[\s'"(=])/\w[\w.-]*/|[A-Z]:\\|\.venv|site-packages""", re.MULTILINE)
"""A path of a machine: an absolute one, or one into an environment."""

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def test_there_is_one_for_each_idea() -> None:
    assert [file.name[:2] for file in NOTEBOOKS] == ["1-", "2-", "3-", "4-", "5-", "6-"]
    assert sum(file.stat().st_size for file in NOTEBOOKS) < LARGEST_BYTES
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((.*\.ipynb)\)", told) == [file.name for file in NOTEBOOKS]


@pytest.mark.parametrize(
    ("text", "told"),
    [("File /home/me/x.py", True), ("'/tmp/a/b'", True), ("C:\\\\x", True), ("<p>a</p>/b/", False), ("us/op", False)],
)
def test_paths_are_found(text: str, told: bool) -> None:
    assert bool(PATH.search(text)) == told


@every_notebook
def test_notebook_is_committed_with_its_outputs(file: Path) -> None:
    code = [cell for cell in read(file).cells if cell.cell_type == "code"]
    assert all(cell.source.strip() for cell in code)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom, then save"
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error", output.evalue
        assert output.get("name") != "stderr", output.text
        for text in texts(output):
            assert not PATH.search(text), text


@every_notebook
def test_notebook_opens_with_a_title_and_ends_with_a_picture_and_what_it_shows(file: Path) -> None:
    cells = read(file).cells
    assert cells[0].source.startswith(f"# {file.name[0]}. ")
    assert "image/png" in shown(cells[-2])
    (sentence,) = cells[-1].source.splitlines()
    assert re.fullmatch(r"\*\*What it shows:\*\* [^.]+\.", sentence)


@every_notebook
def test_no_number_is_typed_where_a_cell_measures_it(file: Path) -> None:
    prose = " ".join(cell.source for cell in read(file).cells[1:] if cell.cell_type == "markdown")
    assert not re.search(r"\d\s?(?:%|times|ms|us|GB)(?! interval)", prose), prose


@every_notebook
def test_notebook_holds_nothing_of_the_session_that_ran_it(file: Path) -> None:
    notebook = read(file)
    assert set(notebook.metadata) == {"kernelspec"}
    assert not any(cell.metadata for cell in notebook.cells)


@pytest.mark.slow
@every_notebook
def test_notebook_runs_in_a_fresh_kernel(file: Path, tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    """From top to bottom in an empty folder, which it leaves empty; it shows what is committed, picture for picture."""
    found = script("run_notebooks").run(file, tmp_path)
    assert [shown(cell) for cell in found.cells] == [shown(cell) for cell in read(file).cells]
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_kept_is_of_the_last_run(tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    file = notebook(tmp_path, "6 * 7")
    told = CliRunner().invoke(script("run_notebooks").main, [str(file)])
    assert told.exit_code == 0
    (cell,) = read(file).cells
    assert [output.data["text/plain"] for output in cell.outputs] == ["42"]
    assert (cell.execution_count, dict(cell.metadata)) == (1, {})


@pytest.mark.slow
def test_hidden_state_is_refused_and_nothing_is_kept(tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    file = notebook(tmp_path, "print(answer)", "answer = 42")
    before = file.read_bytes()
    told = CliRunner().invoke(script("run_notebooks").main, [str(file)])
    assert told.exit_code == 1
    assert "name 'answer' is not defined" in told.stderr
    assert file.read_bytes() == before


def notebook(folder: Path, *sources: str) -> Path:
    """A notebook that someone ran, and saved with what an editor adds."""
    cells = [new_code_cell(one, metadata={"execution": {"iopub.status.idle": "yesterday"}}) for one in sources]
    file = folder / "some.ipynb"
    nbformat.write(new_notebook(cells=cells), file)
    return file


def read(file: Path) -> nbformat.NotebookNode:
    """The notebook, checked against its format."""
    found = nbformat.read(file, as_version=4)
    nbformat.validate(found)
    return found


def shown(cell: nbformat.NotebookNode) -> list[str]:
    """What kinds of output a cell has: pictures, tables, text."""
    outputs: list[Any] = cell.get("outputs", [])
    return [kind for output in outputs for kind in sorted(output.get("data", [output.output_type]))]


def texts(output: nbformat.NotebookNode) -> Iterator[str]:
    """All text of an output."""
    yield output.get("text", "")
    yield from (value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))
