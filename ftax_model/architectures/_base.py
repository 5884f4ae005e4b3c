"""What an architecture is: hyperparameters in, a module with random weights and its inputs out."""

from __future__ import annotations

import abc
import re
from collections.abc import Collection, Hashable, Mapping
from typing import Any, ClassVar

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.workload import DTYPES, Workload


class Architecture(abc.ABC):
    """One family of models that can be built from hyperparameters; one file in this folder each.

    A subclass sets the class attributes and writes `build`. Nothing is ever downloaded, and importing the file imports
    neither torch nor transformers: `build` does.
    """

    family: ClassVar[str]
    """``text-encoder``, ``generation``, ``vision``, ``speech`` or ``block``."""
    defaults: ClassVar[Mapping[str, Any]]
    """Every hyperparameter with its default; the type of the default is the type of the hyperparameter."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Published sizes by their usual names, each the hyperparameters that differ from the defaults."""
    input_unit: ClassVar[str]
    """What ``input_size`` counts: ``tokens``, ``pixels``, ``samples``, ``frames`` or ``features``."""
    default_input_size: ClassVar[int]
    lengths: ClassVar[tuple[str, ...]] = ("fixed",)
    """Which values of ``Workload.lengths`` this architecture takes."""
    dtypes: ClassVar[tuple[str, ...]] = tuple(DTYPES)
    """Which precisions it can be computed in."""

    parts: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Lists that say together of what parts models are put together: entries at one place are one choice, which adds
    the same to the operators whatever the others are (`place` says where a choice counts)."""

    form: ClassVar[str] = "module"
    """What `build` gives: a ``module`` of torch, or a ``trace``."""
    preload: ClassVar[tuple[str, ...]] = ("torch",)
    """Modules that `build` imports; a collection imports them once, before it forks its workers."""

    @abc.abstractmethod
    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        """The module in evaluation mode and its keyword inputs, for a *completed* workload.

        Both are made on torch's current default device (``with torch.device("meta")`` costs no memory) and in
        ``workload.dtype``. The caller seeds the random numbers.
        """

    def inputs_for(self, module: Any, workload: Workload) -> dict[str, Any] | None:
        """The inputs of ``workload`` for a module that `build` made for another batch size of it.

        ``None`` where the module does not fit: then `build` is called for every batch size. A subclass whose modules
        take long to build makes the inputs here without one.
        """
        return None

    @abc.abstractmethod
    def grid(self) -> list[Workload]:
        """A few small workloads, tiny to moderate, that stand for the family."""

    def check_value(self, name: str, value: Any) -> None:
        """Raise `InputError` unless ``value`` is of the type of hyperparameter ``name``, numbers above 0."""
        _same_type(name, value, self.defaults[name])

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `InputError` where hyperparameters contradict each other (heads that do not divide the width)."""

    def place(self, settings: Mapping[str, Any], name: str, at: int) -> Hashable | None:
        """Where an entry of a list in `parts` counts: the same for places at which choices add alike.

        ``None`` where the entry is not used.
        """
        return at

    def complete(self, workload: Workload) -> Workload:
        """The workload with every hyperparameter and the input size written out.

        Raises `InputError` for a hyperparameter that this architecture does not have, one of another type or not
        positive, and for contradictions. A preset is asked for with the hyperparameter ``preset``.
        """
        given = dict(workload.settings)
        preset = given.pop("preset", None)
        if preset is not None:
            plugins.check(preset, self.presets, what=f"preset of {workload.architecture}")
            given = {**self.presets[preset], **given}
        for name, value in given.items():
            plugins.check(name, self.defaults, what=f"hyperparameter of {workload.architecture}")
            self.check_value(name, value)
            check_count(name, value)
        plugins.check(workload.lengths, self.lengths, what=f"lengths of {workload.architecture}")
        plugins.check(workload.dtype, self.dtypes, what=f"dtype of {workload.architecture}")
        settings = {**self.defaults, **given}
        settings |= {name: float(settings[name]) for name, like in self.defaults.items() if isinstance(like, float)}
        self.check(settings)
        return Workload(
            workload.architecture,
            settings,
            batch_size=workload.batch_size,
            input_size=workload.input_size or self.default_input_size,
            dtype=workload.dtype,
            lengths=workload.lengths,
        )


MOST_PARTS = 50_000
"""Layers and parameters of the largest model that is built."""

_COUNTED = re.compile("layer|depth|block|stage|expert|label|cells|networks|new_tokens")


def check_count(name: str, value: Any) -> None:
    """Raise `InputError` where a value that counts parts of a model by its name, or one of a list, is beyond reason."""
    counts = [one for one in (value if isinstance(value, list | tuple) else [value]) if isinstance(one, int)]
    if _COUNTED.search(name) and max(counts, default=0) > MOST_PARTS:
        raise InputError(f"{name} is at most {MOST_PARTS:,}", str(max(counts)), "choose a smaller one")


def divides(settings: Mapping[str, Any], part: str, whole: str) -> None:
    """Raise `InputError` unless hyperparameter ``part`` divides ``whole``."""
    if settings[whole] % settings[part]:
        raise InputError(
            f"{part} divides {whole}", f"{part} {settings[part]}, {whole} {settings[whole]}", "change one of them"
        )


def even(settings: Mapping[str, Any], name: str) -> None:
    """Raise `InputError` unless hyperparameter ``name`` is even."""
    if settings[name] % 2:
        raise InputError(f"{name} is even", str(settings[name]), "take the next number")


def odd(settings: Mapping[str, Any], name: str) -> None:
    """Raise `InputError` unless hyperparameter ``name`` is odd."""
    if settings[name] % 2 == 0:
        raise InputError(f"{name} is odd", str(settings[name]), "take the next number")


def wide_enough(settings: Mapping[str, Any], ratio: str, widths: str) -> None:
    """Raise `InputError` unless hyperparameter ``ratio`` of the smallest of ``widths`` is a channel at least."""
    if min(settings[widths]) * settings[ratio] < 1:
        got = f"{ratio} {settings[ratio]}, {widths} {settings[widths]}"
        raise InputError(f"{ratio} times the smallest of {widths} is at least 1", got, "change one of them")


def equally_many(settings: Mapping[str, Any], one: str, other: str) -> None:
    """Raise `InputError` unless the lists ``one`` and ``other`` are of one length."""
    if len(settings[one]) != len(settings[other]):
        raise InputError(
            f"{one} and {other} are equally many",
            f"{one} {settings[one]}, {other} {settings[other]}",
            "change one of them",
        )


def as_many(settings: Mapping[str, Any], name: str, number: int) -> None:
    """Raise `InputError` unless the list ``name`` has ``number`` entries."""
    if len(settings[name]) != number:
        raise InputError(f"{name} has {number} entries", f"{len(settings[name])}: {settings[name]}", f"give {number}")


def each_of(settings: Mapping[str, Any], name: str, choices: Collection[Any]) -> None:
    """Raise `InputError` unless all entries of the list ``name`` are among ``choices``."""
    if not set(settings[name]) <= set(choices):
        law = f"{name} are of {', '.join(map(str, choices))}"
        raise InputError(law, ", ".join(map(str, settings[name])), "choose among these")


def _same_type(name: str, value: Any, default: Any) -> None:
    law = f"hyperparameter {name} is like its default {default!r}"
    if isinstance(default, bool) or isinstance(value, bool):
        good = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, int):
        good = isinstance(value, int) and value > 0
        law += ", a whole number above 0"
    elif isinstance(default, float):
        good = isinstance(value, int | float) and value > 0
        law += ", a number above 0"
    elif isinstance(default, tuple):
        good = isinstance(value, tuple) and len(value) > 0
        law += ", a list"
        if good:
            for item in value:
                _same_type(name, item, default[0])
    else:
        good = isinstance(value, type(default))
    if not good:
        raise InputError(law, repr(value), "give such a value")
