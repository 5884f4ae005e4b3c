"""Parallel: calls shared out by whatever backend of joblib is active, to processes here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joblib import Parallel
from joblib.parallel import get_active_backend

from ftax_model import progress


def in_parallel(calls: Iterable[Any], *, jobs: int | None = None) -> list[Any]:
    """What calls, made by `joblib.delayed`, give, in their order.

    They go to the backend that `joblib.parallel_config` names, else to processes of this machine. ``jobs`` are how many
    of them at a time, -1 for one a core; ``None`` is as many as `joblib.parallel_config` says, or else one a core. Each
    is a part of what `ftax_model.progress` tells, as far as a backend gives results one by one.
    """
    backend, configured = get_active_backend()
    jobs = jobs if jobs is not None else configured or -1
    if not progress.is_heard() or not backend.supports_return_generator:
        together: list[Any] = Parallel(n_jobs=jobs)(calls)
        return together
    calls, found = list(calls), []
    progress.note(begun=len(calls))
    for one in Parallel(n_jobs=jobs, return_as="generator")(calls):
        found.append(one)
        progress.note(done=1)
    return found
