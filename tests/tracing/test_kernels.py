"""What a GPU sees of a trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ftax_model import architectures
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace, trace_sweep
from ftax_model.tracing.kernels import COLUMNS, GROUPS, group, joined, kernels
from ftax_model.workload import Workload


def convolution(dims: int, *, transposed: bool = False, groups: int = 1, kernel: int = 3) -> Operator:
    kind = {(2, False): torch.nn.Conv2d, (3, False): torch.nn.Conv3d}.get((dims, transposed))
    kind = kind or {2: torch.nn.ConvTranspose2d, 3: torch.nn.ConvTranspose3d}[dims]
    with torch.device("meta"):
        module = kind(8, 8, kernel, groups=groups, bias=False).eval()
        found = trace(module, {"input": torch.empty(2, 8, *[8] * dims)})
    (own,) = found.operators
    return own


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (convolution(2), "dense-convolution"),
        (convolution(2, kernel=1), "pointwise-convolution"),
        (convolution(2, groups=8), "depthwise-convolution"),
        (convolution(2, groups=2), "grouped-convolution"),
        (convolution(3), "volumetric-convolution"),
        (convolution(2, transposed=True), "transposed-convolution"),
        (convolution(3, transposed=True, groups=2), "transposed-volumetric-convolution"),
        (Operator("cumsum", ((4, 4),), ((4, 4),)), "scan"),
        (Operator("nll_loss_forward", ((4, 4), (4,)), ((),)), "loss"),
        (Operator("relu_", ((4, 4),), ((4, 4),)), "rectifier"),
    ],
)
def test_group(operator: Operator, expected: str) -> None:
    assert group(operator) == expected


@pytest.mark.parametrize("name", architectures.names())
def test_every_architecture_has_kernels_that_are_numbers(name: str) -> None:
    workload = architectures.complete(Workload(name))
    own = trace_sweep(workload, [1])[1]
    found = kernels(own)
    assert found.table.shape[1] == len(COLUMNS)
    assert np.isfinite(found.table).all()
    assert found.count.sum() == len(own.operators)
    assert (found.count * found["macs"]).sum() == own.features()["macs"]
    assert ((found["group"] >= 0) & (found["group"] < len(GROUPS))).all()


def test_half_precision_moves_half_the_bytes_of_a_row() -> None:
    norm = Operator("native_layer_norm", ((4, 16), (16,), (16,)), ((4, 16), (4, 1), (4, 1)), 0, 512, 128)
    single, half = (kernels(Trace((norm,), 0), itemsize=size) for size in (4, 2))
    assert single["serial_bytes"] == 2 * 16 * 4
    assert half["serial_bytes"] == 2 * 16 * 2
    assert (single["m"], single["n"]) == (4, 16)


def test_neighbours_that_hand_over_are_told() -> None:
    one = Operator("addmm", ((8,), (4, 8), (8, 8)), ((4, 8),), 256, 256, 288, 1, {"m": 4, "k": 8, "n": 8})
    relu = Operator("relu", ((4, 8),), ((4, 8),), 0, 256)
    other = Operator("sum", ((2, 2),), ((),), 0, 20)
    found = kernels(Trace((one, relu, other), 0))
    assert found["before"].tolist() == [-1, GROUPS.index("linear"), GROUPS.index("rectifier")]
    assert found["before_alike"].tolist() == [0, 1, 0]
    assert found["after_fuses"].tolist() == [1, 0, 0]
    assert found["after_alike"].tolist() == [1, 0, 0]


def test_equal_kernels_in_equal_places_are_counted_once() -> None:
    relu = Operator("relu", ((4, 8),), ((4, 8),), 0, 256)
    found = kernels(Trace((relu,) * 20, 0))
    assert found.count.sum() == 20
    assert len(found.count) == 5, "the first three places, the middle and the end"


def test_calls_one_after_another() -> None:
    relu = Operator("relu", ((4, 8),), ((4, 8),), 0, 256)
    calls = [kernels(Trace((relu,), 0)), kernels(Trace((), 0)), kernels(Trace((relu, relu), 0))]
    row, every = joined(calls)
    assert row.tolist() == [0, 2, 2]
    assert len(every.count) == 3
    assert joined([])[1].table.shape == (0, len(COLUMNS))
