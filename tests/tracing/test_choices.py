"""Networks that are put together from parts, as sums of what their choices add."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import numpy as np
import pytest

from ftax_model import architectures
from ftax_model.architectures.ofa_mobilenet_v3 import OfaMobilenetV3
from ftax_model.errors import FtaxError
from ftax_model.tracing import choices, trace_workload
from ftax_model.tracing.choices import PROOFS, Choices, vector
from ftax_model.workload import Workload


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def traced(monkeypatch) -> list[Workload]:
    """What was traced to find sums."""
    found: list[Workload] = []

    def noted(workload: Workload) -> Any:
        found.append(workload)
        return trace_workload(workload)

    monkeypatch.setattr(choices, "trace_workload", noted)
    return found


def ofa(**settings: Any) -> Workload:
    return architectures.complete(Workload("ofa-mobilenet-v3", {"num_classes": 10, **settings}, input_size=32))


def hat(*layers: tuple[int, int, int, int], **settings: Any) -> Workload:
    names = ("decoder_intermediate_sizes", "decoder_heads", "cross_heads", "attended_layers")
    own = dict(zip(names, zip(*layers, strict=True), strict=True))
    small = {"vocab_size": 64, "num_new_tokens": 2, "beam_size": 2}
    return architectures.complete(Workload("hat", {**small, **own, **settings}, input_size=8))


def drawn(choose: random.Random) -> Workload:
    """One of few networks: the first stage has two blocks or three, each of two kernels and two expansions."""
    kernels, expansions = [7] * 20, [6] * 20
    for slot in range(4):
        kernels[slot], expansions[slot] = choose.choice((3, 7)), choose.choice((4, 6))
    return ofa(depths=(choose.choice((2, 3)), 4, 4, 4, 4), kernel_sizes=tuple(kernels), expand_ratios=tuple(expansions))


def same(found: Any, workload: Workload) -> None:
    expected = vector(trace_workload(workload), itemsize=4)
    known = ~np.isnan(expected)
    assert found is not None
    assert np.isnan(found).tolist() == (~known).tolist()
    assert found[known] == pytest.approx(expected[known], rel=1e-9)


def test_blocks_add_up_and_are_traced_once(traced: list[Workload]) -> None:
    choose = random.Random(0)
    networks = [drawn(choose) for _ in range(24)]
    own = Choices(networks[0])
    found = [own.find(network) for network in networks]
    for vector_of, network in zip(found[-3:], networks[-3:], strict=True):
        same(vector_of, network)
    known = len(traced)
    assert known <= 1 + PROOFS + 2 * 4 + 2  # the base, proofs, two places by kernel and expansion, depths
    for network in networks:
        own.find(network)
    assert len(traced) == known


def test_entries_that_are_not_used_make_no_difference() -> None:
    own, usual = Choices(ofa()), ofa(depths=(2,) * 5)
    odd = ofa(depths=(2,) * 5, kernel_sizes=(7, 7, 3, 5) * 5, expand_ratios=(6, 6, 3, 4) * 5)
    same(own.find(odd), usual)


def test_layers_add_up_wherever_and_how_many_they_are(traced: list[Workload]) -> None:
    one, other = (1024, 4, 8, 2), (3072, 8, 4, 3)
    networks = [hat(one, one, other), hat(other, one), hat(one), hat(*[other] * 6), hat(one, other, other, one)]
    own = Choices(networks[0])
    assert len(own.base.settings["attended_layers"]) == 6  # of the defaults, so that layers can be left out
    for network in networks:
        same(own.find(network), network)
    before = len(traced)
    own.proven = PROOFS
    same(own.find(hat(other, other, one)), hat(other, other, one))
    assert len(traced) == before  # three layers, and each of the two kinds, are known by now


def test_more_parts_than_the_base_has_are_another_base() -> None:
    long = hat(*[(1024, 8, 8, 1)] * 7)
    own = Choices(long)
    assert own.base == long
    same(own.find(long), long)


def test_what_does_not_add_up_is_found_out(monkeypatch) -> None:
    monkeypatch.setattr(OfaMobilenetV3, "place", lambda self, settings, name, at: 0)  # stages are not alike
    own = Choices(ofa())
    network = ofa(kernel_sizes=(3, *[7] * 18, 3))
    assert own.find(network) is None
    assert own.broken
    assert own.find(ofa(kernel_sizes=(3, *[7] * 19))) is None


def test_another_process_traces_nothing_again(traced: list[Workload]) -> None:
    network = ofa(depths=(3, 4, 4, 4, 4), kernel_sizes=(3, *[7] * 19))
    found = Choices(network).find(network)
    known = len(traced)
    again = Choices(network)
    assert again.find(network).tolist() == pytest.approx(found.tolist(), nan_ok=True)
    assert len(traced) == known + 1  # a proof: the first of so many


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r["more"][0].__setitem__(0, 7),
        lambda r: r["more"][0].__setitem__(2, ["wide", "deep"]),
        lambda r: r["more"][0].__setitem__(2, 3),
        lambda r: r["more"][0].__setitem__(3, [[0, float("nan")]]),
        lambda r: r["vector"].append([10**6, 1.0]),
        lambda r: r.pop("proven"),
    ],
)
def test_a_spoilt_record_is_an_error_and_changes_nothing(spoil: Any) -> None:
    network = ofa(depths=(3, 4, 4, 4, 4), kernel_sizes=(3, *[7] * 19))
    own = Choices(network)
    own.find(network)
    record = json.loads(json.dumps(own.to_record()))
    before = copy.deepcopy(record)
    spoil(record)
    with pytest.raises((LookupError, TypeError, ValueError, FtaxError)):
        own.take(record)
    assert json.loads(json.dumps(own.to_record())) == before


def test_models_that_are_no_networks_of_parts_have_none() -> None:
    assert choices.names("bert") == choices.names("onnx") == choices.names(None) == ()
    assert choices.names("ofa-mobilenet-v3") == ("depths", "kernel_sizes", "expand_ratios")
