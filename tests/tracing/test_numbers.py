"""An operator as a row of numbers: all that columns hang on is in it, for operators of every kind of network."""

from __future__ import annotations

import math

import pytest

from ftax_model import architectures
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import numbers, trace_workload
from ftax_model.tracing.numbers import NUMBERS
from ftax_model.workload import DTYPES, Workload

WORKLOADS = [
    Workload(
        "bert", {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "vocab_size": 50}, batch_size=3, input_size=16
    ),
    Workload("resnet", {"depths": (1, 1), "widths": (8, 16), "num_classes": 10}, batch_size=2, input_size=32),
    Workload("depthwise-conv2d", {"channels": 8}, batch_size=2),
    Workload("lstm", {"num_layers": 2, "hidden_size": 16}, batch_size=3, input_size=8),
    Workload("t5-encoder", {"num_layers": 1}, batch_size=2, input_size=16),
    Workload("feedforward", {"hidden_size": 16}, dtype="bfloat16"),
]


@pytest.fixture(scope="module", params=WORKLOADS, ids=lambda one: f"{one.architecture} {one.dtype}")
def traced(request: pytest.FixtureRequest) -> tuple[Trace, int]:
    """A trace, and the bytes of an element."""
    workload = architectures.complete(request.param)
    return trace_workload(workload), DTYPES[workload.dtype]


def told(operator: Operator, itemsize: int = 4) -> dict[str, float]:
    """The numbers of an operator by name."""
    return dict(zip(NUMBERS, numbers.numbers(operator, itemsize=itemsize), strict=True))


def test_weights_that_are_read_follow_from_the_numbers(traced: tuple[Trace, int]) -> None:
    trace, itemsize = traced
    read = [numbers.weight_bytes(numbers.numbers(one, itemsize=itemsize)) for one in trace.operators]
    assert read == [one.weight_bytes for one in trace.operators]
    assert any(read)


def test_numbers_are_whole_and_those_of_the_operator(traced: tuple[Trace, int]) -> None:
    trace, itemsize = traced
    for one in trace.operators:
        own = told(one, itemsize)
        assert all(value >= 0 and value == math.floor(value) for value in own.values())
        assert (own["macs"], own["activation_bytes"]) == (one.macs, one.activation_bytes)
        assert own["elements"] == one.output_elements
        assert own["read"] == sum(map(math.prod, one.inputs))
        assert numbers.taken([*own.values()]) == max(map(math.prod, one.inputs), default=0)


def test_a_product_has_its_extents(traced: tuple[Trace, int]) -> None:
    for one in traced[0].operators:
        own = told(one)
        if {"m", "k", "n"} <= one.attributes.keys():
            assert own["batch"] * own["m"] * own["k"] * own["n"] == one.macs
        elif "kernel" in one.attributes and not one.attributes.get("transposed"):
            outputs = own["outputs"] * own["channels"] * own["positions"]
            assert outputs * own["weight_in"] * own["taps"] == one.macs


def test_a_lookup_reads_no_more_of_its_table_than_it_puts_out() -> None:
    rows, width, items = 100, 8, 4
    for tokens in (3, 12, 500):
        elements = tokens * width
        read = items * min(elements, rows * width)
        moved = items * elements + 8 * tokens
        one = Operator("embedding", ((rows, width), (tokens,)), ((tokens, width),), 0, moved, weight_bytes=read)
        own = told(one)
        assert (own["weight_bytes"], own["table_bytes"], own["row_itemsize"]) == (0, items * rows * width, items)
        assert numbers.weight_bytes([*own.values()]) == read


def test_what_an_operator_has_not_is_nothing() -> None:
    own = told(Operator("relu", ((2, 3),), ((2, 3),), 0, 48))
    ones = {"groups": 1, "stride": 1, "dilation": 1}
    assert {name: own[name] for name in ones} == ones
    told_of = {"activation_bytes", "elements", "first", "read", "arguments", "input_1", "second", "area", "last", *ones}
    assert {name for name, value in own.items() if value} == told_of
