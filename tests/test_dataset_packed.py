"""Packed datasets: the very records and the same frame, by columns and rows; and no Parquet of anybody does harm."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ftax_model import dataset, files
from ftax_model.dataset import packed
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload

PLACES = [("eager", "a", "float32"), ("eager", "b", "float16"), ("compiled", "a", "float16")]


def measured(framework: str, device: str, dtype: str, batch_size: int) -> Measurement:
    workload = Workload("toy", {"num_layers": 2, "width": 8}, batch_size=batch_size, dtype=dtype)
    return Measurement(Cell(workload, framework, device), latency_s=1e-3 * batch_size, features={"macs": 64.0})


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl"
    with dataset.Writer(path) as writer:
        for batch_size in (4, 1, 2):
            for place in PLACES:
                writer.write(measured(*place, batch_size))
        writer.write(Measurement(measured(*PLACES[0], 8).cell, status="timeout", reason="took too long"))
    return path


@pytest.fixture
def file(plain: Path) -> Path:
    (path,) = dataset.pack(plain, plain.with_suffix(".parquet"))
    return path


@pytest.mark.parametrize("name", dataset.names())
def test_shipped_datasets_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    path, *beside = dataset.pack(name, tmp_path / "packed.parquet")
    pd.testing.assert_frame_equal(dataset.load_dataset(path), dataset.load_dataset(name))
    assert {**dataset.overview(path), "name": name} == dataset.overview(name)
    lines = gzip.decompress(dataset.find(name).read_bytes())
    assert dataset.unpack(path, tmp_path / "again.jsonl").read_bytes() == lines
    if beside:
        pd.testing.assert_frame_equal(dataset.load_operators(path), dataset.load_operators(name))


def test_records_come_in_the_order_of_the_lines(plain: Path, file: Path) -> None:
    assert dataset.read(file) == dataset.read(plain)
    assert dataset.load_dataset(file)["batch_size"].to_list() == [4, 4, 4, 1, 1, 1, 2, 2, 2, 8]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"framework": "eager"}, 7),
        ({"framework": ["eager", "compiled"], "dtype": "float16"}, 6),
        ({"batch_size": {1, 4}, "device": "b"}, 2),
        ({"batch_size": 2.0, "status": "ok"}, 3),
        ({"latency_s": 4e-3}, 3),
        ({"framework": "none such"}, 0),
        ({"framework": 1}, 0),
        ({"batch_size": "1"}, 0),
        ({"device": []}, 0),
    ],
)
def test_columns_and_rows_are_the_same_however_a_dataset_is_kept(
    plain: Path, file: Path, where: dict[str, Any], rows: int
) -> None:
    found = dataset.load_dataset(file, columns=["curve", "latency_s", "macs"], where=where)
    pd.testing.assert_frame_equal(
        found, dataset.load_dataset(plain, columns=["curve", "latency_s", "macs"], where=where)
    )
    assert len(found) == rows
    assert list(found) == ["curve", "latency_s", "macs"]


def test_groups_that_hold_no_such_row_are_not_read(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "GROUP", 3)
    (path,) = dataset.pack(plain, plain.with_suffix(".parquet"))
    read, own = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, number, **how: read.append(number) or own(self, number, **how)
    )
    assert len(dataset.load_dataset(path, where={"device": "b"})) == 3
    assert len(read) < 4
    read.clear()
    assert len(dataset.load_dataset(path)) == 10
    assert len(read) == 4


@pytest.mark.parametrize("kept", ["plain", "file"])
def test_columns_that_there_are_not_are_refused(kept: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kept)
    with pytest.raises(InputError, match="latency_s"):
        dataset.load_dataset(path, columns=["latency"])
    with pytest.raises(InputError, match="framework"):
        dataset.load_dataset(path, where={"frameworks": "eager"})


def test_how_far_reading_is_rises_to_all_of_it(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "GROUP", 4)
    monkeypatch.setattr(dataset, "_OFTEN", 5)
    told: list[tuple[int, float]] = []
    (path,) = dataset.pack(plain, plain.with_suffix(".parquet"), tell=lambda *now: told.append(now))
    assert told[:2] == [(5, pytest.approx(0.5, abs=0.1)), (10, 1.0)]
    assert told[2:] == [(4, 0.4), (8, 0.8), (10, 1.0)]
    compressed = plain.with_suffix(".jsonl.gz")
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    for kept in (path, plain, compressed):
        told.clear()
        dataset.load_dataset(kept, tell=lambda *now: told.append(now))
        assert told[-1] == (10, 1.0)
        assert [share for _, share in told] == sorted(share for _, share in told)


def test_what_cannot_be_packed_or_unpacked_is_refused(plain: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.parquet"):
        dataset.pack(plain, tmp_path / "some.gz")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="holds records"):
        dataset.pack(tmp_path / "empty.jsonl", tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="overwrites nothing"):
        dataset.unpack(file, plain)
    with pytest.raises(DataError, match="not compressed"):
        dataset.Writer(file)


def hostile(file: Path, change: Any = lambda table: table, **metadata: Any) -> Path:
    """The packed dataset with columns changed, or what its footer says."""
    table = pq.read_table(file)
    told = {**json.loads(pq.read_metadata(file).metadata[b"ftax_model"]), **metadata}
    path = file.with_name("hostile.parquet")
    pq.write_table(change(table).replace_schema_metadata({"ftax_model": json.dumps(told)}), path, compression="zstd")
    return path


def column(name: str, values: Any) -> Any:
    """A change: the values of a column, or the first of them."""

    def change(table: pa.Table) -> pa.Table:
        own = values if isinstance(values, pa.Array) else pa.array([values, *table[name].to_pylist()[1:]])
        return table.set_column(table.column_names.index(name), name, own)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.drop_columns("macs"), "no column macs"),
        (lambda table: table.append_column("macs", table["macs"]), "a column twice"),
        (lambda table: column("macs", table["macs"].cast(pa.string()).combine_chunks())(table), "macs is"),
        (lambda table: column("line", table["line"].cast(pa.float64()).combine_chunks())(table), "line is double"),
        (column("record", pa.array([b"x"] * 10)), "record is"),
        (column("latency_s", -1.0), "latency_s is negative"),
        (column("latency_s", 0.0), "positive latency_s"),
        (column("latency_s", None), "positive latency_s"),
        (column("macs", float("inf")), "macs is not finite"),
        (column("status", "fine"), "status is one of"),
        (column("dtype", "complex"), "dtype is one of"),
        (column("dtype", None), "dtype is missing"),
        (column("batch_size", 0), "batch_size lies outside"),
        (column("batch_size", None), "batch_size is missing"),
        (column("threads", -1), "threads lies outside"),
        (column("hyperparameters", "[1]"), "JSON object"),
        (column("hyperparameters", "{"), "not JSON"),
        (lambda table: column("key", table["key"][1].as_py())(table), "key comes twice"),
        (column("reason", pa.array([b"\xff"] * 10).view(pa.string())), "[Uu][Tt][Ff]"),
    ],
)
def test_columns_of_strangers_are_looked_at(file: Path, change: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        dataset.load_dataset(hostile(file, change))


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"format": "else"}, "does not say so"),
        ({"schema": 2}, "schema 2, of which this version reads 1"),
        ({"kind": "profiles"}, "profiles"),
        ({"kind": ["measurements"]}, "of what"),
        ({"counts": {"measurements": 10}}, "failed is not counted"),
        ({"ranges": []}, "what lies where"),
        ({"ranges": [{"device": ["a", 1]}]}, "what lies where"),
    ],
)
def test_footers_of_strangers_are_looked_at(file: Path, metadata: dict[str, Any], why: str) -> None:
    path = hostile(file, **metadata)
    with pytest.raises(DataError, match=why):
        dataset.load_dataset(path)
    if "profiles" not in why:
        with pytest.raises(DataError, match=why):
            dataset.overview(path)


def test_records_of_strangers_are_looked_at(file: Path) -> None:
    with pytest.raises(DataError, match="line 3: not JSON"):
        dataset.read(hostile(file, column("record", "{")))
    with pytest.raises(DataError, match="again"):
        dataset.read(hostile(file, lambda table: column("record", table["record"][1].as_py())(table)))


def test_what_unpacks_to_too_much_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_ANYWAY", 1 << 20)
    path = hostile(file, column("reason", pa.array(["x" * (1 << 21)] * 10)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="more than 200 times its size"):
        dataset.load_dataset(path)
    many = hostile(file, lambda table: table.take(pc.multiply(pa.array([0] * 1_000_000), 1)))
    with pytest.raises(DataError, match="1,000,000 rows in"):
        dataset.load_dataset(many)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99, -1])
def test_files_cut_off_are_refused(file: Path, keep: float) -> None:
    content = file.read_bytes()
    path = file.with_name("cut.parquet")
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    for attempt in (dataset.load_dataset, dataset.read, dataset.overview):
        with pytest.raises(DataError, match=str(path)):
            attempt(path)


@pytest.mark.parametrize("kept", ["plain", "file"])
def test_records_of_some_cells_are_those_alone(kept: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kept)
    wanted = dataset.read(path)[2:9:3]
    assert dataset.read(path, keys=[one.cell.key for one in wanted]) == wanted
    assert dataset.read(path, keys=()) == []
