"""What is public: every name that the documentation uses is described in its reference, and those are all there."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftax_model
from ftax_model import nas

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def found(path: str) -> Any:
    """What a module holds by that name, by its whole name."""
    home, _, name = path.rpartition(".")
    one = getattr(importlib.import_module(home), name, None)
    return importlib.import_module(path) if one is None else one


def documented() -> dict[str, Any]:
    """What the reference describes, by name."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    return {name: found(name) for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}


def programs(file: Path) -> Iterator[str]:
    """The Python in a page or a notebook."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        for cell in json.loads(text)["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])
        return
    yield from (block for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def imported(program: str) -> Iterator[str]:
    """Names of ours that a program imports."""
    lines = "\n".join(line for line in program.splitlines() if not line.lstrip().startswith(("%", "!")))
    try:
        tree = ast.parse(lines)
    except SyntaxError:  # a part of a program
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ftax_model":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ftax_model."))


@pytest.mark.parametrize("package", [ftax_model, nas], ids=lambda package: package.__name__)
def test_public_names_are_described(package: Any) -> None:
    described = list(documented().values())
    missing = [name for name in package.__all__ if name[0] != "_" and getattr(package, name) not in described]
    assert not missing, f"describe {', '.join(missing)} in docs/api"


@pytest.mark.parametrize("file", [*PAGES, *NOTEBOOKS], ids=lambda file: str(file.relative_to(ROOT)))
def test_what_examples_import_is_described(file: Path) -> None:
    described = documented()
    known = [*described.values()]
    for program in programs(file):
        for name in imported(program):
            home = name.rpartition(".")[0]
            assert found(name) in known or home in described, f"{name} is shown, and not described in docs/api"


def test_whoever_checks_types_sees_ours() -> None:
    assert (Path(ftax_model.__file__).parent / "py.typed").exists()
