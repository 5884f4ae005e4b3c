"""Support: which framework can run which architecture on a device, and why not."""

from __future__ import annotations

from collections.abc import Iterable

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.device import Device
from ftax_model.errors import MissingError
from ftax_model.measurement import Measurement

Table = dict[tuple[str, str], str]
"""By architecture and framework: the reason against it, empty where there is none."""


def support(device: Device, *, seen: Iterable[Measurement] = ()) -> Table:
    """What the frameworks themselves say of each architecture's small workloads, and what came of those ``seen``.

    An architecture counts as supported where the framework takes any of its grid. A framework may find out only when it
    prepares a module that it cannot run it: measurements tell, a good one for it, a failed one against.
    """
    found = {
        (architecture, framework): _reason(architecture, framework, device)
        for architecture in architectures.names()
        for framework in frameworks.names()
    }
    measured: dict[tuple[str, str], list[Measurement]] = {}
    for one in seen:
        measured.setdefault((one.cell.workload.architecture, one.cell.framework), []).append(one)
    for pair, all_of_it in measured.items():
        good = any(one.status == "ok" for one in all_of_it)
        found[pair] = "" if good else f"{all_of_it[0].status}: {all_of_it[0].reason}"
    return found


def _reason(architecture: str, framework: str, device: Device) -> str:
    try:
        runs = frameworks.load(framework)
    except MissingError as error:
        return error.law
    one = architectures.load(architecture)
    reasons = [runs.supports(one.complete(workload), device) for workload in one.grid()]
    return next((reason for reason in reasons if reason is None), reasons[0]) or ""
