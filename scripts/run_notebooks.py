"""Run the notebooks from top to bottom, each in a fresh kernel, and keep what they show.

    .venv/bin/python scripts/run_notebooks.py notebooks/2-the-law-and-the-crossover.ipynb

Without names all of them, in two minutes or three. What is kept holds no times and nothing of the machine but its
measurements. A notebook that fails stays as it was.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ftax_model import files

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


def run(file: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in ``folder``; raises `CellExecutionError` for the first cell that fails.

    Code, text and outputs are all that it holds: the times of cells are left out.
    """
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        cell.metadata = {}
    options = {"timeout": 600, "kernel_name": "python3", "record_timing": False}
    NotebookClient(notebook, **options, resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(names: tuple[Path, ...]) -> None:
    for file in names or NOTEBOOKS:
        click.echo(file.name)
        try:
            with tempfile.TemporaryDirectory() as folder:
                notebook = run(file, Path(folder))
        except CellExecutionError as error:
            click.echo(f"a notebook runs from top to bottom; got {error}; mend that cell", err=True)
            sys.exit(1)
        files.write(file, f"{nbformat.writes(notebook)}\n".encode())


if __name__ == "__main__":
    main()
