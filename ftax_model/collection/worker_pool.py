"""Worker pool: who measures a cell, this process or workers that may crash, hang or be stopped at any time."""

from __future__ import annotations

import functools
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
from ftax_model.collection.worker import R, Setup
from ftax_model.device import Device, lost
from ftax_model.errors import MissingError
from ftax_model.measurement import Cell, Measurement, Profile, Record

ENTRY = "from ftax_model.collection.worker import main; main()"
"""What a worker server runs, in a fresh interpreter with this one's import path."""

START_S = 300.0
"""Seconds that a worker server may take to import what it preloads."""

FORKABLE = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
"""Environment of a server whose workers may use the GPU: torch then asks NVML whether there is one. Importing Inductor
asks, and asking CUDA itself would keep every process forked afterwards from the GPU."""

SERVERS = 3
"""Worker servers that are kept at a time; an idle one costs memory alone."""


class Stop(Exception):  # noqa: N818 - it is no error
    """The run ends before its last cell; its text says what stopped it."""


class WorkerPool(Protocol):
    """What measures cells; entered around all of them.

    A cell that fails because its device is gone (a GPU that fell off the bus, or was taken away) has no record: every
    cell behind it would fail as well, and another run measures them all once the device is back.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """The measurement of a cell, whatever became of it; raises `Stop` where the run must end first."""

    def profile(self, cell: Cell) -> Profile:
        """The profile of a cell, likewise; no process that profiles has timed anything for a dataset."""


class Interrupts:
    """Turns the first SIGINT or SIGTERM into a name, and makes its file readable; a second one acts as usual.

    A context manager. Signals reach the main thread alone, and elsewhere this does nothing; with other ``signals``, it
    is those.
    """

    def __init__(self, signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self.name = ""
        self._signals = tuple(signals)
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        self._readable, self._writable = os.pipe()
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
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
        self._device = setup.device
        self._interrupts = interrupts

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self._bench.__exit__(*error)

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """As `WorkerPool` says; a signal is heeded between cells."""
        self._heed()
        return _kept(self._bench.attempt(cell, features=features), self._device)

    def profile(self, cell: Cell) -> Profile:
        """As `WorkerPool` says, but for the process: there is only this one."""
        self._heed()
        return _kept(self._bench.attempt_profile(cell), self._device)

    def _heed(self) -> None:
        if self._interrupts.name:
            raise Stop(self._interrupts.name)


class Server:
    """A worker server of `ftax_model.collection.worker`, in a fresh interpreter that has imported what workers need.

    Workers are forked one at a time. Raises `MissingError` where it cannot start.
    """

    def __init__(self, setup: Setup, preload: Iterable[str], interrupts: Interrupts, deadline: float) -> None:
        self._interrupts = interrupts
        self._deadline = deadline
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when killed
        self._heard_bytes = 0
        code = f"import sys; sys.path[:] = {sys.path!r}; {ENTRY}"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, **FORKABLE},
                pass_fds=[theirs.fileno()],
                process_group=0,  # a Ctrl-C at the terminal is the runner's alone
            )
        try:
            self._get_ready(setup, preload)
        except BaseException:
            self.kill()
            raise

    def fork(self) -> None:
        """Begin a worker."""
        self._heard_bytes = self._log_bytes()
        self.send({"fork": True})

    def send(self, message: Mapping[str, Any]) -> None:
        """Put a message before whoever listens, worker or server; where both are dead, receiving will tell."""
        with suppress(ConnectionError):
            worker.send(self._channel, message)

    def receive(self, limit_s: float) -> dict[str, Any] | None:
        """The next message, or ``None`` where none came in time; that of a dead server is its ``exit`` code.

        Raises `Stop` when a signal or the deadline comes first.
        """
        end = time.monotonic() + limit_s
        files = [self._channel.fileno(), self._interrupts.fileno()]
        while True:
            left_s = min(end, self._deadline) - time.monotonic()
            ready, _, _ = select.select(files, [], [], max(left_s, 0.0))
            if self._interrupts.fileno() in ready:
                raise Stop(self._interrupts.name)
            if ready:
                return worker.receive(self._channel) or {"exit": self._exit_code()}
            if time.monotonic() >= self._deadline:
                raise Stop("budget")
            if time.monotonic() >= end:
                return None

    def last_words(self) -> str:
        """What the worker printed last, behind a colon."""
        self._log.seek(max(self._heard_bytes, self._log_bytes() - 10_000))
        lines = self._log.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {said}" if said else ""

    @property
    def alive(self) -> bool:
        """Whether the server can fork another worker."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the server and everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()
        self._log.close()

    def _get_ready(self, setup: Setup, preload: Iterable[str]) -> None:
        self.send({"setup": setup.to_record(), "preload": list(preload)})
        message = self.receive(START_S)
        if message is None or "ready" not in message:
            why = f"none{self.last_words()}" if message else f"none within {START_S:g} s"
            raise MissingError("measuring needs a worker process", why, "see that this Python imports ftax_model")

    def _exit_code(self) -> int:
        """Of a server that has closed its end."""
        try:
            return self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _log_bytes(self) -> int:
        return os.fstat(self._log.fileno()).st_size


class Isolated:
    """Measures in workers, one process for each group, and profiles in others, all forked by a server.

    A cell that fails ends its worker, and the rest of its group goes on in a fresh one. A cell that takes longer than
    the limit ends the server, a signal and the deadline end all. Every repeat has a server of its own, another address
    space; the few that were used last are kept.
    """

    def __init__(self, setup: Setup, preload: Iterable[str], interrupts: Interrupts, deadline: float) -> None:
        self._setup = setup
        self._start = functools.partial(Server, setup, list(preload), interrupts, deadline)
        self._servers: dict[int, Server] = {}
        self._group: tuple[type[Record], Cell] | None = None
        self._server: Server | None = None

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers.values():
            server.kill()
        self._servers.clear()

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None) -> Measurement:
        """As `WorkerPool` says."""
        known = dict(features) if features else None
        return _kept(self._record(Measurement, cell, features=known), self._setup.device)

    def profile(self, cell: Cell) -> Profile:
        """As `WorkerPool` says."""
        return _kept(self._record(Profile, cell), self._setup.device)

    def _record(self, kind: type[R], cell: Cell, **known: Any) -> R:
        server = self._opened(kind, cell)
        kills_before = _oom_kills()
        limit_s = self._setup.protocol.limit_s
        server.send({"kind": kind.__name__, "cell": cell.to_record(), **known})
        message = server.receive(limit_s)
        if message is None:
            self._drop(server)
            return worker.failed(kind, cell, "timeout", f"took longer than {limit_s:g} s")
        if "record" in message:
            if message["last"]:
                self._close()
            return kind.from_record(message["record"])
        out_of_memory = message["exit"] == -signal.SIGKILL and _oom_kills() > kills_before
        reason = f"{_death(message['exit'])}{server.last_words()}"
        self._group = None
        if not server.alive:
            self._drop(server)
        return worker.failed(kind, cell, "out-of-memory" if out_of_memory else "crashed", reason)

    def _opened(self, kind: type[Record], cell: Cell) -> Server:
        """A server with a worker for this kind of record of the cell's group."""
        if self._server is not None and self._group == (kind, group(cell)):
            return self._server
        self._close()
        server = self._servers.pop(cell.repeat, None)
        if server is None:
            if len(self._servers) == SERVERS:
                self._drop(next(iter(self._servers.values())))
            server = self._start()
        self._servers[cell.repeat] = server
        server.fork()
        self._server, self._group = server, (kind, group(cell))
        return server

    def _close(self) -> None:
        """Let the worker end, and see that it does."""
        if self._server is not None and self._group is not None:
            self._server.send({"close": True})
            message = self._server.receive(self._setup.protocol.limit_s)
            if message is None or not self._server.alive:
                self._drop(self._server)
        self._group = None

    def _drop(self, server: Server) -> None:
        server.kill()
        self._servers = {repeat: one for repeat, one in self._servers.items() if one is not server}
        if self._server is server:
            self._server = self._group = None


def _kept(record: R, device: Device) -> R:
    """The record; raises `Stop` where it failed for want of its device, which is no failure of the cell."""
    if record.status != "ok" and (why := worker.gone(record.reason) or lost(device)):
        raise Stop(f"a lost device ({why})")
    return record


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
