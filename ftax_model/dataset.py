"""A dataset: measurements as JSON Lines on disk, operator profiles beside them, and tidy frames in memory."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import math
import os
import statistics
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from ftax_model import architectures, files, plugins
from ftax_model.errors import DataError, FtaxError
from ftax_model.measurement import CLOCKS, WIDE_SPREAD, Cell, Measurement, Profile, Record
from ftax_model.operators import FEATURES, SIGNATURE, TIMES, Operator, OperatorTiming

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R", bound=Record)

SUFFIXES = (".jsonl", ".jsonl.gz")

OPERATORS = ".operators"
"""What the name of a file of operator profiles has before its suffix, behind the name of its dataset."""


class DatasetWarning(UserWarning):
    """Something in a dataset file that was mended by leaving it out."""


def names() -> list[str]:
    """Datasets that come with the project."""
    files = folder().glob("*.jsonl*") if folder().is_dir() else []
    return sorted(stem for file in files if not (stem := _stem(file)).endswith(OPERATORS))


def overview(name: str) -> dict[str, Any]:
    """What a dataset that comes with the project holds.

    ``name``, ``measurements`` (good ones), ``failed``, ``models``, ``architectures``, and lists of ``frameworks``,
    ``devices`` and ``dtypes``; ``operators``, how many of its cells were profiled operator by operator. Raises as
    `read` does.
    """
    measurements = read(find(name))
    good = [one.cell for one in measurements if one.status == "ok"]
    beside = _profiled(find(name))
    return {
        "name": name,
        "measurements": len(good),
        "failed": len(measurements) - len(good),
        "models": len({cell.workload.model for cell in good}),
        "architectures": len({cell.workload.architecture for cell in good}),
        "frameworks": sorted({cell.framework for cell in good}),
        "devices": sorted({cell.device for cell in good}),
        "dtypes": sorted({cell.workload.dtype for cell in good}),
        "operators": sum(one.status == "ok" for one in read(beside, Profile)) if beside else 0,
    }


def folder() -> Path:
    """Where the datasets of the project lie: beside the package, or where its installation put them."""
    beside = Path(__file__).resolve().parent.parent / "datasets"
    if beside.is_dir():
        return beside
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("ftax-model") or ():
            if file.parts[-2:] == ("datasets", "README.md"):
                return Path(str(file.locate())).resolve().parent
    return beside


def load_dataset(name_or_path: str | os.PathLike[str]) -> pd.DataFrame:
    """The tidy frame of a dataset, by the name of one that comes with the project or by path; see `frame`.

    Raises `DataError` where there is no such file or no readable record in it.
    """
    return frame(read(find(name_or_path)))


def load_operators(name_or_path: str | os.PathLike[str]) -> pd.DataFrame:
    """The tidy frame of the operator profiles beside a dataset, or in a file of their own; see `operator_frame`.

    Raises `DataError` where there are none, or nothing readable in them.
    """
    path = find(name_or_path)
    if not _stem(path).endswith(OPERATORS):
        found = _profiled(path)
        if found is None:
            cure = "measure them: ftax collect --operators"
            raise DataError("operator profiles lie beside their dataset", f"no file {operators_file(path)}", cure)
        path = found
    return operator_frame(read(path, Profile))


def load_profiles(names: Iterable[str]) -> pd.DataFrame | None:
    """The operator profiles beside several datasets, in one frame; ``None`` where none of them has any."""
    import pandas as pd

    found = [load_operators(name) for name in names if _profiled(find(name))]
    return pd.concat(found, ignore_index=True) if found else None


def operators_file(path: str | os.PathLike[str]) -> Path:
    """Where the operator profiles of a dataset are written, by the path of its file.

    >>> operators_file("some/cpu.jsonl").name
    'cpu.operators.jsonl'
    """
    return Path(path).with_name(f"{_stem(Path(path))}{OPERATORS}.jsonl")


def operators_files(path: str | os.PathLike[str]) -> list[Path]:
    """Where the operator profiles of a dataset may lie: as written, and compressed."""
    plain = operators_file(path)
    return [plain.with_name(f"{_stem(plain)}{suffix}") for suffix in SUFFIXES]


def _profiled(path: Path) -> Path | None:
    """The file of operator profiles beside a dataset, ``None`` where there is none."""
    return next((file for file in operators_files(path) if file.exists()), None)


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
    return next(file for suffix in SUFFIXES if (file := folder() / f"{path}{suffix}").exists())


@overload
def read(path: str | os.PathLike[str]) -> list[Measurement]: ...


@overload
def read(path: str | os.PathLike[str], kind: type[R]) -> list[R]: ...


def read(path: str | os.PathLike[str], kind: type[Any] = Measurement) -> list[Any]:
    """All records of one kind, measurements or profiles, in a ``.jsonl`` or ``.jsonl.gz`` file, in order.

    A last line that was cut off by a crash is left out with a `DatasetWarning`. Raises `DataError` for a file that
    cannot be read, a line in the middle that is not a record, a schema of another version, or a key that comes twice.
    """
    path = Path(path)
    found: dict[str, Record] = {}
    for number, line in enumerate(files.lines(path, law="a dataset is a readable file", do="check the path"), start=1):
        if not line.strip():
            continue
        if not line.endswith(b"\n") and _is_cut(line):
            message = f"{path}: the last line is cut off and was left out; ftax collect measures that cell again"
            warnings.warn(message, DatasetWarning, stacklevel=2)
            continue
        record = _parse(line, kind, where=f"{path} line {number}")
        key = record.cell.key
        if key in found:
            raise DataError(
                "a key is unique in a dataset", f"{path} line {number}: {key} again", "drop one of the lines"
            )
        found[key] = record
    return list(found.values())


class Outcome(NamedTuple):
    """How looking at a cell ended: its status, and the seconds of one call, ``None`` where it failed."""

    status: str
    latency_s: float | None


class Writer:
    """Appends records of one kind to a file of JSON Lines; each is on disk before `write` returns.

    Opening takes a lock against a second writer, drops a last line that a crash cut off (with a `DatasetWarning`), and
    reads which cells are ``done``: the `Outcome` of each by its key. Raises `DataError` where the file cannot be
    written, is locked, or holds records of another kind or none; nothing already written is touched then.
    """

    def __init__(self, path: str | os.PathLike[str], kind: type[Record] = Measurement) -> None:
        self.path = Path(path)
        self._kind = kind
        if self.path.suffix == ".gz":
            raise DataError(
                "a dataset that grows is not compressed", str(self.path), "choose a name that ends in .jsonl"
            )
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

    def write(self, record: Record) -> None:
        """Append one record as one line; a line that the disk cannot take leaves no part of itself behind."""
        line = json.dumps(record.to_record(), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            cure = "make room and run again; it goes on where it stopped"
            raise DataError("the output can be written", f"{self.path}: {_why(error)}", cure) from error
        self.done[record.cell.key] = Outcome(record.status, record.latency_s)

    def _take_over(self) -> dict[str, Outcome]:
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
        records = (_parse(line, self._kind, where=f"{self.path} line {n}") for n, line in lines if line.strip())
        return {record.cell.key: Outcome(record.status, record.latency_s) for record in records}


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row a measurement, tidy.

    Columns: ``key``; ``architecture``, ``family``, ``model`` (label of architecture and hyperparameters), ``curve``
    (model, input size, dtype: what one batch sweep shares), ``hyperparameters`` (JSON), ``batch_size``, ``input_size``,
    ``lengths``; ``framework``, ``device``, ``dtype``, ``threads``, ``repeat``; the clocks in seconds
    (`ftax_model.measurement.CLOCKS`); ``energy_j``; the features of the trace (`ftax_model.operators.FEATURES`);
    ``spread``, ``prepare_s``, ``first_call_s``, ``peak_memory_bytes``; ``status``, ``reason`` and ``warnings`` (joined
    by commas): what the measurement holds against itself (`ftax_model.measurement.Measurement.warnings`), and
    ``non-monotone`` where a larger batch of the same sweep was clearly faster.
    """
    import pandas as pd

    labels: dict[object, str] = {}
    rows = list(_rows(list(measurements), labels))
    return pd.DataFrame(rows, columns=None if rows else ["key", "status", "latency_s"])


def operator_frame(profiles: Iterable[Profile]) -> pd.DataFrame:
    """One row for each workload, platform and distinct operator signature, tidy.

    Columns: ``key`` (that of the measurement in the dataset); ``architecture``, ``family``, ``model``, ``curve``,
    ``batch_size``, ``framework``, ``device``, ``dtype``, ``threads`` as in `frame`; ``latency_s``, ``profiled_s`` and
    ``events`` of the whole call (see `ftax_model.measurement.Profile`); the signature: ``kind``, ``inputs`` and
    ``outputs`` (shapes), ``macs``, ``activation_bytes``, ``weight_bytes``, and each of its attributes, missing where an
    operator has none of that name (``m``, ``k``, ``n``, ``batch``; ``kernel``, ``stride``, ``groups``, ...); ``count``
    of such operators in a call, how many of them are ``unmatched``, and the median ``host_s`` and ``device_s`` of the
    others. A profile that failed has no row.
    """
    import pandas as pd

    labels: dict[object, str] = {}
    rows = [row for profile in profiles for row in _operator_rows(profile, labels)]
    table = pd.DataFrame(rows, columns=None if rows else [*_BESIDE_OPERATORS, *SIGNATURE[:-1]])
    return table.astype(dict.fromkeys(TIMES, float))


def operators(table: pd.DataFrame) -> list[Operator]:
    """The operators that the rows of an `operator_frame` are of, without their place in the model."""
    *plain, _ = SIGNATURE  # the attributes, which have columns of their own
    named = [name for name in table.columns if name not in {*plain, *_BESIDE_OPERATORS}]
    found = []
    for own in table[[*plain, *named]].to_dict("records"):
        given = {name: own[name] for name in named if own[name] is not None and own[name] == own[name]}  # nan: missing
        found.append(Operator(**{name: own[name] for name in plain}, attributes=given))
    return found


def by_name(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of any frame as dictionaries of its own values, by the names of columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def good(table: pd.DataFrame, *, what: str = "the dataset") -> pd.DataFrame:
    """The rows that were measured (``status`` ok); raises `DataError` where there is none."""
    rows = table[table["status"] == "ok"].reset_index(drop=True)
    if rows.empty:
        reasons = ", ".join(f"{count} {status}" for status, count in table["status"].value_counts().items())
        raise DataError(
            "a fit needs measured rows", f"{what}: {reasons or 'no row at all'}", "measure some: ftax collect"
        )
    return rows


def _rows(measurements: Sequence[Measurement], labels: dict[object, str]) -> Iterator[dict[str, object]]:
    slow = _non_monotone(measurements)
    for measurement in measurements:
        cell, workload = measurement.cell, measurement.cell.workload
        yield {
            **_workload_columns(cell, labels),
            "hyperparameters": json.dumps(workload.settings, sort_keys=True),
            "batch_size": workload.batch_size,
            "input_size": workload.input_size,
            "lengths": workload.lengths,
            **_platform_columns(cell),
            "repeat": cell.repeat,
            **{clock: getattr(measurement, clock) for clock in CLOCKS},
            "energy_j": measurement.energy_j,
            **{name: measurement.features.get(name) for name in FEATURES},
            "spread": measurement.spread,
            "prepare_s": measurement.prepare_s,
            "first_call_s": measurement.first_call_s,
            "peak_memory_bytes": measurement.peak_memory_bytes,
            "status": measurement.status,
            "reason": measurement.reason,
            "warnings": ",".join([*measurement.warnings(), *["non-monotone"] * (cell.key in slow)]),
        }


def _non_monotone(measurements: Iterable[Measurement]) -> set[str]:
    """Keys of those that took longer than a larger batch of the same sweep and repeat did, by more than both spreads.

    What disturbs a measurement makes it slower, so it is the smaller batch that is doubted.
    """
    sweeps: dict[Cell, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.status == "ok":
            curve = dataclasses.replace(measurement.cell, workload=measurement.cell.workload.curve)
            sweeps.setdefault(curve, []).append(measurement)
    found = set()
    for sweep in sweeps.values():
        fastest = math.inf
        for one in sorted(sweep, key=lambda one: one.cell.workload.batch_size, reverse=True):
            low, high = _range(one)
            if low > fastest:
                found.add(one.cell.key)
            fastest = min(fastest, high)
    return found


def _range(measurement: Measurement) -> tuple[float, float]:
    """Latency less and plus its spread, that of a measurement with too few samples as wide as it may be."""
    assert measurement.latency_s is not None
    spread = WIDE_SPREAD if measurement.spread is None else measurement.spread
    return measurement.latency_s * (1 - spread), measurement.latency_s * (1 + spread)


def _operator_rows(profile: Profile, labels: dict[object, str]) -> Iterator[dict[str, object]]:
    alike: dict[str, list[OperatorTiming]] = {}
    for timing in profile.timings:
        alike.setdefault(json.dumps(timing.operator.signature), []).append(timing)
    for timings in alike.values():
        operator = timings[0].operator
        taken = operator.attributes.keys() & {*_BESIDE_OPERATORS, *SIGNATURE}
        if taken:
            raise DataError("attributes of an operator have names of their own", min(taken), "mend the record")
        matched = [timing for timing in timings if timing.host_s is not None]
        yield {
            **_workload_columns(profile.cell, labels),
            "batch_size": profile.cell.workload.batch_size,
            **_platform_columns(profile.cell),
            **{name: getattr(profile, name) for name in ("latency_s", "profiled_s", "events")},
            **{name: getattr(operator, name) for name in SIGNATURE[:-1]},
            **operator.attributes,
            "count": len(timings),
            "unmatched": len(timings) - len(matched),
            **{name: _median(getattr(timing, name) for timing in matched) for name in TIMES},
        }


_BESIDE_OPERATORS = (
    "key", "architecture", "family", "model", "curve", "batch_size", "framework", "device", "dtype", "threads",
    "latency_s", "profiled_s", "events", "count", "unmatched", *TIMES,
)  # fmt: skip
"""Columns of an `operator_frame` that are of the call, or what was measured."""


def _workload_columns(cell: Cell, labels: dict[object, str]) -> dict[str, object]:
    workload = cell.workload
    for part in (workload.model, workload.curve):
        if part not in labels:
            labels[part] = _label(part)
    return {
        "key": cell.key,
        "architecture": workload.architecture,
        "family": _family(workload.architecture),
        "model": labels[workload.model],
        "curve": labels[workload.curve],
    }


def _platform_columns(cell: Cell) -> dict[str, object]:
    return {name: getattr(cell.platform, name) for name in ("framework", "device", "dtype", "threads")}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _label(workload: object) -> str:
    from ftax_model.workload import Workload

    assert isinstance(workload, Workload)
    try:
        return architectures.label(workload)
    except FtaxError:  # imported, or measured by a version that had another architecture folder
        parts = [" ".join([workload.architecture, *(f"{name}={value}" for name, value in workload.settings.items())])]
        parts += [str(workload.input_size)] if workload.input_size is not None else []
        parts += [workload.dtype] if workload.dtype != "float32" else []
        return ", ".join(parts)


def _family(architecture: str) -> str:
    return architectures.load(architecture).family if architecture in architectures.names() else "unknown"


def _whole_lines(content: bytes) -> tuple[bytes, bool]:
    """Content without a last line that a crash cut off, and whether there was one."""
    head, newline, tail = content.rpartition(b"\n")
    return (head + newline, True) if tail.strip() and _is_cut(tail) else (content, False)


def _is_cut(line: bytes) -> bool:
    """Whether a line without an end lacks more than that."""
    try:
        files.parse_json(line)
    except ValueError:
        return True
    return False


def _parse(line: bytes, kind: type[Record], *, where: str) -> Record:
    try:
        record = files.parse_json(line)
    except ValueError as error:
        raise DataError(
            "every line of a dataset is a JSON record", f"{where}: {error}", "mend or drop the line"
        ) from error
    try:
        return kind.from_record(record)
    except FtaxError as error:
        raise DataError(error.law, f"{where}: {error.got}", error.do) from error


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
