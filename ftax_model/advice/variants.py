"""Variants: the same architecture longer, wider, narrower or a layer shallower, and a trace without some operators."""

from __future__ import annotations

import dataclasses
import math
from contextlib import suppress
from typing import Any

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.operators import Trace
from ftax_model.workload import Workload

WIDTHS = (
    "hidden_size", "intermediate_size", "embed_dim", "widths", "width", "channels", "neck_widths", "width_multiplier",
    "width_coefficient",
)  # fmt: skip
"""Hyperparameters that are a width; they are scaled together."""

DEPTHS = ("num_layers", "depths")
"""Hyperparameters that are a depth."""

_MULTIPLE = 8


def with_input_size(workload: Workload, input_size: int) -> Workload | None:
    """The workload with inputs of another size; ``None`` where the architecture takes none such."""
    return _completed(workload, workload.settings, input_size)


def scaled(workload: Workload, factor: float) -> Workload | None:
    """The workload so many times as wide, in multiples that heads and groups divide; ``None`` where it cannot be.

    >>> dict(scaled(architectures.complete(Workload("bert")), 0.5).hyperparameters)["hidden_size"]
    384
    """
    settings = workload.settings
    step = math.lcm(_MULTIPLE, *(one for name in ("num_heads", "groups") for one in _each(settings.get(name, 1))))
    wider = {name: _times(settings[name], factor, step) for name in WIDTHS if name in settings}
    if not wider or all(settings[name] == value for name, value in wider.items()):
        return None
    return _completed(workload, {**settings, **wider}, workload.input_size)


def a_layer_fewer(workload: Workload) -> Workload | None:
    """The workload with one layer fewer, of its deepest stage; ``None`` where it has one alone."""
    name = next((name for name in DEPTHS if name in workload.settings), None)
    if name is None:
        return None
    depth = workload.settings[name]
    if isinstance(depth, int):
        return _completed(workload, {**workload.settings, name: depth - 1}, workload.input_size) if depth > 1 else None
    at = depth.index(max(depth))
    fewer = tuple(count - (place == at) for place, count in enumerate(depth))
    return _completed(workload, {**workload.settings, name: fewer}, workload.input_size) if max(depth) > 1 else None


def without(trace: Trace, kind: str) -> Trace:
    """A trace without the operators of a kind, as if each were part of the one before it."""
    return dataclasses.replace(trace, operators=tuple(one for one in trace.operators if one.kind != kind))


def in_words(workload: Workload, names: tuple[str, ...]) -> str:
    """Those hyperparameters that are a width, or a depth, as people write them."""
    own = {name: workload.settings[name] for name in names if name in workload.settings}
    return ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in own.items())


def _each(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"


def _times(value: Any, factor: float, step: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_times(one, factor, step) for one in value)
    if isinstance(value, int):
        own = step if value >= step else 1
        return max(round(factor * value / own), 1) * own
    return factor * value


def _completed(workload: Workload, settings: dict[str, Any], input_size: int | None) -> Workload | None:
    with suppress(FtaxError):  # heads that do not divide it, an input that is too small: no such model
        return architectures.complete(
            Workload(
                workload.architecture, settings, input_size=input_size, dtype=workload.dtype, lengths=workload.lengths
            )
        )
    return None
