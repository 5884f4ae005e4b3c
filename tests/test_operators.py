"""Operators and the columns that a trace gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model.operators import FEATURES, Operator, Trace

shapes = st.lists(st.lists(st.integers(1, 9), max_size=4).map(tuple), max_size=3).map(tuple)
operators = st.builds(
    Operator,
    st.sampled_from(["linear", "gelu"]),
    shapes,
    shapes,
    macs=st.integers(0, 10**12),
    activation_bytes=st.integers(0, 10**9),
    weight_bytes=st.integers(0, 10**9),
    level=st.integers(0, 50),
)
traces = st.builds(Trace, st.lists(operators, max_size=6).map(tuple), st.integers(0, 10**10))

LINEAR = Operator("linear", ((2, 4), (8, 4)), ((2, 8),), macs=64, activation_bytes=96, weight_bytes=128, level=1)
GELU = Operator("gelu", ((2, 8),), ((2, 8),), activation_bytes=128, level=1)
LAST = Operator("linear", ((2, 8), (1, 8)), ((2, 1),), macs=16, activation_bytes=72, weight_bytes=32, level=2)


def test_features_of_a_small_network() -> None:
    assert Trace((LINEAR, GELU, LAST), params=40).features() == {
        "macs": 80.0,
        "params": 40.0,
        "depth": 2.0,
        "n_ops": 3.0,
        "activations": 18.0,
        "activation_bytes": 296.0,
        "weight_bytes": 160.0,
    }


def test_features_of_nothing_are_zero() -> None:
    assert Trace((), params=0).features() == dict.fromkeys(FEATURES, 0.0)


@given(traces)
def test_features_are_the_named_columns_and_numbers(trace: Trace) -> None:
    features = trace.features()
    assert list(features) == list(FEATURES)
    assert all(type(value) is float and math.isfinite(value) and value >= 0 for value in features.values())


@given(traces, operators)
def test_one_more_operator_adds_its_own(trace: Trace, operator: Operator) -> None:
    before, after = trace.features(), Trace((*trace.operators, operator), trace.params).features()
    added = {name: after[name] - before[name] for name in FEATURES if name not in ("params", "depth")}
    assert added == {
        "macs": operator.macs,
        "n_ops": 1,
        "activations": operator.output_elements if operator.macs else 0,
        "activation_bytes": operator.activation_bytes,
        "weight_bytes": operator.weight_bytes,
    }
    assert after["depth"] == max(before["depth"], operator.level)


@pytest.mark.parametrize(
    ("outputs", "elements"), [((), 0), (((),), 1), (((2, 3), (4,)), 10), (((2, 0),), 0), (((2**20, 2**20),), 2**40)]
)
def test_output_elements(outputs: tuple[tuple[int, ...], ...], elements: int) -> None:
    assert Operator("any", (), outputs).output_elements == elements
