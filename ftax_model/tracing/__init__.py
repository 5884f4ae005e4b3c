"""Tracing: a module becomes its operators, without weights or memory."""

from __future__ import annotations

from ftax_model.tracing.sweeps import BatchAxis, ModuleSweep, along, batch_axes, checked_batch_sizes, trace_sweep
from ftax_model.tracing.trace import trace, trace_workload

__all__ = [
    "BatchAxis",
    "ModuleSweep",
    "along",
    "batch_axes",
    "checked_batch_sizes",
    "trace",
    "trace_sweep",
    "trace_workload",
]
