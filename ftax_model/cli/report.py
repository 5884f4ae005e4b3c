"""``ftax report``: a workload, datasets or a predictor as one HTML file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ftax_model.cli import _complete, _options, _print, _report


@click.command("report", short_help="One HTML file of a workload, a dataset or a predictor.", cls=_options.ModelCommand)
@partial(_options.workload_options, first=_complete.reported)
@_report.model
@_report.evaluate
@_options.out_file
@_options.as_json
def command(words: tuple[str, ...], model: str | None, evaluate: bool, out: Path, as_json: bool, **asked: Any) -> None:
    """Write curves, Pareto curve, crossovers, overhead, proxies and their numbers into one HTML file, to share offline.

    Of a workload (the options of `ftax predict`), of one or more DATASETS, or of the MODEL that is named:

        ftax report --architecture bert --preset bert-mini --out bert.html

        ftax report x86-epyc-2core --out dataset.html

        ftax report cpu --out predictor.html
    """
    from ftax_model.report import page

    with _print.working("writing"):
        content = _report.content(words, asked, model=model, evaluate=evaluate)
        path = page.save(content, out)
    if as_json:
        _print.as_json({"file": str(path), "title": content.title, "facts": dict(content.facts)})
        return
    facts = ", ".join(f"{value} {name}" for name, value in content.facts.items())
    _print.say(f"{path}: {content.title}; {facts}; {_print.size_of(path.stat().st_size)}")
