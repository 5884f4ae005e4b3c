"""Error figures, the repeatability floor and the picture, on small tables made by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftax_model.errors import DataError, InputError
from ftax_model.modeling.judging import evaluation
from ftax_model.proxies import proxies
from ftax_model.report import curves


def cells(latencies: dict[tuple[int, int], float], *, framework: str = "eager", curve: str = "one") -> pd.DataFrame:
    """Rows of one model; keys are (batch size, repeat)."""
    rows = [
        {
            "curve": curve,
            "model": curve,
            "batch_size": batch_size,
            "repeat": repeat,
            "framework": framework,
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "latency_s": latency,
            "status": "ok",
        }
        for (batch_size, repeat), latency in latencies.items()
    ]
    return pd.DataFrame(rows)


def test_errors_by_hand() -> None:
    found = evaluation.errors([1.05, 0.5, 3.0, 4.0], [1.0, 1.0, 3.0, 4.0])
    assert found["median"] == pytest.approx(0.025)
    assert found["mape"] == pytest.approx(0.1375)
    assert found["within_10"] == pytest.approx(0.75)
    assert found["bias"] == pytest.approx(-0.1125)
    assert found["n"] == 4


def test_what_is_all_the_same_has_no_rank() -> None:
    assert math.isnan(evaluation.errors([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])["spearman"])


def test_floor_is_the_difference_between_repeats() -> None:
    table = cells({(1, 0): 1.0, (1, 1): math.exp(0.1), (2, 0): 5.0, (4, 0): 1.0, (4, 1): 1.0, (4, 2): math.exp(0.3)})
    assert evaluation.floor(table) == pytest.approx((0.1 + 0.2) / 2)


def test_floor_of_what_was_never_repeated_is_not_zero() -> None:
    assert math.isnan(evaluation.floor(cells({(1, 0): 1.0, (2, 0): 2.0})))


def test_floor_by_framework() -> None:
    both = [cells({(1, 0): 1.0, (1, 1): math.exp(gap)}, framework=name) for name, gap in (("a", 0.1), ("b", 0.2))]
    found = evaluation.floor(pd.concat(both, ignore_index=True), by=["framework"])
    assert found.to_dict() == pytest.approx({"a": 0.1, "b": 0.2})


@pytest.mark.parametrize(("shared", "expected"), [(True, 1.0), (False, 0.0)])
def test_repeats_tell_errors_of_the_model_from_noise(shared: bool, expected: float) -> None:
    draw = np.random.default_rng(0)
    first = draw.normal(0, 0.1, 2000)
    second = first if shared else draw.normal(0, 0.1, 2000)
    times = {
        (batch, repeat): math.exp(own[batch]) for repeat, own in enumerate((first, second)) for batch in range(2000)
    }
    left_out = cells(times)
    said = 1 + left_out["batch_size"] / 1e6
    left_out = left_out.assign(predicted_s=said, low_s=said / 2, high_s=2 * said)
    left_out = left_out.assign(error=left_out["predicted_s"] / left_out["latency_s"] - 1)
    found = evaluation.summary(left_out, by=[])
    assert found["repeats"].iloc[0] == pytest.approx(expected, abs=0.1)


def test_one_model_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="two of model"):
        evaluation.hold_out(cells({(1, 0): 1.0, (2, 0): 2.0}))


def test_proxies_refuse_a_column_that_is_not_there() -> None:
    with pytest.raises(InputError, match="colour"):
        proxies(cells({(1, 0): 1.0}), by=["colour"])


def test_picture_has_a_panel_per_curve_and_is_a_png(tmp_path: Path) -> None:
    sizes = [1, 2, 4, 8, 16, 32]
    tables = [
        cells({(size, 0): max(0.01, 0.001 * speed * size) for size in sizes}, framework=name, curve=curve)
        for name, speed in (("eager", 1.0), ("onnxruntime", 2.0))
        for curve in ("one", "two")
    ]
    path = curves.figure(pd.concat(tables, ignore_index=True), tmp_path / "curves.png")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_picture_of_single_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 batch sizes"):
        curves.figure(cells({(1, 0): 1.0, (2, 0): 2.0}), tmp_path / "curves.png")
    assert not np.any([*tmp_path.iterdir()])
