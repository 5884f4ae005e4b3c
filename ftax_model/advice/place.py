"""Place: which device, and how many threads of it, a question is about where it names none."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ftax_model.device import Device, canonical, cores_of, detect, physical_cores
from ftax_model.errors import FtaxError, InputError, MissingError
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.predictor import LatencyPredictor

_GPU = "'s GPU"

HERE = ("cpu", "cuda")
"""What calls a device of this machine by its kind."""


@dataclass(frozen=True)
class Place:
    """A device and its threads, the GPU's host if one is named; ``notes`` say how they were chosen that were not."""

    device: str
    threads: int
    host: str | None = None
    host_factor: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> dict[str, Any]:
        """What `LatencyPredictor.predict` is asked with."""
        return {
            "device": self.device,
            "threads": self.threads,
            "host": self.host,
            "host_factor": self.host_factor,
        }


def here(kind: str | None = None) -> list[Device]:
    """The devices of this machine: those of a kind, or its GPU, if there is one, and its CPU.

    Raises `MissingError` where a GPU is asked for and there is none.
    """
    if kind is not None:
        return [detect(kind)]
    with suppress(MissingError):
        return [detect("cuda"), detect("cpu")]
    return [detect("cpu")]


def place(
    predictor: LatencyPredictor,
    *,
    device: str | None = None,
    threads: int | None = None,
    dtype: str = "float32",
    host: str | None = None,
    host_factor: float | None = None,
) -> Place:
    """Where a question is about: this machine unless a ``device`` is named, by its name or as `HERE`.

    Of this machine it is the first device that the predictor can answer for, its GPU before its CPU; where it can for
    none, the known one that is most alike stands in. Without ``threads`` they are the most that were measured, of this
    machine or else of others, up to its cores. Raises `InputError` for a named device of which nothing is known.
    """
    if device is None or device in HERE:
        name, cores, notes = _of_this_machine(predictor, device, dtype)
    else:
        name, cores, notes = device, cores_of(device) or 1, ()
    if kind_of(name) == "cuda":
        return Place(canonical(name), 1, host, host_factor, notes)
    if threads is None:
        threads, said = _threads(predictor, name, dtype, cores)
        notes += (said,) if said else ()
    return Place(name, threads, host, host_factor, notes)


def _of_this_machine(predictor: LatencyPredictor, kind: str | None, dtype: str) -> tuple[str, int, tuple[str, ...]]:
    """The name of the device that answers for this machine, the cores of this machine, and how it was chosen."""
    machines = here(kind)
    for own in machines:
        if _answers(predictor, own.name, dtype):
            return own.name, physical_cores(own), (f"{own.name} is this machine{_GPU if own.kind == 'cuda' else ''}",)
    own = machines[-1]
    like = _most_alike(predictor, own.name)
    said = f"nothing is known of this machine, {own.name}; {like} is most like it: ftax calibrate"
    return like, physical_cores(own), (said,)


def _answers(predictor: LatencyPredictor, device: str, dtype: str) -> bool:
    try:
        return bool(predictor.select(device=device, dtype=dtype))
    except InputError:
        return False


def _most_alike(predictor: LatencyPredictor, name: str) -> str:
    """Of the devices that were measured, that whose name has most words in common."""
    own = _words(name)
    known = sorted({fit.platform.device for fit in predictor.fits_})
    if not known:
        raise FtaxError("a prediction is of a device", f"{name}, of which nothing is known", "name another: --device")
    return max(known, key=lambda one: len(_words(one) & own))


def _words(device: str) -> set[str]:
    return {*re.findall(r"[a-z0-9]+", f"{device} {canonical(device)}")}


def _threads(predictor: LatencyPredictor, device: str, dtype: str, cores: int) -> tuple[int, str]:
    """The most threads that were measured, up to so many cores, and what to say of it."""
    here = [one.platform for one in predictor.fits_ if one.platform.device == device]
    own = {one.threads for one in here if one.dtype == dtype}
    others = {one.threads for known in predictor.known_.values() for one in known.platforms}
    told = [count for count in own or others if count <= cores]
    most = max(told, default=min(own or others or {1}))
    return most, f"of its {cores} cores no more than {most} were measured: ftax calibrate" if most < cores else ""
