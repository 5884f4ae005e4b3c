"""The datasets that come with the project: every line is one that can be read, and is plausible."""

from __future__ import annotations

import functools
import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

from ftax_model import dataset, device, load_dataset
from ftax_model.cli import main
from ftax_model.measurement import Measurement, Profile
from ftax_model.tracing import trace_workload

ROOT = Path(__file__).resolve().parent.parent
MEASURED = dataset.names()
TRANSFORMERS = metadata.version("transformers")
"""Datasets that were measured here."""


@pytest.fixture
def paper() -> pd.DataFrame:
    return pd.read_csv(ROOT / "datasets" / "paper-rtx8000.csv")


def test_paper_has_its_curves(paper: pd.DataFrame) -> None:
    curves = paper[(paper["source"] == "figure 4") & (paper["varied"] == "batch_size")]
    sizes = curves.groupby(["model", "framework", "dtype"])["value"].apply(sorted)
    assert len(sizes) == 12
    assert all(size == [1, 2, 4, 8, 16, 32, 64, 128] for size in sizes)
    assert not paper.duplicated(["source", "model", "framework", "dtype", "device", "varied", "value", "series"]).any()


def test_paper_is_plausible(paper: pd.DataFrame) -> None:
    assert paper["pipelined_s"].between(1e-4, 10).all()
    parts = paper[paper["source"] == "figure 3"].pivot(index="value", columns="series", values="pipelined_s")
    assert (parts["kernels"] + parts["overhead"]).to_numpy() == pytest.approx(parts["total"].to_numpy(), rel=1e-3)


def test_the_page_of_the_law_quotes_it(paper: pd.DataFrame) -> None:
    quoted = re.search(r"latency_s = \[(.*?)\]", (ROOT / "docs/law.md").read_text(encoding="utf-8"))
    assert quoted
    curve = paper[(paper["source"] == "figure 4") & (paper["model"] == "ResNet-50") & (paper["framework"] == "eager")]
    curve = curve[curve["dtype"] == "float32"].sort_values("value")
    assert [float(word) for word in quoted[1].split(",")] == pytest.approx(curve["pipelined_s"].tolist(), abs=5e-5)


def test_the_card_counts_right(paper: pd.DataFrame) -> None:
    card = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    assert f"| `paper-rtx8000.csv` | {len(paper)} |" in card


@pytest.fixture(scope="module", params=MEASURED)
def records(request: pytest.FixtureRequest) -> tuple[str, list[Measurement]]:
    return request.param, dataset.read(dataset.find(request.param))


peak = functools.cache(device.rates)


def test_stored_keys_are_those_of_the_cells() -> None:
    for name in MEASURED:
        path = dataset.find(name)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        stored = [json.loads(line)["key"] for line in content.splitlines()]
        assert stored == [one.cell.key for one in dataset.read(path)]
        assert len(set(stored)) == len(stored)


def test_good_cells_are_plausible(records: tuple[str, list[Measurement]]) -> None:
    for one in records[1]:
        if one.status != "ok":
            assert one.reason
            assert one.latency_s is None
            continue
        assert one.latency_s is not None
        assert one.pipelined_s is not None
        assert 1e-6 < one.latency_s < 20
        assert one.pipelined_s <= 1.5 * one.latency_s
        assert 3 <= len(one.samples) <= 32
        assert min(one.samples) <= one.latency_s <= max(one.samples)
        assert one.features["n_ops"] >= 1
        assert one.environment["sitting"] <= one.measured_at
        rates = peak(one.cell.device, one.cell.workload.dtype, one.cell.threads)
        assert rates is not None
        assert one.features["macs"] / one.latency_s <= rates.macs
        assert not {"subnormal-activations", "nan-activations", "infinite-activations"} & set(one.warnings())


@pytest.mark.slow
def test_features_are_what_tracing_says_today(records: tuple[str, list[Measurement]]) -> None:
    sweeps: dict[object, list[Measurement]] = {}
    for one in records[1]:
        if one.status == "ok":
            sweeps.setdefault(one.cell.workload.curve, []).append(one)
    choose = random.Random(0)
    for own in sweeps.values():
        one = choose.choice(own)
        today, then = trace_workload(one.cell.workload).features(), one.features
        same = one.environment["versions"].get("transformers", TRANSFORMERS) == TRANSFORMERS
        assert today == (then if same else pytest.approx(then, rel=1e-3)), one.cell.workload


def test_profiles_are_of_cells_in_the_dataset(records: tuple[str, list[Measurement]]) -> None:
    name, measurements = records
    files = [file for file in dataset.operators_files(dataset.find(name)) if file.exists()]
    if not files:
        pytest.skip(f"{name} has no operator profiles yet")
    keys = {one.cell.key for one in measurements}
    for profile in dataset.read(files[0], Profile):
        assert profile.cell.key in keys
        assert profile.status != "ok" or profile.timings


def test_the_repository_stays_light() -> None:
    files = [file for file in (ROOT / "datasets").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 40e6
    assert all(file.stat().st_size < 10e6 for file in files if file.suffix == ".jsonl")


def test_listed_and_loaded_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == MEASURED
    for one in listed:
        table = load_dataset(one["name"])
        assert (table["status"] == "ok").sum() == one["measurements"]
        assert sorted(table["framework"][table["status"] == "ok"].unique()) == one["frameworks"]
    assert main(["datasets"]) == 0
    assert str(ROOT / "datasets") in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_the_card_says_what_the_data_say(name: str) -> None:
    script = ROOT / "scripts" / "dataset_card.py"
    done = subprocess.run([sys.executable, str(script), name, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (ROOT / "datasets" / "pictures" / f"{name}.png").exists()


@pytest.mark.slow
def test_the_wheel_brings_them(tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # building leaves folders behind
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "demo"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/datasets/" in name}
    wanted = {file.name for file in (ROOT / "datasets").iterdir() if file.suffix in (".md", ".csv", ".jsonl", ".gz")}
    assert held == wanted
