"""Archives of torch: those of strangers run code as soon as torch reads them, and so it does not without trust."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ftax_model.cli import main
from ftax_model.errors import DataError, InputError
from ftax_model.tracing import sources

spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert spec is not None
assert spec.loader is not None
hostile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile)

pytestmark = pytest.mark.filterwarnings("ignore:.*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def programs(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = hostile.programs(folder)
    return found


@pytest.fixture(scope="module")
def scripts(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = hostile.scripts(folder)
    return found


@pytest.fixture(autouse=True)
def clean(folder: Path) -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    for file in folder.glob("*.fired"):
        file.unlink()


def fired(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.fired"))


def test_pickles_and_expressions_of_a_program_run_when_torch_loads_it(folder: Path, programs: dict[str, Path]) -> None:
    for file in programs.values():
        try:
            torch.export.load(file)
        except Exception as error:
            assert str(error)
    assert fired(folder) == sorted(programs)


def test_a_script_runs_when_torch_loads_or_calls_it_and_its_pickles_do_not(
    folder: Path, scripts: dict[str, Path]
) -> None:
    for name, file in scripts.items():
        if name.endswith(".pkl"):
            with pytest.raises(RuntimeError, match="Unknown type name"):
                torch.jit.load(str(file))
        else:
            module = torch.jit.load(str(file))
            assert (name in fired(folder)) == (name == "loaded")
            module(torch.zeros(2, 4))
    assert fired(folder) == ["called", "loaded"]


def test_without_trust_nothing_is_loaded(folder: Path, programs: dict[str, Path], scripts: dict[str, Path]) -> None:
    for file in programs.values():
        for load in (sources.of_export, sources.program, sources.find):
            with pytest.raises(InputError, match=r"runs code of whoever wrote it.*add --trust"):
                load(file)
    shapes: dict[str, Any] = {"shapes": {"x": (2, 4)}}
    for file in scripts.values():
        with pytest.raises(InputError, match=r"runs code of whoever wrote it.*add --trust"):
            sources.of_torchscript(file, **shapes)
    assert not fired(folder)


def test_with_trust_they_are_loaded_or_refused_in_one_line(
    folder: Path, programs: dict[str, Path], scripts: dict[str, Path]
) -> None:
    plain = sources.of_export(folder / "plain.pt2", trust=True)
    script = sources.of_torchscript(folder / "plain.pt", shapes={"x": (2, 4)}, trust=True)
    assert plain.trace(8).features()["macs"] == script.trace(8).features()["macs"] == 8 * 16
    for content in (b"", b"PK\x03\x04", (folder / "plain.pt2").read_bytes()[:-50], b"\x80\x02."):
        (folder / "cut.pt2").write_bytes(content)
        with pytest.raises(DataError, match=r"torch\.export\.save"):
            sources.of_export(folder / "cut.pt2", trust=True)
        with pytest.raises(DataError, match=r"torch\.jit\.save"):
            sources.of_torchscript(folder / "cut.pt2", shapes={"x": (2, 4)}, trust=True)


@pytest.mark.parametrize("command", ["trace", "predict", "measure"])
@pytest.mark.usefixtures("programs", "scripts")
def test_the_command_line_asks_for_trust(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--export", "plain.pt2"], ["--torchscript", "plain.pt", "--shape", "x=2x4"]):
        assert main([command, words[0], str(folder / words[1]), *words[2:]]) == 2
        shown = capsys.readouterr()
        assert "add --trust" in shown.err
        assert shown.err.strip().count("\n") == 0
    assert main(["trace", "--export", str(folder / "plain.pt2"), "--trust"]) == 0
    assert main(["trace", "--torchscript", str(folder / "plain.pt"), "--shape", "x=2x4", "--trust"]) == 0
