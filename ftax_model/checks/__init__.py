"""Checks say what is odd about a dataset, a predictor or a plan: one file a check, the file name is the registry."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ftax_model import dataset, plugins
from ftax_model.checks._base import FINE, LEVELS, ODD, WRONG, Check, Finding
from ftax_model.checks._seen import Fitted, Measured, Planned, Seen
from ftax_model.collection import plan
from ftax_model.device import Device, detect
from ftax_model.errors import DataError, InputError, MissingError
from ftax_model.modeling import predictor
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.modeling.predictor import LatencyPredictor

__all__ = [
    "FINE",
    "LEVELS",
    "ODD",
    "WRONG",
    "Check",
    "Finding",
    "Looked",
    "Seen",
    "check",
    "load",
    "look",
    "looked",
    "names",
    "see",
]


def names() -> list[str]:
    """All checks, sorted."""
    return plugins.names(__name__)


@cache
def load(name: str) -> Check[Any]:
    """The check of that name; raises `InputError` for a name that is not there."""
    found = plugins.load(__name__, name)()
    assert isinstance(found, Check)
    return found


def check(
    what: str | os.PathLike[str] | None = None,
    *,
    against: str | os.PathLike[str] | None = None,
    only: Iterable[str] | None = None,
) -> list[Finding]:
    """What is odd or wrong about a dataset, a predictor or a plan, given by name or by path; wrong things first.

    Without a name it is this machine's own calibration, held against this machine. ``against`` is a dataset that a
    predictor is held against; ``only`` names some of the checks. Raises `InputError` for a name that means nothing, and
    `DataError` for a file that cannot be read.
    """
    return [finding for one in looked(what, against=against, only=only) for finding in one.findings]


class Looked(NamedTuple):
    """One thing that was looked at, the names of the checks that did, and what they found, wrong things first."""

    seen: Seen
    checks: list[str]
    findings: list[Finding]


def looked(
    what: str | os.PathLike[str] | None = None,
    *,
    against: str | os.PathLike[str] | None = None,
    only: Iterable[str] | None = None,
) -> list[Looked]:
    """As `check`, for each thing: of this machine's calibration, the predictor and the measurements that it is made of.

    Raises `InputError` too where none of the checks named looks at such a thing.
    """
    chosen = names() if only is None else list(only)
    kinds = {name: load(name).kind for name in chosen}
    found = []
    for seen in see(what, against=against):
        own = [name for name in chosen if isinstance(seen, kinds[name])]
        found.append(Looked(seen, own, look(seen, only=own)))
    if not any(one.checks for one in found):
        seen = found[0].seen
        own = [name for name in names() if isinstance(seen, load(name).kind)]
        raise InputError(
            f"checks of a {seen.kind} are {', '.join(own)}",
            ", ".join(chosen),
            "choose some of those: ftax check --list",
        )
    return found


def see(what: str | os.PathLike[str] | None = None, *, against: str | os.PathLike[str] | None = None) -> list[Seen]:
    """What `check` looks at: one thing, or the predictor and the measurements of this machine's calibration."""
    beside = None if against is None else _measured(against)
    if what is None:
        here = detect("cpu")
        own = mine.current()
        if own is None:
            law, cure = "without a file, this machine's calibration is checked", "make one: ftax calibrate"
            raise DataError(law, f"none of {here.name}", cure)
        rows = mine.measurements_file(here.name)
        measured = _measured(rows) if rows.is_file() else None
        found = Fitted("this machine's calibration", LatencyPredictor.load(own), here, beside or measured)
        return [found, *([measured] if measured else [])]
    kind = _kind(what)
    if against is not None and kind != "predictor":
        raise InputError("what is held against a dataset is a predictor", f"the {kind} {what}", "leave --against out")
    if kind == "dataset":
        return [_measured(what)]
    if kind == "plan":
        return [Planned(str(what), plan.load_plan(what), detect("cpu"))]
    loaded = LatencyPredictor.load(what)
    return [Fitted(str(what), loaded, _here(loaded) if loaded.about_ else None, beside)]


def look(seen: Seen, *, only: Iterable[str] | None = None) -> list[Finding]:
    """What all checks of its kind, or ``only`` some, find in one thing, wrong things first."""
    own = [load(name) for name in (names() if only is None else only)]
    found = [finding for one in own if isinstance(seen, one.kind) for finding in one.find(seen)]
    return sorted(found, key=lambda finding: -LEVELS.index(finding.level))


def _here(calibration: LatencyPredictor) -> Device:
    """The device at hand that a calibration may be of; the CPU where there is no GPU."""
    kind = kind_of(str(calibration.about_.get("device", "")))
    try:
        return detect(kind)
    except MissingError:
        return detect("cpu")


def _measured(name: str | os.PathLike[str]) -> Measured:
    found = dataset.read(dataset.find(name))
    if not found:
        raise DataError("a dataset has records", f"none in {name}", "measure some: ftax collect")
    return Measured(str(name), tuple(found))


def _kind(what: str | os.PathLike[str]) -> str:
    """Whether a name or path is one of a dataset, a predictor or a plan; raises `InputError` where it is none."""
    path = Path(what)
    if path.suffix or path.exists() or len(path.parts) > 1:
        if path.name.endswith(dataset.SUFFIXES):
            return "dataset"
        if path.suffix in (".yaml", ".yml"):
            return "plan"
        if path.name.endswith((".json", ".json.gz")):
            return "predictor"
        law = "a dataset ends in .jsonl or .jsonl.gz, a predictor in .json or .json.gz, a plan in .yaml"
        raise InputError(law, str(path), "rename it, or name one that comes along (ftax list)")
    known = {**dict.fromkeys(plan.names(), "plan"), **dict.fromkeys(predictor.shipped(), "predictor")}
    known |= dict.fromkeys(dataset.names(), "dataset")
    plugins.check(str(what), known, what="what is checked")
    return known[str(what)]
