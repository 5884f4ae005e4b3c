"""The datasets that come with the project: every line is one that can be read, and is plausible."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent


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


def test_the_readme_quotes_it(paper: pd.DataFrame) -> None:
    quoted = re.search(r"latency_s = \[(.*?)\]", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert quoted
    curve = paper[(paper["source"] == "figure 4") & (paper["model"] == "ResNet-50") & (paper["framework"] == "eager")]
    curve = curve[curve["dtype"] == "float32"].sort_values("value")
    assert [float(word) for word in quoted[1].split(",")] == pytest.approx(curve["pipelined_s"].tolist(), abs=5e-5)


def test_the_card_counts_right(paper: pd.DataFrame) -> None:
    card = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    assert f"| `paper-rtx8000.csv` | {len(paper)} |" in card
