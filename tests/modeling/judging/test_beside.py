"""What a record names is not opened and does not run; what is kept of it answers."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from ftax_model import dataset, outside
from ftax_model.errors import InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.judging.beside import REFUSED, beside, of_record
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import sources
from ftax_model.workload import Workload

CODE = """
from pathlib import Path
Path("ran").touch()
def build():
    Path("ran").touch()
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measurement:
    """A record that names code at hand, by the right digest, as it comes out of a file."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").mkdir()
    for name in ("__init__", "net"):
        (tmp_path / "evil" / f"{name}.py").write_text(CODE)
    digest = outside._digest("module", "evil:build")
    cell = Cell(Workload("module", {"place": "evil.net:build", "digest": digest}), "eager", "amd-epyc-genoa-2core", 1)
    with dataset.Writer(tmp_path / "theirs.jsonl") as writer:
        writer.write(Measurement(cell, latency_s=1e-3))
    (tmp_path / "ran").unlink(missing_ok=True)
    sys.modules.pop("evil", None)
    return dataset.read(tmp_path / "theirs.jsonl")[0]


def test_reading_a_record_runs_nothing_that_it_names(stranger: Measurement, tmp_path: Path) -> None:
    dataset.frame([stranger])
    table = beside([stranger], LatencyPredictor.load("cpu"))
    assert table["notes"].iloc[0].startswith(f"{REFUSED} no file is opened, or run, because a record names it")
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules


def test_traces_that_are_kept_of_a_model_answer(stranger: Measurement) -> None:
    curve = stranger.cell.workload.curve
    with pytest.raises(InputError, match="name the model itself"):
        of_record(curve)
    file = mine.traces_file(curve)
    file.parent.mkdir(parents=True)
    product = Operator("mm", ((4, 8), (8, 8)), ((4, 8),), 256, 256, 256, 1, {"batch": 1, "m": 4, "k": 8, "n": 8})
    sources.write(file, sources.of_trace(Trace((product,), 64)), {1: Trace((product,), 64)})
    assert of_record(curve).trace().params == 64


@pytest.mark.parametrize(
    "told",
    [
        {"place": 3, "digest": "a"}, {"place": "a"}, {"digest": "a"}, {"place": "a", "digest": ["b"]},
        {"place": "a", "digest": "b", "shapes": 3}, {"place": "a", "digest": "b", "shapes": (("x", "y"),)},
        {"place": "a", "digest": "b", "values": (("x",),)},
    ],
)  # fmt: skip
def test_a_workload_that_tells_no_place_as_we_do_is_not_one(stranger: Measurement, told: dict[str, object]) -> None:
    workload = Workload("onnx", told)
    assert not outside.is_one(workload)
    cell = dataclasses.replace(stranger.cell, workload=workload)
    assert len(dataset.frame([dataclasses.replace(stranger, cell=cell)])) == 1
