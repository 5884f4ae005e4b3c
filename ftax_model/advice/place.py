"""Place: which device, and how many threads of it, a question is about where it names none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ftax_model.device import Device, canonical, detect, physical_cores
from ftax_model.errors import FtaxError, InputError, MissingError
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.predictor import LatencyPredictor

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


def here(kind: str | None = None) -> Device:
    """The device of this machine of a kind; without one its GPU, or else its CPU.

    Raises `MissingError` where a GPU is asked for and there is none.
    """
    if kind is not None:
        return detect(kind)
    try:
        return detect("cuda")
    except MissingError:
        return detect("cpu")


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

    Of a device that the predictor cannot answer for, the known one that is most alike stands in. Without ``threads``
    they are the most that were measured, of this machine or else of others, up to its cores. Raises `InputError` for a
    named device of which nothing is known.
    """
    named = device is not None and device not in HERE
    own = None if named else here(device)
    name = str(device) if named else own.name  # type: ignore[union-attr]
    if kind_of(name) == "cuda":
        return Place(canonical(name), 1, host, host_factor, () if named else (f"{name} is this machine's GPU",))
    notes: tuple[str, ...] = () if named else (f"{name} is this machine",)
    if not named and not _answers(predictor, name, dtype):
        like = _most_alike(predictor, name)
        notes = (f"nothing is known of this machine, {name}; {like} is most like it: ftax calibrate",)
        name = like
    if threads is None:
        threads, said = _threads(predictor, name, dtype, physical_cores(own) if own else _cores(name))
        notes += (said,) if said else ()
    return Place(name, threads, host, host_factor, notes)


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


def _cores(device: str) -> int:
    """Cores of a CPU, as its name tells them, else one."""
    found = re.search(r"-(\d+)core$", device)
    return int(found[1]) if found else 1
