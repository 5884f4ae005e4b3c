#!/usr/bin/env python3
"""Seven models of no architecture here, measured on this machine by another clock, beside what a predictor says.

    ftax calibrate --without-device amd-epyc-genoa-2core --out here.json.gz
    .venv/bin/python scripts/check_live.py here.json.gz

ELECTRA, RegNet, SegFormer, HuBERT, DINOv2, Qwen2 and the encoder of BART come from transformers, small and with random
weights; `torch.utils.benchmark` times them on one thread, each at several batch sizes in each framework that the
predictor knows. Without a predictor it is this machine's own (``ftax calibrate``). Nothing else should run meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import pandas as pd
import torch
import transformers
from torch.utils import benchmark

from ftax_model.architectures._modules import TensorOutputs
from ftax_model.architectures._torch import set_statistics
from ftax_model.cli import _print
from ftax_model.collection import environment, frameworks
from ftax_model.collection.electra import electra
from ftax_model.device import detect
from ftax_model.errors import FtaxError
from ftax_model.modeling.judging.evaluation import errors
from ftax_model.modeling.predictor import LatencyPredictor

BATCH_SIZES = (1, 4, 16, 32)

Inputs = Callable[[int], dict[str, Any]]


def _tokens(count: int) -> Inputs:
    return lambda size: {"input_ids": torch.randint(2048, (size, count))}


def _pixels(extent: int) -> Inputs:
    return lambda size: {"pixel_values": torch.randn(size, 3, extent, extent)}


def models() -> Iterator[tuple[str, Any, Inputs]]:
    """Each model's name, the module, and what makes its inputs of a batch size."""
    torch.manual_seed(0)
    yield "electra", electra()[0], _tokens(32)
    small = {"num_attention_heads": 4, "num_hidden_layers": 4}
    regnet = transformers.RegNetConfig(
        depths=[1, 2, 4, 2], hidden_sizes=[24, 56, 152, 368], groups_width=8, embedding_size=32, layer_type="y"
    )
    yield "regnet", transformers.RegNetModel(regnet), _pixels(96)
    yield "segformer", transformers.SegformerModel(transformers.SegformerConfig()), _pixels(128)
    hubert = transformers.HubertConfig(hidden_size=192, intermediate_size=768, conv_dim=[128] * 7, **small)
    yield "hubert", transformers.HubertModel(hubert), lambda size: {"input_values": torch.randn(size, 8000)}
    dino = transformers.Dinov2Config(hidden_size=192, num_hidden_layers=6, num_attention_heads=3, image_size=112)
    yield "dinov2", transformers.Dinov2Model(dino), _pixels(112)
    qwen = transformers.Qwen2Config(
        vocab_size=2048, hidden_size=256, intermediate_size=704, num_key_value_heads=2, use_cache=False, **small
    )
    yield "qwen2", transformers.Qwen2Model(qwen), _tokens(32)
    bart = transformers.BartConfig(
        vocab_size=2048,
        d_model=256,
        encoder_layers=4,
        encoder_ffn_dim=1024,
        encoder_attention_heads=4,
        decoder_layers=1,
    )
    yield "bart-encoder", transformers.BartModel(bart).get_encoder(), _tokens(64)


def measure(module: Any, inputs: dict[str, Any], framework: str, *, least_s: float) -> float | None:
    """Median seconds of one call on one thread; ``None`` where the framework does not run the module."""
    own, device = frameworks.load(framework), detect("cpu")
    with environment.settled(threads=1, device=device, seed=0, modules=("torch",)), own.mode():
        try:
            call = own.prepare(module, inputs, device)
            call()
        except Exception as error:
            click.echo(f"note: {framework} does not run it: {str(error).splitlines()[0]}", err=True)
            return None
        timer = benchmark.Timer("call()", globals={"call": call}, num_threads=1)
        return float(timer.blocked_autorange(min_run_time=least_s).median)


def judge(predictor: LatencyPredictor, *, least_s: float) -> pd.DataFrame:
    """One row for each model, framework and batch size: seconds measured, predicted, and the interval."""
    names = sorted({fit.platform.framework for fit in predictor.fits_} - {"inductor"})
    found = []
    for name, bare, inputs in models():
        module = (bare if isinstance(bare, TensorOutputs) else TensorOutputs(bare)).eval()
        set_statistics(module, inputs)
        said = predictor.predict(module, inputs(1), batch_sizes=BATCH_SIZES, threads=1, crossovers=False)
        for row in said[said["framework"].isin(names)].to_dict("records"):
            seconds = measure(module, inputs(row["batch_size"]), row["framework"], least_s=least_s)
            if seconds is not None:
                kept = {key: row[key] for key in ("framework", "batch_size", "regime", "low_s", "high_s")}
                found.append({"model": name, **kept, "measured_s": seconds, "predicted_s": row["latency_s"]})
    return pd.DataFrame(found)


def summary(judged: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    """Error figures by a column."""
    found = []
    for value, part in judged.groupby(by):
        covered = float(part["measured_s"].between(part["low_s"], part["high_s"]).mean())
        found.append({by: value, **errors(part["predicted_s"], part["measured_s"]), "covered": covered})
    return found


@click.command()
@click.argument("model", required=False)
@click.option("--seconds", "least_s", default=0.3, show_default=True, help="Shortest time to measure each for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(model: str | None, least_s: float, as_json: bool) -> None:
    try:
        judged = judge(LatencyPredictor.load(model), least_s=least_s)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if as_json:
        _print.as_json(_print.records(judged))
        return
    shares = dict.fromkeys(("median", "mape", "bias", "covered"), _print.percent)
    for by in ("framework", "model", "regime"):
        _print.table(summary(judged, by), {by: None, "n": _print.number, **shares, "worst": _print.number})
        click.echo()


if __name__ == "__main__":
    main()
