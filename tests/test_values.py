"""Values of records: each of its type and within its limits, or one refusal, whatever was written there."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model import values
from ftax_model.errors import DataError

ANY: list[Any] = [None, True, "1", "x" * 300, "a\nb", math.nan, math.inf, -1.0, 2**70, [], [1], {}, {"a": 1}, {1: 1}]
UNIT = (0.0, 1.0)


@pytest.mark.parametrize("value", ANY, ids=lambda one: repr(one)[:20])
def test_a_number_is_a_number_within_its_limits(value: Any) -> None:
    with pytest.raises(ValueError, match=r"share is .*, not a number from 0 to 1"):
        values.number(value, "share", UNIT)
    with pytest.raises(ValueError, match=r"share is .*, not a whole number from 0 to 9"):
        values.whole(value, "share", (0, 9))


def test_what_is_within_comes_back() -> None:
    assert values.number(1, "share", UNIT) == 1.0
    assert values.number(math.inf, "overlap", (1.0, math.inf)) == math.inf
    assert values.whole(3, "count", (0, 3)) == 3
    assert values.text("a b", "name") == "a b"
    assert values.numbers([0, 0.5], "shares", UNIT).tolist() == [0.0, 0.5]
    assert values.ranges({"a": [0, 0.5]}, "range", UNIT) == {"a": (0.0, 0.5)}


@pytest.mark.parametrize("value", [None, 3, "a\nb", "\u202eabc", "x" * 201, ["a"]])
def test_text_is_printable_and_short(value: Any) -> None:
    with pytest.raises(ValueError, match=r"name is .*, not text"):
        values.text(value, "name")


@pytest.mark.parametrize("value", [None, {}, "ab", [1, "a"], [True], [math.nan], [2.0], [[1]], [0.1] * 1001])
def test_numbers_are_a_list_of_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match="shares"):
        values.numbers(value, "shares", UNIT)


@pytest.mark.parametrize("value", [None, [], {"a": 1}, {"a": [1]}, {"a": [0.5, 0.2]}, {"a": [0, 2]}, {"\x1b": [0, 1]}])
def test_ranges_run_up(value: Any) -> None:
    with pytest.raises(ValueError, match="range"):
        values.ranges(value, "range", UNIT)


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def test_what_is_packed_is_unpacked_no_further_than_it_may() -> None:
    assert values.unpacked(packed(b"\1\0\0\0"), "nodes", "<i4", most=1).tolist() == [1]
    bomb = packed(bytes(1 << 26))
    assert len(bomb) < 100_000
    for content in (
        bomb,
        packed(bytes(8)),
        packed(bytes(5)),
        packed(b"\1\0\0\0")[:-8],
        "no base64!",
        "AAAA",
        None,
        [1],
    ):
        with pytest.raises(ValueError, match=r"nodes|buffer size"):
            values.unpacked(content, "nodes", "<i4", most=1)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_a_product_with_itself_is_a_covariance(size: int, seed: int) -> None:
    root = np.random.default_rng(seed).normal(size=(size, size))
    values.covariance(root @ root.T, "costs", most=1e3)


@pytest.mark.parametrize(
    "matrix",
    [
        [[-1.0]], [[1e4]], [[math.nan]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [-0.5, 1.0]], [[0.0, 1.0], [1.0, 1.0]],
        [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]],
    ],
)  # fmt: skip
def test_other_matrices_are_none(matrix: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="costs"):
        values.covariance(np.array(matrix), "costs", most=1e3)


@pytest.mark.parametrize(
    "wrong", [KeyError("a"), TypeError("b"), ValueError(""), ZeroDivisionError("c"), zlib.error("d")]
)
def test_whatever_goes_wrong_while_reading_is_one_refusal(wrong: Exception) -> None:
    with pytest.raises(DataError, match="a record of costs is what to_dict wrote"), values.reading("costs"):
        raise wrong


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (2, "schema 2, of an earlier version; fit again"),
        (7, "schema 7, of a later version; install a later version"),
        (None, "schema None; fit again"),
        ("6", "schema '6'; fit again"),
        (6.0, r"schema 6\.0; fit again"),
        (True, "schema True; fit again"),
        (-1, "schema -1; fit again"),
        ([6], r"schema \[6\]; fit again"),
    ],
)
def test_another_schema_says_what_to_do(found: Any, said: str) -> None:
    values.check_schema(6, 6, what="predictors", again="fit again")
    with pytest.raises(DataError, match=f"reads predictors of schema 6; got {said}"):
        values.check_schema(found, 6, what="predictors", again="fit again")
