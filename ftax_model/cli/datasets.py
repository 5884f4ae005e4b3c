"""``ftax datasets``: the measurements that come with the project."""

from __future__ import annotations

import click

from ftax_model.cli import _options, _print


@click.command("datasets", short_help="The datasets that come with the project, and what is in them.")
@_options.as_json
def command(as_json: bool) -> None:
    """List the datasets that come with the project; each can be named wherever a command takes a dataset.

        ftax datasets --json

    Each has a card that says how it was measured.
    """
    from ftax_model import dataset

    with _print.working("reading"):
        found = [dataset.overview(name) for name in dataset.names()]
    if as_json:
        _print.as_json(found)
        return
    rows = [{name: _shown(value) for name, value in one.items()} for one in found]
    if rows:
        _print.table(rows, dict.fromkeys(rows[0]))
    _print.say(f"cards and transcribed tables: {dataset.folder()}")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
