"""Fixtures that several test files share."""

from __future__ import annotations

from functools import cache

import pytest

from ftax_model.device import detect
from ftax_model.errors import MissingError


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
