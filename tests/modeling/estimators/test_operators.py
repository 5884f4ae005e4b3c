"""OperatorModel, Trees, CorrectedModel and Errors on made-up rows whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.correction import CorrectedModel, Factors
from ftax_model.modeling.estimators.law import Loss
from ftax_model.modeling.estimators.operators import OperatorModel, profiled_costs, walk
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import EVERY, FEWEST, OUTSIDE, WIDER, Errors
from ftax_model.modeling.platforms.platform import Recipe
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features

DISPATCH, MAC, BYTE = 5e-6, 2e-11, 1e-10
DEAR = 15 * MAC  # a byte that costs three times what its five MACs do


def rows(count=300, *, seed=0, noise=0.0):
    """Networks of products and copies, and their latencies."""
    draw = np.random.default_rng(seed)
    X = pd.DataFrame(0.0, index=range(count), columns=list(features.COLUMNS))
    X["linear.ops"], X["copy.ops"] = draw.integers(1, 100, count), draw.integers(0, 50, count)
    X["linear.macs"], X["copy.bytes"] = 10 ** draw.uniform(3, 9, count), 10 ** draw.uniform(3, 8, count)
    X["linear.m~"] = draw.uniform(0, 8, count)
    own = {"n_ops": X["linear.ops"] + X["copy.ops"], "macs": X["linear.macs"], "batch_size": 1.0}
    X = X.assign(**own, activation_bytes=X["copy.bytes"], weight_bytes=0.0)
    host = 1e-5 + DISPATCH * X["linear.ops"] + 2e-6 * X["copy.ops"]
    y = host + MAC * X["linear.macs"] + BYTE * X["copy.bytes"]
    return X, (y * np.exp(draw.normal(0, noise, count))).to_numpy()


def test_costs_that_went_in_come_out():
    X, y = rows()
    model = OperatorModel(strength=1e-6).fit(X, y)
    assert model.predict(X) == pytest.approx(y, rel=1e-3)
    assert model.costs_["linear.ops"] == pytest.approx(DISPATCH, rel=0.01)
    assert model.costs_["linear.macs"] == pytest.approx(MAC, rel=0.01)
    terms = model.terms(X)
    assert terms.host_s + terms.device_s == pytest.approx(model.predict(X))
    assert terms.memory_s == pytest.approx(BYTE * X["copy.bytes"], rel=0.01)
    assert terms.constant_s == pytest.approx(0)
    assert terms.shares.sum(axis=1) == pytest.approx(np.ones(len(X)))


def test_outliers_pull_little():
    X, y = rows(noise=0.01)
    spoilt = y.copy()
    spoilt[::20] *= 5
    assert OperatorModel().fit(X, spoilt).predict(X) == pytest.approx(OperatorModel().fit(X, y).predict(X), rel=0.03)


def test_operators_never_measured_are_named():
    X, y = rows()
    model = OperatorModel().fit(X, y)
    assert model.unknown(X.iloc[:2].assign(**{"fourier.ops": [0.0, 3.0]})) == [[], ["fourier"]]


def test_missing_columns_are_refused():
    X, y = rows()
    with pytest.raises(InputError, match=r"linear\.ops"):
        OperatorModel().fit(X.drop(columns="linear.ops"), y)


def test_attribution_sums_to_the_prediction():
    X, y = rows()
    model = OperatorModel().fit(X, y)
    product = Operator(
        "addmm", ((4, 8), (8, 2)), ((4, 2),), macs=64, weight_bytes=64, attributes={"m": 4, "k": 8, "n": 2}
    )
    trace = Trace((product, Operator("clone", ((4, 2),), ((4, 2),), activation_bytes=64)), params=16)
    found = model.attribute(trace)
    one = pd.DataFrame([features.columns(trace)])
    assert list(found["group"]) == ["linear", "copy"]
    assert found["host_s"].sum() + model.intercept_ == pytest.approx(model.terms(one).host_s[0])
    assert found["device_s"].sum() == pytest.approx(model.terms(one).device_s[0])


def test_the_walk_waits_for_the_later_of_the_two():
    host, device = np.array([2.0, 2.0, 2.0]), np.array([1.0, 1.0, 1.0])
    assert walk(host, device).tolist() == [3.0, 5.0, 7.0]  # the device waits for each dispatch
    assert walk(device, host).tolist() == [3.0, 5.0, 7.0]  # the host runs ahead
    assert walk(host, device, overlap=1).tolist() == [3.0, 6.0, 9.0]


def test_trees_say_what_scikit_learn_says_and_survive_a_file():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(200, 5)).astype(np.float32)
    y = np.sin(X[:, 0]) + X[:, 1]
    trees = Trees.fit(X, y, count=20)
    settings = {"loss": "absolute_error", "n_estimators": 20, "learning_rate": 0.08, "max_depth": None}
    settings |= {"max_leaf_nodes": 12, "min_samples_leaf": 6, "subsample": 0.6, "max_features": 0.2, "random_state": 0}
    assert trees.predict(X) == pytest.approx(GradientBoostingRegressor(**settings).fit(X, y).predict(X), abs=1e-5)
    assert np.array_equal(Trees.from_dict(trees.to_dict(), features=5).predict(X), trees.predict(X))


def test_trees_whose_walk_would_not_end_are_refused():
    record = Trees.fit(np.eye(30), np.arange(30.0), count=2).to_dict()
    with pytest.raises(DataError, match="no trees"):
        Trees.from_dict({**record, "left": record["feature"]}, features=30)
    with pytest.raises(DataError, match="no trees"):
        Trees.from_dict(record, features=0)
    with pytest.raises(DataError, match="record of trees"):
        Trees.from_dict({**record, "value": "no base64!"}, features=30)


def test_the_correction_learns_what_the_sum_cannot():
    X, y = rows(noise=0.01)
    bent = y * np.where(X["linear.m~"] > 4, 1.5, 1.0)
    alone, corrected = (CorrectedModel(trees=trees).fit(X[:200], bent[:200]) for trees in (0, 100))
    missed = [np.median(np.abs(model.predict(X[200:]) / bent[200:] - 1)) for model in (alone, corrected)]
    assert missed[1] < 0.5 * missed[0]
    again = CorrectedModel.from_dict(corrected.to_dict())
    assert again.predict(X) == pytest.approx(corrected.predict(X), rel=1e-6)


def test_intervals_hold_what_they_promise():
    draw = np.random.default_rng(0)
    errors = Errors.of(draw.normal(0, 0.1, 2000), ["compute-bound"] * 2000)
    low, high = errors.interval(0.9, ["compute-bound"])
    fresh = draw.normal(0, 0.1, 20000)
    assert np.mean((fresh > low) & (fresh < high)) == pytest.approx(0.9, abs=0.02)


def test_each_kind_has_its_own_errors_once_there_are_enough():
    kinds = ["compute-bound"] * 100 + ["framework-bound"] * (FEWEST - 1)
    errors = Errors.of([*np.linspace(-0.1, 0.1, 100), *[1.0] * (FEWEST - 1)], kinds)
    few, many = errors.quantile(0.5, ["framework-bound", "compute-bound"])
    assert abs(many) < 0.01 < few < 1
    assert errors.quantile(0.95, [OUTSIDE])[0] == pytest.approx(WIDER * errors.quantile(0.95, [EVERY])[0])


def test_errors_of_nothing_are_refused():
    with pytest.raises(DataError, match="intervals follow from errors"):
        Errors.of([], [])


def alike(count=200):
    """Networks in which every MAC comes with a byte, so that whole networks cannot tell what either costs."""
    X, _ = rows(count)
    X["copy.bytes"] = X["linear.macs"] / 5
    return X, (
        1e-5 + DISPATCH * X["linear.ops"] + 2e-6 * X["copy.ops"] + MAC * X["linear.macs"] + DEAR * X["copy.bytes"]
    ).to_numpy()


def timed(device=False):
    """Single products and copies, their kinds and times; on a device with a clock of its own where that is asked."""
    X = pd.DataFrame(0.0, index=range(40), columns=[*features.HOST, *features.DEVICE])
    products = np.arange(40) < 20
    X.loc[products, "linear.ops"], X.loc[~products, "copy.ops"] = 1.0, 1.0
    X.loc[products, "linear.macs"], X.loc[~products, "copy.bytes"] = np.logspace(5, 9, 20), np.logspace(4, 8, 20)
    host = DISPATCH * X["linear.ops"] + 2e-6 * X["copy.ops"]
    work = MAC * X["linear.macs"] + DEAR * X["copy.bytes"]
    own = {"host_s": host, "device_s": work} if device else {"host_s": host + work, "device_s": np.nan}
    return X.assign(kind=np.arange(40), key="some", **own)


@pytest.mark.parametrize("device", [False, True])
def test_operators_timed_one_by_one_tell_apart_what_whole_models_do_not(device):
    costs = profiled_costs(timed(device), loss=Loss("soft_l1", 0.1), strength=1e-6)
    truth = {"linear.ops": DISPATCH, "copy.ops": 2e-6, "linear.macs": MAC, "copy.bytes": DEAR}
    assert costs[list(truth)].to_dict() == pytest.approx(truth, rel=0.01)
    assert costs.drop(list(truth)).isna().all()
    X, y = alike()
    missed = []
    for profiles in (None, timed(device)):
        model = OperatorModel(overlap=1).fit(X, y, profiles)
        assert model.predict(X) == pytest.approx(y, rel=0.1)
        missed.append(abs(np.log((model.costs_["copy.bytes"] + 1e-15) / DEAR)))
    assert missed[1] < 0.1 < missed[0]


def test_profiles_of_calls_that_are_held_out_are_not_looked_at():
    X, y = alike()
    seen = X.assign(latency_s=y, key="another")
    recipe = Recipe(1.0, 0, profiles=timed())
    plain = Recipe(1.0, 0).fit(seen)
    assert recipe.fit(seen).structure_.costs_.equals(plain.structure_.costs_)
    assert not recipe.fit(seen.assign(key="some")).structure_.costs_.equals(plain.structure_.costs_)


def test_factors_upon_factors_multiply():
    X, y = rows(60)
    model = CorrectedModel(trees=0).fit(X, y)
    before, after = model.times(X), model.scaled(Factors(2, 1, 3)).scaled(Factors(5, 1, 1)).times(X)
    assert after["host_s"].to_numpy() == pytest.approx(10 * before["host_s"])
    assert after["memory_s"].to_numpy() == pytest.approx(3 * before["memory_s"])
