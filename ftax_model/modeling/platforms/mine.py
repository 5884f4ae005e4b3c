"""Mine: this user's calibrations, one for each device, where the system keeps a user's data.

A calibration is a predictor and, beside it, the measurements that it was made of. It says what it was made with
(`about`), so that it can be told when that is no longer so (`stale`). Of models from outside (`ftax_model.outside`) the
traces are kept as well, for a measurement says something once its operators are known.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from ftax_model import dataset, outside
from ftax_model.device import Device, detect
from ftax_model.errors import DataError, FtaxError
from ftax_model.files import read_json
from ftax_model.measurement import Measurement
from ftax_model.operators import Trace
from ftax_model.tracing import sources
from ftax_model.tracing.sources import Source
from ftax_model.values import mapping, text
from ftax_model.workload import MAX_BATCH_SIZE, QUANTISED, Workload

PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "openvino")
"""Packages whose versions a calibration is of."""


_ABOUT = ("device", "host", "model", "calibrated_at")


def folder() -> Path:
    """Where calibrations are kept: the user's data folder (``XDG_DATA_HOME`` on Linux)."""
    return platformdirs.user_data_path("ftax_model", appauthor=False) / "calibrations"


def predictor_file(device: str) -> Path:
    """The predictor of a device, there or not."""
    return folder() / f"{Path(device).name}.json.gz"


def measurements_file(device: str) -> Path:
    """The measurements that the predictor of a device is made of, there or not."""
    return folder() / f"{Path(device).name}.jsonl"


def traces_file(workload: Workload) -> Path:
    """The traces of a model from outside, there or not."""
    return folder() / "traces" / f"{workload.curve.key}.json.gz"


def kept_traces(workload: Workload) -> dict[int, Trace]:
    """The traces that are kept of a model from outside, by batch size; none where they cannot be read."""
    try:
        return sources.read(traces_file(workload)).traced((), range(1, MAX_BATCH_SIZE + 1))
    except DataError:
        return {}


def untraced(measurements: Iterable[Measurement]) -> list[str]:
    """Labels of models from outside of which no traces are kept, at the batch sizes that were measured."""
    sweeps = _sweeps(measurements)
    return [outside.label(curve) for curve, sizes in sweeps.items() if not sizes <= kept_traces(curve).keys()]


def keep(device: Device, measurements: Iterable[Measurement], models: Mapping[Workload, Source]) -> Path:
    """Add good measurements to those that the calibration of a device is made of; returns their file.

    All are added or none, once nobody else writes there. A cell that was measured before is one more look at it, by a
    fresh process: the next repeat; the very measurement is not added twice. ``models`` are the sources of workloads of
    batch size 1; what they trace is kept of those from outside, before the measurements, which say little without.
    Raises `DataError` where the file cannot be written, for another device, for models of whole numbers, of which no
    calibration learns, and for another version of a framework than those there are of.
    """
    file = measurements_file(device.name)
    good = [one for one in measurements if one.status == "ok"]
    prepared()
    with dataset.Writer(file, wait=True) as writer:
        before = dataset.read(file)
        _check(device, good, before)
        for curve, sizes in _sweeps(good).items():
            known = kept_traces(curve)
            if not sizes <= known.keys():
                target = traces_file(curve)
                target.parent.mkdir(exist_ok=True)
                sources.write(target, models[curve], known | models[curve].traced(sizes, ()))
        looks, taken, added = {_look(one) for one in before}, {*writer.done}, []
        for one in good:
            if _look(one) not in looks:
                cell = one.cell
                while cell.key in taken:
                    cell = replace(cell, repeat=cell.repeat + 1)
                taken.add(cell.key)
                added.append(replace(one, cell=cell))
        writer.extend(added)
    return file


def _sweeps(measurements: Iterable[Measurement]) -> dict[Workload, set[int]]:
    """The batch sizes that were measured of each model from outside."""
    found: dict[Workload, set[int]] = {}
    for one in measurements:
        if outside.is_one(one.cell.workload):
            found.setdefault(one.cell.workload.curve, set()).add(one.cell.workload.batch_size)
    return found


def _look(one: Measurement) -> tuple[Any, ...]:
    """What tells a measurement from others of its cell."""
    return replace(one.cell, repeat=0), one.measured_at, one.samples


def _check(device: Device, measurements: Iterable[Measurement], before: Iterable[Measurement]) -> None:
    law = "what is kept of a machine was measured on it"
    versions = {one.cell.framework: _version(one) for one in before if one.status == "ok"}
    for one in measurements:
        cell = one.cell
        if cell.device != device.name:
            raise DataError(law, f"{cell.device}, and this is {device.name}", "measure it here")
        if cell.workload.dtype == QUANTISED:
            raise DataError(
                "a calibration learns of floating point numbers", f"one of {QUANTISED}", "measure it without --save"
            )
        known = versions.setdefault(cell.framework, _version(one))
        if known != _version(one):
            got = f"{cell.framework} {known}, and {_version(one)} now"
            raise DataError("a calibration is of one version of each framework", got, "ftax calibrate --forget")


def _version(one: Measurement) -> str:
    return str(one.environment.get("framework_version", ""))


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


def about_from(record: Any) -> dict[str, Any]:
    """What a file says that a calibration was made with; raises `ValueError` where it is no such thing."""
    own = mapping(record, "what it was made with")
    found: dict[str, Any] = {name: text(own[name], name) for name in _ABOUT if name in own}
    if "versions" in own:
        packages = mapping(own["versions"], "versions")
        found["versions"] = {name: text(version, f"the version of {name}") for name, version in packages.items()}
    return found


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
            said = read_json(path, law="a calibration is JSON")["about"]
            here = detect("cpu")
            why = "; ".join(stale(said, here)) if device == here.name else "another device"
            found.append(Kept(device, str(said.get("calibrated_at", "")), why))
        except (ValueError, KeyError, TypeError, AttributeError):
            found.append(Kept(device, "", "it cannot be read: calibrate again"))
    return found


def forget(device: str) -> list[Path]:
    """Remove the calibration of a device; returns the files that were removed, none where there was none.

    Traces of models from outside go with the last of all measurements.
    """
    found = [path for path in (predictor_file(device), measurements_file(device)) if path.exists()]
    try:
        for path in found:
            path.unlink()
        if not list(folder().glob("*.jsonl")):
            shutil.rmtree(folder() / "traces", ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder(), error) from error
    return found
