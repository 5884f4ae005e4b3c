"""Mine: calibrations in the user's data folder are found, told to be stale, and forgotten."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, outside
from ftax_model.dataset import Writer, load_dataset, read
from ftax_model.device import Device
from ftax_model.errors import DataError
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.rows import with_operators
from ftax_model.tracing import features, sources
from ftax_model.tracing.sources import Source
from ftax_model.workload import Workload

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


NET = """<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 64] x) => (float[n, 64] y) { u = MatMul(x, w) y = Relu(u) }"""
SIZES = (1, 8, 64)


@pytest.fixture
def net(tmp_path: Path) -> Source:
    """An ONNX file from outside."""
    model = onnx.parser.parse_model(NET)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((64, 64), "f4"), "w"))
    onnx.save(model, tmp_path / "net.onnx")
    return sources.of_place("onnx", str(tmp_path / "net.onnx"))


def measured(
    net: Source, latency_s: Mapping[int, float], *, version: str = "1", device: str = HERE.name
) -> list[Measurement]:
    return [
        Measurement(
            Cell(workload(net).with_batch_size(size), "onnxruntime", device),
            latency_s=seconds,
            samples=(seconds,) * 4,
            features=net.trace(size).features(),
            environment={"framework_version": version},
        )
        for size, seconds in latency_s.items()
    ]


def workload(net: Source) -> Workload:
    assert net.workload is not None
    return net.workload()


def said(predictor: LatencyPredictor, net: Source) -> list[float]:
    asked: dict[str, Any] = {"framework": "onnxruntime", "threads": 1, "device": "amd-epyc-turin-2core"}
    return list(predictor.predict(net, batch_sizes=SIZES, crossovers=False, **asked)["latency_s"])


def test_what_is_kept_of_a_model_from_outside_calibrates_by_its_operators(net: Source) -> None:
    here = dataclasses.replace(HERE, name="amd-epyc-turin-2core")
    known = LatencyPredictor.load("cpu")
    before = said(known, net)
    slower = {size: 4 * seconds for size, seconds in zip(SIZES, before, strict=True)}
    kept = mine.keep(here, measured(net, slower, device=here.name), {workload(net): net})
    table = load_dataset(kept)
    assert mine.untraced(read(kept)) == []
    columns = with_operators(table)[list(features.COLUMNS)]
    assert list(columns.iloc[1]) == list(features.columns(net.trace(8), itemsize=4).values())
    for one, wanted in zip(said(known.calibrate(table), net), slower.values(), strict=True):
        assert abs(math.log(one / wanted)) < 0.5 * math.log(4)
    mine.traces_file(workload(net)).unlink()
    assert mine.untraced(read(kept)) == [outside.label(workload(net))]
    assert with_operators(table)[list(features.COLUMNS)].isna().all(axis=None)
    assert len(said(known.calibrate(table), net)) == len(SIZES)  # by the law


@pytest.mark.slow
def test_rows_without_traces_are_no_hindrance_to_those_with(net: Source) -> None:
    kept = mine.keep(HERE, measured(net, {1: 1e-5}), {workload(net): net})
    mine.traces_file(workload(net)).unlink()
    others = load_dataset("x86-epyc-2core").query("framework == 'onnxruntime' and architecture == 'mlp'").head(3)
    both = pd.concat([load_dataset(kept), others.assign(device=HERE.name)], ignore_index=True)
    (fit,) = LatencyPredictor.load("cpu").calibrate(both).fits_
    assert fit.model is not None
    assert LatencyPredictor.load("cpu").expected_error(both)


def test_a_cell_that_is_kept_again_is_another_repeat(net: Source) -> None:
    for size, seconds in ((1, 1e-5), (1, 2e-5), (8, 1e-5), (8, 1e-5)):  # the last is not another look
        mine.keep(HERE, measured(net, {size: seconds}), {workload(net): net})
    cells = [one.cell for one in read(mine.measurements_file(HERE.name))]
    assert [(cell.workload.batch_size, cell.repeat) for cell in cells] == [(1, 0), (1, 1), (8, 0)]
    assert mine.kept_traces(workload(net)).keys() == {1, 8}
    mine.forget(HERE.name)
    assert not mine.traces_file(workload(net)).parent.exists()


def test_measurements_are_kept_all_or_none_and_their_traces_before_them(
    net: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.keep(HERE, measured(net, {1: 1e-5}), {workload(net): net})
    file = mine.measurements_file(HERE.name)
    before, several = file.read_bytes(), measured(net, {8: 1e-5, 64: 1e-4})

    def full(writer: Writer, records: object) -> None:
        raise DataError("the output can be written", "no space left", "make room")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "extend", full)
        with pytest.raises(DataError, match="no space left"):
            mine.keep(HERE, several, {workload(net): net})
    assert file.read_bytes() == before
    assert mine.kept_traces(workload(net)).keys() == {1, 8, 64}
    mine.keep(HERE, several, {workload(net): net})
    assert len(read(file)) == 3


def test_traces_that_were_lost_are_made_again(net: Source) -> None:
    mine.keep(HERE, measured(net, {1: 1e-5}), {workload(net): net})
    mine.traces_file(workload(net)).unlink()
    mine.keep(HERE, measured(net, {1: 1e-5}), {workload(net): net})
    assert mine.untraced(read(mine.measurements_file(HERE.name))) == []
    assert len(read(mine.measurements_file(HERE.name))) == 1


def test_what_a_calibration_could_not_use_is_not_kept(net: Source) -> None:
    mine.keep(HERE, measured(net, {1: 1e-5}), {workload(net): net})
    content = mine.measurements_file(HERE.name).read_bytes()
    (other,) = measured(net, {8: 1e-5})
    whole = dataclasses.replace(other.cell, workload=Workload("onnx", {"place": "a"}, dtype="int8"))
    refused = {
        "one version of each framework": measured(net, {8: 1e-5}, version="2"),
        "measured on it": measured(net, {8: 1e-5}, device="another"),
        "floating point": [dataclasses.replace(other, cell=whole)],
    }
    for law, one in refused.items():
        with pytest.raises(DataError, match=law):
            mine.keep(HERE, one, {workload(net): net})
    assert mine.measurements_file(HERE.name).read_bytes() == content
