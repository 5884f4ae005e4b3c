"""Mine: calibrations in the user's data folder are found, told to be stale, and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ftax_model import LatencyPredictor
from ftax_model.device import Device
from ftax_model.errors import DataError
from ftax_model.modeling.platforms import mine

HERE = Device(name="this-2core", kind="cpu", model="This CPU", host_cpu="This CPU", cores=2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, on a machine called ``this-2core``."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(mine, "detect", lambda kind: HERE)
    return tmp_path


def keep() -> Path:
    mine.prepared()
    predictor = LatencyPredictor(jobs=1)
    predictor.about_ = mine.about(HERE)
    predictor.save(mine.predictor_file(HERE.name))
    mine.measurements_file(HERE.name).touch()
    return mine.predictor_file(HERE.name)


def test_what_is_kept_is_found_and_forgotten(home: Path) -> None:
    assert mine.current() is None
    assert mine.kept() == []
    path = keep()
    assert mine.current() == path
    assert home in path.parents
    (one,) = mine.kept()
    assert (one.device, one.stale, one.path) == (HERE.name, "", path)
    assert len(mine.forget(HERE.name)) == 2
    assert mine.current() is None
    assert mine.forget(HERE.name) == []


def test_another_version_or_machine_makes_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    said = mine.about(HERE)
    assert mine.stale(said, HERE) == []
    other = Device(name="other-4core", kind="cpu", model="Other", host_cpu="Other", cores=4)
    assert mine.stale(said, other)[0] == "it is of this-2core, this is other-4core"
    monkeypatch.setattr(mine, "versions", lambda: {"torch": "99"})
    why, *_ = mine.stale({**said, "versions": {"torch": "98"}}, HERE)
    assert why == "torch was 98, is 99"


def test_a_file_that_cannot_be_read_is_told() -> None:
    keep().write_bytes(b"nothing of the kind")
    (one,) = mine.kept()
    assert "cannot be read" in one.stale


def test_a_folder_that_cannot_be_made_or_written_is_one_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=r"user's data folder.*Permission denied; .*--out FILE"):
        mine.prepared()
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "file"))
    (home / "file").touch()
    with pytest.raises(DataError, match=r"Not a directory; .*--out FILE"):
        mine.prepared()
