#!/usr/bin/env python3
"""ONNX files of others, measured here with ONNX Runtime, beside what a predictor says.

    .venv/bin/python scripts/check_onnx.py FILE.onnx ... [--model M] [--shape FILE:x=1x3x8x8] [--value FILE:sr=16000]

Without files, the networks inside the package `onnx`, and those in the packages that ``scripts/onnx_files`` fetches.
Batch size as in the file, one thread, the predictor of this machine (``ftax calibrate``) or the one that ships. Nothing
else should run meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from ftax_model.cli import _options, _print
from ftax_model.device import detect
from ftax_model.errors import FtaxError
from ftax_model.tracing import sources

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
PACKAGES = ("silero-vad", "magika", "rapidocr-onnxruntime")
USUAL = {
    **{
        f"silero_vad{more}.onnx": ["input=1x512", "state=2x1x128"]
        for more in ("", "_16k_op15", "_half", "_op18_ifless")
    },
    "ch_PP-OCRv4_det_infer.onnx": ["x=1x3x640x640"],
    "ch_PP-OCRv4_rec_infer.onnx": ["x=1x3x48x320"],
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ["x=1x3x48x192"],
}
"""Shapes of inputs that these files leave open: what their packages call them with."""
RATE = {f"silero_vad{more}.onnx": ["sr=16000"] for more in ("", "_16k_op15", "_op18_ifless")}
"""Values of inputs that decide what runs."""
LEAST_CALLS, LEAST_S = 5, 1.0


def measure(file: Path, shapes: dict[str, tuple[int, ...]], values: dict[str, Any]) -> float:
    """Median seconds of a call on random inputs, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(0)
    inputs: dict[str, Any] = {}
    for one in session.get_inputs():
        shape = shapes.get(one.name, tuple(extent if isinstance(extent, int) else 1 for extent in one.shape))
        kind = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(one.type, np.float32)
        inputs[one.name] = np.broadcast_to(values.get(one.name, draw.uniform(0, 1, shape)), shape).astype(kind)
    seconds: list[float] = []
    session.run(None, inputs)
    while len(seconds) < LEAST_CALLS or sum(seconds) < LEAST_S:
        start = time.perf_counter()
        session.run(None, inputs)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def files_of_others() -> list[Path]:
    """The ONNX files inside installed packages."""
    found = sorted(LIGHT.glob("*.onnx"))
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            held = metadata.distribution(name).files or []
            found += sorted(Path(str(one.locate())) for one in held if one.suffix == ".onnx")
    return [file for file in found if file.stat().st_size]


def _of(file: Path, given: tuple[str, ...]) -> list[str]:
    """What was said of one file."""
    return [text.partition(":")[2] for text in given if text.partition(":")[0] == file.name]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", help="A predictor, by name or file.")
@click.option("--shape", "shapes", multiple=True, help="FILE:NAME=1x3x48x320 of an input that a file leaves open.")
@click.option("--value", "values", multiple=True, help="FILE:NAME=16000 of an input that decides what runs.")
def main(files: tuple[Path, ...], model: str | None, shapes: tuple[str, ...], values: tuple[str, ...]) -> None:
    """Measure ONNX files and print their latencies beside the predicted ones."""
    (predictor, _), device, found = _options.load(model), detect("cpu").name, []
    for file in files or files_of_others():
        own_shapes = dict(map(_options.shape, _of(file, shapes) or USUAL.get(file.name, [])))
        own_values = dict(map(_options.value, _of(file, values) or RATE.get(file.name, [])))
        try:
            source = sources.of_onnx(file, shapes=own_shapes, values=own_values)
            said = predictor.predict(source, framework="onnxruntime", device=device, threads=1).iloc[0]
            measured = measure(file, own_shapes, own_values)
        except FtaxError as error:
            click.echo(f"{file.name}: {error}")
            continue
        inside = said["low_s"] <= measured <= said["high_s"]
        found.append(
            {
                "file": file.name,
                "measured": measured,
                "predicted": said["latency_s"],
                "error": said["latency_s"] / measured - 1,
                "interval": f"{_print.seconds(said['low_s'])} to {_print.seconds(said['high_s'])}",
                "inside": "yes" if inside else "no",
                "notes": said["notes"],
            }
        )
    if found:
        shown = {"file": None, "measured": _print.seconds, "predicted": _print.seconds, "error": _print.percent}
        _print.table(found, {**shown, "interval": None, "inside": None, "notes": None})
        held = sum(one["inside"] == "yes" for one in found)
        error = float(np.median([abs(one["error"]) for one in found]))
        click.echo(f"{held} of {len(found)} inside their intervals, median error {100 * error:.1f} %")


if __name__ == "__main__":
    main()
