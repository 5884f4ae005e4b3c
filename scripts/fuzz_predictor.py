"""Predictors of strangers: what they predict of calls whose operators are known, on their platforms and on others."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import random
import warnings
import zlib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import plugins
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.modeling.rows import row
from ftax_model.operators import Operator, Trace
from ftax_model.tracing.sources import Source, held

SIZES = (1, 2, 4, 8)
_TREES = {"left": "<i4", "right": "<i4", "feature": "<i4", "threshold": "<f4", "value": "<f4"}


def call(size: int) -> Trace:
    """A product, a softmax, a convolution and an operator that nobody knows, twice, of so many inputs."""
    product = {"batch": 1, "m": 16 * size, "k": 64, "n": 64}
    convolution = {"kernel": (3, 3), "stride": (1, 1), "groups": 1}
    own = (
        Operator(
            "addmm",
            ((64,), (16 * size, 64), (64, 64)),
            ((16 * size, 64),),
            65536 * size,
            8192 * size,
            16640,
            1,
            product,
        ),
        Operator("_softmax", ((16 * size, 64),), ((16 * size, 64),), 0, 8192 * size),
        Operator(
            "convolution",
            ((size, 3, 8, 8), (8, 3, 3, 3)),
            ((size, 8, 8, 8),),
            13824 * size,
            2816 * size,
            864,
            1,
            convolution,
        ),
        Operator("my_own", ((16 * size, 64),), ((16 * size, 64),), 0, 8192 * size),
    )
    return Trace(own * 2, params=10_000, model_bytes=40_000)


CALLS = {size: call(size) for size in SIZES}
SOURCE = Source("made up", 1, "float32", partial(held, "made up", CALLS))


@cache
def records() -> list[dict[str, Any]]:
    """The predictors that ship, cut down: of each kind of things one or two; and one of the law alone."""
    shipped = [
        json.loads(gzip.decompress(plugins.path("ftax_model.predictors", f"{name}.json", suffix=".gz").read_bytes()))
        for name in (SHIPPED, PUBLISHED)
    ]
    cpu, gpu = (_cut(one) for one in shipped)
    alone = copy.deepcopy(cpu) | {"known": [], "crossovers": None, "memory": []}
    for fit in alone["fits"]:
        fit |= {"known": None, "structure": None, "trees": []}
    about = {"device": "amd-epyc-turin-2core", "model": "AMD", "versions": {"torch": "2.0"}, "calibrated_at": "2026"}
    return [cpu, gpu, alone, cpu | {"about": about, "crossovers": None}]


def seeds() -> list[bytes]:
    return [json.dumps(one, separators=(",", ":")).encode() for one in records()]


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Values of JSON swapped; now and then numbers inside what is packed."""
    from torture_fuzz import mutated

    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return mutated(data, dice)
    packed = [(holder, key) for holder, key in _strings(record) if len(holder[key]) > 30]
    if packed and dice.random() < 0.3:
        holder, key = dice.choice(packed)
        try:
            numbers = np.frombuffer(zlib.decompress(base64.b64decode(holder[key])), _TREES.get(key, "<f2")).copy()
        except (ValueError, zlib.error):
            return mutated(data, dice)
        for at in dice.choices(range(len(numbers)), k=dice.choice((1, 1, 3, 30))) if len(numbers) else ():
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                numbers[at] = np.float64(
                    dice.choice((0, 1, -1, 7, 1e5, -1e5, 2**31 - 1, 1e-30, np.nan, np.inf, at + 1))
                ).astype(numbers.dtype)
        numbers = np.resize(numbers, dice.choice((len(numbers),) * 8 + (0, 1, 2 * len(numbers), 1 << 22)))
        holder[key] = base64.b64encode(zlib.compress(numbers.tobytes())).decode()
        return json.dumps(record).encode()
    return mutated(data, dice)


def read(data: bytes, folder: Path) -> None:
    file = folder / "predictor.json"
    file.write_bytes(data)
    use(LatencyPredictor.load(file), rarely=zlib.crc32(data))


def use(predictor: LatencyPredictor, *, rarely: int = 0) -> None:
    """What people do with a predictor; what takes long only where ``rarely`` is divisible.

    Raises `AssertionError` where an answer is none.
    """
    asked: list[dict[str, Any]] = [{}, {"device": "amd-epyc-turin", "threads": 2}] if predictor.known_ else [{}]
    if predictor.gpus_:
        asked = [{"device": "nvidia-l4"}, {"device": "nvidia-l40s", "host_factor": 2.0}]
    for platform in asked if rarely % 8 == 0 else asked[:1]:
        check(predictor.predict(SOURCE, batch_sizes=[1, 8], memory=True, quantile=0.99, **platform))
        if rarely % 16 == 0:
            for fit in predictor.select(dtype="float32", **platform)[:2]:
                fit.constants(), fit.expected_errors(), fit.lacking()
                told = predictor.attribute(
                    SOURCE, framework=fit.platform.framework, threads=1, **{"device": fit.platform.device}
                )
                assert np.isfinite(told["latency_s"]).all()
    if predictor.known_ and rarely % 32 == 0:
        check(predictor.calibrate(measured()).predict(SOURCE))


def check(found: pd.DataFrame) -> None:
    """Raise `AssertionError` unless answers are finite, positive, in order and below 12 days."""
    low, middle, high = (found[name].to_numpy() for name in ("low_s", "latency_s", "high_s"))
    assert ((low > 0) & (low <= middle) & (middle <= high) & (high <= 1e6)).all()
    assert np.isfinite(found[["host_s", "device_s", "constant_s"]].to_numpy()).all()
    assert (found[["host_s", "device_s", "constant_s"]].to_numpy() >= 0).all()
    assert not found[["crossover_batch_size", "crossover_low", "crossover_high"]].isna().any(axis=None)
    assert found["regime_probability"].dropna().between(0, 1).all()
    for name in ("memory_bytes", "memory_low_bytes", "memory_high_bytes") if "memory_bytes" in found else ():
        assert ((found[name] >= 0) | found[name].isna()).all()


@cache
def measured() -> pd.DataFrame:
    """A dozen rows, as if measured here."""
    rows = []
    for size, trace in CALLS.items():
        for framework in ("eager", "torchscript"):
            own = {
                "framework": framework,
                "device": "made-up-2core",
                "dtype": "float32",
                "threads": 1,
                "batch_size": size,
            }
            own |= {"model": "made up", "curve": "made up", "architecture": "mlp", "family": "mlp", "status": "ok"}
            rows.append({**row(trace, dtype="float32"), **own, "latency_s": 1e-4 + 1e-5 * size})
    return pd.DataFrame(rows)


def _cut(record: dict[str, Any]) -> dict[str, Any]:
    told = [fit for fit in record["fits"] if fit["structure"] and fit["structure"]["covariance"]]
    plain = ("float32", 1)
    fits = [fit for fit in told if (fit["platform"]["dtype"], fit["platform"]["threads"]) == plain][:1]
    names = {fit["platform"]["framework"] for fit in fits}
    of_fits = {part: [one for one in record[part] if one["framework"] in names] for part in ("known", "memory")}
    own = record | {"fits": fits, **of_fits}
    if record["gpus"]:
        gpus = record["gpus"]
        known = [{**one, "trees": 0, "machines": one["machines"][:2]} for one in gpus["known"][:2]]
        own["gpus"] = gpus | {"known": known, "trees": gpus["trees"][:1], "sample": gpus["sample"][:3]}
    return dict(_smaller(own))


def _smaller(content: Any) -> Any:
    """With a few of many rows and errors, and two trees of each ensemble."""
    if isinstance(content, list):
        few = content if len(content) < 120 or isinstance(content[0], list) else content[:: len(content) // 8]
        return [_smaller(one) for one in (few[:2] if few and isinstance(few[0], dict) and "macs" in few[0] else few)]
    if not isinstance(content, dict):
        return content
    if not {"roots", *_TREES} <= content.keys():
        return {name: _smaller(own) for name, own in content.items()}
    end = content["roots"][2]
    nodes = {
        name: np.frombuffer(zlib.decompress(base64.b64decode(content[name])), kind)[:end]
        for name, kind in _TREES.items()
    }
    packed = {name: base64.b64encode(zlib.compress(own.tobytes(), 9)).decode() for name, own in nodes.items()}
    return {"roots": content["roots"][:2], **packed}


def _strings(content: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [content]
    while waiting:
        one = waiting.pop()
        pairs = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, own in pairs:
            if isinstance(own, str):
                yield one, key
            else:
                waiting.append(own)
