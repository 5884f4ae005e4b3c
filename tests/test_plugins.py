"""A file in a folder is a plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ftax_model import plugins
from ftax_model.errors import InputError, MissingError

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file into the folder of the package ``some_tools``."""
    package = tmp_path / "some_tools"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_tools"]:
        monkeypatch.delitem(sys.modules, name)

    def write_(name: str, text: str) -> None:
        (package / name).write_text(text, encoding="utf-8")

    return write_


def test_names_are_the_files(write: Write) -> None:
    for name in ("hammer.py", "band_saw.py", "_base.py", ".#hammer.py", "notes.txt", "anvil.toml"):
        write(name, "")
    assert plugins.names("some_tools") == ["band-saw", "hammer"]
    assert plugins.names("some_tools", suffix=".toml") == ["anvil"]


def test_load_gives_the_one_public_class(write: Write) -> None:
    write("band_saw.py", "from pathlib import Path\nclass _Blade: pass\nclass BandSaw: pass\nsmall = 1\n")
    assert plugins.load("some_tools", "band-saw").__name__ == "BandSaw"


@pytest.mark.parametrize("name", ["band_saw", "bandsaw", "Band-Saw", "", "../hammer", "_base"])
def test_load_knows_exact_names_alone(write: Write, name: str) -> None:
    write("band_saw.py", "class BandSaw: pass")
    write("_base.py", "class Base: pass")
    with pytest.raises(InputError, match=r"some_tool is one of band-saw; got "):
        plugins.load("some_tools", name)


def test_load_of_a_plugin_whose_package_is_not_installed(write: Write) -> None:
    write("laser.py", "import no_such_package.optics\nclass Laser: pass")
    with pytest.raises(MissingError, match=r"'laser' needs the Python package 'no_such_package'.*pip install no_"):
        plugins.load("some_tools", "laser")


def test_load_names_the_package_that_is_installed_in_part(write: Write) -> None:
    write("laser.py", "import json.optics\nclass Laser: pass")
    with pytest.raises(MissingError, match=r"needs the Python package 'json'"):
        plugins.load("some_tools", "laser")


def test_load_does_not_hide_a_bug_of_our_own(write: Write) -> None:
    write("laser.py", "import ftax_model.no_such_module")
    with pytest.raises(ModuleNotFoundError, match=r"ftax_model\.no_such_module"):
        plugins.load("some_tools", "laser")


@pytest.mark.parametrize("text", ["", "class A: pass\nclass B: pass", "from pathlib import Path"])
def test_load_wants_exactly_one_class(write: Write, text: str) -> None:
    write("heap.py", text)
    with pytest.raises(TypeError, match=r"some_tools\.heap must define exactly one public class"):
        plugins.load("some_tools", "heap")


def test_path_finds_both_spellings_of_a_file(write: Write) -> None:
    write("rust_belt.toml", "")
    write("anvil.toml", "")
    assert plugins.path("some_tools", "rust-belt", suffix=".toml").name == "rust_belt.toml"
    assert plugins.path("some_tools", "anvil", suffix=".toml").name == "anvil.toml"
    with pytest.raises(InputError, match=r"is one of anvil, rust-belt; got 'anvils'; did you mean 'anvil'\?"):
        plugins.path("some_tools", "anvils", suffix=".toml")


def test_check_says_nothing_of_a_known_name() -> None:
    plugins.check("eager", {"eager": 1, "inductor": 2}, what="framework")


def test_check_names_the_nearest_and_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        plugins.check("eagre", (name for name in ("eager", "inductor")), what="framework")
    assert str(caught.value) == "framework is one of eager, inductor; got 'eagre'; did you mean 'eager'?"


@pytest.mark.parametrize("name", ["gpu", None, 3, ["gpu"]])
def test_check_refuses_any_value_that_is_not_a_name(name: str) -> None:
    with pytest.raises(InputError, match="choose one of those"):
        plugins.check(name, ["eager"], what="framework")
