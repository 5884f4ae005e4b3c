"""LatencyPredictor: measurements in; for any workload a latency with an interval, its regime and its crossover out."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ftax_model import architectures, dataset, plugins
from ftax_model.errors import DataError, InputError
from ftax_model.modeling.estimators.crossover import FEWEST_SIZES, Crossovers, sweep_columns
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.platforms.calibration import assume, calibrate
from ftax_model.modeling.platforms.platform import (
    COLUMNS,
    Learnt,
    PlatformFit,
    design,
    find_siblings,
    fit_platform,
    of_platform,
    platform_of,
    regimes,
)
from ftax_model.modeling.rows import MANY, PLATFORM, of_operators, row, with_operators
from ftax_model.operators import Trace
from ftax_model.tracing import ModuleSweep, features, trace_sweep
from ftax_model.workload import Workload

FORMAT = "ftax_model.LatencyPredictor"
SCHEMA = 3

SWEEP = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes at which a curve is predicted, beside those asked for, so that its crossover can be read off."""


class LatencyPredictor:
    """For each platform in the data a law, the costs of operators, and the intervals that their errors call for.

    Parameters
    ----------
    confidence : share of latencies of unseen models that the interval is to hold, between 0 and 1.
    operators : whether to learn the costs of operators, which takes tracing every workload again; else the law alone.
    jobs : processes that trace and fit; -1 for one a core.

    Attributes
    ----------
    fits_ : one `PlatformFit` for each platform in the data.
    crossovers_ : how crossovers follow from predicted sweeps, on all platforms; ``None`` where too few were measured.
    """

    def __init__(self, *, confidence: float = 0.9, operators: bool = True, jobs: int = -1) -> None:
        if not 0 < confidence < 1:
            raise InputError("confidence lies between 0 and 1", repr(confidence), "choose for example 0.9")
        self.confidence = confidence
        self.operators = operators
        self.jobs = jobs
        self.fits_: list[PlatformFit] = []
        self.crossovers_: Crossovers | None = None

    def fit(self, table: pd.DataFrame, profiles: pd.DataFrame | None = None) -> LatencyPredictor:
        """Learn from a dataset's frame (`ftax_model.load_dataset`); rows that were not measured are left out.

        ``profiles`` are times of single operators of the same calls (`ftax_model.dataset.load_operators`).

        Raises `DataError` where no row was measured, rows lack a feature, or a platform has fewer than two.
        """
        rows = dataset.good(table)
        lacking = [name for name in COLUMNS if name not in rows or rows[name].isna().any()]
        if lacking:
            law = f"the law needs the features {', '.join(COLUMNS)} of every row"
            raise DataError(law, f"rows without {', '.join(lacking)}", "measure with ftax collect, which traces them")
        timed = None
        if self.operators:
            rows = with_operators(rows, jobs=self.jobs)
            timed = None if profiles is None else of_operators(profiles)
        parts = [part for _, part in rows.groupby(list(PLATFORM))]
        jobs = self.jobs if self.operators and len(rows) > MANY else 1
        learn = partial(fit_platform, operators=self.operators)
        return self.of_learnt(
            Parallel(n_jobs=jobs)(
                delayed(learn)(part, siblings=find_siblings(parts, part), profiles=of_platform(timed, part))
                for part in parts
            )
        )

    def of_learnt(self, learnt: Iterable[Learnt]) -> LatencyPredictor:
        """Take what was learnt of each platform (`fit_platform`); returns itself."""
        found = list(learnt)
        self.fits_ = [one.fit for one in found]
        self.crossovers_ = Crossovers.learn(pd.concat([one.sweeps for one in found], ignore_index=True))
        return self

    def calibrate(self, table: pd.DataFrame) -> LatencyPredictor:
        """A predictor of the platforms in a dataset's frame, from what this one knows and a few rows measured there.

        Each platform takes over a known one, most alike or else nearest, with factors of its own for the time on the
        host, computing and moving memory (see `platforms.calibration`). Raises `DataError` where no
        row was measured or nothing is known that could be taken over.
        """
        rows = with_operators(dataset.good(table), jobs=self.jobs)
        found = [calibrate(self.fits_, part) for _, part in rows.groupby(list(PLATFORM))]
        calibrated = LatencyPredictor(confidence=self.confidence, jobs=self.jobs)
        calibrated.fits_, calibrated.crossovers_ = found, self.crossovers_
        return calibrated

    def predict(
        self,
        workloads: Any,
        inputs: Mapping[str, Any] | None = None,
        *,
        batch_sizes: Iterable[int] | None = None,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        strict: bool = False,
        quantile: float | None = None,
        crossovers: bool = True,
    ) -> pd.DataFrame:
        """One row for each workload on each matching platform of its dtype, in that order.

        ``workloads`` is one `Workload` or several; with ``batch_sizes``, each of them at every one of these. Or it is
        an ``nn.Module``, with the keyword ``inputs`` of one call: it is traced where it is (on the meta device that
        costs nothing), and its inputs are cut or repeated along the first axis for other ``batch_sizes``.

        Columns: ``curve`` (the workload's label), ``batch_size``, the platform, and those of `predict_frame`. Without
        ``crossovers`` the other batch sizes of a curve are not looked at, which takes a third of the time.

        A platform that was never measured is made of the most alike known one by the specifications of both devices
        (``device`` is then the name of a device file, or a path to one), with intervals to match and a note.

        Raises `InputError` for a platform of which neither measurements nor specifications are known and, where
        ``strict``, for a platform never measured and a workload far outside what was.
        """
        asked = _asked(workloads, inputs, list(batch_sizes) if batch_sizes is not None else None)
        tables = []
        for curve, sizes, dtype, traced in asked:
            fits = self.select(framework=framework, device=device, threads=threads, dtype=dtype)
            traces = traced(sorted({*SWEEP, *sizes} if crossovers else sizes))
            rows = pd.DataFrame({"curve": curve, "batch_size": n, **row(one, dtype=dtype)} for n, one in traces.items())
            parts = []
            for fit in fits:
                told = rows[["curve", "batch_size"]].assign(**dataclasses.asdict(fit.platform))
                parts.append(told.join(self._predict_platform(fit, rows, quantile=quantile, crossovers=crossovers)))
            own = pd.concat(parts, ignore_index=True)
            order = {size: at for at, size in enumerate(sizes)}
            own = own[own["batch_size"].isin(order)]
            tables.append(own.sort_values("batch_size", key=lambda column: column.map(order), kind="stable"))
        found = pd.concat(tables, ignore_index=True)
        _refuse(found, strict=strict)
        return found

    def predict_frame(
        self, table: pd.DataFrame, *, strict: bool = False, quantile: float | None = None, crossovers: bool = True
    ) -> pd.DataFrame:
        """Predictions for rows that already hold features, ``batch_size`` and platform columns; index as in ``table``.

        Rows with the columns of operators (`ftax_model.modeling.rows`) get the answer of operators, others the law's.

        Columns: ``latency_s`` and its interval ``low_s`` to ``high_s``; ``host_s`` and ``device_s``, the two terms of
        the law, and ``constant_s``, what of the latter does not grow with the batch; ``regime``, and
        ``regime_probability``, how likely the crossover lies on that side; ``crossover_batch_size`` and its interval
        ``crossover_low`` to ``crossover_high`` (real numbers); ``censored``, ``below`` where it is below 1
        (compute-bound from batch 1), ``above`` where it is above the largest batch measured; ``notes``, why to trust a
        row less. The crossover is read off the predicted curve, where the table holds four batch sizes of it or more
        (rows of one ``curve``) and ``crossovers`` is true, else off the law. With ``quantile`` also ``quantile_s``,
        which such a share of latencies stays below.

        Raises `InputError` as `predict` does.
        """
        parts = []
        for _, part in table.groupby(list(PLATFORM), sort=False):
            (fit,) = self.select(**dataclasses.asdict(platform_of(part)))
            parts.append(self._predict_platform(fit, part, quantile=quantile, crossovers=crossovers))
        found = pd.concat(parts).loc[table.index]
        _refuse(found, strict=strict)
        return found

    def _predict_platform(
        self, fit: PlatformFit, table: pd.DataFrame, *, quantile: float | None, crossovers: bool
    ) -> pd.DataFrame:
        found = fit.estimate(table)
        levels = (1 - self.confidence) / 2, (1 + self.confidence) / 2, 0.5 if quantile is None else quantile
        ratios = fit.quantiles(table, found, levels)
        low_s, high_s, quantile_s = (found["latency_s"] * np.exp(ratio) for ratio in ratios)
        found = found.assign(
            low_s=np.minimum(low_s, found["latency_s"]),
            high_s=np.maximum(high_s, found["latency_s"]),
            quantile_s=quantile_s,
        )
        found = found.join(_law_crossovers(fit, table)).assign(regime_probability=math.nan)
        if crossovers and fit.model is not None and "curve" in table:
            for _, part in table[fit.has_operators(table)].groupby("curve"):
                if part["batch_size"].nunique() >= FEWEST_SIZES:
                    self._read_off(found, part)
        crossover = found["crossover_batch_size"].to_numpy(float)
        censored = np.select([crossover < 1, crossover > fit.largest_batch], ["below", "above"], "")
        return found.assign(censored=censored)[[*PREDICTED, *(["quantile_s"] if quantile is not None else [])]]

    def _read_off(self, found: pd.DataFrame, rows: pd.DataFrame) -> None:
        """Put the crossover of one predicted curve, and the regimes that follow from it, into its rows."""
        own, sizes = found.loc[rows.index], rows["batch_size"].astype(float)
        if self.crossovers_ is None:
            curve = fit_curve(sizes.to_numpy(float), own["latency_s"].to_numpy(float))
            crossover, ends = curve.crossover_batch_size, (curve.crossover_low, curve.crossover_high)
        else:
            sweep = pd.DataFrame([sweep_columns(rows, own)])
            middle = float(self.crossovers_.regressor.predict(sweep)[0])
            low, high = self.crossovers_.errors.interval(self.confidence, [""])
            crossover, ends = 2**middle, (2 ** (middle + float(low[0])), 2 ** (middle + float(high[0])))
            above = self.crossovers_.errors.above(np.log2(sizes.to_numpy(float)) - middle)
            found.loc[rows.index, "regime_probability"] = np.where(sizes < crossover, above, 1 - above)
        found.loc[rows.index, _CROSSOVER] = [crossover, *ends]
        found.loc[rows.index, "regime"] = regimes(own, sizes, crossover)

    def select(
        self,
        *,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        dtype: str | None = None,
    ) -> list[PlatformFit]:
        """The fits of all platforms that match, or where none does those that specifications make of known ones.

        Such a one is made for the framework asked for, or for each that is known (see
        `ftax_model.modeling.platforms.calibration.assume`). Raises `InputError` where none can be made.
        """
        if not self.fits_:
            raise DataError("a predictor is fitted before it predicts", "one that is not", "call fit, or load a file")
        asked = {"framework": framework, "device": device, "threads": threads, "dtype": dtype}
        asked = {name: value for name, value in asked.items() if value is not None}
        found = _matching(self.fits_, asked)
        if not found:
            names = [framework] if framework else sorted({fit.platform.framework for fit in self.fits_})
            made = [assume(self.fits_, framework=n, device=device, dtype=dtype, threads=threads) for n in names]
            found = [fit for fit in made if fit is not None]
        if not found:
            known = "; ".join(str(fit.platform) for fit in self.fits_)
            got = ", ".join(f"{name} {value}" for name, value in asked.items())
            raise InputError(f"this predictor knows {known}", got, "choose one of those, or measure it: ftax calibrate")
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the predictor as JSON, in one step; raises `DataError` where the file cannot be written."""
        path = Path(path)
        record = {
            "format": FORMAT,
            "schema": SCHEMA,
            "columns": _FINGERPRINT,
            "confidence": self.confidence,
            "fits": [fit.to_dict() for fit in self.fits_],
            "crossovers": self.crossovers_.to_dict() if self.crossovers_ else None,
        }
        text = json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        content = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
        part = path.with_name(path.name + ".part")
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise DataError("the output can be written", f"{path}: {error.strerror}", "choose another path") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyPredictor:
        """The predictor that `save` wrote, or the one of that name that ships with the package (see `shipped`).

        Runs no code from the file. Raises `DataError` for any other file.
        """
        law = "a model file is one that ftax fit wrote"
        cure = "fit one: ftax fit DATASET --out MODEL.json"
        path = _find(path)
        try:
            content = path.read_bytes()
            record = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        except (OSError, EOFError) as error:
            raise DataError(law, f"{path}: {getattr(error, 'strerror', None) or error}", cure) from error
        except ValueError as error:
            raise DataError(law, f"{path}: not JSON", cure) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise DataError(law, f"{path}: another JSON file", cure)
        if record.get("schema") != SCHEMA:
            raise DataError(f"this version reads schema {SCHEMA}", f"{path}: schema {record.get('schema')!r}", cure)
        if record.get("columns") != _FINGERPRINT:
            raise DataError("operators are counted as when it was fitted", f"{path}: columns of another version", cure)
        try:
            predictor = cls(confidence=record["confidence"])
            predictor.fits_ = [PlatformFit.from_dict(item) for item in record["fits"]]
            crossovers = record["crossovers"]
            predictor.crossovers_ = Crossovers.from_dict(crossovers) if crossovers else None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(law, f"{path}: a damaged one ({type(error).__name__}: {error})", cure) from error
        return predictor


def shipped() -> list[str]:
    """Names of the predictors that ship with the package, one for each dataset of the project."""
    return [name.removesuffix(".json") for name in plugins.names(_FOLDER, suffix=".gz")]


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    return plugins.path(_FOLDER, f"{name_or_path}.json", suffix=".gz")


_FOLDER = "ftax_model.predictors"
_FINGERPRINT = zlib.crc32(" ".join(features.COLUMNS).encode())

Asked = tuple[str, list[int], str, Callable[[list[int]], dict[int, Trace]]]
"""The label of a curve, the batch sizes asked for, the dtype, and what traces it."""


def _asked(what: Any, inputs: Mapping[str, Any] | None, batch_sizes: list[int] | None) -> Iterable[Asked]:
    if inputs is not None:
        traced = ModuleSweep(what, inputs)
        yield type(what).__name__, batch_sizes or [traced.batch_size], traced.dtype, traced
        return
    sweeps: dict[Workload, list[int]] = {}
    for one in what if isinstance(what, Iterable) else [what]:
        if not isinstance(one, Workload):
            law, cure = "what is predicted is a workload, or a module with its inputs", "give the inputs of one call"
            raise InputError(law, f"a {type(one).__name__} without inputs", cure)
        sizes = sweeps.setdefault(architectures.complete(one).curve, [])
        sizes += [size for size in batch_sizes or [one.batch_size] if size not in sizes]
    for curve, sizes in sweeps.items():
        yield architectures.label(curve), sizes, curve.dtype, partial(trace_sweep, curve)


def _matching(fits: Iterable[PlatformFit], asked: Mapping[str, Any]) -> list[PlatformFit]:
    return [fit for fit in fits if all(getattr(fit.platform, name) == value for name, value in asked.items())]


def _refuse(found: pd.DataFrame, *, strict: bool) -> None:
    noted = found["notes"] != ""
    if strict and noted.any():
        law = "strict predictions stay near what was measured of the platform"
        raise InputError(law, f"one {found.loc[noted, 'notes'].iloc[0]}", "measure nearer, or leave strict out")


PREDICTED = (
    "latency_s", "low_s", "high_s", "host_s", "device_s", "constant_s", "regime", "regime_probability",
    "crossover_batch_size", "crossover_low", "crossover_high", "censored", "notes",
)  # fmt: skip
"""Columns of a prediction."""

_CROSSOVER = ["crossover_batch_size", "crossover_low", "crossover_high"]


def _law_crossovers(fit: PlatformFit, table: pd.DataFrame) -> pd.DataFrame:
    values = fit.law.crossover_batch_size(design(table), return_interval=True)
    return pd.DataFrame(dict(zip(_CROSSOVER, values, strict=True)), index=table.index)
