"""Costs of kernels: what was put in comes out, on cards and hosts that were never seen too."""

from __future__ import annotations

import numpy as np
import pytest

from ftax_model.device import rates
from ftax_model.modeling.estimators import kernels as costs
from ftax_model.modeling.estimators.kernels import COSTS, HOSTS, Calls
from ftax_model.modeling.estimators.priors import Prior
from ftax_model.operators import Operator, Trace
from ftax_model.tracing.kernels import GROUPS, Kernels, kernels

A100, T4 = (rates(name, "float32", 1) for name in ("nvidia-a100-sxm-40gb", "nvidia-t4"))
assert A100 is not None
assert T4 is not None


def product(m: int, k: int, n: int) -> Operator:
    shapes = {"batch": 1, "m": m, "k": k, "n": n}
    moved, weights = 4 * (m * k + m * n), 4 * (k * n + n)
    return Operator("addmm", ((n,), (m, k), (k, n)), ((m, n),), m * k * n, moved, weights, 1, shapes)


def relu(elements: int) -> Operator:
    return Operator("relu", ((elements,),), ((elements,),), 0, 8 * elements)


def some_calls(count: int = 60) -> list[Kernels]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        size = int(2 ** rng.uniform(4, 12))
        layers = int(rng.integers(1, 12))
        one = (product(size, size, size), relu(size * size)) * layers
        found.append(kernels(Trace(one, 0)))
    return found


def test_the_roofline_is_the_longer_of_work_and_traffic() -> None:
    calls = Calls.of([kernels(Trace((product(2048, 2048, 2048),), 0)), kernels(Trace((relu(1 << 24),), 0))], [A100] * 2)
    assert calls.roofline_s[0] == pytest.approx(2048**3 / 9.75e12)
    assert calls.roofline_s[1] == pytest.approx(8 * 2**24 / 1.555e12)
    assert calls.traffic.tolist() == [0, 1]


def test_convolutions_go_by_tf32_where_the_card_has_it() -> None:
    shapes = {"kernel": (3, 3), "stride": (1, 1), "groups": 1}
    one = Operator("convolution", ((8, 64, 56, 56), (64, 64, 3, 3)), ((8, 64, 56, 56),), 10**12, 4, 4, 1, shapes)
    on_a100, on_t4 = (Calls.of([kernels(Trace((one,), 0))], [card]).roofline_s[0] for card in (A100, T4))
    assert on_a100 == pytest.approx(10**12 / 78e12)
    assert on_t4 == pytest.approx(10**12 / 4.05e12)


def test_costs_put_in_come_out() -> None:
    calls = Calls.of(some_calls(), [A100] * 60)
    amounts = costs.columns(calls, costs.NONE)
    truth = costs.ignorance().mean.copy()
    truth[1 : 1 + len(GROUPS)] += np.log(2.5)  # a slower host
    truth[HOSTS + GROUPS.index("linear")] += np.log(1.5)
    host_s, device_s = costs.terms(amounts, truth)
    measured = (host_s**4 + device_s**4) ** 0.25
    found = costs.fit(amounts, measured, costs.ignorance())
    for name in ("linear.dispatch", "linear.work"):
        assert found.mean[COSTS.index(name)] == pytest.approx(truth[COSTS.index(name)], abs=0.2)
    said_s = costs.terms(amounts, found.mean)
    assert np.allclose((said_s[0] ** 4 + said_s[1] ** 4) ** 0.25, measured, rtol=0.05)


def test_no_rows_leave_the_prior() -> None:
    prior = costs.ignorance()
    assert costs.fit(np.zeros((0, len(COSTS))), np.zeros(0), prior) is prior


def test_trees_learn_what_a_group_does_not_tell() -> None:
    """Small products fill the card badly: which ones, trees tell by their extents."""
    calls = Calls.of(some_calls(200), [A100] * 200)
    truth = costs.ignorance().mean
    slow = np.where(np.exp2(calls.device[:, 6]) - 1 < 600, 3.0, 1.0) * (calls.group == GROUPS.index("linear")) + (
        calls.group != GROUPS.index("linear")
    )
    own = np.exp(truth)
    device_s = calls.sums(calls.count * slow * (own[HOSTS + calls.group] * calls.roofline_s + own[-1]))
    measured = device_s + 1e-7
    flat = np.full((200, len(COSTS)), truth)
    flat[:, :HOSTS] = -20.0  # the host does not matter here
    grown = costs.grow(calls, measured, flat, rounds=80)
    factor = grown.factors(calls)[1]
    assert np.median(factor[slow == 3.0]) > 1.8 * np.median(factor[slow == 1.0])
    amounts = costs.columns(calls, grown)
    missed = np.abs(np.log(costs.terms(amounts, flat)[1] / measured))
    before = np.abs(np.log(costs.terms(costs.columns(calls, costs.NONE), flat)[1] / measured))
    assert np.median(missed) < 0.5 * np.median(before)


def test_slopes_are_shares_of_latency() -> None:
    amounts = costs.columns(Calls.of(some_calls(5), [T4] * 5), costs.NONE)
    logs = costs.ignorance().mean
    share = costs.slopes(amounts, logs, 4.0)
    assert share.sum(axis=1) == pytest.approx(np.ones(5))
    step = 1e-5 * np.eye(len(COSTS))[HOSTS + GROUPS.index("linear")]

    def log_latency(at: np.ndarray) -> np.ndarray:
        host_s, device_s = costs.terms(amounts, at)
        return np.asarray(np.log(host_s**4 + device_s**4) / 4)

    numeric = (log_latency(logs + step) - log_latency(logs - step)) / 2e-5
    assert share[:, HOSTS + GROUPS.index("linear")] == pytest.approx(numeric, abs=1e-6)


def test_few_rows_never_move_a_cost_beyond_what_the_prior_allows() -> None:
    calls = Calls.of(some_calls(4), [A100] * 4)
    amounts = costs.columns(calls, costs.NONE)
    prior = Prior(costs.ignorance().mean, costs.spread(0.5, 0.25, 0.15))
    found = costs.fit(amounts, np.full(4, 3.0), prior)  # four calls of three seconds
    room = 2.5 * np.sqrt(np.diag(prior.covariance)) + 1e-9
    assert (np.abs(found.mean - prior.mean) <= room).all()
