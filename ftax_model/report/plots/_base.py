"""What a plot is: rows of a report's content in, numbers and one Vega-Lite specification out."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import altair as alt
import pandas as pd

from ftax_model.report.content import Content

ROWS = "rows"
"""Name of the data in every specification."""

WIDTH = 640
"""Pixels of a plot; a page makes it as wide as its column."""

HEIGHT = 340

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#999933")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; grey in place of black, for dark pages."""

STAR = "M0,-1L.22,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.22,-.31Z"

SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", STAR, "triangle-left",
)  # fmt: skip
"""One more than colours, so that no two of the first 72 share both."""

DASHES = ([1, 0], [6, 3], [2, 2], [10, 3, 2, 3], [12, 4], [4, 1, 1, 1])

REGIMES = {
    "framework-bound": ("#D55E00", "triangle-up"),
    "memory-bound": ("#009E73", "diamond"),
    "compute-bound": ("#0072B2", "circle"),
}

CELL = {"curve": "workload", "framework": "framework", "device": "device", "batch_size": "batch size"}
"""Columns that say what a row is of, and their headings."""

BATCHES = [2**power for power in range(17)]


Drawing = alt.Chart | alt.LayerChart | alt.FacetChart


class Plot(abc.ABC):
    """One plot; one file in this folder each.

    A subclass sets the class attributes and writes `data` and `chart`. The rows of `data` are the table one click away
    too. Those that have ``framework``, ``device``, ``family`` or ``regime`` follow the switches of the page; a row
    where one of them is empty stands for all.
    """

    place: ClassVar[int]
    """Where in a report it stands."""
    title: ClassVar[str]
    reading: ClassVar[str]
    """One sentence that says how to read it."""
    lacking: ClassVar[str]
    """What the content does not hold where there are no rows."""
    columns: ClassVar[Mapping[str, str]]
    """Columns of the table and their headings, units included."""
    least_width: ClassVar[int] = 0
    """Pixels that it takes at least; a narrower page scrolls within it."""
    one_workload: ClassVar[bool] = False
    """Whether it shows one workload at a time."""

    @abc.abstractmethod
    def data(self, content: Content) -> pd.DataFrame:
        """The numbers, tidy; no rows where ``content`` has none."""

    @abc.abstractmethod
    def chart(self, content: Content) -> Drawing:
        """The plot of data named `ROWS`; scales hold all frameworks and devices of ``content``."""

    def spec(self, content: Content) -> dict[str, Any]:
        """The specification in Vega-Lite, `WIDTH` wide and without data.

        Raises altair's ``SchemaValidationError`` where it is none.
        """
        fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
        found: dict[str, Any] = self.chart(content).properties(width=WIDTH, autosize=fitted).to_dict()
        return found


def latency_s(content: Content) -> pd.Series[float]:
    """Seconds of each cell: measured, or predicted where it was not."""
    cells = content.cells
    return cells["measured_s"].fillna(cells["predicted_s"])


def rows() -> alt.NamedData:
    """The data, by its name."""
    return alt.NamedData(name=ROWS)


def batch_axis() -> alt.X:
    """Batch sizes, on a logarithmic axis."""
    axis = alt.Axis(values=BATCHES, format="d", grid=False)
    return alt.X("batch_size:Q", title="batch size", axis=axis, scale=alt.Scale(type="log", base=2, nice=False))


def log_y(field: str, title: str) -> alt.Y:
    """A quantity on a logarithmic axis."""
    axis = alt.Axis(format="~g", tickCount=6)
    return alt.Y(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(type="log", nice=False, padding=12))


def framework_colour(content: Content) -> alt.Color:
    """A colour for each framework, the same in all plots."""
    legend = alt.Legend(symbolOpacity=1)
    return alt.Color("framework:N", title="framework", scale=_scale(content.frameworks, COLOURS), legend=legend)


def framework_shape(content: Content) -> alt.Shape:
    """A shape for each framework, the same in all plots."""
    return alt.Shape("framework:N", title="framework", scale=_scale(content.frameworks, SHAPES))


def device_dash(content: Content) -> alt.StrokeDash:
    """A dash for each device that is shown; no legend where there is one."""
    legend = alt.Legend(symbolType="stroke", columns=1) if len(content.devices) > 1 else None
    return alt.StrokeDash("device:N", title="device", scale=alt.Scale(range=list(DASHES)), legend=legend)


def named_with_device(chart: alt.Chart, name: str) -> alt.Chart:
    """The chart with a column ``label``: ``name``, and the device too where several are shown."""
    several = chart.transform_joinaggregate(devices="distinct(device)")
    return several.transform_calculate(label=f"datum.devices > 1 ? datum.{name} + ', ' + datum.device : datum.{name}")


def dots(plot: Plot, x: alt.X, y: alt.Y, **marks: Any) -> alt.Chart:
    """Marks along a line for each value of ``y``."""
    found: alt.Chart = alt.Chart(rows()).mark_point(filled=True, size=80, opacity=1)
    return found.encode(x=x, y=y, tooltip=tooltip(plot), **marks)


def lines(field: str, *, sort: Any = alt.Undefined) -> alt.Y:
    """A line with its name for each value of a field."""
    return alt.Y(field, title=None, sort=sort, axis=alt.Axis(grid=True, domain=False, ticks=False))


def regime_colour() -> alt.Color:
    """A colour for each regime."""
    colours = [colour for colour, _ in REGIMES.values()]
    return alt.Color("regime:N", title="regime", scale=alt.Scale(domain=[*REGIMES], range=colours))


def regime_shape() -> alt.Shape:
    """A shape for each regime."""
    shapes = [shape for _, shape in REGIMES.values()]
    return alt.Shape("regime:N", title="regime", scale=alt.Scale(domain=[*REGIMES], range=shapes))


def tooltip(plot: Plot) -> list[alt.Tooltip]:
    """The columns of the table."""
    numbers = {"batch_size", "rows"}
    return [
        alt.Tooltip(name, title=heading, format="d" if name in numbers else ".4~g", type="quantitative")
        if _is_number(name)
        else alt.Tooltip(name, title=heading, type="nominal")
        for name, heading in plot.columns.items()
    ]


def _is_number(name: str) -> bool:
    return name not in {"curve", "family", "framework", "device", "platform", "regime", "split", "series", "crossover"}


def _scale(domain: Sequence[str], values: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=[values[at % len(values)] for at in range(len(domain))])
