"""Figures of proxies against plain implementations, intervals, and the regimes of what was measured."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from ftax_model.modeling.judging import regimes
from ftax_model.modeling.judging.ranking import FEWEST, STATISTICS, quality


def drawn(count: int, *, noise: float, seed: int = 0, **told: object) -> pd.DataFrame:
    """Rows of one platform whose latency follows a proxy with ties but for noise."""
    draw = np.random.default_rng(seed)
    proxy = draw.integers(1, 40, count).astype(float)
    latency_s = 0.001 * proxy * np.exp(draw.normal(0, noise, count))
    rows = pd.DataFrame({"proxy": proxy, "latency_s": latency_s})
    family = [f"family {at % 8}" for at in range(count)]
    usual = {"framework": "eager", "device": "a", "dtype": "float32", "threads": 1, "floor": 0.1}
    return rows.assign(architecture=family, model=family, **{**usual, **told})


def test_figures_are_those_of_plain_implementations() -> None:
    rows = drawn(60, noise=0.6)
    found = quality(rows, "proxy")
    x, y = rows["proxy"].to_numpy(), rows["latency_s"].to_numpy()
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    assert found["kendall"] == pytest.approx(kendalltau(x, y).statistic)
    assert found["r2"] == pytest.approx(np.corrcoef(np.log(x), np.log(y))[0, 1] ** 2)
    pairs = [
        0.5 if x[one] == x[other] else float((x[one] < x[other]) == (y[one] < y[other]))
        for one in range(60)
        for other in range(one)
        if abs(math.log(y[one] / y[other])) > 0.1
    ]
    assert found["pairs"] == pytest.approx(np.mean(pairs))
    least = min(np.mean(np.abs(constant * x / y - 1)) for constant in np.geomspace(1e-4, 1, 20_000))
    assert found["mape"] == pytest.approx(least, rel=1e-3)
    assert found["mape"] <= least + 1e-12


def test_intervals_hold_the_figure_and_narrow_with_less_noise() -> None:
    wide, narrow = (quality(drawn(80, noise=noise), "proxy") for noise in (1.0, 0.1))
    for name in STATISTICS:
        assert wide[f"{name}_low"] < wide[name] < wide[f"{name}_high"]
        assert narrow[f"{name}_high"] - narrow[f"{name}_low"] < wide[f"{name}_high"] - wide[f"{name}_low"]


def test_rows_are_compared_within_their_own_platform() -> None:
    slow = drawn(30, noise=0.0)
    fast = drawn(30, noise=0.0, seed=1, device="b")
    both = pd.concat([slow, fast.assign(latency_s=fast["latency_s"] / 1000)], ignore_index=True)
    found = quality(both, "proxy")
    assert (found["n"], found["lacking"]) == (60, 0)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["pairs"] == pytest.approx(1.0)


def test_fewer_than_ten_rows_are_no_figure() -> None:
    found = quality(drawn(FEWEST - 1, noise=0.1), "proxy")
    assert (found["n"], found["lacking"]) == (0, FEWEST - 1)
    assert all(math.isnan(found[name]) for name in STATISTICS)


def test_a_proxy_that_is_the_same_everywhere_ranks_nothing() -> None:
    found = quality(drawn(20, noise=0.5).assign(proxy=3.0), "proxy")
    assert math.isnan(found["spearman"])
    assert math.isnan(found["kendall"])
    assert found["pairs"] == pytest.approx(0.5)


def sweep(curve: str, crossover: float, sizes: list[int]) -> pd.DataFrame:
    rows = pd.DataFrame({"batch_size": sizes, "latency_s": [max(0.01, 0.01 * n / crossover) for n in sizes]})
    return rows.assign(curve=curve, framework="eager", device="a", dtype="float32", threads=1)


def test_a_sweep_tells_the_regime_and_the_law_where_there_is_none() -> None:
    rows = pd.concat([sweep("a", 8, [1, 2, 4, 8, 16, 32, 64]), sweep("b", 8, [1, 64])], ignore_index=True)
    law = pd.DataFrame({"host_s": 1.0, "constant_s": 0.0, "regime": "memory-bound"}, index=rows.index)
    swept = regimes.sweeps(rows).set_index("curve")
    assert swept.loc["a", "crossover_batch_size"] == pytest.approx(8, rel=0.1)
    assert math.isnan(swept.loc["b", "crossover_batch_size"])
    found = regimes.measured(rows, law, swept.reset_index())
    assert list(found[:3]) == ["framework-bound"] * 3
    assert list(found[4:]) == ["memory-bound"] * 5
    weights = law.assign(constant_s=2.0)
    assert list(regimes.measured(rows, weights, swept.reset_index())[:3]) == ["memory-bound"] * 3
