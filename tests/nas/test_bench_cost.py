"""The benchmark of the cost of a search, on a few queries of a small network."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

TARGETS = ("query_us", "million_s", "million_interval_s", "cold_s", "derive_s", "times_faster_than_tracing")
FEW = ("--architecture", "layer-norm", "--repeats", "1", "--queries", "3", "--rows", "200")


@pytest.fixture
def bench(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with the machine code that there is, and a small network in place of the vision one."""
    module = script("bench_cost")
    fresh = module.fresh

    def compiled(asked: dict[str, Any], **places: Any) -> dict[str, Any]:
        return dict(fresh(asked, **{name: path for name, path in places.items() if name != "NUMBA_CACHE_DIR"}))

    monkeypatch.setattr(module, "fresh", compiled)
    monkeypatch.setattr(module, "VISION", "depthwise-conv2d")
    return module


@pytest.mark.slow
def test_a_query_is_told_beside_a_trace(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([*FEW, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(found[name] > 0 for name in TARGETS)
    assert found["times_faster_than_tracing"] == pytest.approx(1e6 * found["trace_s"] / found["query_us"])
    assert found["times_faster_than_tracing"] > 10
    assert not found["cold_imports_torch"]
    assert {*found["row_us"]} == {"2", "20", "200"}
    assert sum(found["profile_us"].values()) == pytest.approx(found["query_us"])
    text = "\n".join(bench.shown(found))
    assert "one query, warm" in text
    assert all(name in text for name in found["other_queries_us"])


@pytest.mark.parametrize("wrong", [("--rows", "0"), ("--architecture", "brt"), ("--device", "nowhere")])
def test_nothing_to_measure_is_one_line(
    bench: ModuleType, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
) -> None:
    assert bench.main([*FEW, *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1
