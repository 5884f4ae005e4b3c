"""A dataset: measurements as JSON Lines on disk, and as one tidy frame in memory."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ftax_model import architectures, plugins
from ftax_model.errors import DataError, FtaxError
from ftax_model.measurement import CLOCKS, Measurement
from ftax_model.operators import FEATURES

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jsonl", ".jsonl.gz")


class DatasetWarning(UserWarning):
    """Something in a dataset file that was mended by leaving it out."""


def names() -> list[str]:
    """Datasets that come with the project."""
    files = _folder().glob("*.jsonl*") if _folder().is_dir() else []
    return sorted(
        file.name.removesuffix(".gz").removesuffix(".jsonl") for file in files if ".operators." not in file.name
    )


def load_dataset(name_or_path: str | os.PathLike[str]) -> pd.DataFrame:
    """The tidy frame of a dataset, by the name of one that comes with the project or by path; see `frame`.

    Raises `DataError` where there is no such file or no readable record in it.
    """
    return frame(read(find(name_or_path)))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Path of a dataset given by name or by path; raises `FtaxError` where there is none."""
    path = Path(name_or_path)
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        raise DataError(
            "a dataset is a file of JSON Lines", f"no file {path}", "check the path, or measure one: ftax collect"
        )
    plugins.check(str(name_or_path), names(), what="dataset")
    return next(file for suffix in SUFFIXES if (file := _folder() / f"{path}{suffix}").exists())


def read(path: str | os.PathLike[str]) -> list[Measurement]:
    """All measurements in a ``.jsonl`` or ``.jsonl.gz`` file, in order.

    A last line that was cut off by a crash is left out with a `DatasetWarning`. Raises `DataError` for a file that
    cannot be read, a line in the middle that is not a record, a schema of another version, or a key that comes twice.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError) as error:
        raise DataError("a dataset is a readable file", f"{path}: {_why(error)}", "check the path") from error
    good, cut = _whole_lines(content)
    if cut:
        message = f"{path}: the last line is cut off and was left out; ftax collect measures that cell again"
        warnings.warn(message, DatasetWarning, stacklevel=2)
    found: dict[str, Measurement] = {}
    for number, line in enumerate(good.splitlines(), start=1):
        if not line.strip():
            continue
        measurement = _parse(line, where=f"{path} line {number}")
        key = measurement.cell.key
        if key in found:
            raise DataError(
                "a key is unique in a dataset", f"{path} line {number}: {key} again", "drop one of the lines"
            )
        found[key] = measurement
    return list(found.values())


class Writer:
    """Appends measurements to a ``.jsonl`` file; each is on disk before `write` returns.

    Opening takes a lock against a second writer, drops a last line that a crash cut off (with a `DatasetWarning`), and
    reads the keys of all cells that are ``done``. Raises `DataError` where the file cannot be written, is locked, or
    holds something else than a dataset; nothing already written is touched then.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.suffix != ".jsonl":
            raise DataError("a dataset that grows ends in .jsonl", str(self.path), "choose such a name")
        try:
            self._file = self.path.open("ab+", buffering=0)
        except OSError as error:
            raise DataError("the output can be written", f"{path}: {_why(error)}", "choose another path") from error
        try:
            self.done = self._take_over()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, measurement: Measurement) -> None:
        """Append one measurement as one line; a line that the disk cannot take leaves no part of itself behind."""
        line = json.dumps(measurement.to_record(), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            cure = "make room and run again; it goes on where it stopped"
            raise DataError("the output can be written", f"{self.path}: {_why(error)}", cure) from error
        self.done.add(measurement.cell.key)

    def _take_over(self) -> set[str]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            cure = "wait for it, or choose another output"
            raise DataError("one collection writes to a file", f"{self.path}: another one at work", cure) from error
        self._file.seek(0)
        content = self._file.read()
        good, cut = _whole_lines(content)
        if cut:
            self._file.truncate(len(good))
            message = f"{self.path}: the last line was cut off and is measured again"
            warnings.warn(message, DatasetWarning, stacklevel=3)
        elif content and not content.endswith(b"\n"):
            self._file.write(b"\n")
        lines = enumerate(good.splitlines(), start=1)
        return {_parse(line, where=f"{self.path} line {n}").cell.key for n, line in lines if line.strip()}


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row a measurement, tidy.

    Columns: ``key``; ``architecture``, ``family``, ``model`` (label of architecture and hyperparameters), ``curve``
    (model, input size, dtype: what one batch sweep shares), ``hyperparameters`` (JSON), ``batch_size``, ``input_size``,
    ``lengths``; ``framework``, ``device``, ``dtype``, ``threads``, ``repeat``; the clocks in seconds
    (`ftax_model.measurement.CLOCKS`); the features of the trace (`ftax_model.operators.FEATURES`); ``spread``,
    ``prepare_s``, ``first_call_s``, ``peak_memory_bytes``; ``status``, ``reason`` and ``warnings`` (joined by commas).
    """
    import pandas as pd

    labels: dict[object, str] = {}
    rows = list(_rows(measurements, labels))
    return pd.DataFrame(rows, columns=None if rows else ["key", "status", "latency_s"])


def good(table: pd.DataFrame, *, what: str = "the dataset") -> pd.DataFrame:
    """The rows that were measured (``status`` ok); raises `DataError` where there is none."""
    rows = table[table["status"] == "ok"].reset_index(drop=True)
    if rows.empty:
        reasons = ", ".join(f"{count} {status}" for status, count in table["status"].value_counts().items())
        raise DataError(
            "a fit needs measured rows", f"{what}: {reasons or 'no row at all'}", "measure some: ftax collect"
        )
    return rows


def _rows(measurements: Iterable[Measurement], labels: dict[object, str]) -> Iterator[dict[str, object]]:
    for measurement in measurements:
        cell, workload = measurement.cell, measurement.cell.workload
        for part in (workload.model, workload.curve):
            if part not in labels:
                labels[part] = _label(part)
        yield {
            "key": cell.key,
            "architecture": workload.architecture,
            "family": _family(workload.architecture),
            "model": labels[workload.model],
            "curve": labels[workload.curve],
            "hyperparameters": json.dumps(workload.settings, sort_keys=True),
            "batch_size": workload.batch_size,
            "input_size": workload.input_size,
            "lengths": workload.lengths,
            "framework": cell.framework,
            "device": cell.device,
            "dtype": workload.dtype,
            "threads": cell.threads,
            "repeat": cell.repeat,
            **{clock: getattr(measurement, clock) for clock in CLOCKS},
            **{name: measurement.features.get(name) for name in FEATURES},
            "spread": measurement.spread,
            "prepare_s": measurement.prepare_s,
            "first_call_s": measurement.first_call_s,
            "peak_memory_bytes": measurement.peak_memory_bytes,
            "status": measurement.status,
            "reason": measurement.reason,
            "warnings": ",".join(measurement.warnings()),
        }


def _label(workload: object) -> str:
    from ftax_model.workload import Workload

    assert isinstance(workload, Workload)
    try:
        return architectures.label(workload)
    except FtaxError:  # measured by a version that had another architecture folder
        return repr(workload)


def _family(architecture: str) -> str:
    return architectures.load(architecture).family if architecture in architectures.names() else "unknown"


def _whole_lines(content: bytes) -> tuple[bytes, bool]:
    """Content without a last line that a crash cut off, and whether there was one."""
    head, newline, tail = content.rpartition(b"\n")
    if not tail.strip():
        return content, False
    try:
        json.loads(tail)
    except ValueError:
        return head + newline, True
    return content, False


def _parse(line: bytes, *, where: str) -> Measurement:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(
            "every line of a dataset is a JSON record", f"{where}: {error}", "mend or drop the line"
        ) from error
    try:
        return Measurement.from_record(record)
    except FtaxError as error:
        raise DataError(error.law, f"{where}: {error.got}", error.do) from error


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _folder() -> Path:
    return Path(__file__).resolve().parent.parent / "datasets"
