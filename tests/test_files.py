"""Reading files of anybody: plain values or one refusal, and never all of the memory."""

from __future__ import annotations

import ast
import errno
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ftax_model import files
from ftax_model.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda own: st.lists(own, max_size=4) | st.dictionaries(st.text("ab\"'\\é", max_size=4), own, max_size=4),
)  # fmt: skip
REPEATED = "- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcde", "bcdef", strict=True)
)


@given(PLAIN)
def test_json_of_plain_values_is_read_as_json_reads_it(value: Any) -> None:
    assert files.parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' twice"),
        ("NaN", "NaN, which is no number"),
        ('{"a": -Infinity}', "-Infinity, which is no number"),
        ("[1e999]", "not finite"),
        ("-1" + "0" * 400 + ".0", "not finite"),
        (str(2**63), "beyond 64 bits"),
        ("1" * 5000, "digits"),
        ("[" * 65 + "]" * 65, "within each other more than 64 times"),
        ('{"a":' * 100_000, "within each other more than 64 times"),
        ('"\\ud800"', "surrogates not allowed"),
        ("", "not JSON"),
        ('{"a": 1} x', "not JSON"),
    ],
)
def test_json_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        files.parse_json(text)


def test_json_in_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        files.parse_json(b'"\xff"')


@pytest.mark.parametrize("file", sorted((ROOT / "ftax_model").rglob("*.yaml")), ids=lambda file: file.name)
def test_yaml_of_the_project_is_read_as_yaml_reads_it(file: Path) -> None:
    assert files.read_yaml(file, law="YAML") == yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{a: 1, a: 2}", "a key twice"),
        ("a: &x {b: 1}\nc: {<<: [*x, *x]}", "one mapping, not several"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("&a [*a]", "within each other more than 64 times"),
        ("[" * 50_000, "within each other more than 64 times"),
        (REPEATED, "more than 100,000 values"),
        ("a: .inf", "not finite"),
        ("a: 0x" + "f" * 1000, "beyond 64 bits"),
        ("a: 2020-13-45", "month"),
        ("? [a]\n: b", "unhashable key"),
        ("\0", "not allowed"),
    ],
)
def test_yaml_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        files.parse_yaml(text)


def test_what_was_merged_may_be_told_anew_and_merged_again() -> None:
    text = "a: &x {b: 1}\nc: &y {<<: *x, b: 2}\nd: {<<: *y, b: 3}\ne: {<<: *y}"
    assert files.parse_yaml(text) == {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 3}, "e": {"b": 2}}


@pytest.mark.parametrize("read", [files.read, files.read_json, files.read_yaml, files.read_toml, files.lines])
def test_files_that_cannot_be_read_say_the_law_and_the_path(tmp_path: Path, read: Any) -> None:
    packed = gzip.compress(b"[1, 2, 3]" * 100)
    (tmp_path / "cut.gz").write_bytes(packed[:-9])
    (tmp_path / "none.gz").write_bytes(b"[1, 2, 3]")
    (tmp_path / "flipped.gz").write_bytes(packed[:20] + bytes([packed[20] ^ 255]) + packed[21:])
    for name in ("missing", "missing.gz", "", "cut.gz", "none.gz", "flipped.gz"):
        with pytest.raises(DataError, match=r"the law; got .*; do this") as caught:
            list(read(tmp_path / name, law="the law", do="do this"))
        assert str(tmp_path) in str(caught.value)


def test_what_unpacks_to_too_much_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    monkeypatch.setattr(files, "_ANYWAY", 100_000)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b"0" * 1_000_000))
    with pytest.raises(DataError, match=r"more than 5,000 bytes"):
        files.read(bomb, law="the law", most=5000)
    with pytest.raises(DataError, match="a line of more than"):
        list(files.lines(bomb, law="the law"))
    bomb.write_bytes(gzip.compress(b"0\n" * 1_000_000))
    with pytest.raises(DataError, match="more than 200 times its size"):
        list(files.lines(bomb, law="the law"))
    bomb.with_suffix("").write_bytes(b"0\n" * 1_000_000)
    assert sum(1 for _ in files.lines(bomb.with_suffix(""), law="the law")) == 1_000_000
    with pytest.raises(DataError, match="bytes"):
        files.read_json("/dev/zero", law="the law")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "some.json"
    path.write_bytes(b"old")
    return path


def beside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_what_is_written_takes_the_place_of_what_was_there_and_keeps_its_permissions(old: Path) -> None:
    old.chmod(0o640)
    assert files.write(old, b"new") == old
    assert files.write(old.with_name("parts"), iter([b"ne", b"w"])).read_bytes() == old.read_bytes() == b"new"
    assert (old.stat().st_mode & 0o777) == 0o640
    assert beside(old) == ["parts", "some.json"]


def test_a_new_file_has_the_permissions_that_a_new_file_has(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert (files.write(tmp_path / "new", b"").stat().st_mode & 0o777) == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("there", [True, False])
def test_of_a_link_what_it_points_to_is_written(old: Path, there: bool) -> None:
    link = old.with_name("link")
    link.symlink_to(old.name)
    if not there:
        old.unlink()
    files.write(link, b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"
    assert beside(old) == ["link", "some.json"]


class Full:
    """Fails as a disk without room, in the middle of what is written."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_cannot_be_written_whole_leaves_what_was_there(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="No space left"):
        files.write(old, Full())

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for what in ("fsync", "fchmod", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(Path if what == "replace" else os, what, fails)
            with pytest.raises(DataError, match="Input/output error"):
                files.write(old, b"new")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.write(old, b"new")
    assert old.read_bytes() == b"old"
    assert beside(old) == ["some.json"]


def test_places_that_take_no_file_are_told_before_and_when_it_is_written(old: Path) -> None:
    loop = old.with_name("loop")
    loop.symlink_to(loop.name)
    reasons = {
        old.parent: "Is a directory",
        old / "within": "Not a directory",
        old.parent / "missing" / "file": "No such file or directory",
        old.with_name("x" * 300): "File name too long",
        old.with_name("nul\0"): "null byte",
        loop: "Too many levels of symbolic links",
    }
    for path, why in reasons.items():
        for attempt in (files.check, lambda path: files.write(path, b"new")):
            with pytest.raises(DataError, match=f"{why}; choose another path"):
                attempt(path)
    files.check(old)
    assert beside(old) == ["loop", "some.json"]


def test_a_folder_that_vanishes_meanwhile_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def parts() -> Iterator[bytes]:
        yield b"half"
        folder.rename(tmp_path / "elsewhere")

    with pytest.raises(DataError, match="No such file"):
        files.write(folder / "file", parts())


def test_what_is_no_plain_file_is_written_to(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    files.write(pipe, b"new")
    reader.join()
    assert got == [b"new"]
    assert pipe.is_fifo()
    files.write("/dev/null", b"new")
    with pytest.raises(DataError, match="/dev/full: No space left"):
        files.write("/dev/full", b"new")


def test_standard_output_gets_what_is_written_to_it_in_order(tmp_path: Path) -> None:
    code = "from ftax_model import files; print('first'); files.write({!r}, b'second\\n'); print('third')"
    for out in (tmp_path / "out", tmp_path / "same"):
        place = "/dev/stdout" if out.name == "out" else str(out)
        with out.open("wb") as stdout:
            subprocess.run([sys.executable, "-c", code.format(place)], stdout=stdout, check=True)
        assert out.read_text() == "first\nsecond\nthird\n"


def test_what_killed_processes_left_goes_and_what_is_being_written_stays(old: Path) -> None:
    left = [old.with_name(f"some.json.{digits}.part") for digits in ("01234567", "89abcdef")]
    others = [old.with_name(name) for name in ("some.json.old.part", "some.json.part", "other.json.01234567.part")]
    for one in (*left, *others):
        one.touch()
    inner = old.with_name("inner")

    def parts() -> Iterator[bytes]:
        yield b"ne"
        assert len([name for name in beside(old) if name.startswith("some.json.")]) == 3
        files.write(old, b"between")
        files.write(inner, old.read_bytes())
        yield b"w"

    files.write(old, parts())
    assert (old.read_bytes(), inner.read_bytes()) == (b"new", b"between")
    assert beside(old) == sorted(["some.json", "inner", *(one.name for one in others)])


def test_a_file_taken_for_a_leftover_before_it_is_locked_is_made_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, calls = files.fcntl.flock, []

    def late(file: Any, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            Path(file.name).unlink()
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    assert files.write(old, b"new").read_bytes() == b"new"
    assert len(calls) == 2


WRITERS = {"write_bytes", "write_text", "savefig", "savez", "to_csv", "to_parquet", "to_json", "to_html", "dump"}
"""Calls that write to a path, or to memory."""
LEFT_ALONE = {
    ("ftax_model/collection/telemetry.py", "write_text"),  # of /proc
    ("ftax_model/collection/worker.py", "write_text"),  # of /proc
    ("ftax_model/dataset/__init__.py", "open"),  # the one file that grows
    ("ftax_model/files.py", "open"),
    ("scripts/check_decisions.py", "write_text"),  # of a folder that goes with it
}


def test_every_file_is_written_in_one_place() -> None:
    found = set()
    for file in [*(ROOT / "ftax_model").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        if file.name.startswith(("torture_", "fuzz_")):  # they spoil files
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := written(node)):
                found.add((str(file.relative_to(ROOT)), name))
    assert found == LEFT_ALONE


def written(call: ast.Call) -> str:
    """The name of a call that writes to a path; empty where it does not."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = [*call.args, *(one.value for one in call.keywords)]
    if name == "open":
        modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return name if any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes) else ""
    in_memory = call.args and isinstance(call.args[0], ast.Name) and call.args[0].id in {"content", "picture"}
    return name if name in WRITERS and call.args and not in_memory else ""
