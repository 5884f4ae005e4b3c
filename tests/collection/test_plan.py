"""Plans: what they hold, in what order it is measured, and what they refuse."""

import subprocess
import sys
from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.collection.adaptive import PROTOCOL
from ftax_model.collection.plan import Grid, Plan, Sweep, group, load_plan, names, parse
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import Outcome, records
from ftax_model.device import Device
from ftax_model.errors import DataError, InputError
from ftax_model.workload import Workload, grid

CPU = Device(name="cpu", kind="cpu", model="CPU", host_cpu="CPU", cores=4)


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", names())
def test_shipped_plan_is_good(name):
    plan = load_plan(name)
    assert plan.name == name
    assert plan.description
    cells = plan.cells(CPU)
    assert len(cells) == len({cell.key for cell in cells}) > 0
    assert all(architectures.complete(cell.workload) == cell.workload for cell in cells)


def test_shipped_plans_are_completed_without_torch():
    code = """
import sys
from ftax_model.collection.plan import load_plan, names
from ftax_model.device import Device
device = Device(name="x", kind="cpu", model="x", host_cpu="x", cores=1)
print(sum(len(load_plan(name).cells(device)) for name in names()), {"torch", "transformers"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, heavy = run.stdout.split(maxsplit=1)
    assert int(count) > 1000
    assert heavy.strip() == "set()"


def test_toy_holds_200_cells():
    assert len(load_plan("toy").cells(CPU)) == 200


def test_everything_a_plan_can_say(tmp_path):
    plan = load_plan(
        write(
            tmp_path,
            """
            name: all of it
            description: every
              key
            frameworks: [eager, fake]
            threads: [1, 2]
            repeats: 2
            order: given
            protocol: {cell_s: 0.5, min_blocks: 9}
            workloads:
              - {architecture: toy, num_layers: [2, 4], width: 8, batch_size: [1, 8]}
              - architecture: resnet
                frameworks: torchscript
                threads: 1
                repeats: 1
                block: basic
                depths: [[1, 1], [2, 2]]
                widths: [[8, 16]]
                input_size: 32
                dtype: float32
              - {architecture: bert, preset: [bert-tiny], lengths: [fixed, penn-treebank], frameworks: [eager]}
            """,
        )
    )
    assert (plan.name, plan.description, plan.order) == ("all of it", "every key", "given")
    assert plan.protocol == Protocol(cell_s=0.5, min_blocks=9)
    toy, resnet, bert = plan.grids
    assert (toy.frameworks, toy.threads, toy.repeats) == (("eager", "fake"), (1, 2), 2)
    assert (resnet.frameworks, resnet.threads, resnet.repeats) == (("torchscript",), (1,), 1)
    assert [workload.settings["depths"] for workload in resnet.workloads] == [(1, 1), (2, 2)]
    assert {workload.lengths for workload in bert.workloads} == {"fixed", "penn-treebank"}
    assert len(plan.cells(CPU)) == 4 * 2 * 2 * 2 + 2 + 2 * 2 * 2
    assert {cell.device for cell in plan.cells(CPU)} == {"cpu"}


def test_name_is_that_of_the_file(tmp_path):
    assert load_plan(write(tmp_path, "{frameworks: fake, workloads: [{architecture: toy}]}")).name == "mine"


def test_the_same_cell_from_two_grids_is_one():
    text = "{frameworks: fake, workloads: [{architecture: toy}, {architecture: toy, width: [64, 32]}]}"
    assert len(parse(yaml.safe_load(text), name="x").cells(CPU)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workloads: [", "a plan is a YAML file"),
        ("\tworkloads: 1", "a plan is a YAML file"),
        ("", "a plan is a mapping"),
        ("[1, 2]", "a plan is a mapping"),
        ("{1: 2}", "a plan is a mapping"),
        ("{framework: fake, workloads: []}", "did you mean 'frameworks'"),
        ("{frameworks: fake}", "a plan has workloads"),
        ("{frameworks: fake, workloads: [toy]}", "a grid of workloads is a mapping"),
        ("{frameworks: fake, workloads: [{width: 8}]}", "names its architecture"),
        ("{workloads: [{architecture: toy}]}", "names its frameworks"),
        ("{frameworks: fak, workloads: [{architecture: toy}]}", "did you mean 'fake'"),
        ("{frameworks: fake, workloads: [{architecture: toi}]}", "did you mean 'toy'"),
        ("{frameworks: fake, workloads: [{architecture: 7}]}", "an architecture is a name"),
        ("{frameworks: fake, workloads: [{architecture: toy, widht: 8}]}", "did you mean 'width'"),
        ("{frameworks: fake, workloads: [{architecture: toy, width: eight}]}", "hyperparameter width"),
        ("{frameworks: fake, workloads: [{architecture: toy, width: [[8]]}]}", "hyperparameter width"),
        ("{frameworks: fake, workloads: [{architecture: toy, width: {a: 1}}]}", "hyperparameter is"),
        ("{frameworks: fake, workloads: [{architecture: toy, width: []}]}", "1 to 1000000 workloads"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: 0}]}", "batch size"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: [1, -1]}]}", "batch size"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: 1000000}]}", "batch size"),
        ("{frameworks: fake, workloads: [{architecture: toy, input_size: 0}]}", "input size"),
        ("{frameworks: fake, workloads: [{architecture: toy, dtype: int8}]}", "dtype"),
        ("{frameworks: fake, workloads: [{architecture: toy, lengths: penn-treebank}]}", "lengths"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: adaptve}]}", "batch size"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: {max: 0}}]}", "max of an adaptive"),
        ("{frameworks: fake, workloads: [{architecture: toy, batch_size: {maximum: 9}}]}", "value of an adaptive"),
        ("{frameworks: fake, threads: 0, workloads: [{architecture: toy}]}", "threads is"),
        ("{frameworks: fake, threads: [], workloads: [{architecture: toy}]}", "threads is"),
        ("{frameworks: fake, repeats: 1.5, workloads: [{architecture: toy}]}", "repeats is"),
        ("{frameworks: {but: fake}, workloads: [{architecture: toy}]}", "key of frameworks"),
        ("{frameworks: {except: fakes}, workloads: [{architecture: toy}]}", "framework"),
        ("{frameworks: fake, longest_call_s: 0, workloads: [{architecture: toy}]}", "longest_call_s is above 0"),
        ("{frameworks: fake, longest_call_s: two, workloads: [{architecture: toy}]}", "longest_call_s is a number"),
        (
            "{frameworks: fake, longest_call_s: 2, workloads: [{architecture: toy, batch_size: adaptive}]}",
            "chooses itself",
        ),
        ("{frameworks: fake, order: sorted, workloads: [{architecture: toy}]}", "order is one of"),
        ("{frameworks: fake, protocol: {cell: 1}, workloads: [{architecture: toy}]}", "did you mean 'cell_s'"),
        ("{frameworks: fake, protocol: {cell_s: -1}, workloads: [{architecture: toy}]}", "protocol cell_s"),
        ("{frameworks: fake, protocol: fast, workloads: [{architecture: toy}]}", "protocol is a mapping"),
    ],
)
def test_refusals_are_one_line_and_name_the_file(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises((InputError, DataError), match=message) as caught:
        load_plan(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_too_many_cells_are_refused_before_they_are_made():
    many = {"architecture": "toy", "width": list(range(1, 2000)), "num_layers": list(range(1, 2000))}
    with pytest.raises(InputError, match="1000000 workloads"):
        parse({"frameworks": "fake", "workloads": [many]}, name="x")


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="did you mean 'toy'"):
        load_plan("toyy")
    with pytest.raises(DataError, match="No such file"):
        load_plan(tmp_path / "nosuch.yaml")
    with pytest.raises(DataError, match="a plan is a YAML file"):
        load_plan(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="a plan is a YAML file"):
        load_plan(tmp_path / "binary.yaml")


def made(order="random", repeats=2):
    workloads = tuple(grid("toy", num_layers=[2, 3, 4], width=8, batch_size=[1, 2, 4, 8], input_size=1))
    return Plan("x", (Grid(workloads, ("fake", "eager"), repeats=repeats),), order=order)


def arranged(plan, seed=0):
    return [cell for sweep in plan.sweeps(CPU, seed=seed) for cell in sweep.cells]


def runs(cells):
    """The groups of cells in order, each once for every stretch it stands in."""
    return [group(cell) for n, cell in enumerate(cells) if n == 0 or group(cell) != group(cells[n - 1])]


@pytest.mark.parametrize("order", ["random", "given"])
def test_sweeps_hold_every_cell_and_keep_groups_together(order):
    plan = made(order)
    cells = arranged(plan)
    assert sorted(cell.key for cell in cells) == sorted(cell.key for cell in plan.cells(CPU))
    assert len(runs(cells)) == len(set(runs(cells))) == len(plan.sweeps(CPU, seed=0)) == 3 * 2 * 2
    assert arranged(plan) == cells
    assert arranged(plan, seed=1) != cells


def test_random_order_shuffles_sweeps_and_keeps_repeats_apart():
    plan = made("random")
    orders = [runs(arranged(plan, seed)) for seed in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    for order in orders:
        assert [one.repeat for one in order] == [0] * 6 + [1] * 6


def test_random_order_spreads_repeats_over_the_run_of_all():
    once, thrice = made(repeats=1).grids[0], Grid(tuple(grid("toy", num_layers=9, width=[8, 9])), ("fake",), repeats=3)
    order = runs(arranged(Plan("x", (once, thrice))))
    repeats = [one.repeat for one in order if one.workload.settings["num_layers"] == 9]
    assert repeats == [0, 0, 1, 1, 2, 2]
    alone = [n for n, one in enumerate(order) if one.workload.settings["num_layers"] != 9]
    assert min(alone) < 6 < max(alone)


def test_given_order_shuffles_batch_sizes_alone():
    plan = made("given")
    orders = [runs(arranged(plan, seed)) for seed in range(5)]
    assert all(order == runs(plan.cells(CPU)) for order in orders)


def test_given_order_measures_the_first_grid_first():
    first = Grid(tuple(grid("toy", num_layers=9, width=8, input_size=1)), ("fake",), repeats=2)
    plan = Plan("x", (first, *made().grids), order="given")
    assert [cell.workload.settings["num_layers"] for cell in arranged(plan)[:3]] == [9, 9, 2]


@given(
    layers=st.sets(st.integers(1, 9), min_size=1),
    sizes=st.sets(st.integers(1, 64), min_size=1, max_size=5),
    repeats=st.integers(1, 3),
    order=st.sampled_from(["random", "given"]),
    of=st.integers(1, 12),
    seeds=st.lists(st.integers(), min_size=12, max_size=12),
)
def test_shards_share_no_sweep_and_are_the_whole_plan_whatever_the_seeds(layers, sizes, repeats, order, of, seeds):
    workloads = tuple(grid("toy", num_layers=sorted(layers), batch_size=sorted(sizes)))
    plan = Plan("x", (Grid(workloads, ("fake", "eager"), repeats=repeats),), order=order)
    shards = [plan.sweeps(CPU, seed=seed, shard=(part, of)) for part, seed in enumerate(seeds[:of], start=1)]
    found = [cell for shard in shards for sweep in shard for cell in sweep.cells]
    assert len(found) == len(set(found))
    assert set(found) == set(plan.cells(CPU))
    assert sum(map(len, shards)) == len(plan.sweeps(CPU, seed=0))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_shard_keeps_the_order_of_its_plan():
    plan = made("random", repeats=3)
    whole, part = ([group(one.listed[0]) for one in plan.sweeps(CPU, seed=7, shard=own)] for own in (None, (2, 3)))
    assert part == [one for one in whole if one in part]


def test_each_shard_has_its_share_of_every_framework_and_architecture():
    kinds = [grid("toy", num_layers=list(range(1, 13))), grid("mlp", num_layers=list(range(1, 7)))]
    cells = (Grid(tuple(workloads), ("fake", "eager"), repeats=2) for workloads in kinds)
    plan = Plan("x", tuple(cells))
    for part in range(1, 5):
        firsts = [one.listed[0] for one in plan.sweeps(CPU, seed=0, shard=(part, 4))]
        seen = Counter((one.framework, one.workload.architecture) for one in firsts)
        assert seen == {("fake", "toy"): 6, ("eager", "toy"): 6, ("fake", "mlp"): 3, ("eager", "mlp"): 3}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amd-epyc-genoa-2core", "intel-xeon-amx-2core", "x86-epyc-2core"])
def test_shards_take_about_as_long_as_each_other(monkeypatch, name):
    seconds = Counter()
    for one in records(name):
        calls = sum(one.samples) * one.calls_per_block + one.warmup_calls * (one.latency_s or 0.0)
        seconds[group(one.cell)] += 1.0 + (one.prepare_s or 0.0) + (one.first_call_s or 0.0) + calls
    plan = made()
    monkeypatch.setattr(Plan, "_sweeps", lambda *_: [Sweep((one,)) for one in seconds])
    for of, most in ((4, 1.08), (10, 1.21)):
        parts = [plan.sweeps(CPU, seed=0, shard=(part, of)) for part in range(1, of + 1)]
        taken = [sum(seconds[one.listed[0]] for one in own) for own in parts]
        assert max(taken) < most * sum(taken) / of


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 0), (-1, 3), (True, 1), (1.0, 2)])
def test_a_shard_that_there_is_not_is_refused(shard):
    with pytest.raises(InputError, match=r"a shard is a part of a plan|each number of a shard"):
        made().sweeps(CPU, seed=0, shard=shard)


def adaptive(text="adaptive", more=""):
    plan = parse(
        yaml.safe_load(f"{{frameworks: fake, workloads: [{{architecture: toy, batch_size: {text}}} {more}]}}"), name="x"
    )
    (sweep,) = plan.sweeps(CPU, seed=0)
    assert set(sweep.cells) == set(plan.cells(CPU))
    return sweep


def sizes(cells):
    return [cell.workload.batch_size for cell in cells]


def after(sweep, **seconds):
    """What is done when these batch sizes (``b8=0.1``) took so many seconds; None where they failed."""
    by_size = {cell.workload.batch_size: cell.key for cell in sweep.cells}
    return {by_size[int(b[1:])]: Outcome("ok" if s else "crashed", s) for b, s in seconds.items()}


def limited(batch_size="[8, 1, 64, 4]"):
    text = f"{{frameworks: fake, longest_call_s: 2, workloads: [{{architecture: toy, batch_size: {batch_size}}}]}}"
    (sweep,) = parse(yaml.safe_load(text), name="x").sweeps(CPU, seed=0)
    return sweep


def test_longest_call_begins_with_the_smallest_batch():
    assert limited().next({}).workload.batch_size == 1


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        ({"b1": 1e-3}, {4, 8, 64}),
        ({"b1": 0.3}, {4}),
        ({"b1": 0.3, "b4": 0.3}, {8}),
        ({"b1": 0.3, "b4": 1.2}, {None}),
        ({"b1": 0.3, "b4": 0.3, "b8": 0.2}, {64}),
        ({"b1": 3.0}, {None}),
        ({"b1": None}, {None}),
        ({"b1": 0.1, "b4": None}, {None}),
    ],
)
def test_longest_call_leaves_out_what_would_take_longer(seconds, more):
    sweep = limited()
    done = after(sweep, **seconds)
    chosen = sweep.next(done)
    assert (chosen and chosen.workload.batch_size) in more
    if chosen is None:
        assert sizes(sweep.wanted(done)) == [size for size in sizes(sweep.listed) if f"b{size}" in seconds]


def test_all_frameworks_are_those_installed(monkeypatch):
    monkeypatch.setattr(frameworks.load("fake").__class__, "preload", ("no_such_package",))
    (every,) = parse(yaml.safe_load("{frameworks: all, workloads: [{architecture: toy}]}"), name="x").grids
    assert set(frameworks.names()) - set(every.frameworks) == {"fake"}


def test_all_frameworks_except_some():
    text = "{frameworks: {except: [fake, nested]}, workloads: [{architecture: toy}]}"
    (some,) = parse(yaml.safe_load(text), name="x").grids
    assert set(frameworks.installed()) - set(some.frameworks) == {"fake", "nested"}


def test_adaptive_batch_size():
    assert sizes(adaptive().cells) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert sizes(adaptive("{max: 12}").cells) == [1, 2, 4, 8, 12]
    assert adaptive("{tolerance: 0.3}").adaptive.tolerance == 0.3
    assert sizes(adaptive().listed) == [1]


def test_adaptive_sweep_measures_one_and_goes_on_from_what_it_saw():
    sweep = adaptive()
    assert sweep.next({}).workload.batch_size == 1
    assert sizes(sweep.wanted({})) == sizes(sweep.cells)
    assert sweep.next(after(sweep, b1=0.1)).workload.batch_size == 8
    assert sweep.next(after(sweep, b1=None)) is None
    done = after(sweep, b1=0.1, b8=0.8, b64=6.4)  # in proportion to the batch from the start
    assert sweep.next(done) is None
    assert sizes(sweep.wanted(done)) == [1, 8, 64]


def test_adaptive_and_listed_batch_sizes_of_one_sweep_are_one():
    sweep = adaptive(more=", {architecture: toy, batch_size: [1, 3, 64]}")
    assert sorted(sizes(sweep.listed)) == [1, 3, 64]
    assert sweep.next(after(sweep, b1=0.1)).workload.batch_size in (3, 64)
    assert sweep.next(after(sweep, b1=0.1, b3=0.3, b64=6.4)) is None


def test_sequence_length_sweeps():
    text = """
        {frameworks: [fake, eager], workloads: [{architecture: bert, preset: bert-tiny, input_size: [16, 128, 512],
        batch_size: [1, 8]}, {architecture: bert, input_size: [32, 64], batch_size: adaptive}]}
        """
    plan = parse(yaml.safe_load(text), name="x")
    sweeps = plan.sweeps(CPU, seed=0)
    assert len(sweeps) == 2 * 5
    for sweep in sweeps:
        assert len({cell.workload.input_size for cell in sweep.cells}) == 1
    assert {cell.workload.input_size for cell in plan.cells(CPU)} == {16, 32, 64, 128, 512}


def test_group_is_everything_but_the_batch_size():
    cells = made().cells(CPU)
    assert group(cells[0]) == group(cells[1])
    assert (
        group(cells[0]).workload
        == cells[0].workload.curve
        == Workload("toy", {"num_layers": 2, "width": 8}, input_size=1)
    )
    assert len({group(cell) for cell in cells}) == 12


def test_all_stands_for_every_architecture_and_framework():
    plan = parse({"frameworks": "all", "workloads": [{"architecture": "all", "batch_size": [1, 2]}]}, name="every")
    cells = plan.cells(CPU)
    assert {cell.framework for cell in cells} == set(frameworks.names())
    assert {cell.workload.architecture for cell in cells} == set(architectures.names())
    assert {cell.workload.batch_size for cell in cells} == {1, 2}


def test_adaptive_sweeps_have_a_protocol_of_their_own_unless_the_plan_says_otherwise() -> None:
    adaptive = {"architecture": "toy", "batch_size": "adaptive"}
    listed = {"architecture": "toy", "batch_size": [1, 2]}
    plan = {"frameworks": "fake", "protocol": {"cell_s": 0.5}}
    own = parse({**plan, "workloads": [adaptive]}, name="own").protocol
    assert (own.half_width, own.cell_s) == (PROTOCOL.half_width, 0.5)
    assert parse({**plan, "workloads": [adaptive, listed]}, name="both").protocol.half_width == Protocol().half_width


@pytest.mark.parametrize(
    "text",
    [
        "{frameworks: fake, repeats: 1000000000, workloads: [{architecture: toy}]}",
        "{frameworks: fake, threads: [1, 2], repeats: 600000, workloads: [{architecture: toy}]}",
    ],
)
def test_a_plan_of_more_cells_than_anybody_measures_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a plan has 1,000,000 cells at most"):
        parse(yaml.safe_load(text), name="many")
