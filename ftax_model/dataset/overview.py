"""What a dataset holds, counted without building its records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from ftax_model import device
from ftax_model.measurement import Record


class Seen(NamedTuple):
    """What counts of a record; ``hyperparameters`` are its JSON."""

    architecture: str
    hyperparameters: str
    dtype: str
    framework: str
    device: str
    status: str

    @classmethod
    def of(cls, record: Record) -> Seen:
        """What counts of a record that was built."""
        cell, workload = record.cell, record.cell.workload
        settings = json.dumps(workload.settings, separators=(",", ":"))
        return cls(workload.architecture, settings, workload.dtype, cell.framework, cell.device, record.status)


def counts(seen: Iterable[Seen]) -> dict[str, Any]:
    """``measurements`` (good ones), ``failed``, ``models``, ``architectures``; and the names of ``frameworks``,
    ``devices`` and ``dtypes``.
    """
    good, failed = 0, 0
    models, frameworks, devices, dtypes = set(), set(), set(), set()
    for one in seen:
        if one.status != "ok":
            failed += 1
            continue
        good += 1
        models.add((one.architecture, one.hyperparameters))
        frameworks.add(one.framework)
        devices.add(one.device)
        dtypes.add(one.dtype)
    return {
        "measurements": good,
        "failed": failed,
        "models": len(models),
        "architectures": len({architecture for architecture, _ in models}),
        "frameworks": sorted(frameworks),
        "devices": sorted(devices),
        "dtypes": sorted(dtypes),
    }


def check(found: Any) -> None:
    """Raise `ValueError` where something is not what `counts` gives."""
    for name, empty in counts([]).items():
        own = found.get(name) if isinstance(found, dict) else None
        whole = isinstance(own, int) and not isinstance(own, bool) and own >= 0
        words = isinstance(own, list) and all(isinstance(word, str) for word in own)
        if not (whole if isinstance(empty, int) else words):
            raise ValueError(f"{name} is not counted")


def glance(line: bytes) -> Seen | None:
    """What counts of a record, by how its line begins; ``None`` where `ftax_model.dataset.Writer` did not write it."""
    found = _HEAD.match(line)
    if not found:
        return None
    architecture, settings, dtype, framework, name, status = (one.decode() for one in found.groups())
    model = _MODEL.search(line, found.end()) if b"core" in found[5] else None
    return Seen(architecture, settings, dtype, framework, _renamed(name, model[1].decode()) if model else name, status)


_NAME = rb'"([^"\\]+)"'
_HEAD = re.compile(
    rb'\{"schema":1,"key":"[^"\\]+","workload":\{"architecture":' + _NAME
    + rb',"hyperparameters":(\{[^{}\\]*\}),"batch_size":\d+,"input_size":(?:\d+|null),"dtype":' + _NAME
    + rb',"lengths":"[^"\\]+"\},"framework":' + _NAME + rb',"device":' + _NAME
    + rb',"threads":\d+,"repeat":\d+,"status":' + _NAME
)  # fmt: skip
_MODEL = re.compile(rb'"device_model":' + _NAME)
_renamed = cache(device.renamed)
