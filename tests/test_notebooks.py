"""The notebooks run, and are committed with what they showed."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@every_notebook
def test_notebook_is_committed_with_its_outputs(file: Path) -> None:
    cells = [cell for cell in read(file).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), (
        "run from top to bottom, then save"
    )
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs, "it shows something"
    errors = [output.evalue for output in outputs if output.output_type == "error"]
    assert not errors, f"it shows errors: {errors}"


@pytest.mark.slow
@every_notebook
def test_notebook_runs(file: Path, tmp_path: Path) -> None:
    notebook = read(file)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()


def read(file: Path) -> nbformat.NotebookNode:
    """The notebook, checked against its format."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    return notebook
