"""Architecture search: the cost of a candidate, and the space that candidates come from."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftax_model.nas.cost import LatencyCost
    from ftax_model.nas.space import SearchSpace

__all__ = ["LatencyCost", "SearchSpace"]

_HOME = {"LatencyCost": "cost", "SearchSpace": "space"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
