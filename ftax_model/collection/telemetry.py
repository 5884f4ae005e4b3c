"""Telemetry: what the machine did before and during a measurement: foreign load and memory."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

SHORTEST_S = 0.1
"""The kernel counts CPU time in hundredths of a second: over a shorter stretch the load is not known."""

_REFERENCES = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class ForeignLoad:
    """The share of the machine's CPU time that others used since the last look, a hypervisor's theft included.

    A look too soon behind the last one looks back over both stretches.
    """

    def __init__(self) -> None:
        self._marks = [self._now()]

    def share(self) -> float | None:
        """From 0 to 1; ``None`` where too little time has passed to tell."""
        now = self._now()
        before = next((mark for mark in reversed(self._marks) if now[0] - mark[0] >= SHORTEST_S), None)
        self._marks = [*self._marks[-8:], now]
        if before is None:
            return None
        elapsed, busy, own = (late - early for late, early in zip(now, before, strict=True))
        return round(min(max((busy - own) / (elapsed * (psutil.cpu_count() or 1)), 0.0), 1.0), 3)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds by the wall, of CPU time spent by all, and of CPU time spent by this process."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return time.monotonic(), sum(times) - idle - counted_twice, time.process_time()


class PeakMemory:
    """The most memory this process held since `reset`: on a GPU what torch had of it, else the resident set."""

    def __init__(self, *, cuda: bool) -> None:
        self._cuda = cuda

    def reset(self) -> None:
        """Begin anew, where the kernel lets us; else the most memory is that since the process began."""
        if not self._cuda:
            with suppress(OSError):
                _REFERENCES.write_text("5", encoding="ascii")
        elif torch := _torch_on_gpu():
            torch.cuda.reset_peak_memory_stats()

    def read_bytes(self) -> int | None:
        """Bytes since the last `reset`; ``None`` where the kernel does not tell, or torch uses no GPU."""
        if self._cuda:
            torch = _torch_on_gpu()
            return int(torch.cuda.max_memory_allocated()) if torch else None
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii")) if _STATUS.exists() else None
        return int(found[1]) * 1024 if found else None


def _torch_on_gpu() -> Any | None:
    """Torch, where it has been imported and uses the GPU."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None
