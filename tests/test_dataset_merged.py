"""Merging: one dataset of several, no record lost or chosen behind anybody's back, and all of it or nothing."""

from __future__ import annotations

import dataclasses
import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftax_model import dataset, files
from ftax_model.cli import main
from ftax_model.dataset import packed
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Cell, Measurement, Profile, Record
from ftax_model.workload import Workload


def measured(batch_size: int, latency_s: float | None = 1e-3, *, kind: type[Any] = Measurement, **more: Any) -> Any:
    """A record of one of the cells; one that failed where there is no latency."""
    cell = Cell(Workload("toy", {"num_layers": 2}, batch_size=batch_size), "fake", "here")
    if latency_s is None:
        return kind(cell, status="timeout", reason="took too long", **more)
    return kind(cell, latency_s=latency_s, **({"profiled_s": 1e-2} if kind is Profile else {}), **more)


def failed(batch_size: int, **more: Any) -> Any:
    return measured(batch_size, None, **more)


def wrote(path: Path, records: Iterable[Record], kind: type[Record] = Measurement) -> Path:
    with dataset.Writer(path, kind) as writer:
        for one in records:
            writer.write(one)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tables(found: Iterable[dataset.Merged]) -> list[tuple[int, int, int, int]]:
    return [(one.records, one.taken, one.same, one.decided) for one in found]


def test_the_very_lines_are_put_together_in_order_and_what_is_the_same_counts_once(here: Path) -> None:
    one = wrote(here / "one.jsonl", [measured(4), measured(1)])
    two = wrote(here / "two.jsonl", [measured(2), measured(1), failed(8)])
    found = dataset.merge([one, two], here / "all.jsonl")
    assert tables(found) == [(2, 2, 0, 0), (3, 2, 1, 0)]
    lines = [*one.read_bytes().splitlines(), *(two.read_bytes().splitlines()[at] for at in (0, 2))]
    assert (here / "all.jsonl").read_bytes().splitlines() == lines
    assert dataset.read(here / "all.jsonl") == [measured(4), measured(1), measured(2), failed(8)]


def test_the_same_is_what_says_the_same_however_it_is_written(here: Path) -> None:
    one = wrote(here / "one.jsonl", [measured(1, environment={"os": "Linux", "cores": 2})])
    record = json.loads(one.read_text())
    other = {name: record[name] for name in reversed(record)} | {"environment": {"cores": 2, "os": "Linux"}}
    (here / "two.jsonl").write_text(json.dumps(other, indent=None) + "\n\n")
    assert tables(dataset.merge([one, here / "two.jsonl"], here / "all.jsonl")) == [(1, 1, 0, 0), (1, 0, 1, 0)]


@pytest.mark.parametrize("form", dataset.SUFFIXES)
def test_every_form_that_is_read_is_merged(here: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "GROUP", 2)
    records = [measured(size) for size in (4, 1, 2, 16, 8)]
    one, other = wrote(here / "plain.jsonl", records), here / f"one{form}"
    if form == ".jsonl.gz":
        other.write_bytes(gzip.compress(one.read_bytes()))
    elif form == packed.SUFFIX:
        dataset.pack(one, other)
    two = wrote(here / "two.jsonl", [measured(32)])
    found = dataset.merge([other if other.exists() else one, two], here / "all.jsonl")
    assert tables(found) == [(5, 5, 0, 0), (1, 1, 0, 0)]
    assert (here / "all.jsonl").read_bytes() == one.read_bytes() + two.read_bytes()


def test_shipped_datasets_are_merged_by_name_and_what_is_merged_is_all_of_them(here: Path) -> None:
    names = ["nvidia-h200", "intel-xeon-amx-2core"]
    dataset.merge(names, here / "all.jsonl")
    lines = b"".join(gzip.decompress(dataset.find(name).read_bytes()) for name in names)
    assert (here / "all.jsonl").read_bytes() == lines


SLOW, FAST = 2e-3, 1e-3
DECIDED: dict[str, tuple[Any, ...]] = {
    "good before failed, whatever is preferred": (("first", "last", "ok"), [[failed(1)], [measured(1)]], 1),
    "nor is a good one given up": (("first", "last", "ok"), [[measured(1)], [failed(1)]], 0),
    "the first of two good ones": (("first",), [[measured(1, SLOW)], [measured(1, FAST)]], 0),
    "the last of two good ones": (("last",), [[measured(1, SLOW)], [measured(1, FAST)]], 1),
    "of two failed ones the first": (("first", "ok"), [[failed(1)], [failed(1, measured_at="later")]], 0),
    "the last of two failed ones": (("last",), [[failed(1)], [failed(1, measured_at="later")]], 1),
    "the last good one of three": (("last",), [[measured(1, SLOW)], [measured(1, FAST)], [failed(1)]], 1),
    "a good one before failures on both sides": (("ok", "first"), [[failed(1)], [measured(1)], [failed(1)]], 1),
}


@pytest.mark.parametrize(("preferences", "records", "taken"), DECIDED.values(), ids=DECIDED.keys())
def test_where_records_differ_what_is_preferred_is_taken(
    here: Path, preferences: tuple[str, ...], records: list[list[Measurement]], taken: int
) -> None:
    paths = [wrote(here / f"{at}.jsonl", own) for at, own in enumerate(records)]
    with pytest.raises(DataError, match="a cell has one record"):
        dataset.merge(paths, here / "all.jsonl")
    for prefer in preferences:
        found = dataset.merge(paths, here / f"{prefer}.jsonl", prefer=prefer)
        assert dataset.read(here / f"{prefer}.jsonl") == records[taken]
        assert [one.taken for one in found] == [int(at == taken) for at in range(len(paths))]
        assert all(one.records == one.taken + one.same + one.decided for one in found)


def test_a_difference_that_nobody_decides_is_told_in_one_line_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(here / "one.jsonl", [measured(1), measured(2), measured(4), failed(8)])
    wrote(here / "two.jsonl", [measured(4, SLOW), measured(2, SLOW), measured(1), measured(8)])
    before = {*here.iterdir()}
    for options, count, cure in (((), 3, "first or last or ok"), (("--prefer", "ok"), 2, "first or last")):
        assert main(["merge", "one.jsonl", "two.jsonl", "--out", "all.jsonl", *options]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert (
            f"got {count} of which records differ, first {measured(4).cell.key} in one.jsonl and two.jsonl" in said.err
        )
        assert said.err.endswith(f"choose: --prefer {cure}\n")
        assert {*here.iterdir()} == before


def test_profiles_beside_are_merged_alike(here: Path) -> None:
    for name, sizes in (("one", (1, 2)), ("two", (2, 4))):
        file = wrote(here / f"{name}.jsonl", [measured(size) for size in sizes])
        wrote(dataset.operators_file(file), [measured(size, kind=Profile) for size in sizes], Profile)
    wrote(here / "three.jsonl", [measured(8)])
    dataset.pack(here / "two.jsonl", here / "packed.parquet")
    found = dataset.merge(["one.jsonl", "packed.parquet", "three.jsonl"], "all.jsonl")
    assert [Path(one.file).name for one in found][3:] == ["one.operators.jsonl", "packed.operators.parquet"]
    assert tables(found) == [(2, 2, 0, 0), (2, 1, 1, 0), (1, 1, 0, 0), (2, 2, 0, 0), (2, 1, 1, 0)]
    assert [one.cell.workload.batch_size for one in dataset.read("all.operators.jsonl", Profile)] == [1, 2, 4]
    dataset.merge(["one.operators.jsonl", "two.operators.jsonl"], "alone.operators.jsonl")
    assert (here / "alone.operators.jsonl").read_bytes() == (here / "all.operators.jsonl").read_bytes()


def test_profiles_that_differ_are_refused_before_the_dataset_is_written(here: Path) -> None:
    for name, latency_s in (("one", FAST), ("two", SLOW)):
        wrote(here / f"{name}.jsonl", [measured(1)])
        wrote(here / f"{name}.operators.jsonl", [measured(1, latency_s, kind=Profile)], Profile)
    with pytest.raises(DataError, match=r"1 of which records differ.*two\.operators\.jsonl"):
        dataset.merge(["one.jsonl", "two.jsonl"], "all.jsonl")
    assert not (here / "all.jsonl").exists()
    dataset.merge(["one.jsonl", "two.jsonl"], "all.jsonl", prefer="last")
    assert dataset.read("all.operators.jsonl", Profile)[0].latency_s == SLOW


def test_what_is_there_is_replaced_where_that_is_said(here: Path) -> None:
    one, two = wrote(here / "one.jsonl", [measured(1)]), wrote(here / "two.jsonl", [measured(2)])
    before = one.read_bytes()
    with pytest.raises(DataError, match=r"overwrites nothing; got one\.jsonl is there; .*--replace"):
        dataset.merge(["one.jsonl", "two.jsonl"], "one.jsonl")
    assert one.read_bytes() == before
    dataset.merge(["one.jsonl", "two.jsonl"], "one.jsonl", replace=True)  # itself one of them
    assert one.read_bytes() == before + two.read_bytes()


@pytest.mark.parametrize("suffix", dataset.SUFFIXES)
def test_profiles_of_other_cells_are_not_left_beside_a_merged_dataset(here: Path, suffix: str) -> None:
    wrote(here / "one.jsonl", [measured(1)])
    (here / f"all.operators{suffix}").write_text("of something else\n")
    with pytest.raises(DataError, match="overwrites nothing"):
        dataset.merge(["one.jsonl"], "all.jsonl")
    with pytest.raises(DataError, match="profiles beside a dataset are of its cells"):
        dataset.merge(["one.jsonl"], "all.jsonl", replace=True)
    assert not (here / "all.jsonl").exists()


def test_what_another_one_is_writing_is_not_replaced(here: Path) -> None:
    wrote(here / "one.jsonl", [measured(1)])
    with dataset.Writer("all.jsonl") as writer:
        with pytest.raises(DataError, match="another one at work"):
            dataset.merge(["one.jsonl"], "all.jsonl", replace=True)
        writer.write(measured(2))
    assert dataset.read("all.jsonl") == [measured(2)]


REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no such file": ((["none.jsonl"], "all.jsonl"), {}, "no file none.jsonl"),
    "a key twice in one": ((["twice.jsonl"], "all.jsonl"), {}, "again"),
    "words": ((["one.jsonl", "words.jsonl"], "all.jsonl"), {}, "words.jsonl line 1"),
    "measurements among profiles": ((["one.jsonl", "some.operators.jsonl"], "all.jsonl"), {}, "fields of Measurement"),
    "no dataset in the way": ((["one.jsonl"], "words.jsonl"), {"replace": True}, "words.jsonl line 1"),
    "compressed": ((["one.jsonl"], "all.jsonl.gz"), {}, "ftax pack"),
    "packed": ((["one.jsonl"], "all.parquet"), {}, "ftax pack"),
    "in no folder": ((["one.jsonl"], "none/all.jsonl"), {}, "No such file"),
    "unknown preference": ((["one.jsonl"], "all.jsonl"), {"prefer": "frist"}, "did you mean 'first'"),
}


@pytest.mark.parametrize(("arguments", "options", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_merged_is_refused(
    here: Path, arguments: tuple[Any, ...], options: dict[str, Any], says: str
) -> None:
    wrote(here / "one.jsonl", [measured(1)])
    (here / "twice.jsonl").write_bytes(2 * (here / "one.jsonl").read_bytes())
    (here / "words.jsonl").write_text("these are\nwords\n")
    wrote(here / "some.operators.jsonl", [measured(1, kind=Profile, events=1)], Profile)
    before = {file: file.read_bytes() for file in here.iterdir()}
    with pytest.raises((DataError, InputError)) as refused:
        dataset.merge(*arguments, **options)
    assert says in str(refused.value)
    assert {file: file.read_bytes() for file in here.iterdir()} == before


def test_a_last_line_that_is_cut_off_is_left_out_and_said_once(here: Path) -> None:
    one = wrote(here / "one.jsonl", [measured(1), measured(2)])
    one.write_bytes(one.read_bytes()[:-30])
    with pytest.warns(dataset.DatasetWarning, match="cut off") as said:
        dataset.merge([one], "all.jsonl")
    assert len(said) == 1
    assert dataset.read("all.jsonl") == [measured(1)]


def replaced(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.001", b"0.002"))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


@pytest.mark.parametrize("meddle", [replaced, shortened])
def test_a_file_that_changes_meanwhile_is_found_out_and_nothing_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], None]
) -> None:
    one = wrote(here / "one.jsonl", [measured(1), measured(2)])
    check = dataset.Ledger.check

    def meddled(ledger: dataset.Ledger) -> None:
        check(ledger)
        meddle(one)

    monkeypatch.setattr(dataset.Ledger, "check", meddled)
    with pytest.raises(DataError, match="other lines than a moment ago"):
        dataset.merge([one], "all.jsonl")
    assert [*here.iterdir()] == [one]


def test_what_is_appended_meanwhile_is_left_for_the_next_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = wrote(here / "one.jsonl", [measured(1)])
    check = dataset.Ledger.check

    def meddled(ledger: dataset.Ledger) -> None:
        check(ledger)
        wrote(one, [measured(2)])

    monkeypatch.setattr(dataset.Ledger, "check", meddled)
    dataset.merge([one], "all.jsonl")
    assert dataset.read("all.jsonl") == [measured(1)]


def test_a_disk_that_is_full_leaves_no_part_of_the_output(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = wrote(here / "one.jsonl", [measured(1)])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        dataset.merge([one], "all.jsonl")
    assert [*here.iterdir()] == [one]


@pytest.mark.parametrize("packing", [False, True])
def test_memory_grows_with_the_cells_and_not_with_their_records(
    here: Path, monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    monkeypatch.setattr(packed, "GROUP", 10)
    peaks, sizes = [], []
    for count in (40, 120):
        records = [measured(size, samples=(1e-3,) * 2000) for size in range(1, count + 1)]
        paths = [wrote(here / f"{count}-{at}.jsonl", records[at::2]) for at in (0, 1)]
        if packing:
            paths = [dataset.pack(path, path.with_suffix(".parquet"))[0] for path in paths]
        dataset.merge(paths[:1], here / f"first-of-{count}.jsonl")  # what is imported and kept is by now
        monkeypatch.setattr(packed, "_together", None)  # what would hold all records at once
        tracemalloc.start()
        dataset.merge(paths, here / f"{count}.jsonl")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append((here / f"{count}.jsonl").stat().st_size)
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 10


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.dictionaries(st.integers(1, 4), st.sampled_from([None, 1.0, 2.0])), min_size=1, max_size=4))
def test_the_winner_is_what_a_look_at_all_records_of_a_cell_says(
    here: Path, parts: list[dict[int, float | None]]
) -> None:
    for file in here.iterdir():
        file.unlink()
    paths = [
        wrote(here / f"{at}.jsonl", [measured(size, latency_s) for size, latency_s in own.items()])
        for at, own in enumerate(parts)
    ]
    for prefer, which in (("first", 0), ("last", -1)):
        expected = {}
        for size in {size for own in parts for size in own}:
            seen = [own[size] for own in parts if size in own]
            good = [one for one in seen if one is not None]
            expected[size] = good[which] if good else None
        found = dataset.merge(paths, f"{prefer}.jsonl", prefer=prefer)
        own = dataset.read(f"{prefer}.jsonl")
        assert {one.cell.workload.batch_size: one.latency_s for one in own} == expected
        assert sum(one.taken for one in found) == len(own) == len(expected)
        assert [one.records for one in found] == [*map(len, parts)]


def test_how_far_merging_is_rises_to_all_of_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_OFTEN", 1)
    paths = [wrote(here / f"{at}.jsonl", [measured(2 * at + 1), measured(2 * at + 2)]) for at in (0, 1)]
    told: list[tuple[int, float]] = []
    dataset.merge(paths, "all.jsonl", tell=lambda *own: told.append(own))
    assert told == sorted(told)
    assert told[-1] == (8, 1.0)  # each is read twice


def test_records_are_those_of_the_file_one_by_one(here: Path) -> None:
    path = wrote(here / "one.jsonl", [measured(1), failed(2)])
    coming = dataset.records(path)
    assert next(coming) == measured(1)
    assert [*coming] == [failed(2)]
    assert [*dataset.records("nvidia-h200")] == dataset.read(dataset.find("nvidia-h200"))


def test_the_command_tells_what_became_of_each_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrote(here / "one.jsonl", [measured(1), measured(2, SLOW)])
    wrote(here / "two.jsonl", [measured(1), measured(2, FAST), measured(4)])
    options = ["merge", "one.jsonl", "two.jsonl", "--prefer", "last"]
    assert main([*options, "--out", "all.jsonl"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == [
        ["file", "records", "taken", "same", "decided"],
        ["one.jsonl", "2", "1", "0", "1"],
        ["two.jsonl", "3", "2", "1", "0"],
    ]
    assert rows[3][0] == "all.jsonl:"
    assert main([*options, "--out", "all.jsonl", "--replace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"file": "one.jsonl", "records": 2, "taken": 1, "same": 0, "decided": 1},
        {"file": "two.jsonl", "records": 3, "taken": 2, "same": 1, "decided": 0},
    ]
    assert dataset.read("all.jsonl")[1] == dataclasses.replace(measured(2), latency_s=FAST)
