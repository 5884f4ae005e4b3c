#!/usr/bin/env python
"""How far predictions of two calls err together, and whether intervals of their ratio hold, with families never seen.

    .venv/bin/python scripts/check_ratios.py amd-epyc-genoa-2core intel-xeon-amx-2core

Every family is held out in turn. Pairs of rows differ in one thing alone (batch size, input size, framework, or
hyperparameters within one architecture) and lie so far apart by the logarithm of their predicted ratio. ``shared`` is
the correlation of their errors in units of their intervals, told robustly: 1 less the squared median difference over
twice the squared median error. ``covered`` is the share of measured ratios inside the intervals of
`ftax_model.modeling.judging.ratios`, which hold 90 %; ``by ends`` what dividing the ends of the two intervals would
hold; ``told`` the share of pairs whose interval excludes 1, and ``right`` how many of these are ordered rightly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from ftax_model import dataset
from ftax_model.cli import _print
from ftax_model.errors import FtaxError
from ftax_model.modeling.judging import evaluation
from ftax_model.modeling.judging.ratios import Ratio, ratio
from ftax_model.modeling.rows import PLATFORM, WORKLOAD

WHOLE = tuple(dict.fromkeys((*WORKLOAD, *PLATFORM)))
DIFFER: dict[str, tuple[str, ...]] = {
    "batch": ("batch_size",),
    "input": ("input_size",),
    "model": ("hyperparameters",),
    "framework": ("framework",),
    "platform": ("device",),
}
APART = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 12.0)
FEWEST = 25
"""Pairs of which figures are printed."""

MOST = 4000
"""Pairs of one kind that are looked at, at most, drawn at random."""


def pairs(rows: pd.DataFrame, differ: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Positions of two rows that are the same but for some columns."""
    same = [name for name in WHOLE if name not in differ]
    draw = np.random.default_rng(0)
    found: list[tuple[int, int]] = []
    for _, part in rows.groupby(same, dropna=False):
        own = part.index.to_numpy()
        found += [(a, b) for at, a in enumerate(own) for b in own[at + 1 :]]
    order = draw.permutation(len(found))[:MOST]
    yield from (found[at] for at in order)


def figures(rows: pd.DataFrame, name: str) -> Iterator[dict[str, object]]:
    """What is printed of pairs of one kind, by how far apart they are."""
    told = rows.assign(latency_s=rows["predicted_s"], measured_s=rows["latency_s"]).to_dict("records")
    missed = np.log(rows["latency_s"] / rows["predicted_s"])
    z = (missed / (np.log(rows["high_s"] / rows["low_s"]) / 2)).to_numpy()
    found = []
    for a, b in pairs(rows, DIFFER[name]):
        one, other = told[a], told[b]
        own, measured = ratio(one, other), one["measured_s"] / other["measured_s"]
        alone = Ratio(own.value, one["low_s"] / other["high_s"], one["high_s"] / other["low_s"])
        found.append(
            {
                "apart": abs(np.log(own.value)),
                "differ by": abs(z[a] - z[b]),
                "missed by": (abs(z[a]) + abs(z[b])) / 2,
                "covered": own.low <= measured <= own.high,
                "ends": alone.low <= measured <= alone.high,
                "told": own.told,
                "right": (own.value > 1) == (measured > 1),
            }
        )
    table = pd.DataFrame(found)
    for low, high in pairwise(APART):
        part = table[table["apart"].between(low, high, inclusive="left")] if len(table) else table
        if len(part) >= FEWEST:
            shared = 1 - part["differ by"].median() ** 2 / (2 * part["missed by"].median() ** 2)
            yield {
                "differ in": name,
                "log ratio": f"{low} to {high}",
                "pairs": len(part),
                "shared": float(shared),
                "covered": float(part["covered"].mean()),
                "by ends": float(part["ends"].mean()),
                "told": float(part["told"].mean()),
                "right": float(part.loc[part["told"], "right"].mean()),
            }


def main() -> int:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parts = []
    try:
        for name in arguments.datasets:
            table = dataset.load_dataset(name)
            parts.append(evaluation.evaluate(table, splits=["family"], jobs=arguments.jobs))
    except FtaxError as error:
        print(error, file=sys.stderr)
        return 2
    rows = pd.concat(parts, ignore_index=True)
    columns = ["latency_s", "predicted_s", "low_s", "high_s"]
    rows = rows.groupby(list(WHOLE), dropna=False)[columns].median().reset_index()
    found = [one for name in DIFFER for one in figures(rows, name)]
    if arguments.json:
        _print.as_json(found)
        return 0
    shown = [{key: _figure(value) for key, value in one.items()} for one in found]
    _print.table(shown, dict.fromkeys(shown[0]))
    return 0


def _figure(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
