"""The framework's share of the time, over batch size: the paper's figure 3."""

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
    rows,
    tooltip,
)


class Overhead(Plot):
    """One curve for each framework and device."""

    place = 3
    title = "Overhead share"
    reading = (
        "The host's part of host and device time, as in figure 3 of the paper: above the line in the middle more time "
        "goes into dispatching operators than into computing them; large open marks are measured clocks."
    )
    lacking = "no prediction tells host and device time apart"
    one_workload = True
    columns = {
        **CELL,
        "share": "overhead share (%)",
        "host_ms": "host (ms)",
        "device_ms": "device (ms)",
        "measured_share": "measured share (%)",
        "regime": "regime",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row a cell."""
        cells = content.cells
        own = {
            "share": 100 * cells["host_s"] / (cells["host_s"] + cells["device_s"]),
            "host_ms": 1e3 * cells["host_s"],
            "device_ms": 1e3 * cells["device_s"],
            "measured_share": 100 * cells["measured_host_s"] / (cells["measured_host_s"] + cells["measured_device_s"]),
        }
        told = cells.assign(**own)
        return told[told[["share", "measured_share"]].notna().any(axis=1)][[*self.columns, "family"]]

    def chart(self, content: Content) -> Drawing:
        """Lines with marks, measured clocks, and the line where both are the same."""
        colour, shape = framework_colour(content), framework_shape(content)
        base = alt.Chart(rows()).encode(x=batch_axis(), detail=["device:N", "curve:N"], color=colour)
        scale = alt.Scale(domain=[0, 100])
        title = "overhead share (%)"
        y = alt.Y("share:Q", title=title, scale=scale)
        half = alt.Chart(rows()).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(y=alt.datum(50, type="quantitative"))
        line = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=device_dash(content))
        dots = base.mark_point(size=40, filled=True, opacity=1).encode(y=y, shape=shape, tooltip=tooltip(self))
        measured = base.mark_point(size=110, strokeWidth=2, filled=False).encode(
            y=alt.Y("measured_share:Q", title=title, scale=scale), shape=shape, tooltip=tooltip(self)
        )
        told = [measured] if content.cells["measured_host_s"].notna().any() else []
        return alt.layer(half, line, dots, *told).properties(height=HEIGHT)
