#!/usr/bin/env python
"""How fast the shipped predictor is: on a ready row, on 100,000 rows, on a workload; beside measuring and tracing.

All in one process, by turns. Measuring is what the default protocol takes for the same workload in eager mode, its
warm-up included; tracing is torch's own flop counter on the same module on the meta device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from ftax_model import architectures
from ftax_model.collection import frameworks, timing
from ftax_model.device import detect
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.modeling.rows import row
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload

BERT = {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024, "vocab_size": 1024}
WORKLOADS = [
    Workload("bert", BERT, batch_size=4, input_size=64),
    Workload("resnet", {"preset": "resnet-18"}, batch_size=4, input_size=64),
    Workload("mobilenet-v2", {"preset": "mobilenet-v2-0.35"}, batch_size=4, input_size=128),
]
ROWS = 100_000
TURNS = 5


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def compare(predictor: LatencyPredictor, workload: Workload) -> dict[str, Any]:
    """Seconds of everything that can be done with one workload, median over turns."""
    workload = architectures.complete(workload)
    platform = {"framework": "eager", "dtype": "float32", "threads": 1}
    fit = predictor.select(**platform)[0]
    ready = pd.DataFrame([row(trace_workload(workload), dtype="float32")])
    ready = ready.assign(batch_size=workload.batch_size, **vars(fit.platform))
    with torch.device("meta"):
        module, inputs = architectures.load(workload.architecture).build(workload)
    many = pd.concat([ready] * ROWS, ignore_index=True)

    def counted() -> None:
        with FlopCounterMode(display=False), torch.no_grad():
            module(**inputs)

    def from_scratch(*, cold: bool) -> None:
        if cold:
            trace_workload.cache_clear()
        predictor.predict(workload, framework="eager", threads=1, device=fit.platform.device, crossovers=False)

    turns: dict[str, Callable[[], object]] = {
        "a ready row": lambda: predictor.predict_frame(ready, crossovers=False),
        "a workload, cold": lambda: from_scratch(cold=True),
        "a workload, traced before": lambda: from_scratch(cold=False),
        "torch's flop counter": counted,
        "measuring it": lambda: measured(workload),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(TURNS):
        for name, call in turns.items():
            found[name].append(seconds(call))
    medians = {name: statistics.median(values) for name, values in found.items()}
    medians[f"one of {ROWS:,} rows"] = seconds(lambda: predictor.predict_frame(many, crossovers=False)) / ROWS
    return {"workload": architectures.label(workload), "seconds": medians}


def measured(workload: Workload) -> None:
    """Build the model and time it under the default protocol."""
    framework = frameworks.load("eager")
    module, inputs = architectures.load(workload.architecture).build(workload)
    with framework.mode():
        call = framework.prepare(module, inputs, detect("cpu"))
        timing.measure(call, clock=framework.clock, protocol=timing.Protocol())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    predictor = LatencyPredictor.load(SHIPPED)
    rows = [compare(predictor, workload) for workload in WORKLOADS]
    if options.json:
        print(json.dumps(rows))
        return 0
    for one in rows:
        spent = one["seconds"]
        print(f"{one['workload']}, batch 4: a prediction from scratch takes {1e3 * spent['a workload, cold']:.0f} ms")
        for name, own in spent.items():
            print(f"  {name:28s} {spent['measuring it'] / own:12,.1f} x faster than measuring it")
        against = spent["torch's flop counter"] / spent["a workload, cold"]
        print(f"  from scratch it is {against:.2f} x as fast as torch's flop counter, which counts alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
