"""Latency against throughput: what larger batches buy, and the settings that nothing else beats in both."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import (
    CELL,
    HEIGHT,
    Drawing,
    Plot,
    device_dash,
    framework_colour,
    framework_shape,
    latency_s,
    log_y,
    rows,
    tooltip,
)


class Pareto(Plot):
    """One line for each framework and device, batch sizes along it."""

    place = 2
    title = "Latency against throughput"
    reading = (
        "Each mark is a batch size; rings with their batch size are the Pareto curve: no other setting shown has "
        "both a lower latency and a higher throughput."
    )
    lacking = "no batch sizes"
    one_workload = True
    columns = {
        **CELL,
        "latency_ms": "latency (ms)",
        "throughput": "throughput (samples/s)",
        "regime": "regime",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row a cell: measured, or predicted where it was not."""
        cells, seconds = content.cells, latency_s(content)
        told = cells.assign(latency_ms=1e3 * seconds, throughput=cells["batch_size"] / seconds)
        return told[seconds.notna()][[*self.columns, "family"]]

    def chart(self, content: Content) -> Drawing:
        """Lines, marks, and rings round those that no other beats; the rings follow the switches."""
        colour = framework_colour(content)
        axis = alt.Axis(format="~g", tickCount=6)
        x = alt.X("latency_ms:Q", title="latency (ms)", axis=axis, scale=alt.Scale(type="log", nice=False, padding=14))
        y = log_y("throughput", "throughput (samples/s)")
        base = alt.Chart(rows()).encode(x=x, y=y)
        line = base.mark_line(strokeWidth=1.5, opacity=0.8).encode(
            color=colour, strokeDash=device_dash(content), detail=["device:N", "curve:N"], order="batch_size:Q"
        )
        marks = base.mark_point(filled=True, size=55, opacity=1).encode(
            color=colour, shape=framework_shape(content), tooltip=tooltip(self)
        )
        best = base.transform_window(
            best="max(throughput)", sort=[alt.SortField("latency_ms")], frame=[None, 0]
        ).transform_filter("datum.throughput >= datum.best")
        rings = best.mark_point(filled=False, size=190, strokeWidth=1.5, shape="circle")
        sizes = best.mark_text(dy=-15, fontSize=12).encode(text="batch_size:Q")
        return alt.layer(line, marks, rings, sizes).properties(height=HEIGHT)
