"""Calibration: what is known of one platform becomes what is known of another, from a few rows measured there.

A new platform does the same operators at other rates. Of a platform that is known, the time on the host, the time that
computes and the time that moves memory are each multiplied by a factor of their own (`Transfer`, so that few rows do
not tear them apart); what the trees have learnt, and the proportions between groups of operators, stay.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ftax_model.errors import DataError
from ftax_model.modeling.correction import Factors
from ftax_model.modeling.intervals import EVERY, Errors
from ftax_model.modeling.platform import (
    BREADTH,
    LAW,
    PlatformFit,
    nearest_factors,
    parts,
    platform_of,
    three_times,
)
from ftax_model.modeling.regime import RegimeModel


def calibrate(known: Sequence[PlatformFit], rows: pd.DataFrame) -> PlatformFit:
    """What is known of the platform of these measured rows, from the known platform that comes nearest to them.

    Nearest is the one whose times, each with its factor, miss the rows least, of those that are known well. Intervals
    are its own, wider where it misses the rows by more than it missed its own. Raises `DataError` where no platform is
    known.
    """
    if not known:
        raise DataError("calibration needs a platform that is known", "none", "load a predictor, or fit one")
    most = max(fit.n_models for fit in known)
    tried = [_fitted(fit, rows) for fit in known if fit.n_models >= BREADTH * most]
    miss, factors, fit, wider = min(tried, key=lambda one: one[0])
    return dataclasses.replace(
        fit,
        platform=platform_of(rows),
        law=_scaled_law(fit.law, factors),
        model=fit.model.scaled(factors) if fit.model else None,
        errors=Errors({kind: wider * values for kind, values in fit.errors.by_kind.items()}),
        n_rows=len(rows),
        n_models=int(rows["model"].nunique()) if "model" in rows else 0,
        origin={"known_as": str(fit.platform), **dataclasses.asdict(factors), "median_miss": miss},
    )


def _fitted(fit: PlatformFit, rows: pd.DataFrame) -> tuple[float, Factors, PlatformFit, float]:
    """Median miss, factors, the platform, and how much more than its own rows it misses these."""
    times = parts(fit.model or fit.law, rows)
    factors = nearest_factors(times, rows["latency_s"].to_numpy(float))
    predicted = three_times(times) @ np.array(dataclasses.astuple(factors))
    missed = np.abs(np.log(rows["latency_s"].to_numpy(float) / predicted))
    own = float(np.median(np.abs(fit.errors.by_kind[EVERY])))
    left = max(len(rows) - len(dataclasses.fields(Factors)), 1)
    spread = float(np.median(missed / fit.expected_miss(rows))) / own * math.sqrt(len(rows) / left)
    return float(np.median(missed)), factors, fit, max(spread, 1.0)


def _scaled_law(law: RegimeModel, factors: Factors) -> RegimeModel:
    found = copy.deepcopy(law)
    names = list(found.parameters_)
    by_name = {name: factors.memory if name in LAW["memory"] else factors.compute for name in names}
    by_name |= {"intercept": factors.host, **dict.fromkeys(LAW["overhead"], factors.host), "overlap": 1.0}
    found.intercept_ *= factors.host
    found.coef_ = found.coef_ * np.array([by_name[str(name)] for name in found.feature_names_in_])
    scale = np.array([by_name[name] for name in names])
    found.covariance_ = found.covariance_ * np.outer(scale, scale)
    found.standard_errors_ = {name: by_name[name] * error for name, error in found.standard_errors_.items()}
    return found
