#!/usr/bin/env python
"""Learn anew what processes hold, in the predictor that ships, from datasets; all else in its file stays as it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from ftax_model import dataset
from ftax_model.errors import FtaxError
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor, find_file
from ftax_model.modeling.rows import with_operators


def main(words: Sequence[str] | None = None) -> int:
    """Write the predictor, and print the costs of each framework; 2 where a file is none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("datasets", nargs="+", help="names or files")
    parser.add_argument("--out", default=str(find_file(SHIPPED)), help="a copy of the predictor, with what is learnt")
    parser.add_argument("--jobs", type=int, default=-1, help="processes that trace, -1 for one a core")
    asked = parser.parse_args(words)
    try:
        table = pd.concat([dataset.load_dataset(name) for name in asked.datasets], ignore_index=True)
        predictor = LatencyPredictor.load(SHIPPED)
        predictor.learn_memory(with_operators(dataset.good(table), jobs=asked.jobs)).save(asked.out)
    except FtaxError as error:
        print(error, file=sys.stderr)
        return 2
    for one in predictor.memory_.values():
        costs = one.model.costs_
        own = f"{costs['floor'] / 1e6:.0f} MB + weights x {costs['weights']:.2f}"
        own += f" + activations x {costs['activations']:.2f} + operators x {costs['operators'] / 1e3:.0f} kB"
        print(f"{one.framework:12s} {own}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
