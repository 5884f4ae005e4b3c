"""Frameworks: one file each; the file name is the registry."""

from __future__ import annotations

import importlib.util

from ftax_model import plugins
from ftax_model.collection.frameworks._base import Framework
from ftax_model.errors import MissingError

__all__ = ["Framework", "installed", "load", "names"]


def names() -> list[str]:
    """All frameworks, sorted."""
    return plugins.names(__name__)


def installed() -> list[str]:
    """Those whose packages are here, sorted."""
    return [name for name in names() if not _missing(plugins.load(__name__, name)())]


def takes(name: str) -> tuple[str, ...]:
    """What a framework can run (`ftax_model.collection.builders.FORMS`), installed or not."""
    found: tuple[str, ...] = plugins.load(__name__, name).takes  # type: ignore[attr-defined]
    return found


def load(name: str) -> Framework:
    """A fresh framework of that name; raises `InputError` for an unknown name, `MissingError` for one not installed."""
    framework = plugins.load(__name__, name)()
    assert isinstance(framework, Framework)
    for package in _missing(framework):
        law = f"the framework {name!r} needs the Python package {package!r}"
        cure = f"install it (pip install {package}) or choose another framework"
        raise MissingError(law, "an environment without it", cure)
    return framework


def _missing(framework: Framework) -> list[str]:
    """Packages that the framework needs and that are not installed."""
    packages = dict.fromkeys(module.partition(".")[0] for module in framework.preload)
    return [package for package in packages if importlib.util.find_spec(package) is None]
