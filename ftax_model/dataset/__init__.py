"""A dataset: measurements as JSON Lines on disk, or packed, operator profiles beside them, and frames in memory."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from ftax_model import files, plugins
from ftax_model.dataset import packed
from ftax_model.dataset.frames import Tell, Where, by_name, chosen, frame, good, operator_frame, operators
from ftax_model.dataset.merging import PREFERENCES, Ledger, Merged
from ftax_model.dataset.overview import Seen, counts, glance
from ftax_model.errors import DataError, FtaxError
from ftax_model.measurement import Measurement, Profile, Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "OPERATORS", "PREFERENCES", "SUFFIXES", "DatasetWarning", "Merged", "Outcome", "Writer", "by_name", "find",
    "folder", "frame", "good", "load_dataset", "load_operators", "load_profiles", "merge", "names", "operator_frame",
    "operators", "operators_file", "operators_files", "overview", "pack", "read", "records", "unpack",
]  # fmt: skip

R = TypeVar("R", bound=Record)

SUFFIXES = (".jsonl", ".jsonl.gz", packed.SUFFIX)

OPERATORS = ".operators"
"""What the name of a file of operator profiles has before its suffix, behind the name of its dataset."""


class DatasetWarning(UserWarning):
    """Something in a dataset file that was mended by leaving it out."""


def names() -> list[str]:
    """Datasets that come with the project."""
    files = [file for file in folder().glob("*") if file.name.endswith(SUFFIXES)] if folder().is_dir() else []
    return sorted({stem for file in files if not (stem := _stem(file)).endswith(OPERATORS)})


def overview(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a dataset holds, by name or path, counted without building its records.

    ``name``, ``measurements`` (good ones), ``failed``, ``models``, ``architectures``, and lists of ``frameworks``,
    ``devices`` and ``dtypes``; ``operators``, how many of its cells were profiled operator by operator. Raises
    `DataError` where there is no such file, or it cannot be read.
    """
    path = find(name_or_path)
    beside = _profiled(path)
    profiled = _counts(beside, Profile)["measurements"] if beside else 0
    return {"name": _stem(path), **_counts(path, Measurement), "operators": profiled}


def _counts(path: Path, kind: type[Record]) -> dict[str, Any]:
    if path.suffix == packed.SUFFIX:
        found: dict[str, Any] = packed.read_facts(path)["counts"]
        return found
    return counts(
        glance(line) or Seen.of(_parse(line, kind, where=f"{path} line {number}")) for number, line in _lines(path)
    )


def folder() -> Path:
    """Where the datasets of the project lie: beside the package, or where its installation put them."""
    beside = Path(__file__).resolve().parents[2] / "datasets"
    if beside.is_dir():
        return beside
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("ftax-model") or ():
            if file.parts[-2:] == ("datasets", "README.md"):
                return Path(str(file.locate())).resolve().parent
    return beside


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    tell: Tell | None = None,
) -> pd.DataFrame:
    """The tidy frame of a dataset, by the name of one that comes with the project or by path; see `frame`.

    ``columns`` are those to keep; ``where`` says which rows, by the values, one or several, that columns may have. Of
    a packed dataset nothing else is read. ``tell`` hears how far reading is. Raises `DataError` where there is no such
    file or no readable record in it, `InputError` for a column that a frame does not have.

    >>> eager = {"framework": "eager", "dtype": ["float16", "bfloat16"]}
    >>> load_dataset("nvidia-h200", columns=["model", "latency_s"], where=eager).shape[1]
    2
    """
    path = find(name_or_path)
    if path.suffix == packed.SUFFIX:
        return packed.read_frame(path, columns=columns, where=where, tell=tell)
    return chosen(frame(_records(path, Measurement, tell)), columns=columns, where=where)


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
    return operator_frame(_records(path, Profile))


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
    return beside(path, OPERATORS)


def beside(path: str | os.PathLike[str], what: str) -> Path:
    """The lines that lie beside a dataset, by the path of its file and what their name has more."""
    return Path(path).with_name(f"{_stem(Path(path))}{what}.jsonl")


def operators_files(path: str | os.PathLike[str]) -> list[Path]:
    """Where the operator profiles of a dataset may lie: as written, compressed, and packed."""
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
            "a dataset is a file of JSON Lines or Parquet",
            f"no file {path}",
            "check the path, or measure one: ftax collect",
        )
    plugins.check(str(name_or_path), names(), what="dataset")
    return next(file for suffix in SUFFIXES if (file := folder() / f"{path}{suffix}").exists())


@overload
def read(
    path: str | os.PathLike[str], *, keys: Collection[str] | None = None, tell: Tell | None = None
) -> list[Measurement]: ...


@overload
def read(
    path: str | os.PathLike[str], kind: type[R], *, keys: Collection[str] | None = None, tell: Tell | None = None
) -> list[R]: ...


def read(
    path: str | os.PathLike[str],
    kind: type[Any] = Measurement,
    *,
    keys: Collection[str] | None = None,
    tell: Tell | None = None,
) -> list[Any]:
    """The records of one kind, measurements or profiles, in a dataset's file, in order: all, or those of some cells.

    ``keys`` are those of the cells, ``tell`` hears how far reading is. A last line that was cut off by a crash is left
    out with a `DatasetWarning`. Raises `DataError` for a file that cannot be read, a line in the middle that is not a
    record, a schema of another version, or a key that comes twice.
    """
    asked = None if keys is None else frozenset(keys)
    found = _records(Path(path), kind, tell, keys=asked)
    return [one for one in found if asked is None or one.cell.key in asked]


def records(name_or_path: str | os.PathLike[str], *, tell: Tell | None = None) -> Iterator[Measurement]:
    """The measurements of a dataset, by name or path, one after the other, so that none need be kept.

    Of a packed one they come as Parquet holds them. Raises `DataError` as `read` does, once it comes to that.
    """
    return _records(find(name_or_path), Measurement, tell, in_order=False)


def _records(
    path: Path,
    kind: type[R],
    tell: Tell | None = None,
    *,
    keys: Collection[str] | None = None,
    keep: list[bytes] | None = None,
    in_order: bool = True,
) -> Iterator[R]:
    """The records of a file one after the other, those of the cells at least; ``keep`` takes their lines.

    Of a packed file those that come in the order of packing are all in memory at once.
    """
    seen: set[str] = set()
    for number, line in _lines(path, tell, keys, in_order=in_order):
        record = cast(R, _parse(line, kind, where=f"{path} line {number}"))
        key = record.cell.key
        if key in seen:
            raise DataError(
                "a key is unique in a dataset", f"{path} line {number}: {key} again", "drop one of the lines"
            )
        seen.add(key)
        if keep is not None:
            keep.append(line.strip())
        yield record


def _lines(
    path: Path, tell: Tell | None = None, keys: Collection[str] | None = None, *, in_order: bool = True
) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that hold something, with their numbers; of a packed one those of the cells alone."""
    if path.suffix == packed.SUFFIX:
        yield from enumerate(packed.read_lines(path, keys=keys, tell=tell, in_order=in_order), start=1)
        return
    law, done = "a dataset is a readable file", 0
    size = files.unpacked_size(path) if tell else 0
    for number, line in enumerate(files.lines(path, law=law, do="check the path"), start=1):
        done += len(line)
        if tell and number % _OFTEN == 0:
            tell(number, min(done / size, 1.0) if size else 1.0)
        if not line.strip():
            continue
        if not line.endswith(b"\n") and _is_cut(line):
            message = f"{path}: the last line is cut off and was left out; ftax collect measures that cell again"
            warnings.warn(message, DatasetWarning, stacklevel=2)
            continue
        yield number, line


_OFTEN = 500  # lines from one word of how far it is to the next


def pack(name_or_path: str | os.PathLike[str], out: str | os.PathLike[str], *, tell: Tell | None = None) -> list[Path]:
    """Pack a dataset, and the operator profiles beside it, as Parquet; returns the files, ``out`` first.

    Whatever takes a dataset takes ``out``, whose name ends in ``.parquet``; `unpack` gives the very records back.
    Raises `DataError` as `read` does, where there is no record, and where the output cannot be written.
    """
    path, out = find(name_or_path), Path(out)
    if out.suffix != packed.SUFFIX:
        raise DataError("a packed dataset is Parquet", str(out), f"choose a name that ends in {packed.SUFFIX}")
    if _stem(path).endswith(OPERATORS):
        return [_packed_profiles(path, out, tell)]
    lines: list[bytes] = []
    table = frame(_records(path, Measurement, tell, keep=lines))
    if not lines:
        raise DataError("a dataset that is packed holds records", f"{path}: none", "measure some: ftax collect")
    columns = (table[name] for name in ("architecture", "hyperparameters", "dtype", "framework", "device", "status"))
    seen = counts(map(Seen._make, zip(*columns, strict=True)))
    facts = {"kind": packed.MEASUREMENTS, "counts": seen}
    beside, written = _profiled(path), [packed.write(out, table, lines, facts, tell=tell)]
    return [*written, _packed_profiles(beside, operators_file(out).with_suffix(packed.SUFFIX))] if beside else written


def _packed_profiles(path: Path, out: Path, tell: Tell | None = None) -> Path:
    import pandas as pd

    lines: list[bytes] = []
    rows, seen = [], []
    for one in _records(path, Profile, tell, keep=lines):
        seen.append(Seen.of(one))
        rows.append({"key": one.cell.key, **seen[-1]._asdict()})
    table = pd.DataFrame(rows, columns=["key", *Seen._fields]).drop(columns="hyperparameters")
    return packed.write(out, table, lines, {"kind": packed.PROFILES, "counts": counts(seen)}, tell=tell)


def unpack(name_or_path: str | os.PathLike[str], out: str | os.PathLike[str], *, tell: Tell | None = None) -> Path:
    """Write the records of a packed dataset as JSON Lines, as they were before; returns ``out``.

    Raises `DataError` where they cannot be read, where ``out`` is there, and where it cannot be written.
    """
    path, out = find(name_or_path), Path(out)
    if out.exists():
        raise DataError("what is unpacked overwrites nothing", f"{out} is there", "choose another output")
    return files.write(out, b"".join(line + b"\n" for line in packed.read_lines(path, tell=tell)))


def merge(
    names_or_paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    prefer: str | None = None,
    replace: bool = False,
    tell: Tell | None = None,
) -> list[Merged]:
    """Make one dataset ``out`` of several, and one file of the operator profiles beside them; what became of each.

    Records come in the order of the files (of a packed one, as Parquet holds them), and stay as they are. Each is held
    only while it is looked at. Identical ones of a cell count once. Where those of a cell differ, ``prefer`` says which
    is taken, one of `PREFERENCES`: ``ok``, the good one where another failed; ``first`` or ``last``, of two good ones
    that of the first or last file as well. Files of operator profiles alone are merged alike.

    Each output is written in one step. With ``replace`` it may take the place of one that is there, also of an input.
    Raises `DataError` before anything is written where records differ and nothing says which is taken, where an input
    cannot be read or an output cannot be written, is there, or is being written by others.
    """
    paths, out = [find(one) for one in names_or_paths], Path(out)
    if prefer is not None:
        plugins.check(prefer, PREFERENCES, what="preference")
    if out.suffix != ".jsonl":
        cure = "choose a name that ends in .jsonl, and pack it then: ftax pack"
        raise DataError("a merged dataset is JSON Lines", str(out), cure)
    if paths and all(_stem(path).endswith(OPERATORS) for path in paths):
        parts: dict[Path, tuple[type[Record], list[Path]]] = {out: (Profile, paths)}
        around = [out]
    else:
        parts = {out: (Measurement, paths)}
        around = [out, *operators_files(out)]
        if beside := [file for path in paths if (file := _profiled(path))]:
            parts[operators_file(out)] = (Profile, beside)
    _check_room(parts, around, replace=replace)
    with ExitStack() as stack:
        for place, (kind, _) in parts.items():
            if place.exists():
                stack.enter_context(Writer(place, kind))  # nobody else appends to what is about to be replaced
        hears = _in_turn(tell, 2 * sum(len(own) for _, own in parts.values()))
        ledgers = {place: _ledger(kind, own, prefer, hears) for place, (kind, own) in parts.items()}
        for place, (_, own) in reversed(parts.items()):  # the dataset last: once it is there, all is
            files.write(place, _taken(own, ledgers[place], hears))
    return [one for ledger in ledgers.values() for one in ledger.merged()]


def _check_room(parts: Collection[Path], around: Iterable[Path], *, replace: bool) -> None:
    """Raise `DataError` where outputs cannot be written, or something lies there that is not to be replaced."""
    for place in around:
        if place.exists() and not replace:
            raise DataError(
                "what is merged overwrites nothing", f"{place} is there", "choose another output, or --replace"
            )
        if place.exists() and place not in parts:
            law = "profiles beside a dataset are of its cells"
            raise DataError(law, f"{place}, which is not replaced", "move it away, or choose another output")
    for place in parts:
        files.check(place)


def _ledger(kind: type[Record], paths: Iterable[Path], prefer: str | None, hears: Iterator[Tell | None]) -> Ledger:
    """Which records of several files are taken; raises `DataError` where nothing says."""
    found, lines = Ledger(prefer), list[bytes]()
    for path in paths:
        found.open(path)
        for record in _records(path, kind, next(hears), keep=lines, in_order=False):
            found.note(record, lines.pop())
    found.check()
    return found


def _taken(paths: Iterable[Path], ledger: Ledger, hears: Iterator[Tell | None]) -> Iterator[bytes]:
    """The lines of several files that are taken; raises `DataError` where a file is not as it was."""
    for number, path in enumerate(paths):
        lines, seen = _lines(path, next(hears), in_order=False), hashlib.blake2b()
        for taken, (_, line) in zip(ledger.taken[number], lines, strict=False):  # others may be appended meanwhile
            seen.update(line.strip())
            if taken:
                yield line.strip() + b"\n"
        ledger.check_lines(number, seen)


def _in_turn(tell: Tell | None, count: int) -> Iterator[Tell | None]:
    """What hears how far each of so many readings is, one after the other, and tells how far all are."""
    rows = [0] * count

    def heard(at: int, own: int, share: float) -> None:
        rows[at] = own
        if tell:
            tell(sum(rows), (at + share) / count)

    for at in range(count):
        yield partial(heard, at) if tell else None


class Outcome(NamedTuple):
    """How looking at a cell ended: its status, and the seconds of one call, ``None`` where it failed."""

    status: str
    latency_s: float | None


class Writer:
    """Appends records of one kind to a file of JSON Lines; each is on disk before `write` returns.

    Opening takes a lock against a second writer, drops a last line that a crash cut off (with a `DatasetWarning`), and
    reads which cells are ``done``: the `Outcome` of each by its key. Raises `DataError` where the file cannot be
    written, is locked, or holds records of another kind or none; nothing already written is touched then. With ``wait``
    one that is locked is waited for.

    Nobody else writes to the file meanwhile. Where a file system has no locks a `DatasetWarning` says so; a file that
    another program changed, moved or replaced is found out before the next record is written, and takes none.
    """

    def __init__(self, path: str | os.PathLike[str], kind: type[Record] = Measurement, *, wait: bool = False) -> None:
        self.path = Path(path)
        self._kind = kind
        self._wait = wait
        if self.path.suffix in (".gz", packed.SUFFIX):
            raise DataError(
                "a dataset that grows is not compressed", str(self.path), "choose a name that ends in .jsonl"
            )
        with self._refusing("choose another path"):
            if self.path.exists() and not self.path.is_file():
                raise DataError("a dataset is a file that can grow", f"{path}, which is none", "choose another path")
            self._file = self._locked()
        try:
            self._end, self._torn = 0, False
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
        with self._refusing("make room and run again; it goes on where it stopped"):
            self._look()
            self._append(_line(record))
        self._note(record)

    def extend(self, records: Iterable[Record]) -> None:
        """Append records, all or none: a file that has them as well takes the place of this one, and all is done."""
        records = list(records)
        with self._refusing("make room and run again"):
            self._look()
            with self.path.open("rb") as before:
                now = iter(partial(before.read, 1 << 20), b"")
                files.write(self.path, itertools.chain(now, map(_line, records)))
        for record in records:
            self._note(record)
        self._file.close()

    def _note(self, record: Record) -> None:
        self.done[record.cell.key] = Outcome(record.status, record.latency_s)

    def _append(self, line: bytes) -> None:
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except BaseException:
            self._torn = True
            with suppress(OSError):  # the next one to write, or to open the file, tries again
                self._cut_back()
            raise
        self._end += len(line)

    def _cut_back(self) -> None:
        """Take away what was written behind the last whole line."""
        self._file.truncate(self._end)
        self._torn = False

    def _look(self) -> None:
        """Raise `DataError` where the file is not as it was left."""
        if self._torn:
            self._cut_back()
        if not self._in_place(self._file):
            got = f"{self.path} was moved, removed or replaced"
        elif os.fstat(self._file.fileno()).st_size != self._end:
            got = f"{self.path} was changed by another program"
        else:
            return
        raise DataError("one collection writes to a file", got, "see what it holds and run again; it goes on with that")

    def _locked(self) -> IO[bytes]:
        """The file, opened to append, with a lock against other writers where its file system has any."""
        for _ in range(_TRIES):
            file = self.path.open("ab+", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if self._wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                file.close()
                cure = "wait for it, or choose another output"
                raise DataError("one collection writes to a file", f"{self.path}: another one at work", cure) from error
            except OSError as error:
                message = f"{self.path}: no lock can be had there ({_why(error)}); let nothing else write to it"
                warnings.warn(message, DatasetWarning, stacklevel=3)
            if self._in_place(file):  # not replaced before it was locked
                return file
            file.close()
        raise DataError("one collection writes to a file", f"{self.path}: others replace it all the time", "run again")

    def _in_place(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False

    def _take_over(self) -> dict[str, Outcome]:
        """Read what is done, and make the end that of a whole line."""
        done: dict[str, Outcome] = {}
        open_end = cut = False
        for number, line in enumerate(files.lines(self.path, law="a dataset is a readable file"), start=1):
            open_end = not line.endswith(b"\n")
            cut = open_end and _is_cut(line)
            if cut:
                break
            self._end += len(line)
            if not line.strip():
                continue
            record = _parse(line, self._kind, where=f"{self.path} line {number}")
            done[record.cell.key] = Outcome(record.status, record.latency_s)
        with self._refusing("make room and run again"):
            if cut:
                self._cut_back()
                message = f"{self.path}: the last line was cut off and is measured again"
                warnings.warn(message, DatasetWarning, stacklevel=3)
            elif open_end:
                self._append(b"\n")
        files.sync_folder(self.path.parent)
        return done

    @contextmanager
    def _refusing(self, cure: str) -> Iterator[None]:
        """Whatever the system refuses is a `DataError`."""
        try:
            yield
        except OSError as error:
            raise DataError("the output can be written", f"{self.path}: {_why(error)}", cure) from error


_TRIES = 100  # to lock a file that others replace


def _line(record: Record) -> bytes:
    return json.dumps(record.to_record(), separators=(",", ":"), allow_nan=False).encode() + b"\n"


_BEGIN = b'{"schema":'  # what the line of a record begins with


def _is_cut(line: bytes) -> bool:
    """Whether a line without an end is what a crash left of a record: it begins like one and lacks more than its end.

    What was to be written when power was lost may be zeros.
    """
    left = line.rstrip(b"\0")
    if left[: len(_BEGIN)] != _BEGIN[: len(left)]:
        return False
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
    return path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(packed.SUFFIX)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
