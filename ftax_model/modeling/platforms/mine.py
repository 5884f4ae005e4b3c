"""Mine: this user's calibrations, one for each device, where the system keeps a user's data.

A calibration is a predictor and, beside it, the measurements that it was made of. It says what it was made with
(`about`), so that it can be told when that is no longer so (`stale`).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from ftax_model.device import Device, detect
from ftax_model.errors import DataError, FtaxError

PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "openvino")
"""Packages whose versions a calibration is of."""


def folder() -> Path:
    """Where calibrations are kept: the user's data folder (``XDG_DATA_HOME`` on Linux)."""
    return platformdirs.user_data_path("ftax_model", appauthor=False) / "calibrations"


def predictor_file(device: str) -> Path:
    """The predictor of a device, there or not."""
    return folder() / f"{device}.json.gz"


def measurements_file(device: str) -> Path:
    """The measurements that the predictor of a device is made of, there or not."""
    return folder() / f"{device}.jsonl"


def prepared() -> Path:
    """The folder, made where there is none; raises `DataError` where it cannot be written."""
    path = folder()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    if not os.access(path, os.W_OK):
        raise _unwritable(path, PermissionError(13, "Permission denied"))
    return path


def _unwritable(path: Path, error: OSError) -> DataError:
    cure = "make it writable, or keep the calibration elsewhere: --out FILE"
    return DataError("calibrations are kept in the user's data folder", f"{path}: {error.strerror}", cure)


def versions() -> dict[str, str]:
    """Of the packages that measure, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def about(device: Device) -> dict[str, Any]:
    """What a calibration that is made now is made with."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"device": device.name, "model": device.model, "versions": versions(), "calibrated_at": now}


def stale(said: Mapping[str, Any], device: Device) -> list[str]:
    """Why a calibration is not of what is here now, given what it says of itself; empty where it is."""
    found = []
    if said.get("device") != device.name:
        found.append(f"it is of {said.get('device')}, this is {device.name}")
    elif said.get("model") != device.model:
        found.append(f"it is of {said.get('model')}, this is {device.model}")
    before, now = said.get("versions", {}), versions()
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    none = "not installed"
    return [*found, *(f"{name} was {before.get(name, none)}, is {now.get(name, none)}" for name in changed)]


def current() -> Path | None:
    """The calibration of the CPU at hand; ``None`` where there is none."""
    try:
        path = predictor_file(detect("cpu").name)
    except FtaxError:
        return None
    return path if path.is_file() else None


@dataclass(frozen=True)
class Kept:
    """A calibration that is kept: of which device, when it was made, and why it is stale, if it is."""

    device: str
    calibrated_at: str
    stale: str

    @property
    def path(self) -> Path:
        """Its predictor."""
        return predictor_file(self.device)


def kept() -> list[Kept]:
    """All calibrations that are kept, by device; one that cannot be read is stale."""
    found = []
    for path in sorted(folder().glob("*.json.gz")):
        device = path.name.removesuffix(".json.gz")
        try:
            said = json.loads(gzip.decompress(path.read_bytes()))["about"]
            here = detect("cpu")
            why = "; ".join(stale(said, here)) if device == here.name else "another device"
            found.append(Kept(device, str(said.get("calibrated_at", "")), why))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
            found.append(Kept(device, "", "it cannot be read: calibrate again"))
    return found


def forget(device: str) -> list[Path]:
    """Remove the calibration of a device; returns the files that were removed, none where there was none."""
    found = [path for path in (predictor_file(device), measurements_file(device)) if path.exists()]
    try:
        for path in found:
            path.unlink()
    except OSError as error:
        raise _unwritable(folder(), error) from error
    return found
