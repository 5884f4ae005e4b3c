"""Models from wherever they come: each becomes traces, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from ftax_model import LatencyPredictor, Workload
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.tracing import features, sources, trace, trace_workload

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MACS = {"light_resnet50": 4.09e9, "light_squeezenet": 3.49e8, "light_vgg19": 1.963e10, "light_densenet121": 2.83e9}
"""Of one image, as published for these networks to three digits."""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)).mean((2, 3)))


IMAGE = torch.zeros(2, 3, 16, 16)


def macs(found: Any) -> float:
    return float(found.features()["macs"])


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    program = torch.export.export(Net().eval(), (IMAGE,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def test_a_program_is_what_its_module_is(exported: Path) -> None:
    expected = trace(Net().eval(), (IMAGE,))
    program = torch.export.load(exported)
    for what in (exported, str(exported), program):
        source = sources.find(what)
        assert (source.batch_size, source.dtype) == (2, "float32")
        assert macs(source.trace()) == macs(expected)
    assert macs(sources.find(program).trace(8)) == 4 * macs(expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_wants_the_shapes_of_its_inputs(tmp_path: Path) -> None:
    torch.jit.trace(Net().eval(), IMAGE).save(tmp_path / "net.pt")
    found = sources.of_torchscript(tmp_path / "net.pt", shapes={"x": (2, 3, 16, 16)})
    assert macs(found.trace()) == macs(trace(Net().eval(), (IMAGE,)))
    with pytest.raises(InputError, match="give each: --shape"):
        sources.of_torchscript(tmp_path / "net.pt", shapes={})


def test_a_function_builds_a_module_on_the_meta_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_sources.py").write_text(
        "import torch\n"
        "def net():\n    return torch.nn.Linear(8, 4), {'input': torch.empty(3, 8)}\n"
        "def none():\n    return None\n"
        "def fails():\n    raise OSError('not\\ntoday')\n"
    )
    monkeypatch.chdir(tmp_path)
    found = sources.of_function("own_sources:net")
    assert (found.label, found.batch_size, macs(found.trace())) == ("net", 3, 96.0)
    for place in ("own_sources", "own_sources:", ":net", "own_sources:none", "own_sources:fails", "no_such:net"):
        with pytest.raises(InputError, match=r"PACKAGE\.FILE:FUNCTION"):
            sources.of_function(place)


def test_traces_survive_a_file_and_predict_the_same(tmp_path: Path) -> None:
    workload = Workload("mlp", {})
    source = sources.of_workload(workload)
    for name in ("mlp.json", "mlp.json.gz"):
        sources.write(tmp_path / name, source, source.traced([1, 8], [2, 4, 16]))
        again = sources.read(tmp_path / name)
        assert again.trace(8) == trace_workload(workload.with_batch_size(8))
        with pytest.raises(InputError, match="traced at batch size 1, 2, 4, 8, 16; got 5"):
            again.trace(5)
    predictor = LatencyPredictor.load("x86-epyc-2core")
    asked = {"framework": "eager", "threads": 1, "batch_sizes": [8]}
    of_file = predictor.predict(str(tmp_path / "mlp.json"), **asked)
    of_workload = predictor.predict(workload, **asked)
    assert of_file["latency_s"].iloc[0] == pytest.approx(of_workload["latency_s"].iloc[0])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "ftax_model.Trace", "schema": 99}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "int3", "traces": []}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "float32", "traces": []}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "float32", "traces": [{"batch_size": 1}]}'],
)  # fmt: skip
def test_a_file_that_holds_no_traces_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FtaxError):
        sources.read(tmp_path / "a.json")
    with pytest.raises(DataError):
        sources.read(tmp_path / "none.json")


@pytest.mark.parametrize("what", [3, "net.bin", nn.Linear(2, 2), None])
def test_what_is_no_model_is_refused(what: Any) -> None:
    with pytest.raises(InputError, match="a model is a workload"):
        sources.find(what)


@pytest.mark.parametrize("name", sorted(MACS))
def test_networks_that_others_exported_have_their_published_macs(name: str) -> None:
    found = sources.of_onnx(LIGHT / f"{name}.onnx")
    assert macs(found.trace()) == pytest.approx(MACS[name], rel=0.01)
    assert features.unknown(found.trace()) == ""


def _graph(nodes: list[Any], inputs: dict[str, list[Any]], constants: dict[str, Any], path: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    made = [helper.make_tensor(name, kind, shape, data) for name, (kind, shape, data) in constants.items()]
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", values, [result], made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_the_batch_of_a_graph_is_bound(tmp_path: Path) -> None:
    weight = (TensorProto.FLOAT, [8, 4], [0.0] * 32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = _graph([node], {"x": ["batch", 8]}, {"w": weight}, tmp_path / "a.onnx")
    found = sources.of_onnx(path)
    assert [macs(found.trace(size)) for size in (1, 5)] == [32.0, 160.0]
    assert [one.kind for one in found.trace(5).operators] == ["mm"]
    assert found.trace(5).features()["weight_bytes"] == 128
    assert found.trace().params == 32


def test_an_open_axis_is_asked_for(tmp_path: Path) -> None:
    path = _graph([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", "width"]}, {}, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"width open; give it: --shape x=1x\.\.\."):
        sources.of_onnx(path)
    assert sources.of_onnx(path, shapes={"x": (1, 7)}).trace(3).operators[0].outputs == ((3, 7),)
    with pytest.raises(InputError, match=r"the inputs of a\.onnx are x"):
        sources.of_onnx(path, shapes={"z": (1, 7)})


def test_shapes_that_depend_on_values_come_from_a_run(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]
    path = _graph(nodes, {"x": ["n", 4]}, {}, tmp_path / "a.onnx")
    assert [one.outputs for one in sources.of_onnx(path).trace(2).operators] == [((2, 0),), ((2, 0),)]


def test_nodes_without_a_counterpart_are_unknown_by_their_names(tmp_path: Path) -> None:
    nodes = [helper.make_node("LRN", ["x"], ["y"], size=3), helper.make_node("Relu", ["y"], ["z"])]
    path = _graph(nodes, {"x": [1, 4, 8, 8]}, {}, tmp_path / "a.onnx")
    assert features.unknown(sources.of_onnx(path).trace()) == "onnx.LRN (50 % of dispatches, 50 % of bytes)"


def test_the_longer_branch_of_a_choice_counts(tmp_path: Path) -> None:
    def branch(name: str, *kinds: str) -> Any:
        nodes, last = [], "x"
        for at, kind in enumerate(kinds):
            nodes.append(helper.make_node(kind, [last], [f"{name}{at}"]))
            last = f"{name}{at}"
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)])

    short, longer = branch("a", "Relu"), branch("b", "Sigmoid", "Exp")
    node = helper.make_node("If", ["flag"], ["y"], then_branch=short, else_branch=longer)
    path = _graph([node], {"x": ["n", 4]}, {"flag": (TensorProto.BOOL, [], [True])}, tmp_path / "a.onnx")
    found = sources.of_onnx(path).trace(2)
    assert [one.kind for one in found.operators] == ["onnx.If", "sigmoid", "exp"]
    assert "onnx.If" in features.unknown(found)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no protobuf")
    for name in ("a.onnx", "none.onnx"):
        with pytest.raises(DataError, match="an ONNX file holds a model"):
            sources.of_onnx(tmp_path / name)


@pytest.mark.filterwarnings("ignore")
def test_onnx_counts_what_torch_does(tmp_path: Path) -> None:
    module = Net().eval()
    torch.onnx.export(module, (IMAGE,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    found = sources.of_onnx(tmp_path / "net.onnx").trace()
    assert macs(found) == macs(trace(module, (IMAGE,)))


CONFIGS = {
    "bert": {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128},
    "mixtral": {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
                "num_key_value_heads": 2, "vocab_size": 100, "num_local_experts": 4},
    "vit": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "image_size": 64},
    "t5": {"num_layers": 1, "d_model": 64, "d_ff": 128, "num_heads": 4, "d_kv": 16},
    "xlnet": {"n_layer": 1, "d_model": 64, "n_head": 4, "d_inner": 128},
    "wav2vec2": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128},
    "videomae": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "image_size": 32},
}  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_is_a_model(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **CONFIGS[kind]}))
    for path in (tmp_path, tmp_path / "config.json"):
        found = sources.of_config(path)
        assert found.batch_size == 1
        assert macs(found.trace(4)) == pytest.approx(4 * macs(found.trace(1)), rel=0.02)
        assert features.unknown(found.trace()) == ""


def test_a_configuration_names_its_class_and_tokens_their_number(tmp_path: Path) -> None:
    own = {"model_type": "bert", "architectures": ["BertForMaskedLM"], **CONFIGS["bert"]}
    (tmp_path / "config.json").write_text(json.dumps(own))
    short, longer = (sources.of_config(tmp_path, tokens=tokens).trace() for tokens in (16, 32))
    assert "cls" in short.operators[-1].layer
    assert macs(longer) > 2 * macs(short)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"model_type": "no-such"}', '{"model_type": "bert", "hidden_size": "a"}']
)
def test_a_configuration_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FtaxError):
        sources.of_config(tmp_path)
    with pytest.raises(DataError, match="no file"):
        sources.of_config(tmp_path / "none.json")


def test_where_values_decide_random_weights_are_called(tmp_path: Path) -> None:
    own = {"num_layers": 1, "num_decoder_layers": 1, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
    own |= {"d_model": 32, "d_ff": 64, "num_heads": 2, "d_kv": 16, "vocab_size": 50, "num_experts": 2}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "switch_transformers", **own}))
    found = sources.of_config(tmp_path, tokens=8).trace()
    assert macs(found) > 0
    assert any("expert" in one.layer for one in found.operators)
