"""Random weights keep activations at their scale: no architecture has subnormal numbers, NaN or infinities."""

import dataclasses

import pytest
import torch

from ftax_model import architectures
from ftax_model.architectures._torch import FEWEST_VALUES, set_statistics
from ftax_model.collection.activations import KINDS, shares
from ftax_model.workload import Workload

SMALLEST_INPUT = {"tokens": 16, "pixels": 96, "samples": 1600, "frames": 20, "features": 64}

MOST_PARAMS = 1.2e8
"""Presets with more weights than this are left out; each architecture has smaller ones, in its grid at least."""


def models():
    for name in architectures.names():
        one = architectures.load(name)
        if "torch" in one.preload:
            yield from (pytest.param(workload, id=f"{name}-{at}") for at, workload in enumerate(one.grid()))
            for preset in one.presets:
                yield pytest.param(Workload(name, {"preset": preset}), id=preset, marks=pytest.mark.slow)


def smallest(workload):
    """The workload with one small input, or as small as it takes."""
    unit = architectures.load(workload.architecture).input_unit
    for size in (SMALLEST_INPUT[unit], 2 * SMALLEST_INPUT[unit], 224, None):
        try:
            return architectures.complete(dataclasses.replace(workload, batch_size=1, input_size=size))
        except ValueError:
            continue
    raise AssertionError(workload)


def params(workload):
    with torch.device("meta"):
        module, _ = architectures.load(workload.architecture).build(workload)
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("workload", list(models()))
def test_activations_are_those_of_a_trained_network(workload):
    workload = smallest(workload)
    if params(workload) > MOST_PARAMS:
        pytest.skip("its weights take long to draw")
    torch.manual_seed(0)
    module, inputs = architectures.load(workload.architecture).build(workload)
    assert shares(module, inputs) == dict.fromkeys(KINDS, 0.0)


def test_shares_are_counted():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return x / torch.tensor([0.0, 1e39, 1.0, -1.0])

    module = torch.nn.Sequential(Odd())
    found = shares(module, {"input": torch.tensor([1.0, 1.0, 1.0, 1e-40])})
    assert found == {"subnormal": 0.25, "nan": 0.0, "infinite": 0.25}


def test_subnormal_numbers_of_float16_do_not_count():
    small = {"input": torch.tensor([1.0, 1e-6], dtype=torch.float16)}
    assert shares(torch.nn.Identity(), small) == dict.fromkeys(KINDS, 0.0)
    assert shares(torch.nn.Identity(), {"input": torch.tensor([1.0, 1e-39]).bfloat16()})["subnormal"] == 0.5


def test_statistics_are_those_of_the_inputs():
    workload = architectures.complete(Workload("mobilenet-v2", {"width_multiplier": 0.25}, input_size=32))
    module, _ = architectures.load("mobilenet-v2").build(workload)
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    assert not module.training
    assert all(norm.running_var.ne(1).any() for norm in norms)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6])
def test_unit_variance_leaves_a_normalisation_whatever_comes_in(scale):
    module = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval()

    def inputs(size):
        return {"input": scale * (1 + torch.randn(size, 3, 8, 8))}

    set_statistics(module, inputs)
    assert module(**inputs(64)).std().item() == pytest.approx(1, abs=0.2)


def test_statistics_of_few_values_are_taken_from_more():
    sizes = []

    def inputs(size):
        sizes.append(size)
        return {"input": torch.randn(size, 3, 1, 1)}

    set_statistics(torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval(), inputs)
    assert sizes == [2, FEWEST_VALUES]
