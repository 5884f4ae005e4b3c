"""``ftax pack``: a dataset as Parquet, which is read by columns and rows, and back."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options, _print


@click.command("pack", short_help="A dataset as Parquet, read twenty times as fast, and back.")
@click.argument("dataset", shell_complete=_complete.datasets)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; if left out, beside it.")
@click.option("--unpack", is_flag=True, help="Write the records of a packed DATASET as JSON Lines again.")
@_options.as_json
def command(dataset: str, out: Path | None, unpack: bool, as_json: bool) -> None:
    """Pack DATASET (a name or a file), and the operator profiles beside it, as Parquet.

        ftax pack x86-epyc-2core --out packed.parquet

    Every command takes the packed file in place of DATASET. It holds the very records, and `--unpack` writes them as
    JSON Lines again, which `ftax collect` can append to.
    """
    from ftax_model import dataset as datasets

    path = datasets.find(dataset)
    here = path.parent if Path(dataset).exists() else Path()
    name = out or here / f"{path.name.split('.jsonl')[0].removesuffix('.parquet')}{'.jsonl' if unpack else '.parquet'}"
    with _print.counting(f"{'unpacking' if unpack else 'packing'} {path.name}") as tell:
        written = [datasets.unpack(path, name, tell=tell)] if unpack else datasets.pack(path, name, tell=tell)
    sizes = [{"file": str(one), "bytes": one.stat().st_size} for one in written]
    if as_json:
        _print.as_json(sizes)
        return
    for one in written:
        _print.say(f"{one}: {_print.size_of(one.stat().st_size)}")
