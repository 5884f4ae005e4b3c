"""``ftax predict``: latency with an interval, regime and crossover of any workload."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _options


@click.command(
    "predict",
    short_help="Latency with an interval, regime and crossover of a workload.",
    context_settings=_options.EXTRA,
)
@_options.workload_options
@click.option("--strict", is_flag=True, help="Refuse workloads far outside what was measured.")
@click.option("--memory", is_flag=True, help="Peak memory of the process beside it, with an interval.")
@_options.as_json
def command(words: tuple[str, ...], strict: bool, memory: bool, as_json: bool, **asked: Any) -> None:
    """Predict the latency of a workload with MODEL, a file that `ftax fit` wrote; without one, with one that ships.

    Hyperparameters are options of their own:

        ftax predict --architecture bert --num-layers 4 --batch-size 1,2,4,8
    """
    from ftax_model.cli import _show

    _show.predictions(_options.predict(words, asked, strict=strict, memory=memory), as_json=as_json)
