"""Traces that strangers give beside a table, attached to its rows."""

from __future__ import annotations

import json
from pathlib import Path

from ftax_model.dataset import frame
from ftax_model.measurement import Cell, Measurement
from ftax_model.tracing.attach import attach, read_traces
from ftax_model.workload import Workload

ROWS = [
    Measurement(Cell(Workload(name, batch_size=size), "eager", "rtx-3090"), latency_s=1e-3, features={"macs": 256})
    for name in ("net", "other")
    for size in (1, 4)
]


def seeds() -> list[bytes]:
    shown = {"kind": "mm", "inputs": [[4, 8], [8, 8]], "outputs": [[4, 8]], "macs": 256, "activation_bytes": 256}
    shown |= {"weight_bytes": 256, "level": 1, "attributes": {"batch": 1, "m": 4, "k": 8, "n": 8}, "layer": "a.b"}
    one = {"model": "net", "batch_size": 4, "params": 64, "operators": [shown]}
    more = {"model": "other", "traces": [{"batch_size": size, "params": 64, "operators": [shown]} for size in (1, 4)]}
    lines = [json.dumps(each) for each in (one, more)]
    return [lines[0].encode() + b"\n", "\n".join(lines).encode()]


def read(data: bytes, folder: Path) -> None:
    file = folder / "traces.jsonl"
    file.write_bytes(data)
    found, _ = attach(ROWS, read_traces(file), ours=False)
    frame(found)
