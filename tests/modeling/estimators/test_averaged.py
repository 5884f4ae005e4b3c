"""AveragedLaw: scikit-learn's rules, one row, sets that share the evidence, rivals, outliers, rows to measure."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.averaged import AveragedLaw, rivals, telling
from ftax_model.modeling.estimators.transfer import Transfer


@parametrize_with_checks([AveragedLaw()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def rows(count, truth, *, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [np.ones(count), rng.uniform(20, 90, count), rng.uniform(1, 9, count), rng.uniform(1, 4, count)]
    )
    return X, (X @ truth) * np.exp(noise * rng.standard_normal(count))


def test_many_rows_give_the_coefficients():
    truth = np.array([2.0, 0.1, 0.5, 0.0])
    X, y = rows(60, truth, noise=0.005)
    assert AveragedLaw().fit(X, y).coef_ == pytest.approx(truth, abs=0.05)


def test_three_rows_and_equal_rows_are_never_absurd():
    truth = np.array([0.0, 0.1, 0.5, 0.0])
    asked, expected = rows(200, truth, seed=5)
    X, y = rows(3, truth)
    assert np.abs(np.log(AveragedLaw().fit(X, y).predict(asked) / expected)).max() < np.log(3)
    one = AveragedLaw().fit(np.repeat(X[:1], 3, axis=0), np.repeat(y[:1], 3))
    assert one.predict(X[:1]) == pytest.approx(y[:1], rel=0.02)
    assert (one.coef_ > 0).all()  # of one row nobody can say which it is
    assert AveragedLaw().fit(X[:1], y[:1]).predict(X[:1]) == pytest.approx(y[:1], rel=0.05)


def test_a_column_that_makes_the_latency_has_the_weight():
    X, y = rows(10, np.array([0.0, 0.0, 1.0, 0.0]), noise=0.01)
    found = AveragedLaw().fit(X, y).importance_
    assert found[2] > 0.99
    assert found[[0, 1, 3]].max() < 0.6


def test_few_noisy_rows_are_averaged_better_than_the_best_fit():
    truth = np.array([0.0, 0.05, 0.4, 0.2])
    asked, expected = rows(200, truth, seed=99)

    def error(model, seed):
        return np.abs(np.log(model.fit(*rows(4, truth, seed=seed, noise=0.2)).predict(asked) / expected)).mean()

    averaged, single = (np.mean([error(model, at) for at in range(20)]) for model in (AveragedLaw(), Transfer()))
    assert averaged < single


def test_an_outlier_and_units_change_little():
    truth = np.array([1.0, 0.1, 0.5, 0.0])
    X, y = rows(12, truth, noise=0.01)
    clean = AveragedLaw().fit(X, y).predict(X)
    assert AveragedLaw().fit(X * [1, 1e9, 1e-6, 1], y * 1e-3).predict(X * [1, 1e9, 1e-6, 1]) == pytest.approx(
        clean / 1e3
    )
    y[4] *= 5
    assert AveragedLaw().fit(X, y).predict(X) == pytest.approx(clean, rel=0.1)


def test_noise_is_told():
    found = [AveragedLaw().fit(*rows(40, np.array([1, 0.1, 1, 0]), noise=noise)).noise_ for noise in (0.01, 0.15)]
    assert found[0] < 0.03 < 0.08 < found[1]


def test_a_rival_that_agrees_leads_and_one_that_does_not_is_dropped():
    rng = np.random.default_rng(0)
    X, y = rows(300, np.array([0.0, 0.1, 0.5, 0.0]))
    y *= np.exp(0.1 * rng.standard_normal(300))  # what the columns do not tell
    alike, other = 3 * y * np.exp(0.01 * rng.standard_normal(300)), np.exp(rng.standard_normal(300))
    few = slice(0, 8)
    model = AveragedLaw(rivals=(1, 1)).fit(np.column_stack([X, alike, other])[few], y[few])
    assert model.importance_[-2] > 0.95
    assert model.importance_[-1] < 0.01
    alone = AveragedLaw().fit(X[few], y[few]).predict(X)
    beside = model.predict(np.column_stack([X, alike, other]))
    assert np.abs(beside / y - 1).mean() < 0.3 * np.abs(alone / y - 1).mean()


def test_what_other_platforms_share_weighs_for_their_latencies():
    rng = np.random.default_rng(0)
    X, _ = rows(400, np.zeros(4))
    coefs = np.array([[0, 0.1, 0.5, 0], [0, 0.1, 0, 1.0], [1.0, 0, 0.4, 0]])
    own, shared = 0.05 * rng.standard_normal((400, 3)), 0.05 * rng.standard_normal((400, 1))
    laws = X @ coefs.T
    for residual, low, high in ((own, 0, 0.1), (shared + 0.1 * own, 0.9, 1)):
        columns, weights = rivals(X, coefs, laws * np.exp(residual))
        assert columns[:, :3] == pytest.approx(laws)
        assert weights[:3].sum() + weights[3:].sum() == pytest.approx(3)
        assert low < weights[-1] < high
    columns, weights = rivals(X, coefs, np.full((400, 3), np.nan))
    assert columns.shape == (400, 3)
    assert weights.tolist() == [1, 1, 1]
    assert rivals(X, coefs[:1], laws[:, :1])[1].tolist() == [0.5, 0.5]


def test_telling_rows_differ_and_beat_a_draw():
    truth = np.array([1.0, 0.05, 0.5, 0.3])
    X, y = rows(300, truth, noise=0.05)
    chosen = telling(X, 5)
    assert len(set(chosen.tolist())) == 5

    def error(own):
        return np.abs(np.log(AveragedLaw().fit(X[own], y[own]).predict(X) / (X @ truth))).mean()

    draws = [error(np.random.default_rng(seed).choice(300, 5, replace=False)) for seed in range(20)]
    assert error(chosen) < np.mean(draws)
    assert telling(np.ones((3, 2)), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 4])
def test_rows_to_measure_are_those_there_are(count):
    with pytest.raises(InputError, match="among those there are, 3"):
        telling(np.ones((3, 2)), count)


@pytest.mark.parametrize(
    ("weights", "message"),
    [((0.0,), "weights above zero"), ((1, np.nan), "weights above zero"), ((1,) * 4, "go before")],
)
def test_weights_that_mean_nothing(weights, message):
    with pytest.raises(InputError, match=message):
        AveragedLaw(rivals=weights).fit(np.ones((3, 4)), np.ones(3))


def test_columns_of_zeros():
    with pytest.raises(InputError, match="above zero"):
        AveragedLaw().fit(np.zeros((3, 2)), np.ones(3))
    assert AveragedLaw().fit(np.column_stack([np.zeros(3), np.ones(3)]), np.ones(3)).coef_[0] == 0
    only_rivals = AveragedLaw(rivals=(1.0,)).fit(np.column_stack([np.zeros(3), np.arange(1, 4)]), np.arange(1, 4))
    assert only_rivals.coef_ == pytest.approx([0, 1], rel=0.01)


def test_many_columns_are_looked_at_in_small_sets():
    X = np.random.default_rng(0).uniform(1, 9, (30, 20))
    assert AveragedLaw().fit(X, X[:, 3] + X[:, 7]).coef_[[3, 7]] == pytest.approx([1, 1], abs=0.1)
