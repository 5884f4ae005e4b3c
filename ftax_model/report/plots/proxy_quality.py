"""Proxy quality over batch size: where MACs begin to rank latency, and where the number of operators ceases to."""

from __future__ import annotations

import altair as alt
import pandas as pd
from scipy.stats import spearmanr

from ftax_model.modeling.judging.ranking import FEWEST
from ftax_model.modeling.platforms.platform import BLOCK
from ftax_model.report.content import Content
from ftax_model.report.plots._base import (
    COLOURS,
    HEIGHT,
    SHAPES,
    Drawing,
    Plot,
    batch_axis,
    latency_s,
    rows,
    tooltip,
)
from ftax_model.report.plots.proxies import LABELS


class ProxyQuality(Plot):
    """A line for each proxy, of one framework and device at a time."""

    place = 4
    title = "Proxy quality over batch size"
    reading = (
        "The higher a line, the better its proxy ranks the models of that batch size; where two lines cross, the "
        f"better proxy changes. Single layers are left out, and batch sizes with fewer than {FEWEST} models."
    )
    lacking = f"no framework has {FEWEST} models at one batch size"
    columns = {
        "framework": "framework",
        "device": "device",
        "batch_size": "batch size",
        "series": "proxy",
        "spearman": "Spearman correlation with latency",
        "rows": "models",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row for each framework, device, batch size and proxy; models of the most measured precision."""
        cells = content.cells.assign(latency_s=latency_s(content))
        cells = cells[cells["latency_s"].notna() & (cells["family"] != BLOCK)]
        dtypes = cells.groupby(["framework", "device"])["dtype"].transform(lambda own: own.mode().iloc[0])
        found = []
        for (framework, device, size), part in cells[cells["dtype"] == dtypes].groupby(list(_GROUP)):
            for name in [name for name in LABELS if name in part]:
                own = part[part[name].notna()]
                if len(own) >= FEWEST and own[name].nunique() > 1:
                    found.append(
                        {
                            "framework": framework,
                            "device": device,
                            "batch_size": size,
                            "series": LABELS[name],
                            "spearman": float(spearmanr(own[name], own["latency_s"]).statistic),
                            "rows": len(own),
                            "platform": f"{framework}, {device}",
                        }
                    )
        return pd.DataFrame(found, columns=None if found else [*self.columns, "platform"])

    def chart(self, content: Content) -> Drawing:
        """The platform is a choice below the plot, the one with the most rows at first."""
        told = self.data(content)
        names = [str(name) for name in told.groupby("platform")["rows"].sum().sort_values(ascending=False).index]
        choice = alt.binding_select(options=names, name="platform ")
        platform = alt.param(name="platform", value=names[0], bind=choice)
        series = [label for label in LABELS.values() if (told["series"] == label).any()]
        colour = alt.Color("series:N", title=None, scale=alt.Scale(domain=series, range=list(COLOURS[: len(series)])))
        shape = alt.Shape("series:N", title=None, scale=alt.Scale(domain=series, range=list(SHAPES[: len(series)])))
        y = alt.Y("spearman:Q", title="Spearman correlation with latency", scale=alt.Scale(zero=False, padding=10))
        base = alt.Chart(rows()).transform_filter("datum.platform == platform").encode(x=batch_axis(), y=y)
        line = base.mark_line(strokeWidth=2).encode(color=colour)
        marks = base.mark_point(size=60, filled=True, opacity=1).encode(
            color=colour, shape=shape, tooltip=tooltip(self)
        )
        shown = alt.Chart(alt.InlineData([{}])).mark_text(
            x=8, y=alt.expr("height - 10"), align="left", text=alt.expr("platform"), fontSize=12
        )
        return alt.layer(line, marks, shown).add_params(platform).properties(height=HEIGHT)


_GROUP = ("framework", "device", "batch_size")
