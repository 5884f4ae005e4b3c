"""Laws of fields: what holds them, what does not, and how that is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model import fields
from ftax_model.errors import DataError, FtaxError
from ftax_model.measurement import Cell, Measurement, Profile
from ftax_model.operators import Trace
from ftax_model.workload import Workload

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text(max_size=4), own, max_size=3),
    max_leaves=6,
)
KINDS = {
    "number": fields.number("s", 9.0, 1.0), "whole": fields.whole(0, 9), "text": fields.text(4), "name": fields.NAME,
    "path": fields.NO_PATH, "seconds": fields.SECONDS, "samples": fields.SAMPLES, "shapes": fields.SHAPES,
    "one": fields.one_of(["a"]), "maybe": fields.optional(fields.NAME), "each": fields.each(fields.NAME),
    "named": fields.named({"a": fields.NAME}), "numbers": fields.named_numbers("s", 1.0),
}  # fmt: skip
CELL = Cell(Workload("mlp", {"num_layers": 2}), "eager", "cpu-2core")
MEASURED = Measurement(CELL, latency_s=1e-3, samples=(1e-3,) * 5, features={"macs": 9.0}).to_record()
PROFILED = Profile(CELL, status="crashed").to_record()
OPERATOR = {"kind": "mm", "inputs": [[4, 8]], "outputs": [[4, 8]], "attributes": {"m": 4}, "macs": 9, "layer": "a"}
TRACED = {"params": 9, "operators": [OPERATOR]}


@given(st.sampled_from(sorted(KINDS)), ANYTHING)
def test_a_value_is_of_its_kind_or_refused(name: str, value: Any) -> None:
    try:
        fields.check({name: KINDS[name]}, {name: value})
    except DataError as error:
        assert error.law.startswith(name)
        assert len(error.got) < 500
    else:
        assert KINDS[name].holds(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", True), ("number", float("nan")), ("number", float("inf")), ("number", 0.5), ("number", "1"),
        ("whole", True), ("whole", 1.0), ("whole", -1), ("whole", 10), ("text", "xxxxx"), ("text", None), ("name", ""),
        ("name", "a\nb"), ("name", "\x1b[m"), ("name", "\u202ea"), ("name", "x" * 201), ("path", "a/b"),
        ("path", "a\\b"), ("path", "../a"), ("path", "a.toml"), ("seconds", -1.0), ("seconds", 1e-300),
        ("seconds", 1e308), ("samples", (0.0,)), ("samples", [1.0]), ("samples", (True,)), ("shapes", ((1.0,),)),
        ("shapes", ((-1,),)), ("shapes", ((2**40, 2**40),)), ("shapes", ((1,) * 65,)), ("shapes", (3,)), ("one", []),
        ("each", "a"), ("each", ["a", 3]), ("named", []), ("named", {"a": 3}), ("numbers", {"a": 2.0}),
        ("numbers", {"a": "1"}),
    ],
)  # fmt: skip
def test_values_that_are_refused(name: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"^{name}"):
        fields.check({name: KINDS[name]}, {name: value}, where="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 1), ("number", 9.0), ("whole", 0), ("text", ""), ("name", "NVIDIA RTX 3090"), ("path", "cpu-2core"),
        ("seconds", 0), ("seconds", 1e-9), ("seconds", 1e4), ("samples", ()), ("shapes", ((), (0, 3))), ("one", "a"),
        ("maybe", None), ("each", []), ("named", {"b": []}), ("numbers", {"a": 0}),
    ],
)  # fmt: skip
def test_values_that_hold(name: str, value: Any) -> None:
    fields.check({name: KINDS[name]}, {name: value})


@given(st.sampled_from([Measurement, Profile]), st.data(), ANYTHING)
def test_records_with_one_value_swapped_are_read_or_refused(kind: Any, data: Any, value: Any) -> None:
    record = json.loads(json.dumps(MEASURED if kind is Measurement else PROFILED))
    holders = [record, record["workload"], record["environment"], record.get("features", record)]
    holder = data.draw(st.sampled_from([one for one in holders if one]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    try:
        own = kind.from_record(record)
    except FtaxError:
        return
    assert kind.from_record(json.loads(json.dumps(own.to_record(), allow_nan=False))) == own
    if kind is Measurement:
        own.warnings()


@given(st.data(), ANYTHING)
def test_traces_with_one_value_swapped_are_read_or_refused(data: Any, value: Any) -> None:
    record = json.loads(json.dumps(TRACED))
    holder = data.draw(st.sampled_from([record, record["operators"][0]]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    try:
        own = Trace.from_record(record)
    except (KeyError, TypeError, ValueError):
        return
    assert own.features().keys() >= {"macs"}
    own.memory()
