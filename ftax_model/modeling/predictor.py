"""LatencyPredictor: measurements in; for any workload a latency with an interval, its regime and its crossover out."""

from __future__ import annotations

import dataclasses
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ftax_model import architectures, dataset, plugins, values
from ftax_model.device import canonical
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.files import read_json, write_json
from ftax_model.measurement import Platform
from ftax_model.modeling import limits
from ftax_model.modeling.estimators.correction import CorrectedModel, have_operators
from ftax_model.modeling.estimators.crossover import FEWEST_SIZES, Crossovers, compare, sweep_columns
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.platforms import fitting, gpus, memory, mine
from ftax_model.modeling.platforms.fitting import Learnt
from ftax_model.modeling.platforms.gpus import KnownGpus
from ftax_model.modeling.platforms.known import COLUMNS, INSTEAD, Key, Known, design, kind_of, learn, platform_of
from ftax_model.modeling.platforms.memory import KnownMemory
from ftax_model.modeling.platforms.platform import (
    Fitted,
    PlatformFit,
    adapt,
    expected,
    finished,
    fit_one,
    regimes,
)
from ftax_model.modeling.rows import (
    MANY,
    PLATFORM,
    drawn,
    kernel_row,
    of_operators,
    row,
    with_kernels,
    with_operators,
)
from ftax_model.operators import Trace
from ftax_model.tracing import BatchAxis, batch_axes, checked_batch_sizes, features
from ftax_model.tracing.sources import Source, find
from ftax_model.values import check_schema, listed
from ftax_model.workload import DTYPES, Workload

FORMAT = "ftax_model.LatencyPredictor"
SCHEMA = 6

SHIPPED = "cpu"
"""Name of the predictor that ships with the package and is taken where none is named."""

PUBLISHED = "published-gpus"
"""Name of the one that is taken for GPUs: learnt from what others measured."""

SWEEP = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes at which a curve is predicted, beside those asked for, so that its crossover can be read off."""


class LatencyPredictor:
    """For each platform in the data a law, the costs of operators, and the intervals that their errors call for.

    Parameters
    ----------
    confidence : share of latencies of unseen models that the interval is to hold, between 0 and 1.
    operators : whether to learn the costs of operators, which takes tracing every workload again; else the law alone.
    jobs : processes that trace and fit, -1 for one a core; ``None`` for as many as an active `joblib.parallel_config`
        says, or else one a core. They are those of its backend, here or on a cluster.

    Attributes
    ----------
    fits_ : one `PlatformFit` for each platform in the data.
    known_ : what is known of each framework on each kind of device, over all machines (`Known`).
    gpus_ : what is known of each framework on GPUs (`KnownGpus`), by framework.
    memory_ : what is known of the peak memory of each framework on each kind of device (`KnownMemory`).
    crossovers_ : how crossovers follow from predicted sweeps, on all platforms; ``None`` where too few were measured.
    about_ : what a calibration was made with, empty for others (see `ftax_model.modeling.platforms.mine`).
    """

    def __init__(self, *, confidence: float = 0.9, operators: bool = True, jobs: int | None = None) -> None:
        if not 0 < confidence < 1:
            raise InputError("confidence lies between 0 and 1", repr(confidence), "choose for example 0.9")
        self.confidence = confidence
        self.operators = operators
        self.jobs = jobs
        self.fits_: list[PlatformFit] = []
        self.known_: dict[Key, Known] = {}
        self.gpus_: dict[str, KnownGpus] = {}
        self.memory_: dict[Key, KnownMemory] = {}
        self.crossovers_: Crossovers | None = None
        self.about_: dict[str, Any] = {}
        self._assumed: dict[Platform, PlatformFit | None] = {}
        self._of_gpus: dict[tuple[Platform, str | None, float | None], PlatformFit] = {}

    def fit(
        self, table: pd.DataFrame, profiles: pd.DataFrame | None = None, *, known: LatencyPredictor | None = None
    ) -> LatencyPredictor:
        """Learn from a dataset's frame (`ftax_model.load_dataset`); rows that were not measured are left out.

        ``known`` is a predictor of other machines: its costs are where those of the rows' platforms begin, so that a
        dozen rows are enough, and it sharpens thousands. Without, the rows are all there is. ``profiles`` are times of
        single operators of the same calls (`ftax_model.dataset.load_operators`).

        Rows that lack a feature of the law are left out, and of a platform of more than 20,000 rows models are drawn
        that have so many. Raises `DataError` where no row was measured, none has all of
        them, or, where nothing alike is known, a platform has fewer than two rows.
        """
        rows = self._rows(table)
        self.of_learnt(self.learn(rows, profiles, known=known), known=known)
        return self.learn_memory(rows, known=known)

    def learn(
        self,
        table: pd.DataFrame,
        profiles: pd.DataFrame | None = None,
        *,
        known: LatencyPredictor | None = None,
        families: bool = True,
        most: int = 10,
    ) -> Learnt:
        """What `fit` learns, with all that was left out: models, and ``families`` if so asked, in ``most`` turns."""
        rows = self._rows(table)
        before = known.known_ if known else None
        timed = None if profiles is None or not self.operators else of_operators(profiles)
        jobs = self.jobs if self.operators and len(rows) > MANY else 1
        with threadpool_limits(1):  # many small systems: threads would wait for each other
            return fitting.fit(
                rows,
                known=before,
                profiles=timed,
                operators=self.operators,
                families=families,
                most=most,
                jobs=jobs,
            )

    def _rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The measured rows that hold the law's features, traced again where operators are to be learnt."""
        rows = drawn(with_features(dataset.good(table)).reset_index(drop=True))
        return with_operators(rows, jobs=self.jobs) if self.operators else rows

    def of_learnt(self, learnt: Learnt, *, known: LatencyPredictor | None = None) -> LatencyPredictor:
        """Take what was learnt (`learn`), and how crossovers follow from what is ``known``; returns itself."""
        self.fits_, self.known_ = learnt.fits, learnt.known
        if known is not None and known.crossovers_ is not None:
            self.crossovers_ = known.crossovers_
        elif len(learnt.left_out):
            judged = learnt.left_out[(learnt.left_out["split"] == "model") & have_operators(learnt.left_out)]
            self.crossovers_ = Crossovers.learn(compare(judged)) if len(judged) else None
        return self

    def learn_memory(self, table: pd.DataFrame, *, known: LatencyPredictor | None = None) -> LatencyPredictor:
        """Learn what processes hold, from a dataset's frame with the columns of operators; returns itself.

        What is ``known`` of a framework stays as it is: what it holds is not a matter of the machine.
        """
        self.memory_ = memory.learn(table) | (known.memory_ if known else {})
        return self

    def learn_gpus(
        self, rows: pd.DataFrame, *, source: str = "", sample: pd.DataFrame | None = None
    ) -> LatencyPredictor:
        """Learn what GPUs take, from rows as `ftax_model.modeling.platforms.gpus.learn` wants them; returns itself."""
        with threadpool_limits(1):
            found = gpus.learn(rows, source=source, sample=sample, jobs=self.jobs)
        self.gpus_ = {one.framework: one for one in found}
        return self

    def expected_error(self, table: pd.DataFrame) -> dict[str, float]:
        """Median relative error to be expected of each platform in a dataset's frame once it calibrates this predictor.

        A quick look, for whoever measures: nothing is left out. Platforms of which nothing is known are missing.
        """
        rows = with_operators(dataset.good(table), jobs=1)
        rows = rows[have_operators(rows)]
        with threadpool_limits(1):
            fitted = adapt(rows, self.known_)
        return {
            str(platform): float(np.median(expected(one.model, one.known, one.known.sample)))
            for platform, one in fitted.items()
        }

    def calibrate(self, table: pd.DataFrame) -> LatencyPredictor:
        """A predictor of the platforms in a dataset's frame, from what this one knows and rows measured there.

        `fit` with this one as what is known. Rows of GPUs whose framework is known on some need no more than a
        ``trace`` (`Trace`), ``latency_s``, ``framework``, ``device`` and ``host``, any name for the machine:
        five of the shortest tell the host. Raises `DataError` as `fit` does, and where this one is not fitted.
        """
        if not self.known_ and not self.fits_ and not self.gpus_:
            raise DataError("calibration needs a platform that is known", "none", "load a predictor, or fit one")
        if table.empty:
            raise DataError("calibration needs measured rows", "none", "measure some: ftax collect")
        found, on_gpus = LatencyPredictor(confidence=self.confidence, jobs=self.jobs), self._on_known_gpus(table)
        if on_gpus.all():
            found.known_, found.fits_, found.crossovers_ = self.known_, self.fits_, self.crossovers_
            found.memory_ = self.memory_
        else:
            found.fit(table[~on_gpus], known=self)
        found.gpus_ = dict(self.gpus_)
        if on_gpus.any():
            rows = with_kernels(table[on_gpus])
            rows = rows.assign(device=rows["device"].map(canonical))
            for framework, part in rows.groupby("framework"):
                found.gpus_[str(framework)] = self.gpus_[str(framework)].calibrated(part)
            found.memory_ = memory.learn(rows) | found.memory_
        return found

    def _on_known_gpus(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows of a table are of GPUs, in a framework that is known on some."""
        of_gpu = {name: kind_of(str(name)) == "cuda" for name in table["device"].unique()}
        return (table["device"].map(of_gpu) & table["framework"].isin(list(self.gpus_))).to_numpy(dtype=bool)

    def _of_machine(self, name: str) -> LatencyPredictor:
        """With the fits of one machine alone, by the name of its dataset."""
        devices = set(dataset.overview(name)["devices"])
        self.fits_ = [fit for fit in self.fits_ if fit.platform.device in devices]
        return self

    def without(self, device: str) -> LatencyPredictor:
        """What this predictor would be if a device had never been measured, by its name or the name of its file.

        What is known is learnt again, from the datasets of the project that it was learnt from, which takes a minute.
        Raises `InputError` where nothing else is known or the device is not among those measured.
        """
        machines = sorted({machine for one in self.known_.values() for machine in one.machines})
        left = [machine for machine in machines if not _is_device(machine, device)]
        if len(left) == len(machines):
            plugins.check(device, machines, what="device to do without")
        if not left:
            raise InputError("without a device, others are known", f"{device} alone", "choose another predictor")
        tables = [
            dataset.load_dataset(name) for name in dataset.names() if {*dataset.overview(name)["devices"]} & {*left}
        ]
        rows = dataset.good(pd.concat(tables, ignore_index=True))
        rows = rows[rows["device"].isin(left)].reset_index(drop=True)
        rows = with_operators(rows, jobs=self.jobs)
        again = learn(rows)
        found = LatencyPredictor(confidence=self.confidence, jobs=self.jobs).learn_memory(rows)
        found.known_ = {
            key: dataclasses.replace(
                one, residual_scale=self.known_[key].residual_scale, errors=self.known_[key].errors
            )
            for key, one in again.items()
            if key in self.known_
        }
        found.fits_ = [fit for fit in self.fits_ if not _is_device(fit.platform.device, device)]
        found.crossovers_ = self.crossovers_
        return found

    def predict(
        self,
        workloads: Any,
        inputs: Any = None,
        *,
        batch_sizes: Iterable[int] | None = None,
        batch_axis: BatchAxis = None,
        dynamic_shapes: Any = None,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        host: str | None = None,
        host_factor: float | None = None,
        strict: bool = False,
        quantile: float | None = None,
        crossovers: bool = True,
        memory: bool = False,
    ) -> pd.DataFrame:
        """One row for each workload on each matching platform of its dtype, in the order that workloads are given.

        ``workloads`` is one `Workload` or several; with ``batch_sizes``, each of them at every one of these. Or it is
        an ``nn.Module``, with the ``inputs`` of one call (names and values, a tuple, or the only one): it is traced
        where it is (on the meta device that costs nothing), and its inputs are cut or repeated for other
        ``batch_sizes``, along ``batch_axis`` (`ftax_model.tracing.ModuleSweep`), or the axis that ``dynamic_shapes``
        free, written as for ``torch.export``. Or an exported program, the path of an .onnx, .pt2 or traced .json file,
        a `ftax_model.tracing.sources.Source`, or a `Trace`, which is taken as it is, of single precision.

        On a GPU the overhead is that of the ``host``, one that was measured; ``host_factor`` says of another how many
        times longer it takes than the mean of known ones, and without either the interval holds all of them.

        Columns: ``curve`` (the workload's label), ``batch_size``, the platform, and those of `predict_frame`. Without
        ``crossovers`` the other batch sizes of a curve are not looked at, which takes a third of the time.

        With ``memory`` also ``memory_bytes``, the peak memory of a process that builds the model, prepares it for the
        framework and calls it, with its interval ``memory_low_bytes`` to ``memory_high_bytes``; of a framework whose
        memory was not measured it is nan, the low end the bytes of weights, and a note says so.

        A platform that was never measured is made of what is known of its framework, and the specifications of the
        devices (``device`` is then the name of a device file, or a path to one), with intervals to match and a note.

        Raises `InputError` for a platform of which neither measurements nor specifications are known and, where
        ``strict``, for a platform never measured and a workload far outside what was.
        """
        if dynamic_shapes is not None:
            batch_axis = batch_axes(inputs, dynamic_shapes)
        sources, order = _asked(workloads, inputs, batch_sizes, batch_axis)
        tables = []
        for place, (source, sizes) in enumerate(sources):
            dtype = source.dtype
            if dtype not in DTYPES:
                law, got = "latency is predicted in float32, float16 and bfloat16", f"{source.label}, {dtype}"
                raise InputError(law, got, "measure it, or predict the model that it was made from")
            fits = self.select(
                framework=framework, device=device, threads=threads, dtype=dtype, host=host, host_factor=host_factor
            )
            traces = source.traced(sizes, SWEEP if crossovers else ())
            rows = pd.DataFrame(
                {"curve": source.label, "batch_size": n, **_row(one, dtype, fits)} for n, one in traces.items()
            )
            parts = []
            for fit in fits:
                told = rows[["curve", "batch_size"]].assign(**dataclasses.asdict(fit.platform))
                said = self._predict_platform(fit, rows, quantile=quantile, crossovers=crossovers)
                parts.append(told.join(self._with_memory(said, fit.platform, rows) if memory else said))
            tables.append(pd.concat(parts, ignore_index=True).assign(source=place))
        found = pd.concat(tables, ignore_index=True)
        found = order.merge(found, on=list(order))[found.columns.drop("source")]
        _refuse(found, strict=strict)
        return found

    def attribute(self, source: Source, *, batch_size: int | None = None, **platform: Any) -> pd.DataFrame:
        """Where the time of one call goes on one platform: a row an operator (see `PlatformFit.attribute`).

        The batch size is the source's own where none is given; ``platform`` is as for `predict`, and names exactly one.
        """
        size = source.batch_size if batch_size is None else batch_size
        fits = self.select(dtype=source.dtype, **platform)
        if len(fits) > 1:
            got = "; ".join(str(fit.platform) for fit in fits)
            raise InputError("time is told apart on one platform", got, "name framework, device and threads")
        trace = source.trace(size)
        row = pd.DataFrame([{"batch_size": size, **_row(trace, source.dtype, fits)}])
        return fits[0].attribute(trace, row)

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
        with np.errstate(over="ignore", invalid="ignore"):
            ratios = fit.quantiles(table, found, levels)
            ends = [(found["latency_s"] * np.exp(ratio)).clip(*limits.CALL_S) for ratio in ratios]
        limits.check_calls(found["latency_s"], *ends)
        low_s, high_s, quantile_s = ends
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

    def _with_memory(self, said: pd.DataFrame, platform: Platform, rows: pd.DataFrame) -> pd.DataFrame:
        """Predictions of rows on a platform, with those of memory beside them."""
        key = (platform.framework, kind_of(platform.device))
        known = self.memory_.get(key)
        own = known.estimate(rows, confidence=self.confidence) if known else memory.unknown(*key, rows)
        pairs = zip(said["notes"], own["why"], strict=True)
        notes = np.array([" and ".join(filter(None, pair)) for pair in pairs], dtype=object)
        return said.drop(columns="notes").join(own.drop(columns="why")).assign(notes=notes)

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
            crossover, ends = _two_to(middle), (_two_to(middle + float(low[0])), _two_to(middle + float(high[0])))
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
        host: str | None = None,
        host_factor: float | None = None,
    ) -> list[PlatformFit]:
        """The fits of all platforms that match, or where none does those that are made of what is known.

        Such a one is made for the framework asked for, or for each that is known (see `assume`); where a ``device`` is
        named, for each that was not measured there, too. On a GPU it is for a ``host`` (see `predict`). Raises
        `InputError` where none can be made.
        """
        if self.gpus_ and device is not None and kind_of(device) == "cuda":
            return self._of_gpu(device, framework, dtype or "float32", host, host_factor)
        if host is not None or host_factor is not None:
            given = host if host is not None else host_factor
            raise InputError("a host is that of a GPU that is known", f"host {given}, device {device}", "name the GPU")
        if self.gpus_ and not self.fits_ and not self.known_:
            cards = sorted({machine.device for one in self.gpus_.values() for machine in one.machines})
            law, cure = "this predictor knows GPUs", "choose one of those, or any in ftax list"
            raise InputError(f"{law}: {', '.join(cards)}", f"device {device}", cure)
        if not self.fits_ and not self.known_:
            raise DataError("a predictor is fitted before it predicts", "one that is not", "call fit, or load a file")
        if framework is not None:
            frameworks = {key[0] for key in self.known_} | {fit.platform.framework for fit in self.fits_}
            plugins.check(framework, sorted(frameworks), what="framework that this predictor knows")
        asked = {"framework": framework, "device": device, "threads": threads, "dtype": dtype}
        asked = {name: value for name, value in asked.items() if value is not None}
        found = _matching(self.fits_, asked)
        if not found or (device is not None and framework is None):
            here = {fit.platform.framework for fit in found}
            names = [framework] if framework else sorted({key[0] for key in self.known_} - here)
            made = [self.assume(name, {n: v for n, v in asked.items() if n != "framework"}) for name in names]
            found = found + [fit for fit in made if fit is not None]
        if not found:
            known = "; ".join(str(fit.platform) for fit in self.fits_)
            got = ", ".join(f"{name} {value}" for name, value in asked.items())
            raise InputError(f"this predictor knows {known}", got, "choose one of those, or measure it: ftax calibrate")
        return found

    def measured_on(self, device: str, framework: str, host: str) -> list[PlatformFit]:
        """The fit of a framework on a GPU under a host, where some call of it was measured."""
        known = self.gpus_.get(framework)
        machines = known.machines if known else ()
        there = any((one.device, one.host) == (device, host) for one in machines)
        return self._of_gpu(device, framework, "float32", host, None) if there else []

    def _of_gpu(
        self, device: str, framework: str | None, dtype: str, host: str | None, host_factor: float | None
    ) -> list[PlatformFit]:
        if framework is not None and framework not in self.gpus_:
            names = ", ".join(self.gpus_)
            raise InputError(f"on GPUs this predictor knows {names}", framework, "choose one of those, or measure it")
        found = []
        for name in [framework] if framework else self.gpus_:
            platform, known, own = Platform(name, canonical(device), dtype, 1), self.gpus_[name], host
            if host is None and host_factor is None and self.about_.get("device") == platform.device:
                mine_ = self.about_.get("host")  # a calibration is of the machine that it was made on
                own = mine_ if known.knows(mine_) else None
            key = (platform, own, host_factor)
            if key not in self._of_gpus:
                self._of_gpus[key] = known.fit(platform, host=own, host_factor=host_factor)
            found.append(self._of_gpus[key])
        return found

    def assume(self, framework: str, asked: Mapping[str, Any]) -> PlatformFit | None:
        """What is known of a platform that was never measured: its costs where a fit of it would begin.

        What is not ``asked`` (device, dtype, threads) is as on the measured platform of the framework that is most
        alike. ``None`` where there is none, or nothing says how another device, precision or thread count differs.
        """
        alike = [fit for fit in self.fits_ if fit.platform.framework == framework] or [
            fit for fit in self.fits_ if fit.known and fit.known.framework == framework
        ]
        measured = [fit.platform for fit in alike]
        measured += [one for key, known in self.known_.items() if key[0] == framework for one in known.platforms]
        if not measured:
            return None
        like = max(measured, key=lambda one: sum(getattr(one, name) == value for name, value in asked.items()))
        platform = dataclasses.replace(like, **asked)
        if platform not in self._assumed:
            self._assumed[platform] = self._made(platform)
        return self._assumed[platform]

    def _made(self, platform: Platform) -> PlatformFit | None:
        own = {fit.platform: fit for fit in self.fits_ if fit.platform.device == platform.device}
        others = {
            one: Fitted(fit.model, fit.known, "")
            for one, fit in own.items()
            if isinstance(fit.model, CorrectedModel) and isinstance(fit.known, Known)
        }
        known = {key: one for key, one in self.known_.items() if key[0] == platform.framework}
        rows = next((one.sample[:0].assign(latency_s=0.0) for one in known.values()), pd.DataFrame())
        fitted = fit_one(platform, rows, known, others) if known else None
        if fitted is None or (not others and fitted.known.specified(platform) is None):
            return None
        return finished(platform, fitted, rows, rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the predictor as JSON, in one step; raises `DataError` where the file cannot be written."""
        record = {
            "format": FORMAT,
            "schema": SCHEMA,
            "columns": _FINGERPRINT,
            "confidence": self.confidence,
            "about": self.about_,
            "known": [one.to_dict() for one in self.known_.values()],
            "fits": [fit.to_dict() for fit in self.fits_],
            "crossovers": self.crossovers_.to_dict() if self.crossovers_ else None,
            "gpus": gpus.to_record(self.gpus_),
            "memory": [one.to_dict() for one in self.memory_.values()],
        }
        write_json(path, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> LatencyPredictor:
        """The predictor that `save` wrote, or the one of that name that ships with the package (see `shipped`).

        By the name of a machine that the project measured (a dataset of `ftax datasets`) it is the one that ships, and
        answers for that machine.
        Without a name it is this machine's own, which `ftax calibrate` made, or else the one that ships. Runs no code
        from the file. Raises `DataError` for any other file.
        """
        path = path if path is not None else mine.current() or SHIPPED
        if str(path) in dataset.names() and not Path(path).exists():
            return cls.load(SHIPPED)._of_machine(str(path))
        law = "a model file is one that ftax fit wrote"
        cure = "fit one: ftax fit DATASET --out MODEL.json"
        path = find_file(path)
        record = read_json(path, law=law, do=cure, most=limits.MOST_BYTES)
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise DataError(law, f"{path}: another JSON file", cure)
        check_schema(record.get("schema"), SCHEMA, what=f"predictors ({path})", again=f"{_AGAIN}: {cure}")
        if record.get("columns") != _FINGERPRINT:
            raise DataError("operators are counted as when it was fitted", f"{path}: columns of another version", cure)
        try:
            return cls._of_record(record)
        except FtaxError as error:
            raise DataError(law, f"{path}: a damaged one ({error.law}: {error.got})", cure) from error

    @classmethod
    def _of_record(cls, record: Mapping[str, Any]) -> LatencyPredictor:
        """What `save` wrote as a record; raises `DataError` for any other."""
        with values.reading("a predictor"):
            predictor = cls(confidence=values.number(record["confidence"], "the confidence", (0.0, 1.0)))
            known = [Known.from_dict(one) for one in listed(record["known"], "known", most=limits.MOST_FRAMEWORKS)]
            predictor.known_ = {one.key: one for one in known}
            fits = listed(record["fits"], "fits", most=limits.MOST_FITS)
            predictor.fits_ = [PlatformFit.from_dict(one, predictor.known_) for one in fits]
            predictor.about_ = mine.about_from(record["about"])
            if record["crossovers"] is not None:
                predictor.crossovers_ = Crossovers.from_dict(record["crossovers"])
            predictor.gpus_ = gpus.from_record(record["gpus"])
            held = listed(record.get("memory", []), "memory", most=limits.MOST_FRAMEWORKS)
            predictor.memory_ = {one.key: one for one in map(KnownMemory.from_dict, held)}
            if len(predictor.known_) < len(known) or len(predictor.memory_) < len(held):
                raise ValueError("a framework twice")
            if len({fit.platform for fit in predictor.fits_}) < len(fits):
                raise ValueError("a platform twice")
        return predictor


def with_features(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that hold what most rows of their platform hold of the law's features, index as in ``rows``.

    Raises `DataError` where that is not even MACs.
    """
    known = [name for name in (*COLUMNS, *INSTEAD.values()) if name in rows]
    kept = pd.Series(False, index=rows.index)
    for _, part in rows.groupby(list(PLATFORM)):
        most = [name for name in known if part[name].notna().mean() > 0.5]
        if "macs" in most:
            kept[part.index] = part[most].notna().all(axis=1)
    if not kept.any():
        law = f"the law needs features: {', '.join(COLUMNS)}, or macs at least"
        cure = "measure with ftax collect, which traces models, or attach traces: ftax import --trace"
        raise DataError(law, "rows without macs", cure)
    return rows[kept]


def shipped() -> list[str]:
    """Names of the predictors that ship with the package."""
    return [name.removesuffix(".json") for name in plugins.names(_FOLDER, suffix=".gz")]


def find_file(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a predictor: one that ships by its name, else the path itself."""
    path = Path(name_or_path)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    plugins.check(str(name_or_path), shipped(), what="predictor")
    return plugins.path(_FOLDER, f"{name_or_path}.json", suffix=".gz")


def _two_to(octaves: float) -> float:
    return float(2 ** min(octaves, 1023.0))


def _is_device(machine: str, name: str) -> bool:
    return machine == name or machine.startswith(f"{name}-")


_AGAIN = "the datasets must be fitted again"
_FOLDER = "ftax_model.predictors"
_FINGERPRINT = zlib.crc32(" ".join(features.COLUMNS).encode())


def _asked(
    what: Any, inputs: Any, batch_sizes: Iterable[int] | None, batch_axis: BatchAxis
) -> tuple[list[tuple[Source, list[int]]], pd.DataFrame]:
    """Each model with the batch sizes that are asked of it, and what is asked, in order, by its place among the models.

    Workloads of one curve are one model.
    """
    asked = None if batch_sizes is None else checked_batch_sizes(batch_sizes)
    several = isinstance(what, Iterable) and not isinstance(what, str) and inputs is None
    found: dict[Any, tuple[int, Source, list[int]]] = {}
    order = []
    for one in what if several else [what]:
        source = find(one, inputs, batch_axis=batch_axis)
        key = architectures.complete(one).curve if isinstance(one, Workload) else id(one)
        place, _, sizes = found.setdefault(key, (len(found), source, []))
        wanted = asked or [source.batch_size]
        sizes += [size for size in wanted if size not in sizes]
        order += [(place, size) for size in wanted]
    if not found:
        raise InputError("latency is predicted of one model or more", "none", "name one")
    sources = [(source, sizes) for _, source, sizes in found.values()]
    return sources, pd.DataFrame(order, columns=["source", "batch_size"])


def _row(trace: Trace, dtype: str, fits: Iterable[PlatformFit]) -> dict[str, Any]:
    """What the models of these fits look at."""
    on_gpus = {isinstance(fit.known, KnownGpus) for fit in fits}
    own = row(trace, dtype=dtype) if on_gpus != {True} else {}
    return own | kernel_row(trace, dtype=dtype) if True in on_gpus else own


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
