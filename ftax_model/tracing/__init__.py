"""Tracing: a module becomes its operators, without weights or memory."""
