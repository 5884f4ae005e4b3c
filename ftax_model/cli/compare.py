"""``ftax compare``: two models, frameworks, devices or files of records, beside each other at each batch size."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _options


@click.command(
    "compare",
    short_help="Two models, frameworks, devices or datasets beside each other.",
    context_settings=_options.EXTRA,
)
@_options.workload_options
@_options.as_json
def command(words: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Compare A with B at each batch size: the ratio, whether it is beyond the floor, and where the lines cross.

    A and B are two datasets, two frameworks or two devices (of the model that the options name), or two models (by
    architecture, preset or file):

        ftax compare bert-base distilbert --framework eager --batch-size 1,8,64

        ftax compare eager onnxruntime --architecture resnet --preset resnet-50

        ftax compare before.jsonl after.jsonl
    """
    from ftax_model.cli import _advice, _compare

    _advice.compared(_compare.of(words, asked), as_json=as_json)
