"""A fleet on a real Ray cluster of several nodes on loopback: nodes and drivers are killed, and nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ftax_model.cli import main
from ftax_model.dataset import read
from ftax_model.errors import MissingError
from ftax_model.fleet import sentinels_file
from ftax_model.fleet.engine import Ray

pytest.importorskip("grpc", reason="ray[client] is not installed")
pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def check(script: Callable[[str], ModuleType]) -> ModuleType:
    """scripts/check_fleet.py."""
    return script("check_fleet")


@pytest.fixture(scope="module")
def where(check: ModuleType) -> Iterator[object]:
    """A cluster of two nodes."""
    with check.cluster(("a", "b")) as found:
        yield found


@pytest.fixture
def plan(check: ModuleType, tmp_path: Path) -> Path:
    """The plan of the demonstration."""
    file = tmp_path / "plan.yaml"
    file.write_text(check.PLAN)
    return file


def test_a_node_that_is_killed_costs_no_cell(check: ModuleType, tmp_path: Path) -> None:
    found = check.once(tmp_path)
    assert found["bad"] == 0, found
    assert found["beyond loopback"] == []
    assert found["when killed"] < check.CELLS
    assert found["lost machines"] >= 1
    assert min(found["by machine"].values()) > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_stopped_goes_on(
    check: ModuleType, where: object, plan: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "fleet.jsonl"
    first = check.start(where, plan, out)
    check.wait_for(out, 40, first)
    first.send_signal(number)
    said, _ = first.communicate(timeout=120)
    if number == signal.SIGTERM:
        assert (first.returncode, json.loads(said)["stopped_by"]) == (0, "SIGTERM")
    before = out.read_bytes().count(b"\n")
    again = check.start(where, plan, out, "--operators")
    said, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    told = json.loads(said)
    assert 40 <= before < check.CELLS
    assert told["done_before"] in (before, before - 1)  # of a line that was cut off
    assert (told["remaining"], told["operators"]["measured"]) == (0, check.CELLS // 3)
    assert len(read(out)) == check.CELLS
    assert {one.environment["machine"] for one in read(sentinels_file(out))} == {"a", "b"}
    assert {one["name"]: one["lost"] for one in told["machines"]} == {"a": 0, "b": 0}


def test_two_drivers_do_not_measure_at_a_time(check: ModuleType, where: object, plan: Path, tmp_path: Path) -> None:
    both = [check.start(where, plan, tmp_path / f"{at}.jsonl") for at in range(2)]
    for one in both:
        one.communicate(timeout=300)
    spans = []
    for at in range(2):
        for machine in ("a", "b"):
            own = [one for one in read(tmp_path / f"{at}.jsonl") if one.environment["machine"] == machine]
            if own:
                times = sorted(one.measured_at for one in own)
                spans.append((machine, times[0], times[-1], at))
    for machine, begin, end, at in spans:
        others = [(b, e) for name, b, e, other in spans if name == machine and other != at]
        assert all(e <= begin or end <= b for b, e in others)
    assert sum(len(read(tmp_path / f"{at}.jsonl")) for at in range(2)) == 2 * check.CELLS


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ftax_model", "collect", "toy", "--on", "nonsense://a", "--out", "x.jsonl"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert "a Ray cluster answers; got nonsense://a" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x.jsonl").read_bytes()


@pytest.mark.parametrize(("kind", "wanted"), [("cpu", {"a": "1", "10.0.0.4": "4"}), ("cuda", {"10.0.0.4": "4"})])
def test_machines_are_nodes_that_offer_to_measure(kind: str, wanted: dict[str, str]) -> None:
    def node(place: str, name: str, alive: bool = True, **resources: float) -> dict[str, object]:
        return {"NodeID": place, "NodeName": name, "NodeManagerAddress": f"10.0.0.{place}", "Alive": alive} | {
            "Resources": resources
        }

    nodes = [
        node("1", "a", ftax=1.0), node("2", "a", ftax=1.0), node("3", "head"), node("4", "", ftax=1.0, GPU=2.0),
        node("5", "gone", alive=False, ftax=1.0), node("6", "half", ftax=0.5),
    ]  # fmt: skip
    engine = Ray.__new__(Ray)
    engine._ray, engine._kind = SimpleNamespace(nodes=lambda: nodes), kind
    assert engine._nodes() == wanted


def test_ray_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"a fleet is a Ray cluster.*pip install 'ftax_model\[fleet\]'"):
        Ray("ray://127.0.0.1:1", "cpu")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--same-environment", "--out", "x.jsonl"], "give --on"),
        (["--dry-run", "--on", "ray://a:1"], "leave --on out"),
        (["--shard", "4/3", "--on", "ray://a:1", "--out", "x.jsonl"], "a shard is a part of a plan"),
        (["--on", "ray://a:1", "--budget", "-3", "--out", "x.jsonl"], "a duration is"),
    ],
)
def test_options_that_do_not_go_together(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "toy", *more]) == 2
    assert said in capsys.readouterr().err
