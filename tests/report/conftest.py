"""What reports are made of in tests: the toy, measured and fitted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ftax_model import dataset
from ftax_model.cli import main
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.report.content import Content, of_dataset, of_workloads
from ftax_model.workload import grid

PLAN = """
frameworks: fake
workloads: [{architecture: toy, num_layers: [2, 8, 32], width: [16, 64], batch_size: [1, 4, 16, 64], repeats: 2}]
"""

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy measured (toy.jsonl) and fitted (toy.json)."""
    path = tmp_path_factory.mktemp("report")
    (path / "plan.yaml").write_text(PLAN)
    assert main(["collect", str(path / "plan.yaml"), "--out", str(path / "toy.jsonl")]) == 0
    LatencyPredictor(operators=False).fit(dataset.load_dataset(path / "toy.jsonl")).save(path / "toy.json")
    return path


@pytest.fixture(scope="session")
def predictor(toy: Path) -> LatencyPredictor:
    """The predictor that was fitted to the toy."""
    return LatencyPredictor.load(toy / "toy.json")


@pytest.fixture(scope="session")
def of_toys(predictor: LatencyPredictor) -> Content:
    """What the predictor says of three toys."""
    return of_workloads(grid("toy", num_layers=[3, 5, 9]), predictor, made=MADE)


@pytest.fixture(scope="session")
def measured(toy: Path) -> Content:
    """The toy as a dataset."""
    return of_dataset(dataset.read(toy / "toy.jsonl"), "toy.jsonl", jobs=1, made=MADE)


@pytest.fixture(scope="session")
def held_out(toy: Path) -> Content:
    """The same, with models, families and sizes held out."""
    return of_dataset(dataset.read(toy / "toy.jsonl"), "toy.jsonl", evaluate=True, jobs=1, made=MADE)
