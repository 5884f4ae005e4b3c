"""Differences between two looks at the same cells: what moved, what noise explains, and what changed beside."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import random
import weakref
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ftax_model import dataset
from ftax_model.advice.difference import COLUMNS, Changed, difference
from ftax_model.cli import main
from ftax_model.collection import drift
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload

FRAMEWORKS = ("eager", "onnxruntime")
VERSIONS = {"python": "3.11.7", "ftax_model": "0.1.0", "torch": "2.13.0"}


def looked(
    device: str = "a",
    *,
    slower: Callable[[Cell], float] = lambda _: 1.0,
    sitting: str = "s",
    noise: Callable[[], float] = lambda: 0.0,
    repeats: int = 3,
    **environment: Any,
) -> list[Measurement]:
    """Eight cells in two frameworks, in fresh processes some percent apart."""
    found = []
    for framework, layers, size, repeat in itertools.product(FRAMEWORKS, (1, 2, 3, 4), (1, 8), range(repeats)):
        workload = Workload("toy", {"num_layers": layers}, batch_size=size)
        cell = Cell(workload, framework, device, repeat=repeat)
        latency_s = 1e-3 * layers * size * slower(cell) * math.exp(0.01 * (repeat - 1) + noise())
        own = {"sitting": sitting, "framework_version": "1.0", "versions": VERSIONS, "load_before": random.random()}
        found.append(Measurement(cell, latency_s=latency_s, samples=(latency_s,) * 4, environment=own | environment))
    return found


def test_ratios_are_other_over_one_whatever_the_device_and_the_repeat() -> None:
    found = difference(
        looked("a"), looked("b", slower=lambda cell: 2.0 if cell.framework == "eager" else 0.5, repeats=5)
    )
    assert (found.one.device, found.other.device) == ("a", "b")
    groups = found.groups.set_index("framework")
    assert groups["cells"].to_dict() == dict.fromkeys(FRAMEWORKS, 8)
    assert groups["ratio"].to_dict() == pytest.approx({"eager": 2.0, "onnxruntime": 0.5}, rel=0.02)
    assert groups["beyond"].all()
    assert found.beyond
    assert (groups["low"] < groups["ratio"]).all()
    assert (groups["ratio"] < groups["high"]).all()
    assert len(found.cells) == 16
    assert found.cells["ratio"].to_numpy() == pytest.approx(found.cells["other_s"] / found.cells["one_s"])


def test_the_same_again_differs_in_nothing() -> None:
    found = difference(looked(), looked(sitting="later"))
    assert not found.beyond
    assert not found.cells["beyond"].any()
    assert found.changed == ()


def test_one_cell_that_moved_is_the_furthest_and_does_not_move_its_group() -> None:
    def one(cell: Cell) -> float:
        return (
            0.4
            if (cell.framework, cell.workload.settings["num_layers"], cell.workload.batch_size) == ("eager", 3, 8)
            else 1.0
        )

    found = difference(looked(), looked(slower=one))
    assert not found.beyond
    group = found.groups.set_index("framework").loc["eager"]
    assert (group["cells_beyond"], group["furthest"]) == (1, "toy L3, batch 8")
    assert group["furthest_ratio"] == pytest.approx(0.4, rel=0.01)
    assert found.cells.iloc[0]["beyond"]
    assert found.cells.iloc[0]["ratio"] == pytest.approx(0.4, rel=0.01)
    by_model = difference(looked(), looked(slower=one), by=["model", "batch_size"])
    told = by_model.groups.set_index(["model", "batch_size"])
    assert set(told["cells"]) == {2}


def test_noise_is_that_of_drift() -> None:
    """The interval of a group excludes 1 where `ftax doctor --baseline` calls it drift, and nowhere else."""
    for by in (1.0, 1.02, 1.05, 1.08, 1.1, 1.15, 1.3):
        one, other = looked(), looked(sitting="later", slower=lambda _, by=by: by)
        found = difference(one, other).groups.set_index("framework")
        shifts = {one.platform.framework: one for one in drift.shifts(one, other)}
        for name in FRAMEWORKS:
            assert found.loc[name, "beyond"] == shifts[name].drifted
            assert math.log(found.loc[name, "ratio"]) == pytest.approx(shifts[name].by)
            assert math.log(found.loc[name, "high"] / found.loc[name, "ratio"]) == pytest.approx(shifts[name].noise)


def test_where_there_is_nothing_but_noise_few_groups_and_one_cell_in_a_hundred_differ() -> None:
    draw, alarms, cells, beyond, runs = random.Random(0), 0, 0, 0, 60
    for _ in range(runs):
        sides = []
        for sitting in "ab":
            shared = draw.gauss(0, drift.BETWEEN)
            sides.append(looked(sitting=sitting, noise=lambda shared=shared: shared + draw.gauss(0, 0.04)))
        found = difference(*sides)
        alarms, cells, beyond = alarms + found.beyond, cells + 16, beyond + int(found.cells["beyond"].sum())
    assert alarms <= 3  # of 60, of which 1 in 100 is promised
    assert beyond / cells < 0.03


def test_cells_of_one_side_alone_and_failures_of_one_side_are_counted() -> None:
    one, other = looked(), looked("b")
    lost = [dataclasses.replace(own, status="crashed", latency_s=None, samples=()) for own in other[:6]]
    found = difference(one, [*lost, *other[6:30]])  # two cells that crashed, six that were never looked at
    assert (found.one.alone, found.one.failed) == (6, 0)
    assert (found.other.alone, found.other.failed) == (0, 2)
    assert len(found.cells) == 8
    again = difference(one, [*lost[:2], *other[2:]])  # of three processes one is enough
    assert (again.other.failed, len(again.cells)) == (0, 16)


def test_what_changed_beside_is_told_once() -> None:
    new = {"framework_version": "2.0", "versions": {**VERSIONS, "torch": "2.14.0", "ftax_model": "0.2.0"}}
    found = difference(
        looked(device_model="X", host_cpu="X", torch={"threads": 1, "attention": None}),
        looked(device_model="Y", host_cpu="Y", torch={"threads": 2, "attention": "sdpa"}, driver="5.1", seed=9, **new),
    )
    assert set(found.changed) == {
        Changed("eager, onnxruntime", ("1.0",), ("2.0",)),
        Changed("torch", ("2.13.0",), ("2.14.0",)),
        Changed("device_model, host_cpu", ("X",), ("Y",)),
        Changed("torch threads", ("1",), ("2",)),
        Changed("torch attention", (), ("sdpa",)),
        Changed("driver", (), ("5.1",)),
    }
    assert {str(one) for one in found.changed} >= {"torch 2.13.0 to 2.14.0", "driver none to 5.1"}


def test_of_several_devices_one_is_named() -> None:
    both = [*looked("a"), *looked("b", slower=lambda _: 2.0)]
    with pytest.raises(InputError, match="each side of a comparison is one device; got a and b"):
        difference(both, looked("c"))
    with pytest.raises(InputError, match="device of the dataset is one of a, b"):
        difference(both, looked("c"), devices=("x", None))
    found = difference(both, both, devices=("a", "b"))
    assert found.groups["ratio"].to_list() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ([], "no cell in common"),
        (
            [dataclasses.replace(one, cell=dataclasses.replace(one.cell, threads=2)) for one in looked()],
            "threads 1 and 2",
        ),
        (
            [dataclasses.replace(one, cell=dataclasses.replace(one.cell, framework="inductor")) for one in looked()],
            "framework eager, onnxruntime and inductor",
        ),
    ],
)
def test_nothing_in_common_is_refused_and_says_why(other: Iterable[Measurement], says: str) -> None:
    with pytest.raises(DataError, match=says):
        difference(looked(), other)


def test_groups_are_by_columns_that_there_are() -> None:
    with pytest.raises(InputError, match="did you mean 'batch_size'"):
        difference(looked(), looked(), by=["batch_sise"])
    for name in COLUMNS:
        assert difference(looked(), looked(), by=[name, name]).groups["cells"].sum() == 16


def test_records_are_not_kept() -> None:
    alive: set[int] = set()
    most = 0

    def coming() -> Iterator[Measurement]:
        nonlocal most
        for at, one in enumerate(looked()):
            own = dataclasses.replace(one)
            alive.add(at)
            weakref.finalize(own, alive.discard, at)
            del one
            yield own
            del own
            most = max(most, len(alive))

    difference(coming(), looked())
    assert most <= 2


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    new = looked("b", slower=lambda cell: 2.0 if cell.framework == "eager" else 1.0, driver="6")
    for name, own in (("a", looked("a", driver="5")), ("b", new[3:]), ("both", [*looked("a"), *new])):
        with dataset.Writer(f"{name}.jsonl") as writer:
            for one in own:
                writer.write(one)
    return tmp_path


def test_the_command_tells_groups_cells_and_what_is_beside(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.jsonl", "b.jsonl", "--top", "3"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].strip() == "a.jsonl (a) to b.jsonl (b)"
    assert lines[2].split()[:3] == ["eager", "7", "2"]
    assert lines[3].split()[:3] == ["onnxruntime", "8", "1"]
    assert sum(", eager" in line for line in lines) == 3
    assert lines[-1] == "also changed: driver 5 to 6"
    assert said.err == "note: cells in a.jsonl alone: 1\n"


def test_the_json_is_that_of_its_schema(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.jsonl", "b.jsonl", "--json", "--by", "framework,threads", "--top", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    schema = json.loads((resources.files("ftax_model.schemas") / "difference.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    assert found["one"] == {"name": "a.jsonl", "device": "a", "alone": 1, "failed": 0}
    assert [one["threads"] for one in found["answers"]] == [1, 1]
    assert len(found["cells"]) == 2


def test_csv_holds_every_cell(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.jsonl", "b.jsonl", "--csv", "--top", "1"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == ",".join([*COLUMNS, "one_s", "other_s", "ratio", "low", "high", "beyond"])
    assert len(rows) == 15


def test_check_is_of_groups(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.jsonl", "b.jsonl", "--check"]) == 1
    assert main(["diff", "a.jsonl", "a.jsonl", "--check"]) == 0
    assert capsys.readouterr().err.count("Traceback") == 0


def test_devices_are_named_once_for_both_or_twice(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "both.jsonl", "both.jsonl"]) == 2
    assert "got a and b; name one of each side: --device NAME" in capsys.readouterr().err
    for devices, ratio in ((("a", "b"), "2"), (("b", "a"), "0.5"), (("b",), "1")):
        options = [word for name in devices for word in ("--device", name)]
        assert main(["diff", "both.jsonl", "both.jsonl", *options]) == 0
        assert capsys.readouterr().out.splitlines()[2].split()[:3] == ["eager", "8", ratio]
    assert main(["diff", "a.jsonl", "b.jsonl", *["--device", "a"] * 3]) == 2
    assert "twice at most" in capsys.readouterr().err
