"""Latency over batch size: predicted curves with their bands, and measured points."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import (
    CELL,
    HEIGHT,
    Drawing,
    Plot,
    batch_axis,
    device_dash,
    framework_colour,
    framework_shape,
    log_y,
    rows,
    tooltip,
)


class Latency(Plot):
    """One curve for each framework and device."""

    place = 1
    title = "Latency over batch size"
    reading = (
        "Lines are predictions with the band that holds most latencies, large open marks what was measured; a flat "
        "line is framework-bound, and the lowest is the fastest."
    )
    lacking = "no batch sizes"
    one_workload = True
    columns = {
        **CELL,
        "predicted_ms": "predicted (ms)",
        "low_ms": "low (ms)",
        "high_ms": "high (ms)",
        "measured_ms": "measured (ms)",
        "regime": "regime",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row a cell."""
        cells = content.cells
        pairs = (("predicted_s", "predicted_ms"), ("low_s", "low_ms"), ("high_s", "high_ms"))
        own = {ms: 1e3 * cells[s] for s, ms in (*pairs, ("measured_s", "measured_ms"))}
        return cells.assign(**own)[[*self.columns, "family"]]

    def chart(self, content: Content) -> Drawing:
        """Bands, lines, small marks where it is predicted, large ones where it is measured."""
        colour, shape = framework_colour(content), framework_shape(content)
        base = alt.Chart(rows()).encode(x=batch_axis(), detail=["device:N", "curve:N"])
        y = log_y("predicted_ms", "latency (ms)")
        band = base.mark_area(opacity=0.16).encode(y=log_y("low_ms", "latency (ms)"), y2="high_ms:Q", color=colour)
        line = base.mark_line(strokeWidth=2).encode(y=y, color=colour, strokeDash=device_dash(content))
        dots = base.mark_point(size=28, filled=True, opacity=1).encode(y=y, color=colour, shape=shape)
        measured = base.mark_point(size=110, strokeWidth=2, filled=False).encode(
            y=log_y("measured_ms", "latency (ms)"), color=colour, shape=shape, tooltip=tooltip(self)
        )
        told = [measured] if content.cells["measured_s"].notna().any() else []
        return alt.layer(band, line, dots.encode(tooltip=tooltip(self)), *told).properties(height=HEIGHT)
