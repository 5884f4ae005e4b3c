"""Files: written in one step or not at all, and read so that no file, whoever wrote it, takes all memory or time.

What is read is plain values (JSON, YAML, TOML) and nothing else. Limits are far above all that the project writes.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

_UNPACKED = 200  # bytes a byte of a compressed file may become; JSON becomes ten to thirty
_ANYWAY = 1 << 24  # bytes from which on that is looked at
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a character beyond 16 bits; alone it is none
_OUTSIZE = re.compile(r"[eE]\+?\d{3}|\d{18}")  # nothing else in JSON can be infinite, or too large


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file in one step; returns its path, raises `DataError` where it cannot be written."""
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError("the output can be written", f"{path}: {error.strerror}", "choose another path") from error
    return path


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
        most = max(_ANYWAY, _UNPACKED * os.fstat(file.fileno()).st_size) if packed else math.inf
        while line := file.readline(LONGEST_LINE + 1):
            count += len(line)
            if len(line) > LONGEST_LINE:
                raise DataError(law, f"{path}: a line of more than {LONGEST_LINE >> 20} MiB", do)
            if count > most:
                raise DataError(law, f"{path}: unpacks to more than {_UNPACKED} times its size", do)
            yield line


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
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"values within each other more than {DEEPEST} times") from None
    if text.count("[") + text.count("{") > DEEPEST or _OUTSIZE.search(text):
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
            if type(one) is float and not math.isfinite(one):
                raise ValueError("a number that is not finite")
            if type(one) is int and abs(one) >= LARGEST_NUMBER:
                raise ValueError("a number beyond 64 bits")
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:60]!r} twice")
    return found


def _no_number(text: str) -> Never:
    raise ValueError(f"{text}, which is no number")


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
