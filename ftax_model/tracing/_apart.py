"""Work on a file of anybody in a copy of this process, which may crash, hang or run out of memory alone."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Never

from ftax_model.errors import DataError, FtaxError, InputError, MissingError, one_line
from ftax_model.tracing._bounds import grow_by

MOST_SECONDS = 120
"""Time that the work on a file may take."""

_KINDS = {kind.__name__: kind for kind in (DataError, InputError, MissingError)}


MOST_BYTES = 1 << 32
"""Memory that it may ask for, beside what the file holds."""


def apart(
    work: Callable[[], Any], *, law: str, what: str, do: str, held: int = 0, seconds: float = MOST_SECONDS
) -> Any:
    """The plain values that a function returns, which runs in a copy of this process.

    It may use ``seconds``, and `MOST_BYTES` and four times the bytes that are ``held`` in the file, but not more than
    half of the machine's memory. Its `FtaxError` is raised here, and any other end of it is an `InputError` that says
    the ``law``, ``what`` it worked on and what to ``do``.
    """
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, none of which the copy needs
        child = os.fork()
    if child == 0:
        os.close(readable)
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        _work(work, writable, law=law, what=what, do=do, size=min(half, MOST_BYTES + 4 * held))
    os.close(writable)
    try:
        content = _heard(readable, time.monotonic() + seconds)
    finally:
        os.close(readable)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if content is None:
        raise InputError(law, f"{what}: more than {seconds:.0f} s", do)
    try:
        found = json.loads(content)
    except ValueError:
        why = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"code {status >> 8}"
        raise InputError(law, f"{what}: its process ended ({why})", do) from None
    if "error" in found:
        raise _KINDS[found["error"]](*found["said"])
    return found["found"]


def _heard(readable: int, end: float) -> bytes | None:
    """All that is written to a pipe until it is closed; ``None`` where that takes too long."""
    parts: list[bytes] = []
    while select.select([readable], [], [], max(end - time.monotonic(), 0.0))[0]:
        part = os.read(readable, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _work(work: Callable[[], Any], writable: int, *, law: str, what: str, do: str, size: int) -> Never:
    """Run a function within limits, write what came of it to a pipe, and end this process."""
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        grow_by(size)
        try:
            found = {"found": work()}
        except FtaxError as error:
            kind = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
            found = {"error": kind, "said": [error.law, error.got, error.do]}
        except MemoryError:
            found = {"error": "InputError", "said": [law, f"{what}: more than {size >> 30} GiB", do]}
        except Exception as error:  # native code of others raises anything
            found = {"error": "InputError", "said": [law, f"{what}: {one_line(error)}", do]}
        content = json.dumps(found).encode()
        while content:
            content = content[os.write(writable, content) :]
    finally:
        os._exit(0)
