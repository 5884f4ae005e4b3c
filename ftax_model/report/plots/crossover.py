"""The crossover map: at which batch size each model turns from framework-bound to compute-bound in each framework."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import Drawing, Plot, named_with_device, rows, tooltip

STEP = 24
"""Pixels of a row."""

LOWEST, HIGHEST = 0.0, 7.0
"""Ends of the colours, log2 of batch sizes."""

_SIDE_BY_SIDE = 6  # names of frameworks that have room in one line
_BRIGHT = 3.8  # from here on the colour is light, and the text on it dark


class Crossover(Plot):
    """A map of models by framework."""

    place = 5
    title = "Crossover map"
    reading = (
        "The batch size up to which the framework is the bottleneck: in a bright field a compiled framework or fewer "
        "operators help up to large batches, in a dark one only a faster device or fewer MACs do."
    )
    least_width = 560
    lacking = "no model has a crossover: it takes three batch sizes of one"
    columns = {
        "curve": "workload",
        "framework": "framework",
        "device": "device",
        "crossover": "crossover batch size",
        "low": "low",
        "high": "high",
        "regime": "regime at the smallest batch",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row for each workload and platform; ``crossover`` in words where it is censored."""
        told = content.crossovers
        value = told["crossover_batch_size"].astype(float)
        below, above = told["censored"] == "below", told["censored"] == "above"
        words = value.map(_number).where(~below, "below 1").where(~above, "above " + told["largest_batch"].astype(str))
        octaves = value.clip(lower=0.25, upper=4096.0).map(math.log2).where(~below, LOWEST)
        octaves = octaves.where(~above, told["largest_batch"].map(math.log2))
        own = told.assign(
            crossover=words,
            octaves=octaves,
            low=_finite(told["crossover_low"]),
            high=_finite(told["crossover_high"]),
        )
        return own[[*self.columns, "octaves", "family"]]

    def chart(self, content: Content) -> Drawing:
        """A field for each model and framework, with its number."""
        plain: dict[str, Any] = {"title": None, "scale": alt.Scale(paddingInner=0.04)}
        axis = alt.Axis(domain=False, ticks=False)
        angle = 25 if len(content.frameworks) > _SIDE_BY_SIDE else 0
        top = alt.Axis(orient="top", domain=False, ticks=False, labelAngle=angle, labelOverlap=False)
        base = named_with_device(alt.Chart(rows()), "curve").encode(
            x=alt.X("framework:N", axis=top, **plain),
            y=alt.Y("label:N", axis=axis, sort=None, **plain),
        )
        legend = alt.Legend(
            values=[0, 1, 2, 3, 4, 5, 6, 7],
            labelExpr="datum.value <= 0 ? '\u2264 1' : datum.value >= 7 ? '\u2265 128' : pow(2, datum.value)",
            gradientLength=300,
        )
        scale = alt.Scale(domain=[LOWEST, HIGHEST], scheme="cividis", clamp=True)
        colour = alt.Color("octaves:Q", title="crossover batch size", scale=scale, legend=legend)
        fields = base.mark_rect().encode(color=colour, tooltip=tooltip(self))
        ink = alt.condition(f"datum.octaves > {_BRIGHT}", alt.value("#111111"), alt.value("#ffffff"))
        text = base.mark_text(fontSize=12).encode(text="crossover:N", color=ink)
        return alt.layer(fields, text).properties(height=alt.Step(STEP))


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "none"


def _finite(values: pd.Series[float]) -> pd.Series[float]:
    return values.astype(float).where(np.isfinite(values.astype(float)))
