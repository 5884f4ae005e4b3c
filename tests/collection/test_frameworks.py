"""What every framework promises; a new file is tested by existing."""

import dataclasses
import subprocess
import sys
import types
from contextlib import nullcontext

import numpy as np
import pytest

from ftax_model import architectures, plugins
from ftax_model.collection import frameworks
from ftax_model.collection.frameworks import _torch, onnxruntime
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.frameworks.inductor import Inductor
from ftax_model.device import Device, detect
from ftax_model.errors import InputError, MissingError
from ftax_model.measurement import Cell
from ftax_model.operators import Operator, Trace
from ftax_model.workload import Workload, grid

GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)

SMALL = {
    "mlp": {"num_layers": 2, "hidden_size": 16},
    "bert": {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100},
    "gpt2": {"num_layers": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100},
    "resnet": {"block": "basic", "depths": (1, 1), "widths": (8, 16), "num_classes": 10},
}
INPUT_SIZE = {"mlp": 16, "resnet": 32}

classes = {name: plugins.load("ftax_model.collection.frameworks", name) for name in frameworks.names()}
computing = [name for name, one in classes.items() if not issubclass(one, Fake)]
each = pytest.mark.parametrize("name", frameworks.names())

EVERY_ARCHITECTURE = ("eager", "torchscript", "onnxruntime")
"""Frameworks that are tried on all of `SMALL`; the others on two of them, and those that compile in C++ on one."""


def compares():
    """Which framework's outputs are compared with those of eager, on what; all but the quickest are slow."""
    for name, one in classes.items():
        compiles = issubclass(one, Inductor)
        for architecture in SMALL if name in EVERY_ARCHITECTURE else ["mlp"] if compiles else ["mlp", "bert"]:
            marks = [] if architecture == "mlp" and not compiles else pytest.mark.slow
            for lengths in architectures.load(architecture).lengths if name in computing else ():
                yield pytest.param(name, architecture, lengths, marks=marks)


def load(name):
    """The framework, where it is installed."""
    try:
        return frameworks.load(name)
    except MissingError as error:
        pytest.skip(str(error))


def outputs(result):
    """The tensors, and ONNX Runtime's, of a result as arrays in the host's memory."""
    parts = result if isinstance(result, tuple | list) else [result]
    return [(part.cpu() if hasattr(part, "cpu") else part).numpy() for part in parts]


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.compile's own modules use it
@pytest.mark.parametrize(("name", "architecture", "lengths"), list(compares()))
@pytest.mark.parametrize(
    ("kind", "tolerance"), [("cpu", 1e-5), pytest.param("cuda", 1e-2, marks=[pytest.mark.gpu, pytest.mark.slow])]
)
def test_output_is_that_of_eager_at_every_batch_size(name, architecture, lengths, kind, tolerance):
    import torch

    one = architectures.load(architecture)
    torch.manual_seed(0)
    asked = grid(
        architecture,
        **SMALL[architecture],
        batch_size=[1, 5, 2],
        input_size=INPUT_SIZE.get(architecture, 24),
        lengths=lengths,
    )
    workloads = [one.complete(workload) for workload in asked]
    framework, eager, device = load(name), frameworks.load("eager"), detect(kind)
    if reason := framework.supports(workloads[0], device):
        pytest.skip(reason)
    with torch.device(kind):
        module, _ = one.build(workloads[0])
        batches = [one.inputs_for(module, workload) or one.build(workload)[1] for workload in workloads]
    for inputs in batches:
        with eager.mode():
            expected = outputs(eager.prepare(module, inputs, device)())
        with framework.mode():
            call = framework.prepare(module, inputs, device)
            found = [outputs(call()) for _ in range(3)]
        for result in found:
            assert len(result) == len(expected)
            for one_output, other in zip(result, expected, strict=True):
                assert one_output.shape == other.shape
                if "attention_mask" in inputs and other.ndim == 3:  # what stands at padding means nothing
                    tokens = inputs["attention_mask"].bool().cpu().numpy()
                    one_output, other = one_output[tokens], other[tokens]
                np.testing.assert_allclose(one_output, other, rtol=10 * tolerance, atol=tolerance)


@each
def test_says_what_it_is(name):
    framework = load(name)
    assert framework.version()
    assert set(framework.devices) <= {"cpu", "cuda", "fake"}
    assert type(framework).__doc__
    assert framework.clock() <= framework.clock()


@each
def test_supports_this_machine_or_says_why_not(name):
    framework = load(name)
    for kind in ("cpu", "cuda", "fake"):
        device = dataclasses.replace(GPU, kind=kind)
        reason = framework.supports(Workload("mlp"), device)
        assert reason is None or len(reason) > 10
        if kind not in framework.devices:
            assert reason


def test_loading_imports_nothing_heavy():
    code = (
        "import sys; from contextlib import suppress; from ftax_model.collection import frameworks as f\n"
        "from ftax_model.errors import MissingError\n"
        "for name in f.names():\n"
        "    with suppress(MissingError): f.load(name).version()\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'openvino', 'transformers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_and_missing_frameworks(monkeypatch):
    with pytest.raises(InputError, match="did you mean 'eager'"):
        frameworks.load("egaer")
    monkeypatch.setattr(Fake, "preload", ("nosuchpackage.part",))
    with pytest.raises(MissingError, match="pip install nosuchpackage"):
        frameworks.load("fake")


def test_fake_moves_its_clock_by_the_law():
    operators = tuple(Operator("mm", ((4, 8), (8, 8)), ((4, 8),), macs=256, activation_bytes=256) for _ in range(3))
    fake = Fake()
    call = fake.prepare(Trace(operators, params=192), {}, GPU)
    begin = fake.clock()
    for _ in range(2000):
        call()
    host = Fake.overhead_s + 3 * Fake.overhead_s_per_op
    device = Fake.compute_s_per_mac * 768 + Fake.traffic_s_per_byte * 768
    law = (host**Fake.overlap + device**Fake.overlap) ** (1 / Fake.overlap)
    assert (fake.clock() - begin) / 2000 == pytest.approx(law, rel=0.002)


def test_tensors_are_found_in_every_kind_of_output():
    import torch

    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    nested = {"a": one, "b": (two, [three, None]), "c": None, "d": "word"}
    assert [len(tensor) for tensor in _torch.tensors(nested)] == [1, 2, 3]
    assert _torch.tensors(one) == (one,)


# Where there is no GPU, fakes stand in for it.


def test_torch_waits_for_the_gpu_where_one_is_in_use(monkeypatch):
    import torch

    waits = []
    on_gpus = [frameworks.load(name) for name in computing if "cuda" in classes[name].devices]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    for framework in on_gpus:
        framework.synchronize()
    assert not waits
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for framework in on_gpus:
        framework.synchronize()
    assert len(waits) == len(on_gpus)


def test_torch_without_cuda_says_so(monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in frameworks.load("eager").supports(Workload("mlp"), GPU)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "cannot use the GPU" in frameworks.load("eager").supports(Workload("mlp"), GPU)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert frameworks.load("eager").supports(Workload("mlp"), GPU) is None


class FakeBinding:
    def __init__(self):
        self.inputs, self.outputs = [], []

    def bind_input(self, *bound):
        self.inputs.append(bound)

    def bind_output(self, *bound):
        self.outputs.append(bound)

    def get_outputs(self):
        return ["output"]


class FakeOnnxRuntime(types.ModuleType):
    """As much of onnxruntime as the framework asks for; ``loads`` tells whether the CUDA provider does."""

    GraphOptimizationLevel = types.SimpleNamespace(ORT_ENABLE_ALL="all")

    def __init__(self, loads):
        super().__init__("onnxruntime")
        self.loads, self.sessions, self.preloaded = loads, [], 0

    def SessionOptions(self):  # noqa: N802
        return types.SimpleNamespace()

    def preload_dlls(self):
        self.preloaded += 1

    def get_available_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"] if self.loads else ["CPUExecutionProvider"]

    def InferenceSession(self, file, options, providers):  # noqa: N802
        binding = FakeBinding()
        session = types.SimpleNamespace(
            options=options,
            providers=providers,
            binding=binding,
            io_binding=lambda: binding,
            get_inputs=lambda: [types.SimpleNamespace(name="input")],
            get_outputs=lambda: [types.SimpleNamespace(name="output")],
            get_providers=self.get_available_providers,
            run_with_iobinding=lambda bound: None,
        )
        self.sessions.append(session)
        return session


@pytest.mark.parametrize("loads", [True, False])
def test_onnxruntime_binds_to_the_gpu_or_says_that_it_cannot(monkeypatch, loads):
    import torch

    framework, runtime = frameworks.load("onnxruntime"), FakeOnnxRuntime(loads)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: None)
    monkeypatch.setattr(onnxruntime, "check_alike", lambda *outputs: None)  # the fake session computes nothing
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    module, inputs = architectures.load("mlp").build(architectures.complete(Workload("mlp", SMALL["mlp"])))
    if not loads:
        assert "has no CUDAExecutionProvider" in framework.supports(Workload("mlp"), GPU)
        with pytest.raises(MissingError, match="CPUExecutionProvider in its place"):
            framework.prepare(module, inputs, GPU)
        assert len(runtime.sessions) == 1
        return
    assert framework.supports(Workload("mlp"), GPU) is None
    call = framework.prepare(module, inputs, GPU)
    assert call() == ["output"]
    (session,) = runtime.sessions
    assert session.providers == [("CUDAExecutionProvider", {"use_tf32": "0"})]
    assert session.options.graph_optimization_level == "all"
    assert session.options.intra_op_num_threads == torch.get_num_threads()
    assert {bound[:3] for bound in session.binding.inputs} == {("input", "cuda", 0)}
    assert session.binding.inputs[-1][4:] == (tuple(inputs["input"].shape), inputs["input"].data_ptr())
    assert session.binding.outputs[-1] == ("output", "cuda")
    assert runtime.preloaded
    framework.prepare(module, inputs, GPU)
    assert len(runtime.sessions) == 1  # the session serves every batch size


def test_onnxruntime_gives_its_last_reason(monkeypatch):
    import torch

    tried = []

    def refuse(*args, dynamo, **kwargs):
        tried.append(dynamo)
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    module, inputs = architectures.load("mlp").build(architectures.complete(Workload("mlp", SMALL["mlp"])))
    with pytest.raises(NotImplementedError, match="no such operator"):
        frameworks.load("onnxruntime").prepare(module, inputs, detect("cpu"))
    assert tried == [False, True, False, True]


@pytest.mark.gpu
@each
def test_on_a_gpu(name, tmp_path):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    from ftax_model.collection.plan import Grid, Plan
    from ftax_model.collection.runner import collect
    from ftax_model.dataset import read

    workloads = tuple(architectures.complete(w) for w in grid("mlp", **SMALL["mlp"], batch_size=[1, 8]))
    collect(Plan("gpu", (Grid(workloads, (name,)),)), tmp_path / "out.jsonl", device="cuda")
    for measurement in read(tmp_path / "out.jsonl"):
        assert isinstance(measurement.cell, Cell)
        assert measurement.status in ("ok", "unsupported")
        if measurement.status == "ok":
            assert measurement.host_s is not None
            assert measurement.pipelined_s <= 1.5 * measurement.latency_s


@pytest.mark.parametrize(("apart", "alike"), [(1.0, True), (40.0, False)])
def test_outputs_may_be_as_far_from_exact_ones_as_those_of_the_module(apart, alike):
    import torch

    class Cancelling(torch.nn.Module):
        def forward(self, x):
            return (x + 100) - 100  # in half precision that takes a part of x with it

    module, x = Cancelling(), torch.linspace(-1, 1, 4001).half()
    own = module(x)
    other = x + apart * (own - x).flip(0)
    assert float((other - own).norm() / own.norm()) > 30 * torch.finfo(torch.half).eps
    with nullcontext() if alike else pytest.raises(NotImplementedError, match="they differ by"):
        _torch.check_alike([other], [own], module, {"x": x})
