"""The paper's own figures and tables as rows, from what is transcribed in ``datasets/paper-*.csv``."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from ftax_model import architectures, dataset
from ftax_model.workload import Workload

NAME = "paper-rtx8000"
"""The name of the transcribed paper, wherever a dataset is judged."""

UTILISATION = "paper-utilisation"

MODELS = {
    "BERT-Base": ("bert", "bert-base"),
    "ResNet-50": ("resnet", "resnet-50"),
    "DistilBERT": ("distilbert", "distilbert-base"),
    "Funnel Transformer": ("funnel", "funnel-small"),
    "ALBERT": ("albert", "albert-base"),
    "MobileBERT": ("mobilebert", "mobilebert"),
    "SqueezeBERT": ("squeezebert", "squeezebert"),
}
"""Architecture and published size of the models that the paper names."""

PANEL_5_BATCH = 128
"""Batch size of the last panel of figure 4, which the paper does not state; its last point is as panel 4 at 128."""


def frame() -> pd.DataFrame:
    """The transcribed measurements, as `ftax_model.dataset.frame` gives those of a dataset.

    Besides there are ``setup`` (the figure or table: setups are not compared, for the batch-1 latency of the very same
    model differs by half between them) and ``busy`` (share of SMs active, table 3). ``latency_s`` is the clock of the
    paper, which synchronises around all calls together. What the paper does not state is ``unstated``; the 128 tokens
    of figure 4's last panel are a second look at the cells of batch 128.
    """
    table = pd.read_csv(dataset.folder() / f"{NAME}.csv")
    busy = pd.read_csv(dataset.folder() / f"{UTILISATION}.csv").set_index("framework")["sms_active_pct"] / 100
    kernels = table[table["series"] == "kernels"].set_index("value")["pipelined_s"]
    rows: list[dict[str, Any]] = []
    for row in dataset.by_name(table[table["series"] == "total"]):
        workload = _workload(row)
        of_figure_3 = row["source"] == "figure 3"
        device_s = float(kernels[row["value"]]) if of_figure_3 else math.nan
        rows.append(
            {
                "key": f"{row['source']}/{len(rows)}",
                "architecture": workload.architecture,
                "family": architectures.load(workload.architecture).family,
                "model": architectures.label(workload.model),
                "curve": architectures.label(workload.curve),
                "hyperparameters": json.dumps(workload.settings, sort_keys=True),
                "batch_size": workload.batch_size,
                "input_size": workload.input_size,
                "lengths": workload.lengths,
                "framework": row["framework"],
                "device": row["device"],
                "dtype": row["dtype"],
                "threads": 1,
                "repeat": int(row["varied"] == "sequence_length"),
                "latency_s": row["pipelined_s"],
                "host_s": row["pipelined_s"] - device_s,
                "device_s": device_s,
                "macs": row["value"] if row["varied"] == "macs" else math.nan,
                "depth": math.nan,
                "n_ops": math.nan,
                "status": "ok",
                "setup": row["source"],
                "busy": float(busy[row["framework"]]) if row["source"] == "table 3" else math.nan,
            }
        )
    return pd.DataFrame(rows)


def _workload(row: dict[str, Any]) -> Workload:
    varied, value, sizes = str(row["varied"]), float(row["value"]), {}
    if row["model"] in MODELS:
        architecture, preset = MODELS[row["model"]]
        settings: dict[str, Any] = {"preset": preset}
    else:  # BERT hidden_size=1536 intermediate_size=6144 sequence_length=128
        architecture = "bert"
        settings = {name: int(given) for name, given in (word.split("=") for word in row["model"].split()[1:])}
        sizes["input_size"] = settings.pop("sequence_length")
        settings["num_heads"] = settings["hidden_size"] // 64
    if varied == "batch_size":
        sizes["batch_size"] = int(value)
    if varied == "sequence_length":
        sizes |= {"batch_size": PANEL_5_BATCH, "input_size": int(value)}
    return architectures.complete(Workload(architecture, settings, **sizes))
