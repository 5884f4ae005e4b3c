"""The law itself: its values, its Jacobian, its fit, and what is known of its parameters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftax_model.errors import InputError
from ftax_model.modeling.estimators.law import (
    LOSSES,
    Design,
    Loss,
    checked_latencies,
    covariance,
    fit_law,
    latency,
    ratio_interval,
)

SIZES = 2.0 ** np.arange(8)
CURVE = Design(np.column_stack([np.ones(8), SIZES]), hosts=1)


@given(
    host=st.floats(1e-200, 1e200),
    device=st.floats(1e-200, 1e200),
    overlap=st.one_of(st.floats(1, 1e6), st.just(math.inf)),
)
def test_latency_lies_between_the_longer_time_and_the_sum(host, device, overlap):
    found = float(latency(host, device, overlap))
    assert max(host, device) <= found <= (host + device) * (1 + 1e-12)


def test_latency_of_a_side_that_takes_no_time_is_the_other():
    assert latency([0.0, 2.0, 0.0], [3.0, 0.0, 0.0], 2.5).tolist() == [3.0, 2.0, 0.0]


@pytest.mark.parametrize("inverse_overlap", [0.01, 0.3, 0.7, 0.999])
def test_the_jacobian_is_that_of_finite_differences(inverse_overlap):
    parameters = np.array([3.0, 0.7, inverse_overlap])
    found = CURVE.log_latency(parameters[:-1], parameters[-1])[1]
    step = 1e-7
    for index in range(3):
        shift = np.eye(3)[index] * step
        up, down = (CURVE.log_latency((p := parameters + sign * shift)[:-1], p[-1])[0] for sign in (1, -1))
        np.testing.assert_allclose(found[:, index], (up - down) / (2 * step), atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_derivatives_of_a_loss_are_those_of_finite_differences(name):
    z, step = np.array([0.1, 1.0, 9.0]), 1e-6
    up, down = LOSSES[name](z + step), LOSSES[name](z - step)
    np.testing.assert_allclose(LOSSES[name](z)[1:], (up[:2] - down[:2]) / (2 * step), atol=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    floor=st.floats(1e-5, 1.0),
    crossover=st.floats(2.0, 64.0),
    overlap=st.one_of(st.floats(1.05, 12.0), st.sampled_from([1.0, math.inf])),
)
def test_the_law_put_in_comes_out_of_one_curve(floor, crossover, overlap):
    seconds = latency(np.full(8, floor), SIZES * floor / crossover, overlap)
    found = fit_law(CURVE, seconds, prior=(0.5, 0.3))
    np.testing.assert_allclose(found.coef, [floor, floor / crossover], rtol=1e-3)
    assert found.inverse_overlap == pytest.approx(1 / overlap, abs=2e-3)


def test_an_outlier_pulls_soft_l1_less_than_plain_squares():
    seconds = latency(np.full(8, 1.0), SIZES / 8, 3.0)
    seconds[3] *= 2
    robust, plain = (fit_law(CURVE, seconds, loss=Loss(name)) for name in ("soft_l1", "linear"))
    assert abs(robust.coef[0] - 1) < abs(plain.coef[0] - 1) / 2


def test_a_hinge_is_found():
    seconds = np.maximum(1.0, 0.3 + 0.07 * SIZES)
    design = Design(np.column_stack([np.ones(8), SIZES, np.ones(8)]), hosts=1)
    found = fit_law(design, seconds, overlap=math.inf)
    np.testing.assert_allclose(found.coef, [1.0, 0.07, 0.3], rtol=1e-6)


def test_the_prior_decides_where_the_data_cannot_and_only_there():
    flat = np.full(8, 0.01) * np.exp(0.01 * np.random.default_rng(0).standard_normal(8))
    assert fit_law(CURVE, flat, prior=(0.5, 0.3)).inverse_overlap == pytest.approx(0.5, abs=0.25)
    sharp = latency(np.full(8, 1.0), SIZES / 8, 6.0)
    assert fit_law(CURVE, sharp, prior=(0.5, 0.3)).inverse_overlap == pytest.approx(1 / 6, abs=1e-3)


def test_covariance_matches_the_scatter_of_repeated_fits():
    rng = np.random.default_rng(1)
    truth = latency(np.full(24, 1.0), np.tile(SIZES, 3) / 8, 3.0)
    design = Design(np.tile(CURVE.columns, (3, 1)), hosts=1)
    fits = [fit_law(design, truth * np.exp(0.02 * rng.standard_normal(24))) for _ in range(60)]
    claimed = np.mean([np.sqrt(np.diag(covariance(design, fit)[0])) for fit in fits], axis=0)
    seen = np.std([[*fit.coef, fit.inverse_overlap] for fit in fits], axis=0)
    np.testing.assert_allclose(claimed, seen, rtol=0.35)


def test_rows_that_err_together_are_less_certain():
    rng = np.random.default_rng(2)
    design = Design(np.tile(CURVE.columns, (10, 1)), hosts=1)
    groups = np.repeat(np.arange(10), 8)
    seconds = latency(design.columns[:, 0], design.columns[:, 1] / 8, 3.0)
    seconds = seconds * np.exp(0.1 * rng.standard_normal(10)[groups] + 0.01 * rng.standard_normal(80))
    found = fit_law(design, seconds)
    (together, freedom), (apart, _) = covariance(design, found, groups=groups), covariance(design, found)
    assert freedom == 9
    assert together[0, 0] > 1.5 * apart[0, 0]
    assert together[0, 0] ** 0.5 / found.coef[0] == pytest.approx(0.1 / math.sqrt(10), rel=0.6)


def test_one_group_counts_as_no_groups():
    found = fit_law(CURVE, latency(np.full(8, 1.0), SIZES / 8, 3.0) * np.linspace(0.99, 1.01, 8))
    for one, other in zip(covariance(CURVE, found, groups=["a"] * 8), covariance(CURVE, found), strict=True):
        np.testing.assert_array_equal(one, other)


def interval(above, below, sd_above, sd_below):
    values = (np.array([value]) for value in (above, below))
    spread = {"var_above": np.array([sd_above**2]), "var_below": np.array([sd_below**2]), "both": np.zeros(1)}
    low, high = ratio_interval(*values, **spread, quantile=2.0)
    return float(low[0]), float(high[0])


def test_the_interval_of_a_ratio():
    low, high = interval(10.0, 1.0, 0.1, 0.01)
    assert low == pytest.approx(10 * (1 - 2 * math.sqrt(2e-4)), rel=1e-3)
    assert high == pytest.approx(10 * (1 + 2 * math.sqrt(2e-4)), rel=1e-3)


def test_the_interval_of_a_ratio_where_a_side_may_be_zero():
    low, high = interval(10.0, 0.0, 0.1, 0.5)  # below is 0 to 1: the ratio is 10 or more
    assert low == pytest.approx(10, rel=0.03)
    assert high == math.inf
    low, high = interval(0.0, 1.0, 0.5, 0.01)  # above is 0 to 1
    assert low == 0
    assert high == pytest.approx(1, rel=0.03)
    assert interval(0.0, 0.0, 1.0, 1.0) == (0.0, math.inf)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_latencies_are_positive_seconds(wrong):
    with pytest.raises(InputError, match=r"positive, finite seconds; got .* in row 1;"):
        checked_latencies([0.1, wrong])
