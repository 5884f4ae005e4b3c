"""Profiler: torch's own, quiet, and taken down again where that is known to work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TAKEN_DOWN_FROM = (12, 6)
"""CUDA version from which taking CUPTI down does not crash CUDA graphs (pytorch/pytorch#146604)."""


@contextmanager
def profiled(*, cpu: bool = False, cuda: bool = False, shapes: bool = False) -> Iterator[Any]:
    """Record what torch and the GPU do while entered; ``kineto_results`` of what it yields holds that afterwards.

    ``cpu`` records operators, with ``shapes`` those of their inputs too; ``cuda`` records kernels.

    CUPTI, which sees the kernels, slows a process down for as long as it stays loaded, by 10 to 20 % it is said: from
    CUDA 12.6 on it is asked to go. No process should time anything for a dataset behind a profile unless it has looked.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it prints a line whenever it starts or stops
    if tuple(map(int, (torch.version.cuda or "0").split("."))) >= TAKEN_DOWN_FROM:
        os.environ.setdefault("TEARDOWN_CUPTI", "1")
    activities = [ProfilerActivity.CPU] * cpu + [ProfilerActivity.CUDA] * cuda
    with profile(activities=activities, record_shapes=shapes) as session:
        yield session.profiler
