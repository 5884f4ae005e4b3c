"""Fingerprint: the plan that tells what a machine is, for the threads and precisions that this machine has."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ftax_model.collection.plan import Grid, Plan
from ftax_model.device import Device, physical_cores
from ftax_model.errors import InputError

_BFLOAT16 = r"\b(avx512-bf16|amx|bf16)\b"
"""Instructions that compute bfloat16, as a CPU's model tells them."""


def fingerprint(plan: Plan, device: Device, threads: Sequence[int] | None = None) -> Plan:
    """The plan on a device: what it lists with more than one thread is measured with all physical cores.

    With ``threads``, the first of them takes the place of one, and the others that of more. Half precision is left out
    where a CPU has no instructions for it. Raises `InputError` for more threads than there are cores.
    """
    cores = physical_cores(device)
    first, *others = threads or ([1, cores] if cores > 1 else [1])
    for count in (first, *others):
        if not 1 <= count <= device.cores:
            raise InputError(f"threads are from 1 to the {device.cores} cores here", str(count), "choose fewer")
    asked = [(one, _threads(one, first, others)) for one in plan.grids if _runs(one, device)]
    return dataclasses.replace(plan, grids=tuple(dataclasses.replace(one, threads=own) for one, own in asked if own))


def _threads(grid: Grid, first: int, others: Sequence[int]) -> tuple[int, ...]:
    return (first,) if grid.threads == (1,) else tuple(others)


def _runs(grid: Grid, device: Device) -> bool:
    half = any(workload.dtype != "float32" for workload in grid.workloads)
    return not half or device.kind != "cpu" or re.search(_BFLOAT16, device.model) is not None
