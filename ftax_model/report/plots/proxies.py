"""What proxies are worth: latency over MACs, depth or another, and what it would be if that told all of it."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import (
    CELL,
    HEIGHT,
    Drawing,
    Plot,
    latency_s,
    log_y,
    regime_colour,
    regime_shape,
    rows,
    tooltip,
)

LABELS = {
    "macs": "MACs",
    "params": "parameters",
    "depth": "depth",
    "n_ops": "operators",
    "activations": "activations",
}


class Proxies(Plot):
    """A scatter of latency over one proxy at a time."""

    place = 4
    title = "Proxies"
    reading = (
        "The line is latency if the proxy told all of it, at the rate of compute-bound models: marks far above it take "
        "longer than the proxy says, and where marks of one regime rise along no line, the proxy ranks nothing there."
    )
    lacking = "no row holds MACs or another proxy"
    columns = {
        **CELL,
        **LABELS,
        "latency_ms": "latency (ms)",
        "regime": "regime",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row a cell: measured, or predicted where it was not."""
        cells = content.cells
        names = [name for name in LABELS if name in cells and cells[name].notna().any()]
        if not names:
            return pd.DataFrame()
        told = cells.assign(latency_ms=1e3 * latency_s(content))
        told = told[told[names].notna().any(axis=1) & told["latency_ms"].notna()]
        return told[[*(name for name in self.columns if name in told), "family"]]

    def chart(self, content: Content) -> Drawing:
        """The proxy is a choice below the plot, MACs at first."""
        names = [name for name in LABELS if name in content.cells and content.cells[name].notna().any()]
        choice = alt.binding_select(options=names, labels=[LABELS[name] for name in names], name="proxy ")
        proxy = alt.param(name="proxy", value=names[0], bind=choice)
        axis = alt.Axis(format="~s", tickCount=6)
        scale = alt.Scale(type="log", nice=False, padding=10)
        words = " : ".join(f"proxy == '{name}' ? '{LABELS[name]}'" for name in names) + " : proxy"
        title = alt.Chart(alt.InlineData([{}])).mark_text(
            x=alt.expr("width / 2"), y=alt.expr("height + 34"), text=alt.expr(words), fontSize=12
        )
        base = alt.Chart(rows()).transform_calculate(value="datum[proxy]").transform_filter("datum.value > 0")
        x = alt.X("value:Q", title=None, axis=axis, scale=scale)
        marks = base.mark_point(filled=True, size=34, opacity=0.65).encode(
            x=x,
            y=log_y("latency_ms", "latency (ms)"),
            color=regime_colour(),
            shape=regime_shape(),
            tooltip=tooltip(self),
        )
        each = "datum.regime == 'compute-bound' ? datum.latency_ms / datum.value : null"
        line = (
            base.transform_calculate(each=each)
            .transform_joinaggregate(rate="median(each)", least="min(latency_ms)")
            .transform_calculate(told="datum.rate * datum.value")
            .transform_filter("isValid(datum.rate) && datum.told > datum.least / 2")
            .mark_line(strokeDash=[6, 3], color="#888888")
            .encode(x=x, y=log_y("told", "latency (ms)"))
        )
        return alt.layer(line, marks, title).add_params(proxy).properties(height=HEIGHT)
