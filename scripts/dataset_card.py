"""Write the tables of a dataset's card into datasets/README.md, between the lines that name it, and its picture.

    .venv/bin/python scripts/dataset_card.py x86-epyc-2core

The text around the tables is written by hand. ``--check`` writes nothing and exits with 1 where the card is not what
the data say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ftax_model import dataset, files
from ftax_model.report.card import card
from ftax_model.report.curves import figure

FOLDER = Path(__file__).resolve().parent.parent / "datasets"
SHOWN = {
    "x86-epyc-2core": [
        "bert-base, 16 tokens",
        "bert L2 H128 A2 F512 V1024, 8 tokens",
        "gpt2 L6 H512 A8 F2048 V1024, 64 tokens",
        "resnet-50, 64 pixels",
        "mobilenet-v2-1.0, 128 pixels",
        "mlp L16 H128, 64 features",
    ],
}
"""Curves that the picture of a dataset shows; of other datasets those with the most points."""


@click.command()
@click.argument("name")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the card is not what the data say.")
def main(name: str, check: bool) -> None:
    measurements = dataset.read(dataset.find(name))
    text = card(measurements)
    page = FOLDER / "README.md"
    before = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: tables -->\n", f"<!-- {name}: end -->"
    after = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", before, flags=re.S)
    if begin not in before:
        raise click.UsageError(f"{page} has no lines '{begin.strip()}' and '{end}'")
    if check:
        sys.exit(after != before)
    files.write(page, after.encode())
    table = dataset.frame(measurements)
    labels = [label for label in SHOWN.get(name, []) if (table["curve"] == label).any()]
    wanted = table[table["curve"].isin(labels)] if labels else table
    click.echo(figure(wanted[wanted["threads"] == 1], FOLDER / "pictures" / f"{name}.png", largest=6))


if __name__ == "__main__":
    main()
