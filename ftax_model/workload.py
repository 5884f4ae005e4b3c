"""Workload: what is computed, apart from where and with what."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftax_model import plugins
from ftax_model.errors import InputError

Scalar = bool | int | float | str | tuple["Scalar", ...]

DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Precisions and their bytes per element."""

QUANTISED = "int8"
"""What a model that computes in whole numbers is told by, be they of 8 bits or fewer: it is traced, not predicted."""

_DTYPES = (*DTYPES, QUANTISED)

LENGTHS = ("fixed", "penn-treebank")
"""How long the sequences of a batch are: all ``input_size``, or drawn from Penn Treebank lengths and padded to it."""

MAX_BATCH_SIZE = 65_536
MAX_INPUT_SIZE = 1_000_000


@dataclass(frozen=True, init=False)
class Workload:
    """One inference call: an architecture with its hyperparameters, on a batch of inputs, in one precision.

    Raises `InputError` for a value outside its range. Frozen, hashable, ordered by nothing.

    Parameters
    ----------
    architecture : name of a plugin in ``ftax_model/architectures``; it is checked when the workload is completed. Or
        a kind of model from outside, whose hyperparameters say where it lies (`ftax_model.outside`).
    hyperparameters : names and values; those left out take the architecture's defaults.
    batch_size : inputs per call, 1 to 65,536.
    input_size : tokens, pixels per side, audio samples or features per input; ``None`` for the architecture's default.
    dtype : ``float32``, ``float16`` or ``bfloat16``; of a model from outside also `QUANTISED`.
    lengths : ``fixed``, or ``penn-treebank`` for padded text with an attention mask.

    Examples
    --------
    >>> Workload("bert", {"num_layers": 2}, batch_size=8)
    Workload('bert', num_layers=2, batch_size=8)
    """

    architecture: str
    hyperparameters: tuple[tuple[str, Scalar], ...]
    batch_size: int
    input_size: int | None
    dtype: str
    lengths: str

    def __init__(
        self,
        architecture: str,
        hyperparameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        *,
        batch_size: int = 1,
        input_size: int | None = None,
        dtype: str = "float32",
        lengths: str = "fixed",
    ) -> None:
        if not isinstance(architecture, str):
            raise InputError("an architecture is a name", repr(architecture), "choose one: ftax list")
        plugins.check(dtype, _DTYPES, what="dtype")
        plugins.check(lengths, LENGTHS, what="lengths")
        for name, value in {
            "architecture": architecture,
            "hyperparameters": _pairs(hyperparameters),
            "batch_size": whole("batch size", batch_size, MAX_BATCH_SIZE),
            "input_size": None if input_size is None else whole("input size", input_size, MAX_INPUT_SIZE),
            "dtype": dtype,
            "lengths": lengths,
        }.items():
            object.__setattr__(self, name, value)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Hyperparameters as a dictionary."""
        return dict(self.hyperparameters)

    @property
    def model(self) -> Workload:
        """Architecture and hyperparameters alone: what all rows of one model share."""
        return Workload(self.architecture, self.hyperparameters)

    @property
    def curve(self) -> Workload:
        """The same workload at batch size 1: what all rows of one batch sweep share."""
        return self.with_batch_size(1)

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name this workload across files and runs."""
        text = json.dumps(self.to_record(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_batch_size(self, batch_size: int) -> Workload:
        """The same workload with another batch size."""
        return Workload(**{**self._fields(), "batch_size": batch_size})

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `from_record` is the way back."""
        return {**self._fields(), "hyperparameters": self.settings}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Workload:
        """The workload that `to_record` wrote."""
        return cls(**record)

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        parts = [repr(self.architecture), *(f"{key}={value!r}" for key, value in self.hyperparameters)]
        parts.append(f"batch_size={self.batch_size}")
        parts += [f"input_size={self.input_size}"] if self.input_size is not None else []
        parts += [f"dtype={self.dtype!r}"] if self.dtype != "float32" else []
        parts += [f"lengths={self.lengths!r}"] if self.lengths != "fixed" else []
        return f"Workload({', '.join(parts)})"


def grid(architecture: str, **axes: Any) -> list[Workload]:
    """Every combination of the given values; an axis is a list of values, anything else is one value.

    ``batch_size``, ``input_size``, ``dtype`` and ``lengths`` are the workload's own; every other axis is a
    hyperparameter.
    A hyperparameter that is itself a list (the depths of a ResNet) is given as a tuple.

    Examples
    --------
    >>> [w.batch_size for w in grid("mlp", num_layers=2, batch_size=[1, 8])]
    [1, 8]
    """
    own = ("batch_size", "input_size", "dtype", "lengths")
    values = [value if isinstance(value, list) else [value] for value in axes.values()]
    workloads = []
    for combination in itertools.product(*values):
        cell = dict(zip(axes, combination, strict=True))
        direct = {name: cell.pop(name) for name in own if name in cell}
        workloads.append(Workload(architecture, cell, **direct))
    return workloads


def _pairs(hyperparameters: Any) -> tuple[tuple[str, Scalar], ...]:
    try:
        items = dict(hyperparameters).items()
    except (TypeError, ValueError) as error:
        raise InputError("hyperparameters are names and values", repr(hyperparameters), "give a mapping") from error
    return tuple(sorted((str(key), _frozen(value)) for key, value in items))


def _frozen(value: Any) -> Scalar:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):  # those of numpy too
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise InputError(
        "a hyperparameter is a number, a word, a yes or no, or a list of those", repr(value), "give such a value"
    )


def whole(what: str, value: object, largest: int) -> int:
    """A value that is a whole number from 1 to ``largest``; raises `InputError` for any other."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not 1 <= int(value) <= largest:
        raise InputError(f"{what} is a whole number from 1 to {largest}", repr(value), "choose one in that range")
    return int(value)
