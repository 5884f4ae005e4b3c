"""Spreads are learnt from how machines differ, level by level."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ftax_model.modeling.estimators.priors import COSTS, Spread, by_class, class_of, class_shift, term_of

BEGIN = Spread(0.3, 0.3, 0.3, 0.2, 0.1)


def machines(spread: Spread, count: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    found = draw.multivariate_normal(np.zeros(len(COSTS)), spread.covariance(), size=count)
    return list(found - found.mean(axis=0))


def test_many_machines_tell_their_spread_whatever_was_held_before() -> None:
    truth = Spread(0.6, 0.1, 0.5, 0.05, 0.2)
    moves, sure = machines(truth, 200), [1e-6 * np.eye(len(COSTS))] * 200
    found = BEGIN
    for _ in range(30):
        found = found.learnt(moves, sure, begin=BEGIN, trust=2.0)
    for level in ("everything", "of_class", "own"):
        assert getattr(found, level) == pytest.approx(getattr(truth, level), rel=0.2)
    for level in ("of_term", "of_group"):
        assert getattr(found, level) < 0.75 * getattr(BEGIN, level)


def test_of_one_machine_nothing_follows() -> None:
    nothing = np.zeros(len(COSTS))
    assert BEGIN.learnt([nothing], [BEGIN.covariance()], begin=BEGIN, trust=2.0) == BEGIN


def test_two_machines_of_which_nothing_was_measured_leave_it_as_it_was() -> None:
    nothing = [np.zeros(len(COSTS))] * 2
    found = BEGIN.learnt(nothing, [BEGIN.covariance()] * 2, begin=BEGIN, trust=2.0)
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(BEGIN))


def test_two_machines_that_are_alike_make_it_smaller_but_not_small() -> None:
    nothing, sure = [np.zeros(len(COSTS))] * 2, [1e-6 * np.eye(len(COSTS))] * 2
    found = BEGIN.learnt(nothing, sure, begin=BEGIN, trust=2.0)
    for before, after in zip(dataclasses.astuple(BEGIN), dataclasses.astuple(found), strict=True):
        assert 0.5 * before < after < before


def test_a_class_that_moves_is_told_from_the_others() -> None:
    moves = by_class(class_shift(2.0, ("convolutions",)))
    assert sorted(moves.round(3)) == [0, 0, 0, 0, 0, pytest.approx(0.693)]


def test_what_streams_is_memory() -> None:
    assert {term_of(cost) for cost in COSTS if class_of(cost) in ("streaming", "traffic")} == {"memory"}
