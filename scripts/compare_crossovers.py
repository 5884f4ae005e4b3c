#!/usr/bin/env python
"""Compare regressors of the crossover batch size, scikit-learn's beside the project's, on families never seen.

    .venv/bin/python scripts/compare_crossovers.py x86-epyc-2core

Every family is held out of the predictor of latencies, and what it then predicts of each sweep of batch sizes makes the
columns of that sweep. Every family is held out of the regressors too, in the same turns for all. Only the project's
knows what a censored crossover is; the others get its way with them: fitted on the sweeps whose crossover lies inside
their batch sizes, then again on all, each censored one where that first fit sees it, if that is beyond its bound, else
just beyond the bound. Both fits are shown. The whole takes some ten minutes.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ftax_model import dataset
from ftax_model.cli import _options, _print
from ftax_model.dataset import by_name
from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling.estimators import crossover
from ftax_model.modeling.estimators.crossover import CrossoverRegressor
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.judging import evaluation
from ftax_model.modeling.platforms.platform import enough_families
from ftax_model.modeling.rows import PLATFORM, folds

KERNEL = ConstantKernel() * Matern(10.0, (0.1, 1e4), nu=1.5) + WhiteKernel()
REGRESSORS: Mapping[str, BaseEstimator] = {
    "ridge": make_pipeline(StandardScaler(), Ridge(alpha=100)),
    "k nearest": make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance")),
    "Gaussian process": make_pipeline(StandardScaler(), GaussianProcessRegressor(KERNEL, normalize_y=True)),
    "extra trees": ExtraTreesRegressor(random_state=0),
    "random forest": RandomForestRegressor(min_samples_leaf=3, max_features=0.3, random_state=0),
    "gradient boosting": GradientBoostingRegressor(random_state=0),
}
"""What is compared with the project's. Settings are scikit-learn's, or the best of a few on the reference dataset: none
is to lose by its settings."""

READ = {"read off the predicted curve": "read_off", "closed form": "closed_form"}
"""Columns that are a prediction already, by the name of the row."""

OWN = CrossoverRegressor.__name__
INSIDE, ALL = "crossover inside", "all"


def left_out(name: str, *, jobs: int) -> pd.DataFrame:
    """Sweeps of a dataset with their columns, as predicted by fits that saw nothing of their family.

    Raises `DataError` where the dataset has too few families.
    """
    table = dataset.good(dataset.load_dataset(name))
    if not any(enough_families(part) for _, part in table.groupby(list(PLATFORM))):
        law = "families are left out where a platform has four of them, single layers aside"
        raise DataError(law, f"none in {name}", "measure more architectures")
    held_out = evaluation.evaluate(table, dataset.load_profiles([name]), splits=["family"], jobs=jobs)
    return crossover.compare(held_out, jobs=jobs)


def compare(sweeps: pd.DataFrame, *, jobs: int) -> pd.DataFrame:
    """Figures of each regressor on `left_out` sweeps of families that it had not seen either, one row each.

    Raises `DataError` where too few sweeps are left to learn from, or their operators are not known.
    """
    many = len(sweeps) > 0 and sweeps["architecture"].nunique() > 1
    turns = list(folds(sweeps["architecture"], most=crossover.FOLDS)) if many else []
    least = min((int((sweeps["censored"].iloc[train] == "").sum()) for train, _ in turns), default=0)
    if least < crossover.ENOUGH:
        law = f"a regressor learns from {crossover.ENOUGH} sweeps of other families with their crossover inside"
        raise DataError(law, str(least), "measure more models, at smaller and larger batch sizes")
    if not np.isfinite(crossover.design(sweeps)).all():
        law = "a regressor sees the operators of every sweep"
        raise DataError(law, "architectures that this version cannot trace", "leave them out of the dataset")
    learnt = Parallel(n_jobs=jobs)(delayed(_predict)(sweeps.iloc[train], sweeps.iloc[test]) for train, test in turns)
    read = pd.DataFrame({(name, "-"): sweeps[column] for name, column in READ.items()})
    found = read.join(pd.concat(learnt))
    judged = found.apply(lambda own: pd.Series(crossover.figures(own, sweeps)))
    return judged.T.rename_axis(["regressor", "fitted on"]).reset_index()


def _predict(seen: pd.DataFrame, unseen: pd.DataFrame) -> pd.DataFrame:
    """Log2 of the crossovers of unseen sweeps, a column for each regressor and what it was fitted on."""
    rows, asked = crossover.design(seen), crossover.design(unseen)
    target, censored = seen["measured"].to_numpy(float), seen["censored"].to_numpy(str)
    inside = censored == ""
    found = {}
    for name, regressor in REGRESSORS.items():
        first = _fit(regressor, rows[inside], target[inside])
        found[name, INSIDE] = first.predict(asked)
        every = _fit(regressor, rows, crossover.placed(first.predict(rows), target, censored))
        found[name, ALL] = every.predict(asked)
    own = CrossoverRegressor().fit(seen, target, censored)
    found[OWN, INSIDE], found[OWN, ALL] = own.predict(unseen, inside=True), own.predict(unseen)
    return pd.DataFrame(found, index=unseen.index)


def _fit(regressor: BaseEstimator, rows: Array, target: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of a kernel's parameter at an end of its range
        return clone(regressor).fit(rows, target)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="name of a dataset, or a file")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 (the default) for one a core")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        jobs = _options.processes(options.jobs)
        sweeps = left_out(options.dataset, jobs=jobs)
        found = compare(sweeps, jobs=jobs)
    except FtaxError as error:
        print(error, file=sys.stderr)
        return 2
    inside = int((sweeps["censored"] == "").sum())
    counts = {"sweeps": len(sweeps), "families": int(sweeps["architecture"].nunique()), "inside": inside}
    if options.json:
        _print.as_json({"dataset": options.dataset, **counts, "regressors": _print.records(found)})
        return 0
    octaves = "{:.2f}".format
    columns = {"regressor": None, "fitted on": None, "median": octaves, "p90": octaves}
    title = f"{counts['sweeps']} sweeps of {counts['families']} families, {inside} with their crossover inside"
    _print.table(by_name(found), {**columns, "bias": _print.signed, "right": _print.percent}, title=title)
    print("\nmedian, p90: absolute log2 of predicted over measured crossover, where it was measured inside; bias: its")
    print("median with the sign. right: share of the other sweeps that are predicted beyond their bound too.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
