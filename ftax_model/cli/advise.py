"""``ftax advise``: what is free and what would help, for one model, framework and batch size."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _options


@click.command("advise", short_help="What is free and what would help, in milliseconds.", cls=_options.ModelCommand)
@_options.workload_options
@click.option("--verify", is_flag=True, help="Measure the first three claims here, beside what is claimed.")
@_options.as_json
def command(words: tuple[str, ...], verify: bool, as_json: bool, **asked: Any) -> None:
    """Say how far batch, input and width grow for free, and what other frameworks, layers, widths or devices change.

    Of one call: the batch size asked for, or the model's own, in --framework, or else the fastest.

        ftax advise --architecture resnet --preset resnet-50 --framework eager
    """
    from ftax_model.advice.changes import Adviser
    from ftax_model.advice.decision import fastest
    from ftax_model.advice.place import place
    from ftax_model.cli import _advice, _print

    question = _options.question(words, asked)
    model, size = question.one()
    (source,) = question.models
    here = place(question.predictor, dtype=source.dtype, **question.place)
    with _print.working("asking the predictor"):
        framework = question.framework or fastest(question.predictor, source, here, size)
        adviser = Adviser(question.predictor, model, here, framework=framework, batch_size=size)
        claims = adviser.claims()
    verified = _advice.verified(claims, here) if verify else []
    _advice.claims(adviser.row, claims, verified, [*question.notes, *here.notes], as_json=as_json)
