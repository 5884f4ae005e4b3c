"""Files: written in one step or not at all, and read so that no file, whoever wrote it, takes all memory or time.

What is read is plain values (JSON, YAML, TOML) and nothing else. Limits are far above all that the project writes.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import gzip
import json
import math
import os
import re
import secrets
import stat
import sys
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Never, TypeVar

import yaml

from ftax_model.errors import DataError

MOST_BYTES = 1 << 28
"""Of a file that is read as a whole, unpacked."""
LONGEST_LINE = 1 << 26
"""Bytes of a line."""
MOST_TEXT = 1 << 18
"""Bytes of a file that people write: YAML, TOML."""
MOST_PARTS = 100_000
"""Values in a file that people write, those that aliases repeat counted each time."""
DEEPEST = 64
"""How many lists and objects may lie within each other."""
LARGEST_NUMBER = 2**63
"""Whole numbers lie below, positive or negative."""

T = TypeVar("T")

UNPACKED = 200
"""Bytes that a byte of a compressed file may become; JSON becomes ten to thirty."""

_ANYWAY = 1 << 24  # bytes from which on that is looked at
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a character beyond 16 bits; alone it is none


def write(path: str | os.PathLike[str], content: bytes | Iterable[bytes]) -> Path:
    """Write a file in one step; returns its path, raises `DataError` where it cannot be written.

    Whatever happens meanwhile, a crash, a full disk or a loss of power, the file is the old one or the new one. Of a
    link, what it points to is replaced; permissions stay. What is no plain file (a pipe, a terminal), or is where
    standard output goes, is written to as it is. A process that was killed may leave a file ``NAME.xxxxxxxx.part``,
    hexadecimal digits in the middle, which the next one that writes ``NAME`` removes.
    """
    check(path)
    path, parts = Path(path), [content] if isinstance(content, bytes) else content
    with _refusing(path):
        before = _status(path)
        if before is None or _is_replaced(before):
            _replace(Path(os.path.realpath(path)), parts, before)
        else:
            _pour(path if (stream := _stream(before)) is None else stream, parts)
    return path


def check(path: str | os.PathLike[str]) -> None:
    """Raise `DataError` where `write` could not write a file as things are: before the work for it, not after."""
    with _refusing(Path(path)):
        before = _status(Path(path))
        target = Path(os.path.realpath(path))
        if before and stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if before is None or _is_replaced(before):
            for place in (target.parent, target) if before else (target.parent,):
                place.stat()
                if not os.access(place, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def sync_folder(folder: Path) -> None:
    """Have the disk know which files a folder holds, where its file system can be asked to."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_json(path: str | os.PathLike[str], record: Any) -> Path:
    """Write plain values as JSON, compressed where the name ends in .gz; as `write`."""
    content = (json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n").encode()
    return write(path, gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content)


def read(path: str | os.PathLike[str], *, law: str, do: str = "check the file", most: int = MOST_BYTES) -> bytes:
    """The content of a file, unpacked where its name ends in .gz.

    Raises `DataError`, which says the ``law`` and what to ``do``, where it cannot be read or has over ``most`` bytes.
    """
    with _opened(path, law=law, do=do) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise DataError(law, f"{path}: more than {most:,} bytes", do)
    return content


def lines(path: str | os.PathLike[str], *, law: str, do: str = "check the file") -> Iterator[bytes]:
    """The lines of a file, unpacked where its name ends in .gz, each with its end; raises `DataError` as `read` does.

    No line is longer than `LONGEST_LINE`, and a compressed file does not unpack to more than JSON would.
    """
    count, packed = 0, Path(path).suffix == ".gz"
    with _opened(path, law=law, do=do) as file:
        most = most_unpacked(os.fstat(file.fileno()).st_size) if packed else math.inf
        while line := file.readline(LONGEST_LINE + 1):
            count += len(line)
            if len(line) > LONGEST_LINE:
                raise DataError(law, f"{path}: a line of more than {LONGEST_LINE >> 20} MiB", do)
            if count > most:
                raise DataError(law, f"{path}: unpacks to more than {UNPACKED} times its size", do)
            yield line


def unpacked_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a file once it is unpacked, as far as it says so itself; 0 where it does not."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if path.suffix != ".gz":
                return size
            file.seek(max(size - 4, 0))
            return int.from_bytes(file.read(4), "little")
    except OSError:
        return 0


def most_unpacked(size: int) -> int:
    """Bytes that a compressed file of a size may unpack to."""
    return max(_ANYWAY, UNPACKED * size)


def read_json(path: str | os.PathLike[str], *, law: str, do: str = "check the file", most: int = MOST_BYTES) -> Any:
    """The plain values in a JSON file, unpacked where its name ends in .gz; raises `DataError` as `read` does."""
    return _parsed(path, parse_json, law=law, do=do, most=most)


def read_yaml(path: str | os.PathLike[str], *, law: str, do: str = "mend the file") -> Any:
    """The plain values in a YAML file; raises `DataError` as `read` does."""
    return _parsed(path, parse_yaml, law=law, do=do, most=MOST_TEXT)


def read_toml(path: str | os.PathLike[str], *, law: str, do: str = "mend the file") -> dict[str, Any]:
    """The table in a TOML file; raises `DataError` as `read` does."""
    return _parsed(path, _parse_toml, law=law, do=do, most=MOST_TEXT)


def parse_json(text: str | bytes) -> Any:
    """The plain values of a JSON text; stricter than `json.loads`, and raises `ValueError` alone.

    Refused are keys that come twice, halves of characters, NaN and infinity, numbers beyond 64 bits, and lists or
    objects within each other more than `DEEPEST` times.

    Examples
    --------
    >>> parse_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' twice
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        found = _DECODER.decode(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"values within each other more than {DEEPEST} times") from None
    if text.count("[") + text.count("{") > DEEPEST:
        check_parts(found)
    if _HALF.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def parse_yaml(text: str | bytes) -> Any:
    """The plain values of a YAML text, of which no tag makes anything else; raises `ValueError` alone.

    Refused are keys that come twice, merges (``<<``) of several mappings, more than `MOST_PARTS` values with those that
    aliases repeat, infinity and nan, and values within each other more than `DEEPEST` times.
    """
    try:
        found = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise ValueError(f"values within each other more than {DEEPEST} times") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    check_parts(found, most=MOST_PARTS)
    return found


def check_parts(content: Any, *, most: float = math.inf) -> None:
    """Raise `ValueError` where plain values are too many, too deep, no numbers or outsize ones."""
    level, left = [content], most
    for depth in range(DEEPEST + 1):
        left -= len(level)
        if left < 0:
            raise ValueError(f"more than {most:,} values")
        for one in level:
            if type(one) in (int, float):
                _within(one)
        inner = [one.values() if type(one) is dict else one for one in level if type(one) in (dict, list)]
        if inner and depth == DEEPEST:
            raise ValueError(f"values within each other more than {DEEPEST} times")
        level = list(islice(chain.from_iterable(inner), None if left == math.inf else int(left) + 1))


class _Loader(yaml.SafeLoader):
    """YAML as plain values, every key once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Take in what ``<<`` names, which is one mapping."""
        if not hasattr(node, "flat"):  # what was merged before holds keys that were overridden
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len({*keys}) < len(keys):
                raise yaml.MarkedYAMLError(problem="a key twice", problem_mark=node.start_mark)
            if any(key.value == "<<" and isinstance(own, yaml.SequenceNode) for key, own in node.value):
                raise yaml.MarkedYAMLError(problem="<< names one mapping, not several", problem_mark=node.start_mark)
            node.flat = True  # type: ignore[attr-defined]
        super().flatten_mapping(node)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Whatever the system refuses of an output is a `DataError`."""
    try:
        yield
    except OSError as error:
        got = f"{path}: {error.strerror or error}"
        raise DataError("the output can be written", got, "choose another path") from error


def _is_replaced(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and _stream(status) is None


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except ValueError as error:  # no path at all
        raise OSError(errno.EINVAL, str(error)) from error


def _replace(target: Path, parts: Iterable[bytes], before: os.stat_result | None) -> None:
    """Write all of a file beside its target, and only then in its place."""
    _remove_leftovers(target)
    with _part(target) as (part, file):
        file.writelines(parts)
        file.flush()
        if before:
            with suppress(OSError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
        os.fsync(file.fileno())
        part.replace(target)
    sync_folder(target.parent)


@contextmanager
def _part(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file beside a target, locked as long as somebody writes it; removed unless it takes the target's place."""
    while True:
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        with part.open("xb") as file:
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink == 0:  # taken for a leftover before it was locked
                    continue
                yield part, file
                return
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise


def _remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed left beside a target; what is locked is being written."""
    for part in target.parent.glob(f"{glob.escape(target.name)}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _pour(into: Path | int, parts: Iterable[bytes]) -> None:
    sys.stdout.flush()
    with open(into, "wb", closefd=isinstance(into, Path)) as file:
        file.writelines(parts)


def _stream(status: os.stat_result) -> int | None:
    """The descriptor of standard output or error, where a file is what it goes to."""
    for stream in (1, 2):
        with suppress(OSError):  # closed
            if os.path.samestat(status, os.fstat(stream)):
                return stream
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:60]!r} twice")
    return found


def _no_number(text: str) -> Never:
    raise ValueError(f"{text}, which is no number")


def _within(number: float) -> float:
    """The number; raises `ValueError` where it is not finite or outsize."""
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("a number that is not finite")
    if isinstance(number, int) and abs(number) >= LARGEST_NUMBER:
        raise ValueError("a number beyond 64 bits")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_no_number,
    parse_float=lambda text: _within(float(text)),
    parse_int=lambda text: _within(int(text)),
)


def _parse_toml(content: bytes) -> dict[str, Any]:
    try:
        found = tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"values within each other more than {DEEPEST} times") from None
    check_parts(found, most=MOST_PARTS)
    return found


def _parsed(path: Any, parse: Callable[[bytes], T], *, law: str, do: str, most: int) -> T:
    content = read(path, law=law, do=do, most=most)
    try:
        return parse(content)
    except ValueError as error:
        raise DataError(law, f"{path}: {' '.join(str(error).split())[:200]}", do) from error


@contextmanager
def _opened(path: str | os.PathLike[str], *, law: str, do: str) -> Iterator[IO[bytes]]:
    """A file open for reading, unpacked; whatever goes wrong with it is a `DataError`."""
    path = Path(path)
    try:
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rb") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(law, f"{path}: {getattr(error, 'strerror', None) or error}", do) from error
