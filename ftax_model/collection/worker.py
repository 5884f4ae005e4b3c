"""Worker: measures the cells of one group in a process of its own; a server forks one for each group.

The server is a fresh interpreter that imports what takes long (torch, transformers), starts no thread and touches no
GPU, and then forks. It talks with the runner in JSON messages over a socket that keeps messages apart, so that a worker
which dies in the middle of one spoils nothing, and whatever a library prints goes elsewhere.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import importlib
import json
import os
import re
import signal
import socket
import statistics
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ftax_model.collection import activations, environment, frameworks, operators, timing
from ftax_model.collection.builders import Builder, builder
from ftax_model.collection.device_clock import device_time
from ftax_model.collection.frameworks import Framework
from ftax_model.collection.gpu import Gpu, energy_per_call, visible, watched
from ftax_model.collection.plan import group
from ftax_model.collection.telemetry import ForeignLoad, PeakMemory
from ftax_model.collection.timing import Protocol, Timing
from ftax_model.device import Device
from ftax_model.errors import FtaxError
from ftax_model.measurement import Cell, Measurement, Profile, Record
from ftax_model.operators import Trace

R = TypeVar("R", bound=Record)

PACKET_BYTES = 1 << 16
"""What of a message is sent at a time; a measurement has some 3,000 bytes, a profile easily a hundred times that."""

FIRST, LAST = 1, 2
"""Flags in the byte that every packet begins with: where a message begins, where it ends."""

REASON_LENGTH = 300
"""Characters of a reason that are kept."""

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc", "failed to allocate memory", "_alloc_failed")
"""What errors say, in lower case, where memory of the host or of the GPU was too small."""

GONE = ("no CUDA-capable device", "No CUDA GPUs are available", "busy or unavailable", "GPU is lost", "off the bus")
"""What errors say where there is no GPU any more, or none for us."""

LOOKS = 100
"""Looks at the energy counter in one window."""

HEALTHY = ("ok", "unsupported")
"""Statuses after which a worker goes on; after any other its process is not to be trusted."""

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all cells of one collection share; ``sitting`` says when it began."""

    device: Device
    protocol: Protocol
    seed: int
    sitting: str = dataclasses.field(default_factory=lambda: _now())

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `from_record` is the way back."""
        return {
            "device": dataclasses.asdict(self.device),
            "protocol": self.protocol.to_record(),
            "seed": self.seed,
            "sitting": self.sitting,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Setup:
        """The setup that `to_record` wrote."""
        device = dict(record["device"])
        device["peak_macs"] = tuple((dtype, rate) for dtype, rate in device["peak_macs"])
        return cls(Device(**device), Protocol.from_record(record["protocol"]), record["seed"], record["sitting"])


@dataclasses.dataclass
class _Post:
    """What the cells of one group share in this process; the module is built with the first of them."""

    group: Cell
    builder: Builder
    framework: Framework
    model: Any = None
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    activations: dict[str, float] | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        return (*self.builder.preload, *self.framework.preload)


class Bench:
    """Measures one cell after another; the module is built once for all batch sizes of a group.

    A context manager: leaving it puts threads and affinity back. Once ``sound`` is false, its process should measure no
    more: a cell failed in it, or the profiler of the last one stays behind.
    """

    def __init__(self, setup: Setup) -> None:
        self.sound = True
        self._setup = setup
        self._post: _Post | None = None
        self._gpu: Gpu | None = None
        self._opened = ExitStack()
        self._settled = ExitStack()
        self._load = ForeignLoad()
        self._memory = PeakMemory(cuda=setup.device.kind == "cuda")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()
        self._opened.close()

    def attempt(self, cell: Cell, *, features: Mapping[str, float] | None = None) -> Measurement:
        """Measure a cell; whatever goes wrong in Python is a measurement with another status.

        ``features`` are those of the workload, where they are known already.
        """
        return self._guarded(Measurement, cell, lambda: self.measure(cell, features=features))

    def attempt_profile(self, cell: Cell) -> Profile:
        """Profile a cell; whatever goes wrong in Python is a profile with another status."""
        return self._guarded(Profile, cell, lambda: self.profile(cell))

    def measure(self, cell: Cell, *, features: Mapping[str, float] | None = None) -> Measurement:
        """Measure a cell, or say why it is unsupported; raises whatever building, compiling and running it raise."""
        device = self._setup.device
        reason = self._refusal(cell)
        if reason:
            return failed(Measurement, cell, "unsupported", reason)
        post = self._turn_to(cell)
        model, inputs = self._built(post, cell)
        self._memory.reset()
        features = features or _trace(cell).features()
        framework, clock = post.framework, post.framework.clock
        with framework.mode():
            begin = clock()
            call = framework.prepare(model, inputs, device)
            framework.synchronize()
            prepare_s = clock() - begin
            load_before = self._load.share()
            with watched(self._visible_gpu()) as telemetry:
                seen = timing.measure(
                    call,
                    clock=clock,
                    protocol=self._setup.protocol,
                    synchronize=framework.synchronize if device.kind == "cuda" else None,
                )
            load, peak_memory_bytes = self._load.share(), self._memory.read_bytes()
            energy_j = self._energy_j(framework, call, seen)
            device_s, device_clock = self._device_s(framework, call, seen)
        found = self._activations(post, model, inputs)
        return Measurement(
            cell,
            **dataclasses.asdict(seen),
            device_s=device_s,
            energy_j=energy_j,
            prepare_s=prepare_s if prepare_s >= 0 else None,
            peak_memory_bytes=peak_memory_bytes,
            features=features,
            telemetry=_known(**telemetry, load=load, device_clock=device_clock, activations=found),
            environment=_known(**self._environment(post), load_before=load_before),
            measured_at=_now(),
        )

    def profile(self, cell: Cell) -> Profile:
        """Profile a cell, or say why it is unsupported; raises as `measure` does."""
        device, protocol = self._setup.device, self._setup.protocol
        reason = self._refusal(cell)
        if not reason:
            reason = self._turn_to(cell).framework.supports_profile(cell.workload, device)
        if reason:
            return failed(Profile, cell, "unsupported", reason)
        post = self._turn_to(cell)
        model, inputs = self._built(post, cell)
        trace = _trace(cell)
        framework = post.framework
        with framework.mode():
            call = framework.prepare(model, inputs, device)
            call()
            framework.synchronize()
            load_before = self._load.share()
            timing.warm_up(call, framework.synchronize, framework.clock, protocol)
            seen = framework.profile(call, device, protocol)
        return Profile(
            cell,
            timings=operators.timings(trace.operators, seen.events),
            latency_s=statistics.median(seen.plain_s),
            profiled_s=statistics.median(seen.profiled_s),
            events=len(seen.events),
            calls=len(seen.profiled_s),
            environment=_known(**self._environment(post), load_before=load_before),
            measured_at=_now(),
        )

    def _guarded(self, kind: type[R], cell: Cell, look: Callable[[], R]) -> R:
        try:
            return look()
        except Exception as error:
            status, reason = verdict(error)
            if status in HEALTHY and (poison := self._poison()):
                status, reason = verdict(poison)
            self.sound = self.sound and status in HEALTHY
            self._leave()
            return failed(kind, cell, status, reason)

    def _poison(self) -> Exception | None:
        """What a device that answers no call any more answers."""
        try:
            if self._post is not None:
                self._post.framework.synchronize()
        except Exception as error:
            return error
        return None

    def _visible_gpu(self) -> Gpu | None:
        """The GPU that is measured on, as NVML sees it; ``None`` where there is none, or no NVML."""
        if self._gpu is None and self._setup.device.kind == "cuda":
            self._gpu = self._opened.enter_context(visible())
        return self._gpu

    def _energy_j(self, framework: Framework, call: Callable[[], object], seen: Timing) -> float | None:
        window_s = self._setup.protocol.energy_s
        gpu = self._visible_gpu()
        if gpu is None or not window_s:
            return None
        calls = max(round(window_s / LOOKS / seen.latency_s), 1)
        return energy_per_call(
            gpu, call, synchronize=framework.synchronize, clock=framework.clock, calls=calls, window_s=window_s
        )

    def _device_s(
        self, framework: Framework, call: Callable[[], object], seen: Timing
    ) -> tuple[float | None, str | None]:
        """Seconds of the device clock, and how they were found or why not; the cell is good without them."""
        if self._setup.device.kind != "cuda":
            return None, None
        try:
            found = device_time(framework, call, seen=seen, protocol=self._setup.protocol)
        except Exception as error:
            self.sound = False
            return None, f"failed: {_line(verdict(error)[1])}"
        if found is None:
            return None, None
        self.sound = self.sound and not found.marked
        return found.seconds, found.way

    def _activations(self, post: _Post, model: Any, inputs: Mapping[str, Any]) -> dict[str, float] | None:
        """What `activations.shares` says of the first cell of a group, after it was timed; the cell is good without."""
        if post.activations is None and post.builder.form == "module":
            try:
                post.activations = activations.shares(model, inputs)
            except Exception:
                self.sound = False
        return post.activations

    def _refusal(self, cell: Cell) -> str | None:
        """Why the cell cannot be measured here, if so."""
        device = self._setup.device
        if cell.threads > device.cores:
            return f"{cell.threads} threads on {device.cores} cores"
        return self._turn_to(cell).framework.supports(cell.workload, device)

    def _turn_to(self, cell: Cell) -> _Post:
        """The post of the cell's group, with its platform settled."""
        if self._post is None or self._post.group != group(cell):
            self._leave()
            post = _Post(group(cell), builder(cell.workload), frameworks.load(cell.framework))
            self._settled.enter_context(
                environment.settled(
                    threads=cell.threads, device=self._setup.device, seed=self._setup.seed, modules=post.modules
                )
            )
            self._post = post
        return self._post

    def _built(self, post: _Post, cell: Cell) -> tuple[Any, dict[str, Any]]:
        with _made_on(self._setup.device, post.builder):
            inputs = None if post.model is None else post.builder.inputs_for(post.model, cell.workload)
            if inputs is None:
                post.model, inputs = post.builder.build(cell.workload)
            return post.model, inputs

    def _environment(self, post: _Post) -> dict[str, Any]:
        if not post.environment:
            gpu = self._visible_gpu()
            post.environment = {
                "framework_version": post.framework.version(),
                "driver": gpu.driver() if gpu else None,
                "sitting": self._setup.sitting,
                **environment.describe(
                    device=self._setup.device,
                    dtype=post.group.workload.dtype,
                    threads=post.group.threads,
                    modules=post.modules,
                    seed=self._setup.seed,
                    protocol=self._setup.protocol,
                    model=post.model,
                ),
            }
        return post.environment

    def _leave(self) -> None:
        self._post = None
        self._settled.close()


def failed(kind: type[R], cell: Cell, status: str, reason: str) -> R:
    """The record of a cell that could not be measured, or not be profiled."""
    return kind(cell, status=status, reason=_line(reason), measured_at=_now())


def verdict(error: Exception) -> tuple[str, str]:
    """Status and reason of a cell that raised ``error``."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(text in str(error).lower() for text in OUT_OF_MEMORY):
        return "out-of-memory", reason
    if isinstance(error, FtaxError | NotImplementedError):
        return "unsupported", str(error)
    return "crashed", reason


def gone(reason: str) -> str:
    """The reason again where it says that the device is gone, else nothing."""
    return reason if any(text in reason for text in GONE) else ""


def send(channel: socket.socket, message: Mapping[str, Any]) -> None:
    """Put one message on the socket, in as many packets as it takes."""
    content = json.dumps(message).encode()
    starts = range(0, len(content), PACKET_BYTES)
    for start in starts:
        flags = FIRST * (start == starts[0]) | LAST * (start == starts[-1])
        channel.sendall(bytes([flags]) + content[start : start + PACKET_BYTES])


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """The next message, or ``None`` where the other end is gone; one whose end never came is left out."""
    content = b""
    while True:
        try:
            packet = channel.recv(1 + PACKET_BYTES)
        except ConnectionError:
            return None
        if not packet:
            return None
        content = packet[1:] if packet[0] & FIRST else content + packet[1:]
        if packet[0] & LAST:
            message: dict[str, Any] = json.loads(content)
            return message


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the one that started it ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def serve(channel: socket.socket, *, parent: int) -> None:
    """Import what the setup names, then fork a worker whenever asked, until the runner closes the socket.

    Messages in: the setup first, then ``{"fork": true}``; anything else was meant for a worker that is dead. Messages
    out: ``{"ready": true}`` once, and ``{"exit": status}`` behind each worker.
    """
    die_with_parent(parent)
    first = receive(channel)
    if first is None:
        return
    for module in first["preload"]:
        _import(module)
    setup = Setup.from_record(first["setup"])
    gc.collect()
    gc.freeze()
    send(channel, {"ready": True})
    while (message := receive(channel)) is not None:
        if "fork" not in message:
            continue
        server = os.getpid()
        worker = os.fork()
        if worker == 0:
            _work(channel, setup, parent=server)
        _, status = os.waitpid(worker, 0)
        send(channel, {"exit": os.waitstatus_to_exitcode(status)})


def _work(channel: socket.socket, setup: Setup, *, parent: int) -> None:
    """Measure or profile each cell that comes until told to close, or until the process is spoilt; never returns."""
    status = 1
    try:
        die_with_parent(parent)
        _first_to_go()
        bench = Bench(setup)
        while (message := receive(channel)) is not None and "cell" in message:
            cell = Cell.from_record(message["cell"])
            profile = message["kind"] == Profile.__name__
            record = bench.attempt_profile(cell) if profile else bench.attempt(cell, features=message["features"])
            send(channel, {"record": record.to_record(), "last": not bench.sound})
            if not bench.sound:
                break
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _import(module: str) -> None:
    """Import a module early; where that fails, the worker that needs it will say so."""
    try:
        importlib.import_module(module)
    except Exception:
        traceback.print_exc()


def _first_to_go() -> None:
    """When memory runs out, let the kernel kill this process before any other; where it lets us say so."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _made_on(device: Device, builder: Builder) -> AbstractContextManager[object]:
    if "torch" not in builder.preload:
        return nullcontext()
    import torch

    return torch.device(device.kind)  # type: ignore[no-any-return]


def _trace(cell: Cell) -> Trace:
    from ftax_model.tracing import sources

    return sources.of_workload(cell.workload, trust=True).trace(cell.workload.batch_size)


def _line(text: str) -> str:
    return " ".join(_ESCAPE.sub("", text).split())[:REASON_LENGTH]


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def main() -> None:
    """Serve on the socket whose file descriptor is the first argument; the second is the runner's process id."""
    serve(socket.socket(fileno=int(sys.argv[1])), parent=int(sys.argv[2]))
