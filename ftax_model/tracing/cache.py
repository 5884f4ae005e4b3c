"""Cache: what was traced of registered architectures, on disk, so that asking again needs no torch.

It lies where the system keeps a user's caches (``XDG_CACHE_HOME`` on Linux) and may be removed at any time. What was
kept is found again while the versions of torch and transformers, and our own code that builds and traces, are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from ftax_model.errors import DataError
from ftax_model.files import read_json, write_json
from ftax_model.operators import Trace
from ftax_model.workload import Workload

MOST = 512
"""Files that are kept of each; of more, those that were written first are removed."""

_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What a damaged record raises."""

_PACKAGES = ("torch", "transformers")
_OURS = ("architectures", "tracing", "operators.py", "workload.py")


TRACES, POLYNOMIALS = "traces", "polynomials"
"""What is kept, each in a folder of its own."""


def folder(what: str = TRACES) -> Path:
    """Where something is kept."""
    return platformdirs.user_cache_path("ftax_model", appauthor=False) / what


class Record:
    """Plain JSON values on disk, found again by ``key`` (plain JSON values too), which the file holds as well."""

    def __init__(self, what: str, key: Any) -> None:
        self._key = json.loads(json.dumps(key))
        self._path = folder(what) / f"{_digest(key)}.json.gz"

    def read(self) -> Any:
        """What was kept last; ``None`` where nothing was, it is damaged, or it is of another key."""
        with suppress(DataError):
            found = read_json(self._path, law="what is kept is JSON")
            if isinstance(found, dict) and found.get("key") == self._key:
                return found.get("kept")
        return None

    def keep(self, record: Any) -> None:
        """Keep something in one step; where the disk takes nothing, it is made again another time."""
        with suppress(OSError, DataError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {"key": self._key, "kept": record})
            _remove_oldest(self._path.parent)


class Kept:
    """The traces of one sweep that are on disk, by batch size."""

    def __init__(self, sweep: Workload) -> None:
        self._record, self._found = Record(TRACES, sweep.to_record()), dict[int, Trace]()
        with suppress(*_UNREADABLE):
            self._found = {int(size): Trace.from_record(one) for size, one in (self._record.read() or {}).items()}

    def get(self, batch_size: int) -> Trace | None:
        """The trace at a batch size, if there is one."""
        return self._found.get(batch_size)

    def put(self, batch_size: int, trace: Trace) -> None:
        """Keep a trace."""
        self._found[batch_size] = trace
        self._record.keep({str(size): one.to_record() for size, one in sorted(self._found.items())})


def _remove_oldest(kept: Path) -> None:
    files = list(kept.glob("*.json.gz"))
    if len(files) > MOST:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: len(files) - MOST + MOST // 8]:
            file.unlink(missing_ok=True)


def _digest(key: Any) -> str:
    text = json.dumps([key, _made_by()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _made_by() -> list[str]:
    """What else a trace hangs on, beside the workload: versions, and our own code."""
    root, code = Path(__file__).resolve().parents[1], hashlib.sha256()
    for file in sorted(_sources(root)):
        code.update(file.read_bytes())
    return [*(f"{name} {metadata.version(name)}" for name in _PACKAGES), code.hexdigest()]


def _sources(root: Path) -> Iterator[Path]:
    for name in _OURS:
        yield from (root / name).glob("*.py") if (root / name).is_dir() else [root / name]
