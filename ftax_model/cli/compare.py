"""``ftax compare``: two models, frameworks, devices or files of records, beside each other at each batch size."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from ftax_model.cli import _complete, _options, _print


@click.command(
    "compare",
    short_help="Two models, frameworks, devices or datasets beside each other.",
    cls=_options.ModelCommand,
)
@partial(_options.workload_options, first=_complete.compared)
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

    with _print.working("comparing"):
        found = _compare.of(words, asked)
    _advice.compared(found, as_json=as_json)
