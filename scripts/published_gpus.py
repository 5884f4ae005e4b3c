"""Learn what GPUs take from published measurements, or judge how well that holds.

    .venv/bin/python scripts/published_gpus.py build DIR
    .venv/bin/python scripts/published_gpus.py evaluate DIR

DIR holds ``kernelbench/times.csv.gz`` and ``traces.jsonl.gz``: ScalingIntelligence/KernelBench (MIT), 200 modules in
single precision on eight kinds of GPU, eager and compiled. Nothing of it is copied: what is written are costs, trees and
errors.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from ftax_model import LatencyPredictor, architectures
from ftax_model.cli import _print
from ftax_model.device import named
from ftax_model.modeling.platforms import gpus
from ftax_model.modeling.rows import kernel_row
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace_sweep
from ftax_model.workload import Workload

SOURCE = "measured by others (KernelBench)"
OUT = Path(__file__).resolve().parent.parent / "ftax_model" / "predictors" / "published-gpus.json.gz"

FRAMEWORKS = {
    "eager": "eager",
    "inductor": "inductor",
    "inductor-reduce-overhead": "inductor-cuda-graphs",
    "inductor-max-autotune": "inductor-max-autotune",
    "compile-backend-cudagraphs": "cuda-graphs",
}
"""What the sources call a framework, and what this project does."""

LEFT_OUT = ("RTX_3090_Ti",)
"""Hosts whose timings cannot be: a call of 5 us, where the launch of a kernel takes as long."""

SAMPLE = {
    "bert": ["bert-tiny", "bert-mini", "bert-base"],
    "gpt2": ["distilgpt2"],
    "vit": ["vit-tiny-patch16", "vit-base-patch16"],
    "resnet": ["resnet-18", "resnet-50"],
    "mobilenet-v2": ["mobilenet-v2-1.0"],
    "convnext": ["convnext-tiny"],
    "efficientnet": ["efficientnet-b0"],
    "wav2vec2": ["wav2vec2-base"],
}
"""Presets that stand for what people run: the law of a platform follows from what is predicted of them."""


def kernelbench(folder: Path) -> pd.DataFrame:
    """One row a module, GPU, host and framework, with features and kernels; of two runs the first."""
    traced = {}
    with gzip.open(folder / "traces.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            operators = tuple(
                Operator(**{name: _frozen(value) for name, value in one.items()}) for one in record["operators"]
            )
            traced[f"{record['level']}/{record['module']}"] = kernel_row(
                Trace(operators, record["params"]), dtype="float32"
            )
    times = pd.read_csv(folder / "times.csv.gz")
    times["model"] = times["level"] + "/" + times["module"]
    times = times[times["model"].isin(traced) & times["framework"].isin(FRAMEWORKS) & ~times["host"].isin(LEFT_OUT)]
    dates = times.groupby(["host", "hardware"])["date"].transform("nunique")
    host = times["host"] + np.where(dates > 1, " " + times["date"], "")
    known = {name: named("cuda", name) for name in times["hardware"].unique()}
    own = pd.DataFrame(
        {
            "framework": times["framework"].map(FRAMEWORKS),
            "device": times["hardware"].map(known),
            "host": host.map(lambda text: "-".join(re.findall(r"[a-z0-9]+", text.lower()))),
            "model": times["model"],
            "level": times["level"],
            "latency_s": times["mean_ms"] / 1e3,
        }
    )
    own = own.drop_duplicates(["framework", "device", "host", "model"])
    own = own.assign(dtype="float32", threads=1, batch_size=1)
    return own.join(pd.DataFrame([traced[name] for name in own["model"]], index=own.index)).reset_index(drop=True)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def figures(missed: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Errors of what was left out (`gpus.left_out`), for each value of the columns ``by``."""
    found = []
    for key, part in missed.groupby(by, sort=False):
        ratio = part["ratio"].to_numpy()
        error = np.abs(np.expm1(-ratio))
        found.append(
            {
                **dict(zip(by, key, strict=True)),
                "rows": float(len(part)),
                "median": float(np.median(error)),
                "mape": float(error.mean()),
                "within 25": float((error < 0.25).mean()),
                "worst": float(np.exp(np.abs(ratio).max())),
            }
        )
    return pd.DataFrame(found)


SHOWN = {
    "rows": _print.number,
    "median": _print.percent,
    "mape": _print.percent,
    "within 25": _print.percent,
    "worst": _print.number,
}


@click.group()
def main() -> None:
    """Learn what GPUs take from published measurements, or judge how well that holds."""


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=False, help="File to write.")
@click.option("--jobs", default=-1, help="Processes; -1 for one a core.")
def build(folder: Path, out: Path, jobs: int) -> None:
    """Fit the predictor that ships with the package."""
    rows = kernelbench(folder / "kernelbench")
    predictor = LatencyPredictor(jobs=jobs).learn_gpus(rows, source=SOURCE, sample=sample())
    predictor.save(out)
    click.echo(f"{len(rows)} rows; {out}")


def sample() -> pd.DataFrame:
    """Workloads that stand for what people run, at three batch sizes each."""
    found = []
    for name, presets in SAMPLE.items():
        for preset in presets:
            traces = trace_sweep(architectures.complete(Workload(name, {"preset": preset})), [1, 8, 64])
            found += [{"batch_size": size, **kernel_row(trace, dtype="float32")} for size, trace in traces.items()]
    return pd.DataFrame(found)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--framework", "frameworks", multiple=True, default=("eager", "inductor"), show_default=True)
@click.option("--jobs", default=-1, help="Processes; -1 for one a core.")
def evaluate(folder: Path, frameworks: tuple[str, ...], jobs: int) -> None:
    """Leave modules and cards out, and print the errors of their predictions."""
    rows = kernelbench(folder / "kernelbench")
    for framework in frameworks:
        missed = gpus.left_out(rows[rows["framework"] == framework].reset_index(drop=True), jobs=jobs)
        sizes = pd.cut(missed["latency_s"], [0, 1e-4, 1e-3, np.inf], labels=["below 0.1 ms", "to 1 ms", "above"])
        missed = missed.assign(size=sizes.astype(str))
        for by in (["situation"], ["situation", "size"], ["situation", "level"], ["situation", "device"]):
            shown = dict.fromkeys(by, None) | SHOWN
            _print.table(figures(missed, by).to_dict("records"), shown, title=f"\n{framework}, by {', '.join(by)}")


if __name__ == "__main__":
    main()
