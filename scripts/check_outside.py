#!/usr/bin/env python3
"""Hold the modelling stage against latencies that others measured: held-out error beside that of plainer laws."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling.regime import RegimeModel, fit_curve

Array = np.ndarray
Predict = Callable[[Array, Array, Array], Array]
"""Batch sizes and latencies to learn from, and batch sizes to predict: latencies."""

FEWEST = 5
"""Batch sizes that a sweep must hold."""


@dataclass(frozen=True)
class Sweep:
    """One batch sweep: latencies (s) of one model on one platform."""

    label: str
    batch_size: Array
    latency_s: Array


def plain(*, overlap: float | None) -> Predict:
    """The law with floor and slope alone, and p given or fitted without a prior."""

    def predict(sizes: Array, latency_s: Array, asked: Array) -> Array:
        model = RegimeModel(overlap=overlap, prior=None).fit(sizes[:, None], latency_s)
        return model.predict(asked[:, None])

    return predict


METHODS: Mapping[str, Predict] = {
    "sum": plain(overlap=1.0),
    "max": plain(overlap=math.inf),
    "p-norm": plain(overlap=None),
    "fit_curve": lambda sizes, latency_s, asked: fit_curve(sizes, latency_s).latency_s(asked),
}


def paper(folder: Path) -> dict[str, Any]:
    """The batch curves of the paper's figure 4, one point left out at a time."""
    table = _read(folder / "paper" / "fig4.csv")
    table = table[table["x_name"] == "batch_size"].rename(columns={"x": "batch_size"})
    return _compare(list(_sweeps(table, ["model", "framework", "precision"])))


def sweeps(folder: Path) -> dict[str, Any]:
    """Published batch sweeps of at least five batch sizes, one batch size left out at a time."""
    table = _read(folder / "sweeps" / "batch_sweeps.csv")
    keys = ["source", "sweep_id", "model", "framework", "device", "dtype", "input_size"]
    return _compare(list(_sweeps(table, keys)))


PARTS: Mapping[str, Callable[[Path], dict[str, Any]]] = {"paper": paper, "sweeps": sweeps}


def leave_one_out(sweep: Sweep, predict: Predict) -> Array:
    """Absolute relative error of each point, predicted from the others."""
    found = []
    for index in range(len(sweep.batch_size)):
        rest = np.arange(len(sweep.batch_size)) != index
        asked = sweep.batch_size[index : index + 1]
        predicted = predict(sweep.batch_size[rest], sweep.latency_s[rest], asked)
        found.append(abs(float(predicted[0]) / sweep.latency_s[index] - 1))
    return np.array(found)


def _compare(found: list[Sweep]) -> dict[str, Any]:
    errors = {name: [leave_one_out(sweep, predict) for sweep in found] for name, predict in METHODS.items()}
    return {
        "curves": len(found),
        "points": sum(len(sweep.batch_size) for sweep in found),
        "errors": {name: _figures(values) for name, values in errors.items()},
    }


def _figures(errors: list[Array]) -> dict[str, float]:
    points, interior = np.concatenate(errors), np.concatenate([values[1:-1] for values in errors])
    return {
        "mean": float(points.mean()),
        "median": float(np.median(points)),
        "median_of_curve_means": float(np.median([values.mean() for values in errors])),
        "interior_mean": float(interior.mean()),
        "interior_median": float(np.median(interior)),
    }


def _sweeps(table: pd.DataFrame, keys: list[str]) -> Iterator[Sweep]:
    for key, part in table.groupby(keys, dropna=False):
        curve = part.groupby("batch_size")["latency_s"].median()
        if len(curve) >= FEWEST:
            yield Sweep(" ".join(map(str, key)), curve.index.to_numpy(float), curve.to_numpy(float))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("the check reads tables that others measured", f"no file {path}", "name their folder: --data")
    return pd.read_csv(path)


def _default_folder() -> Path:
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return Path(os.environ.get("FTAX_SHARED_DATA", beside))


def _print(part: str, result: dict[str, Any]) -> None:
    print(f"{part}: {result['curves']} curves, {result['points']} points, leave-one-out error in percent")
    table = 100 * pd.DataFrame(result["errors"]).T
    print(table.round(2).to_string(), end="\n\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--data", type=Path, default=_default_folder(), help="folder with the tables of others")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {sorted(unknown)[0]!r}; choose from {', '.join(PARTS)}")
    try:
        results = {part: PARTS[part](asked.data) for part in asked.parts or PARTS}
    except FtaxError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps(results, indent=1, allow_nan=False))
    else:
        for part, result in results.items():
            _print(part, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
