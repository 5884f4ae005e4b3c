"""Files: written in one step, or not at all."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from ftax_model.errors import DataError


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
