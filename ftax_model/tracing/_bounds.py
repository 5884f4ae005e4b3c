"""Bounds on what building and calling a model of others may take: parts, calls, memory and time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Never

from ftax_model.architectures._base import MOST_PARTS
from ftax_model.errors import FtaxError, InputError

MOST_CALLS = 1_000_000
"""Operators, views among them, of the longest call that is traced; a minute or two."""

MOST_BYTES = 1 << 33
"""Memory that building a model may ask for, which on the meta device needs next to none."""

MOST_SECONDS = 300
"""Time that building and calling a model may take."""

ALONE = threading.RLock()
"""Held while a model is built or traced: torch, and what is built on it, is changed for the whole process meanwhile."""

LAW = "a model can be counted where it is one that could be run"


def beyond(what: str) -> InputError:
    """The refusal of a model that goes beyond one of the bounds."""
    return InputError(LAW, what, "choose smaller sizes")


class _Beyond(BaseException):
    """Goes through code of others, which catches every `Exception`."""


@contextlib.contextmanager
def bounded(*, seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Hold what is built and called in this context to the bounds; `InputError` for what goes beyond.

    Time is bounded in the main thread alone, parts where torch is there when the context begins. Within another such
    context it is that one's. Threads take turns.
    """
    if _held.active:
        yield
        return
    _held.active = True
    try:
        with ALONE, _memory(), _time(seconds), _parts() if "torch" in sys.modules else contextlib.nullcontext():
            yield
    except _Beyond as error:
        raise beyond(str(error)) from None
    except MemoryError:
        raise beyond(f"more than {MOST_BYTES >> 30} GiB for its parts alone") from None
    except FtaxError:
        raise
    except RuntimeError as error:  # torch says so where the memory for a tensor is not there
        if any(said in str(error) for said in ("can't allocate memory", "not enough memory", "bad_alloc")):
            raise beyond(f"more than {MOST_BYTES >> 30} GiB for its parts alone") from None
        raise
    finally:
        _held.active = False


class _Held(threading.local):
    active = False


_held = _Held()


def grow_by(size: int) -> None:
    """Let the address space of this process grow by ``size`` bytes at most, where the system tells how large it is."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + size
    least = min((one for one in (soft, hard) if one != resource.RLIM_INFINITY), default=most)
    resource.setrlimit(resource.RLIMIT_AS, (min(most, least), hard))


@contextlib.contextmanager
def _memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    grow_by(MOST_BYTES)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def late(number: int, frame: Any) -> Never:
        raise _Beyond(f"more than {seconds:.0f} s to build and call it")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _parts() -> Iterator[None]:
    """Count the modules and parameters that modules of torch are given."""
    from torch.nn.modules import module

    count, own = 0, threading.get_ident()

    def counted(holder: Any, name: str, part: Any) -> None:
        nonlocal count
        if threading.get_ident() == own:
            count += 1
            if count > MOST_PARTS:
                raise _Beyond(f"more than {MOST_PARTS:,} layers and parameters")

    handles = [
        module.register_module_module_registration_hook(counted),
        module.register_module_parameter_registration_hook(counted),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
