"""Checks say what is odd about a dataset, a predictor or a plan: one file a check, the file name is the registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ftax_model import dataset, plugins
from ftax_model.checks._base import FINE, LEVELS, ODD, WRONG, Check, Finding
from ftax_model.checks._seen import Fitted, Measured, Planned, Seen
from ftax_model.collection import plan
from ftax_model.device import detect
from ftax_model.errors import DataError, InputError
from ftax_model.modeling import predictor
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.predictor import LatencyPredictor

__all__ = ["FINE", "LEVELS", "ODD", "WRONG", "Check", "Finding", "Seen", "check", "load", "look", "names", "of", "see"]

Progress = Callable[[str], None]


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
    return [finding for seen in see(what, against=against) for finding in look(seen, only=only)]


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
    return [Fitted(str(what), loaded, detect("cpu") if loaded.about_ else None, beside)]


def look(seen: Seen, *, only: Iterable[str] | None = None, tell: Progress | None = None) -> list[Finding]:
    """What all checks of its kind, or ``only`` some, find in one thing, wrong things first; ``tell`` hears of each."""
    found = []
    for name in of(seen, names() if only is None else only):
        if tell is not None:
            tell(name)
        found += list(load(name).find(seen))
    return sorted(found, key=lambda finding: -LEVELS.index(finding.level))


def of(seen: Seen, chosen: Iterable[str]) -> list[str]:
    """Those of some checks that look at such a thing; raises `InputError` for a name that is not there."""
    return [name for name in chosen if isinstance(seen, load(name).kind)]


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
