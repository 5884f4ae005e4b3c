"""What reads ONNX: the export, the optimiser for transformers, fixed buffers, OpenVINO's settings."""

import importlib
import types
from collections import Counter

import numpy as np
import pytest

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.collection.frameworks import _onnx, _torch
from ftax_model.collection.frameworks.onnxruntime import Onnxruntime
from ftax_model.device import Device, detect
from ftax_model.errors import MissingError
from ftax_model.workload import Workload

runtime_file = importlib.import_module("ftax_model.collection.frameworks.onnxruntime")
CPU = detect("cpu")
GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)
TINY = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100}
MLP = {"num_layers": 2, "hidden_size": 16}


def build(architecture, hyperparameters, **changes):
    import torch

    torch.manual_seed(0)
    workload = architectures.complete(Workload(architecture, hyperparameters, **changes))
    return architectures.load(architecture).build(workload)


def mlp():
    return build("mlp", MLP, input_size=16, batch_size=2)


def padded_bert():
    return build("bert", TINY, input_size=24, batch_size=2, lengths="penn-treebank")


@pytest.fixture
def opened(monkeypatch):
    """The kinds of operators in every graph that a session was opened for."""
    import onnx

    kinds, really_open = [], Onnxruntime._open

    def note(self, graph, device):
        proto = onnx.load_from_string(graph) if isinstance(graph, bytes) else onnx.load(graph)
        kinds.append(Counter(node.op_type for node in proto.graph.node))
        return really_open(self, graph, device)

    monkeypatch.setattr(Onnxruntime, "_open", note)
    return kinds


def alike(run, model, inputs):
    import torch

    with torch.no_grad():
        expected = _torch.tensors(model(**inputs))
    for found, other in zip(run(), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_transformer_is_fused_and_computes_the_same(opened):
    model, inputs = padded_bert()
    alike(frameworks.load("onnxruntime").prepare(model, inputs, CPU), model, inputs)
    (kinds,) = opened
    assert kinds["Attention"] == TINY["num_layers"]
    assert kinds["SkipLayerNormalization"] == 2 * TINY["num_layers"]
    assert kinds["Softmax"] == 0


@pytest.mark.slow
def test_basic_fuses_nothing(opened):
    model, inputs = padded_bert()
    alike(frameworks.load("onnxruntime-basic").prepare(model, inputs, CPU), model, inputs)
    (kinds,) = opened
    assert kinds["Attention"] == kinds["SkipLayerNormalization"] == 0
    assert kinds["Softmax"] == TINY["num_layers"]


@pytest.mark.parametrize("spoilt", ["outputs", "graph", "optimiser"])
def test_a_graph_that_the_optimiser_spoils_is_left_as_it_was(opened, monkeypatch, spoilt):
    import onnx
    from onnxruntime.transformers import optimizer

    class Spoilt:
        def __init__(self, file, **_):
            if spoilt == "optimiser":
                raise IndexError("list index out of range")
            self.model = onnx.load(file)
            if spoilt == "outputs":
                weight = self.model.graph.initializer[0]
                weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))
            else:
                self.model.graph.node[0].op_type = "NoSuchOperator"

    monkeypatch.setattr(optimizer, "optimize_model", Spoilt)
    model, inputs = mlp()
    model.config = types.SimpleNamespace(model_type="none", num_attention_heads=2, hidden_size=16)
    alike(frameworks.load("onnxruntime").prepare(model, inputs, CPU), model, inputs)
    assert len(opened) == (1 if spoilt == "optimiser" else 2)
    assert opened[-1] == Counter(Gemm=2, Relu=1)


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({"model_type": "gpt2", "num_attention_heads": 2, "hidden_size": 16}, ("gpt2", 2, 16)),
        ({"model_type": "roberta", "num_attention_heads": 2, "hidden_size": 16}, ("bert", 2, 16)),
        ({"model_type": "swin", "num_attention_heads": (2, 4), "hidden_size": 16}, ("swin", 0, 16)),
        ({"model_type": "mobilevit", "num_attention_heads": 4}, ("bert", 4, 0)),
        ({"model_type": "efficientnet"}, None),
    ],
)
def test_the_optimiser_is_told_what_it_knows(opened, monkeypatch, config, asked):
    from onnxruntime.transformers import optimizer

    told = []

    def note(file, *, model_type, num_heads, hidden_size, opt_level):
        told.append((model_type, num_heads, hidden_size))
        assert opt_level == 0
        raise ValueError

    monkeypatch.setattr(optimizer, "optimize_model", note)
    model, inputs = mlp()
    model.config = types.SimpleNamespace(**config)
    frameworks.load("onnxruntime").prepare(model, inputs, CPU)
    assert told == ([asked] if asked else [])


def test_an_export_with_other_outputs_is_not_used(monkeypatch):
    import torch

    monkeypatch.setattr(_onnx, "_by_program", _onnx._by_tracing)

    class Forgetful(torch.nn.Module):
        """Gives more the more it is called, which a trace does not know."""

        calls = 0

        def forward(self, x):
            Forgetful.calls += 1
            return x * Forgetful.calls

    with pytest.raises(NotImplementedError, match="not those of the module"):
        frameworks.load("onnxruntime").prepare(Forgetful(), {"x": torch.ones(2, 3)}, CPU)


@pytest.mark.parametrize("fails", [False, True])
def test_attention_is_spelt_out_in_the_export_alone(monkeypatch, fails):
    import torch

    seen = []

    class Model(torch.nn.Linear):
        config = types.SimpleNamespace(_attn_implementation="sdpa")

        def set_attn_implementation(self, name):
            self.config._attn_implementation = name

    def export(*args, **kwargs):
        seen.append(Model.config._attn_implementation)
        if fails:
            raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", export)
    load = lambda file: seen.append(Model.config._attn_implementation)  # noqa: E731
    if fails:
        with pytest.raises(NotImplementedError):
            _onnx.exported(Model(2, 2), {"input": torch.ones(2, 2)}, load)
        assert seen == ["eager"] * 4
    else:
        _onnx.exported(Model(2, 2), {"input": torch.ones(2, 2)}, load)
        assert seen == ["eager", "sdpa"]
    assert Model.config._attn_implementation == "sdpa"


class FakeSession:
    """A session on a GPU that is none: it computes into the buffers it was bound to, as the captured graph would."""

    def __init__(self, model, inputs, providers):
        self.model, self.inputs, self.providers, self.runs = model, inputs, providers, 0
        self.bound_inputs, self.bound_outputs = [], []
        self.get_inputs = lambda: [types.SimpleNamespace(name="input")]
        self.get_outputs = lambda: [types.SimpleNamespace(name="output")]
        self.get_providers = lambda: ["CUDAExecutionProvider"]

    def io_binding(self):
        return types.SimpleNamespace(
            bind_input=lambda *bound: self.bound_inputs.append(bound),
            bind_output=lambda *bound: self.bound_outputs.append(bound),
        )

    def run_with_iobinding(self, binding):
        import ctypes

        self.runs += 1
        result = self.model(**self.inputs).contiguous()
        _, _, _, _, shape, pointer = self.bound_outputs[-1]
        assert shape == tuple(result.shape)
        ctypes.memmove(pointer, result.data_ptr(), result.nbytes)


def test_cuda_graphs_run_on_buffers_that_stay(monkeypatch):
    import onnxruntime
    import torch

    sessions, exports = [], []
    model, inputs = mlp()
    runs_when_waiting = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: runs_when_waiting.append([one.runs for one in sessions]))
    monkeypatch.setattr(torch.onnx, "export", lambda *_, dynamo, **more: exports.append((dynamo, more)))
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)

    def open_session(file, options, providers):
        sessions.append(FakeSession(model, inputs, providers))
        return sessions[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    framework = frameworks.load("onnxruntime-cuda-graphs")
    run = framework.prepare(model, inputs, GPU)
    (session,) = sessions
    assert session.providers == [("CUDAExecutionProvider", {"enable_cuda_graph": "1", "use_tf32": "0"})]
    assert [(dynamo, more["dynamic_axes"]) for dynamo, more in exports] == [(False, {})]  # shapes are constants
    assert session.runs == 1  # it captures while preparing
    assert runs_when_waiting == [[]]  # the inputs are there before anything reads them
    (output,) = run()
    assert session.runs == 2
    assert run()[0] is output
    assert output.equal(model(**inputs))
    assert [bound[-1] for bound in session.bound_outputs] == [output.data_ptr()]
    assert [bound[-1] for bound in session.bound_inputs] == [inputs["input"].data_ptr()]
    framework.prepare(model, inputs, GPU)
    assert len(sessions) == 2  # one session for each batch size


def test_reasons_against_half_precision_and_a_cpu():
    assert "bfloat16" in frameworks.load("onnxruntime").supports(Workload("mlp", dtype="bfloat16"), CPU)
    assert "float16" in frameworks.load("onnxruntime").supports(Workload("mlp", dtype="float16"), CPU)
    assert "cuda only" in frameworks.load("onnxruntime-cuda-graphs").supports(Workload("mlp"), CPU)


@pytest.fixture
def openvino():
    try:
        return frameworks.load("openvino")
    except MissingError as error:
        pytest.skip(str(error))


openvino_file = importlib.import_module("ftax_model.collection.frameworks.openvino")


def test_openvino_is_told_threads_precision_and_shapes(openvino, monkeypatch):
    import torch

    core, asked = openvino_file._core(), []

    def compile_model(graph, device, settings):
        asked.append((device, settings, [list(node.shape) for node in graph.inputs]))
        return core.compile_model(graph, device, settings)

    recording = types.SimpleNamespace(read_model=core.read_model, compile_model=compile_model)
    monkeypatch.setattr(openvino_file, "_core", lambda: recording)
    exports, really_export = [], torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: exports.append(1) or really_export(*a, **k))
    model, inputs = mlp()
    other = {"input": torch.randn(5, 16)}
    for batch in (inputs, other):
        run = openvino.prepare(model, batch, CPU)
        alike(run, model, batch)
        assert run()[0] is run()[0]
    assert len(exports) == 1  # the graph serves every batch size, compiled for each
    assert [(device, shapes) for device, _, shapes in asked] == [("CPU", [[2, 16]]), ("CPU", [[5, 16]])]
    assert asked[0][1] == {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
    }


def test_openvino_says_what_it_cannot_run(openvino, monkeypatch):
    assert "cpu only" in openvino.supports(Workload("mlp"), GPU)
    assert "float16" in openvino.supports(Workload("mlp", dtype="float16"), CPU)
    monkeypatch.setattr(openvino_file, "_capabilities", lambda: ["FP32"])
    assert "bfloat16" in openvino.supports(Workload("mlp", dtype="bfloat16"), CPU)
    monkeypatch.setattr(openvino_file, "_capabilities", lambda: ["FP32", "BF16"])
    assert openvino.supports(Workload("mlp", dtype="bfloat16"), CPU) is None


def test_openvino_shares_memory_with_torch(openvino):
    import torch

    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.bool):
        value = torch.ones(2, 3).to(dtype)
        shared = openvino_file._shared(value)
        assert list(shared.shape) == [2, 3]
        assert shared.data.ctypes.data == value.data_ptr()
