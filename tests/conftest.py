"""Fixtures that several test files share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

BESIDE_OTHERS = "PYTEST_XDIST_WORKER" in os.environ
if BESIDE_OTHERS:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: each worker has a core

from ftax_model.device import detect  # noqa: E402
from ftax_model.errors import MissingError  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is left alone; what tests trace is kept for the other tests, of workers beside this one too."""
    shared = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str((shared.parent if BESIDE_OTHERS else shared) / "cache"))
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a ``gpu`` test where there is none."""
    if item.get_closest_marker("gpu") and (reason := no_gpu()):
        pytest.skip(reason)


@cache
def no_gpu() -> str:
    """Why there is no GPU here; empty where there is one."""
    try:
        detect("cuda")
    except MissingError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """``script(name)`` is scripts/<name>.py as a module."""

    @cache
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look there
        spec.loader.exec_module(module)
        return module

    return load
