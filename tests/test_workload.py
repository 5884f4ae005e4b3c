"""A workload is what is computed: frozen, checked, and named by a key that never changes."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model.architectures import Architecture
from ftax_model.errors import InputError
from ftax_model.workload import DTYPES, LENGTHS, MAX_BATCH_SIZE, MAX_INPUT_SIZE, Workload, grid

scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8))
hyperparameters = st.dictionaries(
    st.text(min_size=1, max_size=8), st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
)
workloads = st.builds(
    Workload,
    st.text(min_size=1, max_size=8),
    hyperparameters,
    batch_size=st.integers(1, MAX_BATCH_SIZE),
    input_size=st.none() | st.integers(1, MAX_INPUT_SIZE),
    dtype=st.sampled_from(list(DTYPES)),
    lengths=st.sampled_from(LENGTHS),
)


@given(workloads)
def test_record_round_trip(workload: Workload) -> None:
    again = Workload.from_record(json.loads(json.dumps(workload.to_record(), allow_nan=False)))
    assert again == workload
    assert hash(again) == hash(workload)
    assert again.key == workload.key
    assert again.settings == workload.settings


@given(workloads)
def test_copies_are_equal(workload: Workload) -> None:
    for again in (copy.deepcopy(workload), pickle.loads(pickle.dumps(workload))):  # noqa: S301
        assert (again, again.key) == (workload, workload.key)


@given(workloads, st.integers(1, MAX_BATCH_SIZE))
def test_batch_size_is_all_that_changes_along_a_curve(workload: Workload, batch_size: int) -> None:
    other = workload.with_batch_size(batch_size)
    assert other.batch_size == batch_size
    assert other.curve == workload.curve
    assert other.model == workload.model
    assert other.with_batch_size(workload.batch_size) == workload
    assert (other.key == workload.key) == (batch_size == workload.batch_size)


@given(hyperparameters)
def test_order_of_hyperparameters_does_not_matter(settings: dict[str, Any]) -> None:
    backwards = dict(reversed(settings.items()))
    assert Workload("bert", settings) == Workload("bert", backwards)
    assert Workload("bert", settings).key == Workload("bert", backwards).key


def test_key_is_the_same_in_every_version() -> None:
    assert Workload("bert", {"num_layers": 2}, batch_size=8).key == "0954bccea9fc807f"


def test_model_drops_all_but_the_hyperparameters() -> None:
    workload = Workload("bert", {"n": 2}, batch_size=8, input_size=64, dtype="float16", lengths="penn-treebank")
    assert workload.model == Workload("bert", {"n": 2})
    assert workload.curve == Workload("bert", {"n": 2}, input_size=64, dtype="float16", lengths="penn-treebank")


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Workload("bert").batch_size = 2  # type: ignore[misc]


def test_lists_are_frozen_to_the_bottom() -> None:
    depths = [[1, 2], [3]]
    workload = Workload("resnet", {"depths": depths})
    depths[0].append(9)
    assert workload.settings == {"depths": ((1, 2), (3,))}
    assert hash(workload) == hash(Workload("resnet", {"depths": ((1, 2), (3,))}))


def test_numbers_of_numpy_are_numbers() -> None:
    workload = Workload(
        "bert", {"n": np.int64(2), "p": np.float64(0.5)}, batch_size=np.int32(8), input_size=np.int64(64)
    )
    plain = Workload("bert", {"n": 2, "p": 0.5}, batch_size=8, input_size=64)
    assert (workload, workload.key, repr(workload)) == (plain, plain.key, repr(plain))
    assert [type(value) for value in (workload.batch_size, workload.input_size)] == [int, int]


@pytest.mark.parametrize("what", ["batch_size", "input_size"])
@pytest.mark.parametrize("value", [0, -1, 10**6 + 1, 2.0, "8", True, float("nan"), [8]])
def test_sizes_are_whole_numbers_in_range(what: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"is a whole number from 1 to \d+; got .*; choose one in that range"):
        Workload("bert", **{what: value})


def test_sizes_at_the_edge() -> None:
    Workload("bert", batch_size=MAX_BATCH_SIZE, input_size=MAX_INPUT_SIZE)
    with pytest.raises(InputError, match="batch size is a whole number from 1 to 65536; got 65537"):
        Workload("bert", batch_size=MAX_BATCH_SIZE + 1)


@pytest.mark.parametrize("value", [None, {"a": 1}, float("nan"), float("inf"), 1j, object(), [1, None], b"x"])
def test_hyperparameters_are_plain_values(value: Any) -> None:
    with pytest.raises(InputError, match="a hyperparameter is a number, a word"):
        Workload("bert", {"n": value})


@pytest.mark.parametrize("value", [5, "ab", [1, 2], [("a",)], None])
def test_hyperparameters_are_names_and_values(value: Any) -> None:
    with pytest.raises(InputError, match="hyperparameters are names and values"):
        Workload("bert", value)


@pytest.mark.parametrize(
    ("field", "value", "law"),
    [
        ("dtype", "fp16", "dtype is one of float32, float16, bfloat16, int8; got 'fp16'"),
        ("dtype", None, "dtype is one of"),
        ("lengths", "penn", "lengths is one of fixed, penn-treebank; got 'penn'"),
        ("architecture", None, "an architecture is a name; got None"),
    ],
)
def test_names_are_checked(field: str, value: Any, law: str) -> None:
    with pytest.raises(InputError, match=law):
        Workload(**{"architecture": "bert", field: value})


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        (Workload("mlp"), "Workload('mlp', batch_size=1)"),
        (Workload("mlp", {"width": 8}, batch_size=2), "Workload('mlp', width=8, batch_size=2)"),
        (
            Workload("bert", input_size=16, dtype="float16", lengths="penn-treebank"),
            "Workload('bert', batch_size=1, input_size=16, dtype='float16', lengths='penn-treebank')",
        ),
    ],
)
def test_repr_shows_what_differs(workload: Workload, text: str) -> None:
    assert repr(workload) == text


def test_grid_is_every_combination_once() -> None:
    cells = grid("mlp", width=[8, 16], num_layers=2, batch_size=[1, 4, 16], dtype=["float32", "float16"])
    assert len(cells) == len(set(cells)) == 12
    assert {cell.settings["num_layers"] for cell in cells} == {2}
    assert {(cell.settings["width"], cell.batch_size, cell.dtype) for cell in cells} == {
        (width, batch, dtype) for width in (8, 16) for batch in (1, 4, 16) for dtype in ("float32", "float16")
    }


def test_grid_takes_a_tuple_as_one_value() -> None:
    (cell,) = grid("resnet", depths=(2, 2, 2, 2))
    assert cell.settings == {"depths": (2, 2, 2, 2)}


def test_grid_without_axes_is_one_workload() -> None:
    assert grid("mlp") == [Workload("mlp")]
    assert grid("mlp", batch_size=[]) == []


class Rubber(Architecture):
    """An architecture with one hyperparameter of each type."""

    family = "block"
    defaults: ClassVar[Mapping[str, Any]] = {
        "depth": 2,
        "expansion": 4.0,
        "depths": (1, 2),
        "gated": False,
        "kind": "plain",
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"long": {"depth": 99}}
    input_unit = "features"
    default_input_size = 16

    def build(self, workload: Workload) -> tuple[Any, dict[str, Any]]:
        raise NotImplementedError

    def grid(self) -> list[Workload]:
        raise NotImplementedError


def test_completing_writes_everything_out() -> None:
    full = Rubber().complete(Workload("rubber", {"preset": "long", "gated": True}, batch_size=3, dtype="float16"))
    assert full == Workload(
        "rubber", {**Rubber.defaults, "depth": 99, "gated": True}, batch_size=3, input_size=16, dtype="float16"
    )
    assert Rubber().complete(full) == full


def test_one_workload_has_one_key_however_its_numbers_are_written() -> None:
    keys = {Rubber().complete(Workload("rubber", {"expansion": value})).key for value in (3, 3.0, np.float64(3))}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", 0),
        ("depth", 2.5),
        ("depth", True),
        ("depth", "2"),
        ("expansion", -1.0),
        ("expansion", "4"),
        ("depths", ()),
        ("depths", (1, -2)),
        ("depths", 3),
        ("gated", 1),
        ("kind", 7),
        ("dpeth", 2),
        ("preset", "short"),
    ],
)
def test_completing_refuses_what_the_architecture_does_not_have(name: str, value: Any) -> None:
    with pytest.raises(InputError):
        Rubber().complete(Workload("rubber", {name: value}))
