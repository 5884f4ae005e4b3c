"""``ftax plot``: one plot of a report as PNG or SVG."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ftax_model.cli import _complete, _options, _print, _report


@click.command("plot", short_help="One plot of a report as PNG or SVG.", cls=_options.ModelCommand)
@partial(_options.workload_options, first=_complete.plotted)
@_report.model
@_report.evaluate
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write: .png or .svg.")
@click.option("--workload", help="Of several: the one to show, by its label.")
@click.option("--list", "listed", is_flag=True, help="Name the plots, and how to read them.")
@_options.as_json
def command(
    words: tuple[str, ...],
    model: str | None,
    evaluate: bool,
    out: Path | None,
    workload: str | None,
    listed: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Draw the plot that the first word names, of what `ftax report` takes after it.

    For example the curves of a workload, and the crossover map of a dataset:

        ftax plot latency --architecture mlp --out latency.png

        ftax plot crossover x86-epyc-2core --out crossover.svg
    """
    from ftax_model import plugins
    from ftax_model.errors import InputError

    if listed:
        rows = _report.described()
        if as_json:
            _print.as_json([dict(row) for row in rows])
            return
        for row in rows:
            _print.say(f"{row['plot']}: {row['how to read it']}")
        return
    from ftax_model.report import picture, plots

    if not words or out is None:
        law = "a plot is asked for as ftax plot NAME ... --out FILE.png"
        raise InputError(law, "no --out" if words else "no name", "see ftax plot --list")
    plugins.check(words[0], plots.names(), what="plot")
    picture.check(out)
    with _print.working("drawing"):
        content = _report.content(words[1:], asked, model=model, evaluate=evaluate)
        path = picture.draw(words[0], content, out, workload=workload)
    if as_json:
        _print.as_json({"file": str(path), "plot": words[0], "title": content.title})
        return
    _print.say(str(path))
