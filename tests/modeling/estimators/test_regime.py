"""RegimeModel and fit_curve: scikit-learn's rules, the law put in, crossovers, regimes, files and bad input."""

import copy
import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.modeling.estimators.law import latency
from ftax_model.modeling.estimators.regime import Curve, RegimeModel, fit_curve

ROLES = {
    "overhead": ["n_ops"],
    "compute": ["macs", "activation_bytes"],
    "constant": ["weight_bytes"],
    "memory": ["activation_bytes", "weight_bytes"],
}
TRUTH = {"intercept": 5e-5, "n_ops": 8e-6, "macs": 2e-13, "activation_bytes": 1.5e-12, "weight_bytes": 2e-12}
SIZES = 2.0 ** np.arange(8)


@parametrize_with_checks([RegimeModel(), RegimeModel(overlap=1), RegimeModel(overlap=math.inf)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def platform(*, models=8, overlap=2.5, noise=0.0, seed=0):
    """Batch sweeps of random models with the columns of a trace, and their latencies by the law."""
    rng = np.random.default_rng(seed)
    rows = []
    for model in range(models):
        n_ops = int(rng.integers(20, 400))
        macs, activations, weights = 10 ** rng.uniform([6.5, 5.5, 6], [10, 8, 8.5])
        rows += [
            {
                "model": f"m{model}",
                "n_ops": n_ops,
                "macs": macs * batch,
                "activation_bytes": activations * batch,
                "weight_bytes": weights,
                "batch_size": batch,
            }
            for batch in (1, 2, 4, 8, 16, 32, 64)
        ]
    X = pd.DataFrame(rows)
    seconds = latency(*times(X), overlap)
    return X, seconds * np.exp(noise * rng.standard_normal(len(X)))


def times(X):
    host = TRUTH["intercept"] + TRUTH["n_ops"] * X["n_ops"]
    device = sum(TRUTH[name] * X[name] for name in ("macs", "activation_bytes", "weight_bytes"))
    return host.to_numpy(), device.to_numpy()


def true_crossover(X):
    host, device = times(X)
    constant = (TRUTH["weight_bytes"] * X["weight_bytes"]).to_numpy()
    return np.maximum(host - constant, 0) * X["batch_size"].to_numpy() / (device - constant)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(overlap=st.one_of(st.floats(1.1, 8.0), st.sampled_from([1.0, math.inf])), seed=st.integers(0, 50))
def test_the_law_put_in_comes_out(overlap, seed):
    X, seconds = platform(overlap=overlap, seed=seed)
    model = RegimeModel(**ROLES).fit(X, seconds)
    for name, value in TRUTH.items():
        assert model.parameters_[name] == pytest.approx(value, rel=1e-3), name
    assert 1 / model.overlap_ == pytest.approx(1 / overlap, abs=1e-3)
    np.testing.assert_allclose(model.predict(X), seconds, rtol=1e-4)
    np.testing.assert_allclose(model.crossover_batch_size(X), true_crossover(X), rtol=5e-3)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(scale=st.floats(1e-6, 1e6))
def test_scaled_latencies_scale_the_coefficients(scale):
    X, seconds = platform(noise=0.05)
    one, other = RegimeModel(**ROLES).fit(X, seconds), RegimeModel(**ROLES).fit(X, scale * seconds)
    np.testing.assert_allclose(other.coef_, scale * one.coef_, rtol=1e-3, atol=1e-6 * scale * one.coef_.max())
    assert other.overlap_ == pytest.approx(one.overlap_, rel=1e-3)
    np.testing.assert_allclose(other.predict(X), scale * one.predict(X), rtol=1e-4)


def test_columns_by_name_and_by_index_are_one():
    X, seconds = platform(noise=0.02)
    named = RegimeModel(["n_ops"], ["macs"]).fit(X, seconds)
    indexed = RegimeModel([0], [1]).fit(X[["n_ops", "macs", "weight_bytes"]].to_numpy(float), seconds)
    assert list(named.feature_names_in_) == ["n_ops", "macs"]
    assert indexed.n_features_in_ == 3
    np.testing.assert_allclose(indexed.coef_, [*named.coef_, 0.0], rtol=1e-9)
    assert list(indexed.parameters_) == ["intercept", "x0", "x1", "overlap"]


def test_columns_without_a_role_are_not_looked_at():
    X, seconds = platform(noise=0.02)
    model = RegimeModel(["n_ops"], ["macs"]).fit(X, seconds)
    other = X.assign(model=None, weight_bytes=np.nan)[X.columns[::-1]]
    np.testing.assert_array_equal(model.predict(other), model.predict(X))


def test_with_compute_none_every_other_column_is_compute():
    X, seconds = platform()
    columns = X[["n_ops", "macs", "activation_bytes", "weight_bytes"]]
    model = RegimeModel(["n_ops"], constant=["weight_bytes"]).fit(columns, seconds)
    assert model.parameters_ == pytest.approx(RegimeModel(**ROLES).fit(X, seconds).parameters_)


def test_a_given_overlap_is_kept():
    X, seconds = platform(overlap=2.5, noise=0.02)
    model = RegimeModel(**ROLES, overlap=4.0).fit(X, seconds)
    assert model.overlap_ == 4.0
    assert math.isnan(model.standard_errors_["overlap"])


def test_coefficients_on_their_bound_are_zero_and_have_no_standard_error():
    X, seconds = platform(noise=0.01)
    X["nothing"] = np.random.default_rng(0).permutation(1e15 / seconds)
    model = RegimeModel(["n_ops"], ["macs", "activation_bytes", "nothing"], ["weight_bytes"]).fit(X, 1.0 * seconds)
    assert (model.coef_ >= 0).all()
    for name, value in model.parameters_.items():
        assert math.isnan(model.standard_errors_[name]) == (value == 0), name


def test_regimes():
    X, seconds = platform(models=20)
    model = RegimeModel(**ROLES).fit(X, seconds)
    host, device = times(X)
    traffic = sum((TRUTH[name] * X[name]).to_numpy() for name in ROLES["memory"])
    bound = np.where(traffic > device / 2, "memory-bound", "compute-bound")
    expected = np.where(host >= device, "framework-bound", bound)
    assert set(expected) == {"framework-bound", "memory-bound", "compute-bound"}
    np.testing.assert_array_equal(model.regime(X), expected)
    np.testing.assert_allclose(model.host_s(X), host, rtol=1e-3)
    np.testing.assert_allclose(model.device_s(X), device, rtol=1e-3)


def test_without_memory_columns_nothing_is_memory_bound():
    X, seconds = platform()
    model = RegimeModel(["n_ops"], ["macs", "activation_bytes"], ["weight_bytes"]).fit(X, seconds)
    assert set(model.regime(X)) == {"framework-bound", "compute-bound"}


def test_the_crossover_is_that_of_the_row_whatever_its_batch_size():
    X, seconds = platform(noise=0.03)
    model = RegimeModel(**ROLES).fit(X, seconds)
    found = pd.Series(model.crossover_batch_size(X)).groupby(X["model"]).agg(["min", "max"])
    np.testing.assert_allclose(found["min"], found["max"], rtol=1e-9)
    array = model.crossover_batch_size(X.drop(columns="batch_size"), X["batch_size"])
    np.testing.assert_allclose(array, model.crossover_batch_size(X))


def test_at_the_crossover_host_and_device_take_the_same_time():
    X, seconds = platform(noise=0.03)
    model = RegimeModel(**ROLES).fit(X, seconds)
    rows = X[X["batch_size"] == 1].copy()
    crossover = model.crossover_batch_size(rows)
    rows = rows[crossover > 0]
    crossover = crossover[crossover > 0]
    rows[["macs", "activation_bytes"]] = rows[["macs", "activation_bytes"]].mul(crossover, axis=0)
    np.testing.assert_allclose(model.host_s(rows), model.device_s(rows))


@pytest.mark.slow
def test_crossover_intervals_hold_the_truth_about_as_often_as_they_claim():
    rng = np.random.default_rng(7)
    truth = latency(np.full(8, 1.0), SIZES / 10, 3.0)
    hits = []
    for _ in range(120):
        model = RegimeModel(compute=[0]).fit(SIZES[:, None], truth * np.exp(0.03 * rng.standard_normal(8)))
        _, low, high = model.crossover_batch_size([[1.0]], return_interval=True)
        hits.append(low[0] <= 10 <= high[0])
        assert high[0] < 20
    assert 0.82 <= np.mean(hits) <= 0.97


@pytest.mark.slow
def test_grouped_intervals_hold_where_models_err_together():
    covered = {True: [], False: []}
    for seed in range(25):
        X, seconds = platform(models=10, noise=0.03, seed=seed)
        own = np.random.default_rng(seed).standard_normal(10)
        seconds = seconds * np.exp(0.08 * own[X["model"].str[1:].astype(int)])
        for grouped in covered:
            model = RegimeModel(**ROLES).fit(X, seconds, groups=X["model"] if grouped else None)
            _, low, high = model.crossover_batch_size(X, return_interval=True)
            covered[grouped].append(np.mean((low <= true_crossover(X)) & (true_crossover(X) <= high)))
    assert np.mean(covered[True]) > 0.85 > np.mean(covered[False])


def test_an_interval_needs_a_degree_of_freedom():
    model = RegimeModel(compute=[0], overlap=1).fit([[1.0], [2.0]], [2.0, 3.0])
    crossover, low, high = model.crossover_batch_size([[1.0]], return_interval=True)
    assert crossover == pytest.approx([1.0])
    assert (low[0], high[0]) == (0.0, math.inf)
    assert math.isnan(model.standard_errors_["intercept"])


def test_a_model_survives_strict_json():
    X, seconds = platform(noise=0.02)
    for overlap in (None, math.inf):
        model = RegimeModel(**ROLES, overlap=overlap).fit(X, seconds, groups=X["model"])
        text = json.dumps(model.to_dict(), allow_nan=False)
        again = RegimeModel.from_dict(json.loads(text))
        for method in ("predict", "regime", "host_s", "device_s", "crossover_batch_size"):
            np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
        one, other = (m.crossover_batch_size(X, return_interval=True) for m in (model, again))
        np.testing.assert_array_equal(one, other)
        assert again.to_dict() == model.to_dict()
        assert repr(again.standard_errors_) == repr(model.standard_errors_)


def test_a_model_of_an_array_survives_too():
    model = RegimeModel().fit(SIZES[:, None], 1 + SIZES)
    again = RegimeModel.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.predict(SIZES[:, None]), model.predict(SIZES[:, None]))
    assert not hasattr(again, "feature_names_in_")


@pytest.mark.parametrize(
    "mar",
    [
        lambda record: record.update(estimator="Roofline"),
        lambda record: record.pop("fitted"),
        lambda record: record["fitted"].pop("coef_"),
        lambda record: record["fitted"].update(coef_=[1.0]),
        lambda record: record["fitted"].update(covariance_="all"),
        lambda record: record["settings"].update(overlap="much"),
        lambda record: record["settings"].update(run="code"),
        lambda record: record["settings"].update(compute=["another"]),
    ],
)
def test_a_damaged_record_is_refused(mar):
    X, seconds = platform()
    record = copy.deepcopy(RegimeModel(**ROLES).fit(X, seconds).to_dict())
    mar(record)
    with pytest.raises(DataError, match="what to_dict wrote"):
        RegimeModel.from_dict(record)


def test_clone_and_pickle():
    X, seconds = platform(noise=0.02)
    model = RegimeModel(**ROLES).fit(X, seconds)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))  # noqa: S301
    assert clone(model).set_params(overlap=1).get_params()["overlap"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overhead": ["n_opps"]}, "did you mean 'n_ops'"),
        ({"overhead": [9], "compute": [1]}, "columns 0 to 4; got column 9"),
        ({"overhead": "n_ops"}, "overhead is a list of columns"),
        ({"overhead": ["macs"], "compute": ["macs"]}, "a column has one role; got 'macs'"),
        ({"compute": ["macs"], "memory": ["weight_bytes"]}, "memory names columns"),
        ({"compute": ["macs"], "overlap": 0.5}, "from 1 to inf; got 0.5"),
        ({"compute": ["macs"], "overlap": math.nan}, "from 1 to inf; got nan"),
        ({"compute": ["macs"], "loss": "huber"}, "loss is one of"),
        ({"compute": ["macs"], "loss_scale": 0}, "loss_scale is a positive"),
        ({"compute": ["macs"], "prior": (0.5, 0.0)}, "prior is the mean"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    X, seconds = platform()
    with pytest.raises(InputError, match=message):
        RegimeModel(**{"compute": ["macs"], **settings}).fit(X.drop(columns="model"), seconds)


def test_data_that_cannot_be_fitted():
    X, seconds = platform()
    model = RegimeModel(["n_ops"], ["macs"])
    with pytest.raises(InputError, match="at least two rows; got 1 sample"):
        model.fit(X[:1], seconds[:1])
    with pytest.raises(InputError, match=r"positive, finite seconds; got 0.0 in row 3"):
        model.fit(X, np.where(np.arange(len(X)) == 3, 0, seconds))
    with pytest.raises(InputError, match=r"finite numbers; got NaN or infinity .* column 'macs', row 2"):
        model.fit(X.assign(macs=np.where(np.arange(len(X)) == 2, np.nan, X["macs"])), seconds)
    with pytest.raises(InputError, match="zero or more; got Negative values in data"):
        model.fit(X.assign(macs=-X["macs"]), seconds)
    with pytest.raises(InputError, match="features are numbers"):
        RegimeModel(["model"], ["macs"]).fit(X, seconds)
    with pytest.raises(InputError, match="law's own; got a column 'overlap'"):
        RegimeModel(compute=["overlap"]).fit(X.rename(columns={"macs": "overlap"}), seconds)
    fitted = model.fit(X, seconds)
    with pytest.raises(InputError, match="batch sizes are positive"):
        fitted.crossover_batch_size(X, 0)
    with pytest.raises(InputError, match="column of X is one of"):
        fitted.predict(X.drop(columns="macs"))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    floor=st.floats(1e-4, 1e-1),
    crossover=st.floats(2.0, 60.0),
    overlap=st.one_of(st.floats(1.05, 8.0), st.sampled_from([1.0, math.inf])),
)
def test_the_crossover_of_a_curve_comes_out(floor, crossover, overlap):
    curve = fit_curve(SIZES, latency(np.full(8, floor), SIZES * floor / crossover, overlap))
    assert curve.crossover_batch_size == pytest.approx(crossover, rel=1e-3)
    assert curve.floor_s == pytest.approx(floor, rel=1e-3)
    assert 1 / curve.overlap == pytest.approx(1 / overlap, abs=2e-3)
    assert curve.crossover_low <= crossover * 1.001
    assert curve.crossover_high >= crossover * 0.999
    assert curve.censored == ""


def test_a_curve_with_device_time_that_does_not_grow():
    seconds = np.maximum(1.0, 0.3 + 0.07 * SIZES)
    curve = fit_curve(SIZES, seconds)
    assert (curve.floor_s, curve.constant_s, curve.slope_s) == pytest.approx((1.0, 0.3, 0.07), rel=1e-4)
    assert curve.crossover_batch_size == pytest.approx(10, rel=1e-3)
    np.testing.assert_allclose(curve.latency_s(SIZES), seconds, rtol=1e-4)


def test_curves_that_never_cross_are_censored():
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(8))
    flat = fit_curve(SIZES, 0.01 * noise)
    assert flat.censored == "above"
    assert flat.crossover_low > 30
    assert flat.crossover_high == math.inf
    straight = fit_curve(SIZES, 0.01 * SIZES * noise)
    assert straight.censored == "below"
    assert straight.crossover_low == 0
    assert straight.crossover_high < 1.5


@pytest.mark.parametrize("points", range(2, 11))
@pytest.mark.parametrize("shape", ["flat", "straight", "knee", "falling", "jump"])
def test_short_and_odd_curves_behave(points, shape):
    sizes = np.arange(1.0, points + 1)
    seconds = {
        "flat": np.full(points, 0.01),
        "straight": 0.01 * sizes,
        "knee": np.maximum(0.01, 0.004 * sizes),
        "falling": 0.01 / sizes,
        "jump": np.where(sizes > 2, 0.05, 0.01),
    }[shape]
    curve = fit_curve(sizes, seconds)
    assert curve.floor_s >= 0
    assert curve.slope_s >= 0
    assert curve.overlap >= 1
    assert 0 <= curve.crossover_low <= curve.crossover_high
    expected = "below" if curve.crossover_batch_size < 1 else "above" if curve.crossover_batch_size > points else ""
    assert curve.censored == expected
    if shape in ("flat", "straight"):
        np.testing.assert_allclose(curve.latency_s(sizes), seconds, rtol=1e-3)
        assert curve.censored == ("above" if shape == "flat" else "below")


def test_a_curve_that_cannot_be_fitted():
    with pytest.raises(FtaxError, match="at least two batch sizes; got 1"):
        fit_curve([4, 4], [0.1, 0.2])
    with pytest.raises(FtaxError, match="batch sizes are positive"):
        fit_curve([0, 1], [0.1, 0.2])
    with pytest.raises(FtaxError, match="positive, finite seconds"):
        fit_curve([1, 2], [0.1, math.nan])


def test_a_curve_is_frozen():
    curve = fit_curve([1, 2, 4, 8], [0.01, 0.01, 0.011, 0.02])
    assert isinstance(curve, Curve)
    with pytest.raises(AttributeError):
        curve.floor_s = 1.0  # type: ignore[misc]
