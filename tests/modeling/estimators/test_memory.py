"""Peak memory as a sum: costs put in come out, few rows give nothing absurd, and hostile files are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.memory import BEFORE, PRIOR, MemoryModel

TRUTH = {"floor": 3e8, "weights": 3.0, "activations": 1.5, "operators": 2e5}


def rows(count: int, *, seed: int = 0, largest: float = 1e9) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sizes = {name: 10 ** draw.uniform(4, np.log10(largest), count) for name in ("model_bytes", "live_bytes")}
    return pd.DataFrame({**sizes, "n_ops": draw.integers(1, 500, count).astype(float)})


def bytes_of(table: pd.DataFrame, costs: dict[str, float] = TRUTH) -> pd.Series[float]:
    held = costs["weights"] * table["model_bytes"] + costs["activations"] * table["live_bytes"]
    return costs["floor"] + held + costs["operators"] * table["n_ops"]


def test_the_costs_put_in_come_out() -> None:
    table = rows(300)
    found = MemoryModel().fit(table, bytes_of(table))
    assert {name: found.costs_[name] for name in TRUTH} == pytest.approx(TRUTH, rel=0.03)
    assert found.predict(table) == pytest.approx(bytes_of(table).to_numpy(), rel=0.01)


def test_outliers_do_not_move_it() -> None:
    table, draw = rows(300), np.random.default_rng(1)
    measured = bytes_of(table) * np.where(draw.uniform(size=300) < 0.05, 4.0, 1.0)
    found = MemoryModel().fit(table, measured)
    assert found.costs_["weights"] == pytest.approx(TRUTH["weights"], rel=0.1)


def test_what_earlier_calls_left_is_no_part_of_a_prediction() -> None:
    table = pd.concat([rows(200), rows(200, seed=1)], ignore_index=True)
    before = np.repeat([0, 2], 200)
    left = before * (0.8 * table["model_bytes"] + 1e5 * table["n_ops"])
    found = MemoryModel().fit(table.assign(**{BEFORE: before}), bytes_of(table) + left)
    assert found.costs_["weights"] == pytest.approx(TRUTH["weights"], rel=0.1)
    assert found.predict(table) == pytest.approx(bytes_of(table).to_numpy(), rel=0.05)


def test_a_process_that_does_not_export_again_may_hold_less() -> None:
    table = pd.concat([rows(200), rows(200, seed=1)], ignore_index=True)
    before, weights = np.repeat([0, 1], 200), np.repeat([8.0, 3.0], 200)
    held = bytes_of(table) + (weights - TRUTH["weights"]) * table["model_bytes"]
    found = MemoryModel().fit(table.assign(**{BEFORE: before}), held)
    assert found.costs_["weights"] == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_four_small_rows_give_nothing_absurd(seed: int) -> None:
    few = rows(4, seed=seed, largest=1e6)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.05, 4))
    found = MemoryModel().fit(few, bytes_of(few) * noise)
    assert 1 <= found.costs_["weights"] <= 3
    assert 1 <= found.costs_["activations"] <= 3
    assert 2e8 < found.costs_["floor"] < 4e8
    large = pd.DataFrame({"model_bytes": [4e8], "live_bytes": [1e8], "n_ops": [200.0]})
    assert 5e8 < found.predict(large)[0] < 2.5e9


def test_a_floor_of_almost_nothing_is_found() -> None:
    table = rows(60)
    found = MemoryModel().fit(
        table, bytes_of(table, {"floor": 1e5, "weights": 1.0, "activations": 1.0, "operators": 0})
    )
    assert found.costs_["floor"] < 2e7
    assert found.costs_["weights"] == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("change", "measured"),
    [
        ({"model_bytes": -1.0}, 1e8),
        ({"live_bytes": np.nan}, 1e8),
        ({"n_ops": np.inf}, 1e8),
        ({BEFORE: -1.0}, 1e8),
        ({}, 0.0),
        ({}, np.nan),
    ],
)
def test_rows_that_count_nothing_are_refused(change: dict[str, float], measured: float) -> None:
    with pytest.raises(InputError):
        MemoryModel().fit(rows(3).assign(**change), [measured] * 3)


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="live_bytes"):
        MemoryModel().fit(rows(3).drop(columns="live_bytes"), [1e8] * 3)
    with pytest.raises(InputError):
        MemoryModel().fit(rows(3), [1e8] * 2)


def test_it_survives_its_record() -> None:
    found = MemoryModel().fit(rows(9), bytes_of(rows(9)))
    again = MemoryModel.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.predict(rows(9)) == pytest.approx(found.predict(rows(9)), rel=1e-5)


@pytest.mark.parametrize("value", [None, "many", -1.0, 0.0, float("nan"), float("inf"), [1.0]])
def test_a_record_of_other_things_is_refused(value: Any) -> None:
    record = {name: mean for name, (mean, _) in PRIOR.items()}
    with pytest.raises(DataError, match="what memory holds of weights"):
        MemoryModel.from_dict({**record, "weights": value})
    with pytest.raises(DataError, match="no 'floor'"):
        MemoryModel.from_dict({"weights": 1.0})
