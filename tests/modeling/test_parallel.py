"""Fitting and judging go through the backend of joblib that is active, and give the same on each of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from joblib import delayed
from joblib.parallel import ThreadingBackend

from ftax_model import LatencyPredictor, Workload, architectures
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.dataset import load_dataset
from ftax_model.modeling import predictor, rows
from ftax_model.modeling.estimators import crossover
from ftax_model.modeling.judging import evaluation, machines, regimes
from ftax_model.modeling.parallel import in_parallel
from ftax_model.progress import heard
from ftax_model.tracing.trace import trace_workload
from ftax_model.workload import grid

ROOT = Path(__file__).resolve().parents[2]


class Counting(ThreadingBackend):  # type: ignore[misc]
    """Threads that note what they are given, and how many of them there are to be."""

    tasks: list[str]
    workers: set[int]

    def configure(self, n_jobs: int = 1, **options: Any) -> Any:
        self.workers.add(n_jobs)
        return super().configure(n_jobs, **options)

    def submit(self, func: Any, callback: Any = None) -> Any:
        self._note(func)
        return super().submit(func, callback)

    def apply_async(self, func: Any, callback: Any = None) -> Any:
        """What `submit` is called in joblib before 1.5."""
        self._note(func)
        return super().apply_async(func, callback)

    def _note(self, batch: Any) -> None:
        self.tasks += [function.__name__ for function, _, _ in batch.items]


@pytest.fixture
def counting() -> Iterator[type[Counting]]:
    """The backend ``counting``, which has seen nothing yet."""
    Counting.tasks, Counting.workers = [], set()
    joblib.register_parallel_backend("counting", Counting)
    yield Counting
    del joblib.parallel.BACKENDS["counting"]


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows there are, they are shared out."""
    for module, name in ((predictor, "MANY"), (rows, "_FEW"), (crossover, "_FEW"), (regimes, "_MANY")):
        monkeypatch.setattr(module, name, 0)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A toy measured on two machines."""
    out = tmp_path_factory.mktemp("parallel") / "toy.jsonl"
    workloads = tuple(grid("toy", num_layers=[2, 4, 8, 16], width=[8, 64], batch_size=[1, 4, 16, 64]))
    collect(Plan("x", (Grid(workloads, ("fake",)),)), out, isolate=False)
    own = load_dataset(out).drop(columns="key")
    return pd.concat([own.assign(device=name) for name in ("one", "other")], ignore_index=True)


@pytest.mark.slow
def test_evaluating_goes_through_the_active_backend(
    table: pd.DataFrame, counting: type[Counting], any_number: None
) -> None:
    alone = evaluation.evaluate(table, splits=["model"], jobs=1)
    assert counting.tasks == []
    with joblib.parallel_config(backend="counting", n_jobs=3):
        found = evaluation.evaluate(table, splits=["model"])
        crossings = evaluation.crossovers(found)
    assert counting.workers == {3}
    assert {"_columns", "predict_left_out", "_compared"} <= set(counting.tasks)
    pd.testing.assert_frame_equal(found, alone, check_exact=True)
    pd.testing.assert_frame_equal(crossings, evaluation.crossovers(alone, jobs=1), check_exact=True)


@pytest.mark.slow
def test_fitting_goes_through_the_active_backend(
    table: pd.DataFrame, counting: type[Counting], any_number: None, tmp_path: Path
) -> None:
    for name, jobs in (("shared", None), ("alone", 1)):
        counting.tasks.clear()
        with joblib.parallel_config(backend="counting", n_jobs=2):
            LatencyPredictor(jobs=jobs).fit(table).save(tmp_path / name)
        assert ("predict_left_out" in counting.tasks) == (jobs is None)  # who says one works here
    assert (tmp_path / "shared").read_bytes() == (tmp_path / "alone").read_bytes()


@pytest.mark.slow
def test_judging_new_machines_and_regimes_goes_through_the_active_backend(
    table: pd.DataFrame, counting: type[Counting], any_number: None
) -> None:
    with joblib.parallel_config(backend="counting", n_jobs=2):
        machines.judge(rows.with_operators(table), counts=(0, 8), draws=1)
        regimes.sweeps(table)
    assert {"_calibrated", "_sweep"} <= set(counting.tasks)


@pytest.mark.slow
def test_threads_give_what_one_process_gives(table: pd.DataFrame, any_number: None) -> None:
    with joblib.parallel_config(backend="threading", n_jobs=2):
        found = evaluation.evaluate(table, splits=["model"])
    pd.testing.assert_frame_equal(found, evaluation.evaluate(table, splits=["model"], jobs=1), check_exact=True)


def test_as_many_as_are_asked_for_or_configured_or_one_a_core(counting: type[Counting]) -> None:
    calls = [delayed(abs)(number) for number in (-2, -1, 0)]
    for configured, jobs, workers in ((2, None, 2), (2, 4, 4), (None, None, -1), (1, None, 1)):
        counting.workers.clear()
        with joblib.parallel_config(backend="counting", **({"n_jobs": configured} if configured else {})):
            assert in_parallel(calls, jobs=jobs) == [2, 1, 0]
        assert counting.workers == {workers}


def test_threads_take_turns_to_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch and transformers are changed for the whole process while a model is built: counts of others were wrong."""
    alone, bert = threading.Lock(), architectures.load("bert")
    build = bert.build

    def watched(workload: Workload) -> Any:
        assert alone.acquire(blocking=False), "another thread is building"
        try:
            return build(workload)
        finally:
            alone.release()

    asked = [architectures.complete(Workload("bert", {"num_layers": layers})) for layers in (1, 2, 3, 4)]
    trace_workload.cache_clear()
    with monkeypatch.context() as patch, ThreadPoolExecutor(4) as threads:
        patch.setattr(bert, "build", watched)
        found = [*threads.map(trace_workload, asked)]
    trace_workload.cache_clear()
    assert found == [trace_workload(one) for one in asked]


@pytest.mark.heavy
def test_ray_gives_what_processes_here_give(tmp_path: Path) -> None:
    """The program that the page on large datasets shows, with and without Ray."""
    pytest.importorskip("ray", reason="ray is not installed")
    page = (ROOT / "docs/how-to/large.md").read_text(encoding="utf-8")
    shown = re.search(r'^```python title="on_ray\.py"\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    assert shown
    local = 'ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)'
    program = shown[1].replace("ray.init()", local)
    assert program != shown[1]
    told = ["key", "predicted_s", "low_s", "high_s", "regime"]
    program += f'import json; json.dump(found[{told}].to_dict("list"), open("ray.json", "w"))\n'
    (tmp_path / "on_ray.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "on_ray.py"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    own = load_dataset("amd-epyc-genoa-2core", where={"framework": "onnxruntime"})
    with joblib.parallel_config(backend="loky", n_jobs=2):
        here = evaluation.evaluate(own, splits=["model"])
    assert json.loads((tmp_path / "ray.json").read_text()) == here[told].to_dict("list")


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_parts_are_told_as_they_are_done(backend: str) -> None:
    told: list[tuple[int, int]] = []
    with joblib.parallel_config(backend=backend, n_jobs=2), heard(lambda done, total: told.append((done, total))):
        assert in_parallel(delayed(abs)(one) for one in (-1, 2)) == [1, 2]
        assert in_parallel([delayed(abs)(-3)]) == [3]
    assert told == [(0, 2), (1, 2), (2, 2), (2, 3), (3, 3)]


def test_fitting_tells_how_far_it_is(table: pd.DataFrame) -> None:
    told: list[tuple[int, int]] = []
    with heard(lambda done, total: told.append((done, total))):
        LatencyPredictor(jobs=1).fit(table)
    assert told[-1][0] == told[-1][1] > 1
