"""Crew: who measures a cell, this process or workers that may crash, hang or be stopped at any time."""

from __future__ import annotations

import dataclasses
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Self

from ftax_model.collection import worker
from ftax_model.collection.plan import group
from ftax_model.collection.worker import Setup
from ftax_model.errors import MissingError
from ftax_model.measurement import Cell, Measurement

ENTRY = "from ftax_model.collection.worker import main; main()"
"""What a worker server runs, in a fresh interpreter with this one's import path."""

START_S = 300.0
"""Seconds that a worker server may take to import what it preloads."""


class Stop(Exception):  # noqa: N818 - it is no error
    """The run ends before its last cell; its text says what stopped it."""


class Crew(Protocol):
    """What measures cells; entered around all of them."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """The measurement of a cell, whatever became of it; raises `Stop` where the run must end first."""


class Interrupts:
    """Turns the first SIGINT or SIGTERM into a name, and makes its file readable; a second one acts as usual.

    A context manager. Signals reach the main thread alone, and elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        self._readable, self._writable = os.pipe()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()
        os.close(self._readable)
        os.close(self._writable)

    def fileno(self) -> int:
        """A file that can be read once a signal came."""
        return self._readable

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        os.write(self._writable, b".")
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())


class InProcess:
    """Measures in this very process."""

    def __init__(self, setup: Setup, interrupts: Interrupts) -> None:
        self._bench = worker.Bench(setup)
        self._interrupts = interrupts

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._bench.__exit__(*error)

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """As `Crew` says; a signal is heeded between cells."""
        if self._interrupts.name:
            raise Stop(self._interrupts.name)
        return self._bench.attempt(cell, features=features)


class Isolated:
    """Measures in workers, one process for each group, forked by a server that has imported all they need.

    A cell that fails ends its worker, and the rest of its group goes on in a fresh one. A cell that takes longer than
    the limit, a signal and the deadline end the server with everything in it. A repeat of a group that the server has
    seen gets a server of its own: another address space.
    """

    def __init__(self, setup: Setup, preload: Iterable[str], interrupts: Interrupts, deadline: float) -> None:
        self._setup = setup
        self._preload = list(preload)
        self._interrupts = interrupts
        self._deadline = deadline
        self._server: subprocess.Popen[bytes] | None = None
        self._served: dict[Cell, int] = {}
        self._group: Cell | None = None

    def __enter__(self) -> Isolated:
        self._log = tempfile.TemporaryFile()
        self._log_begin = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._kill()
        self._log.close()

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """As `Crew` says."""
        self._open(cell)
        killed_before = _oom_kills()
        limit_s = self._setup.protocol.limit_s
        self._send({"cell": worker.cell_to_record(cell), "features": dict(features) if features else None})
        message = self._receive(limit_s)
        if message is None:
            self._kill()
            return worker.failed(cell, "timeout", f"took longer than {limit_s:g} s")
        if "measured" in message:
            measurement = Measurement.from_record(message["measured"])
            if measurement.status not in worker.HEALTHY:
                self._close()
            return measurement
        self._group = None
        out_of_memory = message["exit"] == -signal.SIGKILL and _oom_kills() > killed_before
        status = "out-of-memory" if out_of_memory else "crashed"
        return worker.failed(cell, status, f"{_death(message['exit'])}{self._last_words()}")

    def _open(self, cell: Cell) -> None:
        """Have a worker for the cell's group."""
        wanted = group(cell)
        if self._group == wanted:
            return
        self._close()
        first = dataclasses.replace(wanted, repeat=0)
        if self._served.get(first, cell.repeat) != cell.repeat:
            self._kill()
        if self._server is None:
            self._start()
        self._served[first] = cell.repeat
        self._log_begin = self._log_size()
        self._send({"fork": True})
        self._group = wanted

    def _close(self) -> None:
        """Let the worker end."""
        if self._group is None:
            return
        self._group = None
        self._send({"close": True})
        message = self._receive(self._setup.protocol.limit_s)
        if message is None:
            self._kill()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"import sys; sys.path[:] = {sys.path!r}; {ENTRY}"
        self._log_begin = self._log_size()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                process_group=0,  # a Ctrl-C at the terminal is the runner's alone
            )
        self._send({"setup": self._setup.to_record(), "preload": self._preload})
        message = self._receive(START_S)
        if message is None or "ready" not in message:
            self._kill()
            why = f"none{self._last_words()}" if message else f"none within {START_S:g} s"
            raise MissingError("measuring needs a worker process", why, "see that this Python imports ftax_model")

    def _kill(self) -> None:
        """End the server and everything it started."""
        if self._server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._channel.close()
        self._server = self._group = None
        self._served = {}

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(ConnectionError):  # the server is dead, which receiving will tell
            worker.send(self._channel, message)

    def _receive(self, limit_s: float) -> dict[str, Any] | None:
        """The next message, or ``None`` where none came in time; a dead server counts as a message about its exit.

        Raises `Stop` when a signal or the deadline comes first.
        """
        end = time.monotonic() + limit_s
        while True:
            left = min(end, self._deadline) - time.monotonic()
            files = [self._channel.fileno(), self._interrupts.fileno()]
            ready, _, _ = select.select(files, [], [], max(left, 0.0))
            if self._interrupts.fileno() in ready:
                self._kill()
                raise Stop(self._interrupts.name)
            if self._channel.fileno() in ready:
                message = worker.receive(self._channel)
                return message if message is not None else {"exit": self._bury()}
            if time.monotonic() >= self._deadline:
                self._kill()
                raise Stop("budget")
            if time.monotonic() >= end:
                return None

    def _bury(self) -> int:
        """The exit code of a server that has closed its end."""
        assert self._server is not None
        server = self._server
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=1.0)
        self._kill()
        return server.returncode

    def _log_size(self) -> int:
        return os.fstat(self._log.fileno()).st_size

    def _last_words(self) -> str:
        """What the worker printed last."""
        self._log.seek(max(self._log_begin, self._log_size() - 10_000))
        lines = self._log.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self._log.seek(0, os.SEEK_END)
        return f": {said}" if said else ""


def _death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"


def _oom_kills() -> int:
    """How often the kernel has killed a process for lack of memory."""
    file = Path("/proc/vmstat")
    found = re.search(r"^oom_kill (\d+)$", file.read_text(encoding="ascii"), re.MULTILINE) if file.exists() else None
    return int(found[1]) if found else 0
