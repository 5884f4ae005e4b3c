"""Calibration: what is known of one platform becomes what is known of another, from a few rows, or its specification.

A new platform does the same operators at other rates. Of a platform that is known, the time on the host, the time that
computes and the time that moves memory are each multiplied by a factor of their own; what the trees have learnt, and
the proportions between groups of operators, stay. The factors come from rows measured there (`Transfer`, so that few
rows do not tear them apart), or where there are none from the peaks of device files: what a device reaches of them is
taken to be what the known one reaches, and how far that may be off is how far the known ones are apart in it.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ftax_model.device import rates as device_rates
from ftax_model.errors import DataError
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.correction import Factors
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.judging.intervals import EVERY, Errors
from ftax_model.modeling.platforms.platform import (
    BREADTH,
    LAW,
    PlatformFit,
    nearest_factors,
    parts,
    platform_of,
    three_times,
)

LEAST_APART = 0.5
"""Standard deviation of a log factor that is taken from specifications, at least: two thirds lie within 1.65 times."""


def calibrate(known: Sequence[PlatformFit], rows: pd.DataFrame) -> PlatformFit:
    """What is known of the platform of these measured rows, from the known platform that comes nearest to them.

    Looked at are those of its framework, dtype and threads, else those of its framework, else all; of these, such as
    are known well. Nearest is the one whose times, each with its factor (held back toward what the specifications of
    both say), miss the rows least. Intervals are its own, wider where it misses the rows by more than it missed its
    own. Raises `DataError` where no platform is known.
    """
    if not known:
        raise DataError("calibration needs a platform that is known", "none", "load a predictor, or fit one")
    platform = platform_of(rows)
    tried = [_fitted(fit, rows) for fit in _alike(well_known(known), platform)]
    miss, factors, fit, wider = min(tried, key=lambda one: one[0])
    return dataclasses.replace(
        _scaled(fit, factors),
        platform=platform,
        errors=Errors({kind: wider * values for kind, values in fit.errors.by_kind.items()}),
        n_rows=len(rows),
        n_models=int(rows["model"].nunique()) if "model" in rows else 0,
        origin={"known_as": str(fit.platform), **dataclasses.asdict(factors), "median_miss": miss},
    )


def assume(
    known: Sequence[PlatformFit], *, framework: str, device: str | None, dtype: str | None, threads: int | None
) -> PlatformFit | None:
    """What specifications say of a platform that was never measured, from the known one most like it.

    What is ``None`` is as on that one: of the same framework and kind of device, one that is known well, and shares
    most of device, dtype and threads. ``None`` where there is no such platform, or no device file gives both peaks.
    """
    asked: dict[str, Any] = {"device": device, "dtype": dtype, "threads": threads}
    asked = {name: value for name, value in asked.items() if value is not None}
    found = []
    for fit in (one for one in well_known(known) if one.platform.framework == framework):
        platform = dataclasses.replace(fit.platform, **asked)
        factors = _specified(fit.platform, platform)
        if factors is not None:
            alike = sum(getattr(fit.platform, name) == value for name, value in asked.items())
            found.append((alike, fit.n_models, fit, platform, factors))
    if not found:
        return None
    _, _, fit, platform, factors = max(found, key=lambda one: one[:2])
    return dataclasses.replace(
        _scaled(fit, factors),
        platform=platform,
        assumed_spread=_apart(known),
        origin={"assumed_as": str(fit.platform), **dataclasses.asdict(factors)},
    )


def well_known(known: Sequence[PlatformFit]) -> list[PlatformFit]:
    """Those that were measured with many models, `BREADTH` of the most."""
    most = max((fit.n_models for fit in known), default=0)
    return [fit for fit in known if fit.n_models >= BREADTH * most]


def _alike(fits: Sequence[PlatformFit], platform: Platform) -> Sequence[PlatformFit]:
    for names in (("framework", "dtype", "threads"), ("framework",)):
        found = [f for f in fits if all(getattr(f.platform, name) == getattr(platform, name) for name in names)]
        if found:
            return found
    return fits


def _specified(known: Platform, new: Platform) -> Factors | None:
    """What the times of a known platform are multiplied by on another one, by their device files; ``None`` without."""
    old, own = _rates(known), _rates(new)
    if old is None or own is None or old[0] != own[0]:
        return None
    return Factors(compute=old[1] / own[1], memory=old[2] / own[2] if old[2] and own[2] else 1.0)


def _rates(platform: Platform) -> tuple[str, float, float | None] | None:
    return device_rates(platform.device, platform.dtype, platform.threads)


def _apart(known: Sequence[PlatformFit]) -> float:
    """Standard deviation of the log of what the known platforms reach of their peaks, `LEAST_APART` at least."""
    reached = []
    for fit in known:
        rates, cost = _rates(fit.platform), fit.law.parameters_["macs"]
        if rates and cost > 0:
            reached.append(math.log(1 / (cost * rates[1])))
    return max(float(np.std(reached, ddof=1)) if len(reached) > 1 else 0.0, LEAST_APART)


def _scaled(fit: PlatformFit, factors: Factors) -> PlatformFit:
    return dataclasses.replace(
        fit, law=_scaled_law(fit.law, factors), model=fit.model.scaled(factors) if fit.model else None
    )


def _fitted(fit: PlatformFit, rows: pd.DataFrame) -> tuple[float, Factors, PlatformFit, float]:
    """Median miss, factors, the platform, and how much more than its own rows it misses these."""
    times = parts(fit.model or fit.law, rows)
    prior = _specified(fit.platform, platform_of(rows))
    factors = nearest_factors(times, rows["latency_s"].to_numpy(float), prior=prior)
    predicted = three_times(times) @ np.array(dataclasses.astuple(factors))
    missed = np.abs(np.log(rows["latency_s"].to_numpy(float) / predicted))
    relative, own = missed / fit.expected_miss(rows), np.abs(fit.errors.by_kind[EVERY])
    left = max(len(rows) - len(dataclasses.fields(Factors)), 1)
    larger = max(float(np.median(relative) / np.median(own)), float(relative.mean() / own.mean()))
    spread = larger * math.sqrt(len(rows) / left)
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
