"""TorchScript files as strangers give them: without trust each is refused before torch sees it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

from ftax_model.errors import InputError
from ftax_model.tracing import sources


def seeds() -> list[bytes]:
    """A small module."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole
        torch.jit.save(torch.jit.trace(torch.nn.Linear(4, 4), torch.zeros(2, 4)), content)
    return [content.getvalue()]


def read(data: bytes, folder: Path) -> None:
    """Ask for the module, in vain."""
    file = folder / "net.pt"
    file.write_bytes(data)
    try:
        sources.of_torchscript(file, shapes={"x": (2, 4)})
    except InputError as error:
        assert "--trust" in error.do
    else:
        raise AssertionError("it was loaded")
