"""Rows of a dataset: those that are drawn of too many, and what stands beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, load_dataset
from ftax_model.errors import DataError
from ftax_model.modeling.platforms.known import domain_of
from ftax_model.modeling.rows import PLATFORM, drawn
from ftax_model.tracing import features


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    columns = ["key", "curve", *PLATFORM]
    return load_dataset("intel-xeon-amx-2core", columns=columns)


def test_few_rows_are_all_drawn(table: pd.DataFrame) -> None:
    assert drawn(table) is table
    assert drawn(table, most=len(table), each=()) is table
    assert drawn(table[:0]).empty


@pytest.mark.parametrize("each", [PLATFORM, ()])
def test_whole_sweeps_are_drawn_of_each_platform(table: pd.DataFrame, each: tuple[str, ...]) -> None:
    kept = drawn(table, most=200, each=each)
    sizes = kept.groupby(list(each)).size() if each else pd.Series([len(kept)])
    before = table.groupby(list(each)).size() if each else pd.Series([len(table)])
    assert sizes.max() <= 200
    assert (sizes > 100)[before > 200].all()
    assert sizes[before <= 200].equals(before[before <= 200])
    sweep = ["curve", *each]
    assert kept.groupby(sweep).size().equals(table.groupby(sweep).size()[kept.groupby(sweep).size().index])
    assert kept["key"].is_unique
    assert kept.equals(drawn(table, most=200, each=each))
    assert not kept.equals(drawn(table, most=200, each=each, seed=1))


def test_of_one_sweep_that_is_too_long_some_rows_are_drawn(table: pd.DataFrame) -> None:
    rows = pd.concat([table[:1]] * 50, ignore_index=True).assign(at=range(50))
    kept = drawn(rows, most=10)
    assert len(kept) == 10
    assert kept["at"].max() > 20


def test_a_calibration_with_no_rows_is_refused() -> None:
    known = LatencyPredictor()
    known.known_ = {("eager", "cpu"): None}
    with pytest.raises(DataError, match="calibration needs measured rows; got none"):
        known.calibrate(pd.DataFrame(columns=[*PLATFORM, "latency_s"]))


def test_a_domain_holds_numbers_alone() -> None:
    rows = pd.DataFrame(1.0, index=range(2), columns=list(features.COLUMNS))
    rows["linear.m~"] = np.nan
    found = domain_of(rows)
    assert "linear.m~" not in found
    assert np.isfinite([*found.values()]).all()
