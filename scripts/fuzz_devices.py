"""Device files of strangers: the rates that they tell, and a prediction for one that was never measured."""

from __future__ import annotations

import random
import zlib
from functools import cache
from pathlib import Path

from ftax_model.device import canonical, rates
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.workload import Workload

PREDICTED = 16  # one in so many is asked for a prediction, which takes the time of a hundred readings

VALUES = (
    *[
        "'cuda'",
        "'cpu'",
        "'fake'",
        "'x'",
        "true",
        "0",
        "1",
        "-1",
        "72",
        "99999999",
        "0.0",
        "1e3",
        "6e6",
        "1e12",
        "15e12",
        "1e19",
        "1e21",
        "1e300",
        "-1e9",
        "nan",
        "inf",
    ],
    *["[]", "[1]", "{}", "['a']", "{a=1}", "{float32=1e12}", "{float32='a'}", "1979-05-27", "'(a+)+$'"],
)
"""What takes the place of a value."""


@cache
def _predictor() -> LatencyPredictor:
    return LatencyPredictor.load("published-gpus")


def seeds() -> list[bytes]:
    gpu = (
        b"kind = 'cuda'\nmatch = 'My GPU'\nmemory_bytes = 24e9\nbandwidth = 600e9\nl2_bytes = 6e6\n"
        b'multiprocessors = 72\nsource = "its data sheet"\n[peak_macs]\nfloat32 = 15e12\n[tensor_macs]\ntf32 = 30e12\n'
    )
    cpu = b"kind = 'cpu'\nmatch = '^ARM .*0x41'\nformerly = ['^A']\nsource = 's'\n[peak_macs]\nfloat32 = 4.16e10\n"
    return [gpu, cpu, gpu + b"float16 = 60e12\n"]


def dictionary() -> list[bytes]:
    words = "kind cuda cpu match formerly source memory_bytes bandwidth l2_bytes multiprocessors [peak_macs] float32"
    return f"{words} [tensor_macs] tf32 float16 bfloat16 launch_s inf nan 1e308 1979-05-27 '''".encode().split()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A line gets another value, comes twice, or goes."""
    lines = data.decode(errors="replace").splitlines() or [""]
    at = dice.randrange(len(lines))
    key = dice.choice(lines if dice.random() < 0.1 else [lines[at]]).partition("=")[0]
    value = dice.choice(VALUES)
    lines[at : at + 1] = dice.choice(([f"{key}= {value}"], [f"{key}= {value}"], [lines[at]] * 2, []))
    return "\n".join(lines).encode()


def read(data: bytes, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_bytes(data)
    told = [rates(canonical(str(file)), dtype, 2) for dtype in ("float32", "float16", "bfloat16", "int8")]
    if told[0] and told[0].kind == "cuda" and zlib.crc32(data) % PREDICTED == 0:
        _predictor().predict(Workload("mlp"), framework="eager", device=str(file), batch_sizes=[1, 8])
