"""Merging: which record of a cell that several datasets hold goes into the one that is made of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ftax_model.errors import DataError
from ftax_model.measurement import Record

PREFERENCES = ("first", "last", "ok")
"""Which of two records of a cell is taken, where they differ: a good one before a failed one, and of two good ones the
first, the last, or neither, which is refused.
"""


@dataclass(frozen=True)
class Merged:
    """What became of the records of a file: ``taken``, the ``same`` as one before, or ``decided`` for one of another.

    All are counts of records.
    """

    file: str
    records: int = 0
    taken: int = 0
    same: int = 0
    decided: int = 0

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


class _Place(NamedTuple):
    """Where the record of a cell stands that is taken so far, whether it is good, and what tells it from others."""

    file: int
    at: int
    good: bool
    digest: bytes


class Ledger:
    """The records of several files, as they are read one after the other, and which of them are taken.

    It holds a key and a digest of each cell, and of each file a byte a record and a digest of its lines.
    """

    def __init__(self, prefer: str | None) -> None:
        self._prefer = prefer
        self._cells: dict[str, _Place] = {}
        self._paths: list[Path] = []
        self._lines: list[Any] = []
        self._differing: dict[str, tuple[int, int]] = {}
        self._decided: list[int] = []
        self.taken: list[bytearray] = []

    def open(self, path: Path) -> None:
        """What is noted from now on is of this file."""
        self._paths.append(path)
        self._lines.append(hashlib.blake2b())
        self._decided.append(0)
        self.taken.append(bytearray())

    def note(self, record: Record, line: bytes) -> None:
        """Note the next record, and its line, of the file at hand."""
        self._lines[-1].update(line)
        key, taken = record.cell.key, self.taken[-1]
        own = _Place(len(self._paths) - 1, len(taken), record.status == "ok", _digest(record))
        before = self._cells.get(key)
        taken.append(before is None)
        if before is None:
            self._cells[key] = own
        elif before.digest != own.digest:
            wins = self._wins(own, before)
            if wins is None:
                self._differing.setdefault(key, (before.file, own.file))
            elif wins:
                taken[-1], self.taken[before.file][before.at] = True, False
                self._cells[key] = own
            self._decided[before.file if wins else own.file] += 1

    def _wins(self, own: _Place, before: _Place) -> bool | None:
        """Whether a record takes the place of the one before; ``None`` where nobody says."""
        if self._prefer is None:
            return None
        if own.good != before.good:
            return own.good
        return {"first": False, "last": True, "ok": None if own.good else False}[self._prefer]

    def check(self) -> None:
        """Raise `DataError` where records of a cell differ and nothing says which is taken."""
        if self._differing:
            key, files = next(iter(self._differing.items()))
            names = " and ".join(str(self._paths[at]) for at in files)
            got = f"{len(self._differing):,} of which records differ, first {key} in {names}"
            options = ("first", "last") if self._prefer else PREFERENCES
            raise DataError("a cell has one record in a dataset", got, f"choose: --prefer {' or '.join(options)}")

    def check_lines(self, file: int, read_again: Any) -> None:
        """Raise `DataError` where the lines of a file are others than those that were noted."""
        if read_again.digest() != self._lines[file].digest():
            law = "datasets that are merged stay as they are"
            raise DataError(law, f"{self._paths[file]}: other lines than a moment ago", "merge again")

    def merged(self) -> list[Merged]:
        """What became of the records of each file."""
        found = []
        for path, taken, decided in zip(self._paths, self.taken, self._decided, strict=True):
            records, own = len(taken), sum(taken)
            found.append(Merged(str(path), records, own, records - own - decided, decided))
        return found


def _digest(record: Record) -> bytes:
    """The same for records that say the same, however their lines are written."""
    text = json.dumps(record.to_record(), sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
