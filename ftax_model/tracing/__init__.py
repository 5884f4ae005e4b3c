"""Tracing: a module becomes its operators, without weights or memory."""

from __future__ import annotations

from ftax_model.tracing.trace import trace, trace_workload

__all__ = ["trace", "trace_workload"]
