"""Claims: what is put in comes out, noise is no verdict, and the page says what the command gives."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from ftax_model import claims, dataset
from ftax_model.claims import _seen
from ftax_model.claims._base import Case, share
from ftax_model.cli import main
from ftax_model.errors import InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
SIZES = (1, 2, 4, 8, 16, 32, 64)
MODELS = (("bert", {"preset": "bert-tiny"}), ("resnet", {"preset": "resnet-18"}), ("vit", {}))


def measured(
    floor_s: float, slope_s: float, *, framework: str = "eager", dtype: str = "float32", noise: float = 0.01
) -> list[Measurement]:
    """Sweeps of three architectures by the law with p = infinity; a second look at each is ``noise`` slower."""
    from ftax_model import architectures

    found = []
    for (name, settings), size, repeat in product(MODELS, SIZES, (0, 1)):
        workload = architectures.complete(Workload(name, settings, batch_size=size, dtype=dtype))
        latency_s = max(floor_s, slope_s * size) * (1 + noise * repeat)
        cell = Cell(workload, framework, "cpu", repeat=repeat)
        found.append(Measurement(cell, latency_s=latency_s, features={"macs": 1e6 * size, "n_ops": 10, "depth": 5}))
    return found


def verdict(name: str, *sweeps: list[Measurement]) -> claims.Verdict:
    table = dataset.frame([one for sweep in sweeps for one in sweep])
    return claims.load(name).judge(_seen.of_table(table, "made up"), name=name)


@pytest.mark.parametrize("name", claims.names())
def test_every_claim_says_what_it_is(name: str) -> None:
    claim = claims.load(name)
    for words in (claim.statement, claim.source, claim.test, claim.lacking):
        assert words
        assert not words.endswith(".")
    assert claim.across or claim.plan
    for kind in ("cpu", "cuda"):
        plan = claims.plan_for(kind, only=[name])
        assert any(one.repeats > 1 for one in plan.grids), "the floor is measured, too"


@pytest.mark.parametrize("name", claims.names())
def test_where_a_claim_finds_no_case_it_is_not_testable(name: str) -> None:
    cell = Cell(Workload("toy", {"num_layers": 2, "width": 8}), "fake", "cpu")
    found = verdict(name, [Measurement(cell, latency_s=0.001)])
    assert found.verdict == "not testable here"
    assert found.reason == claims.load(name).lacking


@pytest.mark.parametrize(("floor_s", "expected"), [(0.02, "holds"), (1e-6, "fails")])
def test_flat_sweeps_are_constant_and_steep_ones_are_not(floor_s: float, expected: str) -> None:
    found = verdict("constant-latency-over-batch", measured(floor_s, 0.001))
    assert found.verdict == expected
    assert found.evidence["cases"] == found.evidence["units"] == len(MODELS)
    assert not found.evidence["floor_assumed"]


def test_a_wide_floor_leaves_it_undecided() -> None:
    found = verdict("constant-latency-over-batch", measured(0.02, 0.001, noise=0.3))
    assert found.verdict == "undecided"
    assert found.evidence["within_noise"] == len(MODELS)


@pytest.mark.parametrize(("half_s", "expected"), [(0.0005, "holds"), (0.004, "fails")])
def test_the_precision_that_computes_faster_crosses_later(half_s: float, expected: str) -> None:
    sweeps = measured(0.01, 0.002), measured(0.01, half_s, dtype="float16")
    assert verdict("half-precision-crosses-later", *sweeps).verdict == expected


def test_sweeps_that_are_compute_bound_from_batch_1_say_nothing_of_crossovers() -> None:
    sweeps = measured(1e-6, 0.002), measured(1e-6, 0.001, dtype="float16")
    assert verdict("half-precision-crosses-later", *sweeps).verdict == "not testable here"


def test_frameworks_are_compared_where_both_are_compute_bound() -> None:
    eager = measured(0.02, 0.002)
    near, far = (measured(0.005, slope_s, framework="onnxruntime") for slope_s in (0.0021, 0.004))
    assert verdict("frameworks-alike-when-compute-bound", eager, near).verdict == "holds"
    assert verdict("frameworks-alike-when-compute-bound", eager, far).verdict == "fails"
    assert verdict("onnxruntime-is-faster-at-batch-1", eager, far).verdict == "holds"


def test_one_architecture_makes_no_rule() -> None:
    eager, other = (measured(0.02, 0.002)[:14], measured(0.005, 0.002, framework="onnxruntime")[:14])
    found = verdict("onnxruntime-is-faster-at-batch-1", eager, other)
    assert (found.verdict, found.evidence["borne_out"]) == ("undecided", 1)
    assert "makes no rule" in found.reason


def test_one_architecture_refutes_what_is_said_of_all_and_cannot_prove_it() -> None:
    assert verdict("constant-latency-over-batch", measured(0.02, 0.001)[:14]).verdict == "undecided"
    assert verdict("constant-latency-over-batch", measured(1e-6, 0.001)[:14]).verdict == "fails"


def test_an_architecture_counts_once_however_many_cases_it_has() -> None:
    many = [Case("", "bert", 1, 1, 1, True)] * 50
    assert share([*many, Case("", "gpt2", 1, 1, 1, False)], resampled=False) == (0.5, 0.5)
    low, high = share([*many, Case("", "gpt2", 1, 1, 1, False)], resampled=True)
    assert (low, high) == (0.0, 1.0)


def test_a_faster_device_is_told_from_a_slower_one() -> None:
    tables = [dataset.frame(measured(0.01, slope_s)) for slope_s in (0.001, 0.004)]
    seen = [_seen.of_table(table.assign(device=name), name) for table, name in zip(tables, "ab", strict=True)]
    claim = claims.load("faster-device-crosses-later")
    assert claim.judge(_seen.joined(seen), name="").verdict == "holds"
    assert claim.judge(seen[0], name="").verdict == "not testable here"


def test_the_paper_does_not_bear_out_all_that_it_says() -> None:
    said = {one.claim: one for one in claims.judge([claims.PAPER])}
    assert said["half-precision-crosses-later"].verdict == "holds"
    assert said["table-1-width-batch-and-sequence-are-free"].verdict == "holds"
    assert said["funnel-is-slower-than-bert"].evidence["examples"][0]["value"] == pytest.approx(36.67 / 17.14, rel=1e-3)
    assert said["frameworks-alike-past-batch-16"].verdict == "fails"
    assert said["constant-latency-over-batch"].verdict == "fails"
    mean = said["torchscript-mean-speed-up"].evidence["examples"][0]
    assert mean["value"] == pytest.approx(0.4684, abs=1e-3)


def test_setups_of_the_paper_are_not_mixed() -> None:
    rows = _seen.load(claims.PAPER).rows
    first = rows[(rows["published"] == "bert-base") & (rows["framework"] == "eager") & (rows["batch_size"] == 1)]
    latencies = first.groupby("setup")["latency_s"].max().round(4).to_dict()
    assert latencies == {"figure 3": 0.0164, "figure 4": 0.0108, "table 1": 0.0136, "table 3": 0.0105}


def test_the_plan_of_this_machine_leaves_out_what_is_for_another() -> None:
    on = {kind: {name for one in claims.plan_for(kind).grids for name in one.frameworks} for kind in ("cpu", "cuda")}
    assert "cuda-graphs" in on["cuda"] - on["cpu"]


def test_as_json_and_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["claims", "paper-rtx8000", "nvidia-h200", "--only", "table-3-ladder,faster-device-crosses-later"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"claim", "source", "dataset", "verdict", "evidence"} <= set(found[0])
    assert [one["dataset"] for one in found] == ["paper-rtx8000", "nvidia-h200", "paper-rtx8000, nvidia-h200"]
    assert main([*asked, "--evidence"]) == 0
    told = capsys.readouterr().out
    assert "all together" in told
    assert "onnxruntime over cuda-graphs" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nvidia-h20"], "did you mean 'nvidia-h200'"),
        (["nvidia-h200", "nvidia-h200"], "a dataset is judged once"),
        (["nvidia-h200", "--only", "depth-is-free"], "claim is one of"),
        (["--measure"], "--out"),
        (["nvidia-h200", "--budget", "3m"], "are of --measure"),
    ],
)
def test_bad_input_is_told(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["claims", *words]) == 2
    assert said in capsys.readouterr().err


def test_no_dataset_at_all_is_told() -> None:
    with pytest.raises(InputError, match="claims are judged by datasets"):
        claims.judge([])


def test_the_report_of_a_dataset_tells_what_it_decides(tmp_path: Path) -> None:
    file = tmp_path / "sweeps.jsonl"
    with dataset.Writer(file, Measurement) as writer:
        for one in measured(0.02, 0.001):
            writer.write(one)
    found = claims.decided(claims.judge([file]))
    assert [one.claim for one in found] == ["constant-latency-over-batch"]
    assert "| holds |" in claims.markdown(found)
    assert claims.markdown([]) == ""


@pytest.mark.parametrize("name", [claims.PAPER, "nvidia-h200"])
def test_the_page_says_what_the_command_gives(name: str) -> None:
    for one in claims.judge([name]):
        if not claims.load(one.claim).across:
            assert f"- `{name}`: **{one.verdict}**; {one.reason}." in PAGE, one.claim


@pytest.mark.slow
def test_all_of_the_page_is_what_the_command_gives() -> None:
    script = ROOT / "scripts" / "claims_table.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "run scripts/claims_table.py"


@pytest.mark.slow
def test_what_is_measured_here_is_judged(tmp_path: Path) -> None:
    summary, found = claims.measure(tmp_path / "mine.jsonl", budget_s=60, only=["depth-costs-when-framework-bound"])
    assert summary.measured
    assert [one.claim for one in found] == ["depth-costs-when-framework-bound"]
    assert pd.read_json(tmp_path / "mine.jsonl", lines=True)["status"].eq("ok").any()
