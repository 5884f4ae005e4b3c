"""``ftax explain-gap``: why a measured latency is not the predicted one."""

from __future__ import annotations

from typing import Any

import click

from ftax_model.cli import _options, _print


@click.command("explain-gap", short_help="Why a measured latency is not the predicted one.", cls=_options.ModelCommand)
@_options.workload_options
@click.option("--latency", metavar="5ms", help="What was measured of the model that the options name.")
@click.option("--measured", metavar="FILE", help="A file of records (ftax measure --out, ftax collect).")
@_options.as_json
def command(words: tuple[str, ...], latency: str | None, measured: str | None, as_json: bool, **asked: Any) -> None:
    """List what may have made a call slower or faster than predicted, likely causes first, with what settles each.

        ftax explain-gap --architecture mlp --framework eager --latency 9ms

    Of a file of records, the one that lies farthest from its prediction is explained.
    """
    from ftax_model.cli import _advice, _gap

    with _print.working("looking for causes"):
        found = _gap.of(words, asked, latency_s=_options.latency(latency), measured=measured)
    _advice.gap(found, as_json=as_json)
