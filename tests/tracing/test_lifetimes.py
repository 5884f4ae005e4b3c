"""Bytes alive at once, on modules small enough to count by hand, in torch and in ONNX."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import parser
from torch import nn
from torch.nn import functional

from ftax_model.errors import DataError
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import ModuleSweep, sources, trace
from ftax_model.tracing.lifetimes import live_bytes

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


class Calls(nn.Module):
    """A module from a function of its input."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def alive(function: Callable[[torch.Tensor], Any], *, device: str = "meta") -> list[int | None]:
    """What is alive at each operator of a function, in sizes of its input."""
    found = trace(Calls(function), torch.zeros(2, device=device)).operators
    return [one.live_bytes // 8 if one.live_bytes is not None else None for one in found]


def test_by_hand() -> None:
    sizes = {"x": 1, "a": 10, "b": 100, "c": 1000}
    touched = [["x", "a"], ["a", "b", "weight"], ["b", "c"]]
    assert live_bytes(touched, sizes, inputs=["x"], outputs=["c"]) == [11, 111, 1101]
    assert live_bytes(touched, sizes, inputs=["x"], outputs=["a", "c"]) == [11, 111, 1111]
    assert live_bytes([], sizes, inputs=["x"], outputs=[]) == []


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.sin().cos().tan(), [2, 3, 3]),  # a chain: the input, what is read, what is written
        (lambda x: x.sin().cos() + x.tan(), [2, 3, 3, 4]),  # what waits for its other half
        (lambda x: x.sin().add_(1).mul_(2), [2, 2, 2]),  # in place
        (lambda x: x.sin().view(2, 1).t().cos(), [2, 3]),  # a view is the same storage
        (lambda x: (x.sin(), x.cos()), [2, 3]),  # what is returned stays
        (lambda x: x.sin().repeat(4).cos()[:1], [2, 6, 9]),  # a piece of what is returned keeps the whole
        (lambda x: {"y": [x.sin().repeat(2)], "z": x.cos()}, [2, 4, 4]),
    ],
)
def test_activations_of_a_call_by_hand(function: Any, expected: list[int], device: str) -> None:
    assert alive(function, device=device) == expected


def test_weights_count_once_and_are_no_activations() -> None:
    with torch.device("meta"):
        one = nn.Linear(8, 8)
        module = nn.Sequential(one, nn.ReLU(), one, nn.BatchNorm1d(8)).eval()
    found = trace(module, torch.zeros(4, 8, device="meta"))
    batch_norm = 4 * (4 * 8) + 8  # weight, bias, mean and variance; the number of batches seen
    assert found.memory() == {"model_bytes": 4 * (64 + 8) + batch_norm, "live_bytes": 3 * 4 * 4 * 8}


def test_a_table_is_held_whole_though_few_rows_are_read() -> None:
    found = trace(nn.Embedding(1000, 4, device="meta"), torch.zeros(2, 3, dtype=torch.int64, device="meta"))
    assert found.memory() == {"model_bytes": 16_000, "live_bytes": 2 * 3 * (8 + 16)}
    assert found.features()["weight_bytes"] < 200


def test_what_was_not_counted_is_not_known() -> None:
    one = Operator("mm", (), (), live_bytes=3)
    assert Trace((one,), 0, model_bytes=5).memory() == {"model_bytes": 5, "live_bytes": 3}
    for found in (Trace((one, Operator("mm", (), ())), 0), Trace((), 0)):
        assert all(math.isnan(value) for value in found.memory().values())


@pytest.mark.parametrize("size", [1, 2, 3, 8, 64])
def test_a_peak_that_changes_its_place_with_the_batch(size: int) -> None:
    class Places(nn.Module):
        def forward(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
            return x.repeat(1, 3).sin().sum(1) + (table @ table).sum()

    inputs = {"x": torch.zeros(4, 8, device="meta"), "table": torch.zeros(20, 20, device="meta")}
    swept = ModuleSweep(Places(), inputs)([size, 100])[size]
    held = 4 * 8 * size + 4 * 400
    assert swept.memory()["live_bytes"] == max(held + 2 * 4 * 24 * size, held + 4 * size + 4 * 400 + 4)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.narrow(functional.relu(self.wide(x)))


def test_onnx_and_torch_agree(tmp_path: Path) -> None:
    text = """g (float[n, 8] x) => (float[n, 8] z)
        <float[8, 32] v = {%s}, float[32] a = {%s}, float[32, 8] w = {%s}, float[8] b = {%s}>
        { h = Gemm(x, v, a) r = Relu(h) y = Gemm(r, w, b) z = Add(x, y) }"""
    zeros = tuple(", ".join(["0"] * count) for count in (256, 32, 256, 8))
    onnx.save(parser.parse_model(f"{HEAD} {text % zeros}"), tmp_path / "a.onnx")
    source = sources.of_onnx(tmp_path / "a.onnx")
    for size in (1, 6):
        assert source.trace(size).memory() == trace(Small(), torch.zeros(size, 8)).memory()


def test_views_in_onnx_are_the_same_tensor_and_shapes_hold_none(tmp_path: Path) -> None:
    text = """g (float[2, 8] x) => (float[16] z)
        { a = Sin(x) b = Identity(a) c = Reshape(b, s) d = Cos(c) n = Shape(a) e = Reshape(d, s) f = Sin(e)
          z = Cos(f) }"""
    model = parser.parse_model(f"{HEAD} {text}")
    model.graph.initializer.append(onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [1], [16]))
    onnx.save(model, tmp_path / "a.onnx")
    assert [one.live_bytes for one in sources.of_onnx(tmp_path / "a.onnx").trace().operators] == [128, 192, 192, 192]


def test_it_survives_its_file(tmp_path: Path) -> None:
    source = sources.of_module(Small(), torch.zeros(3, 8))
    sources.write(tmp_path / "t.json", source, source.traced([3], ()))
    assert sources.read(tmp_path / "t.json").trace(3).memory() == source.trace(3).memory()


@pytest.mark.parametrize("change", [{"model_bytes": -1}, {"model_bytes": "5"}, {"model_bytes": 2.5}])
def test_counts_that_are_none_are_refused(change: dict[str, Any]) -> None:
    record = Trace((Operator("mm", (), (), live_bytes=3),), 0).to_record()
    with pytest.raises(DataError, match="model_bytes is a whole number"):
        Trace.from_record({**record, **change})
    with pytest.raises((TypeError, ValueError)):
        Trace.from_record({**record, "operators": [{**record["operators"][0], "live_bytes": -1}]})


def test_traces_written_before_it_was_counted_still_load() -> None:
    found = Trace.from_record({"params": 3, "operators": [{"kind": "relu", "inputs": [[4]], "outputs": [[4]]}]})
    assert all(math.isnan(value) for value in found.memory().values())
