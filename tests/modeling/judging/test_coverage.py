"""Coverage: exact intervals, design effects, what is called bad, and what a build is held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ftax_model.cli import main as cli
from ftax_model.dataset import load_dataset
from ftax_model.errors import DataError
from ftax_model.modeling.judging import coverage
from ftax_model.modeling.platforms.fitting import Learnt
from ftax_model.modeling.predictor import LatencyPredictor


def rows(families: list[tuple[int, int]], *, framework: str = "eager", split: str = "family") -> pd.DataFrame:
    """Rows of so many families, each with its count of rows, and how many of them are inside."""
    inside = np.concatenate([np.arange(count) < held for count, held in families])
    return pd.DataFrame(
        {
            "split": split,
            "device": "here",
            "framework": framework,
            "regime": "compute-bound",
            "batch_size": 8,
            "architecture": np.repeat([str(at) for at in range(len(families))], [count for count, _ in families]),
            "latency_s": np.where(inside, 1.0, 3.0),
            "predicted_s": 1.0,
            "low_s": 0.5,
            "high_s": 2.0,
        }
    )


def of_all(table: pd.DataFrame) -> pd.Series:
    (found,) = (one for _, one in table[table["by"] == "all"].iterrows())
    return found


@given(st.integers(1, 400), st.data())
def test_intervals_of_rows_are_exact_binomial_ones(n: int, data: st.DataObject) -> None:
    inside = data.draw(st.integers(0, n))
    expected = binomtest(inside, n).proportion_ci(0.95, method="exact")
    assert float(coverage.lower(inside, n, 0.975)) == pytest.approx(expected.low)
    assert float(coverage.upper(inside, n, 0.975)) == pytest.approx(expected.high)


def test_a_family_that_is_inside_or_not_as_one_is_one_row() -> None:
    found = of_all(coverage.figures(rows([(50, 50)] * 18 + [(50, 0)] * 2)))
    assert (found["rows"], found["families"], found["covered"]) == (1000, 20, 0.9)
    assert found["independent"] == pytest.approx(20, rel=0.06)
    assert found["low"] < found["rows_low"] < 0.9 < found["rows_high"] < found["high"] <= found["most"]


def test_families_that_are_as_mixed_as_all_rows_are_as_many_rows() -> None:
    found = of_all(coverage.figures(rows([(50, 45)] * 20)))
    assert found["independent"] == 1000
    assert (found["low"], found["high"]) == (found["rows_low"], found["rows_high"])


def test_one_family_is_held_to_how_alike_rows_of_others_are() -> None:
    alone, others = rows([(50, 10)], framework="alone"), rows([(50, 50)] * 18 + [(50, 0)] * 2)
    table = coverage.figures(pd.concat([others, alone]))
    own = table[(table["framework"] == "alone") & (table["by"] == "all")].iloc[0]
    assert own["independent"] < 1.2
    assert not own["below"]


def test_figures_are_by_regime_and_by_class_of_batch_sizes() -> None:
    table = rows([(6, 6)]).assign(
        batch_size=[1, 2, 8, 9, 64, 65], regime=["framework-bound"] * 2 + ["memory-bound"] * 4
    )
    found = coverage.figures(table).set_index(["by", "value"])["rows"].to_dict()
    assert {key[1]: count for key, count in found.items() if key[0] == "batch"} == {
        "1": 1,
        "2 to 8": 2,
        "9 to 64": 2,
        "above 64": 1,
    }
    assert (found["regime", "framework-bound"], found["regime", "memory-bound"], found["all", "all"]) == (2, 4, 6)


def test_a_row_without_interval_is_no_row_and_width_is_high_over_low() -> None:
    table = rows([(4, 4)])
    table.loc[0, "low_s"] = np.nan
    found = of_all(coverage.figures(table))
    assert (found["rows"], found["width"], found["worst"], found["median"]) == (3, 4.0, 1.0, 0.0)


GOOD = rows([(20, 18)] * 20)
NARROW = rows([(20, 12)] * 20)
"""As many rows, of which a share of 0.6 is inside."""


def why(table: pd.DataFrame, folder: Path) -> set[str]:
    return {*coverage.judged(coverage.figures(table), folder, "cpu")["why"]}


def test_what_is_significantly_below_the_promise_is_refused_in_one_line(tmp_path: Path) -> None:
    assert why(GOOD, tmp_path) == {""}
    assert why(NARROW, tmp_path) == {"below the promise"}
    line = coverage.refusal(coverage.judged(coverage.figures(NARROW), tmp_path, "cpu"), "cpu")
    assert "\n" not in line
    assert line.startswith("intervals of cpu hold 90% of latencies")
    assert "family, here, eager: 60 %" in line
    assert coverage.refusal(coverage.judged(coverage.figures(GOOD), tmp_path, "cpu"), "cpu") == ""


def test_what_is_worse_than_before_is_refused_where_the_promise_is_not_kept(tmp_path: Path) -> None:
    before, now = rows([(20, 20)] * 8), rows([(20, 17)] * 8)
    coverage.write(coverage.figures(before), tmp_path, "cpu")
    assert why(now, tmp_path) == {"worse than before"}
    assert why(GOOD, tmp_path) == {""}, "narrower intervals that hold what they say are none the worse"
    coverage.write(coverage.figures(before), tmp_path, "another")
    coverage.write(coverage.figures(now), tmp_path, "cpu", note="a reason")
    assert why(now, tmp_path) == {""}
    assert (tmp_path / coverage.BEFORE).read_text().count("a reason") == 3, "one for each figure, those of another kept"


def test_a_known_shortfall_is_let_be_and_must_not_get_worse(tmp_path: Path) -> None:
    listed = [
        f"  - {{split: family, device: here, framework: eager, by: {by}, value: {value}, covered: 0.6, reason: so}}"
        for by, value in (("all", "all"), ("regime", "compute-bound"), ("batch", "2 to 8"))
    ]
    (tmp_path / coverage.SHORTFALLS).write_text("\n".join(["cpu:", *listed]))
    assert why(NARROW, tmp_path) == {""}
    assert why(rows([(20, 6)] * 20), tmp_path) == {"worse than known"}


@pytest.mark.parametrize("content", ["cpu: [{split: family}]", "cpu: 3", "[1]", "cpu: [{covered: x}]"])
def test_shortfalls_without_a_reason_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / coverage.SHORTFALLS).write_text(content)
    with pytest.raises(DataError, match="known shortfalls"):
        coverage.shortfalls(tmp_path, "cpu")


def test_figures_before_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / coverage.BEFORE).write_text("predictor,split\ncpu,family\n")
    with pytest.raises(DataError, match="figures of coverage"):
        why(GOOD, tmp_path)


def test_shortfalls_that_ship_are_figures_that_ship() -> None:
    folder = Path(coverage.__file__).parents[2] / "predictors"
    figures = pd.read_csv(folder / coverage.BEFORE, dtype={"value": str})
    for name, own in figures.groupby("predictor"):
        keys = {tuple(one): share for *one, share in own[[*coverage.KEY, "covered"]].to_numpy().tolist()}
        for listed in coverage.shortfalls(folder, str(name)):
            assert keys[tuple(listed[key] for key in coverage.KEY)] == pytest.approx(listed["covered"], abs=1e-3)


def test_the_documentation_shows_the_figures_that_ship() -> None:
    root = Path(coverage.__file__).parents[3]
    page = (root / "docs" / "accuracy.md").read_text(encoding="utf-8")
    table = pd.read_csv(root / "ftax_model" / "predictors" / coverage.BEFORE, dtype={"value": str})
    table = table[(table["by"] != "batch") & (table["split"] != "model")]
    order, shown = ("all", "framework-bound", "memory-bound", "compute-bound"), 0
    for (name, split, device, framework), own in table.groupby(["predictor", "split", "device", "framework"]):
        cells = {
            one["value"]: f"{100 * one['covered']:.0f} ({100 * one['low']:.0f} to {100 * one['high']:.0f})"
            for one in own.to_dict("records")
        }
        if own["families"].max() < 3:
            continue
        first = device if name == "cpu" else {"machine": "as shipped", "calibrated": "calibrated"}[split]
        line = next(
            one for one in page.splitlines() if one.startswith(f"| {first} | {framework} |") and cells["all"] in one
        )
        told = order if (name, split) != ("cpu", "calibrated") else order[:1]
        assert all(cells.get(value, "-") in line for value in told), line
        shown += 1
    assert shown > 30


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """Of two machines of the fake framework, five models each."""
    folder = tmp_path_factory.mktemp("toy")
    plan, data = folder / "plan.yaml", folder / "toy.jsonl"
    plan.write_text(
        "frameworks: fake\nworkloads: [{architecture: toy, num_layers: [2, 3, 5, 7, 9], batch_size: [1, 4, 16, 64]}]\n"
    )
    assert cli(["collect", str(plan), "--out", str(data)]) == 0
    table = load_dataset(str(data))
    both = pd.concat([table, table.assign(device="another", latency_s=2 * table["latency_s"])], ignore_index=True)
    return LatencyPredictor(jobs=1).learn(both)


@pytest.mark.slow
def test_rows_left_out_while_learning_have_intervals_in_each_split(learnt: Learnt) -> None:
    found = coverage.of_learnt(learnt)
    assert set(found["split"]) >= {"model"}
    assert set(found["regime"]) <= {"framework-bound", "memory-bound", "compute-bound"}
    assert (found["low_s"] <= found["high_s"]).all()
    assert coverage.figures(found)["covered"].between(0, 1).all()
