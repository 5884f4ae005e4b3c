"""Learn what GPUs take from published measurements, or judge how well that holds.

    .venv/bin/python scripts/published_gpus.py build DIR
    .venv/bin/python scripts/published_gpus.py evaluate DIR
    .venv/bin/python scripts/published_gpus.py curves DIR

DIR holds ``gpu/kernelbench/times.csv.gz`` and ``traces.jsonl.gz``: ScalingIntelligence/KernelBench (MIT), 200 modules
in single precision on eight kinds of GPU, eager and compiled. Nothing of it is copied: what is written are costs, trees
and errors. ``curves`` looks at batch sweeps of the paper and of AITemplate (Apache-2.0), of which nothing was learnt.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from pathlib import Path

import click
import numpy as np
import pandas as pd

from ftax_model import LatencyPredictor, architectures
from ftax_model.cli import _print
from ftax_model.device import named
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.kernels import Calls
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.judging.intervals import kinds
from ftax_model.modeling.platforms import gpus
from ftax_model.modeling.platforms.known import design, law
from ftax_model.modeling.predictor import PUBLISHED
from ftax_model.modeling.rows import folds, kernel_row
from ftax_model.operators import Trace
from ftax_model.tracing import trace_sweep
from ftax_model.workload import Workload

SOURCE = "of GPUs measured by others (KernelBench, The Framework Tax)"
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
            name = f"{record['level']}/{record['module']}"
            traced[name] = kernel_row(Trace.from_record(record), dtype="float32")
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


def figures(missed: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Errors of what was left out (`gpus.left_out`), for each value of the columns ``by``."""
    found = []
    for key, part in missed.groupby(by, sort=False):
        ratio = part["ratio"].to_numpy()
        error = np.abs(np.expm1(-ratio))
        plain = {name: float(part[name].abs().median()) for name in ("by law", "by roofline")}
        found.append(
            {
                **dict(zip(by, key, strict=True)),
                "rows": float(len(part)),
                "median": float(np.median(error)),
                "mape": float(error.mean()),
                "within 25": float((error < 0.25).mean()),
                "worst": float(np.exp(np.abs(ratio).max())),
                "covered": float(part["covered"].mean()),
                **plain,
            }
        )
    return pd.DataFrame(found)


def covered(missed: pd.DataFrame, confidence: float = 0.9) -> np.ndarray:
    """Which rows lie inside the interval that the errors on the other modules call for."""
    scale, _ = gpus.expected(missed)
    kind = kinds(missed["regime"], missed["outside"])
    inside = np.zeros(len(missed), dtype=bool)
    for train, test in folds(missed["model"], most=5):
        for scenario, errors in gpus.errors_of(missed.iloc[train], scale[train]).items():
            own = test[(missed["scenario"].iloc[test] == scenario).to_numpy()]
            low, high = errors.interval(confidence, kind[own])
            inside[own] = missed["ratio"].iloc[own].between(low * scale[own], high * scale[own])
    return inside


def plain_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Relative errors of the law, fitted to the other modules of each machine, and of the roofline alone."""
    found = pd.DataFrame(np.nan, index=rows.index, columns=["by law", "by roofline"])
    for (device, _), part in rows.groupby(["device", "host"]):
        can = gpus.needed(Platform("eager", str(device), "float32", 1))
        calls = Calls.of(list(part["kernels"]), [can] * len(part))
        measured = part["latency_s"].to_numpy()
        found.loc[part.index, "by roofline"] = calls.sums(calls.count * calls.roofline_s) / measured - 1
        for train, test in folds(part["model"], most=3):
            own = law(part).fit(design(part.iloc[train]), measured[train])
            found.loc[part.index[test], "by law"] = own.predict(design(part.iloc[test])) / measured[test] - 1
    return found


SHOWN = {
    "rows": _print.number,
    **dict.fromkeys(("median", "mape", "within 25"), _print.percent),
    "worst": _print.number,
}
SHOWN |= dict.fromkeys(("covered", "by law", "by roofline"), _print.percent)


@click.group()
def main() -> None:
    """Learn what GPUs take from published measurements, or judge how well that holds."""


folder_of_tables = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
processes = click.option("--jobs", default=-1, help="Processes; -1 for one a core.")


@main.command()
@folder_of_tables
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=False, help="File to write.")
@processes
def build(folder: Path, out: Path, jobs: int) -> None:
    """Fit the predictor that ships with the package."""
    rows = kernelbench(folder / "gpu" / "kernelbench")
    predictor = LatencyPredictor(jobs=jobs).learn_gpus(rows, source=SOURCE, sample=sample())
    with_the_paper(predictor).save(out)
    click.echo(f"{len(rows)} rows; {out}")


def sample() -> pd.DataFrame:
    """Workloads that stand for what people run, at three batch sizes each."""
    found = []
    for name, presets in SAMPLE.items():
        for preset in presets:
            traces = trace_sweep(architectures.complete(Workload(name, {"preset": preset})), [1, 8, 64])
            found += [{"batch_size": size, **kernel_row(trace, dtype="float32")} for size, trace in traces.items()]
    return pd.DataFrame(found)


def with_the_paper(predictor: LatencyPredictor) -> LatencyPredictor:
    """With figure 4 of The Framework Tax: its card and host, and what TorchScript and ONNX Runtime differ by there."""
    table = pd.read_csv(PAPER)
    table = table[(table["source"] == "figure 4") & (table["varied"] == "batch_size")]
    found = []
    for (model, dtype), part in table.groupby(["model", "dtype"]):
        sizes = sorted(int(one) for one in part["value"].unique())
        architecture, preset = _IN_PAPER[str(model)]
        workload = architectures.complete(Workload(architecture, {"preset": preset}, dtype=str(dtype)))
        traces = trace_sweep(workload.curve, sizes)
        for one in part.to_dict("records"):
            size = int(one["value"])
            told = {"framework": one["framework"], "dtype": dtype, "model": model, "batch_size": size}
            found.append({**told, "latency_s": one["pipelined_s"], **kernel_row(traces[size], dtype=str(dtype))})
    rows = pd.DataFrame(found).assign(device="nvidia-rtx-8000", host=PAPERS_HOST, threads=1)
    eager = predictor.gpus_["eager"].calibrated(rows[rows["framework"] == "eager"])
    predictor.gpus_["eager"] = eager
    for framework in ("torchscript", "onnxruntime"):
        predictor.gpus_[framework] = eager.of_another(framework, rows[rows["framework"] == framework])
    return predictor


PAPER = Path(__file__).resolve().parent.parent / "datasets" / "paper-rtx8000.csv"
PAPERS_HOST = "framework-tax"
_IN_PAPER = {"ResNet-50": ("resnet", "resnet-50"), "BERT-Base": ("bert", "bert-base")}


@main.command()
@folder_of_tables
@processes
def evaluate(folder: Path, jobs: int) -> None:
    """Leave modules and cards out, and print the errors of their predictions.

    ``known`` machines have seen other modules; of a card left out so many calls (0, 5 of the shortest, 20) were
    measured.
    """
    rows = kernelbench(folder / "gpu" / "kernelbench")
    judged = {}
    for framework, part in rows.groupby("framework"):
        own = part.reset_index(drop=True)
        missed = gpus.left_out(own, jobs=jobs)
        missed = missed.merge(own[_CALL].join(plain_errors(own)), on=_CALL)
        missed["size"] = pd.cut(missed["latency_s"], _SIZES, labels=["below 0.1 ms", "to 1 ms", "above"]).astype(str)
        judged[str(framework)] = missed = missed.assign(covered=covered(missed))
        for by in (["scenario"], ["scenario", "size"], ["scenario", "level"], ["scenario", "device"]):
            shown = dict.fromkeys(by, None) | SHOWN
            title = f"\n{framework}, by {', '.join(by)}"
            _print.table(_print.rows(figures(missed, by)), shown, title=title)
    click.echo(f"\n{_graphs(judged['eager'], judged['inductor-cuda-graphs'])}")


def _graphs(eager: pd.DataFrame, graphs: pd.DataFrame) -> str:
    """How often the faster of two frameworks is named, where they differ by 20 % or more."""
    both = eager.merge(graphs, on=[*_CALL, "scenario"], suffixes=("", "_graph"))
    both = both[(np.log(both["latency_s"] / both["latency_s_graph"])).abs() > np.log(1.2)]
    right = (both["latency_s"] > both["latency_s_graph"]) == (both["predicted_s"] > both["predicted_s_graph"])
    said = [f"{name} {100 * share:.0f} %" for name, share in right.groupby(both["scenario"]).mean().items()]
    return f"the faster of eager and inductor-cuda-graphs, where they are 20 % apart: {', '.join(said)}"


_CALL = ["device", "host", "model"]
_SIZES = [0, 1e-4, 1e-3, np.inf]

CURVES = {
    "figure 4 of the paper": (
        "nvidia-rtx-8000",
        [
            ("ResNet-50", "fp32", "resnet", "resnet-50", None),
            ("ResNet-50", "fp16", "resnet", "resnet-50", None),
            ("BERT-Base", "fp32", "bert", "bert-base", None),
            ("BERT-Base", "fp16", "bert", "bert-base", None),
        ],
    ),
    "AITemplate's eager mode": (
        "nvidia-a100-sxm-40gb",
        [
            ("resnet50", "fp16", "resnet", "resnet-50", 224),
            ("bert-base-uncased", "fp16", "bert", "bert-base", 64),
            ("bert-base-uncased", "fp16", "bert", "bert-base", 128),
            ("bert-base-uncased", "fp16", "bert", "bert-base", 384),
            ("vit_base_patch16_224", "fp16", "vit", "vit-base-patch16", 224),
        ],
    ),
}
"""Published batch sweeps in eager mode: the card, and of each model its precision and what it is here."""


def sweeps(folder: Path, source: str) -> pd.DataFrame:
    """Latencies of a source: ``model``, ``dtype``, ``input_size``, ``batch_size`` and ``latency_s``."""
    if source == "figure 4 of the paper":
        table = pd.read_csv(folder / "paper" / "fig4.csv")
        table = table[(table["framework"] == "PyTorch") & (table["x_name"] == "batch_size")]
        return table.rename(columns={"precision": "dtype", "x": "batch_size"}).assign(input_size=np.nan)
    table = pd.read_csv(folder / "sweeps" / "batch_sweeps.csv")
    return table[(table["source"] == "aitemplate") & table["framework"].str.endswith("eager")]


@main.command()
@folder_of_tables
def curves(folder: Path) -> None:
    """Predict published batch sweeps; the host is told by batch 1 of the first model."""
    predictor = LatencyPredictor.load(PUBLISHED)
    eager = predictor.gpus_["eager"]
    others = tuple(one for one in eager.machines if one.host != PAPERS_HOST)
    predictor.gpus_["eager"] = dataclasses.replace(eager, machines=others)
    for source, (device, models) in CURVES.items():
        table, found, factor = sweeps(folder, source), [], None
        for model, dtype, architecture, preset, size in models:
            own = table[(table["model"] == model) & (table["dtype"] == dtype)]
            own = own[own["input_size"] == size] if size else own
            seconds = own.groupby("batch_size")["latency_s"].median()
            workload = Workload(architecture, {"preset": preset}, input_size=size, dtype=_DTYPES[dtype])
            if factor is None:
                factor = _host_factor(predictor, workload, device, float(seconds.loc[1]))
            batches = [int(one) for one in seconds.index]
            said = predictor.predict(
                workload, batch_sizes=batches, framework="eager", device=device, host_factor=factor
            )
            error = np.abs(said["latency_s"].to_numpy() / seconds.to_numpy() - 1)
            curve = fit_curve(np.array(batches, dtype=float), seconds.to_numpy())
            predicted = float(said["crossover_batch_size"].iloc[0])
            found.append(
                {
                    "model": f"{model} {dtype}" + (f", {size}" if size else ""),
                    "batch sizes": str(len(batches)),
                    "median": float(np.median(error)),
                    "mape": float(error.mean()),
                    "covered": float(seconds.between(*(said[name].to_numpy() for name in ("low_s", "high_s"))).mean()),
                    "crossover": float(curve.crossover_batch_size),
                    "predicted": predicted,
                    "octaves": abs(float(np.log2(max(predicted, 0.5) / curve.crossover_batch_size))),
                }
            )
        shown = {"model": None, "batch sizes": None, **dict.fromkeys(("median", "mape", "covered"), _print.percent)}
        shown |= dict.fromkeys(("crossover", "predicted", "octaves"), _print.number)
        _print.table(found, shown, title=f"\n{source}: {device}, host factor {factor:.2f}")


def _host_factor(predictor: LatencyPredictor, workload: Workload, device: str, latency_s: float) -> float:
    """The host factor at which a workload at batch size 1 takes so long, between 0.1 and 10."""
    trace = trace_sweep(architectures.complete(workload), [1])[1]
    factors = np.geomspace(0.1, 10, 81)
    said = [
        predictor.predict(trace, framework="eager", device=device, host_factor=float(one))["latency_s"].iloc[0]
        for one in factors
    ]
    return float(factors[np.abs(np.log(np.array(said) / latency_s)).argmin()])


_DTYPES = {"fp32": "float32", "fp16": "float16"}


if __name__ == "__main__":
    main()
