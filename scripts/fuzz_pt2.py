"""Programs of torch.export as strangers give them: without trust each is refused before torch sees it."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from ftax_model.errors import InputError
from ftax_model.tracing import sources


def seeds() -> list[bytes]:
    """A small program."""
    content = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(4, 4), (torch.zeros(2, 4),)), content)
    return [content.getvalue()]


def read(data: bytes, folder: Path) -> None:
    """Ask for the program, in vain."""
    file = folder / "net.pt2"
    file.write_bytes(data)
    try:
        sources.find(file)
    except InputError as error:
        assert "--trust" in error.do
    else:
        raise AssertionError("it was loaded")
