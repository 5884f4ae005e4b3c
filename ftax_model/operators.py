"""Operator and Trace: what a workload asks of a framework, one dispatch after another, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class Operator:
    """One dispatched operator.

    ``inputs`` and ``outputs`` are shapes; ``activation_bytes`` and ``weight_bytes`` are memory traffic in bytes, each
    tensor counted once where it is read and once where it is written; ``level`` is the length of the longest chain of
    operators with MACs that ends here, this one included; ``attributes`` holds what else sets the cost (groups, kernel,
    stride); ``layer`` is the path of the module that dispatched it.
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

    @property
    def output_elements(self) -> int:
        """Elements of all outputs."""
        return sum(math.prod(shape) for shape in self.outputs)


@dataclass(frozen=True)
class Trace:
    """The operators of one call in the order of dispatch, views left out, and the number of parameter elements."""

    operators: tuple[Operator, ...]
    params: int

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
