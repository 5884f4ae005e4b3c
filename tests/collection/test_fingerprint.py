"""The fingerprint on machines of other cores and instructions."""

from __future__ import annotations

import psutil
import pytest

from ftax_model.collection.fingerprint import fingerprint
from ftax_model.collection.plan import Plan, load_plan
from ftax_model.device import Device
from ftax_model.errors import InputError

PLAN = load_plan("calibrate")


def machine(*, cores: int = 4, model: str = "AMD EPYC (avx512-bf16)", kind: str = "cpu") -> Device:
    return Device(name=f"here-{cores}core", kind=kind, model=model, host_cpu=model, cores=cores)


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8 if logical else 4)


def threads(plan: Plan) -> set[int]:
    return {count for grid in plan.grids for count in grid.threads}


def dtypes(plan: Plan) -> set[str]:
    return {workload.dtype for grid in plan.grids for workload in grid.workloads}


def test_it_measures_one_thread_and_all_physical_cores() -> None:
    assert threads(fingerprint(PLAN, machine())) == {1, 4}
    assert threads(fingerprint(PLAN, machine(cores=2))) == {1, 2}
    assert threads(fingerprint(PLAN, machine(cores=1))) == {1}


def test_it_measures_the_threads_asked_for() -> None:
    assert threads(fingerprint(PLAN, machine(), [2])) == {2}
    assert threads(fingerprint(PLAN, machine(), [1, 2, 3])) == {1, 2, 3}


@pytest.mark.parametrize("asked", [[0], [5], [1, 9]])
def test_more_threads_than_cores_are_refused(asked: list[int]) -> None:
    with pytest.raises(InputError, match="from 1 to the 4 cores here"):
        fingerprint(PLAN, machine(), asked)


@pytest.mark.parametrize(
    ("model", "kind", "expected"),
    [
        ("Intel Xeon (avx512, amx)", "cpu", True),
        ("AMD EPYC (avx2)", "cpu", False),
        ("Neoverse (neon, bf16)", "cpu", True),
        ("NVIDIA H100", "cuda", True),
    ],
)
def test_half_precision_where_there_are_instructions_for_it(model: str, kind: str, expected: bool) -> None:
    assert ("bfloat16" in dtypes(fingerprint(PLAN, machine(model=model, kind=kind)))) is expected


def test_the_most_telling_come_first() -> None:
    first = [workload.architecture for grid in PLAN.grids[:4] for workload in grid.workloads]
    assert {"mlp", "bert", "resnet"} <= set(first)
