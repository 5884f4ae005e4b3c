"""The doctor reads the signs right, on machines made of files and fakes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ftax_model.collection import doctor


def machine(root: Path, **files: str) -> Path:
    """A root with the given files, named by their last parts."""
    places = {
        "governor": "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "no_turbo": "sys/devices/system/cpu/intel_pstate/no_turbo",
        "boost": "sys/devices/system/cpu/cpufreq/boost",
        "quota": "sys/fs/cgroup/cpu.max",
    }
    for name, text in files.items():
        file = root / places[name]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


def test_an_unreadable_machine_is_unknown_not_good(tmp_path: Path) -> None:
    looks = (doctor.governor, doctor.turbo, doctor.siblings, doctor.cgroup)
    assert [look(tmp_path).level for look in looks] == ["unknown"] * 4


@pytest.mark.parametrize(("text", "level"), [("performance", "good"), ("powersave", "warning")])
def test_governor(tmp_path: Path, text: str, level: str) -> None:
    assert doctor.governor(machine(tmp_path, governor=text)).level == level


@pytest.mark.parametrize(
    ("name", "text", "level"),
    [("no_turbo", "1", "good"), ("no_turbo", "0", "warning"), ("boost", "0", "good"), ("boost", "1", "warning")],
)
def test_turbo(tmp_path: Path, name: str, text: str, level: str) -> None:
    finding = doctor.turbo(machine(tmp_path, **{name: text}))
    assert finding.level == level
    assert (name in finding.do) == (level != "good")


@pytest.mark.parametrize(
    ("text", "level"), [("max 100000", "good"), ("50000 100000", "bad"), ("99900000 100000", "good")]
)
def test_cgroup(tmp_path: Path, text: str, level: str) -> None:
    assert doctor.cgroup(machine(tmp_path, quota=text)).level == level


def test_siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, text in enumerate(["0,4", "1", "2-3", "2-3"]):
        file = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert doctor.siblings(tmp_path).level == "good"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    finding = doctor.siblings(tmp_path)
    assert finding.level == "warning"
    assert "2 usable CPUs" in finding.saw


def test_threads_in_the_environment() -> None:
    assert doctor.threads({"HOME": "/"}).level == "good"
    finding = doctor.threads({"OMP_NUM_THREADS": "3"})
    assert finding.level == "warning"
    assert "unset OMP_NUM_THREADS" in finding.do


def test_timer_steps() -> None:
    fine = itertools.count()
    assert doctor.timer(lambda: next(fine) * 1e-8).level == "good"
    coarse = itertools.count()
    assert doctor.timer(lambda: next(coarse) // 3 * 1e-2).level == "warning"


@pytest.mark.parametrize(("rate", "level"), [(1.0, "good"), (1.01, "bad"), (0.99, "bad")])
def test_clock_drift(rate: float, level: str) -> None:
    now = itertools.count()
    last = [0.0]

    def reference() -> float:
        last[0] = next(now) * 1e-4
        return last[0]

    assert doctor.drift(lambda: last[0] * rate, reference).level == level


@pytest.mark.parametrize(
    ("difference", "level"), [(0.01, "good"), (0.05, "warning"), (0.5, "bad"), (float("nan"), "unknown")]
)
def test_floor(difference: float, level: str) -> None:
    assert doctor.floor(difference).level == level


def test_gpu(monkeypatch: pytest.MonkeyPatch, fake_nvml: Any) -> None:
    busy = [SimpleNamespace(pid=os.getpid())]
    fake_nvml.installed(monkeypatch, ComputeRunningProcesses=busy, CurrentClocksEventReasons=0b11)
    assert [finding.level for finding in doctor.gpu()] == ["good"] * 3
    others = [SimpleNamespace(pid=pid) for pid in (7, 8)]
    nvml = fake_nvml.installed(
        monkeypatch, PersistenceMode=0, ComputeRunningProcesses=others, CurrentClocksEventReasons=0b100100
    )
    persistence, neighbours, throttling = doctor.gpu()
    assert [finding.level for finding in (persistence, neighbours, throttling)] == ["warning", "bad", "warning"]
    assert (neighbours.saw, neighbours.do) == ("2 other processes", "stop them: 7 8")
    assert throttling.saw == "power-cap, thermal-slowdown"
    assert nvml.open == 0


def test_gpu_that_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch, fake_nvml: Any) -> None:
    mute = fake_nvml.FakeNvml.NOT_SUPPORTED
    names = ("PersistenceMode", "ComputeRunningProcesses", "CurrentClocksEventReasons")
    fake_nvml.installed(monkeypatch, **dict.fromkeys(names, mute))
    assert [finding.level for finding in doctor.gpu()] == ["unknown"] * 3


def test_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, fake_nvml: Any) -> None:
    fake_nvml.installed(monkeypatch).lose()
    (finding,) = doctor.gpu()
    assert (finding.level, finding.saw) == ("bad", "none found (NVML: GPU is lost)")


def test_the_worst_finding_speaks_for_all() -> None:
    findings = [doctor.Finding("a", level, "") for level in ("good", "bad", "warning")]
    assert doctor.worst(findings) == "bad"
    assert doctor.worst([]) == "good"


def test_examine_here() -> None:
    names = [finding.name for finding in doctor.examine()]
    assert len(names) == len(set(names)) == 8
