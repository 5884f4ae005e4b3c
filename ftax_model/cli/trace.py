"""``ftax trace``: what a model is made of: MACs, parameters, operators, bytes, and its costliest layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftax_model.cli import _options, _print
from ftax_model.errors import InputError


@click.command("trace", short_help="Count a model's operators, MACs and bytes.", cls=_options.ModelCommand)
@_options.sources_of_a_model
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the traces as JSON, for --trace.")
@click.option("--top", default=10, show_default=True, help="Layers to print.")
@_options.as_json
def command(words: tuple[str, ...], out: Path | None, top: int, as_json: bool, **asked: Any) -> None:
    """Count what one call of a model asks for, without its weights: nothing is measured.

        ftax trace --architecture resnet --preset resnet-50 --out resnet.json

    With --out the traces at the batch sizes asked for, and at powers of two up to 64 where the model takes them, are
    kept in a file; ftax predict --trace predicts from it elsewhere, without torch.
    """
    from ftax_model.cli import _show
    from ftax_model.modeling.predictor import SWEEP
    from ftax_model.tracing import checked_batch_sizes, sources

    models, sizes = _options.sources(words, asked)
    if len(models) > 1:
        raise InputError("ftax trace counts one model", f"{len(models)}", "name one, with one value for each option")
    found = sources.find(models[0])
    asked_for = checked_batch_sizes([found.batch_size] if sizes is None else sizes)
    with _print.working(f"tracing {found.label}"):
        traces = found.traced(asked_for, SWEEP if out else ())
    if out:
        sources.write(out, found, traces)
    _show.traces(found, {size: traces[size] for size in asked_for}, top=top, as_json=as_json)
    if out:
        _print.say(f"note: traces at batch size {', '.join(map(str, traces))} written to {out}", err=True)
