"""Proxies: how well MACs, params, depth, op count and activations rank latency, in each regime."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy.stats import kendalltau, spearmanr

from ftax_model import dataset, plugins
from ftax_model.errors import DataError
from ftax_model.modeling.predictor import LatencyPredictor, with_features

PROXIES = ("macs", "params", "depth", "n_ops", "activations")


def proxies(
    table: pd.DataFrame,
    *,
    predictor: LatencyPredictor | None = None,
    by: Sequence[str] = ("framework", "regime"),
    names: Sequence[str] = PROXIES,
) -> pd.DataFrame:
    """Rank correlation of each proxy with measured latency, within each value of the columns ``by``.

    ``regime`` is the law's label for each row, from ``predictor`` or else from a fit to the table itself; ``unknown``
    of rows that lack what the law looks at. Proxies that no row holds are left out. Returns columns ``by``, ``proxy``,
    ``n`` (rows that hold it), ``spearman`` and ``kendall`` (tau-b; both nan below three rows or for a proxy that is
    constant there).

    Raises `InputError` for a column that is not there and `DataError` where no row was measured or holds a proxy.
    """
    rows = dataset.good(table)
    for name in by:
        plugins.check(name, ["regime", *map(str, rows.columns)], what="column to group by")
    for name in names:
        plugins.check(name, [*PROXIES, *map(str, rows.columns)], what="proxy")
    names = [name for name in names if name in rows and rows[name].notna().any()]
    if not names:
        cure = "attach traces: ftax import --trace, or measure: ftax collect"
        raise DataError("a proxy is a feature of a trace", "a dataset that holds none", cure)
    if "regime" in by:
        rows = rows.assign(regime="unknown")
        if "macs" in names:
            told = with_features(rows)
            fitted = predictor or LatencyPredictor(operators=False).fit(told)
            rows.loc[told.index, "regime"] = fitted.predict_frame(told)["regime"]
    found = [
        {
            **dict(zip(by, key, strict=True)),
            "proxy": name,
            "n": int(part[name].notna().sum()),
            **_correlations(part, name),
        }
        for key, part in rows.groupby(list(by))
        for name in names
    ]
    return pd.DataFrame(found)


def _correlations(rows: pd.DataFrame, name: str) -> dict[str, float]:
    proxy, latency = rows[name].dropna(), rows.loc[rows[name].notna(), "latency_s"]
    if len(proxy) < 3 or proxy.nunique() < 2:
        return {"spearman": float("nan"), "kendall": float("nan")}
    return {
        "spearman": float(spearmanr(proxy, latency).statistic),
        "kendall": float(kendalltau(proxy, latency).statistic),
    }
