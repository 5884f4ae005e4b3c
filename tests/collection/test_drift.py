"""Drift: what moved, beyond noise; and whether versions or the machine moved."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ftax_model.cli import main
from ftax_model.collection import drift
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import Writer, read
from ftax_model.errors import DataError
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload, grid


def sitting(name: str = "a", *, slower: Any = None, versions: Any = None) -> Any:
    """Four cells in two frameworks, in three processes each."""
    found = []
    for framework, cell, repeat in itertools.product(("eager", "onnxruntime"), range(4), range(3)):
        latency_s = 1e-3 * (cell + 1) * (1 + 0.01 * (repeat - 1)) * (slower or {}).get(framework, 1.0)
        own = {"framework_version": (versions or {}).get(framework, "1.0")}
        where = Cell(Workload("toy", {"num_layers": cell + 1}), framework, "here", repeat=repeat)
        found.append(Measurement(where, latency_s=latency_s, environment={"sitting": name, **own}))
    return found


def said(before: Any, now: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.level, one.saw) for one in drift.findings(drift.shifts(before, now))}


def test_the_same_again_is_no_drift() -> None:
    found = said(sitting(), sitting("b", slower={"eager": 1.02}))
    assert {name: level for name, (level, _) in found.items()} == {
        "drift of eager": "good",
        "drift of onnxruntime": "good",
    }
    assert "+2.0 % over 4 cells; noise reaches" in found["drift of eager"][1]


def test_what_moves_without_a_new_version_is_the_machine() -> None:
    found = said(sitting(), sitting("b", slower={"eager": 1.5, "onnxruntime": 1.5}))
    assert found["drift of eager"] == ("bad", found["drift of eager"][1])
    assert found["cause of drift"][1].startswith("the machine: eager, onnxruntime moved, and no version of theirs did")


def test_what_moves_alone_with_its_version_is_the_version() -> None:
    found = said(sitting(), sitting("b", slower={"eager": 0.6}, versions={"eager": "2.0"}))
    assert found["drift of onnxruntime"][0] == "good"
    assert found["cause of drift"][1].startswith("versions: framework_version 1.0 to 2.0; platforms whose versions")


def test_where_all_moved_and_all_versions_are_new_nothing_can_be_told() -> None:
    new = {"eager": "2.0", "onnxruntime": "2.0"}
    found = said(sitting(), sitting("b", slower=dict.fromkeys(new, 1.5), versions=new))
    assert "or the machine" in found["cause of drift"][1]


def test_one_cell_that_moves_alone_is_named() -> None:
    now = sitting("b")
    now[:3] = [dataclasses.replace(one, latency_s=2 * one.latency_s) for one in now[:3]]
    (level, saw) = said(sitting(), now)["drift of eager"]
    assert "+0.0 % over 4 cells" in saw
    assert "apart from the others: toy L1, batch 1 +100.0 %" in saw
    assert level == "warning"


def test_quiet_sittings_sharpen_and_wide_ones_blunt_what_counts_as_noise() -> None:
    one = drift.shifts(sitting(), sitting("x"))[0].noise
    quiet = [one for name in "abcdefgh" for one in sitting(name)]
    wide = [one for at, name in enumerate("abcdefgh") for one in sitting(name, slower={"eager": 1 + 0.1 * (at % 2)})]
    assert drift.shifts(quiet, sitting("x"))[0].noise < 0.8 * one < one < drift.shifts(wide, sitting("x"))[0].noise


def test_failed_cells_and_others_are_left_out() -> None:
    lost = [dataclasses.replace(one, status="crashed", latency_s=None) for one in sitting("b")]
    (finding,) = drift.findings(drift.shifts(sitting(), lost))
    assert (finding.level, finding.saw) == ("unknown", "no cell could be measured both then and now")


def test_sentinels_are_the_plans_or_short_cells_of_each_platform() -> None:
    with pytest.raises(DataError, match="a baseline was measured on this device, elsewhere; got here"):
        drift.sentinels(sitting(), "elsewhere")
    long = [dataclasses.replace(one, latency_s=1.0) for one in sitting()[:3]]
    plan = drift.sentinels([*long, *sitting()[3:]], "here")
    assert [(one.frameworks, one.repeats) for one in plan.grids] == [(("eager",), 3), (("onnxruntime",), 3)]
    assert [len(one.workloads) for one in plan.grids] == [3, 4]


def test_what_is_added_is_numbered_on() -> None:
    found = drift.numbered(sitting(), sitting("b"))
    assert [one.cell.repeat for one in found[:4]] == [3, 4, 5, 3]
    assert {one.environment["sitting"] for one in found} == {"b"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--quick", "--baseline", "x.jsonl"), "leave one of them out"),
        (("--add",), "--baseline FILE"),
        (("--baseline", "nosuch.json"), "no file nosuch.json"),
        (("--baseline", "nvidia-h200"), "a baseline was measured on this device"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], says: str, capsys: Any) -> None:
    assert main(["doctor", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    cells = Grid(tuple(grid("toy", num_layers=[1, 8, 64], width=8, input_size=1)), ("fake",), repeats=2)
    plan = Plan("sentinel", (cells,), protocol=Protocol(cell_s=0.05, warmup_s=0.01))
    monkeypatch.setattr(drift, "load_plan", lambda _: plan)
    monkeypatch.setattr("ftax_model.collection.plan.load_plan", lambda _: plan)
    file, own = tmp_path / "machine.jsonl", ["doctor", "--json", "--baseline", str(tmp_path / "machine.jsonl")]
    main(own)
    assert json.loads(capsys.readouterr().out)[-1]["saw"] == f"{file} is the baseline from now on"
    assert len(read(file)) == 6
    main([*own, "--add"])
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found[-2:]] == ["repeatability", "drift of fake"]
    assert found[-1]["level"] == "good"  # its clock is its own
    before = read(file)
    assert len(before) == 12
    file.unlink()
    with Writer(file) as writer:
        for one in before:
            writer.write(dataclasses.replace(one, latency_s=2 * (one.latency_s or 0.0), samples=()))
    assert main(own) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found[-2:]] == ["drift of fake", "cause of drift"]
    assert read(file)[0].latency_s == 2 * (before[0].latency_s or 0.0)


def test_a_real_collection_is_compared_by_its_own_cells(tmp_path: Path) -> None:
    cells = Grid(tuple(grid("toy", num_layers=[1, 8], width=8, input_size=1)), ("fake",), repeats=2)
    collect(Plan("x", (cells,)), tmp_path / "x.jsonl", isolate=False)
    found = drift.shifts(read(tmp_path / "x.jsonl"), read(tmp_path / "x.jsonl"))
    assert [(one.by, one.cells) for one in found] == [(0.0, 2)]


def test_the_harness_counts_alarms(tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    harness = script("torture_drift")
    rows = list(harness.run(tmp_path, seed=1, tell=lambda _: None, draws=100, measured=0))
    assert len(rows) == 7
    assert not any(row["bad"] for row in rows)
    assert rows[0]["found_30_percent"] > 0.9 > rows[0]["found_5_percent"]
