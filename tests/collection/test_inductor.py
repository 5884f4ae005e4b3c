"""Inductor: compiled for the shapes at hand, from nothing, and never again while it is timed."""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path

import pytest

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.device import Device, detect
from ftax_model.workload import Workload

GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)
CPU = detect("cpu")
TINY = {"num_layers": 1, "hidden_size": 8}
INDUCTORS = ("inductor", "inductor-max-autotune", "inductor-cuda-graphs")

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.compile's modules use it


def tiny():
    import torch

    torch.manual_seed(0)
    return architectures.load("mlp").build(architectures.complete(Workload("mlp", TINY, input_size=8)))


@pytest.fixture
def gpu(monkeypatch):
    """A torch that says that it has a GPU."""
    import torch

    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


class FakeCompile:
    """Stands in for torch.compile: keeps what it is asked for, and what holds whenever the result is called."""

    def __init__(self, failure=None):
        self.failure, self.calls = failure, []

    def __call__(self, model, *, dynamic, options):
        self.dynamic, self.options = dynamic, options

        def compiled(**inputs):
            from torch._dynamo import eval_frame

            cache = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
            self.calls.append((eval_frame._stance.stance, cache, cache.is_dir()))
            if self.failure:
                raise self.failure
            return model(**inputs)

        return compiled


@pytest.fixture
def compile_(monkeypatch, tmp_path):
    import torch
    import torch._inductor.compile_fx

    fake = FakeCompile()
    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    return fake


@pytest.mark.parametrize("name", INDUCTORS)
def test_compiles_in_preparing_with_a_cache_of_its_own_and_then_no_more(compile_, tmp_path, name):
    from torch._dynamo import eval_frame

    framework, device = frameworks.load(name), GPU if name.endswith("graphs") else CPU
    module, inputs = tiny()
    with framework.mode():
        call = framework.prepare(module, inputs, device)
        assert len(compile_.calls) == framework.calls_to_settle >= 2
        for stance, cache, exists in compile_.calls:
            assert stance == "default"
            assert tmp_path in cache.parents
            assert exists
        assert not list(tmp_path.iterdir())
        assert eval_frame._stance.stance == "fail_on_recompile"
        assert call().equal(module(**inputs))
        framework.prepare(module, inputs, device)
        assert compile_.calls[-1][0] == "default"
    assert eval_frame._stance.stance == "default"
    assert compile_.dynamic is False


@pytest.mark.parametrize(
    ("name", "device", "options"),
    [
        ("inductor", CPU, {}),
        ("inductor", GPU, {}),
        ("inductor-max-autotune", CPU, {"max_autotune": True, "freezing": True}),
        ("inductor-max-autotune", GPU, {"max_autotune": True, "coordinate_descent_tuning": True}),
        ("inductor-cuda-graphs", GPU, {"triton.cudagraphs": True}),
    ],
)
def test_options_are_those_of_the_mode(compile_, name, device, options):
    import torch

    framework = frameworks.load(name)
    with framework.mode():
        framework.prepare(*tiny(), device)
    headers = compile_.options.pop("cpp_cache_precompile_headers")
    assert compile_.options == options
    assert headers is (shutil.which("openssl") is not None)
    mode = {"inductor": "default", "inductor-cuda-graphs": "reduce-overhead"}.get(name, "max-autotune-no-cudagraphs")
    if device is GPU:
        assert options == torch._inductor.list_mode_options(mode)


def test_a_compiler_that_fails_is_a_reason(compile_):
    from torch._dynamo.exc import BackendCompilerFailed

    compile_.failure = BackendCompilerFailed(test_a_compiler_that_fails_is_a_reason, ValueError("no such thing"), None)
    framework = frameworks.load("inductor")
    with framework.mode(), pytest.raises(NotImplementedError, match="no such thing"):
        framework.prepare(*tiny(), CPU)


def test_graphs_that_torch_leaves_out_are_a_reason(compile_, monkeypatch):
    from torch._dynamo.utils import counters

    framework = frameworks.load("inductor-cuda-graphs")
    module, inputs = tiny()
    counters["inductor"]["cudagraph_skips"] = 5  # of an earlier module
    with framework.mode():
        framework.prepare(module, inputs, GPU)

        def skipping(**inputs):
            counters["inductor"]["cudagraph_skips"] += 1

        monkeypatch.setattr(FakeCompile, "__call__", lambda *_, **__: skipping)
        with pytest.raises(NotImplementedError, match="4 CUDA graphs out"):
            framework.prepare(module, inputs, GPU)


def test_needs_a_compiler(monkeypatch, gpu, tmp_path):
    import torch._inductor.config
    import torch.utils._triton

    inductor, workload = frameworks.load("inductor"), Workload("mlp")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if headers.exists():
        with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}):
            assert "C++ compiler" in inductor.supports(workload, CPU)
        monkeypatch.setattr(torch.utils._triton, "has_triton_package", lambda: False)
        assert "Triton" in inductor.supports(workload, GPU)
        monkeypatch.setattr(torch.utils._triton, "has_triton_package", lambda: True)
        monkeypatch.setattr(shutil, "which", lambda name: None)
        assert "C compiler" in inductor.supports(workload, GPU)
        monkeypatch.setattr(shutil, "which", lambda name: name if name == "clang" else None)
        assert inductor.supports(workload, GPU) is None
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert "Python.h" in inductor.supports(workload, CPU)


def test_cuda_graphs_are_for_gpus():
    assert "cuda only" in frameworks.load("inductor-cuda-graphs").supports(Workload("mlp"), CPU)


@pytest.mark.slow
def test_a_call_that_would_compile_again_is_refused():
    import torch

    framework = frameworks.load("inductor")
    if reason := framework.supports(Workload("mlp"), CPU):
        pytest.skip(reason)
    module, inputs = tiny()
    module.scale = 2.0
    module.forward = lambda input: module[0](input) * module.scale
    with framework.mode():
        call = framework.prepare(module, inputs, CPU)
        torch.testing.assert_close(call(), module(**inputs))
        module.scale = 3.0
        with pytest.raises(RuntimeError, match="recompile"):
            call()
