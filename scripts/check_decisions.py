#!/usr/bin/env python
"""Twenty models: was the framework named best the best, and does the batch chosen for a latency keep it?

    .venv/bin/python scripts/check_decisions.py --without-device amd-epyc-genoa-2core --calibration mine.jsonl

Fourteen are of the zoo, in sizes that no plan measures; six are configurations of transformers that no architecture
here builds. Each is measured on one thread in every framework that is installed, at batch sizes 1 and 8
(`ftax_model.collection.runner.measure`), and decided by one predictor after the other: the one that ships,
that without this device (a new machine) and, with a file of measurements (``ftax calibrate --measured``), the latter
calibrated with them.

Best: the framework that is predicted to be the fastest is the fastest measured, or within 5 % of it; ``regret`` is how
much longer than the fastest it takes. Latency to keep: three times what eager mode took at batch size 1; the largest
batch size that the best framework keeps it with, at 90 % confidence, is measured as well. Nothing else should run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

from ftax_model.advice.decision import BEST, TIE, judged, within
from ftax_model.advice.place import Place
from ftax_model.cli import _print
from ftax_model.collection import frameworks, runner
from ftax_model.dataset import load_dataset
from ftax_model.device import detect
from ftax_model.errors import FtaxError
from ftax_model.measurement import Measurement
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.tracing import sources
from ftax_model.tracing.sources import Source
from ftax_model.workload import Workload

FRAMEWORKS = ("eager", "torchscript", "onnxruntime", "openvino", "inductor")
SIZES = (1, 8)
NEAR = 1.05
"""Times the fastest up to which a framework is as good as the best."""
TIMES = 3
"""Times eager mode at batch size 1 that are the latency to keep."""

ZOO: tuple[tuple[str, dict[str, Any], int | None], ...] = (
    ("bert", {"num_layers": 5, "hidden_size": 320, "num_heads": 5, "intermediate_size": 1280, "vocab_size": 8000}, 24),
    ("distilbert", {"num_layers": 3, "hidden_size": 384, "num_heads": 6, "intermediate_size": 1536}, 48),
    ("albert", {"num_layers": 5, "hidden_size": 320, "num_heads": 5, "intermediate_size": 1280}, 24),
    ("gpt2", {"num_layers": 3, "hidden_size": 320, "num_heads": 5, "vocab_size": 8000}, 24),
    ("squeezebert", {"num_layers": 3, "hidden_size": 384, "num_heads": 6, "intermediate_size": 1536}, 24),
    ("mobilebert", {"num_layers": 6}, 24),
    ("fnet", {"num_layers": 5, "hidden_size": 320, "intermediate_size": 1280}, 48),
    ("t5-encoder", {"num_layers": 3}, 24),
    ("vit", {"num_layers": 5, "hidden_size": 240, "num_heads": 5, "intermediate_size": 960}, 160),
    ("resnet", {"preset": "resnet-18"}, 112),
    ("mobilenet-v2", {"preset": "mobilenet-v2-0.75"}, 128),
    ("efficientnet", {"preset": "efficientnet-b0"}, 112),
    ("convnext", {"depths": (1, 1, 3, 1), "widths": (48, 96, 192, 384)}, 96),
    ("lstm", {"num_layers": 2, "hidden_size": 192}, None),
)
"""Architecture, hyperparameters and input size."""

CONFIGURATIONS: tuple[dict[str, Any], ...] = (
    {"model_type": "electra", "vocab_size": 4000, "embedding_size": 96, "hidden_size": 240, "num_hidden_layers": 5,
     "num_attention_heads": 4, "intermediate_size": 960},
    {"model_type": "xlnet", "vocab_size": 4000, "d_model": 256, "n_layer": 3, "n_head": 4, "d_inner": 1024},
    {"model_type": "segformer"},
    {"model_type": "mpnet", "vocab_size": 4000, "hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4,
     "intermediate_size": 768},
    {"model_type": "dinov2", "hidden_size": 192, "num_hidden_layers": 5, "num_attention_heads": 3, "image_size": 112},
    {"model_type": "qwen2", "vocab_size": 4000, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 3,
     "num_attention_heads": 4, "num_key_value_heads": 2},
)  # fmt: skip
"""What ``config.json`` holds."""


def models(folder: Path, only: Sequence[str]) -> Iterator[Source]:
    """The models, those of configurations from files in a folder."""
    for architecture, settings, size in ZOO:
        if not only or architecture in only:
            yield sources.of_workload(Workload(architecture, settings, input_size=size))
    for config in CONFIGURATIONS:
        if not only or config["model_type"] in only:
            path = folder / config["model_type"] / "config.json"
            path.parent.mkdir()
            path.write_text(json.dumps(config), encoding="utf-8")
            tokens = 24 if "vocab_size" in config else None
            yield sources.of_place("hf", str(path), tokens=tokens)


def measured(source: Source, names: Sequence[str], sizes: Sequence[int]) -> dict[tuple[str, int], float]:
    """Seconds by framework and batch size, of those that run."""
    assert source.workload is not None
    curve = source.workload()
    found: list[Measurement] = runner.measure([curve.with_batch_size(size) for size in sizes], names)
    for one in found:
        if one.status != "ok":
            click.echo(f"{source.label}, {one.cell.framework}: {one.status}: {one.reason[:120]}", err=True)
    good = [one for one in found if one.status == "ok"]
    return {(one.cell.framework, one.cell.workload.batch_size): float(one.latency_s or 0) for one in good}


def decided(
    predictor: LatencyPredictor, source: Source, place: Place, seen: dict[tuple[str, int], float]
) -> Iterator[dict[str, Any]]:
    """At each batch size the framework that is named best, beside the fastest that was measured."""
    said = judged(predictor.predict(source, batch_sizes=SIZES, crossovers=False, **place.asked))
    for size in SIZES:
        truth = {name: seconds for (name, at), seconds in seen.items() if at == size}
        rows = said[(said["batch_size"] == size) & said["framework"].isin(list(truth))]
        if len(truth) < 2 or rows.empty:
            continue
        rows = judged(rows.drop(columns=["standing", "throughput"]).reset_index(drop=True))
        (named,) = rows.loc[rows["standing"] == BEST, "framework"]
        tied = set(rows.loc[rows["standing"] == TIE, "framework"]) | {named}
        fastest = min(truth, key=lambda name: truth[name])
        inside = [row["low_s"] <= truth[row["framework"]] <= row["high_s"] for row in rows.to_dict("records")]
        errors = [abs(row["latency_s"] / truth[row["framework"]] - 1) for row in rows.to_dict("records")]
        yield {
            "model": source.label,
            "batch": size,
            "named": named,
            "fastest": fastest,
            "regret": truth[named] / truth[fastest] - 1,
            "right": truth[named] <= NEAR * truth[fastest],
            "tied": len(tied) > 1,
            "in tie": fastest in tied,
            "inside": sum(inside),
            "of": len(inside),
            "error": float(pd.Series(errors).median()),
        }


def chosen(
    predictor: LatencyPredictor, source: Source, place: Place, names: Sequence[str], slo_s: float
) -> dict[str, Any] | None:
    """The framework and batch size of the highest throughput that keeps a latency; ``None`` where none does."""
    kept = within(predictor, source, place, slo_s=slo_s, confidence=0.9)
    kept = kept[kept["inside"] & kept["framework"].isin(list(names))]
    if kept.empty:
        return None
    best = kept.sort_values("throughput").iloc[-1]
    return {"framework": str(best["framework"]), "batch": int(best["batch_size"]), "slo_s": slo_s}


@click.command()
@click.option("--without-device", "without", help="Judge the predictor without this device, too.")
@click.option("--calibration", type=click.Path(exists=True), help="Measurements that calibrate that one.")
@click.option("--only", multiple=True, help="Only this model; can be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(without: str | None, calibration: str | None, only: tuple[str, ...], as_json: bool) -> None:
    try:
        predictors = {"shipped": LatencyPredictor.load(SHIPPED)}
        if without:
            predictors["new machine"] = predictors["shipped"].without(without)
        if without and calibration:
            predictors["calibrated"] = predictors["new machine"].calibrate(load_dataset(calibration))
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    names = [name for name in FRAMEWORKS if name in frameworks.installed()]
    place = Place(detect("cpu").name, 1)
    decisions: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in models(Path(folder), only):
            click.echo(source.label, err=True)
            seen = measured(source, names, SIZES)
            if ("eager", 1) not in seen:
                continue
            run = sorted({name for name, _ in seen})
            for which, predictor in predictors.items():
                decisions += [{"predictor": which, **one} for one in decided(predictor, source, place, seen)]
                answer = chosen(predictor, source, place, run, TIMES * seen["eager", 1])
                if answer is None:
                    kept.append({"predictor": which, "model": source.label, "framework": "none"})
                    continue
                key = answer["framework"], answer["batch"]
                if key not in seen:
                    seen |= measured(source, [key[0]], [key[1]])
                if key in seen:
                    took = {"took_s": seen[key], "kept": seen[key] <= answer["slo_s"]}
                    kept.append({"predictor": which, "model": source.label, **answer, **took})
    if as_json:
        _print.as_json({"decisions": decisions, "kept": kept})
        return
    _show(pd.DataFrame(decisions), pd.DataFrame(kept))


def _show(decisions: pd.DataFrame, kept: pd.DataFrame) -> None:
    lines = [
        {
            "predictor": which,
            "decisions": str(len(part)),
            "right": _print.percent(float(part["right"].mean())),
            "worst regret": _print.percent(float(part["regret"].max())),
            "mean regret": _print.percent(float(part["regret"].mean())),
            "no tie, right": f"{int(part.loc[~part['tied'], 'right'].sum())} of {int((~part['tied']).sum())}",
            "in tie": _print.percent(float(part["in tie"].mean())),
            "median error": _print.percent(float(part["error"].median())),
            "in interval": f"{part['inside'].sum()} of {part['of'].sum()}",
        }
        for which, part in decisions.groupby("predictor", sort=False)
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title="Best framework")
    lines = [
        {
            "predictor": which,
            "chosen": str(int(part["kept"].notna().sum())),
            "kept": str(int(part["kept"].fillna(False).sum())),
            "median of what was used": _print.percent(float((part["took_s"] / part["slo_s"]).median())),
            "worst": _print.percent(float((part["took_s"] / part["slo_s"]).max())),
        }
        for which, part in kept.groupby("predictor", sort=False)
    ]
    _print.table(lines, dict.fromkeys(lines[0]), title="\nLatency kept")
    first = decisions[decisions["predictor"] == decisions["predictor"].iloc[-1]]
    shown = [
        {
            "model": row["model"],
            "batch": str(row["batch"]),
            "named": row["named"],
            "fastest": row["fastest"],
            "regret": _print.percent(row["regret"]),
            "tied": "yes" if row["tied"] else "",
            "median error": _print.percent(row["error"]),
        }
        for row in first.to_dict("records")
    ]
    _print.table(shown, dict.fromkeys(shown[0]), title=f"\n{decisions['predictor'].iloc[-1]}")


if __name__ == "__main__":
    main()
