"""The plots of a report: one file each; the file name is the registry."""

from __future__ import annotations

from functools import cache

from ftax_model import plugins
from ftax_model.report.plots._base import Plot

__all__ = ["Plot", "load", "names"]


def names() -> list[str]:
    """All plots, in the order in which a report shows them."""
    return sorted(plugins.names(__name__), key=lambda name: load(name).place)


@cache
def load(name: str) -> Plot:
    """The plot of that name; raises `InputError` for a name that is not there."""
    plot = plugins.load(__name__, name)()
    assert isinstance(plot, Plot)
    return plot
