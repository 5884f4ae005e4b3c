"""LatencyCost elsewhere: as a module of torch, in a worker of its own, and after it was saved, without torch."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.nas import LatencyCost

PLATFORM = {"framework": "eager", "device": "amd-epyc-genoa-2core", "threads": 1}
ONE = {"num_layers": 2, "hidden_size": 96, "intermediate_size": 384}


@pytest.fixture(scope="module")
def cost() -> LatencyCost:
    found = LatencyCost(LatencyPredictor.load(SHIPPED), **PLATFORM, batch_size=4, architecture="feedforward")
    found(ONE)
    return found


def seconds(cost: LatencyCost) -> float:
    return float(cost(ONE))


def test_the_twin_has_the_slopes_of_the_cost(cost: LatencyCost) -> None:
    names = ["hidden_size", "intermediate_size"]
    point = torch.tensor([[96.0, 384.0]], dtype=torch.float64, requires_grad=True)
    said = cost.twin(names, ONE)(point)
    said.sum().backward()
    assert said.item() == pytest.approx(seconds(cost))
    assert point.grad is not None
    assert point.grad.tolist()[0] == pytest.approx(list(cost.gradient(ONE, names).values()))


def test_a_spawned_worker_agrees(cost: LatencyCost) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(seconds, cost).result() == seconds(cost)


def test_a_saved_cost_needs_no_torch(cost: LatencyCost, tmp_path: Path) -> None:
    path = tmp_path / "cost.npz"
    cost.save(path)
    code = (
        "import sys; from ftax_model.nas import LatencyCost;"
        f"print(LatencyCost.load({str(path)!r})({ONE!r}));"
        "print({'torch', 'pandas', 'sklearn'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert float(said[0]) == seconds(cost)
    assert said[1] == "set()"
