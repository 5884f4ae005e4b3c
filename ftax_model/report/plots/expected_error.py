"""The error to be expected of the predictor on each platform, by regime."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import Drawing, Plot, dots, lines, named_with_device, regime_colour, regime_shape

EVERY = "all"


class ExpectedError(Plot):
    """A row for each platform, a mark for each regime."""

    place = 7
    title = "Error to be expected"
    reading = (
        "Median error to be expected of a model that was never seen, from those that were left out when the predictor "
        "was made; the further left the better."
    )
    lacking = "this predictor was fitted to no platform whose errors are known"
    columns = {
        "platform": "platform",
        "device": "device",
        "regime": "regime",
        "error": "median error (%)",
        "rows": "rows learnt from",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row for each platform and regime."""
        found = [
            {
                **names,
                "regime": regime,
                "error": 100 * error,
                "rows": fit.n_rows,
            }
            for names, fit in content.fits
            for regime, error in fit.expected_errors().items()
            if regime != EVERY
        ]
        return pd.DataFrame(found)

    def chart(self, content: Content) -> Drawing:
        """Marks along a line for each platform."""
        x = alt.X("error:Q", title="median error to be expected (%)", scale=alt.Scale(zero=True))
        found = dots(self, x, lines("label:N"), color=regime_colour(), shape=regime_shape())
        return named_with_device(found, "platform").properties(height=alt.Step(24))
