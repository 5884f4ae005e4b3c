"""Traces that are kept on disk: found again, the same, and never more than was said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftax_model.tracing import cache, sources, trace_workload
from ftax_model.workload import Workload

SMALL = Workload("mlp", {"num_layers": 2, "hidden_size": 16})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_kept_is_what_was_traced() -> None:
    first = sources.of_workload(SMALL).traced([1, 2, 64], ())
    assert len([*cache.folder().glob("*.json.gz")]) == 1
    assert sources.of_workload(SMALL).traced([1, 2, 64], ()) == first
    assert first[64] == trace_workload(SMALL.with_batch_size(64))


def test_another_ask_needs_no_torch(here: Path) -> None:
    code = (
        "import sys; from ftax_model.tracing import sources; from ftax_model.workload import Workload\n"
        "sources.of_workload(Workload('mlp')).traced([1, 8], ()); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(here)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == ["True\n", "False\n"]


def test_other_code_or_versions_trace_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.Kept(SMALL)
    before.put(1, trace_workload(SMALL))
    assert cache.Kept(SMALL).get(1) is not None
    assert cache.Kept(Workload("mlp", {"num_layers": 3, "hidden_size": 16})).get(1) is None
    monkeypatch.setattr(cache, "_made_by", lambda: ["another torch"])
    assert cache.Kept(SMALL).get(1) is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1f\x8b\x08\x00", b"{}"])
def test_a_damaged_file_is_no_file(content: bytes) -> None:
    expected = sources.of_workload(SMALL).traced([1], ())
    (file,) = cache.folder().glob("*.json.gz")
    file.write_bytes(content)
    assert sources.of_workload(SMALL).traced([1], ()) == expected


def test_a_file_of_another_network_is_no_file() -> None:
    expected = sources.of_workload(SMALL).traced([1], ())
    (file,) = cache.folder().glob("*.json.gz")
    before = {file}
    sources.of_workload(Workload("mlp", {"num_layers": 3, "hidden_size": 16})).traced([1], ())
    (other,) = {*cache.folder().glob("*.json.gz")} - before
    file.write_bytes(other.read_bytes())
    assert sources.of_workload(SMALL).traced([1], ()) == expected


def test_where_nothing_can_be_written_it_is_traced(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "file"))
    assert sources.of_workload(SMALL).traced([1], ())[1].params > 0


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 8)
    traced = trace_workload(SMALL)
    for width in range(16, 32):
        cache.Kept(Workload("mlp", {"num_layers": 2, "hidden_size": width})).put(1, traced)
    assert len([*cache.folder().iterdir()]) <= 8
    assert cache.Kept(Workload("mlp", {"num_layers": 2, "hidden_size": 31})).get(1) is not None
