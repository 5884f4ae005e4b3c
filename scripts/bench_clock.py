#!/usr/bin/env python
"""Compare `latency_s` with torch's Timer.adaptive_autorange on the same callables, by turns in one process."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.benchmark import Timer

from ftax_model import architectures
from ftax_model.collection import frameworks, timing
from ftax_model.device import detect
from ftax_model.workload import Workload, grid

MLP = {"num_layers": 8, "hidden_size": 256, "input_size": 256}
BERT = {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512, "vocab_size": 1000}
RESNET = {"block": "basic", "depths": (1, 1, 1, 1), "widths": (16, 32, 64, 128), "num_classes": 10, "input_size": 64}

TURN_S = 0.2
"""Seconds of one turn; short, so that both clocks see the same machine."""

CELLS = [
    *(("eager", one) for one in grid("mlp", **MLP, batch_size=[1, 8, 64, 512])),
    *(("eager", one) for one in grid("bert", **BERT, input_size=64, batch_size=[1, 4, 16])),
    *(("eager", one) for one in grid("resnet", **RESNET, batch_size=[1, 4, 16])),
    *(("torchscript", one) for one in grid("mlp", **MLP, batch_size=[1, 64])),
    *(("torchscript", one) for one in grid("bert", **BERT, input_size=64, batch_size=[1, 4])),
    *(("torchscript", one) for one in grid("resnet", **RESNET, batch_size=[1])),
    *(("onnxruntime", one) for one in grid("mlp", **MLP, batch_size=[1, 64])),
    *(("onnxruntime", one) for one in grid("bert", **BERT, input_size=64, batch_size=[1, 4])),
    *(("onnxruntime", one) for one in grid("resnet", **RESNET, batch_size=[1])),
]


def compare(framework_name: str, workload: Workload, *, turns: int) -> dict[str, Any]:
    """Seconds by both clocks, each the median of its turns, and the median ratio of two turns side by side."""
    architecture, framework = architectures.load(workload.architecture), frameworks.load(framework_name)
    module, inputs = architecture.build(architecture.complete(workload))
    with framework.mode():
        call = framework.prepare(module, inputs, detect("cpu"))
        pairs = list(_turns(call, framework.clock, turns))
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return {
        "framework": framework_name,
        "workload": architectures.label(workload),
        "batch_size": workload.batch_size,
        "latency_s": ours,
        "timer_s": theirs,
        "ratio": ratio,
    }


def _turns(call: Callable[[], object], clock: Callable[[], float], turns: int) -> Iterator[tuple[float, float]]:
    """Our seconds and the Timer's, side by side, each first as often as the other, with the same time for both."""
    timer, protocol = Timer("call()", globals={"call": call}), timing.Protocol(cell_s=TURN_S, warmup_s=TURN_S / 3)

    def ours() -> float:
        return timing.measure(call, clock=clock, protocol=protocol).latency_s

    def theirs() -> float:
        return float(timer.adaptive_autorange(max_run_time=TURN_S).median)

    for turn in range(turns):
        if turn % 2:
            other = theirs()
            yield ours(), other
        else:
            yield ours(), theirs()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="how many of the cells")
    parser.add_argument("--turns", type=int, default=10, help="turns of each clock")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for framework, workload in CELLS[: options.cells]:
        rows.append(row := compare(framework, workload, turns=options.turns))
        if not options.json:
            name = f"{row['workload']}, batch {row['batch_size']}, {framework}"
            print(f"{row['latency_s'] * 1e6:12.1f} us {row['timer_s'] * 1e6:12.1f} us {row['ratio']:8.3f}  {name}")
    median = statistics.median(row["ratio"] for row in rows)
    print(json.dumps({"median_ratio": median, "cells": rows}) if options.json else f"median ratio {median:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
