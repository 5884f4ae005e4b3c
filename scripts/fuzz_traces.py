"""Files of traces of strangers: read, and predicted by the predictor that ships."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path

from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.tracing import sources

PREDICTED = 16  # one in so many is predicted, which takes the time of a hundred readings


@cache
def _predictor() -> LatencyPredictor:
    return LatencyPredictor.load("cpu")


def seeds() -> list[bytes]:
    """One trace of a small architecture of ours, and a smaller one of two batch sizes."""
    shown = {"kind": "mm", "inputs": [[4, 8], [8, 8]], "outputs": [[4, 8]], "macs": 256, "activation_bytes": 256}
    shown |= {"weight_bytes": 256, "level": 1, "attributes": {"batch": 1, "m": 4, "k": 8, "n": 8}, "layer": "a.b"}
    other = {"kind": "convolution", "inputs": [[1, 3, 8, 8], [4, 3, 3, 3]], "outputs": [[1, 4, 8, 8]], "macs": 6912}
    other |= {"attributes": {"kernel": [3, 3], "stride": [1, 1], "groups": 1}, "live_bytes": 4096, "level": 2}
    traces = [
        {"batch_size": size, "params": 64, "operators": [shown, other, {**shown, "live_bytes": 9}], "model_bytes": 256}
        for size in (1, 4)
    ]
    record = {"format": sources.FORMAT, "schema": sources.SCHEMA, "model": "net", "dtype": "float32", "traces": traces}
    return [json.dumps(one).encode() for one in (record, {**record, "dtype": "float16", "traces": traces[:1]})]


def read(data: bytes, folder: Path) -> None:
    file = folder / "net.json"
    file.write_bytes(data)
    trace = sources.read(file).trace()
    trace.features(), trace.memory()
    if zlib.crc32(data) % PREDICTED == 0:
        _predictor().predict(trace, framework="eager", device="amd-epyc-genoa-2core", threads=1)
