"""A machine that differs class by class from those known, made of the predictor that ships."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.priors import COSTS, class_shift
from ftax_model.modeling.judging.machines import factored
from ftax_model.modeling.platforms.known import Known, correlations
from ftax_model.modeling.platforms.platform import Fitted, adapt, fit_one
from ftax_model.modeling.predictor import SHIPPED

KNOWN = LatencyPredictor.load(SHIPPED).known_
EAGER, SCRIPT = KNOWN["eager", "cpu"], KNOWN["torchscript", "cpu"]


def rows(known: Known, moved: np.ndarray, *, noise: float = 0.03) -> pd.DataFrame:
    """The workloads that stand for a framework, on a machine whose log costs are moved from the mean."""
    model = known.model()
    model.fit(known.sample[:0], [], prior=known.prior(new(known)).moved(moved, known.spread))
    draw = np.random.default_rng(0).normal(0, noise, len(known.sample))
    seconds = model.predict(known.sample) * np.exp(draw)
    names = [str(at) for at in range(len(seconds))]
    platform = {"framework": known.framework, "device": "new-2core", "dtype": "float32", "threads": 1}
    return known.sample.assign(**platform, latency_s=seconds, model=names, curve=names)


def new(known: Known) -> Platform:
    return Platform(known.framework, "new-2core", "float32", 1)


def missed(predicted: np.ndarray, part: pd.DataFrame) -> float:
    return float(np.median(np.abs(np.log(predicted / part["latency_s"].to_numpy()))))


def test_products_twice_as_fast_and_convolutions_half_are_learnt_where_three_factors_cannot() -> None:
    every = rows(EAGER, class_shift(0.5, ("products",)) + class_shift(2.0, ("convolutions", "depthwise")))
    seen, rest = every[::2], every[1::2]
    fitted = adapt(seen, KNOWN)[new(EAGER)]
    ours, three = missed(fitted.model.predict(rest), rest), missed(factored(KNOWN, seen, rest), rest)
    assert ours < 0.6 * three
    assert ours < 0.12


def test_a_machine_as_the_mean_one_is_no_worse_by_a_dozen_rows() -> None:
    every = rows(EAGER, np.zeros(len(COSTS)))
    fitted = adapt(every[:12], KNOWN)[new(EAGER)]
    assert missed(fitted.model.predict(every[12:]), every[12:]) < 0.06


def test_what_one_framework_says_of_a_machine_moves_the_others_part_of_the_way() -> None:
    slower = np.full(len(COSTS), np.log(2.0))
    fits = adapt(rows(EAGER, slower), KNOWN)
    found = fit_one(new(SCRIPT), SCRIPT.sample[:0].assign(latency_s=0.0), KNOWN, fits)
    assert found is not None
    begin = SCRIPT.prior(new(SCRIPT))
    moved = found.model.structure_.logs_ - begin.mean
    assert 0.15 < np.median(moved) < 0.9 * np.log(2.0)
    assert np.median(np.diag(found.model.structure_.covariance_)) < np.median(np.diag(begin.covariance))


def test_rows_of_its_own_have_the_last_word_over_other_frameworks() -> None:
    slower, faster = np.full(len(COSTS), np.log(2.0)), np.full(len(COSTS), np.log(0.5))
    own = rows(SCRIPT, faster)
    fitted: Fitted = adapt(pd.concat([rows(EAGER, slower), own], ignore_index=True), KNOWN)[new(SCRIPT)]
    assert missed(fitted.model.predict(own), own) < 0.16  # four times as fast as the other framework says


def test_frameworks_that_moved_alike_are_taken_to() -> None:
    found = correlations(list(KNOWN.values()))
    assert np.diag(found) == pytest.approx(np.ones(len(found)))
    assert np.linalg.eigvalsh(found).min() > 0
    assert ((found > 0) & (found < 1))[np.triu_indices(len(found), 1)].all()


def test_errors_are_those_after_as_many_rows_or_fewer() -> None:
    assert sorted(EAGER.errors) == [0, 10, 40]
    assert EAGER.errors_after(0) is EAGER.errors[0]
    assert EAGER.errors_after(39) is EAGER.errors[10]
    assert EAGER.errors_after(4000) is EAGER.errors[40]
