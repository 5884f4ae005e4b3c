#!/usr/bin/env python3
"""Hold the modelling stage against latencies that others measured: held-out error beside plainer and published ones."""

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
from scipy.optimize import nnls
from scipy.stats import rankdata

from ftax_model.errors import FtaxError
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.regime import RegimeModel, fit_curve
from ftax_model.modeling.estimators.transfer import Transfer
from ftax_model.modeling.judging.published import HAT, SPACES, Devices, Space, hat_columns, help_table, middle, read

Predict = Callable[[Array, Array, Array], Array]
"""Batch sizes and latencies to learn from, and batch sizes to predict: latencies."""

FEWEST = 5
"""Batch sizes that a sweep must hold."""

DRAWS = 20
"""Seeded draws of the rows to learn from, over which an error is averaged."""

FEW = {"help": 10, "hat": 20}
"""Rows to learn from."""

STEADY = 0.5
"""Rows that a prior from other devices is worth."""


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
    table = read(folder / "paper" / "fig4.csv")
    table = table[table["x_name"] == "batch_size"].rename(columns={"x": "batch_size"})
    return _compare(list(_sweeps(table, ["model", "framework", "precision"])))


def sweeps(folder: Path) -> dict[str, Any]:
    """Published batch sweeps of at least five batch sizes, one batch size left out at a time."""
    table = read(folder / "sweeps" / "batch_sweeps.csv")
    keys = ["source", "sweep_id", "model", "framework", "device", "dtype", "input_size"]
    return _compare(list(_sweeps(table, keys)))


def help_(folder: Path) -> dict[str, Any]:
    """Spearman of predicted and measured latency of networks that were not seen, from ten that were.

    ``plain`` is a non-negative fit of [1, n_ops, MACs, activations]; ``law`` the law's columns, held back toward equal
    shares. The next two take OTHER DEVICES OF THE FILE AS PRIOR, never another batch size of the same device:
    ``reference laws`` has as further columns the laws fitted to each of them, ``reference latencies`` has those laws
    and the latencies of the same networks on them (nan where the space has no other device). OFA has one device, so its
    laws are those of the other spaces. ``all networks`` is the law fitted to every network that may be drawn: about
    what the columns can tell at all.
    """
    table = help_table(folder)
    spaces = {name: Devices.of(table, name) for name in SPACES if (table["space"] == name).any()}
    return {name: _help_space(name, spaces) for name in spaces}


def hat(folder: Path) -> dict[str, Any]:
    """Mean absolute relative error on 200 encoder-decoder transformers of HAT's, from 20 others.

    ``plain`` is a non-negative fit of [1, depth, decoder MACs, encoder MACs]; ``law`` adds the other columns of
    `hat_columns`, held back toward equal shares; no other device is looked at. ``1,600 rows`` is the same law
    fitted to as many of the others as HAT's network learnt from.
    """
    result = {}
    for device, published in HAT.items():
        table = read(folder / "hat" / f"wmt14ende_{device}.csv")
        columns = hat_columns(table).to_numpy()
        latency_s = (table["latency_mean_encoder"] + table["latency_mean_decoder"]).to_numpy() / 1e3
        found = pd.DataFrame([_hat_draw(columns, latency_s, seed) for seed in range(DRAWS)])
        result[device] = {**found.mean().to_dict(), "published": published}
    return result


PARTS: Mapping[str, Callable[[Path], dict[str, Any]]] = {"paper": paper, "sweeps": sweeps, "help": help_, "hat": hat}


def leave_one_out(sweep: Sweep, predict: Predict) -> Array:
    """Absolute relative error of each point, predicted from the others."""
    found = []
    for index in range(len(sweep.batch_size)):
        rest = np.arange(len(sweep.batch_size)) != index
        asked = sweep.batch_size[index : index + 1]
        predicted = predict(sweep.batch_size[rest], sweep.latency_s[rest], asked)
        found.append(abs(float(predicted[0]) / sweep.latency_s[index] - 1))
    return np.array(found)


def _hat_draw(columns: Array, latency_s: Array, seed: int) -> dict[str, float]:
    order = np.random.default_rng(seed).permutation(len(latency_s))
    many, few, test = order[:-200][:1600], order[: FEW["hat"]], order[-200:]
    relative = columns[few, :4] / latency_s[few, None]
    predicted = {
        "plain": columns[test, :4] @ nnls(relative, np.ones(len(few)))[0],
        "law": Transfer().fit(columns[few], latency_s[few]).predict(columns[test]),
        "1,600 rows": Transfer().fit(columns[many], latency_s[many]).predict(columns[test]),
    }
    return {name: float(np.abs(values / latency_s[test] - 1).mean()) for name, values in predicted.items()}


def _help_space(name: str, spaces: Mapping[str, Devices]) -> dict[str, Any]:
    space, own = SPACES[name], spaces[name]
    laws = {other: spaces[other].laws(SPACES[other].block) for other in space.laws_from if other in spaces}
    devices = {}
    for key in own.latency_s:
        others = {
            other: [index for index in found if spaces[other].device[index] != own.device[key]]
            for other, found in laws.items()
        }
        references = [laws[other][keys].to_numpy() for other, keys in others.items()]
        coefs = np.hstack([np.zeros((6, 0)), *references])
        measured = own.latency_s[others.get(name, [])].to_numpy()
        devices[key] = _help_device(own, space, key, coefs=coefs, measured=measured)
    mean = pd.DataFrame(devices).astype(float).mean(axis=1, skipna=False)
    return {
        "mean": _known({**mean, "published": space.published}),
        "devices": {k: _known(v) for k, v in devices.items()},
    }


def _help_device(own: Devices, space: Space, key: str, *, coefs: Array, measured: Array) -> dict[str, float]:
    """Mean Spearman over the draws of each method on one device_key."""
    columns, latency_s, number = own.columns(space.block), own.latency_s[key].to_numpy(), own.features.index.to_numpy()
    pool = middle(latency_s, np.flatnonzero(number < space.split))
    test = middle(latency_s, np.flatnonzero((number >= space.split) & (number < space.end)))
    counts = [own.features[name] for name in ("n_ops", "macs", "activations")]
    four = np.column_stack([np.ones(len(number)), *counts]).astype(float)
    laws = columns @ coefs
    rival = Transfer("agreement", strength=STEADY)
    methods: dict[str, tuple[Array, Any]] = {"law": (columns, Transfer())}
    if laws.shape[1]:
        methods["reference laws"] = (np.hstack([laws, columns]), rival)
    if measured.shape[1]:
        methods["reference latencies"] = (np.hstack([laws, measured]), rival)
    found = []
    for seed in range(DRAWS):
        few = np.random.default_rng(seed).choice(pool, FEW["help"], replace=False)
        coef = nnls(four[few] / latency_s[few, None], np.ones(len(few)))[0]
        predicted = {"plain": four[test] @ coef}
        for method, (X, model) in methods.items():
            predicted[method] = model.fit(X[few], latency_s[few]).predict(X[test])
        found.append({method: _spearman(values, latency_s[test]) for method, values in predicted.items()})
    ceiling = Transfer(strength=0).fit(columns[pool], latency_s[pool]).predict(columns[test])
    means = pd.DataFrame(found).mean().reindex(["plain", "law", "reference laws", "reference latencies"])
    return {**means, "all networks": _spearman(ceiling, latency_s[test])}


def _spearman(predicted: Array, measured: Array) -> float:
    """Rank correlation; 0 where all predictions are the same."""
    ranks = rankdata(predicted), rankdata(measured)
    return float(np.corrcoef(*ranks)[0, 1]) if np.ptp(ranks[0]) > 0 else 0.0


def _known(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """As JSON values: None for what does not exist."""
    return {name: None if value is None or math.isnan(value) else float(value) for name, value in figures.items()}


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


def _default_folder() -> Path:
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return Path(os.environ.get("FTAX_SHARED_DATA", beside))


def _print_curves(part: str, result: dict[str, Any]) -> None:
    print(f"{part}: {result['curves']} curves, {result['points']} points, leave-one-out error in percent")
    table = 100 * pd.DataFrame(result["errors"]).T
    print(table.round(2).to_string(), end="\n\n")


def _print_help(part: str, result: dict[str, Any]) -> None:
    print(f"{part}: Spearman on networks not seen, from {FEW['help']} others, mean of {DRAWS} draws;")
    print("reference laws and reference latencies: other devices of the file as prior; published: HELP, other devices")
    for space, figures in result.items():
        table = pd.DataFrame({**figures["devices"], "mean": figures["mean"]}, dtype=float).T
        print(f"{space}\n{table.round(3).to_string(na_rep='-')}", end="\n\n")


def _print_hat(part: str, result: dict[str, Any]) -> None:
    print(f"{part}: mean absolute error in percent, from {FEW['hat']} rows, mean of {DRAWS} draws;")
    print("published: HAT's network, which learnt from 1,600 rows")
    print((100 * pd.DataFrame(result).T).round(2).to_string(), end="\n\n")


SHOW: Mapping[str, Callable[[str, dict[str, Any]], None]] = {
    "paper": _print_curves,
    "sweeps": _print_curves,
    "help": _print_help,
    "hat": _print_hat,
}


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
            SHOW[part](part, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
