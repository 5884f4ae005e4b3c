"""Progress: how many parts of long work are done, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Tell = Callable[[int, int], None]
"""Takes how many parts are done, of how many that are known by now."""


@dataclass
class _Heard:
    tell: Tell
    done: int = 0
    total: int = 0


_HEARD: ContextVar[_Heard | None] = ContextVar("_HEARD", default=None)


@contextmanager
def heard(tell: Tell) -> Iterator[None]:
    """Have the parts of all work within told; more of them may turn up on the way."""
    token = _HEARD.set(_Heard(tell))
    try:
        yield
    finally:
        _HEARD.reset(token)


def is_heard() -> bool:
    """Whether anybody listens."""
    return _HEARD.get() is not None


def note(*, begun: int = 0, done: int = 0) -> None:
    """So many more parts are begun, or done.

    >>> with heard(lambda done, total: print(f"{done} of {total}")):
    ...     note(begun=2)
    ...     note(done=1)
    0 of 2
    1 of 2
    """
    own = _HEARD.get()
    if own is not None:
        own.total += begun
        own.done += done
        own.tell(own.done, own.total)
