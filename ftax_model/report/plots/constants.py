"""What an operator, a MAC and a byte cost on each platform that the predictor was fitted to."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ftax_model.report.content import Content
from ftax_model.report.plots._base import COLOURS, Drawing, Plot, dots, lines, named_with_device, rows


class Constants(Plot):
    """A row for each platform."""

    place = 8
    title = "What an operator costs"
    reading = (
        "Time to dispatch one operator, with its standard error where that is known: the framework tax of a model is "
        "this times its operators; the table tells rates of computing and of memory too."
    )
    lacking = "this predictor was fitted to no platform"
    columns = {
        "platform": "platform",
        "device": "device",
        "per_operator_us": "per operator (us)",
        "error_us": "standard error (us)",
        "gmacs_per_s": "computing (GMACs/s)",
        "activation_gb_per_s": "activations (GB/s)",
        "weight_gb_per_s": "weights (GB/s)",
        "overlap": "overlap exponent",
        "rows": "rows",
    }

    def data(self, content: Content) -> pd.DataFrame:
        """One row a platform."""
        found = []
        for names, fit in content.fits:
            own = fit.constants()
            per, error = own["overhead_per_op_s"], own["overhead_per_op_s_se"]
            row = {
                **names,
                "per_operator_us": 1e6 * per,
                "error_us": None if error is None else 1e6 * error,
                "gmacs_per_s": _giga(own["macs_per_s"]),
                "activation_gb_per_s": _giga(own["activation_bytes_per_s"]),
                "weight_gb_per_s": _giga(own["weight_bytes_per_s"]),
                "overlap": own["overlap"],
                "rows": own["n_rows"],
                "low": 1e6 * max(per - (error or 0.0), per / 10),
                "high": 1e6 * (per + (error or 0.0)),
            }
            found.append(row)
        return pd.DataFrame(found)

    def chart(self, content: Content) -> Drawing:
        """A mark with its error for each platform whose cost could be seen."""
        scale, axis = alt.Scale(type="log", nice=False, padding=14), alt.Axis(format="~g", tickCount=6)
        x = alt.X("per_operator_us:Q", title="per operator (us)", scale=scale, axis=axis)
        marks = dots(self, x, lines("label:N"), color=alt.value(COLOURS[0]))
        error = alt.Chart(rows()).mark_rule(strokeWidth=2, color=COLOURS[0])
        spans = error.encode(x=alt.X("low:Q", title="per operator (us)"), x2="high:Q", y=lines("label:N"))
        found = [named_with_device(one, "platform").transform_filter("datum.low > 0") for one in (spans, marks)]
        return alt.layer(*found).properties(height=alt.Step(24))


def _giga(value: float | None) -> float | None:
    return None if value is None else 1e-9 * value
