"""Rows: no more of a platform than say something."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor
from ftax_model.errors import DataError
from ftax_model.modeling.platforms.known import domain_of
from ftax_model.modeling.rows import at_most
from ftax_model.tracing import features


def table(counts: dict[str, int]) -> pd.DataFrame:
    """So many rows of each framework, of nine models."""
    names = [name for name, count in counts.items() for _ in range(count)]
    models = np.random.default_rng(0).integers(0, 9, len(names)).astype(str)
    return pd.DataFrame({"framework": names, "device": "d", "dtype": "float32", "threads": 1, "model": models})


def test_of_many_rows_whole_models_are_drawn_and_few_rows_are_all_kept() -> None:
    rows = table({"eager": 80, "inductor": 20})
    kept = at_most(rows.assign(at=range(100)), 30)
    assert kept["framework"].value_counts().to_dict() == {"eager": 30, "inductor": 20}
    assert kept["at"].is_monotonic_increasing
    eager = rows[rows["framework"] == "eager"]["model"].value_counts()
    shares = kept[kept["framework"] == "eager"]["model"].value_counts() / eager
    assert (shares.dropna() < 1).sum() <= 1
    assert at_most(rows) is rows


def test_rows_of_one_model_are_drawn_too() -> None:
    rows = table({"eager": 50}).assign(model="one", at=range(50))
    kept = at_most(rows, 10)
    assert len(kept) == 10
    assert kept["at"].max() > 20


def test_a_calibration_with_no_rows_is_refused() -> None:
    known = LatencyPredictor()
    known.known_ = {("eager", "cpu"): None}
    with pytest.raises(DataError, match="calibration needs measured rows; got none"):
        known.calibrate(table({}).assign(latency_s=[]))


def test_a_domain_holds_numbers_alone() -> None:
    rows = pd.DataFrame(1.0, index=range(2), columns=list(features.COLUMNS))
    rows["linear.m~"] = np.nan
    found = domain_of(rows)
    assert "linear.m~" not in found
    assert np.isfinite([*found.values()]).all()
