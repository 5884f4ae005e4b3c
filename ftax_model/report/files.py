"""Files of a report: written in one step, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from ftax_model.errors import DataError


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file in one step; returns its path, raises `DataError` where it cannot be written."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError("the output can be written", f"{path}: {error.strerror}", "choose another path") from error
    return path
