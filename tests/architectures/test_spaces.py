"""Search spaces against what was published: figures of papers, and the networks of HELP where they are at hand."""

import os
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftax_model import architectures
from ftax_model.architectures import fbnet, nasbench201
from ftax_model.errors import InputError
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload

SHARED = Path(os.environ.get("FTAX_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
HELP = SHARED / "help" / "help.parquet"

needs_help = pytest.mark.skipif(not HELP.is_file(), reason=f"no table of HELP in {HELP.parent}")

COUNTS = ["macs", "params", "convolutions", "n_ops"]
CIFAR = {"strides": (1, 1, 1, 2, 2, 1, 2, 1), "head_channels": 1504, "num_classes": 100}

FBNET = {
    2: (
        *("k3_e1_g2", "k5_e1_g2", "k5_e3", "k5_e1", "k3_e1_g2", "skip", "k3_e1", "k3_e3", "skip", "k3_e1", "k5_e1"),
        *("k3_e1_g2", "k3_e1_g2", "k5_e6", "k5_e1_g2", "k3_e1_g2", "k3_e3", "skip", "k5_e6", "k5_e3", "k5_e1_g2"),
        "k3_e1",
    ),
}
"""Blocks that have all figures of a row of HELP. The table does not tell those that it was measured of."""

OFA = {
    81: ((2, 2, 4, 3, 2), "73377557573755537735", "34463666633444666633"),
    1495: ((4, 2, 2, 4, 2), "77373735333755573557", "64643334444443444344"),
    1655: ((3, 4, 2, 4, 2), "33777377333755577775", "46364464666446333664"),
}
"""The same: depths, kernel sizes and expand ratios, on images of 224 pixels."""

HAT = {
    # Millions of parameters without embeddings, and GFLOPs without the last layer, as the paper prints them.
    "hat-wmt14-en-de-raspberrypi-3.5s": (25.22, 1.53),
    "hat-wmt14-en-de-raspberrypi-6.0s": (44.13, 2.70),
    "hat-wmt14-en-de-raspberrypi-6.9s": (48.33, 3.02),
}


def traced(name: str, hyperparameters, **own):
    return trace_workload(Workload(name, hyperparameters, **own))


def convolutions(trace) -> list:
    return [operator for operator in trace.operators if operator.kind == "convolution"]


def counts(trace) -> np.ndarray:
    found = trace.features()
    return np.array([found["macs"], found["params"], len(convolutions(trace)), found["n_ops"]])


@pytest.fixture(scope="module")
def networks():
    """Rows of HELP by space, one for each network."""
    table = pd.read_parquet(HELP).drop_duplicates(["space", "arch_id"])
    table = table.rename(columns={"n_conv_layers": "convolutions"}).set_index("arch_id")
    return {space: rows[[*COUNTS, "activations"]] for space, rows in table.groupby("space")}


def test_cells_have_the_numbers_that_the_authors_assert():
    """The three that their script checks after shuffling."""
    assert nasbench201.cell(0) == nasbench201.from_text(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert nasbench201.cell(9) == nasbench201.from_text(
        "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    )
    assert nasbench201.cell(123) == nasbench201.from_text(
        "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )
    for index in (-1, 15_625):
        with pytest.raises(InputError, match="15624"):
            nasbench201.cell(index)


def test_a_cell_is_taken_in_the_published_form():
    text = "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    full = architectures.complete(Workload("nasbench201", {"operations": text, "cells": 1}))
    assert full.settings["operations"] == nasbench201.cell(9)
    assert full.settings["cells"] == 1


@needs_help
def test_nasbench201_has_all_counts_of_all_cells_of_help(networks):
    """Each edge adds the same wherever it is, so that six traces tell of all cells; some are traced whole."""
    rest, table = nasbench201.NUM_EDGES - 1, networks["nasbench201"]
    none = counts(traced("nasbench201", {"operations": ("skip_connect",) * (rest + 1)}))
    edges = {
        name: counts(traced("nasbench201", {"operations": (name, *("skip_connect",) * rest)})) - none
        for name in nasbench201.OPERATIONS
    }
    expected = [none + sum(edges[name] for name in nasbench201.cell(index)) for index in table.index]
    assert len(table) == 2940
    assert np.array_equal(table[COUNTS], expected)
    for index in random.Random(0).sample(list(table.index), 4):
        trace = traced("nasbench201", {"operations": nasbench201.cell(index)})
        pooled = [each for each in trace.operators if each.kind == "avg_pool2d" and each.inputs == each.outputs]
        outputs = sum(each.output_elements for each in [*convolutions(trace), *pooled])
        assert [*counts(trace), outputs] == table.loc[index].tolist()


@needs_help
@pytest.mark.parametrize("index", FBNET)
def test_fbnet_has_a_network_with_all_figures_of_a_row_of_help(networks, index):
    trace = traced("fbnet", {**CIFAR, "blocks": FBNET[index]}, input_size=32)
    outputs = sum(each.output_elements for each in convolutions(trace))
    assert [*counts(trace), outputs] == networks["fbnet"].loc[index].tolist()


@needs_help
def test_fbnet_has_the_mean_of_help(networks):
    """The mean of networks drawn at random is that of those with one block throughout: each layer adds its own."""
    each = [counts(traced("fbnet", {**CIFAR, "blocks": (block,) * 22}, input_size=32)) for block in fbnet.BLOCKS]
    table = networks["fbnet"][COUNTS]
    errors = (table.mean() - np.mean(each, axis=0)) / (table.std() / np.sqrt(len(table)))
    assert errors.abs().max() < 3


@needs_help
@pytest.mark.parametrize("index", OFA)
def test_ofa_has_a_network_with_the_figures_of_a_row_of_help(networks, index):
    depths, kernels, ratios = OFA[index]
    own = {"depths": depths, "kernel_sizes": tuple(map(int, kernels)), "expand_ratios": tuple(map(int, ratios))}
    trace = traced("ofa-mobilenet-v3", {**own, "width_multiplier": 1.2})
    outputs = sum(each.output_elements for each in convolutions(trace) if each.outputs[0][-1] > 1)
    assert [*(counts(trace) + np.array([0, 0, 0, 1])), outputs] == networks["ofa"].loc[index].tolist()


@needs_help
def test_ofa_has_the_mean_parameters_and_the_range_of_help(networks):
    sizes = [(kernel, ratio) for kernel in (3, 5, 7) for ratio in (3, 4, 6)]
    own = {"width_multiplier": 1.2, "depths": (3,) * 5}
    each = [
        counts(traced("ofa-mobilenet-v3", {**own, "kernel_sizes": (kernel,) * 20, "expand_ratios": (ratio,) * 20}))
        for kernel, ratio in sizes
    ]
    table = networks["ofa"]
    errors = (table.mean()[COUNTS] - np.mean(each, axis=0)) / (table.std()[COUNTS] / np.sqrt(len(table)))
    assert errors[["params", "convolutions"]].abs().max() < 3
    assert (table["n_ops"] == 3 * table["convolutions"] - 3).all()
    assert {3 * convolutions - 4 for _, _, convolutions, _ in each} == {operators for *_, operators in each}
    small, large = (
        counts(
            traced("ofa-mobilenet-v3", {"preset": f"ofa-mobilenet-v3-{end}", "width_multiplier": 1.2}, input_size=size)
        )
        for end, size in (("min", 128), ("max", 224))
    )
    assert (table[COUNTS[:3]].min() >= small[:3]).all()
    assert (table[COUNTS[:3]].max() <= large[:3]).all()


def test_fbnet_a_is_as_in_its_paper():
    found = traced("fbnet", {"preset": "fbnet-a"}).features()
    assert found["macs"] // 1e6 == 249
    assert found["params"] / 1e6 == pytest.approx(4.3, abs=0.05)


@pytest.mark.parametrize(
    ("preset", "millions", "macs"), [("darts-v2", 4.719, None), ("p-darts", 4.9, 557), ("pc-darts", 5.3, 597)]
)
def test_darts_cells_are_as_in_their_papers(preset, millions, macs):
    """Two MACs for each element of a norm and one for each of a ReLU are in what the papers print."""
    trace = traced("darts", {"preset": preset})
    digits = len(str(millions).partition(".")[2])
    assert round(trace.params / 1e6, digits) == millions
    weights = {"native_batch_norm": 2, "relu": 1, "relu_": 1}
    more = sum(weights.get(each.kind, 0) * each.output_elements for each in trace.operators)
    assert macs is None or round((trace.features()["macs"] + more) / 1e6) == macs


@pytest.mark.parametrize(("preset", "millions"), [("darts-v2", 3.349), ("p-darts", 3.4)])
def test_darts_cells_are_as_published_for_cifar(preset, millions):
    own = {"cells": 20, "channels": 36, "stem": "cifar", "num_classes": 10}
    digits = len(str(millions).partition(".")[2])
    assert round(traced("darts", {"preset": preset, **own}, input_size=32).params / 1e6, digits) == millions


@pytest.mark.parametrize("preset", HAT)
def test_hat_is_as_in_its_paper(preset):
    full = architectures.complete(Workload("hat", {"preset": preset, "beam_size": 1}))
    found, sizes = trace_workload(full).features(), full.settings
    table = sizes["vocab_size"] * sizes["decoder_hidden_size"]
    millions, gflops = HAT[preset]
    assert (found["params"] - table) / 1e6 == pytest.approx(millions, abs=0.005)
    assert 2 * (found["macs"] - sizes["num_new_tokens"] * table) / 1e9 == pytest.approx(gflops, rel=0.01)
