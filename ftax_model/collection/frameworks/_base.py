"""What a framework is: a module and inputs in, a callable that runs one inference out."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from ftax_model.collection.builders import FORMS, builder
from ftax_model.collection.operators import Profiled
from ftax_model.collection.timing import Protocol
from ftax_model.device import Device
from ftax_model.workload import Workload


class Framework(abc.ABC):
    """One execution mode with one name; one file in this folder each.

    An instance lives in one worker process. It prepares one module at a time, and the same module again for every batch
    size: what can be kept between those calls, it keeps. Importing the file imports nothing heavy; `prepare` does.
    """

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    """Device kinds that it can run on."""
    preload: ClassVar[tuple[str, ...]] = ("torch",)
    """Modules that it imports; a collection imports them once, before it forks its workers."""
    shows_kernels: ClassVar[bool] = True
    """Whether torch's profiler sees the kernels of its calls on a GPU, and leaves them running."""
    takes: ClassVar[tuple[str, ...]] = ("module",)
    """What it can run (`ftax_model.collection.builders.FORMS`)."""

    @abc.abstractmethod
    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """A callable without arguments that runs one inference on ``inputs``.

        All compiling is done here or in the first call. Raises `NotImplementedError` with the reason where this
        framework cannot run the model.
        """

    @abc.abstractmethod
    def version(self) -> str:
        """Version of the software that runs the model; raises `MissingError` where it is not installed."""

    def supports(self, workload: Workload, device: Device) -> str | None:
        """``None`` where this framework can run the workload there, else the reason it cannot."""
        if device.kind not in self.devices:
            return f"runs on {' or '.join(self.devices)} only"
        form = builder(workload).form
        taken = " or ".join(FORMS[one] for one in self.takes)
        return None if form in self.takes else f"it is {FORMS[form]}, not {taken}"

    def supports_profile(self, workload: Workload, device: Device) -> str | None:
        """``None`` where `profile` can tell the operators of the workload's trace apart, else the reason it cannot."""
        return "runs a graph of its own making, not the operators of the trace one by one"

    def profile(self, call: Callable[[], Any], device: Device, protocol: Protocol) -> Profiled:
        """A profiled run of what `prepare` gave last, already warm, and as many calls without the profiler.

        Raises `NotImplementedError` with the reason where `supports_profile` gives one.
        """
        raise NotImplementedError(f"{type(self).__name__} is not profiled")

    def graph(self, call: Callable[[], Any]) -> Callable[[], object] | None:
        """One launch that has a GPU do all that ``call`` does, which `prepare` gave last and is warm by now.

        ``None`` where the framework launches kernels one by one: a graph captured of them need not do the same
        (transformers leaves out a mask that hides nothing, but not while it is captured).
        """
        return None

    def mode(self) -> AbstractContextManager[object]:
        """What is entered once around preparing and all calls; inference mode where the framework has one."""
        return nullcontext()

    def synchronize(self) -> None:
        """Wait until the device has nothing left to do. On a CPU the call itself waits."""

    def clock(self) -> float:
        """Seconds from an arbitrary start; monotone. A fake framework has a clock of its own."""
        return time.perf_counter()
