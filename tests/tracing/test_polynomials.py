"""Polynomials in place of traces: equal to them in every integer, or not used."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import polynomials, trace_workload
from ftax_model.tracing.polynomials import FURTHEST, InexactError, Point, Polynomials, TooFewError
from ftax_model.tracing.regions import Regions
from ftax_model.workload import DTYPES, Workload

FAST = [
    Workload("layer-norm", batch_size=4),
    Workload("feedforward", {"num_layers": 2}, batch_size=4),
    Workload("feedforward", batch_size=4, dtype="bfloat16"),
    Workload("multi-head-attention", batch_size=4),
    Workload("multi-head-attention", {"num_heads": 1}, batch_size=4),
    Workload("conv2d", batch_size=4),
    Workload("conv2d", {"num_layers": 3, "groups": 2}, batch_size=4),
    Workload("depthwise-conv2d", batch_size=1),
    Workload("mlp", batch_size=2),
]
LLAMA = {"num_layers": 3, "hidden_size": 64, "num_heads": 4, "num_kv_heads": 2, "vocab_size": 500}
SLOW = [
    Workload("convnext", {"depths": (2, 3), "widths": (8, 16)}, batch_size=4),
    Workload("llama-prefill", LLAMA, batch_size=4),
    Workload("llama-prefill", {**LLAMA, "num_kv_heads": 4}, batch_size=4),
    Workload("distilbert", batch_size=4),
]
POINTS, FACTORS = 8, (0.25, 0.5, 0.5, 1, 1, 2, 2.5)


def near(like: Workload, found: Polynomials, regions: Regions) -> list[Point]:
    """Points of the region, drawn otherwise than those that it was derived from."""
    rng, (_, usual), kept = np.random.default_rng(7), polynomials.sizes_of(like), []
    for _ in range(100 * POINTS):
        factors = {name: float(rng.choice(FACTORS)) for name in found.variables}
        point = {name: max(int(value * factors.get(name, 1)), 1) for name, value in usual.items()}
        columns = {name: np.array([float(value)]) for name, value in point.items()}
        try:
            polynomials.workload_of(like, point)
        except FtaxError:
            continue
        if regions.holds(found, columns)[0] and point not in kept:
            kept.append(point)
        if len(kept) == POINTS:
            break
    return kept


def differing(like: Workload) -> tuple[int, list[Point]]:
    """How many points were compared with traces, and those at which some integer differs; none without polynomials."""
    like = architectures.complete(like)
    regions = Regions(like)
    found = regions.find(polynomials.sizes_of(like)[1])
    if found is None:
        return 0, []
    points = near(like, found, regions)
    return len(points), [point for point in points if not agree(found, point, polynomials.workload_of(like, point))]


def agree(found: Polynomials, point: Point, workload: Workload) -> bool:
    """Whether all that is told of operators, their order as far as it matters, parameters and depth are equal."""
    trace, values = trace_workload(workload), found.values(point)
    return (
        found.traced(point) == polynomials.counted(trace, DTYPES[workload.dtype])
        and found.params >= 0
        and values[found.params] == trace.params
        and values[found.depth] == trace.features()["depth"]
    )


def named(one: Workload) -> str:
    return f"{architectures.label(one)} {one.dtype} b{one.batch_size}"


@pytest.mark.parametrize("like", [*FAST, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)], ids=named)
def test_traces_that_were_not_used_are_equal_in_every_integer(like: Workload) -> None:
    compared, wrong = differing(like)
    assert compared == POINTS
    assert not wrong


@pytest.fixture(scope="module")
def attention() -> Polynomials:
    like = architectures.complete(Workload("multi-head-attention", batch_size=4))
    found = Regions(like).find(polynomials.sizes_of(like)[1])
    assert found is not None
    return found


def test_polynomials_hold_as_far_as_was_traced_and_a_little_farther(attention: Polynomials) -> None:
    inside = {name: float(value) for name, value in zip(attention.variables, attention.high, strict=True)}
    inside |= {name: float(value) for name, value in attention.fixed.items()}

    def holds(**changes: float) -> bool:
        return bool(attention.holds({name: np.array([value]) for name, value in {**inside, **changes}.items()})[0])

    assert holds()
    for name, low, high in zip(attention.variables, attention.low, attention.high, strict=True):
        assert holds(**{name: high * FURTHEST})
        assert not holds(**{name: high * FURTHEST + 1})
        assert not holds(**{name: low / FURTHEST - 1})
        assert not holds(**{name: 1})
    for name, value in attention.fixed.items():
        assert not holds(**{name: value + 1})


def test_what_is_one_keeps_its_value() -> None:
    like = architectures.complete(Workload("multi-head-attention", {"num_heads": 1}, batch_size=1))
    found = polynomials.derive(like)
    assert found.fixed == {"num_heads": 1, "num_layers": 1, "batch_size": 1}
    assert {*found.variables} == {"hidden_size", "input_size"}


@pytest.mark.parametrize("like", [*FAST, Workload("convnext", {"depths": (1, 2), "widths": (8, 16)})], ids=named)
def test_a_point_and_its_workload_are_the_same(like: Workload) -> None:
    like = architectures.complete(like)
    rest, point = polynomials.sizes_of(like)
    assert polynomials.workload_of(like, point) == like
    assert not {*rest} & {*point}
    assert all(type(value) is int for value in point.values())


def test_a_record_is_the_way_back(attention: Polynomials) -> None:
    record = json.loads(json.dumps(attention.to_record()))
    assert Polynomials.from_record(record) == attention


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field that is missing": lambda r: r.pop("steps"),
    "a variable that is none": lambda r: r["terms"][0].append([1, 1, [[99, 1]]]),
    "a variable below none": lambda r: r["terms"][0].append([1, 1, [[-1, 1]]]),
    "an endless power": lambda r: r["terms"][0].append([1, 1, [[0, 10**9]]]),
    "a division by zero": lambda r: r["terms"][0].append([1, 0, []]),
    "a number beyond all": lambda r: r["terms"][0].append([10**400, 1, []]),
    "text for a number": lambda r: r["terms"][0].append(["1", 1, []]),
    "a step of nothing": lambda r: r["steps"].append([99, 0, 2]),
    "a step by zero": lambda r: r["steps"].append([0, 0, 0]),
    "a form that is none": lambda r: r["classes"][0].update(form=99),
    "a form of kernels that is none": lambda r: r["classes"][0].update(kernel=-1),
    "a number of an operator that is none": lambda r: r["classes"][0]["values"].append([99, 1]),
    "a polynomial that is none": lambda r: r["classes"][0]["varying"].append([0, 10**6]),
    "a list for a number of an operator": lambda r: r["classes"][0]["values"].append([1, [2]]),
    "nan": lambda r: r["classes"][0]["values"].append([1, float("nan")]),
    "a class that is none": lambda r: r["kernels"][0].update(own=99),
    "a neighbour that is none": lambda r: r["kernels"][0].update(before=-2),
    "a place in words": lambda r: r["kernels"][0].update(place="first"),
    "a count of nothing": lambda r: r.update(counts=[10**6] * len(r["counts"])),
    "counts of other kernels": lambda r: r["counts"].pop(),
    "parameters of nothing": lambda r: r.update(params=10**6),
    "a depth of nothing": lambda r: r.update(depth=-1),
    "a variable twice": lambda r: r["fixed"].update({r["variables"][0]: 1}),
    "a variable that is a number": lambda r: r.update(variables=[1, *r["variables"][1:]]),
    "ends of fewer variables": lambda r: r["low"].pop(),
    "ends in words": lambda r: r.update(high=["far"] * len(r["high"])),
    "tied to nothing": lambda r: r["tied"].update(other="nothing"),
    "a list for all": lambda r: r.update(terms=7),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_record_that_points_at_nothing_is_refused(
    attention: Polynomials, spoil: Callable[[dict[str, Any]], object]
) -> None:
    record = json.loads(json.dumps(attention.to_record()))
    spoil(record)
    with pytest.raises((LookupError, TypeError, ValueError)):
        Polynomials.from_record(record)


# Traces that are made up, of a network whose numbers are known


LIKE = architectures.complete(Workload("feedforward", {"num_layers": 1}, batch_size=4))


def rows_of(count: int) -> Operator:
    return Operator("relu", ((count,),), ((count,),), 0, 8 * count)


def made_up(monkeypatch: pytest.MonkeyPatch, operators: Callable[..., list[Operator]], **rest: Any) -> None:
    """Derive from these operators of hidden size, intermediate size, batch size and input size."""

    def traced(workload: Workload) -> Trace:
        own = workload.settings
        sizes = (own["hidden_size"], own["intermediate_size"], workload.batch_size, workload.input_size)
        return Trace(tuple(operators(*sizes)), params=own["hidden_size"], **rest)

    monkeypatch.setattr(polynomials, "trace_workload", SimpleNamespace(__wrapped__=traced))


def test_a_polynomial_that_was_put_in_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, lambda h, i, b, s: [rows_of(b * (3 * h * h + i)), rows_of((s + 1) // 2 * h)])
    found = polynomials.derive(LIKE)
    assert {*found.fixed} == {"num_layers"}
    point = {"hidden_size": 51, "intermediate_size": 7, "num_layers": 1, "batch_size": 5, "input_size": 9}
    elements = {own[0][4 + polynomials.NUMBERS.index("elements")] for own in found.traced(point)}
    assert elements == {5.0 * (3 * 51 * 51 + 7), 5.0 * 51}


def test_what_is_no_polynomial_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, lambda h, i, b, s: [rows_of(b * h * i.bit_count())])
    found = polynomials.derive(LIKE)
    assert found.fixed == {"num_layers": 1, "intermediate_size": 3072}


@pytest.mark.parametrize(
    ("why", "operators", "rest"),
    [
        ("no polynomial in batch_size", lambda h, i, b, s: [rows_of(h * b.bit_count())], {}),
        ("differs at", lambda h, i, b, s: [rows_of(b * h)] * (2 if b > 20 else 1), {}),
        ("a trace on random weights", lambda h, i, b, s: [rows_of(b * h)], {"way": "random weights"}),
    ],
)
def test_what_cannot_be_is_told(
    monkeypatch: pytest.MonkeyPatch, why: str, operators: Callable[..., list[Operator]], rest: dict[str, Any]
) -> None:
    made_up(monkeypatch, operators, **rest)
    with pytest.raises(InexactError, match=why):
        polynomials.derive(LIKE)


def test_too_many_traces_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, lambda h, i, b, s: [rows_of(b * h)])
    monkeypatch.setattr(polynomials, "_MOST_TRACES", 5)
    with pytest.raises(InexactError, match="5 traces are not enough"):
        polynomials.derive(LIKE)


def test_what_differs_where_two_are_equal_is_a_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, lambda h, i, b, s: [rows_of(b * h * i)] * (2 if h == i else 1))
    found = polynomials.derive(LIKE)
    assert polynomials.ties(LIKE, found) == [("hidden_size", "intermediate_size")]
    tied = polynomials.derive(LIKE, tied={"hidden_size": "intermediate_size"})
    assert dict(tied.tied) == {"hidden_size": "intermediate_size"}
    point = {"hidden_size": 8, "intermediate_size": 8, "num_layers": 1, "batch_size": 5, "input_size": 9}
    assert sum(tied.traced(point).values()) == 2
    assert sum(found.traced(point).values()) == 1


# The arithmetic


def test_thirds_add_up_to_a_whole_number() -> None:
    third = ((1, 3, ((0, 1),)), (2, 3, ((0, 2),)))
    for value in range(1, 200):
        assert polynomials.evaluate([third], [value])[0] * 3 == value + 2 * value**2
    assert polynomials.evaluate([((7, 2, ((0, 2), (1, -1))),)], [6, 3])[0] == 42


def test_coefficients_are_found_as_fractions() -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(2, 4000, (30, 2)).astype(float)
    x, y = points.T
    degrees = {0: ((0, 0), (0, 1), (0, 2)), 1: ((1, 0), (1, 1))}
    found = polynomials.fitted(points, (x * x * y * 5 + 3 * x + 2) / 4, degrees)
    assert {powers: above / below for above, below, powers in found} == {
        (): 0.5,
        ((0, 1),): 0.75,
        ((0, 2), (1, 1)): 1.25,
    }
    with pytest.raises(TooFewError):
        polynomials.fitted(points[:8], x[:8], degrees)
    with pytest.raises(InexactError):
        polynomials.fitted(points, np.floor(x / 3) * y, degrees)


def test_a_line_tells_its_degree_or_that_it_has_none() -> None:
    at = np.array([2.0, 3, 5, 8, 12, 20])
    for powers, values in {(1,): 7 * at, (0, 3): at**3 + 1, (-1,): 120 / at, (0,): 0 * at + 3}.items():
        assert polynomials.degree(at, values) == powers
    assert polynomials.degree(at, np.floor(at / 3)) is None
