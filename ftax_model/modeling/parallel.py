"""Parallel: calls shared out by whatever backend of joblib is active, to processes here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joblib import Parallel
from joblib.parallel import get_active_backend


def in_parallel(calls: Iterable[Any], *, jobs: int | None = None) -> list[Any]:
    """What calls, made by `joblib.delayed`, give, in their order.

    They go to the backend that `joblib.parallel_config` names, else to processes of this machine. ``jobs`` are how many
    of them at a time, -1 for one a core; ``None`` is as many as `joblib.parallel_config` says, or else one a core.
    """
    if jobs is None:
        _, configured = get_active_backend()
        jobs = configured or -1
    found: list[Any] = Parallel(n_jobs=jobs)(calls)
    return found
