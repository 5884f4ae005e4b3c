"""Imports go downwards only: the layer table, held against every import statement in the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ftax_model"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("devices", "maps", "plans", "predictors", "schemas"),  # data files alone
    ("errors",),
    ("plugins", "files", "fields", "progress"),
    ("values",),
    ("workload", "device", "operators"),
    ("outside",),
    ("architectures", "measurement"),
    ("tracing", "dataset", "importer"),
    ("collection", "modeling"),
    ("proxies", "schedule", "nas", "advice", "claims", "checks", "report", "fleet"),
    ("cli",),
    ("__main__",),
)
"""Modules and folders directly under the package, lowest first; each imports from rows above it in this table alone.

A module may also import siblings in its own folder. ``ftax_model/__init__.py``, the lazy public names, stands outside.
"""

STAGES = ("collection", "modeling")
HEAVY = ("torch", "transformers", "onnxruntime")
MAY_BE_HEAVY = ("architectures", "tracing", "collection")
IS_HEAVY = ("nas/twin.py",)
"""Modules that are something of a framework's themselves, and are imported where somebody asks for that alone."""


@dataclass(frozen=True)
class Import:
    """One imported name, as written in a file: ``ftax_model.workload.Workload`` or ``torch.nn``."""

    file: str
    line: int
    name: str

    @property
    def importer(self) -> str:
        """Module or folder directly under the package that holds the import."""
        return Path(self.file).parts[0].removesuffix(".py")

    @property
    def imported(self) -> str:
        """Module or folder directly under the package that is imported; empty where it is the package itself."""
        return self.name.split(".")[1] if self.name.count(".") else ""

    def __str__(self) -> str:
        return f"ftax_model/{self.file}:{self.line} imports {self.name}"


def imports(package: Path) -> list[Import]:
    """Every import in the package, inside functions and of modules named in strings too."""
    return [
        Import(str(file.relative_to(package)), line, name)
        for file in sorted(package.rglob("*.py"))
        if file != package / "__init__.py"
        for line, name in _imported(file, package)
    ]


def _imported(file: Path, package: Path) -> Iterator[tuple[int, str]]:
    here = ("ftax_model", *file.relative_to(package).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join([*here[: len(here) - level + 1], *([module] if module else [])]) if level else module
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Constant(value=str(text)) if re.fullmatch(r"ftax_model(\.[a-z_]+)+", text):
                yield node.lineno, text


def upward(found: list[Import]) -> list[str]:
    """Imports inside the package that do not go downwards, a line each."""
    row = {name: number for number, names in enumerate(LAYERS) for name in names}
    complaints = []
    for item in found:
        own = item.name.split(".")[0] == "ftax_model"
        if not own or item.imported in ("", "__version__", item.importer):
            continue
        if item.importer not in row:
            complaints.append(f"{item}, but {item.importer} has no place in the layer table; give it one")
        elif item.imported not in row:
            complaints.append(f"{item}; import from the module that defines it, not from the package")
        elif row[item.imported] >= row[item.importer]:
            side = "beside" if row[item.imported] == row[item.importer] else "above"
            complaints.append(f"{item}, but {item.imported} lies {side} {item.importer}, not below it")
    return complaints


def heavy(found: list[Import]) -> list[str]:
    """Imports of a framework where none belongs, a line each."""
    return [
        f"{item}; only {', '.join(MAY_BE_HEAVY)} may"
        for item in found
        if item.name.split(".")[0] in HEAVY and item.importer not in MAY_BE_HEAVY and item.file not in IS_HEAVY
    ]


def across(found: list[Import]) -> list[str]:
    """Imports of one stage by the other, a line each."""
    return [
        f"{item}; the stages meet in the dataset alone"
        for item in found
        if item.name.startswith("ftax_model.")
        and {item.importer, item.imported} <= set(STAGES)
        and item.importer != item.imported
    ]


@pytest.mark.parametrize("rule", [upward, heavy, across], ids=lambda rule: rule.__name__)
def test_imports_keep_the_rule(rule: Callable[[list[Import]], list[str]]) -> None:
    complaints = rule(imports(PACKAGE))
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_module_has_a_place() -> None:
    places = {name for row in LAYERS for name in row}
    entries = (entry for entry in PACKAGE.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists())
    homeless = sorted({entry.stem for entry in entries} - places - {"__init__"})
    assert not homeless, f"give {', '.join(homeless)} a place in the layer table"


def test_every_module_opens_with_one_sentence() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        assert docstring, f"{file} says nothing of what it is for"
        first = docstring.split("\n\n")[0]
        assert first.endswith((".", ":")), f"{file}: the first paragraph is a sentence, got {first!r}"


@pytest.mark.parametrize(
    ("file", "code", "complaint"),
    [
        ("measurement.py", "import_module('ftax_model.report.curves')", "report lies above measurement"),
        ("workload.py", "from ftax_model.dataset import frame", "dataset lies above workload"),
        ("workload.py", "def late():\n    import ftax_model.cli", ":2 imports ftax_model.cli, but cli lies above"),
        ("workload.py", "from ftax_model import device", "device lies beside workload"),
        ("workload.py", "from . import device", "device lies beside workload"),
        ("tracing/trace.py", "from ..collection import runner", "collection lies above tracing"),
        ("collection/frameworks/eager.py", "from ... import cli", "cli lies above collection"),
        (
            "measurement.py",
            "import importlib\nimportlib.import_module('ftax_model.report.curves')",
            "report lies above",
        ),
        ("cli/fit.py", "from ftax_model import RegimeModel", "import from the module that defines it"),
        ("utils.py", "from ftax_model import errors", "utils has no place in the layer table"),
    ],
)
def test_an_import_upwards_is_found(tmp_path: Path, file: str, code: str, complaint: str) -> None:
    (line,) = upward(imports(planted(tmp_path, file, code)))
    assert complaint in line
    assert line.startswith(f"ftax_model/{file}:")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("collection/runner.py", "from ftax_model.collection.frameworks import load\nfrom . import plan"),
        ("collection/frameworks/eager.py", "from .._base import Framework\nimport torch"),
        ("workload.py", "from ftax_model import plugins\nfrom ftax_model.errors import InputError\nimport json"),
        ("modeling/predictor.py", "text = 'ftax_model.cli is only spoken of'\nkind = 'ftax_model.LatencyPredictor'"),
        ("cli/__init__.py", "import ftax_model\nfrom ftax_model import __version__"),
        ("__init__.py", "NAMES = {'load_dataset': 'ftax_model.dataset'}"),
    ],
)
def test_an_import_downwards_is_fine(tmp_path: Path, file: str, code: str) -> None:
    found = imports(planted(tmp_path, file, code))
    assert upward(found) + heavy(found) + across(found) == []


def test_a_stray_framework_is_found(tmp_path: Path) -> None:
    code = "def f():\n    from torch.nn import Linear\n"
    (line,) = heavy(imports(planted(tmp_path, "modeling/regime.py", code)))
    assert "modeling/regime.py:2 imports torch.nn.Linear" in line


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("collection/plan.py", "from ftax_model.modeling import predictor"),
        ("modeling/regime.py", "from ..collection.frameworks import load"),
    ],
)
def test_stages_that_meet_are_found(tmp_path: Path, file: str, code: str) -> None:
    (line,) = across(imports(planted(tmp_path, file, code)))
    assert "meet in the dataset" in line


def planted(folder: Path, file: str, code: str) -> Path:
    """A package folder that holds one file."""
    path = folder / "ftax_model" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    return folder / "ftax_model"
