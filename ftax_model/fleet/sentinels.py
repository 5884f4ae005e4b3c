"""Sentinels: cells that every machine of a fleet measures, so that machines which should be equal and are not show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from ftax_model.collection import drift
from ftax_model.collection.plan import Sweep
from ftax_model.dataset import Writer, read
from ftax_model.measurement import Cell, Measurement

MODELS = 4
"""Models of each framework and precision whose smallest batch size is measured, at most."""
REPEATS = 2
"""Fresh processes that measure each of them."""
SITTINGS = 8
"""Sittings of a device that others are held against: the first ones."""
ENDS = "bcdefghijklmnopqrstuvwxyz"
"""What the names of devices end in that are not like the first of their kind."""


def cells(sweeps: Iterable[Sweep], installed: Iterable[str]) -> list[Cell]:
    """The sentinels among the cells of a plan, of frameworks that are installed; the same on all machines of a kind."""
    models: dict[tuple[str, str], dict[Any, Cell]] = {}
    for sweep in sweeps:
        first = min(sweep.listed, key=lambda cell: cell.workload.batch_size)
        if first.framework in installed and first.repeat == 0:
            own = models.setdefault((first.framework, first.workload.dtype), {})
            if first.workload.curve not in own or first.threads < own[first.workload.curve].threads:
                own[first.workload.curve] = first
    found = []
    for own in models.values():
        several = sorted(own.values(), key=lambda cell: cell.key)
        places = {round(at * (len(several) - 1) / (MODELS - 1)) for at in range(MODELS)}
        found += [dataclasses.replace(several[at], repeat=turn) for turn in range(REPEATS) for at in sorted(places)]
    return found


class Sentinels:
    """What is known of the devices of a fleet: the sentinels in a file, else the same cells among what is ``measured``.

    ``repeats`` is how often a plan measures a cell.
    """

    def __init__(self, writer: Writer, measured: Writer, *, repeats: int) -> None:
        self._writer, self._measured, self._repeats = writer, measured, repeats
        self._known: dict[str, dict[str, list[Measurement]]] = {}
        self._last: dict[Cell, int] = {}
        self._devices: dict[str, str] = {}
        for one in read(writer.path):
            self._note(one)

    def device(self, machine: str, usual: str) -> str:
        """What the device of a machine was called last, or else as usual."""
        return self._devices.get(machine, usual)

    def like(self, seen: Sequence[Measurement], *, first: str, usual: str) -> tuple[str, bool]:
        """What the device is called on which these sentinels were seen, and whether it is like one that is known.

        Looked at are the name ``first``, the one that is ``usual`` for such a device, and those of others of its kind.
        Where nothing is known of any it is called ``first``, and where it is like none, something new.
        """
        names = [*dict.fromkeys([first, usual, *(f"{usual}-{end}" for end in ENDS)])]
        known = {name: own for name in names if (own := self._of(name, seen))}
        if not known:
            return first, True
        for name, own in known.items():
            if not any(one.drifted for one in drift.shifts(own, _renamed(seen, name))):
                return name, True
        return next((name for name in names if name not in known), names[-1]), False

    def add(self, seen: Iterable[Measurement], device: str) -> None:
        """Keep what was seen, as further repeats of a device's cells."""
        for one in _renamed(seen, device):
            first = dataclasses.replace(one.cell, repeat=0)
            again = dataclasses.replace(one.cell, repeat=self._last.get(first, -1) + 1)
            one = dataclasses.replace(one, cell=again)
            self._writer.write(one)
            self._note(one)

    def _of(self, device: str, seen: Iterable[Measurement]) -> list[Measurement]:
        """What is known of a device in the cells that were seen."""
        wanted = {dataclasses.replace(one.cell, repeat=0, device=device) for one in seen}
        if device not in self._known:
            repeats = range(self._repeats)
            keys = {dataclasses.replace(cell, repeat=repeat).key for cell in wanted for repeat in repeats}
            keys &= self._measured.done.keys()
            self._known[device] = {"": read(self._measured.path, keys=keys)} if keys else {}
        own = (one for sitting in self._known[device].values() for one in sitting)
        return [one for one in own if one.status == "ok" and dataclasses.replace(one.cell, repeat=0) in wanted]

    def _note(self, one: Measurement) -> None:
        first = dataclasses.replace(one.cell, repeat=0)
        self._last[first] = max(self._last.get(first, -1), one.cell.repeat)
        self._devices[str(one.environment.get("machine"))] = one.cell.device
        sittings = self._known.setdefault(one.cell.device, {})
        sitting = str(one.environment.get("sitting"))
        if sitting in sittings or len(sittings) < SITTINGS:
            sittings.setdefault(sitting, []).append(one)


def _renamed(measurements: Iterable[Measurement], device: str) -> list[Measurement]:
    """The same, as if they were of a device of this name."""
    return [dataclasses.replace(one, cell=dataclasses.replace(one.cell, device=device)) for one in measurements]
