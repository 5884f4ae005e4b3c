#!/usr/bin/env python
"""Check where predicted time goes, operator by operator, against profiles of calls of families never seen.

    .venv/bin/python scripts/check_operators.py x86-epyc-2core

Every family is held out of an `OperatorModel` in turn, single layers aside, which is fitted to whole models alone, then
with the operator profiles of the other families too. What it then says of each operator of the calls that were profiled
is compared with what the profiler saw. ``wrong group`` is the share of a call's time that is put down to another group
of operators (half the sum of absolute differences between shares), ``wrong operator`` the same by operator, each the
median over calls; ``same top`` the share of calls whose costliest operator is found; ``rank`` the median Spearman
correlation of the times of a call's operators. A profiler disturbs what it sees: the shares are its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ftax_model import dataset
from ftax_model.cli import _options, _print
from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling.platforms.known import learn, platform_of
from ftax_model.modeling.platforms.platform import FAMILY, enough_families, turns
from ftax_model.modeling.rows import PLATFORM, of_operators, with_operators
from ftax_model.tracing import features

COLUMNS = list(features.SUMS)
GROUPS = np.array([name.split(".")[0] for name in features.HOST])


def check(rows: pd.DataFrame, profiles: pd.DataFrame, *, jobs: int) -> list[dict[str, Any]]:
    """The figures of one platform, without and with profiles; both with the columns of operators."""
    pairs = list(turns(rows, by=FAMILY, most=len(rows)))
    found = []
    for name, timed in (("whole models", None), ("and profiles", profiles)):
        parts = Parallel(n_jobs=jobs)(
            delayed(_held_out)(rows.iloc[train], rows.iloc[test], profiles, timed) for train, test in pairs
        )
        figures = pd.concat(parts)
        means = figures.median(numeric_only=True).to_dict() | {"same top": float(figures["same top"].mean())}
        found.append({"platform": str(platform_of(rows)), "fitted to": name, "calls": len(figures), **means})
    return found


def _held_out(
    seen: pd.DataFrame, unseen: pd.DataFrame, profiles: pd.DataFrame, timed: pd.DataFrame | None
) -> pd.DataFrame:
    (known,) = learn(seen, timed, trees=0).values()
    costs = known.reference.costs_[COLUMNS].to_numpy()
    asked = profiles[profiles["key"].isin(unseen["key"])]
    times = pd.DataFrame(
        {
            "key": asked["key"],
            "group": GROUPS[asked[list(features.HOST)].to_numpy().argmax(axis=1)],
            "said": asked["count"] * (asked[COLUMNS].to_numpy(float) @ costs),
            "seen": asked["count"] * asked[["host_s", "device_s"]].max(axis=1),
        }
    )
    return pd.DataFrame([_figures(own) for _, own in times.groupby("key")])


def _figures(times: pd.DataFrame) -> dict[str, float]:
    """Figures of the operators of one call, ``said`` and ``seen`` in seconds."""
    shares = times[["said", "seen"]] / times[["said", "seen"]].sum()
    groups = shares.groupby(times["group"]).sum()
    return {
        "wrong group": float((groups["said"] - groups["seen"]).abs().sum() / 2),
        "wrong operator": float((shares["said"] - shares["seen"]).abs().sum() / 2),
        "same top": float(shares["said"].argmax() == shares["seen"].argmax()),
        "rank": float(shares["said"].corr(shares["seen"], method="spearman")) if len(shares) > 2 else float("nan"),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures of each platform that was profiled; 2 where the dataset has no profiles or few families."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="a dataset's name or file, operator profiles beside it")
    parser.add_argument("--jobs", type=int, default=-1, help="processes, -1 for one a core")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked = parser.parse_args(words)
    try:
        jobs = _options.processes(asked.jobs)
        profiles = of_operators(dataset.load_operators(asked.dataset))
        rows = with_operators(dataset.good(dataset.load_dataset(asked.dataset)), jobs=jobs)
        found: list[dict[str, Any]] = []
        for _, part in rows.groupby(list(PLATFORM)):
            own = profiles[(profiles[list(PLATFORM)] == part[list(PLATFORM)].iloc[0]).all(axis=1)]
            if len(own) and enough_families(part):
                found += check(part.reset_index(drop=True), own, jobs=jobs)
        if not found:
            law_ = "operators are checked where a platform has profiles, and four families, single layers aside"
            raise DataError(law_, f"none in {asked.dataset}", "measure more: ftax collect --operators")
    except FtaxError as error:
        print(error, file=sys.stderr)
        return 2
    if asked.json:
        _print.as_json(found)
        return 0
    shares = dict.fromkeys(("wrong group", "wrong operator", "same top"), _print.percent)
    _print.table(found, {"platform": None, "fitted to": None, "calls": str, **shares, "rank": _print.signed})
    return 0


if __name__ == "__main__":
    sys.exit(main())
