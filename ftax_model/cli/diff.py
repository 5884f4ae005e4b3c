"""``ftax diff``: the same cells in two datasets, by machine or by version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftax_model.cli import EXIT_NO, _complete, _options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftax_model.measurement import Measurement


@click.command("diff", short_help="The same cells on two machines, or in two versions: what moved, and how far.")
@click.argument("one", metavar="A", shell_complete=_complete.datasets)
@click.argument("other", metavar="B", shell_complete=_complete.datasets)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete.devices,
    help="Of datasets that hold several; given twice: of A, then of B.",
)
@click.option(
    "--by",
    default="framework",
    show_default=True,
    help="Columns to group by, with commas: framework, architecture, model, batch_size, dtype or another.",
)
@click.option(
    "--top", type=click.IntRange(0), default=10, show_default=True, help="Cells to print, the furthest first."
)
@click.option("--check", is_flag=True, help="Exit with 1 where a group lies beyond what noise explains.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of tables: a row a cell, all of them.")
@_options.as_json
def command(
    one: str, other: str, devices: tuple[str, ...], by: str, top: int, check: bool, as_csv: bool, as_json: bool
) -> int:
    """How much longer the cells of A (a dataset, by name or file) take in B, and whether noise explains it.

        ftax diff amd-epyc-genoa-2core intel-xeon-amx-2core

    A cell is a workload in a framework at a number of threads, whatever the device; ratios are B over A. Noise is how
    far fresh processes lie apart in both, and sittings of a machine, as `ftax doctor --baseline` takes it.
    """
    from ftax_model.advice.difference import difference
    from ftax_model.cli import _difference
    from ftax_model.errors import InputError

    if len(devices) > 2:
        raise InputError("each side of a comparison is one device", ", ".join(devices), "give --device twice at most")
    named = (devices[0], devices[-1]) if devices else (None, None)
    found = difference(_records(one), _records(other), by=by.split(","), devices=named)
    _difference.show(found, (one, other), top=top, as_csv=as_csv, as_json=as_json)
    return EXIT_NO if check and found.beyond else 0


def _records(name: str) -> Iterator[Measurement]:
    from ftax_model import dataset
    from ftax_model.cli import _print

    with _print.counting(f"reading {Path(name).name}") as tell:
        yield from dataset.records(name, tell=tell)
