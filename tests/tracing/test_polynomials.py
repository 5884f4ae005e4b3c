"""Polynomials: equal to traces that were not used, to the last integer; what is no polynomial is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from ftax_model import architectures
from ftax_model.tracing import polynomials, regions, trace_workload
from ftax_model.tracing.polynomials import InexactError, Polynomials
from ftax_model.workload import Workload


def completed(name, settings=None, **own):
    return architectures.complete(Workload(name, settings or {}, **own))


def derived(name):
    return polynomials.derive(completed(name, batch_size=2))


@pytest.fixture(scope="module")
def bert():
    return derived("bert")


def agrees(found, workload):
    return polynomials.agrees(workload, found)


def test_bert_is_as_traced(bert):
    for settings in ({"num_layers": 5, "hidden_size": 320, "num_heads": 5}, {"intermediate_size": 777, "num_heads": 6}):
        assert agrees(bert, completed("bert", settings, batch_size=3, input_size=77))


def test_features_are_those_of_the_trace(bert):
    workload = completed("bert", {"num_layers": 7}, batch_size=5)
    _, point = polynomials.sizes_of(workload)
    assert bert.values(point)[bert.params] == trace_workload(workload).params


@pytest.mark.parametrize("name", ["mlp", "whisper-encoder", "distilbert", "mbconv"])
def test_others_are_as_traced(name):
    found = derived(name)
    assert agrees(found, completed(name, batch_size=7))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "convnext", "mobilenet-v2", "llama-prefill", "gpt2", "vit", "squeezebert"])
def test_larger_ones_are_as_traced(name):
    found = derived(name)
    assert agrees(found, completed(name, batch_size=7))


def test_one_head_is_another_region(bert):
    _, point = polynomials.sizes_of(completed("bert", {"num_heads": 1}, batch_size=2))
    columns = {name: np.array([value], dtype=float) for name, value in point.items()}
    assert not bert.holds(columns).any()
    assert bert.holds(columns | {"num_heads": np.array([2.0])}).all()


def test_sizes_far_beyond_those_traced_are_not_believed(bert):
    _, point = polynomials.sizes_of(completed("bert", batch_size=2))
    columns = {name: np.array([value], dtype=float) for name, value in point.items()}
    assert not bert.holds(columns | {"hidden_size": np.array([1e6])}).any()


def test_records_are_the_same_again_and_positions_of_nothing_are_refused(bert):
    record = bert.to_record()
    assert Polynomials.from_record(record) == bert
    for name, wrong in (("params", 10_000), ("counts", [10_000] * len(bert.counts)), ("variables", ["one"])):
        with pytest.raises(ValueError, match="nothing"):
            Polynomials.from_record({**record, name: wrong})


def test_what_no_polynomial_goes_through_is_told():
    points, values = np.array([[2.0], [3.0], [4.0], [5.0], [7.0], [9.0]]), np.array([1.0, 5.0, 2.0, 9.0, 1.0, 3.0])
    assert polynomials.degree(points[:, 0], values) is None
    with pytest.raises(InexactError):
        polynomials.fitted(points, values, {0: ((0, 0), (0, 1))})


def test_regions_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    like = completed("mlp", batch_size=2)
    first = regions.Regions(like)
    point = polynomials.sizes_of(like)[1]
    found = first.find(point)
    assert found is not None

    def fails(*args, **kwargs):
        raise AssertionError("derived again")

    monkeypatch.setattr(polynomials, "derive", fails)
    assert regions.Regions(like).find(point) == found
    for file in tmp_path.rglob("*.json.gz"):
        file.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="derived again"):
        regions.Regions(like).find(point)
