"""What is kept of traces and polynomials, in a cache that anything may have damaged."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from ftax_model.architectures import complete
from ftax_model.operators import Operator, Trace
from ftax_model.tracing.cache import POLYNOMIALS, TRACES, Kept, folder
from ftax_model.tracing.choices import Choices
from ftax_model.tracing.polynomials import sizes_of
from ftax_model.tracing.regions import Regions
from ftax_model.workload import Workload

NETWORK = complete(Workload("toy", {"num_layers": 2, "width": 8}))
CHOSEN = complete(Workload("nasbench201"))


@cache
def _made() -> dict[str, str]:
    """What is kept of each, by the file it is kept in."""
    one = Operator("mm", ((1, 8), (8, 8)), ((1, 8),), 64, 64, 256, 1, {"batch": 1, "m": 1, "k": 8, "n": 8}, "a", 64)
    Kept(NETWORK).put(1, Trace((one, one), 64, model_bytes=256))
    regions = Regions(NETWORK)
    for layers in (2, 3):
        regions.find(sizes_of(complete(Workload("toy", {"num_layers": layers, "width": 8})))[1])
    Choices(CHOSEN).find(complete(Workload("nasbench201", {"operations": ("skip_connect",) * 6})))
    files = [file for what in (TRACES, POLYNOMIALS) for file in sorted(folder(what).glob("*.json.gz"))]
    return {str(file): gzip.decompress(file.read_bytes()).decode() for file in files}


def seeds() -> list[bytes]:
    return [text.encode() for text in _made().values()]


def read(data: bytes, folder: Path) -> None:
    for file in map(Path, _made()):
        file.write_bytes(gzip.compress(data, compresslevel=1))
    kept = Kept(NETWORK).get(1)
    if kept is not None:
        kept.features(), kept.memory()
    Choices(CHOSEN)
    point = sizes_of(NETWORK)[1]
    regions = Regions(NETWORK)
    json.dumps(regions.to_record())
    if regions.to_record()["found"]:
        regions.find(point)
