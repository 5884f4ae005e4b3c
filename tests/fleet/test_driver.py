"""The driver of a fleet, on simulated machines: every cell once, whatever is lost; unequal machines told apart."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.worker_pool import Interrupts
from ftax_model.dataset import Writer, load_dataset, read
from ftax_model.errors import InputError, MissingError
from ftax_model.fleet import FleetSummary, sentinels_file
from ftax_model.fleet.driver import Fleet
from ftax_model.measurement import Profile
from ftax_model.workload import grid

KIND = "some-cpu-2core"


@pytest.fixture(scope="session")
def simulate(script: Callable[[str], ModuleType]) -> ModuleType:
    """scripts/simulate_fleet.py."""
    return script("simulate_fleet")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the dataset is written."""
    return tmp_path / "fleet.jsonl"


def plan(frameworks: tuple[str, ...] = ("fake",), repeats: int = 2) -> Plan:
    """Sixteen cells a repeat and framework."""
    toys = grid("toy", num_layers=[2, 4, 8, 16], width=16, batch_size=[1, 4, 16, 64], input_size=1)
    return Plan("small", (Grid(tuple(toys), frameworks, (1,), repeats),))


def with_a_bad_one(simulate: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> Any:
    """A good machine, and a bad one that answers this whatever it is to measure."""
    engine = simulate.Simulation([simulate.Simulated("good", KIND), simulate.Simulated("bad", KIND)])
    look = engine._look

    def bad(one: Any, *asked: Any) -> Any:
        seconds, told = look(one, *asked)
        return seconds, answer if one.name == "bad" else told

    monkeypatch.setattr(engine, "_look", bad)
    return engine


def devices(out: Path) -> Counter[str]:
    """Cells of each device; a cell that is there twice is an error of reading."""
    return Counter(one.cell.device for one in read(out))


def test_machines_of_a_kind_share_its_cells_and_each_measures_one_at_a_time(simulate: ModuleType, out: Path) -> None:
    machines = [simulate.Simulated(f"m{at}", f"kind-{at % 2}-2core") for at in range(5)]
    engine = simulate.Simulation(machines)
    found = simulate.collect(plan(), engine, out)
    assert devices(out) == {"kind-0-2core": 32, "kind-1-2core": 32}
    assert (found.all.measured, found.all.remaining, found.all.stopped_by) == (64, 0, "")
    assert {one.device for one in found.machines} == {"kind-0-2core", "kind-1-2core"}
    assert min(one.measured for one in found.machines) > 0
    told = {one.environment["machine"]: one.cell.device for one in read(out)}
    assert told == {one.name: one.device for one in machines}
    for name in told:
        times = [at for at, machine, _ in engine.asked if machine == name]
        assert min(b - a for a, b in itertools.pairwise(times)) >= 0.5 * simulate.CELL_S


def test_another_run_measures_nothing_again(simulate: ModuleType, out: Path) -> None:
    simulate.collect(plan(), simulate.Simulation([simulate.Simulated("a", KIND)]), out)
    before = out.read_bytes()
    engine = simulate.Simulation([simulate.Simulated("b", KIND)])
    again = simulate.collect(plan(), engine, out)
    assert (again.all.measured, again.all.done_before) == (0, 32)
    assert out.read_bytes() == before


@pytest.mark.parametrize("seed", range(5))
def test_what_a_lost_machine_was_at_goes_to_others(simulate: ModuleType, out: Path, seed: int) -> None:
    machines = [simulate.Simulated(f"m{at}", KIND, lost_every_s=60.0, away_s=20.0) for at in range(4)]
    engine = simulate.Simulation(machines, seed=seed)
    found = simulate.collect(plan(repeats=6), engine, out)
    assert engine.lost > 0
    assert len(read(out)) == found.all.measured  # none twice
    assert found.all.remaining == sum("was left" in note for note in found.notes)
    while found.all.remaining:
        found = simulate.collect(plan(repeats=6), simulate.Simulation([simulate.Simulated("new", KIND)]), out)
    assert devices(out) == {KIND: 96}


def test_a_machine_that_comes_back_goes_on(simulate: ModuleType, out: Path) -> None:
    only = simulate.Simulated("only", KIND, lost_every_s=30.0, away_s=10.0)
    found = simulate.collect(plan(repeats=1), simulate.Simulation([only], seed=3), out)
    assert found.machines[0].lost in (1, 2, 3)
    assert "the node died" in found.machines[0].note
    assert found.all.measured == 16 - found.all.remaining


def test_a_machine_that_is_lost_all_night_is_used_all_night(simulate: ModuleType, out: Path) -> None:
    only = simulate.Simulated("only", KIND, lost_every_s=60.0, away_s=10.0)
    found = simulate.collect(plan(repeats=18), simulate.Simulation([only], seed=1), out)
    assert found.machines[0].lost > 3
    assert found.all.measured >= 286


def test_a_machine_that_never_measures_is_left_alone(
    simulate: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_a_bad_one(simulate, monkeypatch, {"stop": "no memory"})
    found = simulate.collect(plan(repeats=9), engine, out)
    assert (found.machines[0].lost, found.machines[0].note) == (3, "lost: no memory")
    assert found.all.remaining == 0


def test_a_cell_that_ends_machines_is_left(simulate: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = simulate.Simulation([simulate.Simulated(f"m{at}", KIND) for at in range(4)])
    look, deadly = engine._look, []

    def dies(one: Any, kind: str, cell: dict[str, Any], features: Any) -> Any:
        if cell["workload"]["batch_size"] == 64 and cell["workload"]["hyperparameters"]["num_layers"] == 16:
            deadly.append(one.name)
            one.there = False
            engine._later(5.0, one.name, 0, "come")
        return look(one, kind, cell, features)

    monkeypatch.setattr(engine, "_look", dies)
    found = simulate.collect(plan(repeats=1), engine, out)
    assert len(deadly) == 2
    assert (found.all.measured, found.all.remaining) == (15, 1)
    assert any("batch 64" in note and "2 machines were lost with it" in note for note in found.notes)


def test_machines_that_should_be_equal_and_are_not_are_told_apart(simulate: ModuleType, out: Path) -> None:
    factors = {"a": 1.0, "b": 1.01, "slow": 1.4, "slower": 2.0, "c": 0.99, "as-slow": 1.41}
    machines = [simulate.Simulated(name, KIND, factor) for name, factor in factors.items()]
    found = simulate.collect(plan(), simulate.Simulation(machines), out)
    own = {one.name: one.device for one in found.machines}
    assert own["a"] == own["b"] == own["c"]
    assert own["slow"] == own["as-slow"]
    assert len({*own.values()}) == 3
    assert {*own.values()} == {KIND, f"{KIND}-b", f"{KIND}-c"}
    assert devices(out) == dict.fromkeys({*own.values()}, 32)
    table = load_dataset(out).groupby(["device", "batch_size"])["latency_s"].median().unstack()
    ratio = table.loc[own["slow"]] / table.loc[own["a"]]
    assert ratio.between(1.35, 1.45).all()
    assert any("slow is not like others" in note or "is not like others" in note for note in found.notes)


def test_they_keep_their_names_in_another_run(simulate: ModuleType, out: Path) -> None:
    def machines(*names: str) -> Any:
        return simulate.Simulation([simulate.Simulated(one, KIND, 1.5 if one == "slow" else 1.0) for one in names])

    simulate.collect(plan(repeats=1), machines("a", "slow"), out)
    found = simulate.collect(plan(), machines("slow", "a", "new"), out)
    own = {one.name: one.device for one in found.machines}
    assert own["a"] == own["new"] != own["slow"]
    assert {one.cell.device for one in read(out) if one.environment["machine"] == "slow"} == {own["slow"]}
    assert {one.cell.device for one in read(sentinels_file(out))} == {*own.values()}


def test_what_one_machine_measured_before_tells_the_first_of_a_fleet(simulate: ModuleType, out: Path) -> None:
    simulate.collect(plan(), simulate.Simulation([simulate.Simulated("alone", KIND)]), out)
    sentinels_file(out).unlink()
    found = simulate.collect(plan(), simulate.Simulation([simulate.Simulated("slow", KIND, 1.5)]), out)
    assert found.machines[0].device == f"{KIND}-b"


def test_a_machine_that_slows_down_is_another_device_from_then_on(
    simulate: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = simulate.Simulated("hot", KIND)
    engine = simulate.Simulation([machine])
    look = engine._look

    def throttles(one: Any, *asked: Any) -> Any:
        one.factor = 1.5 if engine.now() > 100 else 1.0
        return look(one, *asked)

    monkeypatch.setattr(engine, "_look", throttles)
    found = simulate.collect(plan(repeats=12), engine, out, check_s=30.0)
    assert any(f"hot turned from {KIND} into {KIND}-b" in note for note in found.notes)
    assert devices(out)[f"{KIND}-b"] == 192


def test_versions_that_differ_are_told_or_refused(simulate: ModuleType, out: Path) -> None:
    def engine() -> Any:
        other = simulate.Simulated("b", KIND, versions={**simulate.VERSIONS, "torch": "2.12.0"})
        return simulate.Simulation([simulate.Simulated("a", KIND), other])

    with pytest.raises(InputError, match=r"--same-environment.*torch 2\.13\.0 \(a\), 2\.12\.0 \(b\)"):
        simulate.collect(plan(), engine(), out, same_environment=True)
    assert not read(out)
    found = simulate.collect(plan(), engine(), out)
    assert any("torch 2.13.0 (a), 2.12.0 (b)" in note for note in found.notes)
    assert found.all.measured == 32
    same = simulate.Simulation([simulate.Simulated("a", KIND), simulate.Simulated("c", KIND)])
    assert simulate.collect(plan(repeats=3), same, out, same_environment=True).all.measured == 16


def test_one_that_comes_later_with_other_versions_is_refused_alone(simulate: ModuleType, out: Path) -> None:
    late = simulate.Simulated("late", KIND, versions={"python": "3.12", "torch": "2.13.0"}, there=False)
    engine = simulate.Simulation([simulate.Simulated("a", KIND), late])
    engine._later(20.0, "late", 0, "come")
    found = simulate.collect(plan(), engine, out, same_environment=True)
    assert {one.environment["machine"] for one in read(out)} == {"a"}
    assert "python 3.11 (a), 3.12 (late)" in found.machines[1].note
    assert found.all.remaining == 0


def test_frameworks_are_measured_where_they_are(simulate: ModuleType, out: Path) -> None:
    machines = [simulate.Simulated("a", KIND), simulate.Simulated("b", KIND, frameworks=("fake", "eager"))]
    found = simulate.collect(plan(("fake", "eager", "onnxruntime")), simulate.Simulation(machines), out)
    own = {(one.cell.framework, one.environment["machine"]) for one in read(out)}
    assert ("eager", "b") in own
    assert not {("eager", "a"), ("onnxruntime", "a"), ("onnxruntime", "b")} & own
    assert found.all.measured == 64
    assert any("onnxruntime is on no machine: 8 sweeps" in note for note in found.notes)


def test_machines_none_of_which_can_measure_are_one_line(
    simulate: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = simulate.Simulation([simulate.Simulated("old", KIND)])
    describe = engine._describe
    monkeypatch.setattr(engine, "_describe", lambda one: (1.0, {**describe(one)[1], "device": {"nme": "x"}}))
    with pytest.raises(MissingError, match=r"got old lost: it has another ftax_model, install the same there"):
        simulate.collect(plan(), engine, out)


def test_a_machine_on_which_others_come_first_is_told(simulate: ModuleType, out: Path) -> None:
    machines = [simulate.Simulated("a", KIND), simulate.Simulated("nice", KIND, niceness=15)]
    found = simulate.collect(plan(), simulate.Simulation(machines), out)
    (note,) = found.notes
    assert "come first on nice (niceness 15): start its node with RAY_worker_niceness=0" in note


def test_no_machine_is_one_line(simulate: ModuleType, out: Path) -> None:
    with pytest.raises(MissingError, match="no node that offers ftax in 60 s; start its nodes with ray start"):
        simulate.collect(plan(), simulate.Simulation([]), out)


def test_a_budget_is_kept_by_every_machine(simulate: ModuleType, out: Path) -> None:
    engine = simulate.Simulation([simulate.Simulated(f"m{at}", KIND) for at in range(3)])
    found = simulate.collect(plan(repeats=18), engine, out, budget_s=40.0)
    assert found.all.stopped_by == "budget"
    assert engine.now() <= 40.0 + 2.0
    assert 0 < found.all.measured == len(read(out)) < 288
    assert found.all.remaining == 288 - found.all.measured


def test_fleets_share_out_a_plan(simulate: ModuleType, out: Path) -> None:
    keys = []
    for part in (1, 2, 3):
        engine, file = simulate.Simulation([simulate.Simulated("a", KIND)]), out.with_name(f"{part}.jsonl")
        simulate.collect(plan(repeats=3), engine, file, shard=(part, 3))
        keys += [one.cell.key for one in read(file)]
    assert len(keys) == len({*keys}) == 48


def test_a_signal_ends_it(simulate: ModuleType, out: Path) -> None:
    engine = simulate.Simulation([simulate.Simulated("a", KIND)])
    interrupts = Interrupts()

    def tell(done: int, planned: int, now: str) -> None:
        if done == 5:
            interrupts.name = "SIGTERM"

    with Writer(out) as writer, Writer(sentinels_file(out)) as sentinels:
        found: FleetSummary = Fleet(plan(), engine, writer, sentinels, tell=tell).run(interrupts)
    assert found.all.stopped_by == "SIGTERM"
    assert len(read(out)) == found.all.measured in (5, 6)


def test_operators_are_profiled_once_all_is_measured(simulate: ModuleType, out: Path, tmp_path: Path) -> None:
    engine = simulate.Simulation([simulate.Simulated("a", KIND), simulate.Simulated("b", KIND)])
    file = tmp_path / "fleet.operators.jsonl"
    with Writer(out) as writer, Writer(sentinels_file(out)) as sentinels, Writer(file, Profile) as profiles:
        found = Fleet(plan(), engine, writer, sentinels, profiles).run()
    assert found.all.operators is not None
    assert (found.all.measured, found.all.operators.measured) == (32, 16)
    assert {one.cell.repeat for one in read(file, Profile)} == {0}


def test_a_machine_that_sends_no_record_is_lost(
    simulate: ModuleType, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_a_bad_one(simulate, monkeypatch, {"record": {"schema": 99}})
    found = simulate.collect(plan(), engine, out)
    assert {one.environment["machine"] for one in read(out)} == {"good"}
    assert "no record" in found.machines[0].note
    assert found.all.remaining == 0


def test_a_thousand_machines_take_no_recursion(simulate: ModuleType, out: Path) -> None:
    engine = simulate.Simulation([simulate.Simulated(f"m{at}", KIND) for at in range(1000)])
    found = simulate.collect(dataclasses.replace(plan(repeats=1)), engine, out)
    assert found.all.measured == 16
    assert len(found.machines) == 1000
