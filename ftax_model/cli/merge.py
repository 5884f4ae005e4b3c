"""``ftax merge``: several datasets in, one dataset out."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options, _print


@click.command("merge", short_help="One dataset of several, as of those that machines measured apart.")
@click.argument("datasets", nargs=-1, required=True, shell_complete=_complete.datasets)
@_options.out_file
@click.option(
    "--prefer",
    metavar="first|last|ok",
    help="Which record of a cell to take where they differ: a good one, not a failed one, and of two good ones that of "
    "the first or the last file (ok: neither).",
)
@click.option("--replace", is_flag=True, help="Write FILE anew where it is there, be it one of DATASETS.")
@_options.as_json
def command(datasets: tuple[str, ...], out: Path, prefer: str | None, replace: bool, as_json: bool) -> None:
    """Put DATASETS (names or files) together into one file of JSON Lines, and the operator profiles beside them.

        ftax merge part-1.jsonl part-2.jsonl --out whole.jsonl

    Identical records of a cell count once. Where they differ nothing is written, unless `--prefer` says which to take.
    """
    from ftax_model import dataset

    with _print.counting(f"merging into {out.name}") as tell:
        found = dataset.merge(datasets, out, prefer=prefer, replace=replace, tell=tell)
    if as_json:
        _print.as_json([one.to_record() for one in found])
        return
    names = {"file": None, "records": _count, "taken": _count, "same": _count, "decided": _count}
    _print.table([one.to_record() for one in found], names)
    _print.say(f"{out}: {_print.size_of(out.stat().st_size)}")


def _count(value: int) -> str:
    return f"{value:,}"
