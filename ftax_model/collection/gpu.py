"""GPU: what NVML tells of it while something runs (clocks, power, heat, use, what slows it down) and what that took."""

from __future__ import annotations

import math
import os
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ftax_model import device
from ftax_model.errors import MissingError

EVERY_S = 0.1
"""Seconds between two readings. One asks the driver nine questions, and waits for the answers without Python's lock."""

JOIN_S = 5.0
"""Seconds to wait for a last reading; a GPU that has fallen off the bus may never answer."""

PATIENCE = 2.0
"""Windows for which the energy counter may stand still."""

MOST_LOOKS = 100_000
"""Looks at the energy counter, at most; by then the clock stands still."""

REASONS = (
    "idle",
    "application-clocks",
    "power-cap",
    "hardware-slowdown",
    "sync-boost",
    "thermal-slowdown",
    "hardware-thermal-slowdown",
    "power-brake",
    "display-clocks",
    "board-limit",
    "reliability",
)
"""NVML's reasons for clocks below the highest, by the place of their bit (``nvmlClocksEventReason...``)."""

CHOSEN = ("idle", "application-clocks", "display-clocks")
"""Reasons that are no throttling: nothing to do, or clocks that somebody set."""


@dataclass(frozen=True)
class Reading:
    """The counters that the GPU has at one moment, in SI units; shares are from 0 to 1.

    ``throttled`` and ``neighbours`` (process ids of others) are ``None`` where the driver does not tell.
    """

    counters: dict[str, float] = field(default_factory=dict)
    throttled: tuple[str, ...] | None = None
    neighbours: tuple[int, ...] | None = None


class Gpu:
    """One GPU as NVML knows it. A counter that it does not have, or does not show to us, is left out."""

    def __init__(self, library: Any, handle: Any) -> None:
        self._nvml, self._handle = library, handle

    def read(self, *, ours: bool) -> Reading:
        """All counters now; ``ours`` says that this process uses the GPU (see `neighbours`)."""
        return Reading(dict(self._counters()), self.throttled(), self.neighbours(ours=ours))

    def driver(self) -> str | None:
        """Version of the driver."""
        try:
            return str(self._nvml.nvmlSystemGetDriverVersion())
        except self._nvml.NVMLError:
            return None

    def throttled(self) -> tuple[str, ...] | None:
        """What keeps the clocks down against our will, in words; ``None`` where the driver does not tell."""
        bits = self._ask(self._nvml.nvmlDeviceGetCurrentClocksEventReasons)
        return None if bits is None else throttling(bits)

    def neighbours(self, *, ours: bool) -> tuple[int, ...] | None:
        """Ids of other processes that compute on the GPU; ``None`` where the driver does not tell.

        In a container a process may be listed under an id that it does not know. Where this process uses the GPU and
        does not find itself, one of those listed is this one: the last is left out.
        """
        processes = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses)
        if processes is None:
            return None
        listed = sorted({process.pid for process in processes})
        others = tuple(pid for pid in listed if pid != os.getpid())
        return others[:-1] if ours and len(others) == len(listed) else others

    def energy_j(self) -> float | None:
        """Energy that the board has taken since the driver was loaded; ``None`` where it does not count."""
        millijoules = self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if millijoules is None else millijoules / 1e3

    def monitored(self) -> Any | None:
        """A sample of the performance monitors, for `busy_share`; ``None`` where there are none (before Hopper)."""
        nvml = self._nvml
        support = self._ask(nvml.nvmlGpmQueryDeviceSupport)
        if support is None or not support.isSupportedDevice:
            return None
        sample = nvml.nvmlGpmSampleAlloc()
        if self._ask(nvml.nvmlGpmSampleGet, sample) is None:
            nvml.nvmlGpmSampleFree(sample)
            return None
        return sample

    def busy_share(self, first: Any | None, last: Any | None) -> float | None:
        """Share of the multiprocessors that were busy between two samples, which it frees; ``None`` where unknown."""
        samples = [sample for sample in (first, last) if sample is not None]
        try:
            return self._busy_share(*samples) if len(samples) == 2 else None
        except self._nvml.NVMLError:
            return None
        finally:
            for sample in samples:
                self._nvml.nvmlGpmSampleFree(sample)

    def _counters(self) -> Iterable[tuple[str, float]]:
        nvml = self._nvml
        clock, temperature = nvml.nvmlDeviceGetClockInfo, nvml.nvmlDeviceGetTemperature
        used = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        asked = (
            ("sm_clock_hz", self._ask(clock, nvml.NVML_CLOCK_SM), 1e6),
            ("memory_clock_hz", self._ask(clock, nvml.NVML_CLOCK_MEM), 1e6),
            ("power_w", self._ask(nvml.nvmlDeviceGetPowerUsage), 1e-3),
            ("temperature_c", self._ask(temperature, nvml.NVML_TEMPERATURE_GPU), 1),
            ("utilization", used and used.gpu, 1e-2),
            ("memory_utilization", used and used.memory, 1e-2),
            ("memory_used_bytes", memory and memory.used, 1),
        )
        return ((name, value * unit) for name, value, unit in asked if value is not None)

    def _busy_share(self, first: Any, last: Any) -> float | None:
        nvml = self._nvml
        question = nvml.c_nvmlGpmMetricsGet_t()
        question.version, question.numMetrics = nvml.NVML_GPM_METRICS_GET_VERSION, 1
        question.sample1, question.sample2 = first, last
        question.metrics[0].metricId = nvml.NVML_GPM_METRIC_SM_UTIL
        nvml.nvmlGpmMetricsGet(question)
        answer = question.metrics[0]
        return answer.value / 100 if answer.nvmlReturn == nvml.NVML_SUCCESS and math.isfinite(answer.value) else None

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any | None:
        try:
            return function(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None


@contextmanager
def visible() -> Iterator[Gpu | None]:
    """The GPU that a CUDA program calls device 0, open while entered; ``None`` where NVML does not know one."""
    with ExitStack() as opened:
        found = None
        with suppress(MissingError):
            found = Gpu(*opened.enter_context(device.nvml()))
        yield found


def throttling(bits: int) -> tuple[str, ...]:
    """NVML's bits of reasons for low clocks in words, without the `CHOSEN` ones.

    >>> throttling(0b100101)
    ('power-cap', 'thermal-slowdown')
    """
    places = (place for place in range(bits.bit_length()) if bits >> place & 1)
    words = (REASONS[place] if place < len(REASONS) else f"reason-{place}" for place in places)
    return tuple(word for word in words if word not in CHOSEN)


@contextmanager
def watched(gpu: Gpu | None, *, every_s: float = EVERY_S) -> Iterator[dict[str, Any]]:
    """Read the counters in a thread of its own while entered; the mapping holds what they were from then on.

    ``gpu``: median, lowest and highest value of each counter, with ``sm_active``, the share of multiprocessors busy
    over all that time, and how many ``readings`` there were. ``throttled``: the share of readings with each reason.
    ``neighbours``: other processes on the GPU, at most. What is not known is left out, and without a GPU that is all.
    """
    found: dict[str, Any] = {}
    if gpu is None:
        yield found
        return
    readings: list[Reading] = []
    stop = threading.Event()

    def look() -> None:
        readings.append(gpu.read(ours=True))
        while not stop.wait(every_s):
            readings.append(gpu.read(ours=True))

    thread = threading.Thread(target=look, name="gpu-counters", daemon=True)
    first = gpu.monitored()
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        share = gpu.busy_share(first, gpu.monitored())
        thread.join(JOIN_S)
        found.update(summary(list(readings), share))


def summary(readings: Sequence[Reading], sm_active: float | None = None) -> dict[str, Any]:
    """Readings in short, as `watched` says."""
    names = dict.fromkeys(name for reading in readings for name in reading.counters)
    counters: dict[str, Any] = {}
    for name in names:
        values = [reading.counters[name] for reading in readings if name in reading.counters]
        counters[name] = [_short(value) for value in (statistics.median(values), min(values), max(values))]
    if sm_active is not None:
        counters["sm_active"] = _short(sm_active)
    found: dict[str, Any] = {"gpu": {**counters, "readings": len(readings)}} if counters else {}
    told = [reading.throttled for reading in readings if reading.throttled is not None]
    if told:
        counts = Counter(reason for reasons in told for reason in reasons)
        found["throttled"] = {reason: _short(count / len(told)) for reason, count in counts.items()}
    others = [len(reading.neighbours) for reading in readings if reading.neighbours is not None]
    if others:
        found["neighbours"] = max(others)
    return found


def energy_per_call(
    gpu: Gpu,
    call: Callable[[], object],
    *,
    synchronize: Callable[[], None],
    clock: Callable[[], float],
    calls: int,
    window_s: float,
) -> float | None:
    """Joules that the whole board takes for one call, over at least ``window_s`` of calls one after another.

    Each is synchronised, as for ``latency_s``. The counter moves in steps, tens of milliseconds apart: it is looked at
    behind every ``calls`` calls, and the window runs from one step to another. ``None`` where it does not count, or
    stands still for `PATIENCE` windows.
    """
    made, moved_at, seen = 0, clock(), gpu.energy_j()
    start: tuple[float, int, float] | None = None
    for _ in range(MOST_LOOKS if seen is not None else 0):
        for _ in range(calls):
            call()
            synchronize()
        made += calls
        before, seen, now = seen, gpu.energy_j(), clock()
        if seen is None or (seen == before and now - moved_at > PATIENCE * window_s):
            return None
        if seen == before:
            continue
        moved_at = now
        if start is None:
            start = now, made, seen
        elif now - start[0] >= window_s:
            return (seen - start[2]) / (made - start[1])
    return None


def _short(value: float) -> float:
    """To four digits, and whole where it is."""
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() else rounded
