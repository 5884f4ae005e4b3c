"""Attach: traces for what others measured, given beside the table, or of the models in it that are ours."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path

from ftax_model import architectures, files
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.fields import check
from ftax_model.measurement import Cell, Measurement
from ftax_model.operators import Trace
from ftax_model.tracing.sources import TRACED, Traced, batch_size_of, held, of_function
from ftax_model.tracing.sweeps import trace_sweep
from ftax_model.workload import Workload

NEAR = 0.25
"""Relative difference of MACs beyond which a model of the same name is another one; some counters miss attention."""


def attach(
    measurements: Iterable[Measurement], given: Mapping[str, Traced] | None = None, *, ours: bool = True
) -> tuple[list[Measurement], dict[str, str]]:
    """The measurements with the features of traces, of models that are ``given`` by name or that are ``ours``.

    A model of ours is told by its name (`called`), and becomes that workload. Where the table gives MACs, those of the
    trace are about as many, else it is of another model. Returned besides is why others are as they were, by name.
    """
    found, why, seen = [], dict[str, str](), Counter[str]()
    for one in measurements:
        workload, features = one.cell.workload, one.features
        try:
            own, traced = _trace(workload, given or {}, ours=ours)
            macs, told = traced["macs"], features.get("macs")
            if told and not (1 - NEAR) * told < macs < (1 + NEAR) * told:
                raise InputError(
                    "a trace has about the MACs of the table", f"{macs:.3g} for {told:.3g}", "look at both"
                )
            workload, features = own, {**features, **traced}
        except FtaxError as error:
            why[workload.architecture] = str(error)
        cell = Cell(workload, one.cell.framework, one.cell.device, one.cell.threads)
        seen[cell.key] += 1
        cell = dataclasses.replace(cell, repeat=seen[cell.key] - 1)
        found.append(dataclasses.replace(one, cell=cell, features=features))
    return found, why


def read_traces(path: str | os.PathLike[str]) -> dict[str, Traced]:
    """The traces in a file of JSON Lines: ``model``, ``params``, ``operators`` (`Trace.from_record`), ``batch_size``.

    A line that lacks the batch size is of 1; what ``ftax trace --out`` wrote is such a line too. Raises `DataError` for
    a file that cannot be read and for a line that holds no trace, with its number.
    """
    path, found = Path(path), dict[str, dict[int, Trace]]()
    law = "a file of traces holds a JSON object a line, with model, batch_size, params and operators"
    for number, line in enumerate(files.lines(path, law=law, do="check the path"), start=1):
        try:
            record = files.parse_json(line)
            check(TRACED, record)
            own = found.setdefault(record["model"], {})
            for one in record.get("traces", [record]):
                own[batch_size_of(one, 1)] = Trace.from_record(one)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            got = f"{path} line {number}: {type(error).__name__}: {error}"
            raise DataError(law, got, "mend or drop the line") from error
    return {name: partial(held, name, traces) for name, traces in found.items()}


def of_module(word: str) -> tuple[str, Traced]:
    """From ``NAME=PACKAGE.FILE:FUNCTION`` the name of a model, and the traces of what the function builds.

    Raises `InputError` where that is no such word; what goes wrong in the function is told by the traces.
    """
    name, _, place = word.partition("=")
    if not (name and place.partition(":")[2]):
        law = "a module is NAME=PACKAGE.FILE:FUNCTION, whose FUNCTION() returns an nn.Module and the inputs of one call"
        raise InputError(law, repr(word), "write for example my_net=my_package.nets:build")
    made = cache(lambda: of_function(place))
    return name, lambda sizes, more=(): made().traced(sizes, more)


def _trace(workload: Workload, given: Mapping[str, Traced], *, ours: bool) -> tuple[Workload, dict[str, float]]:
    """The workload that a table speaks of, and the features of its trace."""
    name = workload.architecture
    if name in given:
        return workload, given[name]([size := workload.batch_size], ())[size].features()
    own = _workload(workload) if ours else None
    if own is None:
        raise InputError("a model has a trace, or a name that is ours", "neither", "give it: --traces, --module")
    return own, _features(own)


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
    return trace_sweep(workload.curve, [workload.batch_size])[workload.batch_size].features()
