"""Models from outside: each kind is found, built and measured as any workload is, and what goes wrong is data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx.parser
import pytest
import torch
from torch import nn

from ftax_model import outside
from ftax_model.collection.builders import OnnxFile, builder
from ftax_model.collection.runner import measure
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import frame, read
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.measurement import Measurement
from ftax_model.tracing import sources
from ftax_model.workload import Workload, grid

QUICK = Protocol(cell_s=0.05, warmup_s=0.02, min_blocks=3, limit_s=60)

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)

    def forward(self, x, scale):
        return torch.relu(self.first(x)) * scale["by"] + self.training

def net():
    return Net(), (torch.ones(3, 8), {"by": torch.full((8,), 2.0)})

class Raises(nn.Module):
    def forward(self, x):
        if not x.is_meta and x.shape[0] == 4:
            raise RuntimeError("four is\\ntoo many")
        return x + 1

def raises():
    return Raises(), torch.empty(1, 8)

class Hangs(Raises):
    def forward(self, x):
        while not x.is_meta and x.shape[0] == 4:
            pass
        return x + 1

def hangs():
    return Hangs(), torch.empty(1, 8)

class Grows(nn.Module):
    def forward(self, x, cache):
        cache.append(x)
        return torch.cat(list(cache))

def grows():
    return Grows(), {"x": torch.ones(1, 4), "cache": [torch.ones(2, 4)]}
"""

LOOKUP = """<ir_version: 8, opset_import: ["" : 17]>
g (int64[b, t] ids, float16[b, 4] x, float[b, t] attention_mask, int64 rate) => (float[b, t, 2] y, float16[b, 4] z) {
    found = Gather(table, ids)
    axis = Constant <value = int64[1] {-1}> ()
    open = Unsqueeze(attention_mask, axis)
    y = Mul(found, open)
    z = Relu(x)
}"""

SUM = """<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 8] x) => (float[n, 8] y) { u = Add(x, x) y = Relu(u) }"""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)).mean((2, 3)))


FAULTS = [("raises", "crashed", "four is too many"), ("hangs", "timeout", "took longer than 8 s")]
IMAGE = torch.zeros(2, 3, 8, 8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with models of each kind."""
    (tmp_path / "nets_to_measure.py").write_text(NETS)
    onnx.save(onnx.parser.parse_model(SUM), tmp_path / "sum.onnx")
    config = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 32, "vocab_size": 50}))
    program = torch.export.export(Net().eval(), (IMAGE,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "net.pt2")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script(here: Path, recwarn: pytest.WarningsRecorder) -> str:
    torch.jit.trace(Net().eval(), IMAGE).save(here / "net.pt")
    return str(here / "net.pt")


def named(kind: str, place: str, **told: Any) -> Workload:
    workload = sources.of_place(kind, place, trust=True, **told).workload
    assert workload is not None
    return workload()


def sizes(workload: Workload, *batch_sizes: int) -> list[Workload]:
    return [workload.with_batch_size(size) for size in batch_sizes]


def good(found: list[Measurement]) -> list[tuple[str, int]]:
    for one in found:
        assert one.status == "ok", one.reason
        assert one.features["macs"] >= 0
        assert one.samples
    return [(one.cell.framework, one.cell.workload.batch_size) for one in found]


@pytest.mark.slow
def test_a_function_is_measured_as_it_is(here: Path) -> None:
    found = measure(sizes(named("module", "nets_to_measure:net"), 1, 7), ["eager"], protocol=QUICK, trust=True)
    assert good(found) == [("eager", 1), ("eager", 7)]
    assert found[1].features["macs"] == 7 * found[0].features["macs"] == 7 * 64


@pytest.mark.slow
def test_a_configuration_is_measured_with_weights(here: Path) -> None:
    workload = named("hf", "config.json", tokens=8)
    found = measure(sizes(workload, 1, 2), ["eager", "torchscript", "onnxruntime"], protocol=QUICK)
    assert len(good(found)) == 6
    assert {one.cell.workload.input_size for one in found} == {8}
    for one in found:
        assert one.telemetry["activations"] == {"subnormal": 0.0, "nan": 0.0, "infinite": 0.0}


@pytest.mark.slow
def test_an_onnx_file_runs_as_it_is_and_nowhere_else(here: Path) -> None:
    workload = named("onnx", "sum.onnx")
    found = measure(sizes(workload, 1, 4), ["onnxruntime", "onnxruntime-basic", "openvino"], protocol=QUICK)
    assert len(good(found)) == 6
    (refused,) = measure([workload], ["eager"], protocol=QUICK)
    assert (refused.status, refused.reason) == ("unsupported", "it is an ONNX file, not a module or a TorchScript file")


@pytest.mark.slow
def test_an_onnx_file_of_one_batch_size_refuses_others(here: Path) -> None:
    onnx.save(onnx.parser.parse_model(SUM.replace("[n, 8]", "[2, 8]")), "two.onnx")
    own, other = measure(sizes(named("onnx", "two.onnx"), 2, 4), ["onnxruntime"], protocol=QUICK)
    assert own.status == "ok"
    assert (other.status, other.reason) == ("unsupported", "its input x is of [2, 8], not [4, 8]")


@pytest.mark.slow
def test_a_program_is_measured_as_its_module(here: Path) -> None:
    found = measure(sizes(named("export", "net.pt2"), 1, 4), ["eager", "onnxruntime"], protocol=QUICK, trust=True)
    assert len(good(found)) == 4
    (refused,) = measure([named("export", "net.pt2")], ["torchscript"], protocol=QUICK, trust=True)
    assert (refused.status, refused.reason) == ("unsupported", "torch.jit traces no program of torch.export")


@pytest.mark.slow
def test_a_script_is_measured_as_loaded(script: str) -> None:
    workload = named("torchscript", script, shapes={"x": (2, 3, 8, 8)})
    found = measure(sizes(workload, 2, 3), ["eager", "torchscript"], protocol=QUICK, trust=True)
    assert len(good(found)) == 4
    (refused,) = measure([workload], ["onnxruntime"], protocol=QUICK, trust=True)
    assert refused.reason == "it is a TorchScript file, not a module or an ONNX file"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status", "says"), FAULTS)
def test_what_goes_wrong_costs_its_own_cell(name: str, status: str, says: str, here: Path) -> None:
    limit = Protocol(cell_s=0.05, warmup_s=0.02, min_blocks=3, limit_s=8.0)
    own, other = measure(sizes(named("module", f"nets_to_measure:{name}"), 1, 4), ["eager"], protocol=limit, trust=True)
    assert own.status == "ok"
    assert other.status == status
    assert says in other.reason


def test_a_call_begins_with_the_cache_that_was_given(here: Path) -> None:
    workload = named("module", "nets_to_measure:grows")
    made = builder(workload)
    module, inputs = made.build(workload)
    assert {name: tuple(value.shape) for name, value in inputs.items()} == {"x": (1, 4), "cache_0": (2, 4)}
    assert [module(**inputs).shape[0] for _ in range(3)] == [3, 3, 3]


def test_inputs_of_any_form_become_tensors_by_name(here: Path) -> None:
    workload = named("module", "nets_to_measure:net")
    assert workload.batch_size == 1
    made = builder(workload)
    module, inputs = made.build(workload.with_batch_size(5))
    assert {name: tuple(value.shape) for name, value in inputs.items()} == {"input_0": (5, 8), "input_1_0": (8,)}
    assert module(**inputs).shape == (5, 8)
    assert not any(part.training for part in module.modules())
    again = made.inputs_for(module, workload.with_batch_size(2))
    assert again is not None
    assert module(**again).shape == (2, 8)


def test_inputs_of_an_onnx_file_are_such_as_it_can_take(here: Path) -> None:
    table = onnx.numpy_helper.from_array(torch.ones(3, 2).numpy(), "table")
    model = onnx.parser.parse_model(LOOKUP)
    model.graph.initializer.append(table)
    onnx.save(model, "lookup.onnx")
    workload = named("onnx", "lookup.onnx", shapes={"ids": (2, 5)}, values={"rate": 16000})
    made = builder(workload)
    file, inputs = made.build(workload.with_batch_size(2))
    assert file == OnnxFile(here / "lookup.onnx")
    assert inputs["ids"].tolist() == [[0, 1, 2, 0, 1], [2, 0, 1, 2, 0]]
    assert inputs["attention_mask"].tolist() == [[1.0] * 5] * 2
    assert (inputs["x"].dtype, tuple(inputs["x"].shape)) == (torch.float16, (2, 4))
    assert inputs["x"].any()
    assert inputs["rate"].tolist() == 16000


def test_a_changed_file_is_another_model(here: Path) -> None:
    before = named("onnx", "sum.onnx")
    assert before == named("onnx", str(here / "sum.onnx"))
    onnx.save(onnx.parser.parse_model(SUM.replace("Relu", "Sigmoid")), here / "sum.onnx")
    after = named("onnx", "sum.onnx")
    assert before.key != after.key
    assert outside.label(before) != outside.label(after)
    with pytest.raises(DataError, match=r"got a changed .*sum\.onnx"):
        sources.of_workload(before)
    (one,) = measure([before], ["onnxruntime"], protocol=QUICK)
    assert one.status == "unsupported"
    assert "changed" in one.reason


@pytest.mark.parametrize(
    ("kind", "place", "error"),
    [("onnx", "no.onnx", DataError), ("export", "no.pt2", DataError), ("torchscript", "no.pt", DataError),
     ("hf", "a/b/config.json", DataError), ("module", "no_such:net", InputError),
     ("module", "nets_to_measure", InputError)],
)  # fmt: skip
def test_a_model_that_is_not_there_is_refused(kind: str, place: str, error: type[FtaxError], here: Path) -> None:
    with pytest.raises(error):
        named(kind, place, shapes={"x": (1, 2)})
    if kind not in ("hf", "module"):
        with pytest.raises(error, match="readable file"):
            outside.workload(kind, place)


def test_a_workload_brings_its_source_back(here: Path) -> None:
    for workload in (named("onnx", "sum.onnx"), named("hf", "config.json", tokens=4), named("export", "net.pt2")):
        again = Workload.from_record(json.loads(json.dumps(workload.to_record())))
        assert again == workload
        source = sources.of_workload(again, trust=True)
        assert source.workload is not None
        assert source.workload() == workload
        assert source.trace(3).features()["n_ops"] > 0


@pytest.mark.slow
def test_measurements_are_read_anywhere(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    asked = sizes(named("onnx", "sum.onnx"), 1, 2)
    first = measure(asked, ["onnxruntime"], protocol=QUICK, out=out)
    assert measure(asked, ["onnxruntime"], protocol=QUICK, out=out) == first
    assert sorted(read(out), key=lambda one: one.cell.workload.batch_size) == first
    table = frame(first)
    assert set(table["architecture"]) == {"onnx"}
    assert table["model"].str.startswith("sum.onnx ").all()
    assert table["curve"].nunique() == 1


def test_registered_ones_are_measured_too_repeat_by_repeat() -> None:
    asked = grid("toy", num_layers=[2, 3], batch_size=[1, 4])
    told: list[tuple[int, int]] = []
    found = measure(asked, ["fake"], repeats=2, on_progress=lambda done, total, now: told.append((done, total)))
    assert len(found) == 8
    assert {one.cell.repeat for one in found} == {0, 1}
    assert told[-1] == (8, 8)


def test_a_budget_leaves_cells_out() -> None:
    found = measure(grid("toy", num_layers=2, batch_size=[1, 4]), ["fake"], budget_s=1e-3)
    assert found == []
