"""Architectures: one file each; the file name is the registry."""

from __future__ import annotations

from functools import cache

from ftax_model import plugins
from ftax_model.architectures._base import Architecture
from ftax_model.workload import Workload

__all__ = ["Architecture", "complete", "load", "names"]


def names() -> list[str]:
    """All architectures, sorted."""
    return plugins.names(__name__)


@cache
def load(name: str) -> Architecture:
    """The architecture of that name; raises `InputError` for a name that is not there."""
    architecture = plugins.load(__name__, name)()
    assert isinstance(architecture, Architecture)
    return architecture


def complete(workload: Workload) -> Workload:
    """The workload with every hyperparameter written out; raises `InputError` where it cannot be."""
    return load(workload.architecture).complete(workload)
