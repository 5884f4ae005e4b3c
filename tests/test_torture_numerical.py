"""The harness of fits at the edge, at a small size, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ftax_model.errors import InputError


@pytest.fixture(scope="module")
def harness(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("torture_numerical")


def test_it_counts_refusals_broken_promises_errors_and_warnings(harness: ModuleType) -> None:
    told: list[str] = []
    tried = harness.Tried("something", told.append)

    def refuse() -> dict[str, bool]:
        raise InputError("a law", "nothing", "mend it")

    tried("drawn", lambda: {"it holds": True})
    tried("drawn", refuse)
    tried("drawn", lambda: {"it holds": [True, False]})
    tried("drawn", lambda: {"it is none": 1 / 0})
    tried("drawn", lambda: {"it is finite": np.isfinite(np.log(np.zeros(1)))})
    assert tried.row() == {"what": "something", "runs": 5, "bad": 3, "refused": 1, "first": "it holds"}
    assert len(told) == 4


def test_it_counts_falls_and_those_beyond_what_is_allowed(harness: ModuleType) -> None:
    steps = [np.log([1.0, 0.98, 2.0]), np.log([0.8])]
    found = harness.fallen("steps", steps, allowed=0.1)
    assert (found["runs"], found["falls"], found["bad"]) == (4, 2, 1)
    assert found["largest_percent"] == pytest.approx(20)
    assert harness.fallen("steps", [np.zeros(3)]) == {"what": "steps", "runs": 3, "bad": 0, "falls": 0}


@pytest.mark.slow
def test_a_small_run_breaks_no_promise(harness: ModuleType, tmp_path: Path) -> None:
    told: list[str] = []
    many = {False: (300,), True: (100,)}
    rows = harness.run(
        tmp_path,
        seed=1,
        tell=told.append,
        draws=6,
        fits=1,
        many=many,
        sizes=(1, 2, 3, 16),
        calibrations=1,
        names=("mlp",),
    )
    assert not [row for row in rows if row["bad"]], told
    assert sum(row["runs"] for row in rows) > 1000
