#!/usr/bin/env python
"""Compare adaptive batch sweeps with full ones (1, 2, 4, ..., 128): the crossover found, and the measuring time spent.

Models small enough to be framework-bound at batch 1 are measured on the CPU both ways, by turns. With ``--fake``
nothing is measured: curves through the law are timed on a clock of their own, with noise from call to call and between
sweeps.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftax_model import architectures, dataset
from ftax_model.collection import timing
from ftax_model.collection.adaptive import Adaptive
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.measurement import Measurement
from ftax_model.modeling.law import latency
from ftax_model.modeling.regime import fit_curve
from ftax_model.workload import Workload, grid

FRAMEWORKS = ("eager", "torchscript", "onnxruntime")
BERT = {"hidden_size": 64, "num_heads": 2, "intermediate_size": 256, "vocab_size": 1000}
GPT2 = {"hidden_size": 128, "num_heads": 2, "intermediate_size": 512, "vocab_size": 1000}
MODELS = [
    *grid("mlp", num_layers=[8, 32], hidden_size=128, input_size=128),
    *grid("bert", **BERT, num_layers=4, input_size=[8, 32]),
    *grid("gpt2", **GPT2, num_layers=2, input_size=8),
    *grid("resnet", block="basic", depths=(1, 1), widths=(8, 16), num_classes=10, input_size=32),
]
PAIRS = [(framework, model) for model in MODELS for framework in FRAMEWORKS]

FAKE_CURVES = 60
CALL_NOISE, SWEEP_NOISE = 0.05, 0.02
"""Standard deviations of log latency, from call to call and of the same cell in another sweep."""

Points = Mapping[int, tuple[float, float]]
"""Seconds of one call, and seconds spent to measure it, by batch size."""


@dataclass(frozen=True)
class Row:
    """One curve, measured both ways; ``error`` is the relative difference between the crossovers."""

    curve: str
    full: float
    adaptive: float
    censored: str
    error: float
    time_ratio: float
    batch_sizes: list[int]

    @classmethod
    def of(cls, curve: str, full: Points, adaptive: Points) -> Row:
        """The crossovers of both (`ftax_model.modeling.regime.fit_curve`), and their times."""
        fits = [fit_curve(list(points), [one for one, _ in points.values()]) for points in (full, adaptive)]
        whole, few = (fit.crossover_batch_size for fit in fits)
        spent_s, all_s = (sum(spent for _, spent in points.values()) for points in (adaptive, full))
        error = abs(few / whole - 1) if 0 < whole < math.inf else math.inf
        return cls(curve, whole, few, fits[0].censored, error, spent_s / all_s, sorted(adaptive))


def measured(pairs: list[tuple[str, Workload]]) -> Iterator[Row]:
    """Each model in its framework on one thread, by turns the full and the adaptive sweep first."""
    for turn, (framework, model) in enumerate(pairs):
        first = architectures.complete(model)
        sizes = Adaptive().candidates
        plans = {
            "full": Grid(tuple(first.with_batch_size(size) for size in sizes), (framework,)),
            "adaptive": Grid((first,), (framework,), adaptive=Adaptive()),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name in sorted(plans, reverse=turn % 2 == 0):
                collect(Plan(name, (plans[name],)), Path(folder) / f"{name}.jsonl", isolate=False)
            found = {name: dataset.read(Path(folder) / f"{name}.jsonl") for name in plans}
        yield Row.of(f"{architectures.label(model)}, {framework}", *(points(found[name]) for name in plans))


def points(measurements: list[Measurement]) -> Points:
    """Latency and measuring time of each batch size that ran."""
    return {
        one.cell.workload.batch_size: (one.latency_s, spent_s(one)) for one in measurements if one.latency_s is not None
    }


def spent_s(one: Measurement) -> float:
    """Seconds that the first call, warm-up and timed blocks of a cell took."""
    calls = one.warmup_calls + one.calls_per_block * len(one.samples)
    return (one.first_call_s or 0.0) + calls * (one.latency_s or 0.0)


def invented(count: int) -> Iterator[Row]:
    """Curves with a crossover from 1.5 to 40, a floor from 0.2 to 20 ms and 1/p from 0.2 to 1."""
    draw = random.Random(0)
    for number in range(count):
        crossover, floor_s = math.exp(draw.uniform(math.log(1.5), math.log(40))), 10 ** draw.uniform(-3.7, -1.7)
        law = Law(floor_s, crossover, 1 / draw.uniform(0.2, 1))
        full, other = (law.sweep(random.Random(f"{number} {turn}")) for turn in range(2))
        seen: dict[int, float | None] = {}
        while (size := Adaptive().next(seen)) is not None:
            seen[size] = other[size][0]
        yield Row.of(f"crossover {crossover:.1f}, p {law.overlap:.1f}", full, {size: other[size] for size in seen})


@dataclass(frozen=True)
class Law:
    """A curve that is known."""

    floor_s: float
    crossover: float
    overlap: float

    def sweep(self, draw: random.Random) -> Points:
        """Every batch size, timed under the default protocol on a clock that only calls move."""
        found = {}
        for size in Adaptive().candidates:
            mean = float(latency(self.floor_s, self.floor_s * size / self.crossover, self.overlap))
            call = Call(mean * draw.lognormvariate(0, SWEEP_NOISE), draw)
            seen = timing.measure(call, clock=call.clock, protocol=timing.Protocol())
            found[size] = (seen.latency_s, call.now_s)
        return found


class Call:
    """Lets about so many seconds pass, on its own clock."""

    def __init__(self, seconds: float, draw: random.Random) -> None:
        self.seconds, self.draw, self.now_s = seconds, draw, 0.0

    def __call__(self) -> None:
        """One call."""
        self.now_s += self.seconds * self.draw.lognormvariate(0, CALL_NOISE)

    def clock(self) -> float:
        """Seconds that all calls took."""
        return self.now_s


def summary(rows: list[Row]) -> dict[str, Any]:
    """Medians over the curves whose crossover lies among the batch sizes of the full sweep."""
    inside = [row for row in rows if not row.censored]
    middle: Callable[[Any], float | None] = lambda values: statistics.median(values) if inside else None  # noqa: E731
    return {
        "curves": len(inside),
        "censored": len(rows) - len(inside),
        "median_error": middle([row.error for row in inside]),
        "median_time_ratio": middle([row.time_ratio for row in inside]),
        "rows": [asdict(row) for row in rows],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--fake", action="store_true", help="curves through the law in place of real models")
    parser.add_argument("--curves", type=int, default=None, help="how many curves")
    options = parser.parse_args(arguments)
    pairs = PAIRS[: options.curves]
    rows = []
    for row in invented(options.curves or FAKE_CURVES) if options.fake else measured(pairs):
        rows.append(row)
        if not options.json:
            sizes = " ".join(map(str, row.batch_sizes))
            numbers = f"{row.full:8.2f} {row.adaptive:8.2f} {100 * row.error:6.1f} % {100 * row.time_ratio:5.0f} %"
            print(f"{numbers}  {row.curve} ({sizes}) {row.censored}", flush=True)
    found = summary(rows)
    if options.json:
        print(json.dumps(found))
    elif found["curves"]:
        error, ratio = 100 * found["median_error"], 100 * found["median_time_ratio"]
        print(f"median over {found['curves']} curves: crossover within {error:.1f} %, for {ratio:.0f} % of the time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
