"""Search spaces: sizes as published, candidates and rows of indices, files that come from anywhere, other processes."""

from __future__ import annotations

import itertools
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftax_model import architectures
from ftax_model.architectures import fbnet
from ftax_model.errors import DataError, InputError
from ftax_model.nas import space as spaces
from ftax_model.nas.space import SearchSpace
from ftax_model.workload import Workload

PUBLISHED = {
    "darts": (math.prod([1, 3, 6, 10]) * 7**8) ** 2,
    "fbnet": 9**22,
    "hat": 4 * 6**6 * sum(36**layers for layers in range(1, 7)),
    "nasbench201": 15_625,
    "ofa-mobilenet-v3": 25 * (9**2 + 9**3 + 9**4) ** 5,
}

BOMB = "".join(f"{name}: &{name} [{', '.join([before] * 9)}]\n" for before, name in itertools.pairwise("xabcdefghi"))
BOMB = re.sub(r"(?<=[\[ ])([a-h])(?=[,\]])", r"*\1", BOMB)
"""Lists of lists of lists, which are few to write and many to read."""

TOWER: dict[str, Any] = {f"n{floor}": {"product": [f"n{floor + 1}"] * 9} for floor in range(2000)} | {"n2000": 2}
"""Products of products, two thousand high."""

every_space = pytest.mark.parametrize("name", spaces.names())

choices = st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True)
ranges = st.builds(lambda low, step, steps: range(low, low + step * steps + 1, step), *[st.integers(1, 4)] * 3)
axes = st.integers(1, 64) | choices | ranges


@st.composite
def small_spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces of residual networks of one or two stages: each form that a hyperparameter can have."""
    depths, widths = draw(st.lists(choices, min_size=2, max_size=2)), draw(choices)
    lists = draw(
        st.sampled_from(
            [
                {"depths": {"entries": depths}, "widths": {"each": widths, "count": 2}},
                {"stages": range(1, 3), "depths": {"each": depths[0], "count": "stages"}},
                {"depths": [[1, 2], [2, 2]], "widths": {"each": widths, "count": 2}},
            ]
        )
    )
    lists |= {"widths": {"entries": [widths, 64], "count": "stages"}} if "stages" in lists else {}
    own = {"batch_size": draw(st.none() | axes), "input_size": draw(st.none() | ranges)}
    block = draw(st.sampled_from(["basic", ["basic", "bottleneck"]]))
    classes = {"pairs": draw(choices), "num_classes": {"product": ["pairs", 2]}}
    return SearchSpace("resnet", {"block": block, **classes, **lists}, **own)


def rows(space: SearchSpace) -> np.ndarray:
    """All rows of indices, as many as differ in each variable."""
    every = list(itertools.product(*(range(high + 1) for high in space.bounds[1])))
    return np.array(every, dtype=np.int64).reshape(len(every), len(space.variables))


@settings(max_examples=40, deadline=None)
@given(small_spaces())
def test_size_counts_the_candidates_and_encoding_finds_each(space: SearchSpace) -> None:
    kept = np.unique(space.canonical(rows(space)), axis=0)
    candidates = space.decode(kept)
    assert len(kept) == space.size == len({str(candidate) for candidate in candidates})
    some = kept[:: max(1, len(kept) // 50)]
    assert np.array_equal(space.encode(space.decode(some)), some)
    assert all(space.contains(space.workload(candidate)) for candidate in space.decode(some))


@settings(max_examples=20, deadline=None)
@given(space=small_spaces())
def test_files_and_copies_are_equal(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = space.save(tmp_path_factory.mktemp("space") / "own.yaml")
    loaded, copied = SearchSpace.load(path), pickle.loads(pickle.dumps(space))  # noqa: S301
    assert (loaded.name, copied) == ("own", space)
    for again in (loaded, copied):
        assert again.to_record()["hyperparameters"] == space.to_record()["hyperparameters"]
        assert (again.variables, again.size) == (space.variables, space.size)
        assert again.sample(3) == space.sample(3)


@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_size_is_the_published_one(name: str, size: int) -> None:
    assert SearchSpace.load(name).size == size


@every_space
def test_a_space_that_ships_is_all_valid_and_comes_back(name: str) -> None:
    space = SearchSpace.load(name)
    drawn = space.sample_indices(100, seed=3)
    assert np.array_equal(space.encode(space.decode(drawn)), drawn)
    anywhere = np.random.default_rng(0).integers(0, space.bounds[1] + 1, size=(300, len(space.variables)))
    assert space.valid(anywhere).all()
    assert (drawn >= space.bounds[0]).all()
    assert (drawn <= space.bounds[1]).all()
    assert space.description
    assert SearchSpace.from_record(space.to_record(), name=space.name) == space


def test_published_networks_are_in_their_space() -> None:
    hat, layers, ofa = (SearchSpace.load(name) for name in ("hat", "fbnet", "ofa-mobilenet-v3"))
    for preset in architectures.load("hat").presets:
        assert hat.contains({"preset": preset})
    assert layers.contains({"preset": "fbnet-c"})
    assert not layers.contains({"preset": "fbnet-a"})  # it has a narrower head
    assert layers.contains({"preset": "fbnet-a", "head_channels": 1984})
    assert all(ofa.contains(Workload("ofa-mobilenet-v3", {"preset": preset})) for preset in ofa_presets())
    assert not ofa.contains(Workload("ofa-mobilenet-v3", input_size=130))
    assert not ofa.contains(Workload("fbnet"))


def ofa_presets() -> list[str]:
    return [*architectures.load("ofa-mobilenet-v3").presets]


def test_a_cell_is_found_by_its_edges() -> None:
    space = SearchSpace.load("darts")
    (row,) = space.sample_indices(1, seed=5)
    found = dict(zip(space.variables, space.values([row])[0], strict=True))
    assert "normal_nodes.0" not in found  # the first node has two to read, and reads both
    nodes = [(0, 1), *(found[f"normal_nodes.{place}"] for place in (1, 2, 3))]
    edges = [edge.split("~") for edge in space.decode([row])[0]["normal"]]
    assert [operation for operation, _ in edges] == [found[f"normal_operations.{edge}"] for edge in range(8)]
    assert [int(node) for _, node in edges] == [node for pair in nodes for node in pair]


def test_entries_that_are_not_used_make_no_further_candidate() -> None:
    space = SearchSpace.load("ofa-mobilenet-v3")
    row = np.zeros((2, len(space.variables)), dtype=np.int64)
    row[1, space.variables.index("kernel_sizes.3")] = 2  # of the fourth block, where there are two
    assert len(np.unique(space.canonical(row), axis=0)) == 1
    row[:, space.variables.index("depths.0")] = 2
    assert len(np.unique(space.canonical(row), axis=0)) == 2


def test_a_candidate_by_the_values_of_its_variables() -> None:
    space = SearchSpace.load("hat")
    values = {name: space.choices(name)[0] for name in space.variables if not name.endswith((".1", ".2", ".3", ".4"))}
    values |= {name: space.choices(name)[0] for name in space.variables if name.startswith("encoder")}
    assert space.candidate(values)["decoder_heads"] == (4,)
    assert space.candidate({**values, "decoder_layers": np.int64(1)})["attended_layers"] == (1,)
    with pytest.raises(InputError, match=r"none for decoder_intermediate_sizes\.1"):
        space.candidate({**values, "decoder_layers": 2})
    with pytest.raises(InputError, match="decoder_hidden_size is one of 512, 640"):
        space.candidate({**values, "decoder_hidden_size": 513})
    with pytest.raises(InputError, match="did you mean 'decoder_layers'"):
        space.candidate({**values, "decoder_layer": 2})


def test_values_are_numbers_or_objects() -> None:
    numbers = SearchSpace("mlp", {"num_layers": range(2, 9, 3), "hidden_size": [16, 64]})
    assert numbers.values([[2, 1], [0, 0]]).tolist() == [[8.0, 64.0], [2.0, 16.0]]
    words = SearchSpace("resnet", {"block": ["basic", "bottleneck"], "num_classes": [10, 100]})
    assert words.values([[1, 0]]).tolist() == [["bottleneck", 10]]
    assert SearchSpace("mlp", {}).values(np.empty((2, 0))).shape == (2, 0)
    steps = SearchSpace("mobilenet-v2", {"width_multiplier": {"low": 0.5, "high": 1.1, "step": 0.1}})
    assert steps.choices("width_multiplier") == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)


@pytest.mark.parametrize("indices", [[0, 0], [[0]], [[0, 0, 0]], [[0, 2]], [[-1, 0]], [[0.5, 0]], [[math.nan, 0]]])
def test_indices_are_within_the_bounds(indices: Any) -> None:
    space = SearchSpace("mlp", {"num_layers": [1, 2], "hidden_size": [8, 16]})
    with pytest.raises(InputError, match="indices are"):
        space.decode(indices)


def test_samples_follow_the_seed_and_reject_what_contradicts_itself() -> None:
    space = SearchSpace("bert", {"num_heads": [2, 3], "hidden_size": {"low": 64, "high": 128, "step": 2}})
    one, same, other = (space.sample(50, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert all(candidate["hidden_size"] % candidate["num_heads"] == 0 for candidate in one + other)
    assert {candidate["num_heads"] for candidate in one} == {2, 3}
    assert space.sample(0) == []
    assert not space.valid(rows(space)).all()
    assert space.valid(space.encode(one)).all()
    with pytest.raises(InputError, match="whole number of candidates"):
        space.sample(-1)


def test_a_space_of_which_nearly_nothing_is_valid_is_refused() -> None:
    with pytest.raises(InputError, match=r"one candidate of a search space in 1,000.*num_heads divides hidden_size"):
        SearchSpace("bert", {"num_heads": 7, "hidden_size": range(7 * 9 + 1, 7 * 10)})


@pytest.mark.parametrize(
    ("hyperparameters", "law"),
    [
        ({"num_layer": [1, 2]}, "did you mean 'num_layers'"),
        ({"num_layers": []}, "1 to 1,000,000 choices"),
        ({"num_layers": range(0)}, "1 to 1,000,000 choices"),
        ({"num_layers": [1, 1]}, "choices of num_layers differ"),
        ({"num_layers": [1, "two"]}, "hyperparameter num_layers is like its default"),
        ({"num_layers": [0, 1]}, "a whole number above 0"),
        ({"num_layers": [True]}, "hyperparameter num_layers is like its default"),
        ({"num_layers": {1, 2}}, "a choice is a number"),
        ({"num_layers": [math.nan]}, "a choice is a number"),
        ({"num_layers": {"low": 3, "high": 1}}, "goes up from low to high"),
        ({"num_layers": {"low": 1, "high": 4, "step": 2}}, "in whole steps"),
        ({"num_layers": {"low": 1, "high": 4, "step": 0}}, "by steps above 0"),
        ({"num_layers": {"low": 1}}, "high of num_layers is a number"),
        ({"num_layers": {"low": 1, "high": 10**400}}, "high of num_layers is a number"),
        ({"num_layers": {"low": 1, "high": 2, "log": True}}, "key of num_layers is one of low, high, step"),
        ({"num_layers": {"min": 1}}, "num_layers is a value, a list of choices, or a mapping"),
        ({"num_layers": {"each": [1], "count": 2}}, "hyperparameter num_layers is like its default"),
        ({"hidden_size": {"product": ["heads", 64]}}, "a name in hidden_size is one of"),
        ({"hidden_size": {"product": ["hidden_size", 2]}}, "no product is made of itself"),
        ({"hidden_size": {"product": ["num_heads", 0.5]}, "num_heads": 2}, "names and whole numbers above 0"),
        ({"hidden_size": {"product": [2**30, 2**30]}}, "a larger product"),
        ({"hidden_size": {"product": ["n0"]}, **TOWER}, "a larger product"),
        ({"hidden_size": {"product": []}}, "product of hidden_size is a list"),
        ({"hidden_size": {"product": ["a"]}, "a": ["x", "y"]}, "product of hidden_size names whole numbers"),
        ({"hidden_size": {"product": ["a"]}, "a": {"product": ["hidden_size"]}}, "no product is made of itself"),
    ],
)
def test_what_means_nothing_is_refused(hyperparameters: dict[str, Any], law: str) -> None:
    with pytest.raises(InputError, match=law):
        SearchSpace("bert", hyperparameters)


@pytest.mark.parametrize(
    ("hyperparameters", "law"),
    [
        ({"blocks": {"each": [*fbnet.BLOCKS, "k3_e9"], "count": 22}}, r"each choice of blocks\.0.*'k3_e9'"),
        ({"blocks": {"each": ["k3_e1", "k3_e9"], "count": 22}}, "one candidate of a search space in 1,000"),
        ({"blocks": {"each": ["k3_e1", "skip"]}}, "count of blocks is a whole number"),
        ({"blocks": {"each": ["k3_e1", "skip"], "count": 21}}, "blocks has 22 entries"),
        ({"blocks": {"each": ["k3_e1", "skip"], "count": "n"}, "n": [22, 2000]}, "blocks has 1000 entries at most"),
        ({"blocks": {"each": [1, 2], "count": 22}}, "hyperparameter blocks is like its default"),
        ({"blocks": {"entries": "skip"}}, "entries of blocks is a list"),
        ({"blocks": {"entries": ["skip"] * 22, "used": "n"}, "n": 22}, "used of blocks names hyperparameters"),
        ({"blocks": {"entries": ["skip"] * 22, "used": "num_classes"}, "num_classes": 23}, "num_classes up to 23"),
        (
            {
                "blocks": {"entries": ["skip"] * 22, "used": "head_channels", "count": "head_channels"},
                "head_channels": 2,
            },
            "count or used",
        ),
        ({"blocks": {"each": "skip", "count": "n"}, "n": ["x", "y"]}, "count of blocks names whole numbers"),
        ({"blocks": {"join": ["a", "b"]}, "a": {"entries": ["k", "l"]}, "b": {"entries": ["m"]}}, "one length"),
        ({"blocks": {"join": ["a"]}, "a": 3}, "one length"),
        ({"blocks": {"join": ["a"], "by": 3}, "a": {"entries": ["k"]}}, "by of blocks is a word"),
    ],
)
def test_lists_that_mean_nothing_are_refused(hyperparameters: dict[str, Any], law: str) -> None:
    with pytest.raises(InputError, match=law):
        SearchSpace("fbnet", hyperparameters)


@pytest.mark.parametrize("own", [{"batch_size": [0, 1]}, {"input_size": "x"}, {"dtype": ["float8"]}, {"lengths": 1}])
def test_what_is_the_workloads_own_is_checked(own: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SearchSpace("mlp", {"num_layers": [1, 2]}, **own)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("", "a search space is a mapping"),
        ("- 1", "a search space is a mapping"),
        ("architecture: mlp\nhyperparameter: {num_layers: 1}", "did you mean 'hyperparameters'"),
        ("hyperparameters: {num_layers: 1}", "names its architecture"),
        ("architecture: [mlp]", "architecture is one of"),
        ("architecture: mlp\nhyperparameters: [num_layers]", "hyperparameters is a mapping"),
        ("architecture: mlp\nhyperparameters: {1: 2}", "hyperparameters is a mapping"),
        ("architecture: mlp\nhyperparameters: {num_layers: }", "a choice is a number"),
        ("architecture: mlp\nhyperparameters: {num_layers: 2026-01-01}", "a choice is a number"),
        ("architecture: mlp\nhyperparameters: &a {num_layers: [*a]}", "within each other more than 64 times"),
        ("architecture: mlp\nbatch_size: {each: [1, 2], count: 2}", "key of batch_size"),
        ("architecture: mlp\ndescription: !!python/name:os.system", "a search space is a YAML file"),
        ("architecture: [", "a search space is a YAML file"),
        ("architecture: mlp\nhyperparameters: {num_layers: 1" + "0" * 5000 + "}", "."),
        (BOMB, "more than 100,000 values"),
    ],
)
def test_a_hostile_file_is_one_error_that_names_it(tmp_path: Path, text: str, law: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((InputError, DataError), match=law) as caught:
        SearchSpace.load(path)
    assert "own.yaml" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "own.yaml", tmp_path / "none.yaml", tmp_path / "a" / "b"):
        with pytest.raises(DataError):
            SearchSpace.load(path)
    with pytest.raises(InputError, match="did you mean 'nasbench201'"):
        SearchSpace.load("nasbench-201")
    with pytest.raises(DataError, match="output can be written"):
        SearchSpace("mlp", {}).save(tmp_path / "none" / "own.yaml")


def test_a_candidate_that_a_space_cannot_tell_is_said_so() -> None:
    space = SearchSpace("bert", {"hidden_size": {"product": ["a", "b", 12]}, "a": [2, 4], "b": [2, 4]})
    with pytest.raises(InputError, match="can be told from a candidate"):
        space.encode(space.sample(1))
    fixed = SearchSpace("mlp", {"num_layers": [1, 2]})
    with pytest.raises(InputError, match="hidden_size is 1024 in this space"):
        fixed.encode([{"num_layers": 1, "hidden_size": 8}])


def test_other_processes_draw_the_same_and_import_little() -> None:
    code = (
        "import multiprocessing, sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from ftax_model.nas import SearchSpace\n"
        "space = SearchSpace.load('hat')\n"
        "for way in ('fork', 'spawn'):\n"
        "    with ProcessPoolExecutor(1, multiprocessing.get_context(way)) as pool:\n"
        "        assert pool.submit(space.sample, 5, seed=2).result() == space.sample(5, seed=2)\n"
        "print(*{'pandas', 'sklearn', 'torch', 'scipy'} & {*sys.modules})\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("\n", "")


def test_a_space_that_is_beyond_all_numbers_is_told_in_time() -> None:
    lists = {"depths": {"each": [*range(1, 201)], "count": 300}, "widths": {"each": [*range(8, 1601, 8)], "count": 300}}
    assert repr(SearchSpace("resnet", lists)) == "SearchSpace('resnet', 600 variables, 1e+1380 candidates)"
