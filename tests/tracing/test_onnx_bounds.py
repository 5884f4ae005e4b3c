"""ONNX files of anybody: what they name outside of their folder and what grows without end is refused when read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ftax_model.cli import main
from ftax_model.errors import DataError, FtaxError
from ftax_model.tracing import onnx_graph, sources


@pytest.fixture
def made(script: Callable[[str], ModuleType]) -> Any:
    return script("torture_models")


def net(folder: Path, content: bytes) -> Path:
    file = folder / "net.onnx"
    file.write_bytes(content)
    return file


def test_weights_lie_in_the_folder_of_the_file(made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "in").mkdir(parents=True)
    secret = tmp_path / "secret"
    np.arange(2, dtype=np.float32).tofile(secret)
    (folder / "in" / "w.bin").write_bytes(secret.read_bytes())
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    for place in ("in/w.bin", "./in/w.bin", "gone.bin"):
        node = made.make("Add", ["x", "w"], ["y"])
        file = net(folder, made.graph([node], [made.elsewhere(place)], inputs=inputs(made)))
        assert sources.of_onnx(file).trace().features()["n_ops"] == 1
    for place in (
        "../secret",
        str(secret),
        "in/../../secret",
        "link",
        "up/secret",
        "pipe",
        "in",
        "/dev/zero",
        "",
        "a\0b",
    ):
        file = net(folder, made.graph([made.make("Add", ["x", "w"], ["y"])], [made.elsewhere(place)]))
        with pytest.raises(DataError, match="weights outside of its folder"):
            sources.of_onnx(file)


def inputs(made: Any) -> list[Any]:
    return [made.helper.make_tensor_value_info("x", made.FLOAT, ["n", 2])]


def test_weights_of_a_constant_in_a_branch_lie_there_too(made: Any, tmp_path: Path) -> None:
    output = [made.helper.make_empty_tensor_value_info("o")]
    node = made.make("Constant", [], ["o"], value=made.elsewhere("/etc/passwd"))
    branch = made.helper.make_graph([node], "b", [], output)
    both = {"then_branch": branch, "else_branch": branch}
    file = net(tmp_path, made.graph([made.make("If", ["x"], ["y"], **both)]))
    with pytest.raises(DataError, match="weights outside of its folder"):
        sources.of_onnx(file)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("functions, 7 deep and 10 wide", "more than 100,000 nodes"),
        ("functions, 60 deep and 2 wide", "more than 100,000 nodes"),
        ("functions, 300 deep and 1 wide", "more than 64 times"),
        ("functions in a circle", "more than 64 times"),
        ("choices, 10,000 deep", "DecodeError"),
        ("a constant of (-3,) and type 1", "a constant 'w' of -3 elements"),
        (f"a constant of ({2**60},) and type 1", "a constant 'w' of"),
        ("a constant of (2,) and type 99", "a constant 'w' of type 99"),
        ("too many nodes", "more than 100,000 nodes"),
        ("nothing", "no nodes"),
        ("text", "DecodeError"),
    ],
)
def test_what_grows_without_end_is_refused_when_read(name: str, said: str, made: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        onnx_graph.read(net(tmp_path, made.onnx_files()[name]))


def test_functions_are_laid_out_where_they_are_few(made: Any, tmp_path: Path) -> None:
    assert len(onnx_graph.read(net(tmp_path, made.functions(3, 10))).graph.node) == 1000


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for place in (tmp_path / "pipe.onnx", tmp_path, Path("/dev/zero"), tmp_path / "none.onnx"):
        with pytest.raises(DataError, match="no file"):
            onnx_graph.read(place)
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate((1 << 31) + 1)
    with pytest.raises(DataError, match="more than 2,147,483,647 bytes"):
        onnx_graph.read(tmp_path / "large.onnx")


def test_the_command_line_says_one_line(made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("weights in '/etc/passwd'", "a loop without body", "Tile, looked at", "a circle"):
        assert main(["trace", "--onnx", str(net(tmp_path, made.onnx_files()[name]))]) == 2
        assert capsys.readouterr().err.strip().count("\n") == 0


def test_inputs_that_no_machine_holds_are_not_made(made: Any, tmp_path: Path) -> None:
    large = [made.helper.make_tensor_value_info("x", made.FLOAT, [1, 2**40])]
    sweep = onnx_graph.OnnxSweep(net(tmp_path, made.graph([made.make("Relu", ["x"], ["y"])], inputs=large)))
    assert sweep([1])[1].features()["n_ops"] == 1
    with pytest.raises(FtaxError, match="at most 1,073,741,824 elements"):
        sweep.inputs(1)
