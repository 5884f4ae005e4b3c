"""Proxies: how well MACs, params, depth, op count and activations rank latency, in each regime."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy.stats import kendalltau, spearmanr

from ftax_model import dataset
from ftax_model.errors import DataError, InputError
from ftax_model.modeling.predictor import LatencyPredictor

PROXIES = ("macs", "params", "depth", "n_ops", "activations")


def proxies(
    table: pd.DataFrame,
    *,
    predictor: LatencyPredictor | None = None,
    by: Sequence[str] = ("framework", "regime"),
    names: Sequence[str] = PROXIES,
) -> pd.DataFrame:
    """Rank correlation of each proxy with measured latency, within each value of the columns ``by``.

    ``regime`` is the law's label for each row, from ``predictor`` or else from a fit to the table itself. Returns
    columns ``by``, ``proxy``, ``n`` (rows), ``spearman`` and ``kendall`` (tau-b; both nan below three rows or for a
    proxy that is constant there).

    Raises `InputError` for a column that is not there and `DataError` where no row was measured.
    """
    rows = dataset.good(table)
    if "regime" in by:
        fitted = predictor or LatencyPredictor(operators=False).fit(rows)
        rows = rows.assign(regime=fitted.predict_frame(rows)["regime"])
    for name in (*by, *names):
        if name not in rows:
            raise InputError(
                "proxies and groups are columns of the dataset",
                repr(name),
                f"choose from {', '.join(map(str, rows.columns))}",
            )
    if rows[list(names)].isna().all(axis=None):
        raise DataError("proxies need the features of the trace", "none in the dataset", "measure with ftax collect")
    found = [
        {
            **dict(zip(by, key, strict=True)),
            "proxy": name,
            "n": len(part),
            **_correlations(part[name], part["latency_s"]),
        }
        for key, part in rows.groupby(list(by))
        for name in names
    ]
    return pd.DataFrame(found)


def _correlations(proxy: pd.Series[float], latency: pd.Series[float]) -> dict[str, float]:
    if len(proxy) < 3 or proxy.nunique() < 2:
        return {"spearman": float("nan"), "kendall": float("nan")}
    return {
        "spearman": float(spearmanr(proxy, latency).statistic),
        "kendall": float(kendalltau(proxy, latency).statistic),
    }
