"""Fake: a framework that computes nothing and moves a clock of its own by the law, with known constants."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import ftax_model
from ftax_model.collection.frameworks._base import Framework
from ftax_model.collection.operators import Event, Profiled
from ftax_model.collection.timing import Protocol
from ftax_model.device import Device
from ftax_model.operators import Operator
from ftax_model.tracing import trace
from ftax_model.workload import Workload


class Fake(Framework):
    """Lets ``(T_host^p + T_device^p)^(1/p)`` seconds pass for one call, give or take some noise.

    ``T_host = overhead_s + overhead_s_per_op * n_ops`` and ``T_device = compute_s_per_mac * macs +
    traffic_s_per_byte * activation_bytes``: what a fit should find in its measurements is known. It needs no torch of
    its own, and what it runs is the trace of a module.
    """

    devices = ("cpu", "cuda", "fake")
    preload = ()
    takes = ("module", "trace", "script")

    overhead_s: ClassVar[float] = 200e-6
    overhead_s_per_op: ClassVar[float] = 100e-6
    compute_s_per_mac: ClassVar[float] = 1e-9
    traffic_s_per_byte: ClassVar[float] = 0.5e-9
    overlap: ClassVar[float] = 2.0
    """The exponent p."""
    noise: ClassVar[float] = 0.01
    """Standard deviation of the logarithm of one call's seconds; drawn anew for each trace, alike for the same one."""
    profiler_s_per_event: ClassVar[float] = 5e-6
    """What a profiled operator takes longer; each is one event."""

    def __init__(self) -> None:
        self._now = 0.0
        self._operators: tuple[Operator, ...] = ()

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A callable that lets the time of one call pass on the framework's clock."""
        traced = trace(model, inputs)
        self._operators = traced.operators
        features = traced.features()
        seconds = self.seconds(features)
        draw = random.Random(repr(features))

        def call() -> None:
            self._now += seconds * draw.lognormvariate(0.0, self.noise)

        return call

    def supports_profile(self, workload: Workload, device: Device) -> str | None:
        """It knows all about its operators."""
        return None

    def profile(self, call: Callable[[], Any], device: Device, protocol: Protocol) -> Profiled:
        """Each operator by the law: its overhead on the host, its MACs and bytes on the device, wherever that is."""
        plain_s = []
        for _ in range(protocol.least_blocks):
            begin = self._now
            call()
            plain_s.append(self._now - begin)
        added_s = self.profiler_s_per_event * len(self._operators)
        draw = random.Random(repr(self._operators))
        events = tuple(self._event(operator, len(plain_s), draw) for operator in self._operators)
        return Profiled(tuple(plain_s), tuple(seconds + added_s for seconds in plain_s), events)

    def _event(self, operator: Operator, calls: int, draw: random.Random) -> Event:
        host_s = self.overhead_s_per_op + self.profiler_s_per_event
        device_s = self.compute_s_per_mac * operator.macs + self.traffic_s_per_byte * operator.activation_bytes
        noise = [draw.lognormvariate(0.0, self.noise) for _ in range(calls)]
        times = (tuple(seconds * factor for factor in noise) for seconds in (host_s, device_s))
        return Event(operator.kind, 0, operator.inputs, *times)

    @classmethod
    def seconds(cls, features: Mapping[str, float]) -> float:
        """Seconds of one call by the law, without noise, for the features of a trace."""
        host = cls.overhead_s + cls.overhead_s_per_op * features["n_ops"]
        device = cls.compute_s_per_mac * features["macs"] + cls.traffic_s_per_byte * features["activation_bytes"]
        return float((host**cls.overlap + device**cls.overlap) ** (1 / cls.overlap))

    def version(self) -> str:
        """Version of this package."""
        return str(ftax_model.__version__)

    def clock(self) -> float:
        """Seconds that calls have taken; nothing else takes any."""
        return self._now
