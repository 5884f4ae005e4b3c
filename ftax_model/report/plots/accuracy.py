"""Accuracy by split: how far predictions were off on what a fit never saw, beside the floor and plain baselines."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.modeling.judging.evaluation import REFERENCES, summary
from ftax_model.report.content import Content
from ftax_model.report.plots._base import COLOURS, SHAPES, Drawing, Plot, dots, lines

SERIES = {"median": "predictor", "floor": "repeatability floor", **{name: name for name in REFERENCES}}


class Accuracy(Plot):
    """A row for each split and framework, a mark for each way to predict."""

    place = 6
    title = "Accuracy by split"
    reading = (
        "Median error on what the fit never saw, the further left the better; no prediction can be better than the "
        "repeatability floor, what two fresh processes differ by."
    )
    lacking = "nothing was held out: give a dataset and --evaluate"
    columns = {
        "split": "never seen",
        "framework": "framework",
        "series": "by",
        "error": "median error (%)",
        "covered": "inside the interval (%)",
        "rows": "rows",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row for each split, framework and way; an empty framework stands for all together."""
        if content.left_out.empty:
            return pd.DataFrame()
        every = summary(content.left_out, by=["split"]).assign(framework="")
        told = pd.concat([every, summary(content.left_out, by=["split", "framework"])], ignore_index=True)
        found = []
        for column in [name for name in SERIES if name in told]:
            own = told.assign(series=SERIES[column], error=100 * told[column], rows=told["n"])
            own["covered"] = 100 * told["covered"] if column == "median" else float("nan")
            found.append(own)
        long = pd.concat(found, ignore_index=True).dropna(subset="error")
        long["line"] = long["split"] + ", " + long["framework"].replace("", "all")
        return long[[*self.columns, "line"]]

    def chart(self, content: Content) -> Drawing:
        """Marks along a line for each split."""
        names = list(SERIES.values())
        colour = alt.Color("series:N", title=None, scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])))
        shape = alt.Shape("series:N", title=None, scale=alt.Scale(domain=names, range=list(SHAPES[: len(names)])))
        x = alt.X("error:Q", title="median error (%)", axis=alt.Axis(tickCount=8), scale=alt.Scale(zero=True))
        return dots(self, x, lines("line:N", sort=None), color=colour, shape=shape).properties(height=alt.Step(24))
