"""Operators and the columns that a trace gives."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model.errors import DataError
from ftax_model.operators import (
    FEATURES,
    Operator,
    OperatorTiming,
    Trace,
    timings_from_record,
    timings_to_record,
)

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


values = st.booleans() | st.integers(1, 9) | st.lists(st.integers(0, 9), max_size=3).map(tuple)
timings = st.lists(
    st.builds(
        OperatorTiming,
        st.builds(
            Operator,
            st.sampled_from(["linear", "gelu"]),
            shapes,
            shapes,
            level=st.integers(0, 9),
            layer=st.sampled_from(["", "0", "0.linear"]),
            attributes=st.dictionaries(st.sampled_from(["dim", "causal"]), values),
        ),
        st.none() | st.floats(0, 10),
        st.none() | st.floats(0, 10),
    ),
    max_size=8,
).map(tuple)


@given(timings)
def test_timings_come_back_in_order(found: tuple[OperatorTiming, ...]) -> None:
    record = json.loads(json.dumps(timings_to_record(found), allow_nan=False))
    assert timings_from_record(record) == found


def test_a_repeated_operator_stands_once_and_keeps_its_places() -> None:
    first = dataclasses.replace(LINEAR, layer="0")
    again = dataclasses.replace(LINEAR, layer="1", level=2)
    one, two = timings_to_record([OperatorTiming(first, 1e-6), OperatorTiming(GELU), OperatorTiming(again, 3e-6)])
    assert (one["kind"], one["at"], one["layer"], one["level"]) == ("linear", [0, 2], ["0", "1"], [1, 2])
    assert one["host_s"] == [1e-6, 3e-6]
    assert (two["kind"], two["at"]) == ("gelu", [1])
    assert not {"host_s", "device_s"} & two.keys()
    assert "device_s" not in one


@pytest.mark.parametrize(
    "change", [{"at": [1]}, {"at": [0, 1]}, {"host_s": [1.0, 2.0]}, {"level": []}, {"layer": None}, {"host_s": 3}]
)
def test_timings_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    (entry,) = timings_to_record([OperatorTiming(LINEAR, 1e-6)])
    with pytest.raises((KeyError, TypeError, ValueError)):
        timings_from_record([{**entry, **change}])


@pytest.mark.parametrize(
    ("attributes", "law"),
    [
        ({"m": -1}, "attributes.m is a whole number"),
        ({"batch": "r"}, "attributes.batch is a whole number"),
        ({"groups": 0}, "attributes.groups is a whole number from 1"),
        ({"stride": 2}, "attributes.stride is a list"),
        ({"kernel": []}, "attributes.kernel is a list, .* one at least"),
        ({"kernel": [3, 3]}, "what has a kernel has shapes"),
    ],
)
def test_attributes_that_cost_nothing_known_are_refused(attributes: dict[str, object], law: str) -> None:
    record = Trace((GELU,), 0).to_record()
    record["operators"][0]["attributes"] = attributes
    with pytest.raises(DataError, match=law):
        Trace.from_record(record)
