"""Tables that others measured in, CSV or JSON, brought into a dataset by a map."""

from __future__ import annotations

import json
from pathlib import Path

from ftax_model.dataset import frame
from ftax_model.importer import parse_map, read_table

ASKED = parse_map(
    ["model=net", "batch_size=batch", "latency_s=time:@unit", "macs=gmacs:G/sample", "input_size=pixels", "n_ops=ops"],
    ["framework=eager", "device=rtx-3090", "dtype=float32"],
)
TIMM = parse_map(["timm"], ["device=rtx-3090", "framework=eager", "dtype=float32"])


def seeds() -> list[bytes]:
    rows = [
        {"net": "a", "batch": 1, "time": 2.5, "unit": "ms", "gmacs": 1.5, "pixels": 224, "ops": 9},
        {"net": "b/c", "batch": 8, "time": 900, "unit": "samples/s", "gmacs": 0.5, "pixels": None, "ops": ""},
    ]
    lines = [",".join(rows[0]), *(",".join("" if one is None else f"{one}" for one in row.values()) for row in rows)]
    head = "model,infer_img_size,infer_batch_size,infer_step_time,infer_gmacs,infer_macts,param_count"
    texts = ["\n".join(lines), json.dumps(rows), json.dumps(rows[0]), f"{head}\na,224,256,255.9,4.1,11,25\n"]
    return [text.encode() for text in texts]


def dictionary() -> list[bytes]:
    return b'net batch time unit gmacs pixels ops ms us ns s samples/s , " \r\n nan inf 1e999 0x10 1_0'.split(b" ")


def read(data: bytes, folder: Path) -> None:
    file = folder / ("table.json" if data[:1] in (b"[", b"{") else "table.csv")
    file.write_bytes(data)
    frame(read_table(file, TIMM if data.startswith(b"model") else ASKED))
