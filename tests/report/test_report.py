"""Reports: what is on the page is what the predictor says and what was measured, and nothing breaks out of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import vl_convert

from ftax_model.cli import main
from ftax_model.dataset import good, load_dataset
from ftax_model.errors import DataError, InputError
from ftax_model.modeling.predictor import SWEEP, LatencyPredictor
from ftax_model.report import page, picture, plots
from ftax_model.report.content import Content, of_predictor, of_workloads
from ftax_model.workload import Workload, grid

SIX_DIGITS = 1e-5
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028"


def embedded(text: str) -> dict[str, Any]:
    """The JSON within a page."""
    (found,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL)
    value: dict[str, Any] = json.loads(found)
    return value


def numbers(text: str, name: str) -> pd.DataFrame:
    """The rows of a plot of a page."""
    (found,) = [plot for plot in embedded(text)["plots"] if plot["name"] == name]
    return page.unpacked(found["data"])


@pytest.mark.parametrize("name", plots.names())
def test_plots_explain_themselves(name: str) -> None:
    plot = plots.load(name)
    assert plot.reading.endswith(".")
    assert plot.title
    assert plot.lacking
    assert plot.columns


@pytest.mark.parametrize("kind", ["of_toys", "measured", "held_out"])
@pytest.mark.parametrize("name", plots.names())
def test_specifications_are_drawn(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    """Altair holds each against the schema of Vega-Lite, and Vega draws a mark for each row or more."""
    content: Content = request.getfixturevalue(kind)
    plot = plots.load(name)
    rows = plot.data(content)
    if rows.empty:
        return
    assert set(plot.columns) <= set(rows.columns)
    spec = plot.spec(content)
    spec["datasets"] = {**spec.get("datasets", {}), "rows": page.records(rows)}
    assert vl_convert.vegalite_to_svg(spec, vl_version=page.VEGA_LITE).count("<path") >= min(len(rows), 3)


def test_which_plots_there_are(of_toys: Content, measured: Content, held_out: Content) -> None:
    shown = {
        kind: [plot["name"] for plot in embedded(page.page(content))["plots"]]
        for kind, content in (("of_toys", of_toys), ("measured", measured), ("held_out", held_out))
    }
    assert {"latency", "pareto", "overhead", "crossover", "proxies"} <= set(shown["of_toys"])
    assert "accuracy" not in shown["measured"]
    assert "nothing was held out" in page.page(measured)
    assert "accuracy" in shown["held_out"]


def test_numbers_are_the_predictors(of_toys: Content, predictor: LatencyPredictor) -> None:
    text = page.page(of_toys)
    said = predictor.predict(grid("toy", num_layers=[3, 5, 9]), batch_sizes=SWEEP)
    cell = ["curve", "framework", "batch_size"]
    both = numbers(text, "latency").merge(said, on=cell, suffixes=("", "_said"))
    assert len(both) == len(said) == 3 * len(SWEEP)
    for shown, own in (("predicted_ms", "latency_s"), ("low_ms", "low_s"), ("high_ms", "high_s")):
        assert both[shown].to_numpy() == pytest.approx(1e3 * both[own].to_numpy(), rel=SIX_DIGITS)
    assert (both["regime"] == both["regime_said"]).all()
    shares = numbers(text, "overhead").merge(said, on=cell)
    expected = 100 * shares["host_s"] / (shares["host_s"] + shares["device_s"])
    assert shares["share"].to_numpy() == pytest.approx(expected.to_numpy(), rel=SIX_DIGITS)
    speed = numbers(text, "pareto").merge(said, on=cell)
    expected = speed["batch_size"] / speed["latency_s"]
    assert speed["throughput"].to_numpy() == pytest.approx(expected.to_numpy(), rel=SIX_DIGITS)
    crossing = numbers(text, "crossover").merge(said[said["batch_size"] == 1], on=["curve", "framework"])
    inside = crossing[crossing["censored"] == ""]
    assert inside["crossover"].astype(float).to_numpy() == pytest.approx(
        inside["crossover_batch_size"].to_numpy(), rel=1e-2
    )


def test_measured_numbers_are_the_datasets(toy: Path, measured: Content) -> None:
    rows = good(load_dataset(toy / "toy.jsonl"))
    said = rows.groupby(["curve", "batch_size"])["latency_s"].median().reset_index()
    both = numbers(page.page(measured), "latency").merge(said, on=["curve", "batch_size"])
    assert len(both) == len(said)
    assert both["measured_ms"].to_numpy() == pytest.approx(1e3 * both["latency_s"].to_numpy(), rel=SIX_DIGITS)


def test_predictions_of_what_was_held_out_saw_nothing_of_it(held_out: Content) -> None:
    own = held_out.left_out[held_out.left_out["split"] == "model"]
    expected = own.groupby(["curve", "batch_size"])["predicted_s"].median().reset_index()
    both = held_out.cells.merge(expected, on=["curve", "batch_size"])
    assert both["predicted_s_x"].to_numpy() == pytest.approx(both["predicted_s_y"].to_numpy())


def test_a_predictor_tells_its_constants(predictor: LatencyPredictor) -> None:
    content = of_predictor(predictor, "toy.json", sources=[Workload("toy")])
    (row,) = numbers(page.page(content), "constants").to_dict("records")
    constants = predictor.fits_[0].constants()
    assert row["per_operator_us"] == pytest.approx(1e6 * constants["overhead_per_op_s"], rel=SIX_DIGITS)
    assert row["rows"] == predictor.fits_[0].n_rows


def test_the_same_content_gives_the_same_page(measured: Content) -> None:
    text = page.page(measured)
    assert text == page.page(measured)
    assert len(text.encode()) < 2e6
    assert "2026-01-02 03:04 UTC" in text


def test_the_page_needs_nothing_else(measured: Content) -> None:
    text = page.page(measured)
    own = text.replace(page._vega(), "")
    assert not re.findall(r"""(?:src|href)=|url\(|@import""", own)
    assert "default-src 'none'" in own


def test_no_name_breaks_out(of_toys: Content) -> None:
    first = of_toys.workloads[0]
    hostile = dataclasses.replace(
        of_toys,
        title=HOSTILE,
        lead=HOSTILE,
        card=HOSTILE,
        provenance={HOSTILE: HOSTILE},
        cells=of_toys.cells.replace({"curve": {first: HOSTILE}, "framework": {"fake": HOSTILE}}),
        crossovers=of_toys.crossovers.replace({"curve": {first: HOSTILE}}),
    )
    text = page.page(hostile).replace(page._vega(), "")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert HOSTILE in set(numbers(text, "latency")["curve"])


@pytest.mark.parametrize("suffix", picture.SUFFIXES)
def test_pictures(suffix: str, of_toys: Content, tmp_path: Path) -> None:
    path = picture.draw("latency", of_toys, tmp_path / f"latency{suffix}", workload=of_toys.workloads[1])
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<svg")
    if suffix == ".svg":
        assert of_toys.workloads[1] in content.decode()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_pictures_refuse(of_toys: Content, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        picture.draw("latency", of_toys, tmp_path / "latency.pdf")
    with pytest.raises(InputError, match="workload is one of"):
        picture.draw("latency", of_toys, tmp_path / "latency.png", workload="none")
    with pytest.raises(DataError, match="nothing was held out"):
        picture.draw("accuracy", of_toys, tmp_path / "accuracy.png")
    with pytest.raises(DataError, match="can be written"):
        picture.draw("latency", of_toys, tmp_path / "missing" / "latency.png")
    with pytest.raises(DataError, match="can be written"):
        page.save(of_toys, tmp_path / "missing" / "report.html")


def test_a_report_is_of_something(predictor: LatencyPredictor) -> None:
    with pytest.raises(InputError, match="of a model or more"):
        of_workloads([], predictor)


def test_the_command_line(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        [str(toy / "toy.json"), "--architecture", "toy", "--num-layers", "4", "--batch-size", "1,2,4,8"],
        [str(toy / "toy.jsonl")],
    ):
        out = tmp_path / "report.html"
        capsys.readouterr()
        assert main(["report", *words, "--out", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["file"] == str(out)
        assert "toy" in out.read_text(encoding="utf-8")
        assert main(["plot", "crossover", *words, "--out", str(tmp_path / "crossover.svg")]) == 0
    assert main(["plot", "--list"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[-len(plots.names()) :]] == (
        plots.names()
    )


REFUSED = {
    "neither": (("report", "x86-epyc-1core", "--out", "OUT.html"), "did you mean 'x86-epyc-2core'"),
    "no model file": (("report", "none.json", "--out", "OUT.html"), "none.json"),
    "two predictors": (("report", "cpu", "published-gpus", "--out", "OUT.html"), "one predictor"),
    "a dataset of a platform": (("report", "toy.jsonl", "--device", "cpu", "--out", "OUT.html"), "switches"),
    "evaluating a predictor": (("report", "toy.json", "--evaluate", "--out", "OUT.html"), "--evaluate is of a dataset"),
    "no folder": (("report", "toy.json", "--architecture", "toy", "--out", "none/OUT.html"), "can be written"),
    "no such plot": (("plot", "latencies", "toy.jsonl", "--out", "OUT.png"), "did you mean 'latency'"),
    "another suffix": (("plot", "latency", "toy.jsonl", "--out", "OUT.pdf"), ".png or .svg"),
    "no output": (("plot", "latency", "toy.jsonl"), "no --out"),
    "nothing to show": (("plot", "accuracy", "toy.jsonl", "--out", "OUT.png"), "nothing was held out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(
    case: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, said = REFUSED[case]
    for name in ("toy.json", "toy.jsonl"):
        (tmp_path / name).write_bytes((toy / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(list(arguments)) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("ftax: ") and "warning" not in one]
    assert said in line
    assert sorted(one.name for one in tmp_path.iterdir()) == ["toy.json", "toy.jsonl"]
