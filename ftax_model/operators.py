"""Operator and Trace: what a workload asks of a framework, one dispatch after another, and what each of them took."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftax_model.errors import DataError
from ftax_model.fields import (
    COUNT,
    MOST_ELEMENTS,
    NAME,
    SECONDS,
    SHAPES,
    Kind,
    check,
    each,
    named,
    optional,
    shown,
    some,
    text,
    whole,
)

FEATURES: Mapping[str, str] = {
    "macs": "multiply-accumulate operations of one call",
    "params": "elements of parameters",
    "depth": "longest chain of operators that have MACs",
    "n_ops": "dispatched non-view operators",
    "activations": "elements put out by operators that have MACs",
    "activation_bytes": "bytes of activations read and written by all operators",
    "weight_bytes": "bytes of parameters and buffers read by all operators",
}
"""The columns every trace gives, and what each counts. All are of one call, the whole batch."""

MEMORY: Mapping[str, str] = {
    "model_bytes": "bytes of all parameters and buffers, each once",
    "live_bytes": "bytes of activations that one operator of the call finds alive, at most",
}
"""What a trace tells of memory, and what each counts."""

SIGNATURE = ("kind", "inputs", "outputs", "macs", "activation_bytes", "weight_bytes", "attributes")
"""Fields of an operator that set its cost."""

PLACE = ("layer", "level")
"""Fields of an operator that say where in the model it is."""

TIMES = ("host_s", "device_s")
"""Fields of a timing beside its operator."""

_EXTENT, _STEPS = whole(0, MOST_ELEMENTS), some(whole(1, MOST_ELEMENTS))
ATTRIBUTES: Mapping[str, Kind] = {
    **dict.fromkeys(("batch", "m", "k", "n", "heads", "q_length", "kv_length", "head_size"), _EXTENT),
    **dict.fromkeys(("tokens", "matrices", "hidden_size", "input_size"), _EXTENT),
    **dict.fromkeys(("kernel", "stride", "dilation"), _STEPS),
    "groups": whole(1, MOST_ELEMENTS),
}
OPERATOR: Mapping[str, Kind] = {
    "kind": NAME,
    **dict.fromkeys(("inputs", "outputs"), SHAPES),
    **dict.fromkeys(("macs", "activation_bytes", "weight_bytes"), COUNT),
    "level": whole(0, 10**9),
    "attributes": named(ATTRIBUTES),
    "layer": text(1000),
    "live_bytes": optional(COUNT),
}
TRACE: Mapping[str, Kind] = {"params": COUNT, "way": text(1000), "model_bytes": optional(COUNT)}
TIMING: Mapping[str, Kind] = dict.fromkeys(TIMES, optional(SECONDS))
"""What the fields of an operator, a trace and a timing may be, where strangers wrote them."""

_PLACES = {name: each(OPERATOR[name]) for name in PLACE}


@dataclass(frozen=True)
class Operator:
    """One dispatched operator.

    ``inputs`` and ``outputs`` are shapes; ``activation_bytes`` and ``weight_bytes`` are memory traffic in bytes, each
    tensor counted once where it is read and once where it is written; ``level`` is the length of the longest chain of
    operators with MACs that ends here, this one included; ``attributes`` holds what else sets the cost (groups, kernel,
    stride); ``layer`` is the path of the module that dispatched it. ``live_bytes`` are those of all activations alive
    while it runs, its own outputs and the inputs of the call included; ``None`` where that was not counted.
    """

    kind: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    macs: int = 0
    activation_bytes: int = 0
    weight_bytes: int = 0
    level: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    layer: str = ""
    live_bytes: int | None = None

    @property
    def signature(self) -> dict[str, Any]:
        """What sets the cost, as plain JSON values: all but the place in the model."""
        return {name: _plain(getattr(self, name)) for name in SIGNATURE}

    @property
    def output_elements(self) -> int:
        """Elements of all outputs."""
        return sum(math.prod(shape) for shape in self.outputs)


@dataclass(frozen=True)
class Trace:
    """The operators of one call in the order of dispatch, views left out, and the number of parameter elements.

    ``model_bytes`` are those of all parameters and buffers, ``None`` where they were not counted. ``way`` says in words
    on what it was taken, where that was neither the meta device nor the module itself.
    """

    operators: tuple[Operator, ...]
    params: int
    way: str = field(default="", compare=False)
    model_bytes: int | None = None

    def features(self) -> dict[str, float]:
        """One value for each name in `FEATURES`."""
        compute = [operator for operator in self.operators if operator.macs]
        return {
            "macs": float(sum(operator.macs for operator in compute)),
            "params": float(self.params),
            "depth": float(max((operator.level for operator in self.operators), default=0)),
            "n_ops": float(len(self.operators)),
            "activations": float(sum(operator.output_elements for operator in compute)),
            "activation_bytes": float(sum(operator.activation_bytes for operator in self.operators)),
            "weight_bytes": float(sum(operator.weight_bytes for operator in self.operators)),
        }

    def memory(self) -> dict[str, float]:
        """One value for each name in `MEMORY`; nan where it was not counted."""
        alive = [operator.live_bytes for operator in self.operators]
        counted = [value for value in alive if value is not None]
        return {
            "model_bytes": math.nan if self.model_bytes is None else float(self.model_bytes),
            "live_bytes": float(max(counted)) if counted and len(counted) == len(alive) else math.nan,
        }

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values, those that are not known left out; `from_record` is the way back."""
        own = [
            {name: _plain(value) for name, value in vars(operator).items() if value is not None}
            for operator in self.operators
        ]
        record: dict[str, Any] = {"params": self.params, "operators": own}
        record |= {"way": self.way} if self.way else {}
        return record | ({} if self.model_bytes is None else {"model_bytes": self.model_bytes})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Trace:
        """From plain JSON values: ``params``, ``operators`` with the fields of `Operator`; ``way`` and ``model_bytes``
        where they are there.

        Raises `KeyError`, `TypeError` or `ValueError` for anything else.
        """
        check(TRACE, record)
        operators = tuple(_operator({**one}) for one in record["operators"])
        return cls(operators, record["params"], record.get("way", ""), record.get("model_bytes"))


@dataclass(frozen=True)
class OperatorTiming:
    """What one operator of a trace took, median over calls.

    ``host_s`` are the seconds until its dispatch returned, with all that it called; ``None`` where the run did not show
    the operator. ``device_s`` are the seconds that its kernels ran, ``None`` where the host itself computes.
    """

    operator: Operator
    host_s: float | None = None
    device_s: float | None = None


def timings_to_record(timings: Iterable[OperatorTiming]) -> list[dict[str, Any]]:
    """As plain JSON values; `timings_from_record` is the way back.

    Operators of one signature share an entry, which lists for each of them its position in the trace (``at``), layer,
    level and times. Times that are all ``None`` are left out.
    """
    entries: dict[str, dict[str, Any]] = {}
    for at, timing in enumerate(timings):
        signature = timing.operator.signature
        entry = entries.setdefault(json.dumps(signature), signature | {name: [] for name in ("at", *PLACE, *TIMES)})
        entry["at"].append(at)
        for name in PLACE:
            entry[name].append(getattr(timing.operator, name))
        for name in TIMES:
            entry[name].append(getattr(timing, name))
    for entry in entries.values():
        for name in TIMES:
            if set(entry[name]) == {None}:
                del entry[name]
    return list(entries.values())


def timings_from_record(record: Iterable[Mapping[str, Any]]) -> tuple[OperatorTiming, ...]:
    """The timings that `timings_to_record` wrote; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    found: dict[int, OperatorTiming] = {}
    for entry in record:
        signature = {name: _frozen(entry[name]) for name in SIGNATURE}
        _check(signature)
        check(_PLACES, entry)
        places = zip(*(entry[name] for name in PLACE), strict=True)
        times = zip(*(entry.get(name, [None] * len(entry["at"])) for name in TIMES), strict=True)
        for at, place, seconds in zip(entry["at"], places, times, strict=True):
            found[at] = OperatorTiming(Operator(**signature, **dict(zip(PLACE, place, strict=True))), *seconds)
    return tuple(found[at] for at in range(len(found)))


def _operator(values: dict[str, Any]) -> Operator:
    own = Operator(**{name: _frozen(value) for name, value in values.items()})
    _check(vars(own))
    return own


def _check(values: Mapping[str, Any]) -> None:
    """Raise `DataError` unless these are values of an operator, a convolution with its input, weights and output."""
    check(OPERATOR, values)
    if "kernel" in values["attributes"]:
        axes = [len(shape) for shape in (*values["inputs"][:2], *values["outputs"][:1])]
        if len(axes) < 3 or min(axes) < 2:
            shapes = f"inputs {shown(values['inputs'])}, outputs {shown(values['outputs'])}"
            raise DataError("what has a kernel has shapes of an input, of weights and of an output", shapes, "mend it")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
