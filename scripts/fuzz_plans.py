"""Plans of strangers: the grids of a YAML file, and the sweeps that a device makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from ftax_model.collection.plan import load_plan
from ftax_model.device import Device

DEVICE = Device("fake", "fake", "fake", "fake", 2)
MOST = 2_000  # cells that are listed: what people do with more is wait


def seeds() -> list[bytes]:
    texts = [
        b"name: one\ndescription: two words\norder: given\nframeworks: [eager, fake]\nthreads: [1, 2]\nrepeats: 2\n"
        b"longest_call_s: 2.5\nprotocol: {cell_s: 0.5, min_blocks: 3, energy_s: 0}\nworkloads:\n"
        b"- {architecture: mlp, num_layers: [1, 2], batch_size: [1, 8], input_size: 64}\n"
        b"- {architecture: toy, batch_size: 2, threads: 1}\n",
        b"frameworks: fake\nworkloads:\n- architecture: toy\n  batch_size: {max: 16, tolerance: 0.2}\n",
        b"frameworks: {except: [inductor]}\nworkloads: [{architecture: all, batch_size: 1}]\n",
        b"frameworks: eager\nworkloads: [{architecture: resnet, preset: resnet-18, dtype: [float32, float16]},"
        b" {architecture: bert, lengths: penn-treebank, batch_size: adaptive}]\n",
    ]
    return [*texts, *(json.dumps(yaml.safe_load(text)).encode() for text in texts)]


def dictionary() -> list[bytes]:
    words = "name description order protocol frameworks threads repeats longest_call_s workloads architecture preset"
    more = "batch_size input_size dtype lengths adaptive all except given random max tolerance <<: &a *a !!python [ {"
    return f"{words} {more}".encode().split()


def read(data: bytes, folder: Path) -> None:
    file = folder / "plan.yaml"
    file.write_bytes(data)
    plan = load_plan(file)
    if sum(len(one.workloads) * len(one.frameworks) * len(one.threads) * one.repeats for one in plan.grids) <= MOST:
        for sweep in plan.sweeps(DEVICE, seed=0):
            sweep.next({})
