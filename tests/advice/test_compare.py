"""Comparisons: ratios with intervals, where lines cross, and what lies beyond the floor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ftax_model.advice import compare
from ftax_model.errors import DataError
from ftax_model.modeling.judging.ratios import NOISE, ratio

ROW = {"framework": "eager", "device": "cpu", "dtype": "float32", "threads": 1, "notes": ""}


def row(latency_s: float, width: float = 0.3, **other: object) -> dict[str, object]:
    ends = {"low_s": latency_s * np.exp(-width), "high_s": latency_s * np.exp(width)}
    return {**ROW, "batch_size": 1, "latency_s": latency_s, **ends, **other}


def test_what_two_predictions_miss_alike_cancels() -> None:
    near, far = ratio(row(1.02), row(1.0)), ratio(row(100.0), row(1.0))
    assert near.high / near.value < 1.2
    assert far.high / far.value > near.high / near.value
    other = ratio(row(1.02), row(1.0, framework="onnxruntime"))
    assert other.high / other.value == pytest.approx(np.exp(np.hypot(np.sqrt(2) * 0.3, NOISE)))
    assert ratio(row(1.0), row(1.0)).high == pytest.approx(np.exp(NOISE))


def test_a_ratio_turned_round_is_its_inverse() -> None:
    one, other = row(3.0, 0.2), row(1.0, 0.5)
    forth, back = ratio(one, other), ratio(other, one)
    assert forth.value == pytest.approx(1 / back.value)
    assert (forth.low, forth.high) == pytest.approx((1 / back.high, 1 / back.low))
    assert forth.told
    assert back.told


def test_lines_cross_where_the_ratio_is_one() -> None:
    assert compare.crossings({1: 2.0, 2: 1.5, 4: 0.5}) == pytest.approx([2 * 2 ** (np.log(1.5) / np.log(3))])
    assert compare.crossings({1: 2.0, 2: 3.0}) == []
    assert len(compare.crossings({1: 2.0, 2: 0.5, 4: 2.0})) == 2


def test_predictions_are_compared_at_the_sizes_that_both_have() -> None:
    one = pd.DataFrame([row(1.0), row(2.0, batch_size=2)])
    found = compare.predicted(one, pd.DataFrame([row(4.0, batch_size=2, framework="onnxruntime", notes="far")]))
    assert found[["batch_size", "ratio", "notes"]].to_numpy().tolist() == [[2, 0.5, "far"]]
    with pytest.raises(DataError, match="batch sizes that both have"):
        compare.predicted(one, pd.DataFrame([row(4.0, batch_size=8)]))


def measured(seconds: list[float], **other: object) -> pd.DataFrame:
    rows = [
        {
            "architecture": "mlp",
            "hyperparameters": "{}",
            "input_size": 8,
            "lengths": "fixed",
            "curve": "mlp",
            "status": "ok",
            **ROW,
            "batch_size": size,
            "repeat": repeat,
            "latency_s": value * (1 + 0.02 * repeat),
            **other,
        }
        for size, value in zip((1, 2), seconds, strict=True)
        for repeat in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_measurements_differ_beyond_the_floor_or_not() -> None:
    found = compare.measured(measured([1.0, 1.0], device="a"), measured([1.01, 2.0], device="b"))
    assert found["beyond"].tolist() == [False, True]
    assert found["ratio"].tolist() == pytest.approx([1 / 1.01, 0.5])
    assert (found["low"] < found["ratio"]).all()


def test_without_repeats_the_floor_is_not_known() -> None:
    once = [table[table["repeat"] == 0] for table in (measured([1.0, 1.0]), measured([3.0, 3.0]))]
    found = compare.measured(*once)
    assert found["beyond"].isna().all()
    assert found["low"].isna().all()


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(DataError, match="no cell in common"):
        compare.measured(measured([1.0, 1.0]), measured([1.0, 1.0], framework="onnxruntime"))
