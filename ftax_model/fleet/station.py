"""Station: measures on one machine of a fleet what a driver elsewhere asks for, one cell at a time."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import metadata
from typing import Any

from ftax_model.collection import frameworks
from ftax_model.collection.runner import preload
from ftax_model.collection.worker import Setup
from ftax_model.collection.worker_pool import Interrupts, Isolated, Stop
from ftax_model.device import detect, nvml
from ftax_model.errors import FtaxError, MissingError
from ftax_model.measurement import Cell, Profile

PACKAGES = (
    "ftax-model", "torch", "transformers", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "triton", "numpy",
)  # fmt: skip
"""Packages whose versions may change what a model costs."""

_SET_BY_ENGINES = ("OMP_NUM_THREADS",)
"""Variables that an engine sets from what it schedules; a measurement has its own."""


class Station:
    """Measures and profiles in worker processes of its own; it takes and gives plain values.

    ``name`` is the machine's, ``kind`` the kind of its device. Raises what `ftax_model.device.detect` raises.
    """

    def __init__(self, name: str, kind: str) -> None:
        for variable in _SET_BY_ENGINES:
            os.environ.pop(variable, None)
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # Ray has others come first
        self._name = name
        self._device = detect(kind)
        self._opened = ExitStack()
        self._pool: Isolated | None = None

    def describe(self) -> dict[str, Any]:
        """The device (as `Setup.to_record` has it), frameworks that are installed, versions by name, and niceness."""
        versions = {"python": platform.python_version()}
        for package in PACKAGES:
            with suppress(metadata.PackageNotFoundError):
                versions[package] = metadata.version(package)
        if self._device.kind == "cuda":
            with suppress(MissingError), nvml() as (library, _):
                versions["driver"] = str(library.nvmlSystemGetDriverVersion())
        return {
            "device": dataclasses.asdict(self._device),
            "frameworks": frameworks.installed(),
            "versions": versions,
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        }

    def open(self, setup: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> None:
        """Get ready to measure by a setup (`Setup.to_record`); ``cells`` are one of each kind that may be asked for."""
        self.close()
        interrupts = self._opened.enter_context(Interrupts(signals=()))
        asked = [Cell.from_record(one) for one in cells]
        modules = preload(one for one in asked if one.framework in frameworks.installed())
        pool = Isolated(Setup.from_record(setup), modules, interrupts, float("inf"))
        self._pool = self._opened.enter_context(pool)

    def look(self, kind: str, cell: Mapping[str, Any], features: Mapping[str, float] | None = None) -> dict[str, Any]:
        """The ``record`` of a cell, a measurement or a profile; or why this machine must ``stop``."""
        assert self._pool is not None, "opened first"
        wanted = Cell.from_record(cell)
        try:
            if kind == Profile.__name__:
                return {"record": self._signed(self._pool.profile(wanted))}
            return {"record": self._signed(self._pool.measure(wanted, features=features))}
        except (Stop, FtaxError) as why:
            return {"stop": str(why)}

    def close(self) -> None:
        """End the worker processes."""
        self._pool = None
        self._opened.close()

    def _signed(self, record: Any) -> dict[str, Any]:
        environment = {**record.environment, "machine": self._name}
        signed: dict[str, Any] = dataclasses.replace(record, environment=environment).to_record()
        return signed
