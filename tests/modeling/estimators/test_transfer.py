"""Transfer: scikit-learn's rules, the prior, its strength, outliers and bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.transfer import Transfer

TRUTH = np.array([2.0, 0.5, 0.1])


@parametrize_with_checks([Transfer(), Transfer("agreement", strength=1.0), Transfer(strength=0)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def rows(count, *, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    X = 10 ** rng.uniform(-3, -1, (count, 3))
    return X, (X @ TRUTH) * np.exp(noise * rng.standard_normal(count))


def test_without_strength_the_coefficients_come_out():
    X, y = rows(20)
    assert Transfer(strength=0).fit(X, y).coef_ == pytest.approx(TRUTH, rel=1e-4)


def test_a_right_prior_needs_one_row():
    X, y = rows(1)
    model = Transfer(prior=10 * TRUTH).fit(X, y)
    assert model.coef_ == pytest.approx(TRUTH, rel=1e-3)
    assert model.factor_ == pytest.approx(0.1, rel=1e-3)


def test_the_common_factor_is_free():
    X, y = rows(6, noise=0.1)
    near, far = (Transfer(prior=factor * TRUTH, strength=2.0).fit(X, y) for factor in (1.0, 1e6))
    assert near.coef_ == pytest.approx(far.coef_, rel=1e-6)


def test_infinite_strength_fits_the_factor_alone():
    X, y = rows(6)
    model = Transfer(prior=[1.0, 1.0, 1.0], strength=np.inf).fit(X, y)
    assert model.coef_ == pytest.approx(np.full(3, model.factor_))


def test_more_strength_holds_the_proportions_closer():
    X, y = rows(8)
    prior = np.array([1.0, 1.0, 1.0])
    fits = [Transfer(prior=prior, strength=strength).fit(X, y) for strength in (0.01, 1.0, 100.0)]
    off = [np.abs(fit.coef_ / fit.factor_ - prior).max() for fit in fits]
    assert off[0] > off[1] > off[2]


def test_units_change_nothing():
    X, y = rows(6, noise=0.1)
    scale = np.array([1e9, 1.0, 1e-6])
    assert Transfer().fit(X * scale, y * 1e3).coef_ * scale == pytest.approx(Transfer().fit(X, y).coef_ * 1e3, rel=1e-5)


def test_the_prior_helps_few_noisy_rows():
    X, y = rows(5, seed=3, noise=0.1)
    asked, truth = rows(200, seed=9)

    def error(model):
        return np.abs(np.log(model.fit(X, y).predict(asked) / truth)).mean()

    assert error(Transfer(prior=TRUTH, strength=5.0)) < error(Transfer(strength=0))


def test_agreement_prefers_the_column_that_fits_alone():
    rng = np.random.default_rng(0)
    y = rng.uniform(0.01, 0.1, 10)
    rival = y * np.exp(0.5 * rng.standard_normal(10))
    X = np.column_stack([rival, 3 * y])
    shares = Transfer("agreement").fit(X, y).prior_ * (X / y[:, None]).mean(axis=0)
    assert shares[1] > 100 * shares[0]


def test_one_outlier_pulls_little():
    X, y = rows(20)
    y[4] *= 5
    assert Transfer(strength=0).fit(X, y).coef_ == pytest.approx(TRUTH, rel=0.15)


def test_a_column_that_was_never_seen_keeps_its_proportion():
    X, _ = rows(6)
    X[:, 2] = 0
    model = Transfer(prior=2 * TRUTH).fit(X, X @ TRUTH)
    assert model.coef_ == pytest.approx(TRUTH, rel=1e-3)
    assert Transfer().fit(X, X @ TRUTH).coef_[2] == 0


def test_columns_of_a_frame_keep_their_names():
    X, y = rows(6)
    table = pd.DataFrame(X, columns=["host_s", "compute_s", "memory_s"])
    assert Transfer().fit(table, y).feature_names_in_.tolist() == list(table)


@pytest.mark.parametrize(
    ("settings", "X", "y", "said"),
    [
        ({"strength": -1.0}, [[1.0]], [1.0], "strength"),
        ({"loss_scale": 0.0}, [[1.0]], [1.0], "loss_scale"),
        ({"prior": "guess"}, [[1.0]], [1.0], "guess"),
        ({"prior": [1.0, 2.0]}, [[1.0]], [1.0], "one coefficient for each"),
        ({"prior": [-1.0]}, [[1.0]], [1.0], "zero or more"),
        ({"prior": [0.0, 1.0]}, [[1.0, 0.0]], [1.0], "above zero"),
        ({}, [[0.0]], [1.0], "above zero"),
        ({}, [[np.nan]], [1.0], "finite"),
        ({}, [[-1.0]], [1.0], "Negative values"),
        ({}, [[1.0]], [0.0], "positive"),
    ],
)
def test_bad_input(settings, X, y, said):
    with pytest.raises(InputError, match=said):
        Transfer(**settings).fit(X, y)
