"""Eager PyTorch: one dispatch per operator, from Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ftax_model.collection.builders import builder
from ftax_model.collection.frameworks._torch import TorchFramework
from ftax_model.collection.operators import Profiled, profile_torch
from ftax_model.collection.timing import Protocol
from ftax_model.device import Device
from ftax_model.workload import Workload


class Eager(TorchFramework):
    """The module called as it is; that of a TorchScript file as it was loaded, by TorchScript's own interpreter."""

    takes = ("module", "script")

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The module with its inputs bound."""
        return functools.partial(model, **inputs)

    def supports_profile(self, workload: Workload, device: Device) -> str | None:
        """What is traced is what eager dispatches, but for a TorchScript file."""
        return super().supports_profile(workload, device) if builder(workload).form == "script" else None

    def profile(self, call: Callable[[], Any], device: Device, protocol: Protocol) -> Profiled:
        """Seen by torch's own profiler, kernels too on a GPU."""
        cuda = device.kind == "cuda"
        return profile_torch(call, clock=self.clock, synchronize=self.synchronize, protocol=protocol, cuda=cuda)
