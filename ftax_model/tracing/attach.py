"""Attach: traces for what others measured, where the model they name is one of ours."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.measurement import Cell, Measurement
from ftax_model.tracing.trace import trace_sweep
from ftax_model.workload import Workload

NEAR = 0.25
"""Relative difference of MACs beyond which a model of the same name is another one; some counters miss attention."""


def attach(measurements: Iterable[Measurement]) -> tuple[list[Measurement], dict[str, str]]:
    """The measurements, those of models that are ours with their workload and the features of its trace.

    A model is told by its name (`called`), and by its MACs where the table gives them. Returned besides is why others
    are as they were, by name.
    """
    found, why, seen = [], dict[str, str](), Counter[str]()
    for one in measurements:
        cell, features = one.cell, one.features
        name = cell.workload.architecture
        try:
            own = _workload(cell.workload)
            if own is None:
                why[name] = "no architecture or preset of that name"
            else:
                traced = _features(own)
                given = features.get("macs")
                if given and abs(given / traced["macs"] - 1) > NEAR:
                    why[name] = f"{given / traced['macs']:.2f} times the MACs of ours"
                else:
                    cell, features = dataclasses.replace(cell, workload=own), {**features, **traced}
        except FtaxError as error:
            why[name] = str(error)
        cell = dataclasses.replace(cell, repeat=0)
        seen[cell.key] += 1
        cell = Cell(cell.workload, cell.framework, cell.device, cell.threads, seen[cell.key] - 1)
        found.append(dataclasses.replace(one, cell=cell, features=features))
    return found, why


def called(name: str) -> tuple[str, dict[str, str]] | None:
    """The architecture and hyperparameters that others call by a name; ``None`` where there are none.

    Case, hyphens and the like do not matter, nor what follows a point (timm's recipes), ``uncased`` and the pixels of
    an image.

    >>> called("resnet50.a1_in1k")
    ('resnet', {'preset': 'resnet-50'})
    >>> called("vit_base_patch16_224"), called("bert-base-uncased")
    (('vit', {'preset': 'vit-base-patch16'}), ('bert', {'preset': 'bert-base'}))
    >>> called("resnet200"), called("mobilenetv2_050")
    (None, None)
    """
    word = name.rpartition("/")[2].partition(".")[0].lower()
    if (own := _names().get(_plain(word))) is not None:
        return own
    shorter = _names().get(_plain(re.sub(r"[-_]((un)?cased|[0-9]{3})$", "", word)))
    return shorter if shorter and shorter[1] else None


@cache
def _names() -> dict[str, tuple[str, dict[str, str]]]:
    own = {
        _plain(preset): (name, {"preset": preset})
        for name in architectures.names()
        for preset in architectures.load(name).presets
    }
    return {**{_plain(name): (name, {}) for name in architectures.names()}, **own}


def _plain(name: str) -> str:
    return "".join(re.findall(r"[a-z0-9]+", name.lower()))


def _workload(given: Workload) -> Workload | None:
    found = called(given.architecture)
    if found is None:
        return None
    own = Workload(found[0], found[1], batch_size=given.batch_size, input_size=given.input_size, dtype=given.dtype)
    return architectures.complete(own)


@cache
def _features(workload: Workload) -> dict[str, float]:
    sizes: Sequence[int] = [workload.batch_size]
    return trace_sweep(workload.curve, sizes)[workload.batch_size].features()
