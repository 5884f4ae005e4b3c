"""Datasets: what is written comes back, a crash costs one line, and nonsense is refused without harm."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from ftax_model import architectures, dataset, files
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import CLOCKS, Cell, Measurement, Profile
from ftax_model.operators import FEATURES, Operator, OperatorTiming
from ftax_model.workload import Workload


def measured(batch_size: int, *, repeat: int = 0, latency_s: float = 1e-3) -> Measurement:
    cell = Cell(Workload("toy", {"num_layers": 2}, batch_size=batch_size), "fake", "fake", repeat=repeat)
    features = {"macs": 64.0 * batch_size, "n_ops": 2.0}
    return Measurement(cell, latency_s=latency_s, samples=(latency_s,) * 4, calls_per_block=5, features=features)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "some.jsonl"
    with dataset.Writer(file) as writer:
        for batch_size in (1, 2, 4):
            writer.write(measured(batch_size))
    return file


def test_what_is_written_comes_back(path: Path) -> None:
    assert dataset.read(path) == [measured(size) for size in (1, 2, 4)]


def test_compressed_files_read_the_same(path: Path) -> None:
    compressed = path.with_suffix(".jsonl.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert dataset.read(compressed) == dataset.read(path)


def test_writer_goes_on_and_knows_what_is_done(path: Path) -> None:
    with dataset.Writer(path) as writer:
        assert writer.done == {measured(size).cell.key: ("ok", measured(size).latency_s) for size in (1, 2, 4)}
        writer.write(measured(8))
    assert len(dataset.read(path)) == 4


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_last_line_cut_off_costs_that_line_alone(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    if cut == 1:  # only the newline is missing: nothing is lost
        assert len(dataset.read(path)) == 3
        with dataset.Writer(path) as writer:
            writer.write(measured(8))
        assert len(dataset.read(path)) == 4
        return
    with pytest.warns(dataset.DatasetWarning, match="cut off"):
        assert dataset.read(path) == [measured(1), measured(2)]
    assert path.read_bytes() == whole[:-cut]
    with pytest.warns(dataset.DatasetWarning, match="cut off"), dataset.Writer(path) as writer:
        assert measured(4).cell.key not in writer.done
        writer.write(measured(4))
    assert path.read_bytes() == whole


def test_corrupt_line_in_the_middle_is_refused_by_number(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:30], lines[2]]) + "\n")
    before = path.read_bytes()
    for attempt in (dataset.read, dataset.Writer):
        with pytest.raises(DataError, match="line 2"):
            attempt(path)
    assert path.read_bytes() == before


def test_another_schema_is_refused_by_number(path: Path) -> None:
    first, second, *_ = path.read_text().splitlines()
    newer = json.dumps({**json.loads(second), "schema": 99})
    path.write_text(f"{first}\n{newer}\n")
    with pytest.raises(DataError, match=r"line 2: schema 99"):
        dataset.read(path)


def test_one_key_comes_once(path: Path) -> None:
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="unique"):
        dataset.read(path)


def test_a_second_writer_is_refused(path: Path) -> None:
    with dataset.Writer(path), pytest.raises(DataError, match="another one at work"):
        dataset.Writer(path)
    with dataset.Writer(path) as writer:
        assert len(writer.done) == 3


def test_a_second_writer_may_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, first = dataset.fcntl.flock, dataset.Writer(path)

    def waits(file: IO[bytes], how: int) -> None:
        assert not how & dataset.fcntl.LOCK_NB
        first.write(measured(8))
        first.__exit__(None, None, None)
        lock(file, how)

    monkeypatch.setattr(dataset.fcntl, "flock", waits)
    with dataset.Writer(path, wait=True) as writer:
        assert measured(8).cell.key in writer.done


@pytest.mark.parametrize("name", ["missing/some.jsonl", "some.jsonl.gz", "."])
def test_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError):
        dataset.Writer(tmp_path / name)


class FullDisk:
    """A file that takes half of what is written to it, and perhaps gives nothing back."""

    def __init__(self, file: IO[bytes], *, stuck: bool = False) -> None:
        self.file = file
        self.stuck = stuck

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def write(self, line: bytes) -> int:
        return self.file.write(line[: len(line) // 2])

    def truncate(self, end: int) -> None:
        if self.stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.file.truncate(end)


def test_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with dataset.Writer(path) as writer:
        monkeypatch.setattr(writer, "_file", FullDisk(writer._file))
        with pytest.raises(DataError, match="No space left"):
            writer.write(measured(8))
    assert path.read_bytes() == before


def test_half_a_line_that_cannot_be_taken_back_is_before_the_next_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dataset.Writer(path) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_file", FullDisk(writer._file, stuck=True))
            with pytest.raises(DataError, match="No space left"):
                writer.write(measured(8))
            with pytest.raises(DataError, match="Input/output error"):
                writer.write(measured(8))
        writer.write(measured(16))
    assert dataset.read(path) == [measured(size) for size in (1, 2, 4, 16)]


@pytest.mark.parametrize(
    "text", ["my notes, one line", '{\n  "schema": 1\n}', '{"schema": 1}\n{"schemas": [', "[1,", "\n\n   "]
)
def test_a_file_that_is_no_dataset_is_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    if text.strip():
        with pytest.raises(DataError, match="line"):
            dataset.Writer(path)
        assert path.read_text() == text
    else:
        with dataset.Writer(path) as writer:
            writer.write(measured(1))
        assert dataset.read(path) == [measured(1)]


@pytest.mark.parametrize("cut", [0, 3, 100])
def test_zeros_that_a_loss_of_power_left_are_cut_off(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut] + b"\0" * 50)
    with pytest.warns(dataset.DatasetWarning, match="cut off"):
        assert len(dataset.read(path)) == 3
    with pytest.warns(dataset.DatasetWarning, match="cut off"), dataset.Writer(path):
        assert path.read_bytes() == whole


def test_one_that_finds_no_room_for_an_end_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()

    def fails(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(DataError, match="No space left"):
            dataset.Writer(path)
    assert path.read_bytes() == before
    with dataset.Writer(path) as writer:
        writer.write(measured(8))
    assert len(dataset.read(path)) == 4


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    files.write(path, path.read_bytes())


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("meddle", "why"),
    [
        (moved, "moved, removed or replaced"),
        (Path.unlink, "moved, removed or replaced"),
        (replaced, "moved, removed or replaced"),
        (lengthened, "changed by another program"),
        (lambda path: os.truncate(path, 10), "changed by another program"),
    ],
)
def test_a_file_that_others_lay_hands_on_takes_no_record(path: Path, meddle: Callable[[Path], None], why: str) -> None:
    with dataset.Writer(path) as writer:
        meddle(path)
        before = {one.name: one.read_bytes() for one in path.parent.iterdir()}
        for attempt in (lambda: writer.write(measured(8)), lambda: writer.extend([measured(8)])):
            with pytest.raises(DataError, match=why):
                attempt()
    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before


def test_several_records_are_appended_all_or_none(path: Path) -> None:
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    before = path.read_bytes()
    with dataset.Writer(link) as writer:
        with pytest.raises(AttributeError):
            writer.extend([measured(8), None])  # type: ignore[list-item]
        assert path.read_bytes() == before
        writer.extend([measured(8), measured(16)])
        assert measured(16).cell.key in writer.done
    assert link.is_symlink()
    assert path.read_bytes().startswith(before)
    assert dataset.read(link) == [measured(size) for size in (1, 2, 4, 8, 16)]


def test_a_writer_that_waited_for_another_one_takes_the_file_that_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, before = dataset.fcntl.flock, [path.read_bytes()]

    def late(file: IO[bytes], how: int) -> None:
        if before:
            files.write(path, before.pop() + dataset._line(measured(8)))
        lock(file, how)

    monkeypatch.setattr(dataset.fcntl, "flock", late)
    with dataset.Writer(path) as writer:
        writer.write(measured(16))
    assert dataset.read(path) == [measured(size) for size in (1, 2, 4, 8, 16)]


def test_where_a_file_system_has_no_locks_a_warning_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(dataset.fcntl, "flock", none)
    with pytest.warns(dataset.DatasetWarning, match="no lock can be had") as told:
        writer = dataset.Writer(path)
    assert told[0].filename == __file__
    with writer, pytest.warns(dataset.DatasetWarning, match="no lock"), dataset.Writer(path) as second:
        writer.write(measured(8))
        with pytest.raises(DataError, match="changed by another program"):
            second.write(measured(8))
    assert dataset.read(path) == [measured(size) for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "pipe"])
def test_a_dataset_is_a_file_that_can_grow(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="a file that can grow"):
        dataset.Writer(tmp_path / place)


def test_frame_is_tidy(path: Path) -> None:
    frame = dataset.load_dataset(path)
    assert frame["key"].is_unique
    assert list(frame["batch_size"]) == [1, 2, 4]
    assert set(frame["model"]) == {"toy L2"}
    assert frame["curve"].nunique() == 1
    assert list(frame["macs"]) == [64.0, 128.0, 256.0]
    assert (frame["status"] == "ok").all()


def sweep(latencies: dict[int, float], *, spread: float = 0.0, **other: object) -> list[Measurement]:
    """A batch sweep: latencies by batch size, with that much between the quartiles of its samples."""
    found = []
    for batch_size, latency_s in latencies.items():
        one = measured(batch_size, latency_s=latency_s)
        samples = tuple(latency_s * (1 + spread * step) for step in (-1, -0.5, 0, 0.5, 1))
        found.append(dataclasses.replace(one, cell=dataclasses.replace(one.cell, **other), samples=samples))
    return found


def doubted(measurements: list[Measurement]) -> list[int]:
    table = dataset.frame(measurements)
    return sorted(table.loc[table["warnings"].str.contains("non-monotone"), "batch_size"])


@pytest.mark.parametrize(
    ("latencies", "spread", "slow"),
    [
        ({1: 1e-3, 2: 1e-3, 4: 2e-3}, 0.0, []),
        ({1: 1e-3, 2: 1.3e-3, 4: 1.1e-3, 8: 2e-3}, 0.0, [2]),
        ({8: 2e-3, 4: 1.1e-3, 2: 1.3e-3, 1: 1e-3}, 0.0, [2]),  # in whatever order
        ({1: 1e-3, 2: 1.3e-3, 4: 1.1e-3}, 0.07, [2]),
        ({1: 1e-3, 2: 1.3e-3, 4: 1.1e-3}, 0.1, []),  # within both spreads
        ({1: 5e-3, 2: 1e-3, 4: 1e-3}, 0.0, [1]),
        ({1: 1.00e-3, 2: 0.97e-3, 4: 0.94e-3, 8: 0.91e-3}, 0.04, [1]),  # beyond them only when taken together
    ],
)
def test_batch_that_is_slower_than_a_larger_one_is_doubted(
    latencies: dict[int, float], spread: float, slow: list[int]
) -> None:
    assert doubted(sweep(latencies, spread=spread)) == slow


@pytest.mark.parametrize("other", [{"repeat": 1}, {"framework": "eager"}, {"threads": 2}, {"device": "cuda"}])
def test_only_batches_of_one_sweep_are_compared(other: dict[str, object]) -> None:
    assert doubted([*sweep({1: 2e-3}), *sweep({2: 1e-3}, **other)]) == []
    assert doubted([*sweep({1: 2e-3}, **other), *sweep({2: 1e-3}, **other)]) == [1]


def test_few_samples_and_failures_doubt_nothing() -> None:
    one, two, three = sweep({1: 1.04e-3, 2: 1e-3, 4: 2e-3})
    few = dataclasses.replace(one, samples=(1.04e-3,) * 3)
    failed = Measurement(three.cell, status="timeout", reason="took longer than 1 s")
    assert doubted([few, two, failed]) == []
    assert doubted([one, two, failed]) == [1]


def test_warnings_are_joined() -> None:
    noisy = dataclasses.replace(measured(1, latency_s=1e-2), samples=(1e-2, 1e-2, 1.2e-2, 1.3e-2))
    table = dataset.frame([noisy, measured(2)])
    assert table["warnings"][0] == "wide-spread,non-monotone"
    assert list(table["energy_j"].isna()) == [True, True]
    assert dataset.frame([dataclasses.replace(noisy, energy_j=0.25)])["energy_j"][0] == 0.25


def test_no_usable_row_says_what_there_was(tmp_path: Path) -> None:
    failed = Measurement(measured(1).cell, status="out-of-memory", reason="the kernel said no")
    with dataset.Writer(tmp_path / "failed.jsonl") as writer:
        writer.write(failed)
    with pytest.raises(DataError, match="1 out-of-memory"):
        dataset.good(dataset.load_dataset(tmp_path / "failed.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="no row at all"):
        dataset.good(dataset.load_dataset(tmp_path / "empty.jsonl"))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dataset"):
        dataset.load_dataset("no-such-name")
    with pytest.raises(DataError, match="no file"):
        dataset.load_dataset(tmp_path / "none.jsonl")


def test_what_is_done_comes_with_its_status(path: Path) -> None:
    failed = Measurement(measured(8).cell, status="timeout", reason="took longer than 1 s")
    with dataset.Writer(path) as writer:
        writer.write(failed)
        assert writer.done[failed.cell.key] == ("timeout", None)
    with dataset.Writer(path) as writer:
        assert writer.done[failed.cell.key] == ("timeout", None)


MM = Operator("mm", ((4, 8), (8, 8)), ((4, 8),), macs=256, attributes={"batch": 1, "m": 4, "k": 8, "n": 8})
CONVOLUTION = Operator(
    "convolution", ((1, 2, 8), (2, 1, 3)), ((1, 2, 8),), macs=9, attributes={"kernel": (3,), "groups": 2}
)


def profiled(batch_size: int) -> Profile:
    timings = [
        OperatorTiming(dataclasses.replace(MM, layer="0", level=1), 1e-6, 1e-7),
        OperatorTiming(CONVOLUTION, None, None),
        OperatorTiming(dataclasses.replace(MM, layer="1", level=2), 3e-6, 3e-7),
        OperatorTiming(dataclasses.replace(MM, layer="2", level=3), None, None),
    ]
    cell = measured(batch_size).cell
    return Profile(cell, timings=tuple(timings), latency_s=1e-5, profiled_s=2e-5, events=7, calls=5)


@pytest.fixture
def beside(path: Path) -> Path:
    file = dataset.operators_file(path)
    with dataset.Writer(file, Profile) as writer:
        for batch_size in (1, 2):
            writer.write(profiled(batch_size))
        writer.write(Profile(measured(4).cell, status="crashed", reason="signal 11"))
    return file


def test_profiles_come_back_and_the_writer_goes_on(beside: Path) -> None:
    assert dataset.read(beside, Profile)[:2] == [profiled(1), profiled(2)]
    beside.write_bytes(beside.read_bytes()[:-9])
    with pytest.warns(dataset.DatasetWarning, match="cut off"), dataset.Writer(beside, Profile) as writer:
        assert {key: outcome.status for key, outcome in writer.done.items()} == {
            measured(size).cell.key: "ok" for size in (1, 2)
        }


def test_operator_frame_has_a_row_for_each_signature_of_each_workload(path: Path, beside: Path) -> None:
    frame = dataset.load_operators(path)
    assert list(frame["kind"]) == ["mm", "convolution"] * 2
    assert list(frame["count"]) == [3, 1] * 2
    assert list(frame["unmatched"]) == [1, 1] * 2
    first, second = frame.to_dict("records")[:2]
    assert (first["host_s"], first["device_s"]) == pytest.approx((2e-6, 2e-7))
    assert (first["m"], first["k"], first["n"], first["macs"]) == (4, 8, 8, 256)
    assert (first["latency_s"], first["profiled_s"], first["events"]) == (1e-5, 2e-5, 7)
    assert second["host_s"] != second["host_s"]
    assert (second["kernel"], second["groups"], second["inputs"]) == ((3,), 2, ((1, 2, 8), (2, 1, 3)))
    table = dataset.load_dataset(path).set_index("key")
    shared = ["architecture", "family", "model", "curve", "batch_size", "framework", "device", "dtype", "threads"]
    assert frame[shared].equals(table.loc[frame["key"], shared].reset_index(drop=True))


def test_operators_are_found_beside_their_dataset_however_it_is_named(
    path: Path, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = dataset.load_operators(beside)
    compressed = beside.with_suffix(".jsonl.gz")
    compressed.write_bytes(gzip.compress(beside.read_bytes()))
    beside.unlink()
    assert dataset.load_operators(path).equals(frame)
    monkeypatch.setattr(dataset, "folder", lambda: path.parent)
    assert dataset.names() == ["some"]
    assert dataset.load_operators("some").equals(frame)


def test_operators_that_are_not_there_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match="--operators"):
        dataset.load_operators(path)
    with pytest.raises(DataError, match="fields of Profile"):
        dataset.Writer(path, Profile)
    failed = dataset.operators_file(path)
    with dataset.Writer(failed, Profile) as writer:
        writer.write(Profile(measured(4).cell, status="crashed", reason="signal 11"))
    assert dataset.load_operators(path).empty


@pytest.mark.parametrize("name", dataset.names())
def test_a_frame_holds_what_its_measurements_say(name: str) -> None:
    measurements = dataset.read(dataset.find(name))
    table = dataset.frame(iter(measurements))
    assert list(table["key"]) == [one.cell.key for one in measurements]
    for one, row in list(zip(measurements, dataset.by_name(table), strict=True))[::17]:
        workload = one.cell.workload
        known = {
            **{name: getattr(workload, name) for name in ("architecture", "batch_size", "input_size", "lengths")},
            **{name: getattr(one.cell.platform, name) for name in ("framework", "device", "dtype", "threads")},
            **{name: getattr(one, name) for name in (*CLOCKS, "spread", "peak_memory_bytes", "status", "reason")},
            **{name: one.features.get(name) for name in FEATURES},
            "hyperparameters": json.dumps(workload.settings, sort_keys=True),
            "repeat": one.cell.repeat,
        }
        assert {name: None if row[name] != row[name] else row[name] for name in known} == known
        assert row["warnings"].removesuffix("non-monotone").rstrip(",") == ",".join(one.warnings())
        assert architectures.label(workload.model) == row["model"]
        assert architectures.label(workload.curve) == row["curve"]


def test_a_dataset_of_lines_in_any_form_is_counted(path: Path) -> None:
    failed = Measurement(measured(8).cell, status="timeout", reason="took longer than 1 s")
    with dataset.Writer(path) as writer:
        writer.write(failed)
    found = dataset.overview(path)
    assert (found["measurements"], found["failed"], found["models"], found["frameworks"]) == (3, 1, 1, ["fake"])
    spaced = [json.dumps(dict(sorted(json.loads(line).items()))) for line in path.read_text().splitlines()]
    path.write_text("\n".join([*spaced, ""]))
    assert dataset.overview(path) == found
    path.write_text("\n".join([*spaced, "{}", ""]))
    with pytest.raises(DataError, match="line 5"):
        dataset.overview(path)
