"""OperatorModel, Trees, CorrectedModel and Errors on made-up rows whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.estimators.law import Loss
from ftax_model.modeling.estimators.operators import OperatorModel, packed, profiled, unpacked
from ftax_model.modeling.estimators.priors import COSTS, Prior, Spread, group_of, ignorance
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import EVERY, FEWEST, OUTSIDE, WIDER, Errors
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
    model = OperatorModel().fit(X, y)
    assert model.predict(X) == pytest.approx(y, rel=0.01)
    assert model.costs_["linear.ops"] == pytest.approx(DISPATCH, rel=0.01)
    assert model.costs_["linear.macs"] == pytest.approx(MAC, rel=0.01)
    terms = model.terms(X)
    assert terms.host_s + terms.device_s == pytest.approx(model.predict(X))
    assert terms.memory_s == pytest.approx(BYTE * X["copy.bytes"], rel=0.01)
    assert terms.constant_s == pytest.approx(0, abs=1e-12)
    assert terms.shares.sum(axis=1) == pytest.approx(np.ones(len(X)))


def test_outliers_pull_little():
    X, y = rows(noise=0.01)
    spoilt = y.copy()
    spoilt[::20] *= 5
    assert OperatorModel().fit(X, spoilt).predict(X) == pytest.approx(OperatorModel().fit(X, y).predict(X), rel=0.03)


def test_operators_never_measured_are_named():
    X, y = rows()
    model = OperatorModel().fit(X, y)
    strange = X.iloc[:2].assign(**{"fourier.ops": [0.0, 3.0], "fourier.bytes": [0.0, 1e6]})
    assert model.unknown(strange) == [[], ["fourier"]]
    assert model.unknown(strange.assign(**{"fourier.bytes": [0.0, 8.0]})) == [[], []]  # little, whatever it costs


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
    found = profiled(timed(device), ignorance(), loss=Loss("soft_l1", 0.1))
    costs = pd.Series(np.exp(found.mean), index=list(COSTS))
    truth = {"linear.ops": DISPATCH, "copy.ops": 2e-6, "linear.macs": MAC, "copy.bytes": DEAR}
    assert costs[list(truth)].to_dict() == pytest.approx(truth, rel=0.15)
    X, y = alike()
    missed = []
    for profiles in (None, timed(device)):
        model = OperatorModel().fit(X, y, profiles=profiles)
        assert model.predict(X) == pytest.approx(y, rel=0.1)
        missed.append(abs(np.log(model.costs_["copy.bytes"] / DEAR)))
    assert missed[1] < 0.15 < missed[0]


def test_what_profiles_do_not_tell_stays_as_open_as_it_was_by_itself():
    before, after = ignorance(), profiled(timed(), ignorance(), loss=Loss("soft_l1", 0.1))
    known, unknown = COSTS.index("linear.macs"), COSTS.index("fourier.ops")
    left = np.sqrt(np.diag(after.covariance) / np.diag(before.covariance))
    assert left[known] < 0.2 < 0.4 < left[unknown] <= 1


# ---- priors: from no rows to many


@pytest.fixture
def prior():
    """Of a machine whose costs are all three times those of `rows`, where these have any; and which is fairly sure."""
    own = pd.Series(np.exp(ignorance().mean), index=list(COSTS))
    own["intercept"], own["linear.ops"], own["copy.ops"] = 3e-5, 3 * DISPATCH, 6e-6
    own["linear.macs"], own["copy.bytes"] = 3 * MAC, 3 * BYTE
    return Prior(np.log(own.to_numpy()), Spread(0.4, 0.3, 0.3, 0.15, 0.15).covariance())


def test_with_no_rows_the_prior_is_the_answer(prior):
    X, y = rows(20)
    model = OperatorModel().fit(X[:0], [], prior=prior)
    assert model.logs_ == pytest.approx(prior.mean)
    assert model.predict(X) == pytest.approx(3 * y, rel=0.02)
    assert (model.seen_ == 0).all()


@pytest.mark.parametrize("times", [1 / 30, 1.0, 30.0])
def test_with_many_rows_the_truth_comes_out_whatever_the_prior(times, prior):
    X, y = rows(1500, noise=0.02)
    shifted = Prior(prior.mean + np.log(times), ignorance().covariance)
    model = OperatorModel().fit(X, y, prior=shifted)
    truth = {"linear.ops": DISPATCH, "copy.ops": 2e-6, "linear.macs": MAC, "copy.bytes": BYTE}
    assert model.costs_[list(truth)].to_dict() == pytest.approx(truth, rel=0.05)


def test_each_row_brings_the_answer_nearer(prior):
    X, y = rows(400, noise=0.02)
    missed = []
    for count in (0, 3, 20, 200):
        model = OperatorModel().fit(X[:count], y[:count], prior=prior)
        missed.append(np.median(np.abs(np.log(model.predict(X[200:]) / y[200:]))))
    assert missed == sorted(missed, reverse=True)
    assert missed[-1] < 0.02 < 0.9 < missed[0]


def test_rows_make_the_costs_they_hold_surer_and_predictions_too(prior):
    X, y = rows(400, noise=0.02)
    none, few, many = (OperatorModel().fit(X[:n], y[:n], prior=prior) for n in (0, 10, 400))
    widths = [np.median(model.uncertainty(X)) for model in (none, few, many)]
    assert widths[0] > 3 * widths[1] > 6 * widths[2] > 0
    open_ = [np.diag(model.covariance_)[COSTS.index("fourier.ops")] for model in (none, many)]
    assert open_[1] > 0.1 * open_[0]


def test_a_cost_that_four_outliers_speak_of_stays_near_its_group():
    X, y = rows(400, noise=0.02)
    X["softmax.ops"], X["softmax.bytes"] = 0.0, 0.0
    few, y = X.index[:4], y.copy()
    X.loc[few, "softmax.ops"], X.loc[few, "softmax.bytes"] = 3.0, 1e5
    y[:4] *= 100
    before, model = pd.Series(np.exp(ignorance().mean), index=list(COSTS)), OperatorModel().fit(X, y)
    others = [name for name in COSTS if name.startswith(("linear.", "copy."))]
    for name in ("softmax.ops", "softmax.bytes"):
        assert 1 / 500 < model.costs_[name] / before[name] < 500
    assert model.costs_["linear.macs"] == pytest.approx(MAC, rel=0.05)
    assert (model.costs_[[n for n in others if n.endswith("ops")]] < 1e-3).all()
    assert model.predict(X)[4:] == pytest.approx(y[4:], rel=0.1)


def test_no_cost_is_absurd_where_columns_say_next_to_nothing():
    X, y = rows(60, noise=0.3)
    X[list(features.SUMS)] = X[list(features.SUMS)].astype(float)
    draw = np.random.default_rng(1)
    for at, name in enumerate(features.SUMS):
        X.loc[X.index[at % 56 : at % 56 + 4], name] = draw.uniform(1, 5, 4)
    model = OperatorModel().fit(X, y)
    assert (np.exp(np.abs(model.logs_ - ignorance().mean)) < 100).all()
    assert model.costs_[list(features.HOST)].max() < 1e-3


def test_costs_of_a_group_move_together():
    same = [at for at, name in enumerate(COSTS) if group_of(name) == group_of("linear.macs")]
    assert len(same) > 1
    covariance = ignorance().covariance
    other = COSTS.index("softmax.bytes")
    assert covariance[same[0], same[1]] > covariance[same[0], other] > 0
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_a_row_of_little_weight_says_little(prior):
    X, y = rows(30)
    heavy, light = (OperatorModel().fit(X, y, prior=prior, weight=weight) for weight in (1.0, 1e-6))
    assert light.logs_ == pytest.approx(prior.mean, abs=0.01)
    assert heavy.predict(X) == pytest.approx(y, rel=0.05)


def test_what_is_a_factor_is_no_cost(prior):
    X, y = rows(30)
    factor = np.linspace(0.5, 2, 30)
    plain = OperatorModel().fit(X, y, prior=prior)
    factored = OperatorModel().fit(X, y * factor, prior=prior, factor=factor)
    assert factored.logs_ == pytest.approx(plain.logs_)


@pytest.mark.parametrize("settings", [{"overlap": 0.5}, {"loss_scale": 0.0}])
def test_settings_that_make_no_sense_are_refused(settings):
    X, y = rows(5)
    with pytest.raises(InputError, match="overlap is from 1 to inf"):
        OperatorModel(**settings).fit(X, y)


# ---- records


@pytest.fixture(scope="module")
def record():
    X, y = rows(60)
    return OperatorModel(overlap=2.0).fit(X, y).to_dict()


def test_a_model_survives_its_record(record):
    X, y = rows(60)
    model, again = OperatorModel(overlap=2.0).fit(X, y), OperatorModel.from_dict(record)
    assert again.predict(X) == pytest.approx(model.predict(X), rel=1e-5)
    assert again.uncertainty(X) == pytest.approx(model.uncertainty(X), rel=0.05)
    assert again.seen_.to_dict() == model.seen_.to_dict()
    without = OperatorModel.from_dict(model.to_dict(covariance=False))
    assert (without.uncertainty(X) == 0).all()


SIZE = len(COSTS)
HOSTILE = {
    "a negative cost": lambda one: {**one, "costs": {**one["costs"], "linear.macs": -1e-12}},
    "a cost of nothing": lambda one: {**one, "costs": {**one["costs"], "linear.macs": 0.0}},
    "a cost that is no number": lambda one: {**one, "costs": {**one["costs"], "linear.macs": float("nan")}},
    "a cost without end": lambda one: {**one, "costs": {**one["costs"], "linear.macs": float("inf")}},
    "a cost in words": lambda one: {**one, "costs": {**one["costs"], "linear.macs": "dear"}},
    "a negative intercept": lambda one: {**one, "intercept": -1.0},
    "a cost too few": lambda one: {**one, "costs": dict(list(one["costs"].items())[1:])},
    "a cost too many": lambda one: {**one, "costs": {**one["costs"], "colour": 1.0}},
    "a column seen that is none": lambda one: {**one, "seen": {"colour": 3}},
    "no costs": lambda one: {**one, "costs": None},
    "nothing": lambda one: {},
    "bad base64": lambda one: {**one, "covariance": "no base64!"},
    "base64 of something else": lambda one: {**one, "covariance": "AAAA"},
    "a covariance of another size": lambda one: {**one, "covariance": packed(np.eye(3))},
    "a covariance too large": lambda one: {**one, "covariance": packed(np.eye(SIZE + 5))},
    "a covariance of no numbers": lambda one: {**one, "covariance": packed(np.full((SIZE, SIZE), np.nan))},
    "an overlap below 1": lambda one: {**one, "overlap": "0.5"},
    "an overlap that is no number": lambda one: {**one, "overlap": "nan"},
    "a covariance that is a list": lambda one: {**one, "covariance": [1.0]},
}


@pytest.mark.parametrize("spoilt", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_records_are_refused(spoilt, record):
    with pytest.raises(DataError, match="record of an OperatorModel"):
        OperatorModel.from_dict(spoilt(record))


def test_a_covariance_comes_back_positive():
    draw = np.random.default_rng(0).normal(size=(SIZE, 3))
    found = unpacked(packed(draw @ draw.T), SIZE)  # of rank 3: rounding makes some of its sizes negative
    assert found == pytest.approx(draw @ draw.T, abs=0.02)
    assert np.linalg.eigvalsh(found).min() > 0
