"""Modules built without memory: weights on the meta device, whole numbers where they keep their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

T = TypeVar("T")

MOST_VALUES = 2**20
"""Elements of the largest tensor of whole numbers that keeps its values."""


def built(build: Callable[[], T]) -> T:
    """What a function builds, new weights on the meta device.

    Whole numbers and truth values (kernel sizes, positions) stay on the CPU, where a module can look at them; where
    that mixture does not work, everything is on the meta device. Raises what the function raises.
    """
    try:
        with _Empty():
            return build()
    except Exception:  # code of others: it can raise anything
        with torch.device("meta"):
            return build()


class _Empty(TorchFunctionMode):  # type: ignore[misc]
    """Puts new tensors on the meta device, but for few whole numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in _device_constructors() or kwargs.get("device") is not None:
            return func(*args, **kwargs)
        made = func(*args, **{**kwargs, "device": "meta"})
        whole = not (made.is_floating_point() or made.is_complex())
        return func(*args, **kwargs) if whole and made.numel() <= MOST_VALUES else made
