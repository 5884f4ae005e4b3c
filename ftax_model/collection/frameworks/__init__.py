"""Frameworks: one file each; the file name is the registry."""

from __future__ import annotations

from ftax_model import plugins
from ftax_model.collection.frameworks._base import Framework

__all__ = ["Framework", "load", "names"]


def names() -> list[str]:
    """All frameworks, sorted."""
    return plugins.names(__name__)


def load(name: str) -> Framework:
    """A fresh framework of that name; raises `InputError` for an unknown name, `MissingError` for one not installed."""
    framework = plugins.load(__name__, name)()
    assert isinstance(framework, Framework)
    return framework
