"""Tracing: a module becomes its operators, without weights or memory."""

from __future__ import annotations

from ftax_model.tracing.sweeps import ModuleSweep, along, checked_batch_sizes, trace_sweep
from ftax_model.tracing.trace import trace, trace_workload

__all__ = ["ModuleSweep", "along", "checked_batch_sizes", "trace", "trace_sweep", "trace_workload"]
