"""Fuzz target: packed datasets, opened as commands open them: counted, as a frame, a part of it, and records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ftax_model import dataset
from ftax_model.measurement import Cell, Measurement, Profile
from ftax_model.workload import Workload


def seeds() -> list[bytes]:
    """A packed dataset of three rows, and packed profiles."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "some.jsonl"
        with dataset.Writer(plain) as writer:
            for one in _measurements():
                writer.write(one)
        with dataset.Writer(dataset.operators_file(plain), Profile) as writer:
            for one in _measurements():
                writer.write(Profile(one.cell, status="crashed", reason="signal 11"))
        return [file.read_bytes() for file in dataset.pack(plain, plain.with_suffix(".parquet"))]


def dictionary() -> list[bytes]:
    """Words that such files hold."""
    return [b"PAR1", b"ftax_model", b"measurements", b"profiles", b"counts", b"record", b"line", b"latency_s", b"ok"]


def read(data: bytes, folder: Path) -> None:
    """Take bytes for a packed dataset; whatever is wrong with them is an `FtaxError`."""
    packed_profiles = b'"kind": "profiles"' in data
    path = folder / f"some{dataset.OPERATORS if packed_profiles else ''}.parquet"
    path.write_bytes(data)
    if packed_profiles:
        dataset.load_operators(path)
        return
    dataset.overview(path)
    dataset.load_dataset(path, columns=["model", "latency_s"], where={"framework": "eager"})
    dataset.load_dataset(path)
    dataset.read(path)


def _measurements() -> Iterator[Measurement]:
    for batch_size, framework in ((1, "eager"), (2, "eager"), (1, "fake")):
        cell = Cell(Workload("toy", {"num_layers": 2}, batch_size=batch_size), framework, "fake")
        yield Measurement(cell, latency_s=1e-3, samples=(1e-3,) * 4, calls_per_block=5, features={"macs": 64.0})
