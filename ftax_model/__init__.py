"""Predict inference latency, its regime and the framework/compute crossover batch size."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftax_model.checks import check
    from ftax_model.dataset import load_dataset
    from ftax_model.modeling.estimators.regime import RegimeModel
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.workload import Workload

__all__ = ["LatencyPredictor", "RegimeModel", "Workload", "__version__", "check", "load_dataset"]

_HOME = {
    "LatencyPredictor": "ftax_model.modeling.predictor",
    "RegimeModel": "ftax_model.modeling.estimators.regime",
    "Workload": "ftax_model.workload",
    "check": "ftax_model.checks",
    "load_dataset": "ftax_model.dataset",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        return metadata.version("ftax-model")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
