"""Fits at the edge of what numbers can say, and predictions that fall where nothing got less.

Whatever rows are drawn, a fit is a result or an `FtaxError`: no other error, no warning of a division, an overflow or a
fit that did not converge. Every prediction of what was fitted is finite and positive and lies in its interval, and the
file of it says the same. Then: what a million rows cost; and how often, and how far, latency falls from one batch size
to the next and where an operator or a layer is added.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import re
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import LatencyPredictor, Workload, architectures
from ftax_model.errors import FtaxError
from ftax_model.modeling.estimators.averaged import AveragedLaw
from ftax_model.modeling.estimators.baselines import Roofline
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.estimators.crossover import COLUMNS as SWEEP_COLUMNS
from ftax_model.modeling.estimators.crossover import CrossoverRegressor
from ftax_model.modeling.estimators.memory import MemoryModel
from ftax_model.modeling.estimators.operators import OperatorModel
from ftax_model.modeling.estimators.regime import RegimeModel, fit_curve
from ftax_model.modeling.estimators.transfer import Transfer
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.platforms.known import design
from ftax_model.modeling.platforms.platform import PlatformFit
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED
from ftax_model.modeling.rows import kernel_row, row
from ftax_model.operators import FEATURES, MEMORY, Trace
from ftax_model.tracing import features, trace_sweep
from ftax_model.workload import grid

FULL: Mapping[str, Any] = {
    "draws": 1000,
    "fits": 40,
    "many": {False: (10_000, 100_000, 1_000_000), True: (3_000, 100_000)},
    "sizes": (*range(1, 65), *range(66, 129, 2), *range(132, 257, 4)),
    "calibrations": 12,
    "names": None,
}
QUICK: Mapping[str, Any] = {
    "draws": 15,
    "fits": 2,
    "many": {False: (10_000,), True: (300,)},
    "sizes": (1, 2, 3, 5, 8, 16, 17, 32, 64),
    "calibrations": 1,
    "names": ("mlp", "conv2d", "bert"),
}

REGIMES = {"framework-bound", "compute-bound", "memory-bound"}
SMALL = ("mlp", "conv2d", "mbconv", "lstm", "feedforward", "layer-norm", "multi-head-attention")
SIZES = (1, 2, 4, 8, 32)

Promises = Mapping[str, Any]
"""What has to hold, and whether it does."""


class Tried:
    """Counts of what was tried in one way: ``runs``, ``refused`` and ``bad``, the last by what was broken."""

    def __init__(self, what: str, tell: Callable[[str], None]) -> None:
        self.what, self.runs, self.refused, self._tell = what, 0, 0, tell
        self.broken: Counter[str] = Counter()
        self.laws: Counter[str] = Counter()

    def __call__(self, told: Any, call: Callable[[], Promises]) -> None:
        """Run a call; ``told`` is what a person needs in order to see a broken promise again."""
        self.runs += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                held = call()
        except FtaxError as error:
            self.refused += 1
            if error.law not in self.laws:
                self._tell(f"{self.what}: refused, {error}; {told}")
            self.laws[error.law] += 1
            return
        except Exception as error:
            place = [own for own in traceback.extract_tb(error.__traceback__) if "ftax_model/" in own.filename]
            where = f" at {Path(place[-1].filename).name}:{place[-1].lineno}" if place else ""
            held = {f"{type(error).__name__}{where}: {error}"[:150]: False}
        for promise in [name for name, kept in held.items() if not np.all(kept)][:1]:
            if promise not in self.broken:
                self._tell(f"{self.what}: {promise}; {told}")
            self.broken[promise] += 1

    def row(self, **more: Any) -> dict[str, Any]:
        """As a harness gives it."""
        usual = {"what": self.what, "runs": self.runs, "bad": self.broken.total(), "refused": self.refused}
        worst = self.broken.most_common(1)
        return {**usual, **more, **({"first": worst[0][0]} if worst else {})}


def run(
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
    draws: int,
    fits: int,
    many: Mapping[bool, Sequence[int]],
    sizes: Sequence[int],
    calibrations: int,
    names: Sequence[str] | None,
) -> list[dict[str, Any]]:
    """Rows as ``scripts/torture`` wants them: ``draws`` of each estimator, ``fits`` in each way, as ``many`` rows each.

    ``many`` is by whether operators are learnt. ``names`` are the architectures whose ``sizes`` are looked at, none for
    all, on the predictors that ship and on ``calibrations`` of them.
    """
    rng, pool = np.random.default_rng(seed), measured()
    rows = [*estimators(rng, pool, draws, tell), *predictors(rng, pool, fits, folder, tell)]
    rows += [costly(rng, pool, count, operators, tell) for operators, counts in many.items() for count in counts]
    return [*rows, *steps(rng, pool, sizes, calibrations, names, tell)]


# What is drawn


def measured() -> pd.DataFrame:
    """Calls of a few small models, with all that a predictor may look at; nothing was measured."""
    found = []
    for name in SMALL:
        models = grid("mlp", num_layers=[1, 4, 20], hidden_size=[16, 160]) if name == "mlp" else grid(name)
        for model in models:
            label = str(model)
            told = {"curve": label, "model": label, "architecture": name, "family": "mlp" if name == "mlp" else "block"}
            for size, trace in trace_sweep(model, SIZES).items():
                found.append({**told, "batch_size": size, **row(trace, dtype="float32"), "trace": trace})
    return pd.DataFrame(found)


def seconds(rng: np.random.Generator, count: int) -> tuple[str, np.ndarray]:
    """So many latencies of one kind, and its name."""
    scale, near = 10 ** rng.uniform(-9, 4), rng.lognormal(0, 0.3, count)
    kinds = {
        "noise": scale * near,
        "constant": np.full(count, scale),
        "nanoseconds": 1e-9 * near,
        "hours": 1e4 * near,
        "float noise": scale * (1 + rng.normal(0, 1e-15, count)),
        "an outlier": scale * near * np.where(np.arange(count) == 0, 10 ** rng.choice([-6.0, 6.0]), 1.0),
        "of all sizes": 10 ** rng.uniform(-9, 4, count),
        "beyond floats": 10 ** rng.uniform(-307, 307, count),
        "nonsense": scale * near * rng.choice([1.0, 0.0, -1.0, np.nan, np.inf], count),
    }
    kind = str(rng.choice(list(kinds)))
    return kind, kinds[kind]


def columns(rng: np.random.Generator, count: int, width: int) -> tuple[str, np.ndarray]:
    """Columns of features of one kind, shape (count, width), and its name."""
    base = 10 ** rng.uniform(0, 9, width)
    plain = base * rng.lognormal(0, 1, (count, width))
    wrong = rng.choice([1.0, np.nan, np.inf, -1.0], (count, width), p=[0.85, 0.05, 0.05, 0.05])
    kinds = {
        "plain": plain,
        "with zeros": plain * (rng.random(width) < 0.6),
        "zeros": 0 * plain,
        "collinear": np.outer(rng.lognormal(0, 1, count), base),
        "identical": np.repeat(plain[:1], count, axis=0),
        "huge": plain * 10 ** rng.uniform(0, 295),
        "tiny": plain * 10 ** rng.uniform(-295, 0),
        "of all sizes": plain * 10 ** rng.uniform(-20, 20, (count, width)),
        "nonsense": plain * wrong,
    }
    kind = str(rng.choice(list(kinds)))
    return kind, kinds[kind]


def frame(rng: np.random.Generator, pool: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """None to ten measured rows of one kind, sometimes beside those of other platforms, and what they are."""
    count = int(rng.integers(0, 11))
    at = rng.integers(0, len(pool), count)
    curve = pool.index[pool["curve"] == rng.choice(pool["curve"].unique())]
    kinds = {
        "any": at,
        "identical": np.repeat(at[:1], count),
        "batch 1": rng.choice(np.flatnonzero(pool["batch_size"] == 1), count),
        "a sweep": np.resize(curve, count),
    }
    kind = str(rng.choice(list(kinds)))
    rows = pool.iloc[kinds[kind]].reset_index(drop=True).copy()
    changed = str(rng.choice(["plain", "plain", "zeros", "collinear", "huge", "missing", "nonsense", "features alone"]))
    numbers = [name for name in rows if rows[name].dtype.kind in "fi" and name != "batch_size"]
    if changed == "zeros":
        rows[numbers] = 0.0
    if changed == "collinear" and count:
        rows[numbers] = np.outer(rng.lognormal(0, 1, count), rows[numbers].iloc[0])
    if changed == "huge":
        rows[numbers] = rows[numbers] * 10 ** rng.uniform(0, 40)
    if changed in ("missing", "nonsense"):
        values = [1.0, np.nan] if changed == "missing" else [1.0, np.nan, np.inf, -1.0]
        share = rng.choice([0.02, 0.3])
        odd = rng.choice(values, (count, len(numbers)), p=[1 - share, *[share / (len(values) - 1)] * (len(values) - 1)])
        rows[numbers] = rows[numbers] * odd
    if changed == "features alone":
        rows = rows[["curve", "model", "architecture", "family", "batch_size", *FEATURES, *MEMORY]]
    times, own = seconds(rng, count)
    rows = rows.copy().assign(latency_s=own, framework="eager", peak_memory_bytes=1e9 * rng.lognormal(0, 1, count))
    told = f"{count} rows, {kind}, {changed}, latencies {times}"
    if count and rng.random() < 0.3:
        others = pool.sample(30, replace=True, random_state=int(rng.integers(1 << 30)))
        usual = others.assign(latency_s=1e-3 * rng.lognormal(0, 1, 30), framework="torchscript", peak_memory_bytes=1e9)
        rows, told = pd.concat([rows, usual[list(rows)]], ignore_index=True), f"{told}, beside 30 of another framework"
    kept = rows.assign(device=str(rng.choice(["made-up", "fake"])), dtype="float32", threads=1, repeat=0, status="ok")
    return told, kept.copy()


# Estimators


def estimators(
    rng: np.random.Generator, pool: pd.DataFrame, draws: int, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Each estimator by itself, on rows drawn at random."""
    for name, one in {
        "RegimeModel": _regime_model,
        "fit_curve": _curve,
        "Transfer": _transfer,
        "AveragedLaw": _averaged,
        "Roofline": _roofline,
        "Trees": _trees,
        "CrossoverRegressor": _crossovers,
        "MemoryModel": _memory,
    }.items():
        tried = Tried(name, tell)
        for _ in range(draws):
            count = int(rng.integers(0, 11))
            kind, X = columns(rng, count, 4)
            times, y = seconds(rng, count)
            tried(f"{count} rows, features {kind}, latencies {times}", lambda: one(rng, X, y))  # noqa: B023
        yield tried.row()
    for name, one in {"OperatorModel": _operator_model, "CorrectedModel": _corrected}.items():
        tried = Tried(name, tell)
        for _ in range(max(draws // 10, 5)):
            told, rows = frame(rng, pool)
            tried(told, lambda: one(rows, pool))  # noqa: B023
        yield tried.row()


def positive(values: Any) -> bool:
    """Whether all are finite and above zero."""
    own = np.asarray(values, dtype=float)
    return bool(np.isfinite(own).all() and (own > 0).all())


def again(record: Any) -> Any:
    """Plain values after they were a file."""
    return json.loads(json.dumps(record, allow_nan=False))


def _regime_model(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    overlap = [None, 1.0, 2.0, math.inf][int(rng.integers(4))]
    groups = rng.integers(0, 3, len(y)) if rng.random() < 0.5 else None
    model = RegimeModel([0], [1, 2], [3], [2], overlap=overlap, loss=str(rng.choice(["soft_l1", "linear"])))
    predicted = model.fit(X, y, groups=groups).predict(X)
    crossover, low, high = model.crossover_batch_size(X, return_interval=True)
    kept = RegimeModel.from_dict(again(model.to_dict()))
    errors = np.array(list(model.standard_errors_.values()))
    return {
        "latency is finite and positive": positive(predicted),
        "the crossover lies in its interval": (low <= crossover * (1 + 1e-9)) & (crossover <= high * (1 + 1e-9)),
        "a standard error is finite, or nan": ~np.isinf(errors) & ~(errors < 0),
        "the spread is none, or a number": model.residual_spread_ >= 0,
        "a regime is one of three": [own in REGIMES for own in model.regime(X)],
        "the record predicts the same": np.array_equal(kept.predict(X), predicted),
    }


def _curve(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    sizes = rng.choice([1, 2, 3, 5, 8, 16, 17, 64, 256], len(y))
    curve = fit_curve(sizes, y)
    crossover = curve.crossover_batch_size
    told = "below" if crossover < sizes.min() else "above" if crossover > sizes.max() else ""
    return {
        "latency is finite and positive": positive(curve.latency_s(sizes)),
        "latency grows with the batch": np.diff(curve.latency_s(np.arange(1, 300))) >= -1e-12 * y.max(),
        "the crossover lies in its interval": curve.crossover_low <= crossover * (1 + 1e-9) <= math.inf
        and crossover <= curve.crossover_high * (1 + 1e-9),
        "a censored crossover is said to be": curve.censored == told,
    }


def _transfer(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    model = Transfer(str(rng.choice(["equal", "agreement"])), strength=float(rng.choice([0.0, 0.1, math.inf]))).fit(
        X, y
    )
    return _linear(model, X)


def _averaged(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    return _linear(AveragedLaw(rivals=[1.0] if rng.random() < 0.5 else ()).fit(X, y), X)


def _linear(model: Any, X: np.ndarray) -> Promises:
    told = X[:, model.coef_ > 0].any(axis=1)  # a row of which nothing is known costs nothing
    return {
        "coefficients are finite, zero or more": np.isfinite(model.coef_) & (model.coef_ >= 0),
        "latency is finite and positive": positive(model.predict(X)[told]),
    }


def _roofline(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    table = pd.DataFrame(X[:, :3], columns=["macs", "activation_bytes", "weight_bytes"])
    predicted = Roofline().fit(table, y).predict(table)
    return {"latency is finite, zero or more": np.isfinite(predicted) & (predicted >= 0)}


def _trees(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    trees = Trees.fit(X, np.log(np.abs(y) + 1e-12), count=8)
    said = trees.predict(X)
    kept = Trees.from_dict(again(trees.to_dict()), features=X.shape[1])
    return {"values are finite": np.isfinite(said), "the record says the same": np.array_equal(kept.predict(X), said)}


def _crossovers(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    table = pd.DataFrame(np.resize(X, (len(X), len(SWEEP_COLUMNS))), columns=list(SWEEP_COLUMNS))
    marks = rng.choice(["", "below", "above"], len(y))
    model = CrossoverRegressor(trees=8).fit(table, np.log2(np.abs(y) + 1e-12), marks)
    kept = CrossoverRegressor.from_dict(again(model.to_dict()))
    said = model.predict(table)
    return {
        "values are finite": np.isfinite(said),
        "the record says the same": np.array_equal(kept.predict(table), said),
    }


def _memory(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> Promises:
    table = pd.DataFrame(X[:, :3], columns=["model_bytes", "live_bytes", "n_ops"])
    with np.errstate(over="ignore"):
        model = MemoryModel().fit(table, 1e9 * y)
    kept = MemoryModel.from_dict(again(model.to_dict()))
    said = model.predict(table)
    same = np.allclose(kept.predict(table), said, rtol=1e-5)
    return {"bytes are finite and positive": positive(said), "the record says the same": same}


def _operator_model(rows: pd.DataFrame, probes: pd.DataFrame) -> Promises:
    model = OperatorModel().fit(rows, rows["latency_s"])
    kept = OperatorModel.from_dict(again(model.to_dict()))
    said = model.predict(probes)
    return {
        "latency is finite and positive": positive(said),
        "the uncertainty is a number": np.isfinite(model.uncertainty(probes)),
        "the record says the same": np.allclose(kept.predict(probes), said, rtol=1e-4),
    }


def _corrected(rows: pd.DataFrame, probes: pd.DataFrame) -> Promises:
    model = CorrectedModel(trees=8).fit(rows, rows["latency_s"])
    said = model.times(probes)
    return {
        "latency is finite and positive": positive(model.predict(probes)),
        "times are finite, zero or more": np.isfinite(said) & (said >= 0),
    }


# Predictors


def predictors(
    rng: np.random.Generator, pool: pd.DataFrame, fits: int, folder: Path, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Predictors, fitted and calibrated in each way that people do."""
    known, gpus = LatencyPredictor.load(SHIPPED), LatencyPredictor.load(PUBLISHED)
    ways: dict[str, Callable[[pd.DataFrame], LatencyPredictor]] = {
        "fit, the law alone": lambda rows: LatencyPredictor(jobs=1, operators=False).fit(rows),
        "fit": lambda rows: LatencyPredictor(jobs=1).fit(rows),
        "fit, others known, the law alone": lambda rows: LatencyPredictor(jobs=1, operators=False).fit(
            rows, known=known
        ),
        "fit, others known": lambda rows: LatencyPredictor(jobs=1).fit(rows, known=known),
        "calibrate": lambda rows: _one_job(known).calibrate(rows),
    }
    probes = pool.drop(columns="trace")
    for name, way in ways.items():
        tried = Tried(name, tell)
        for _ in range(fits):
            told, rows = frame(rng, probes)
            tried(told, lambda: kept(way(rows), probes, folder))  # noqa: B023
        yield tried.row()
    tried = Tried("calibrate a GPU", tell)
    machine = {"framework": "eager", "dtype": "float32", "status": "ok", "repeat": 0, "threads": 1}
    calls = pool[["curve", "model", "batch_size"]].join(
        pd.DataFrame([kernel_row(one, dtype="float32") for one in pool["trace"]])
    )
    for _ in range(fits):
        count = int(rng.integers(0, 11))
        times, y = seconds(rng, count)
        rows = calls.iloc[rng.integers(0, len(calls), count)].assign(
            latency_s=y, device="nvidia-l40s", host=str(rng.choice(["here", "there"])), **machine
        )
        tried(
            f"{count} calls, latencies {times}",
            lambda: kept(_one_job(gpus).calibrate(rows), calls, folder),  # noqa: B023
        )
    yield tried.row()


def _one_job(known: LatencyPredictor) -> LatencyPredictor:
    known.jobs = 1
    return known


def kept(predictor: LatencyPredictor, probes: pd.DataFrame, folder: Path) -> Promises:
    """What has to hold of all platforms of a predictor, and of its file."""
    file = folder / "predictor.json"
    predictor.save(file)
    read = LatencyPredictor.load(file)
    held: dict[str, Any] = {}
    for fit, other in zip(_fits(predictor), _fits(read), strict=True):
        rows = probes.assign(**dataclasses.asdict(fit.platform))
        found = predictor._predict_platform(fit, rows, quantile=0.95, crossovers=True)
        same = read._predict_platform(other, rows, quantile=0.95, crossovers=True)
        held |= predicted(found, fit) | _same(found, same)
        held |= {"constants are finite, or none": [_number(value) for value in fit.constants().values()]}
        held |= {"expected errors are finite": np.isfinite(list(fit.expected_errors().values()))}
        if not all(np.all(value) for value in held.values()):
            return held
    for one in predictor.memory_.values():
        said = one.estimate(probes, confidence=0.9)[["memory_low_bytes", "memory_bytes", "memory_high_bytes"]]
        held["memory is finite and lies in its interval"] = (
            positive(said) and (said.diff(axis=1).iloc[:, 1:] >= 0).all()
        )
    return held


def _fits(predictor: LatencyPredictor) -> list[PlatformFit]:
    if predictor.fits_ or not predictor.gpus_:
        return predictor.fits_
    return [
        fit
        for host in ("here", "there")
        if predictor.gpus_["eager"].knows(host)
        for fit in predictor.select(framework="eager", device="nvidia-l40s", host=host)
    ]


def predicted(found: pd.DataFrame, fit: PlatformFit) -> Promises:
    """What has to hold of the predictions of one platform."""
    low, middle, high = (found[name].to_numpy(float) for name in ("low_s", "latency_s", "high_s"))
    crossover = found[["crossover_low", "crossover_batch_size", "crossover_high"]].to_numpy(float)
    censored = np.select([crossover[:, 1] < 1, crossover[:, 1] > fit.largest_batch], ["below", "above"], "")
    terms, likely = found[["host_s", "device_s", "constant_s"]].to_numpy(float), found["regime_probability"]
    return {
        "latency is finite and positive": positive(middle),
        "ends of the interval are finite and positive": positive(low) and positive(high),
        "latency lies in its interval": (low <= middle) & (middle <= high),
        "the 95th percentile is finite and positive": positive(found["quantile_s"]),
        "terms are finite, zero or more": np.isfinite(terms) & (terms >= 0),
        "a regime is one of three": found["regime"].isin(REGIMES),
        "a probability lies between 0 and 1": likely.isna() | likely.between(0, 1),
        "a crossover is a number": ~np.isnan(crossover) & (crossover >= 0),
        "the crossover lies in its interval": crossover[:, :2] <= (1 + 1e-9) * crossover[:, 1:],
        "an infinite crossover is said to be above": np.isfinite(crossover[:, 1]) | (found["censored"] == "above"),
        "a censored crossover is said to be": found["censored"].to_numpy() == censored,
    }


def _same(found: pd.DataFrame, same: pd.DataFrame) -> Promises:
    """A file holds costs in six digits, and what is open of them in half precision."""
    ends = [np.log((own[["low_s", "high_s"]].div(own["latency_s"], axis=0)).to_numpy(float)) for own in (found, same)]
    return {
        "the file predicts the same": np.allclose(found["latency_s"], same["latency_s"], rtol=1e-3),
        "the file predicts the same interval": np.allclose(*ends, rtol=0.05, atol=0.02),
    }


def _number(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


# Many rows


def costly(
    rng: np.random.Generator, pool: pd.DataFrame, count: int, operators: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """What a fit of so many rows of a platform takes; each is one of the calls of the pool, of another size."""
    names = ["curve", "model", "architecture", "family", "batch_size", *FEATURES, *MEMORY]
    used = pool.drop(columns="trace") if operators else pool[names]
    rows = used.iloc[rng.integers(0, len(used), count)].reset_index(drop=True)
    amounts = ["macs", "activation_bytes", "weight_bytes"]
    rows[amounts] = rows[amounts].mul(rng.lognormal(0, 1, count), axis=0)
    host, device = 5e-6 * (2 + rows["n_ops"]), 2e-11 * rows["macs"] + 1e-10 * rows["activation_bytes"]
    own = {"framework": "eager", "device": "made-up", "dtype": "float32", "threads": 1, "repeat": 0, "status": "ok"}
    rows["model"] = rng.integers(0, max(count // 20, 2), count).astype(str)
    rows = rows.assign(latency_s=(host + device) * rng.lognormal(0, 0.05, count), **own)
    tried = Tried(f"{count:,} rows, {'operators' if operators else 'the law alone'}", tell)
    gc.collect()
    before, begin = _memory_mib(reset=True), time.process_time()
    probes = pool.drop(columns="trace").assign(**own)
    predictor = LatencyPredictor(jobs=1, operators=operators)
    tried("", lambda: predicted(predictor.fit(rows).predict_frame(probes, quantile=0.95), predictor.fits_[0]))
    took = time.process_time() - begin
    return tried.row(cpu_seconds=took, us_a_row=1e6 * took / count, table_mib=before, peak_mib=_memory_mib())


def _memory_mib(*, reset: bool = False) -> int:
    """The most memory of this process since it was last reset, or what it holds now, which resets it."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    told = Path("/proc/self/status").read_text()
    return int(re.search(rf"{'VmRSS' if reset else 'VmHWM'}:\s+(\d+)", told)[1]) // 1024


# Steps


ALLOWED = 0.1
"""Share of a latency by which the correction of a predictor may let it fall where no quantity got less.

Of the 10,066 steps from one batch size to the next that the project measured on three CPUs, 170 fall.
"""

LAYERS = ("num_layers", "num_hidden_layers", "depth", "blocks")
MOST_OPERATORS = 400
_SLACK = 1e-9  # of a latency: rounding


def steps(
    rng: np.random.Generator,
    pool: pd.DataFrame,
    sizes: Sequence[int],
    calibrations: int,
    names: Sequence[str] | None,
    tell: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """How often latency falls from one batch size to the next, where an operator is added, and where a layer is."""
    shipped, published = LatencyPredictor.load(SHIPPED), LatencyPredictor.load(PUBLISHED)
    cards = {(one.device, name) for name, known in published.gpus_.items() for one in known.machines}
    predictors = {
        SHIPPED: shipped.fits_,
        PUBLISHED: [published.select(framework=name, device=device)[0] for device, name in sorted(cards)],
        "calibrations": [fit for _ in range(calibrations) for fit in calibrated(rng, pool, shipped)],
    }
    for what, rows in {
        "batch sizes": along_batch(sizes, names),
        "an operator more": with_an_operator(rng, names),
        "a layer more": with_a_layer(names),
    }.items():
        tell(f"{what}: {len(rows):,} calls")
        laws: list[np.ndarray] = []
        for name, fits in predictors.items():
            of_cpu, found = name != PUBLISHED, [falls(fit, rows) for fit in fits]
            laws += [one["law"] for one in found]
            if of_cpu:
                yield fallen(f"{what}: {name}, the sum of operators", [one["sum"] for one in found if "sum" in one])
            more = {f"{end}_falls": sum(int((one[end] < -_SLACK).sum()) for one in found) for end in ("low", "high")}
            if of_cpu:
                grew = [one["all"][one["grew"]] for one in found]
                yield fallen(f"{what}: {name}, nothing got less", grew, allowed=ALLOWED)
            yield fallen(f"{what}: {name}", [one["all"] for one in found], allowed=1.0, **more)
        yield fallen(f"{what}: the law", laws)


def calibrated(rng: np.random.Generator, pool: pd.DataFrame, known: LatencyPredictor) -> list[PlatformFit]:
    """Platforms of a machine that is like no other, calibrated with one to twenty calls."""
    rows = pool.drop(columns="trace").sample(int(rng.integers(1, 21)), random_state=int(rng.integers(1 << 30)))
    host, device, memory = 10 ** rng.uniform(-1, 1, 3) * [4e-6, 2e-11, 1e-10]
    latency_s = host * (2 + rows["n_ops"]) + device * rows["macs"] + memory * rows["activation_bytes"]
    framework = str(rng.choice([key[0] for key in known.known_]))
    own = {"framework": framework, "device": "made-up-2core", "dtype": "float32", "threads": 1, "status": "ok"}
    rows = rows.assign(latency_s=latency_s * rng.lognormal(0, 0.1, len(rows)), repeat=0, **own)
    return _one_job(known).calibrate(rows).fits_


def along_batch(sizes: Sequence[int], names: Sequence[str] | None) -> pd.DataFrame:
    """Each architecture at all batch sizes; ``step`` marks calls that follow the one before."""
    found = []
    for name in names or architectures.names():
        traces = trace_sweep(architectures.complete(Workload(name)), sizes)
        found += [_call(name, size, trace, step=size != sizes[0]) for size, trace in traces.items()]
    return pd.DataFrame(found)


def with_an_operator(rng: np.random.Generator, names: Sequence[str] | None) -> pd.DataFrame:
    """Each architecture, and with an operator of each kind after its last."""
    traces = {(name, size): trace for name in names or architectures.names() for size, trace in _small(name).items()}
    kinds: dict[str, list[Any]] = {}
    for trace in traces.values():
        for operator in trace.operators:
            kinds.setdefault(operator.kind, []).append(operator)
    found = []
    for (name, size), trace in traces.items():
        for own in kinds.values():
            longer = dataclasses.replace(trace, operators=(*trace.operators, own[int(rng.integers(len(own)))]))
            found += [_call(name, size, trace, step=False), _call(name, size, longer, step=True)]
    return pd.DataFrame(found)


def _small(name: str) -> dict[int, Trace]:
    """Traces of an architecture at batch 1 and 8; none where it has many operators."""
    traces = trace_sweep(architectures.complete(Workload(name)), (1, 8))
    return traces if len(traces[1].operators) <= MOST_OPERATORS else {}


def with_a_layer(names: Sequence[str] | None) -> pd.DataFrame:
    """Each architecture that has so many layers, and with one more, up to four."""
    found = []
    for name in names or architectures.names():
        settings = architectures.complete(Workload(name)).settings
        depth = next((one for one in LAYERS if isinstance(settings.get(one), int)), None)
        for more in range(5 if depth else 0):
            workload = Workload(name, {depth: settings[depth] + more})
            try:
                traces = trace_sweep(architectures.complete(workload), (1, 8))
            except FtaxError:  # of some, layers come in stages
                continue
            found += [(size, more, _call(name, size, trace, step=more > 0)) for size, trace in traces.items()]
    ordered = sorted(found, key=lambda one: (one[2]["curve"], one[0], one[1]))
    return pd.DataFrame([one for _, _, one in ordered])


def _call(name: str, size: int, trace: Trace, *, step: bool) -> dict[str, Any]:
    seen = row(trace, dtype="float32") | kernel_row(trace, dtype="float32")
    return {"curve": name, "batch_size": size, "step": step, **seen}


def falls(fit: PlatformFit, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Log of latency over that of the call before, of each step, by the law, the sum of operators, all, and ends.

    The sum is of steps where no quantity got less; ``grew`` says which of all these are.
    """
    estimate = fit.estimate(rows)
    middle = np.log(estimate["latency_s"].to_numpy(float))
    low, high = fit.quantiles(rows, estimate, (0.05, 0.95))
    step = np.flatnonzero(rows["step"].to_numpy())
    amounts = rows[list(features.SUMS)].to_numpy(float)
    grew = (amounts[step] >= amounts[step - 1] * (1 - _SLACK)).all(axis=1)

    def by(logs: np.ndarray) -> np.ndarray:
        return logs[step] - logs[step - 1]

    found = {
        "law": by(np.log(fit.law.predict(design(rows)))),
        "all": by(middle),
        "low": by(middle + np.minimum(low, 0.0)),
        "high": by(middle + np.maximum(high, 0.0)),
        "grew": grew,
    }
    if isinstance(fit.model, CorrectedModel):
        found["sum"] = by(np.log(fit.model.structure_.predict(rows)))[grew]
    return found


def fallen(what: str, logs: Sequence[np.ndarray], *, allowed: float = 0.0, **more: Any) -> dict[str, Any]:
    """How many steps fall, and by how much; by more than ``allowed`` is a broken promise."""
    every = np.concatenate([np.zeros(0), *logs])
    fell = -np.expm1(every[every < -_SLACK])
    sizes = (
        {"median_percent": 100 * float(np.median(fell)), "largest_percent": 100 * float(fell.max())}
        if len(fell)
        else {}
    )
    return {"what": what, "runs": len(every), "bad": int((fell > allowed).sum()), "falls": len(fell), **sizes, **more}
