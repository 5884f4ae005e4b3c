"""Anytime and fingerprint: when measuring is enough, on a clock of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ftax_model.modeling.platforms import anytime
from ftax_model.modeling.platforms.anytime import EVERY_S, LEAST_S, Anytime


class Known:
    """Expects the errors that it is given, one after another."""

    def __init__(self, *errors: dict[str, float]) -> None:
        self.errors = list(errors)

    def expected_error(self, table: pd.DataFrame) -> dict[str, float]:
        return self.errors.pop(0)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``look(errors, times)``: what is said at each time."""
    monkeypatch.setattr(anytime.dataset, "load_dataset", lambda path: pd.DataFrame({"status": ["ok"]}))

    def answers(errors: list[dict[str, float]], times: list[float]) -> list[bool]:
        now = iter([0.0, *times])
        enough = Anytime(Known(*errors), Path("none"), clock=lambda: next(now))  # type: ignore[arg-type]
        return [enough() for _ in times]

    return answers


def test_it_goes_on_while_an_error_falls_and_ends_when_none_does(look: Any) -> None:
    errors = [{"a": 0.3, "b": 0.2}, {"a": 0.2, "b": 0.2}, {"a": 0.199, "b": 0.2}]
    times = [LEAST_S, LEAST_S + EVERY_S, LEAST_S + 2 * EVERY_S]
    assert look(errors, times) == [False, False, True]


def test_it_looks_neither_too_soon_nor_too_often(look: Any) -> None:
    times = [LEAST_S - 1, LEAST_S, LEAST_S + EVERY_S - 1]
    assert look([{"a": 0.3}], times) == [False, False, False]  # one look at all


def test_a_platform_that_is_new_is_worth_another_look(look: Any) -> None:
    times = [LEAST_S + at * EVERY_S for at in range(3)]
    assert look([{"a": 0.3}, {"a": 0.3, "b": 0.4}, {"a": 0.3, "b": 0.4}], times) == [False, False, True]


def test_of_nothing_known_it_is_never_enough(look: Any) -> None:
    assert look([{}, {}], [LEAST_S, LEAST_S + EVERY_S]) == [False, False]
