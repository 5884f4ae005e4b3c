"""``ftax crossover``: the batch size at which a workload turns from framework-bound to compute-bound."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _options


@click.command(
    "crossover", short_help="Crossover batch size of a workload on each platform.", cls=_options.ModelCommand
)
@_options.workload_options
@_options.as_json
def command(words: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Predict the crossover batch size of a workload on each platform of MODEL, or of one that ships.

        ftax crossover --architecture resnet --preset resnet-18 --input-size 64

    Below it the framework is the bottleneck, above it the device is.
    """
    from ftax_model.cli import _show

    _show.crossovers(_options.predict(words, {**asked, "batch_size": None}, strict=False), as_json=as_json)
