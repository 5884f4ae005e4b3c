"""Datasets of strangers: their records, and the frame of them."""

from __future__ import annotations

import json
from pathlib import Path

from ftax_model import dataset
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload


def _record(size: int, **more: object) -> dict[str, object]:
    cell = Cell(Workload("mlp", {"num_layers": 2}, batch_size=size), "eager", "amd-epyc-turin-2core", 2)
    features = {"macs": 1e6 * size, "params": 1e5, "n_ops": 5.0}
    values = {"latency_s": 1e-3 * size, "samples": (1e-3, 1.1e-3, 1.2e-3, 1e-3), "calls_per_block": 9, **more}
    environment = {"device_model": "AMD EPYC", "load_before": 0.1, "peak_macs": 1e12}
    return Measurement(cell, features=features, environment=environment, **values).to_record()  # type: ignore[arg-type]


def seeds() -> list[bytes]:
    telemetry = {"throttled": ["power"], "neighbours": [], "activations": {"subnormal": 0.1}}
    full = _record(4, telemetry=telemetry, pipelined_s=1e-3, peak_memory_bytes=10**6, first_call_s=0.1, prepare_s=0.2)
    failed = {**_record(8), "status": "timeout", "latency_s": None, "samples": [], "reason": "too slow"}
    outside = _record(1)
    outside["workload"] = {**outside["workload"], "architecture": "onnx"}  # type: ignore[dict-item]
    outside["workload"]["hyperparameters"] = {"place": "/etc/passwd", "digest": "0123456789abcdef"}  # type: ignore[index]
    return [json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in (full, failed, outside)] + [
        "".join(json.dumps(_record(size)) + "\n" for size in (1, 2, 4)).encode()
    ]


def read(data: bytes, folder: Path) -> None:
    file = folder / "data.jsonl"
    file.write_bytes(data)
    dataset.load_dataset(file)
