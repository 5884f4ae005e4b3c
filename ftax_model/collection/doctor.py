"""Doctor: whether this machine can be trusted to measure, and what to do about each finding."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftax_model.collection.gpu import Gpu
from ftax_model.device import nvml
from ftax_model.errors import MissingError

LEVELS = ("good", "unknown", "warning", "bad")

BUSY = 0.1
"""Share of all cores in use from which a machine counts as busy; from thrice that on it cannot measure."""
COARSE_S = 1e-6
"""Steps of the clock, in seconds, above which it is coarse."""
DRIFT = 1e-3
"""Relative difference from the hardware clock above which ours drifts."""
WIDE_FLOOR = 0.03
"""Relative difference between fresh processes above which a machine does not repeat itself."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its ``level``, what was seen, and what to do about it (empty where all is well)."""

    name: str
    level: str
    saw: str
    do: str = ""


def examine(*, device: str = "cpu", root: Path = Path("/")) -> list[Finding]:
    """Look at everything that spoils measurements on this machine, without measuring any.

    ``device`` cuda looks at the GPU too; ``root`` is where ``sys`` is found.
    """
    findings = [
        governor(root),
        turbo(root),
        siblings(root),
        cgroup(root),
        threads(os.environ),
        load(),
        timer(),
        drift(),
    ]
    findings += gpu() if device == "cuda" else []
    return findings


def worst(findings: Iterable[Finding]) -> str:
    """The worst level among the findings."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="good")


def governor(root: Path) -> Finding:
    """Whether the CPU's frequency follows the load."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    found = sorted({text for file in files if (text := _read(file))})
    if not found:
        return Finding("governor", "unknown", "the kernel does not tell (usual in a virtual machine)")
    if found == ["performance"]:
        return Finding("governor", "good", "performance")
    cure = "sudo cpupower frequency-set --governor performance"
    return Finding("governor", "warning", f"{', '.join(found)}: small models are timed at a low frequency", cure)


def turbo(root: Path) -> Finding:
    """Whether the CPU may boost, so that its speed depends on heat and neighbours."""
    intel = _read(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _read(root / "sys/devices/system/cpu/cpufreq/boost")
    if intel is None and boost is None:
        return Finding("turbo", "unknown", "the kernel does not tell (usual in a virtual machine)")
    if intel == "1" or boost == "0":
        return Finding("turbo", "good", "off")
    file = "intel_pstate/no_turbo" if intel is not None else "cpufreq/boost"
    off = 1 if intel is not None else 0
    cure = f"for steady numbers write {off} to /sys/devices/system/cpu/{file}; leave it on for real ones"
    return Finding("turbo", "warning", "on: speed varies with heat and with what the other cores do", cure)


def siblings(root: Path) -> Finding:
    """Whether two of the usable CPUs share a core."""
    shared = []
    for cpu in sorted(os.sched_getaffinity(0)):
        text = _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        if text is None:
            return Finding("hyper-threads", "unknown", "the kernel does not tell")
        if len(_cpus(text) & os.sched_getaffinity(0)) > 1:
            shared.append(cpu)
    if not shared:
        return Finding("hyper-threads", "good", "every usable CPU is a core of its own")
    cure = "keep to one CPU a core: taskset --cpu-list 0,2,... ftax collect ..."
    return Finding("hyper-threads", "warning", f"{len(shared)} usable CPUs share cores in pairs", cure)


def cgroup(root: Path) -> Finding:
    """Whether a container takes the CPU away now and then."""
    quota = _read(root / "sys/fs/cgroup/cpu.max")
    if quota is None:
        return Finding("cgroup", "unknown", "no cgroup v2 limits to read")
    limit, _, period = quota.partition(" ")
    if limit == "max":
        return Finding("cgroup", "good", "no CPU quota")
    share = float(limit) / float(period or 100_000)
    cores = len(os.sched_getaffinity(0))
    if share >= cores:
        return Finding("cgroup", "good", f"a quota of {share:g} CPUs for {cores}")
    cure = "raise the quota, or pin CPUs (docker: --cpuset-cpus in place of --cpus)"
    return Finding("cgroup", "bad", f"a quota of {share:g} CPUs for {cores}: the process is halted in mid-run", cure)


def threads(environment: Any) -> Finding:
    """Whether variables in the environment set thread counts behind our back."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
    found = [f"{name}={environment[name]}" for name in names if name in environment]
    if not found:
        return Finding("threads", "good", "nothing in the environment sets them")
    cure = f"unset {' '.join(name for name in names if name in environment)}; a plan's thread count is what counts"
    return Finding("threads", "warning", ", ".join(found), cure)


def load() -> Finding:
    """Share of all cores that others use now."""
    import psutil

    share = psutil.cpu_percent(interval=0.5) / 100
    saw = f"{100 * share:.0f} % of all cores in use"
    if share < BUSY:
        return Finding("load", "good", saw)
    busiest = max(psutil.process_iter(["name", "cpu_times"]), key=_used, default=None)
    cure = f"stop what runs (most CPU time so far: {busiest.info['name'] if busiest else 'not known'})"
    return Finding("load", "bad" if share > 3 * BUSY else "warning", saw, cure)


def timer(clock: Callable[[], float] = time.perf_counter) -> Finding:
    """The smallest step of the clock."""
    steps = []
    for _ in range(100):
        begin = now = clock()
        while now == begin:
            now = clock()
        steps.append(now - begin)
    step = statistics.median(steps)
    saw = f"steps of {1e9 * step:.0f} ns"
    if step <= COARSE_S:
        return Finding("timer", "good", saw)
    cure = "boot with clocksource=tsc where the CPU has a stable one"
    return Finding("timer", "warning", f"{saw}: short calls are measured in longer blocks", cure)


def drift(
    clock: Callable[[], float] = time.perf_counter,
    reference: Callable[[], float] = lambda: time.clock_gettime(
        getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
    ),
    *,
    window_s: float = 0.2,
) -> Finding:
    """Whether the clock runs at the speed of the hardware's own, which no time server adjusts."""
    begin, own = reference(), clock()
    while reference() - begin < window_s:
        pass
    span, seen = reference() - begin, clock() - own
    off = seen / span - 1
    saw = f"{1e6 * off:+.0f} parts per million against the hardware clock"
    if abs(off) <= DRIFT:
        return Finding("clock drift", "good", saw)
    return Finding("clock drift", "bad", saw, "check the time server's settings and the virtual machine's clock source")


def gpu() -> list[Finding]:
    """Persistence, neighbours and throttling of the GPU that CUDA sees first; one finding where there is none."""
    try:
        with nvml() as (library, handle):
            seen = Gpu(library, handle)
            return [_persistence(library, handle), _neighbours(seen), _throttled(seen)]
    except MissingError as error:
        return [Finding("gpu", "bad", f"none found ({error.got})", error.do)]


def floor(difference: float) -> Finding:
    """Whether sentinel cells measured in fresh processes agree; nan where none was measured twice."""
    if math.isnan(difference):
        return Finding("repeatability", "unknown", "no sentinel cell was measured twice")
    saw = f"sentinel cells differ by {100 * difference:.1f} % between fresh processes"
    if difference <= WIDE_FLOOR:
        return Finding("repeatability", "good", saw)
    cure = "mend the findings above, or read every difference below that as noise (use repeats in the plan)"
    return Finding("repeatability", "bad" if difference > 3 * WIDE_FLOOR else "warning", saw, cure)


def _persistence(library: Any, handle: Any) -> Finding:
    try:
        on = library.nvmlDeviceGetPersistenceMode(handle)
    except library.NVMLError as error:
        return Finding("gpu persistence", "unknown", str(error))
    if on:
        return Finding("gpu persistence", "good", "on")
    return Finding("gpu persistence", "warning", "off: the driver unloads between runs", "sudo nvidia-smi -pm 1")


def _neighbours(seen: Gpu) -> Finding:
    others = seen.neighbours(ours=False)
    if others is None:
        return Finding("gpu neighbours", "unknown", "the driver does not tell")
    if not others:
        return Finding("gpu neighbours", "good", "no other process")
    cure = f"stop them: {' '.join(map(str, others))}"
    return Finding("gpu neighbours", "bad", f"{len(others)} other processes", cure)


def _throttled(seen: Gpu) -> Finding:
    reasons = seen.throttled()
    if reasons is None:
        return Finding("gpu throttling", "unknown", "the driver does not tell")
    if not reasons:
        return Finding("gpu throttling", "good", "none now")
    return Finding("gpu throttling", "warning", ", ".join(reasons), "let it cool, or raise the power limit")


def _used(process: Any) -> float:
    times = process.info["cpu_times"]
    return float(times.user + times.system) if times else 0.0


def _cpus(text: str) -> set[int]:
    """``0-3,8`` as a set."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
