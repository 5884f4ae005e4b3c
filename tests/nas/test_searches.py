"""The examples of searches, each with what it is an example of, on a small space."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from ftax_model.nas.space import SearchSpace

ROOT = Path(__file__).resolve().parents[2]
SEARCHES = {"optuna": "optuna", "pymoo": "pymoo", "ray": "ray.tune", "ax": "ax.api.client"}
"""What each example is of, and the module that it imports."""

BUDGET_MS = 0.05
PLATFORM = ("--model", "cpu", "--device", "amd-epyc-genoa-2core")
FOUND = re.compile(r"^([\d.]+) ms, ([\d,]+) parameters: (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a platform, a budget, and a space of which a part keeps it."""
    space = SearchSpace("mlp", {"num_layers": range(1, 7), "hidden_size": [64, 128, 256, 512]}, input_size=32)
    path = space.save(tmp_path_factory.mktemp("space") / "small.yaml")
    return [*PLATFORM, "--space", str(path), "--budget-ms", str(BUDGET_MS)]


def keeps(output: str) -> list[tuple[float, int]]:
    """Latency and parameters of what was found, all within the budget."""
    found = [(float(ms), int(params.replace(",", ""))) for ms, params, _ in FOUND.findall(output)]
    assert found, output
    assert all(ms <= BUDGET_MS + 0.005 for ms, _ in found)
    return found


@pytest.mark.parametrize(
    ("name", "effort"), [("optuna", ("--trials", "12")), ("pymoo", ("--generations", "2")), ("ax", ("--trials", "9"))]
)
@pytest.mark.filterwarnings("ignore")
def test_a_search_finds_what_keeps_the_budget(
    script: Callable[[str], ModuleType], small: list[str], name: str, effort: tuple[str, str]
) -> None:
    pytest.importorskip(SEARCHES[name], reason=f"{name} is not installed")
    run = CliRunner().invoke(script(f"search_with_{name}").main, [*small, *effort])
    assert run.exit_code == 0, run.output
    found = keeps(run.output)
    assert max(params for _, params in found) > 2 * 32 * 64
    assert found == sorted(found)
    assert [params for _, params in found] == sorted(params for _, params in found)  # more is never faster on a front


@pytest.mark.heavy
def test_ray_searches_in_processes_of_its_own(small: list[str]) -> None:
    pytest.importorskip("ray.tune", reason="ray is not installed")
    command = [sys.executable, str(ROOT / "scripts" / "search_with_ray.py"), *small, "--trials", "8", "--jobs", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(keeps(run.stdout)) == 1


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_line(script: Callable[[str], ModuleType], name: str) -> None:
    pytest.importorskip(SEARCHES[name], reason=f"{name} is not installed")
    run = CliRunner().invoke(script(f"search_with_{name}").main, [*PLATFORM, "--space", "nothing-of-this-name"])
    assert run.exit_code == 2
    assert run.stderr.count("\n") == 1
    assert "space is one of" in run.stderr
