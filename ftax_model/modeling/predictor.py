"""LatencyPredictor: measurements in; for any workload a latency with an interval, its regime and its crossover out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_predict

from ftax_model import architectures, dataset
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Platform
from ftax_model.modeling.law import Array
from ftax_model.modeling.regime import RegimeModel
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload

FORMAT = "ftax_model.LatencyPredictor"
SCHEMA = 1

LAW: Mapping[str, Any] = {
    "overhead": ("n_ops",),
    "compute": ("macs", "activation_bytes"),
    "constant": ("weight_bytes",),
    "memory": ("activation_bytes", "weight_bytes"),
}
"""Which features of the trace stand for which term of the law."""

PLATFORM = tuple(field.name for field in dataclasses.fields(Platform))
COLUMNS = tuple(dict.fromkeys(name for names in LAW.values() for name in names))

FAR = 4.0
"""A feature is far outside the data when it is this many times below the smallest or above the largest measured."""


@dataclass(frozen=True)
class PlatformFit:
    """What was learnt of one platform.

    ``spread`` is the half-width of the interval on the scale of log latency, from models left out of the fit in turn;
    ``domain`` the smallest and largest value of each feature measured; ``largest_batch`` the largest batch measured.
    """

    platform: Platform
    law: RegimeModel
    spread: float
    domain: Mapping[str, tuple[float, float]]
    largest_batch: int
    n_rows: int
    n_models: int

    def constants(self) -> dict[str, Any]:
        """What an operator, a MAC and a byte cost on this platform, each with its standard error (``_se``).

        Seconds, MACs per second and bytes per second; ``overlap`` is p. ``None`` for a rate whose coefficient is 0 (its
        cost could not be seen), for an infinite p, and for a standard error that cannot be told.
        """
        values, errors = self.law.parameters_, self.law.standard_errors_
        own: dict[str, float | None] = {}
        for name, column in (("fixed_s", "intercept"), ("overhead_per_op_s", "n_ops"), ("overlap", "overlap")):
            own |= {name: _finite(values[column]), f"{name}_se": _finite(errors[column])}
        for column in COLUMNS[1:]:
            rate = 1 / values[column] if values[column] else math.inf
            own |= {f"{column}_per_s": _finite(rate), f"{column}_per_s_se": _finite(rate * rate * errors[column])}
        shape = {"n_rows": self.n_rows, "n_models": self.n_models, "interval": math.expm1(self.spread)}
        return {"platform": str(self.platform), **own, **shape}

    def notes(self, features: Mapping[str, float]) -> str:
        """Why to trust a prediction from these features less; empty where there is no reason."""
        far = [name for name, (low, high) in self.domain.items() if not low / FAR <= features[name] <= high * FAR]
        return f"far outside the data in {', '.join(far)}" if far else ""


class LatencyPredictor:
    """A law for each platform in the data, and the interval that its errors on models left out call for.

    Parameters
    ----------
    confidence : share of latencies of unseen models that the interval is to hold, between 0 and 1.

    Attributes
    ----------
    fits_ : one `PlatformFit` for each platform in the data.
    """

    def __init__(self, *, confidence: float = 0.9) -> None:
        if not 0 < confidence < 1:
            raise InputError("confidence lies between 0 and 1", repr(confidence), "choose for example 0.9")
        self.confidence = confidence
        self.fits_: list[PlatformFit] = []

    def fit(self, table: pd.DataFrame) -> LatencyPredictor:
        """Learn from a dataset's frame (`ftax_model.load_dataset`); rows that were not measured are left out.

        Raises `DataError` where no row was measured, rows lack a feature, or a platform has fewer than two.
        """
        rows = dataset.good(table)
        lacking = [name for name in COLUMNS if name not in rows or rows[name].isna().any()]
        if lacking:
            law = f"the law needs the features {', '.join(COLUMNS)} of every row"
            raise DataError(law, f"rows without {', '.join(lacking)}", "measure with ftax collect, which traces them")
        parts = [(platform_of(part), part) for _, part in rows.groupby(list(PLATFORM))]
        self.fits_ = [_fit_platform(platform, part, self.confidence) for platform, part in parts]
        return self

    def predict(
        self,
        workloads: Workload | Iterable[Workload],
        *,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        strict: bool = False,
    ) -> pd.DataFrame:
        """One row for each workload on each matching platform of its dtype, in that order.

        Columns: ``curve`` (the workload's label), ``batch_size``, the platform, and those of `predict_frame`.

        Raises `InputError` for a platform not in the data and, where ``strict``, for a workload far outside it.
        """
        rows: list[dict[str, Any]] = []
        for workload in [workloads] if isinstance(workloads, Workload) else workloads:
            own = {
                "curve": architectures.label(workload.curve),
                "batch_size": workload.batch_size,
                **trace_workload(workload).features(),
            }
            fits = self.select(framework=framework, device=device, threads=threads, dtype=workload.dtype)
            rows += [{**own, **dataclasses.asdict(fit.platform)} for fit in fits]
        table = pd.DataFrame(rows)
        return table[["curve", "batch_size", *PLATFORM]].join(self.predict_frame(table, strict=strict))

    def predict_frame(self, table: pd.DataFrame, *, strict: bool = False) -> pd.DataFrame:
        """Predictions for rows that already hold features, ``batch_size`` and platform columns; index as in ``table``.

        Columns: ``latency_s`` and its interval ``low_s`` to ``high_s``; ``host_s`` and ``device_s``, the two terms of
        the law, and ``constant_s``, what of the latter does not grow with the batch; ``regime``;
        ``crossover_batch_size`` and its interval ``crossover_low`` to ``crossover_high`` (real numbers); ``censored``,
        ``below`` where it is below 1 (compute-bound from batch 1), ``above`` where it is above the largest batch
        measured; ``notes``, why to trust a row less.

        Raises `InputError` for a platform that was not in the data and, where ``strict``, for a row far outside it.
        """
        parts = []
        for _, part in table.groupby(list(PLATFORM), sort=False):
            (fit,) = self.select(**dataclasses.asdict(platform_of(part)))
            predicted = _predict_platform(fit, part)
            noted = predicted["notes"] != ""
            if strict and noted.any():
                law = f"strict predictions stay near what was measured of {fit.platform}"
                raise InputError(law, predicted.loc[noted, "notes"].iloc[0], "measure nearer, or leave strict out")
            parts.append(predicted)
        return pd.concat(parts).loc[table.index]

    def select(
        self,
        *,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        dtype: str | None = None,
    ) -> list[PlatformFit]:
        """The fits of all platforms that match; raises `InputError` where none does."""
        if not self.fits_:
            raise DataError("a predictor is fitted before it predicts", "one that is not", "call fit, or load a file")
        asked = {"framework": framework, "device": device, "threads": threads, "dtype": dtype}
        asked = {name: value for name, value in asked.items() if value is not None}
        found = [fit for fit in self.fits_ if all(getattr(fit.platform, n) == v for n, v in asked.items())]
        if not found:
            known = "; ".join(str(fit.platform) for fit in self.fits_)
            got = ", ".join(f"{name} {value}" for name, value in asked.items())
            raise InputError(f"this predictor knows {known}", got, "choose one of those, or measure that platform")
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the predictor as JSON, in one step; raises `DataError` where the file cannot be written."""
        path = Path(path)
        record = {
            "format": FORMAT,
            "schema": SCHEMA,
            "confidence": self.confidence,
            "fits": [_to(f) for f in self.fits_],
        }
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise DataError("the output can be written", f"{path}: {error.strerror}", "choose another path") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyPredictor:
        """The predictor that `save` wrote; runs no code from the file. Raises `DataError` for any other file."""
        law = "a model file is one that ftax fit wrote"
        cure = "fit one: ftax fit DATASET --out MODEL.json"
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(law, f"{path}: {error.strerror}", cure) from error
        except ValueError as error:
            raise DataError(law, f"{path}: not JSON", cure) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise DataError(law, f"{path}: another JSON file", cure)
        if record.get("schema") != SCHEMA:
            raise DataError(f"this version reads schema {SCHEMA}", f"{path}: schema {record.get('schema')!r}", cure)
        try:
            predictor = cls(confidence=record["confidence"])
            predictor.fits_ = [_from(item) for item in record["fits"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(law, f"{path}: a damaged one ({type(error).__name__}: {error})", cure) from error
        return predictor


def platform_of(rows: pd.DataFrame) -> Platform:
    """The platform that all rows of a part share."""
    first = rows.iloc[0]
    return Platform(str(first["framework"]), str(first["device"]), str(first["dtype"]), int(first["threads"]))


def law() -> RegimeModel:
    """The law on the trace's features, not yet fitted."""
    return RegimeModel(**LAW)


def design(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a dataset's frame that the law looks at, and the batch size."""
    return rows[[*COLUMNS, "batch_size"]].astype(float)


def conformal(predicted: Array, measured: Array, confidence: float) -> float:
    """Half-width on log latency that holds a share ``confidence`` of these predictions of rows the fit did not see.

    The quantile of the absolute log errors with the correction for finite samples of split conformal prediction
    (Lei et al., 2018).
    """
    level = min(1.0, math.ceil((len(measured) + 1) * confidence) / len(measured))
    return float(np.quantile(np.abs(np.log(predicted / measured)), level, method="higher"))


def _fit_platform(platform: Platform, rows: pd.DataFrame, confidence: float) -> PlatformFit:
    if len(rows) < 2:
        raise DataError(
            "a platform needs at least two measured rows", f"1 row of {platform}", "measure more: ftax collect"
        )
    X, y = design(rows), rows["latency_s"].to_numpy(float)
    return PlatformFit(
        platform=platform,
        law=law().fit(X, y, groups=rows["model"]),
        spread=_spread(X, y, rows["model"], confidence),
        domain={name: (float(X[name].min()), float(X[name].max())) for name in COLUMNS},
        largest_batch=int(rows["batch_size"].max()),
        n_rows=len(rows),
        n_models=int(rows["model"].nunique()),
    )


def _spread(X: pd.DataFrame, y: Array, models: pd.Series[str], confidence: float) -> float:
    """Half-width of the interval on log latency, from models (with one model: rows) left out of the fit in turn."""
    groups = models.to_numpy() if models.nunique() > 1 else np.arange(len(y))
    folds = GroupKFold(n_splits=min(10, len(set(groups))))
    return conformal(cross_val_predict(law(), X, y, groups=groups, cv=folds), y, confidence)


def _predict_platform(fit: PlatformFit, table: pd.DataFrame) -> pd.DataFrame:

    X = design(table)
    latency, factor = fit.law.predict(X), math.exp(fit.spread)
    crossover, low, high = fit.law.crossover_batch_size(X, return_interval=True)
    columns = {
        "latency_s": latency,
        "low_s": latency / factor,
        "high_s": latency * factor,
        "host_s": fit.law.host_s(X),
        "device_s": fit.law.device_s(X),
        "constant_s": fit.law.device_s(X.assign(**dict.fromkeys(LAW["compute"], 0.0))),
        "regime": fit.law.regime(X),
        "crossover_batch_size": crossover,
        "crossover_low": low,
        "crossover_high": high,
        "censored": np.select([crossover < 1, crossover > fit.largest_batch], ["below", "above"], ""),
        "notes": [fit.notes(dict(zip(X.columns, row, strict=True))) for row in X.to_numpy().tolist()],
    }
    return pd.DataFrame(columns, index=table.index)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _to(fit: PlatformFit) -> dict[str, Any]:
    values = {field.name: getattr(fit, field.name) for field in dataclasses.fields(fit)}
    return {
        **values,
        "platform": dataclasses.asdict(fit.platform),
        "law": fit.law.to_dict(),
        "domain": dict(fit.domain),
    }


def _from(record: Mapping[str, Any]) -> PlatformFit:

    domain = {name: (float(low), float(high)) for name, (low, high) in record["domain"].items()}
    parts = {"platform": Platform(**record["platform"]), "law": RegimeModel.from_dict(record["law"]), "domain": domain}
    return PlatformFit(**{**record, **parts})
