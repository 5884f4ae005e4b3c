"""scripts/search_transformer.py: its figures by hand, its search on a space that can be listed, and the whole line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ftax_model import LatencyPredictor, load_dataset
from ftax_model.collection.runner import collect
from ftax_model.device import Device
from ftax_model.nas import SearchSpace

PLAN = """
frameworks: fake
protocol: {cell_s: 0.05, warmup_s: 0.01}
workloads:
  - {architecture: toy, num_layers: [2, 16], width: [16, 256], batch_size: [1, 64]}
  - {architecture: bert, num_layers: [2, 5], hidden_size: 32, num_heads: 2, intermediate_size: [128, 512],
     vocab_size: 1024, input_size: 8, batch_size: [1, 32]}
"""
FINER = {"num_layers": range(2, 7), "num_heads": range(1, 5), "head_size": [16, 32], "intermediate_size": [128, 256]}
TINY = (
    "--framework",
    "fake",
    "--call",
    "1x4",
    "--evaluations",
    "120",
    "--measure",
    "4",
    "--repeats",
    "2",
    "--rank",
    "5",
)


@pytest.fixture(scope="module")
def search_transformer(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("search_transformer")


@pytest.fixture
def small(search_transformer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with few candidates, which are measured in this process."""
    monkeypatch.setattr(search_transformer.runner, "collect", partial(collect, isolate=False))
    for name, value in {"FINER": FINER, "LEAST": 1.0, "POPULATION": 40, "SHOWN": 20}.items():
        monkeypatch.setattr(search_transformer, name, value)
    return search_transformer


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A plan, and a predictor of another machine that was measured by it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    plan, model = folder / "plan.yaml", folder / "model.json.gz"
    plan.write_text(PLAN, encoding="utf-8")
    collect(plan, folder / "cells.jsonl", isolate=False)
    LatencyPredictor(jobs=1).fit(load_dataset(folder / "cells.jsonl").assign(device="elsewhere")).save(model)
    return str(plan), str(model)


def invoke(module: ModuleType, *options: str) -> Result:
    return CliRunner().invoke(module.main, [*options])


def says(run: Result, *parts: str) -> bool:
    """Whether a run failed with 2 and one line that holds all parts."""
    return (run.exit_code, run.stderr.count("\n")) == (2, 1) and all(part in run.stderr for part in parts)


def test_capacity_is_what_the_paper_says_of_shapes(search_transformer: ModuleType) -> None:
    shapes = [(48, 1600, 6400), (6, 4288, 4 * 4288), (6, 4288, 9 * 4288), (48, 1600, 3200)]
    names = ("num_layers", "hidden_size", "intermediate_size")
    best, wide, wasteful, narrow = search_transformer.capacity([dict(zip(names, one, strict=True)) for one in shapes])
    assert best == pytest.approx(12 * 48 * 1600**2)
    assert (wide / (12 * 6 * 4288**2)) ** -0.076 == pytest.approx(1.03)
    assert wasteful == wide
    assert narrow == pytest.approx(best * 8 / 12)


def test_loss_of_a_front_by_hand(search_transformer: ModuleType) -> None:
    ours = pd.DataFrame({"capacity": [100.0, 1.0], "seconds": [10.0, 1.0]})
    theirs = pd.DataFrame({"capacity": [0.9, 1.0, 10.0, 101.0], "seconds": [9.0, 1.5, 1.2 * 10**0.5, 9.0]})
    assert list(search_transformer.lost(ours, theirs, "seconds")) == pytest.approx([0.5, 0.2])


def test_networks_lie_evenly_along_what_all_fronts_reach(
    search_transformer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_transformer, "LEAST", 10.0)
    fronts = {"latency": np.geomspace(1, 1e5, 51), "MACs": np.geomspace(1, 1e4, 41)}
    table = pd.concat([pd.DataFrame({"call": "one", "by": by, "capacity": own}) for by, own in fronts.items()])
    found = search_transformer.along(table, 4).groupby("by")["capacity"]
    for by in fronts:
        assert list(found.get_group(by)) == pytest.approx([10, 100, 1000, 10000])


def test_ranks_are_those_of_what_was_measured(search_transformer: ModuleType) -> None:
    table = pd.DataFrame({"call": "one", "predicted_s": [3, 1, 2], "macs": [1, 2, 3], "params": [2, 1, 3]})
    table = table.assign(n_ops=[1, 3, 2], measured_s=[3.0, 1, 2], first_s=[3.0, 1, 2], second_s=[3.0, 2, np.nan])
    found = {row["ranked_by"]: row for row in search_transformer.ranked(table)}
    assert found["predicted"]["spearman"] == found["predicted"]["kendall"] == pytest.approx(1)
    assert found["operators"]["spearman"] == pytest.approx(-1)
    assert found["MACs"]["kendall"] == pytest.approx(-1 / 3)
    assert (found["a second look"]["candidates"], found["a second look"]["spearman"]) == (2, pytest.approx(1))


def test_search_finds_the_front_of_a_space_that_can_be_listed(small: ModuleType) -> None:
    (space,) = small.spaces(["1x4"]).values()

    def price(candidates: list[dict[str, Any]]) -> Any:
        return np.array([5e4 * one["num_layers"] + one["hidden_size"] * one["intermediate_size"] for one in candidates])

    rows = space.canonical(list(itertools.product(*(range(high + 1) for high in space.bounds[1]))))
    paid, worth = price(space.decode(rows)), small.capacity(space.decode(rows))
    better = (paid[:, None] >= paid) & (worth[:, None] <= worth) & ((paid[:, None] > paid) | (worth[:, None] < worth))
    front = {tuple(row) for row in rows[~better.any(axis=1)].tolist()}
    found = {tuple(row) for row in small.search(space, price, evaluations=1000, seed=0).tolist()}
    assert found <= front
    assert len(found) >= 0.9 * len(front) > 5


def test_whole_line_on_a_known_law(small: ModuleType, elsewhere: tuple[str, str], tmp_path: Path) -> None:
    plan, model = elsewhere
    calibration, save, picture = (tmp_path / name for name in ("mine.jsonl", "cells.jsonl", "a.png"))
    kept = ("--calibration", str(calibration), "--save", str(save), "--model", model)
    run = invoke(small, *TINY, *kept, "--plan", plan, "--picture", str(picture), "--json")
    assert run.exit_code == 0, run.stderr
    told = json.loads(run.stdout)
    (lost,) = told["lost"]
    assert lost["worst"] > 0.1  # where each operator costs and MACs hardly do
    for row in told["predicted"]:
        assert row["mape"] < 0.1
        assert row["framework_bound"] == row["networks"]
    ranks = {row["ranked_by"]: row["spearman"] for row in told["ranked"]}
    assert ranks["predicted"] > 0.85
    assert ranks["a second look"] > 0.85
    assert {row["by"] for row in told["networks"]} == {"latency", "MACs"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    before = calibration.read_bytes(), save.read_bytes()
    again = invoke(small, *TINY, *kept)
    assert again.exit_code == 0, again.stderr
    assert (calibration.read_bytes(), save.read_bytes()) == before, "nothing is measured twice"
    assert "Lost by the MACs front" in again.stdout


def test_what_is_known_of_the_same_cpu_is_left_out(
    search_transformer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = []
    monkeypatch.setattr(LatencyPredictor, "without", lambda self, device: without.append(device) or self)
    here = Device(name="amd-epyc-genoa-64core", kind="cpu", model="", host_cpu="", cores=64)
    search_transformer.unseen("cpu", here)
    assert without == ["amd-epyc-genoa-2core"]


def test_bad_input_is_one_line(search_transformer: ModuleType, elsewhere: tuple[str, str], tmp_path: Path) -> None:
    plan, model = elsewhere
    cells = Path(plan).with_name("cells.jsonl")
    assert says(invoke(search_transformer, "--call", "1by16"), "BATCHxTOKENS", "'1by16'")
    assert says(invoke(search_transformer, "--calibrate-for", "soon"), "duration", "soon")
    assert says(invoke(search_transformer, "--model", model, "--plan", plan), "framework of the plan", "'eager'")
    other = ("--model", model, "--calibration", str(cells), "--framework", "onnxruntime")
    assert says(invoke(search_transformer, *other), "cells of the platform", "onnxruntime")


def test_without_pymoo_it_says_so(search_transformer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_transformer, "find_spec", lambda name: None)
    assert says(invoke(search_transformer), "needs pymoo", "pip install -e .[search]")


def test_the_space_is_the_one_that_ships_but_for_its_steps(search_transformer: ModuleType) -> None:
    (space,) = search_transformer.spaces(["8x128"]).values()
    shipped = SearchSpace.load(search_transformer.SPACE)
    assert space.variables == shipped.variables
    assert set(space.choices("head_size")) > set(shipped.choices("head_size"))
    assert (min(space.choices("num_layers")), space.size) == (2, 11 * 12 * 7 * 93)
