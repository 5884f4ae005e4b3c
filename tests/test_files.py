"""Reading files of anybody: plain values or one refusal, and never all of the memory."""

from __future__ import annotations

import gzip
import json
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
