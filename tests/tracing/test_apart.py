"""Work in a copy of this process: what it returns comes back, and what becomes of it costs nothing but an answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from ftax_model.errors import DataError, InputError
from ftax_model.tracing._apart import apart

TOLD = {"law": "it works", "what": "the file", "do": "check it"}


def test_what_it_returns_comes_back() -> None:
    assert apart(lambda: {"a": [1, 2.5, None, "x" * 200_000]}, **TOLD) == {"a": [1, 2.5, None, "x" * 200_000]}


def _refuses() -> None:
    raise DataError("the law", "what", "do")


def _fails() -> None:
    raise KeyError("a")


def _dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _grows() -> list[bytes]:
    return [bytes(1 << 30) for _ in range(1 << 10)]


@pytest.mark.parametrize(
    ("work", "error", "said"),
    [
        (_refuses, DataError, "the law; got what; do"),
        (_fails, InputError, "it works; got the file: KeyError: 'a'; check it"),
        (_dies, InputError, r"the file: its process ended \(SIGKILL\)"),
        (lambda: os._exit(3), InputError, r"the file: its process ended \(code 3\)"),
        (_grows, InputError, r"the file: more than \d+ GiB"),
    ],
)
def test_what_becomes_of_it_is_one_line(work: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        apart(work, **TOLD)


def test_it_is_not_waited_for_longer_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    began, fork, forked = time.monotonic(), os.fork, list[int]()

    def noted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", noted)
    with pytest.raises(InputError, match="the file: more than 0 s"):
        apart(lambda: time.sleep(600), **TOLD, seconds=0.2)
    assert time.monotonic() - began < 300
    with pytest.raises(ChildProcessError):
        os.waitpid(forked[-1], os.WNOHANG)
