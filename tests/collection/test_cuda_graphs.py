"""CUDA graphs of eager PyTorch, on a GPU that only keeps a diary."""

from contextlib import contextmanager

import pytest

from ftax_model.collection import frameworks
from ftax_model.collection.frameworks import _torch
from ftax_model.device import Device, detect
from ftax_model.workload import Workload

GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)


class FakeStream:
    def __init__(self, diary, name):
        self.diary, self.name = diary, name

    def wait_stream(self, other):
        self.diary.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def diary(monkeypatch):
    """What is done with torch.cuda, in order."""
    import torch

    entries = []

    class FakeGraph:
        def replay(self):
            entries.append("replay")

    @contextmanager
    def on(stream):
        entries.append(f"on {stream.name}")
        try:
            yield
        finally:
            entries.append(f"off {stream.name}")

    @contextmanager
    def capture(graph):
        assert isinstance(graph, FakeGraph)
        entries.append("capture")
        yield
        entries.append("captured")

    monkeypatch.setattr(torch.cuda, "current_stream", lambda: FakeStream(entries, "main"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: FakeStream(entries, "side"))
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: entries.append("synchronize"))
    return entries


@pytest.fixture
def module(diary):
    """A module that writes in the diary, too, and keeps the inputs it saw."""
    import torch

    class Noting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.seen, self.failure = [], None

        def forward(self, x):
            diary.append("call")
            self.seen.append(x)
            if self.failure and "capture" in diary:
                raise self.failure
            return x + 1, 2 * x

    return Noting()


def test_warms_up_aside_then_captures_then_replays(diary, module):
    import torch

    x = torch.arange(3.0)
    run = frameworks.load("cuda-graphs").prepare(module, {"x": x}, GPU)
    warm_up = ["side waits for main", "on side", *["call"] * _torch.WARM_UP, "off side", "main waits for side"]
    assert diary == [*warm_up, "on main", "capture", "call", "captured", "off main"]
    diary.clear()
    first, second = run(), run()
    assert diary == ["replay", "replay"]
    assert first is second  # the graph writes where it always writes
    assert first[0].tolist() == [1, 2, 3]
    assert first[1].tolist() == [0, 2, 4]


def test_copies_the_inputs_once(module):
    import torch

    x = torch.arange(3.0)
    run = frameworks.load("cuda-graphs").prepare(module, {"x": x}, GPU)
    run()
    assert len({seen.data_ptr() for seen in module.seen} - {x.data_ptr()}) == 1
    x.zero_()
    assert module.seen[-1].tolist() == [0, 1, 2]


def test_what_a_graph_cannot_hold_is_a_reason(diary, module):
    import torch

    module.failure = RuntimeError("operation not permitted when stream is capturing")
    with pytest.raises(NotImplementedError, match="not permitted when stream is capturing"):
        frameworks.load("cuda-graphs").prepare(module, {"x": torch.ones(1)}, GPU)
    assert diary[-2:] == ["off main", "synchronize"]  # a capture that fails leaves the stream it was on
    diary.clear()
    module.failure = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        frameworks.load("cuda-graphs").prepare(module, {"x": torch.ones(1)}, GPU)


def test_graph_of_a_gpu_that_is_poisoned_is_an_error(diary, module, monkeypatch):
    import torch

    def refuse():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    module.failure = RuntimeError("capture failed")
    monkeypatch.setattr(torch.cuda, "synchronize", refuse)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        frameworks.load("cuda-graphs").prepare(module, {"x": torch.ones(1)}, GPU)


def test_device_time_is_that_of_a_replay_where_calls_are_one(diary, module):
    import torch

    framework = frameworks.load("cuda-graphs")
    run = framework.prepare(module, {"x": torch.ones(1)}, GPU)
    assert framework.graph(run) is run
    for other in ("eager", "torchscript", "inductor", "inductor-cuda-graphs"):
        assert frameworks.load(other).graph(run) is None  # a capture of its calls need not do what they do


def test_is_for_gpus(monkeypatch):
    import torch

    framework = frameworks.load("cuda-graphs")
    assert "cuda only" in framework.supports(Workload("mlp"), detect("cpu"))
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "without CUDA" in framework.supports(Workload("mlp"), GPU)
