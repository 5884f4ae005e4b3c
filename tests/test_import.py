"""Importing the package and asking for help cost little: what is heavy is imported when it is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ftax_model
from ftax_model import plugins

HEAVY = {"torch", "pandas", "sklearn", "scipy", "transformers", "onnx", "onnxruntime", "matplotlib"}
HELP = [[], ["--help"], ["--version"], *([name, "--help"] for name in plugins.names("ftax_model.cli"))]


def heavy_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after running the code."""
    code += "\nimport json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return HEAVY & set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import ftax_model; dir(ftax_model)",
        "from ftax_model import Workload; Workload('bert').key",
        "from ftax_model import architectures; architectures.names()",
        "from ftax_model.device import detect; detect('cpu')",
    ],
)
def test_import_is_light(code: str) -> None:
    assert heavy_after(code) == set()


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_is_light(words: list[str]) -> None:
    assert heavy_after(f"from ftax_model.cli import main; assert main({words!r}) == 0") == set()


def test_bad_words_are_refused_lightly() -> None:
    assert heavy_after("from ftax_model.cli import main; assert main(['no-such-command']) == 2") == set()


@pytest.mark.parametrize("name", ftax_model.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(ftax_model, name) is not None
    assert name in dir(ftax_model)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ftax_model.no_such_name


def test_type_checkers_see_what_is_loaded() -> None:
    tree = ast.parse(Path(ftax_model.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = (node for node in checked.body if isinstance(node, ast.ImportFrom))
    seen = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    public = [getattr(ftax_model, name) for name in ftax_model.__all__ if not name.startswith("_")]
    assert seen == {f"{thing.__module__}.{thing.__name__}" for thing in public}
