"""Operator profiles of strangers: their records, the frame of them, and the operators of its rows."""

from __future__ import annotations

import json
from pathlib import Path

from ftax_model import dataset
from ftax_model.measurement import Cell, Profile
from ftax_model.operators import Operator, OperatorTiming
from ftax_model.workload import Workload

SHAPES = ((1, 3, 8, 8), (4, 3, 3, 3))
CELL = Cell(Workload("mlp", {"num_layers": 2}, batch_size=8), "eager", "amd-epyc-turin-2core", 2)


def seeds() -> list[bytes]:
    product = Operator("mm", ((4, 8), (8, 8)), ((4, 8),), 256, 512, 256, 1, {"batch": 1, "m": 4, "k": 8, "n": 8}, "a")
    folded = Operator("convolution", SHAPES, ((1, 4, 8, 8),), 9, 9, 9, 2, {"kernel": (3, 3), "groups": 1}, "b")
    timings = tuple(OperatorTiming(one, 1e-4, 2e-5) for one in (product, folded, product))
    unseen = (OperatorTiming(product, None, None),)
    profiles = [
        Profile(CELL, latency_s=1e-3, timings=own, profiled_s=2e-3, events=9, calls=5) for own in (timings, unseen)
    ]
    failed = Profile(CELL, status="crashed", reason="signal 11")
    return [json.dumps(one.to_record()).encode() + b"\n" for one in (*profiles, failed)]


def read(data: bytes, folder: Path) -> None:
    file = folder / "data.operators.jsonl"
    file.write_bytes(data)
    dataset.operators(dataset.load_operators(file))
