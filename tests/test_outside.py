"""Models from outside: what runs code runs it once somebody says so, wherever the model was named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftax_model import outside
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.errors import DataError, InputError
from ftax_model.tracing import sources
from ftax_model.workload import Workload

FIRES = "from pathlib import Path\nPath('fired').touch()\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workload:
    """A workload that names a function in the working directory, whose package says when it is imported."""
    (tmp_path / "fires_on_import").mkdir()
    for name in ("__init__", "nets"):
        (tmp_path / "fires_on_import" / f"{name}.py").write_text(FIRES)
    monkeypatch.chdir(tmp_path)
    return Workload("module", {"place": "fires_on_import.nets:build", "digest": "0" * 16})


def test_what_a_workload_names_is_not_imported(package: Workload) -> None:
    with pytest.raises(InputError, match=r"runs code of whoever wrote it.*add --trust"):
        sources.of_workload(package)
    assert not Path("fired").exists()
    with pytest.raises(DataError, match="a changed"):
        sources.of_workload(package, trust=True)
    assert Path("fired").exists()


@pytest.mark.parametrize("kind", outside.RUNS_CODE)
def test_a_plan_that_runs_code_is_collected_where_it_is_trusted(
    kind: str, package: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = Workload(kind, package.settings)
    with pytest.raises(InputError, match=r"got fires_on_import.*add --trust"):
        collect(Plan("theirs", (Grid((workload,), ("fake",)),)), "out.jsonl")
    assert not Path("fired").exists()


def test_what_a_workload_names_on_the_hub_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"a name on the hub is downloaded.*add --trust"):
        sources.of_workload(Workload("hf", {"place": "somebody/model", "digest": "0" * 16}))
