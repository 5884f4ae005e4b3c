#!/usr/bin/env python
"""Compare adaptive batch sweeps with full ones (1, 2, 4, ..., 128): the crossover found, and the measuring time spent.

Models small enough to be framework-bound at batch 1 are measured on the CPU, by turns adaptively and twice in full:
what the full sweeps differ by is the floor, below which no comparison with one of them can come. The adaptive sweep
measures its points under the protocol meant for it (`ftax_model.collection.adaptive.PROTOCOL`), the full ones under the
default. With ``--fake`` nothing is measured: curves through the law are timed on a clock of their own, with noise from
call to call and between sweeps, once as on a quiet machine and once as on a noisy one; there the truth is known.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftax_model import architectures, dataset
from ftax_model.collection import timing
from ftax_model.collection.adaptive import PROTOCOL, Adaptive
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.collection.timing import Protocol
from ftax_model.measurement import Measurement
from ftax_model.modeling.estimators.law import latency
from ftax_model.modeling.estimators.regime import fit_curve
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
CALL_NOISE, QUIET, NOISY = 0.05, 0.02, 0.06
"""Standard deviations of log latency: from call to call, and of the same cell in another sweep on two machines."""

SWEEPS = ("full", "again", "adaptive")
"""The sweeps of each curve; those before the last measure every batch size."""

Points = Mapping[int, tuple[float, float]]
"""Seconds of one call, and seconds spent to measure it, by batch size."""


@dataclass(frozen=True)
class Row:
    """One curve in three sweeps: crossovers, and relative differences between them.

    ``error`` is that of the adaptive sweep from the full one, ``floor`` that of the other full one from it,
    ``error_to_mean`` that of the adaptive sweep from the geometric mean of both. The last three fields are ``None``
    where the truth is not known. ``time_ratio`` is the time of the adaptive sweep over the mean time of the full ones.
    """

    curve: str
    full: float
    again: float
    adaptive: float
    censored: str
    error: float
    floor: float
    error_to_mean: float
    time_ratio: float
    batch_sizes: list[int]
    truth: float | None = None
    error_to_truth: float | None = None
    full_to_truth: float | None = None

    @classmethod
    def of(cls, curve: str, sweeps: Mapping[str, Points], truth: float | None = None) -> Row:
        """The crossovers of `SWEEPS` (`ftax_model.modeling.estimators.regime.fit_curve`), and their times."""
        fits = {name: fit_curve(list(own), [one for one, _ in own.values()]) for name, own in sweeps.items()}
        full, again, few = (fits[name].crossover_batch_size for name in SWEEPS)
        first_s, second_s, few_s = (sum(spent for _, spent in sweeps[name].values()) for name in SWEEPS)
        return cls(
            curve=curve,
            full=full,
            again=again,
            adaptive=few,
            censored=fits["full"].censored,
            error=difference(few, full),
            floor=difference(again, full),
            error_to_mean=difference(few, math.sqrt(full * again)),
            time_ratio=few_s / statistics.fmean([first_s, second_s]),
            batch_sizes=sorted(sweeps["adaptive"]),
            truth=truth,
            error_to_truth=None if truth is None else difference(few, truth),
            full_to_truth=None if truth is None else difference(full, truth),
        )


MEDIANS = ("error", "floor", "error_to_mean", "time_ratio", "error_to_truth", "full_to_truth")
"""Fields of a `Row` whose medians are told."""


def difference(crossover: float, reference: float) -> float:
    """How far a crossover is from another one, relative to that; infinite where that is none."""
    return abs(crossover / reference - 1) if 0 < reference < math.inf else math.inf


def measured(pairs: list[tuple[str, Workload]], protocol: Protocol) -> Iterator[Row]:
    """Each model in its framework on one thread; the sweeps take turns at being the first."""
    for turn, (framework, model) in enumerate(pairs):
        first = architectures.complete(model)
        every = Grid(tuple(first.with_batch_size(size) for size in Adaptive().candidates), (framework,))
        few = Grid((first,), (framework,), adaptive=Adaptive())
        plans = {name: Plan(name, (every,)) for name in SWEEPS} | {"adaptive": Plan("few", (few,), protocol=protocol)}
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in (SWEEPS * 2)[turn % 3 : turn % 3 + 3]:
                path = Path(folder) / f"{name}.jsonl"
                collect(plans[name], path, isolate=False)
                found[name] = points(dataset.read(path))
        yield Row.of(f"{architectures.label(model)}, {framework}", found)


def points(measurements: list[Measurement]) -> Points:
    """Latency and measuring time of each batch size that ran."""
    return {
        one.cell.workload.batch_size: (one.latency_s, spent_s(one)) for one in measurements if one.latency_s is not None
    }


def spent_s(one: Measurement) -> float:
    """Seconds that the first call, warm-up and timed blocks of a cell took."""
    calls = one.warmup_calls + one.calls_per_block * len(one.samples)
    return (one.first_call_s or 0.0) + calls * (one.latency_s or 0.0)


def invented(count: int, noise: float, protocol: Protocol) -> Iterator[Row]:
    """Curves with a crossover from 1.5 to 40, a floor from 0.2 to 20 ms and 1/p from 0.2 to 1."""
    draw = random.Random(0)
    for number in range(count):
        crossover, floor_s = math.exp(draw.uniform(math.log(1.5), math.log(40))), 10 ** draw.uniform(-3.7, -1.7)
        law = Law(floor_s, crossover, 1 / draw.uniform(0.2, 1))
        protocols = dict.fromkeys(SWEEPS, Protocol()) | {"adaptive": protocol}
        found = {name: law.sweep(random.Random(f"{number} {name}"), noise, own) for name, own in protocols.items()}
        seen: dict[int, float | None] = {}
        while (size := Adaptive().next(seen)) is not None:
            seen[size] = found["adaptive"][size][0]
        found["adaptive"] = {size: found["adaptive"][size] for size in seen}
        yield Row.of(f"crossover {crossover:.1f}, p {law.overlap:.1f}", found, crossover)


@dataclass(frozen=True)
class Law:
    """A curve that is known."""

    floor_s: float
    crossover: float
    overlap: float

    def sweep(self, draw: random.Random, noise: float, protocol: Protocol) -> Points:
        """Every batch size, timed on a clock that only calls move."""
        found = {}
        for size in Adaptive().candidates:
            mean = float(latency(self.floor_s, self.floor_s * size / self.crossover, self.overlap))
            call = Call(mean * draw.lognormvariate(0, noise), draw)
            seen = timing.measure(call, clock=call.clock, protocol=protocol)
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
    """Medians over the curves whose crossover lies among the batch sizes of the full sweep; ``None`` where unknown."""
    inside = [row for row in rows if not row.censored]
    return {
        "curves": len(inside),
        "censored": len(rows) - len(inside),
        **{f"median_{name}": median(getattr(row, name) for row in inside) for name in MEDIANS},
        "rows": [asdict(row) for row in rows],
    }


def median(values: Iterable[float | None]) -> float | None:
    """That of the values that are known; ``None`` where there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def shown(row: Row) -> str:
    """As a line of the table."""
    crossovers = f"{row.full:8.2f} {row.again:8.2f} {row.adaptive:8.2f}"
    percents = " ".join(f"{100 * value:6.1f} %" for value in (row.floor, row.error, row.time_ratio))
    return f"{crossovers} {percents}  {row.curve} ({' '.join(map(str, row.batch_sizes))}) {row.censored}"


def told(found: Mapping[str, Any]) -> str:
    """A summary in a sentence or two."""
    percent = {
        name: f"{100 * found[f'median_{name}']:.1f} %" for name in MEDIANS if found[f"median_{name}"] is not None
    }
    if not found["curves"]:
        return "no curve whose crossover lies inside"
    line = (
        f"median over {found['curves']} curves: crossover within {percent['error']} of the full sweep's "
        f"({percent['error_to_mean']} of the mean of both), another full one {percent['floor']}, "
        f"for {percent['time_ratio']} of the time"
    )
    if "error_to_truth" in percent:
        line += f"; off the truth: adaptive {percent['error_to_truth']}, full {percent['full_to_truth']}"
    return line


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table; noisy curves under 'noisy'")
    parser.add_argument("--fake", action="store_true", help="curves through the law in place of real models")
    parser.add_argument("--curves", type=int, default=None, help="how many curves")
    parser.add_argument("--same-protocol", action="store_true", help="measure adaptive points as long as all others")
    options = parser.parse_args(arguments)
    protocol = Protocol() if options.same_protocol else PROTOCOL
    runs = {"": measured(PAIRS[: options.curves], protocol)}
    if options.fake:
        count = options.curves or FAKE_CURVES
        runs = {"": invented(count, QUIET, protocol), "noisy": invented(count, NOISY, protocol)}
    found = {}
    for name, rows in runs.items():
        kept = []
        for row in rows:
            kept.append(row)
            if not options.json:
                print(shown(row), flush=True)
        found[name] = summary(kept)
        if not options.json:
            print(told(found[name]), flush=True)
    if options.json:
        print(json.dumps(found.pop("") | found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
