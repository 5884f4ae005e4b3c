"""Ranking: how well a number that is known before measuring puts latencies in order, with intervals by family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model.modeling.platforms.platform import FAMILY
from ftax_model.modeling.rows import PLATFORM

Array = NDArray[np.float64]

STATISTICS = {
    "spearman": "Spearman correlation with measured latency",
    "kendall": "Kendall correlation (tau-b) with measured latency",
    "pairs": "share of pairs put in the right order, of those that differ by more than the floor",
    "r2": "R2 of log latency: the part of its variance that a straight line over the log proxy explains",
    "mape": "mean error of latency = constant x proxy, the constant fitted",
}
"""What is told of a proxy, and what each of them is."""

FEWEST = 10
"""Rows of one platform from which a figure says anything."""

CONFIDENCE = 0.9
"""Share of draws of families that the interval holds."""

DRAWS = 100
_FEWEST_UNITS = 5  # from which drawing them again says how a figure varies


@dataclass(frozen=True)
class _Rows:
    """Rows of one platform, sorted by what is drawn: proxy, latency, and the first row of each unit."""

    proxy: Array
    latency_s: Array
    floor: float
    units: NDArray[np.intp]

    @property
    def starts(self) -> NDArray[np.intp]:
        """Where each unit begins."""
        return np.flatnonzero(np.diff(self.units, prepend=-1))


def quality(rows: pd.DataFrame, proxy: str, *, draws: int = DRAWS) -> dict[str, Any]:
    """Figures of a proxy over ``rows``, each compared with those of its own platform alone.

    ``rows`` hold one row a cell: the platform, ``architecture``, ``model``, ``latency_s``, the column ``proxy`` and
    ``floor``, the relative difference below which two latencies are the same. A figure is that of each platform with
    `FEWEST` rows or more, weighted by its rows. Its interval is that of ``draws`` in which families are drawn again
    with replacement; models, where fewer than five families are there; nan where these are few, too.

    Returns ``n``, the rows that the figures are of, ``lacking``, those of platforms with fewer (zero both where none
    holds the proxy), and each of `STATISTICS` with its ends ``..._low`` and ``..._high``, nan where nothing is told.
    """
    held = rows[rows[proxy].notna()]
    size = held.groupby(list(PLATFORM))[proxy].transform("size")
    told = held[size >= FEWEST]
    found: dict[str, Any] = {"n": len(told), "lacking": len(held) - len(told)}
    if told.empty:
        return found | {f"{name}{end}": math.nan for name in STATISTICS for end in ("", "_low", "_high")}
    unit, drawn = _weights(told, draws)
    sums, counts = np.zeros((len(STATISTICS), len(drawn))), np.zeros((len(STATISTICS), len(drawn)))
    for at in told.groupby(list(PLATFORM)).indices.values():
        order = at[np.argsort(unit[at], kind="stable")]
        own = told.iloc[order]
        part = _Rows(
            own[proxy].to_numpy(float), own["latency_s"].to_numpy(float), float(own["floor"].iloc[0]), unit[order]
        )
        figures, weight = _figures(part, drawn), drawn[:, part.units].sum(axis=1)
        there = np.isfinite(figures)
        sums += np.where(there, figures, 0.0) * weight
        counts += there * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = np.where(counts > 0, sums / counts, math.nan)
    for name, values in zip(STATISTICS, figures, strict=True):
        again = values[1:][np.isfinite(values[1:])]
        ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
        low, high = np.quantile(again, ends) if len(again) and math.isfinite(values[0]) else (math.nan, math.nan)
        found |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _weights(rows: pd.DataFrame, draws: int) -> tuple[NDArray[np.intp], Array]:
    """The unit of each row, and how often each unit is drawn: once at first, then as chance has it."""
    by = FAMILY if rows[FAMILY].nunique() >= _FEWEST_UNITS else "model"
    unit, names = pd.factorize(rows[by], sort=True)
    count = len(names)
    draws = draws if count >= _FEWEST_UNITS else 0
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=draws)
    return unit, np.vstack([np.ones((1, count)), drawn])


def _figures(rows: _Rows, drawn: Array) -> Array:
    """Each of `STATISTICS` for each draw."""
    weight = drawn[:, rows.units]
    positive = rows.proxy > 0
    ranks = [_ranks(values, weight) for values in (rows.proxy, rows.latency_s)]
    logs = [np.log(values)[None, :] for values in (np.where(positive, rows.proxy, 1.0), rows.latency_s)]
    kendall, pairs = _pairs(rows, drawn)
    return np.array(
        [
            _correlation(ranks[0], ranks[1], weight),
            kendall,
            pairs,
            _correlation(logs[0], logs[1], weight * positive) ** 2,
            _mape(rows.proxy, rows.latency_s, weight),
        ]
    )


def _ranks(values: Array, weight: Array) -> Array:
    """Middle ranks of weighted values, shape as ``weight``."""
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    each = np.add.reduceat(weight[:, order], starts, axis=1)
    ranks: Array = (each.cumsum(axis=1) - each / 2)[:, place]
    return ranks


def _correlation(one: Array, other: Array, weight: Array) -> Array:
    total = weight.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (values - (weight * values).sum(axis=1, keepdims=True) / total for values in (one, other))
        spread = (weight * first**2).sum(axis=1) * (weight * second**2).sum(axis=1)
        same = spread <= 1e-12 * total[:, 0] ** 2
        found: Array = np.where(same, math.nan, (weight * first * second).sum(axis=1) / np.sqrt(spread))
    return found


def _pairs(rows: _Rows, drawn: Array) -> tuple[Array, Array]:
    """Kendall's tau-b, and the share of pairs beyond the floor that are in the right order, of each draw.

    Pairs are counted once for each two units, and units drawn again count their pairs again.
    """
    starts = rows.starts
    own = np.unique(rows.units)
    log_s = np.log(rows.latency_s)
    counts = np.zeros((5, len(own), len(own)))
    for at, (first, last) in enumerate(zip(starts, [*starts[1:], len(log_s)], strict=True)):
        proxy = np.sign(rows.proxy[first:last, None] - rows.proxy[None, :])
        gap = log_s[first:last, None] - log_s[None, :]
        agree, told = proxy * np.sign(gap), np.abs(gap) > rows.floor
        right = told * (1 + agree) / 2
        for counted, one in zip(counts, (agree, np.abs(proxy), np.abs(np.sign(gap)), told, right), strict=True):
            counted[at] = np.add.reduceat(one.sum(axis=0), starts)
    weight = drawn[:, own]
    agree, by_proxy, by_latency, told, right = (((weight @ one) * weight).sum(axis=1) for one in counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        kendall = np.where(by_proxy * by_latency > 0, agree / np.sqrt(by_proxy * by_latency), math.nan)
        return kendall, np.where(told > 0, right / told, math.nan)


def _mape(proxy: Array, latency_s: Array, weight: Array) -> Array:
    """The least mean relative error that a constant times the proxy can have: the constant is a weighted median."""
    share = proxy / latency_s
    known = np.flatnonzero(share > 0)
    if not len(known):
        return np.full(len(weight), math.nan)
    order = known[np.argsort(-share[known], kind="stable")]
    pull = (weight[:, order] * share[order]).cumsum(axis=1)
    middle = (pull < pull[:, -1:] / 2).sum(axis=1)
    constant = 1 / share[order[np.minimum(middle, len(order) - 1)]]
    error = np.abs(constant[:, None] * share[None, :] - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = (weight * error).sum(axis=1) / weight.sum(axis=1)
    return found
