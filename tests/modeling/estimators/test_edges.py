"""Fits at the edge of what numbers can say: a result that holds what the law says, or a refusal."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ftax_model.errors import InputError
from ftax_model.modeling.estimators import law
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.estimators.kernels import COSTS, fit, ignorance
from ftax_model.modeling.estimators.memory import MemoryModel
from ftax_model.modeling.estimators.operators import OperatorModel
from ftax_model.modeling.estimators.regime import RegimeModel, fit_curve
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.operators import FEATURES
from ftax_model.tracing import features

SECONDS = st.floats(1e-9, 1e4)
COUNTS = st.one_of(st.just(0.0), st.floats(law.SMALLEST, law.LARGEST), st.integers(1, 1 << 40).map(float))


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Features of two to eight rows and four columns, some of them the same, and latencies."""
    count = draw(st.integers(2, 8))
    X = draw(arrays(float, (count, 4), elements=COUNTS))
    if draw(st.booleans()):
        X = np.repeat(X[:1], count, axis=0)
    return X, draw(arrays(float, count, elements=SECONDS))


@settings(max_examples=25, deadline=None)
@given(tables(), st.sampled_from([None, 1.0, 2.0, math.inf]), st.integers(0, 3))
def test_a_law_of_any_rows_predicts_seconds_that_never_fall_where_a_feature_grows(
    table: tuple[np.ndarray, np.ndarray], overlap: float | None, grown: int
) -> None:
    X, y = table
    model = RegimeModel([0], [1, 2], [3], [2], overlap=overlap).fit(X, y, groups=np.arange(len(y)) % 3)
    predicted = model.predict(X)
    assert np.isfinite(predicted).all()
    assert (predicted > 0).all()
    more = X.copy()
    more[:, grown] = np.minimum(2 * more[:, grown] + 1, law.LARGEST)
    assert (model.predict(more) >= predicted * (1 - 1e-9)).all()
    crossover, low, high = model.crossover_batch_size(X, return_interval=True)
    assert not np.isnan([crossover, low, high]).any()
    assert ((low <= crossover * (1 + 1e-9)) & (crossover <= high * (1 + 1e-9))).all()
    assert not np.isinf([*model.standard_errors_.values()]).any()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 512), SECONDS), min_size=2, max_size=8))
def test_a_curve_through_any_points_grows_with_the_batch(points: list[tuple[int, float]]) -> None:
    sizes, y = np.array([one for one, _ in points]), np.array([one for _, one in points])
    if len(set(sizes)) < 2:
        with pytest.raises(InputError, match="two batch sizes"):
            fit_curve(sizes, y)
        return
    curve = fit_curve(sizes, y)
    seconds = curve.latency_s(np.arange(1, 600))
    assert np.isfinite(seconds).all()
    assert seconds[0] > 0
    assert (np.diff(seconds) >= -1e-12 * seconds.max()).all()
    assert curve.crossover_low <= curve.crossover_batch_size * (1 + 1e-9)
    assert curve.crossover_batch_size <= curve.crossover_high * (1 + 1e-9)


@settings(max_examples=8, deadline=None)
@given(
    arrays(float, (3, len(features.SUMS)), elements=st.floats(0, 1e12).filter(lambda one: one == 0 or one > 1e-9)),
    arrays(float, 3, elements=SECONDS),
    st.integers(0, len(features.SUMS) - 1),
)
def test_a_sum_of_operators_never_falls_where_one_of_them_asks_for_more(
    amounts: np.ndarray, y: np.ndarray, grown: int
) -> None:
    X = pd.DataFrame(amounts, columns=list(features.SUMS))
    model = OperatorModel().fit(X, y)
    predicted, name = model.predict(X), features.SUMS[grown]
    assert np.isfinite(predicted).all()
    assert (predicted > 0).all()
    assert (model.predict(X.assign(**{name: 2 * X[name] + 1})) >= predicted * (1 - 1e-12)).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e40, 1e-40])
def test_features_that_are_no_counts_are_refused_by_fit_and_prediction(value: float) -> None:
    X = pd.DataFrame(0.0, index=range(3), columns=[*features.COLUMNS, *FEATURES, "batch_size"]).assign(n_ops=4.0)
    odd = X.copy()
    odd.loc[1, "linear.macs"] = value
    model = CorrectedModel(trees=1).fit(X, [1e-3] * 3)
    for call in (lambda: model.predict(odd), lambda: CorrectedModel().fit(odd, [1e-3] * 3)):
        with pytest.raises(InputError, match=r"features are .* in column 'linear.macs', row 1"):
            call()
    with pytest.raises(InputError, match="features are"):
        model.predict(X.assign(macs=value))


@pytest.mark.parametrize("value", [1e-13, 1e13])
def test_latencies_of_less_than_a_picosecond_or_of_ages_are_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"latencies are 1e-12 to 1e\+12 seconds; got .* in row 1"):
        RegimeModel().fit([[1.0], [2.0]], [1.0, value])


def test_calls_of_a_gpu_that_took_no_time_are_refused() -> None:
    with pytest.raises(InputError, match="positive, finite seconds"):
        fit(np.ones((2, len(COSTS))), np.array([1e-3, 0.0]), ignorance())


def test_peak_memory_of_less_than_a_byte_is_refused() -> None:
    X = pd.DataFrame({"model_bytes": [1e6], "live_bytes": [1e6], "n_ops": [4]})
    with pytest.raises(InputError, match="positive number of bytes"):
        MemoryModel().fit(X, [1e-300])


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="a row, or more"):
        RegimeModel().fit(np.zeros((0, 2)), [])
    with pytest.raises(InputError, match="a row or more"):
        Trees.fit(np.zeros((0, 2)), np.zeros(0))


def test_trees_grow_on_one_row_and_refuse_what_is_no_number() -> None:
    one = Trees.fit(np.array([[1.0, 2.0]]), np.array([0.5]), count=3)
    assert one.predict(np.array([[7.0, 0.0]])) == pytest.approx([0.5])
    for rows in (np.array([[math.nan, 1.0]]), np.array([[1e300, 1.0]])):
        with pytest.raises(InputError, match="single precision"):
            Trees.fit(rows, np.array([0.5]))


def test_many_rows_are_told_by_trees_as_a_few_at_a_time_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    trees = Trees.fit(rows, rows[:, 0], count=5)
    whole = trees.predict(rows)
    monkeypatch.setattr("ftax_model.modeling.estimators.trees._AT_ONCE", 7)
    assert (trees.predict(rows) == whole).all()


def test_the_jackknife_leaves_out_one_group_after_the_other() -> None:
    draw = np.random.default_rng(0)
    design = law.Design(np.column_stack([np.ones(40), draw.lognormal(0, 1, (40, 2))]), 1)
    y = design.columns @ [1.0, 2.0, 3.0] * draw.lognormal(0, 0.1, 40)
    groups = draw.permutation(np.arange(40) % 7)
    squares = law.Loss("linear")
    solution = law.fit_law(design, y, overlap=1.0, loss=squares)
    found, freedom = law.covariance(design, solution, loss=squares, groups=groups, free=np.arange(4) < 3)
    assert freedom == 6
    kept = [groups != one for one in range(7)]
    steps = [law.fit_law(law.Design(design.columns[own], 1), y[own], overlap=1.0, loss=squares) for own in kept]
    moves = np.array([one.coef for one in steps]) - solution.coef
    assert np.sqrt(np.diag(found)[:3]) == pytest.approx(np.sqrt((moves**2).sum(axis=0) * 6 / 7), rel=0.3)


def test_a_law_of_no_rows_is_refused() -> None:
    with pytest.raises(InputError, match="needs measured rows"):
        law.fit_law(law.Design(np.zeros((0, 2)), 1), np.zeros(0))
