"""Learn what GPUs take from published measurements, or judge how well that holds.

    .venv/bin/python scripts/published_gpus.py build DIR
    .venv/bin/python scripts/published_gpus.py judge
    .venv/bin/python scripts/published_gpus.py evaluate DIR
    .venv/bin/python scripts/published_gpus.py curves DIR
    .venv/bin/python scripts/published_gpus.py own nvidia-h200

DIR holds ``gpu/kernelbench/times.csv.gz`` and ``traces.jsonl.gz``: ScalingIntelligence/KernelBench (MIT), 200 modules
in single precision on eight kinds of GPU, eager and compiled; and ``gpu/tensorrt_bert/tensorrt_bert.csv.gz``: NVIDIA's
tables of BERT in TensorRT (Apache-2.0), six GPUs in half precision. Nothing of them is copied: what is written are
costs, trees and errors. ``curves`` looks at batch sweeps of the paper and of AITemplate (Apache-2.0), of which nothing
was learnt, and at those of TensorRT on cards left out. ``build`` refuses a predictor whose intervals hold less of the
datasets of GPUs that the project measured than they say, or than those of the one before (``judge`` writes these
figures alone). ``own`` looks at a dataset of a GPU that the project measured,
of which nothing was learnt either, and at what calibrating on its other families brings.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from ftax_model import LatencyPredictor, architectures
from ftax_model.cli import _print
from ftax_model.dataset import by_name, good, load_dataset
from ftax_model.device import Rates, named
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.kernels import Calls
from ftax_model.modeling.estimators.regime import fit_curve
from ftax_model.modeling.judging import coverage
from ftax_model.modeling.judging.intervals import kinds
from ftax_model.modeling.platforms import gpus
from ftax_model.modeling.platforms.known import design, law
from ftax_model.modeling.platforms.platform import parts
from ftax_model.modeling.predictor import PUBLISHED
from ftax_model.modeling.rows import folds, kernel_row, with_kernels
from ftax_model.operators import Trace
from ftax_model.tracing import trace_sweep
from ftax_model.tracing.kernels import Kernels
from ftax_model.workload import Workload

SOURCE = "of GPUs measured by others (KernelBench, The Framework Tax)"
GRAPHS = (
    "of GPUs measured by others (KernelBench, in a backend of torch.compile: a plain replay costs the host far less)"
)
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
        plain = {name: float(part[name].abs().median()) for name in PLAIN}
        inside = float(part["covered"].mean())
        found.append({**dict(zip(by, key, strict=True)), **_errors(part["ratio"]), "covered": inside, **plain})
    return pd.DataFrame(found)


def _errors(ratio: pd.Series[float]) -> dict[str, float]:
    """Errors of predictions, given the logarithms of what was measured over them."""
    error = np.expm1(-ratio).abs()
    return {
        "rows": float(len(ratio)),
        "median": float(error.median()),
        "mape": float(error.mean()),
        "within 25": float((error < 0.25).mean()),
        "worst": float(np.exp(ratio.abs().max())),
    }


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


PLAIN = ("by law", "by roofline", "by torch", "by lookup")
"""Errors that stand beside, of what needs no learning or all of it (`plain_errors`)."""


def plain_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Relative errors of plain predictions of the rows of one framework.

    Of the law, fitted to the other modules of each machine; of the roofline, summed over kernels; of the cost model in
    torch's own ``RuntimeEstimator``, with peaks from device files (it takes 0.75 of the peak in operations for MACs,
    and asks CUDA for the rest); and, where a card was measured under several hosts, of looking the module up on the
    same card under the others, times the ratio of the hosts over all other modules.
    """
    found = pd.DataFrame(np.nan, index=rows.index, columns=list(PLAIN))
    for (device, host), part in rows.groupby(["device", "host"]):
        can = gpus.needed(Platform("eager", str(device), "float32", 1))
        calls = Calls.of(list(part["kernels"]), [can] * len(part))
        measured = part["latency_s"].to_numpy()
        found.loc[part.index, "by roofline"] = calls.sums(calls.count * calls.roofline_s) / measured - 1
        found.loc[part.index, "by torch"] = [_as_torch(own, can) for own in part["kernels"]] / measured - 1
        others = rows[(rows["device"] == device) & (rows["host"] != host)].groupby("model")["latency_s"].median()
        ratio = np.log(part["latency_s"] / part["model"].map(others))
        if ratio.notna().sum() > 1:
            factor = [np.exp(ratio.drop(at).median()) for at in part.index]
            found.loc[part.index, "by lookup"] = part["model"].map(others) * factor / measured - 1
        for train, test in folds(part["model"], most=3):
            own = law(part).fit(design(part.iloc[train]), measured[train])
            found.loc[part.index[test], "by law"] = own.predict(design(part.iloc[test])) / measured[test] - 1
    return found


SHOWN = {
    "rows": _print.number,
    **dict.fromkeys(("median", "mape", "within 25"), _print.percent),
    "worst": _print.number,
}
SHOWN |= dict.fromkeys(("covered", *PLAIN), _print.percent)


def _as_torch(kernels: Kernels, can: Rates) -> float:
    """Seconds by the roofline of ``torch.distributed._tools.RuntimeEstimator``."""
    work_s, memory_s = kernels["macs"] / (0.75 * 2 * can.macs), kernels["bytes"] / can.bandwidth
    return float((kernels.count * np.maximum(work_s, memory_s)).sum())


@click.group()
def main() -> None:
    """Learn what GPUs take from published measurements, or judge how well that holds."""


folder_of_tables = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
processes = click.option("--jobs", default=-1, help="Processes; -1 for one a core.")


@main.command()
@folder_of_tables
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=False, help="File to write.")
@click.option("--accept", default="", metavar="REASON", help="Write it in any case, and the reason with its figures.")
@processes
def build(folder: Path, out: Path, accept: str, jobs: int) -> None:
    """Fit the predictor that ships with the package, unless its intervals hold less than they say, or than before."""
    rows = kernelbench(folder / "gpu" / "kernelbench")
    predictor = LatencyPredictor(jobs=jobs).learn_gpus(rows, source=SOURCE, sample=sample())
    known = with_the_paper(predictor).gpus_["cuda-graphs"]
    predictor.gpus_["tensorrt"] = known.of_another("tensorrt", tensorrt(folder), TENSORRT)
    predictor.gpus_["cuda-graphs"] = dataclasses.replace(known, source=GRAPHS)
    found = held(predictor)
    why = coverage.refusal(coverage.judged(found, out.parent, PUBLISHED), PUBLISHED)
    if why and not accept:
        click.echo(f"{why}; mend it, or --accept REASON", err=True)
        sys.exit(1)
    predictor.save(out)
    coverage.write(found, out.parent, PUBLISHED, note=accept)
    click.echo(f"{len(rows)} rows, {len(found)} figures of coverage; {out}")


@main.command()
def judge() -> None:
    """Write figures of coverage of the predictor that ships; it stays as it is."""
    click.echo(coverage.write(held(LatencyPredictor.load(PUBLISHED)), OUT.parent, PUBLISHED))


def held(predictor: LatencyPredictor) -> pd.DataFrame:
    """Figures of coverage on the GPUs that the project measured, of which nothing was learnt."""
    return coverage.figures(coverage.of_gpus(predictor, pd.concat([good(load_dataset(name)) for name in MEASURED])))


MEASURED = ("nvidia-h200",)
"""Datasets of GPUs that the project measured."""


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


def tensorrt(folder: Path) -> pd.DataFrame:
    """NVIDIA's sweeps of BERT in half precision, the newest of each cell, with kernels."""
    table = pd.read_csv(folder / "gpu" / "tensorrt_bert" / "tensorrt_bert.csv.gz", dtype={"tensorrt": str})
    table = table[~((table["gpu"] == "A30") & table["tensorrt"].str.startswith("10.11"))]  # holds another card's
    table = table.assign(model=table["model"].str.lower()).dropna(subset=["mean_ms"])
    table = table[(table["precision"] == "FP16") & table["model"].isin(_OF_NVIDIA)].sort_values("date")
    table = table.groupby(["gpu", "model", "sequence_length", "batch_size"], as_index=False).last()
    found = []
    for (model, tokens), part in table.groupby(["model", "sequence_length"]):
        workload = Workload("bert", {"preset": _OF_NVIDIA[str(model)]}, input_size=int(tokens), dtype="float16")
        traces = trace_sweep(architectures.complete(workload), [int(one) for one in part["batch_size"].unique()])
        for one in part.to_dict("records"):
            size = int(one["batch_size"])
            own = {"device": _CARDS[one["gpu"]], "model": f"{model} {tokens}", "batch_size": size}
            found.append({**own, "latency_s": one["mean_ms"] / 1e3, **kernel_row(traces[size], dtype="float16")})
    return pd.DataFrame(found).assign(framework="tensorrt", host="nvidia", dtype="float16", threads=1)


TENSORRT = "of GPUs measured by others (NVIDIA's tables of BERT in TensorRT)"
_OF_NVIDIA = {"bert base": "bert-base", "bert large": "bert-large"}
_CARDS = {
    "A100 (40GB)": "nvidia-a100-sxm-40gb",
    "A30": "nvidia-a30",
    "L4": "nvidia-l4",
    "L40S": "nvidia-l40s",
    "T4 (16GB)": "nvidia-t4",
    "V100 (16GB)": "nvidia-v100",
}

PAPER = Path(__file__).resolve().parent.parent / "datasets" / "paper-rtx8000.csv"
PAPERS_HOST = "framework-tax"
_IN_PAPER = {"ResNet-50": ("resnet", "resnet-50"), "BERT-Base": ("bert", "bert-base")}


@main.command()
@folder_of_tables
@processes
def evaluate(folder: Path, jobs: int) -> None:
    """Leave modules and cards out, and print the errors of their predictions.

    ``known`` machines have seen other modules; a ``host`` is left out of a card that was measured under others; of a
    card left out so many calls (0, 5 of the shortest, 20) were measured. A ``framework`` is left out but for 20 calls
    on one machine, in eager mode there are all.
    """
    rows = kernelbench(folder / "gpu" / "kernelbench")
    judged = {}
    for framework, part in rows.groupby("framework"):
        own = part.reset_index(drop=True)
        missed = gpus.left_out(own, jobs=jobs)
        missed = missed.merge(own[_CALL].join(plain_errors(own)), on=_CALL)
        missed["size"] = pd.cut(missed["latency_s"], _SIZES, labels=["below 0.1 ms", "to 1 ms", "above"]).astype(str)
        judged[str(framework)] = missed = missed.assign(covered=covered(missed))
        for by in (["scenario"], *(["scenario", name] for name in ("size", "level", "regime", "device"))):
            shown = dict.fromkeys(by, None) | SHOWN
            title = f"\n{framework}, by {', '.join(by)}"
            _print.table(by_name(figures(missed, by)), shown, title=title)
    found = [one for name in judged if name != "eager" for one in _unseen(rows, name)]
    shown = {"framework": None, "machines": None} | {name: SHOWN[name] for name in ("rows", "median", "mape", "worst")}
    _print.table(found, shown, title="\nframeworks left out, 20 calls of each on one machine")
    click.echo(f"\n{_graphs(judged['eager'], judged['inductor-cuda-graphs'])}")


def _unseen(rows: pd.DataFrame, framework: str) -> list[dict[str, Any]]:
    """Errors of a framework of which 20 calls on one machine were measured, where eager mode is known on all."""
    own, eager = rows[rows["framework"] == framework], rows[rows["framework"] == "eager"]
    device, host = own.groupby(["device", "host"]).size().idxmax()
    ratios: dict[str, list[pd.Series[float]]] = {"the one": [], "others": []}
    for train, test in folds(own["model"], most=5):
        unseen = own.iloc[test]
        (known,) = gpus.learn(eager[~eager["model"].isin(unseen["model"])], judged=False)
        here = own.iloc[train]
        here = here[(here["device"] == device) & (here["host"] == host)]
        found = known.of_another(framework, here.sample(min(20, len(here)), random_state=1))
        for (card, under), part in unseen.groupby(["device", "host"]):
            at_home = (card, under) == (device, host)
            begin = found.begin(str(card), str(under) if at_home else None)
            said = parts(found.model(begin, gpus.needed(Platform(framework, str(card), "float32", 1))), part)
            ratios["the one" if at_home else "others"].append(np.log(part["latency_s"] / said["latency_s"]))
    return [
        {"framework": framework, "machines": name, **_errors(ratio)}
        for name, ratio in ((name, pd.concat(own)) for name, own in ratios.items() if own)
    ]


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
            name = f"{model} {dtype}" + (f", {size}" if size else "")
            found.append({"model": name, **_of_sweep(seconds, said)})
        _print.table(found, {"model": None} | OF_SWEEP, title=f"\n{source}: {device}, host factor {factor:.2f}")
    _tensorrt_curves(predictor, tensorrt(folder))


def _tensorrt_curves(predictor: LatencyPredictor, rows: pd.DataFrame) -> None:
    """Predict the sweeps of each card from those of the others."""
    found = []
    for device, own in rows.groupby("device"):
        others = rows[rows["device"] != device]
        predictor.gpus_["tensorrt"] = predictor.gpus_["cuda-graphs"].of_another("tensorrt", others, TENSORRT)
        for model, part in own.groupby("model"):
            size, _, tokens = str(model).rpartition(" ")
            workload = Workload("bert", {"preset": _OF_NVIDIA[size]}, input_size=int(tokens), dtype="float16")
            seconds = part.groupby("batch_size")["latency_s"].median()
            batches = [int(one) for one in seconds.index]
            said = predictor.predict(workload, batch_sizes=batches, framework="tensorrt", device=str(device))
            found.append({"device": device, "model": model, **_of_sweep(seconds, said)})
    _print.table(found, {"device": None, "model": None} | OF_SWEEP, title="\nTensorRT, cards left out")
    middle = {name: float(np.nanmedian([one[name] for one in found])) for name in ("median", "mape", "octaves")}
    click.echo(
        f"median {100 * middle['median']:.1f} %, MAPE {100 * middle['mape']:.1f} %, {middle['octaves']:.2f} octaves"
    )


@main.command()
@click.argument("dataset")
def own(dataset: str) -> None:
    """Predict a dataset of a GPU that nothing was learnt from, and again calibrated on its other families."""
    rows = with_kernels(load_dataset(dataset).assign(host="here"))
    predictor = LatencyPredictor.load(PUBLISHED)
    found = []
    for framework, part in rows.groupby("framework"):
        if str(framework) not in predictor.gpus_:
            click.echo(f"{framework}: not known on any GPU, {len(part)} rows")
            continue
        ways = [("as shipped", _predictions(predictor, part))]
        if part["architecture"].nunique() > 2:
            left_out = []
            for train, test in folds(part["architecture"], most=10):
                calibrated = predictor.calibrate(part.iloc[train])
                left_out.append(_predictions(calibrated, part.iloc[test], host="here"))
            ways.append(("calibrated on other families", pd.concat(left_out)))
        for way, said in ways:
            for of, own_rows in [*said.groupby("dtype"), *said.groupby("regime"), ("all", said)]:
                about = {"framework": framework, "way": way, "of": of}
                inside = own_rows["latency_s"].between(own_rows["low_s"], own_rows["high_s"])
                found.append({**about, **_errors(own_rows["ratio"]), "covered": float(inside.mean())})
    shown = dict.fromkeys(("framework", "way", "of")) | {name: SHOWN[name] for name in list(SHOWN)[:6]}
    _print.table(found, shown, title=f"{dataset}, of which nothing was learnt")


def _predictions(predictor: LatencyPredictor, rows: pd.DataFrame, host: str | None = None) -> pd.DataFrame:
    """What a predictor says of rows (`coverage.said`), with ``ratio``, the logarithm of measured over predicted."""
    said = coverage.said(predictor, rows, host)
    return said.assign(ratio=np.log(said["latency_s"] / said["predicted_s"]))


OF_SWEEP = {"batch sizes": None, **dict.fromkeys(("median", "mape", "covered"), _print.percent)}
OF_SWEEP |= dict.fromkeys(("crossover", "predicted", "octaves"), _print.number)


def _of_sweep(seconds: pd.Series[float], said: pd.DataFrame) -> dict[str, Any]:
    """Errors of the predictions of one measured sweep, whose index are batch sizes."""
    error = np.abs(said["latency_s"].to_numpy() / seconds.to_numpy() - 1)
    curve = fit_curve(seconds.index.to_numpy(float), seconds.to_numpy())
    predicted = float(said["crossover_batch_size"].iloc[0])
    return {
        "batch sizes": str(len(seconds)),
        "median": float(np.median(error)),
        "mape": float(error.mean()),
        "covered": float(seconds.between(*(said[name].to_numpy() for name in ("low_s", "high_s"))).mean()),
        "crossover": float(curve.crossover_batch_size),
        "predicted": predicted,
        "octaves": abs(float(np.log2(max(predicted, 0.5) / max(curve.crossover_batch_size, 0.5)))),
    }


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
