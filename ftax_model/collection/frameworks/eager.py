"""Eager PyTorch: one dispatch per operator, from Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ftax_model.collection.frameworks._torch import TorchFramework
from ftax_model.device import Device


class Eager(TorchFramework):
    """The module called as it is."""

    def prepare(self, model: Any, inputs: dict[str, Any], device: Device) -> Callable[[], Any]:
        """The module with its inputs bound."""
        return functools.partial(model, **inputs)
