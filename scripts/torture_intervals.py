"""Looks whether intervals hold what they say, by machine, framework, regime and batch size, and how well that is told.

Of the predictor of CPUs that ships, models, families and machines are left out while it is learnt anew; that of GPUs is
held against a dataset that nothing was learnt from. A figure is bad where it is significantly below the promise, a
shortfall that is known, or what the predictor reached when it was built (`ftax_model.modeling.judging.coverage`).
Tables drawn at random, in which all intervals are right and families are alike, say how often that is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ftax_model import dataset
from ftax_model.modeling.judging import coverage
from ftax_model.modeling.platforms.platform import FAMILY
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor

FULL: dict[str, Any] = {
    "cpus": ("amd-epyc-genoa-2core", "intel-xeon-amx-2core", "x86-epyc-2core"),
    "gpus": ("nvidia-h200",),
    "tables": 1000,
}
QUICK: dict[str, Any] = {"cpus": (), "gpus": ("nvidia-h200",), "tables": 100}

FOLDER = Path(__file__).resolve().parent.parent / "ftax_model" / "predictors"

ALIKE = 0.2
"""Correlation of rows of one family in tables drawn at random; on CPUs it is 0.1 to 0.2 in the mean over figures."""

NARROW = 0.6
"""Share that the intervals hold which are too narrow."""


def run(
    folder: Path, *, seed: int, tell: Callable[[str], None], cpus: Sequence[str], gpus: Sequence[str], tables: int
) -> list[dict[str, Any]]:
    """A row for each figure of coverage, and two of tables drawn at random."""
    found = list(_at_random(tables, np.random.default_rng(seed)))
    if gpus:
        tell(f"predicting {', '.join(gpus)}, of which nothing was learnt")
        predictor = LatencyPredictor.load(PUBLISHED)
        found += _rows(coverage.of_gpus(predictor, _measured(gpus)), PUBLISHED, promise=predictor.confidence)
    if cpus:
        tell(f"learning {', '.join(cpus)}, with models, families and machines left out")
        learnt = LatencyPredictor().learn(_measured(cpus), dataset.load_profiles(cpus))
        rows = coverage.of_learnt(learnt, fits=LatencyPredictor.load(SHIPPED).fits_)
        found += _rows(rows, SHIPPED, promise=coverage.PROMISE)
    return found


def _measured(names: Iterable[str]) -> pd.DataFrame:
    return dataset.good(pd.concat([dataset.load_dataset(name) for name in names], ignore_index=True))


def _rows(rows: pd.DataFrame, name: str, *, promise: float) -> Iterator[dict[str, Any]]:
    found = coverage.judged(coverage.figures(rows, promise=promise), FOLDER, name, promise=promise)
    for one in found.to_dict("records"):
        yield {
            "what": coverage.label(one),
            "runs": one["rows"],
            "bad": int(one["why"] != ""),
            "covered": round(one["covered"], 3),
            "by rows": _ends(one, "rows_low", "rows_high"),
            "by families": _ends(one, "low", "high"),
            "width": round(one["width"], 2),
            "note": one["why"] or ("a known shortfall" if one["known"] == one["known"] else ""),
        }


def _ends(one: dict[Any, Any], low: str, high: str) -> str:
    return f"{one[low]:.2f} to {one[high]:.2f}"


def _at_random(tables: int, draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    """How often a table of right intervals holds a figure that is called bad, and how often a narrow one is found."""
    alarms = sum(coverage.figures(drawn(draw))["below"].any() for _ in range(tables))
    least = binomtest(int(alarms), tables).proportion_ci(method="exact").low
    told = {"covered": coverage.PROMISE, "note": f"{alarms} tables with a false alarm"}
    yield {"what": "tables of right intervals", "runs": tables, "bad": int(least > coverage.FALSE_ALARMS), **told}
    seen = [coverage.figures(drawn(draw, narrow=NARROW)) for _ in range(tables)]
    hit = sum(own.loc[(own["framework"] == "0") & (own["by"] == "all"), "below"].any() for own in seen)
    told = {"covered": NARROW, "note": f"{hit} tables where the narrow one is found"}
    yield {"what": "tables with one framework's too narrow", "runs": tables, "bad": int(2 * hit < tables), **told}


def drawn(
    draw: np.random.Generator, *, narrow: float = coverage.PROMISE, frameworks: int = 10, families: int = 20
) -> pd.DataFrame:
    """Rows whose intervals hold what they say, but those of the first framework, which hold a share ``narrow``.

    Each family of a framework is inside at a share of its own (beta-binomial), so that its rows are alike by `ALIKE`.
    """
    own = np.where(np.arange(frameworks) == 0, narrow, coverage.PROMISE).repeat(families)
    shares = draw.beta(own * (1 / ALIKE - 1), (1 - own) * (1 / ALIKE - 1))
    family = np.arange(len(own)).repeat(draw.geometric(1 / 30, len(own)))
    return pd.DataFrame(
        {
            "split": "family",
            "device": "drawn",
            "framework": (family // families).astype(str),
            FAMILY: (family % families).astype(str),
            "regime": draw.choice(["framework-bound", "memory-bound", "compute-bound"], len(family)),
            "batch_size": draw.choice([1, 4, 32, 128], len(family)),
            "latency_s": np.where(draw.random(len(family)) < shares[family], 1.0, 9.0),
            "predicted_s": 1.0,
            "low_s": 0.5,
            "high_s": 2.0,
        }
    )
