"""The device clock, on a GPU made of numbers; and on a real one where there is one."""

import os
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ftax_model import architectures
from ftax_model.collection import device_clock, frameworks, profiler, timing
from ftax_model.collection.device_clock import covered, device_time, kernels_s, replayed_s
from ftax_model.collection.frameworks._base import Framework
from ftax_model.collection.timing import Protocol
from ftax_model.device import detect
from ftax_model.workload import Workload


class Card:
    """A GPU with a queue: a call keeps the host ``host_s`` and the GPU ``device_s`` seconds, a replay ``launch_s``."""

    def __init__(self, *, host_s=1e-3, device_s=2e-4, launch_s=1e-5):
        self.host_s, self.device_s, self.launch_s = host_s, device_s, launch_s
        self.now = self.free_at = 0.0
        self.calls = self.replays = 0

    def launch(self, seconds):
        self.now += seconds
        self.free_at = max(self.free_at, self.now) + self.device_s

    def call(self):
        self.calls += 1
        self.launch(self.host_s)

    def replay(self):
        self.replays += 1
        self.launch(self.launch_s)

    def synchronize(self):
        self.now = max(self.now, self.free_at)

    def event(self, *, enable_timing):
        assert enable_timing
        event = SimpleNamespace(at=None, synchronize=self.synchronize)

        def record():
            event.at = max(self.now, self.free_at)

        event.record = record
        event.elapsed_time = lambda later: 1e3 * (later.at - event.at)
        return event


class Launching(Framework):
    """The framework of a card, with a graph of its calls or without."""

    def __init__(self, card, *, graph=False):
        self.card, self.has_graph = card, graph

    def prepare(self, model, inputs, device):
        return self.card.call

    def version(self):
        return "1"

    def synchronize(self):
        self.card.synchronize()

    def clock(self):
        return self.card.now

    def graph(self, call):
        return self.card.replay if self.has_graph else None

    def timed(self):
        return timing.measure(
            self.card.call, clock=self.clock, protocol=Protocol(cell_s=0.2), synchronize=self.synchronize
        )


@pytest.fixture
def card(monkeypatch):
    import torch

    card = Card()
    monkeypatch.setattr(torch.cuda, "Event", card.event)
    return card


@pytest.fixture
def kernels(card, monkeypatch):
    """What the profiler sees of a call: kernels, each its begin and end in nanoseconds; and what it adds to calls."""
    found = SimpleNamespace(spans=[(0, 50_000), (60_000, 210_000)], adds_s=0.0, stays=False, annotated=False)

    def event(begin, end, call, **kind):
        begin, end = (10**9 * call + at for at in (begin, end))
        return SimpleNamespace(
            start_ns=lambda: begin,
            end_ns=lambda: end,
            device_type=lambda: kind.get("device", DeviceType.CUDA),
            is_user_annotation=lambda: kind.get("annotation", False),
        )

    @contextmanager
    def profiled(*, cuda):
        assert cuda
        before = card.calls
        card.host_s += found.adds_s
        session = SimpleNamespace()
        yield session
        card.host_s -= 0 if found.stays else found.adds_s
        events = [event(*span, call) for call in range(card.calls - before) for span in found.spans]
        events += [event(0, 10**12, 0, device=DeviceType.CPU), event(0, 10**12, 0, annotation=True)]
        session.kineto_results = SimpleNamespace(events=lambda: events)

    from torch.autograd import DeviceType

    monkeypatch.setattr(device_clock, "profiled", profiled)
    return found


@pytest.mark.parametrize("device_s", [2e-4, 0.05, 2.0])
def test_replays_show_the_device_alone(card, device_s):
    card.device_s = device_s
    assert replayed_s(card.replay, Protocol()) == pytest.approx(device_s)


def test_long_replays_are_few(card):
    card.device_s = 2.0
    replayed_s(card.replay, Protocol(cell_s=1.0, least_blocks=3))
    assert card.replays == 2 * (2 + 3)


def test_replays_fill_their_windows(card):
    card.device_s = 5e-5
    replayed_s(card.replay, Protocol(block_s=0.01, min_blocks=7))
    assert card.replays >= 7 * 0.01 / 5e-5


def test_replays_that_take_no_time_are_an_error(card, monkeypatch):
    monkeypatch.setattr(timing, "MOST_CALLS", 1000)
    card.device_s = card.launch_s = 0.0
    with pytest.raises(RuntimeError, match="stands still"):
        replayed_s(card.replay, Protocol())


def test_graph_is_taken_where_there_is_one(card):
    framework = Launching(card, graph=True)
    seen = framework.timed()
    calls = card.calls
    found = device_time(framework, card.call, seen=seen, protocol=Protocol())
    assert (found.way, found.marked) == ("graph-replay", False)
    assert found.seconds == pytest.approx(2e-4)
    assert seen.latency_s == pytest.approx(1.2e-3)
    assert card.calls == calls


def test_profiler_is_taken_elsewhere(card, kernels):
    framework = Launching(card)
    kernels.adds_s = 1e-3
    found = device_time(framework, card.call, seen=framework.timed(), protocol=Protocol())
    assert (found.way, found.marked) == ("profiler", False)
    assert found.seconds == pytest.approx(200_000e-9)


def test_profiler_that_leaves_something_behind_is_told_of(card, kernels):
    framework = Launching(card)
    kernels.adds_s, kernels.stays = 1e-4, True
    assert device_time(framework, card.call, seen=framework.timed(), protocol=Protocol()).marked


def test_kernels_at_the_same_time_count_once(card, kernels):
    kernels.spans = [(0, 100), (50, 150), (50, 60), (200, 250)]
    assert kernels_s(card.call, card.synchronize, 4) == pytest.approx(200e-9)
    assert card.calls == 4
    kernels.spans = []
    assert covered([]) == 0


def test_what_nothing_shows_is_unknown(card, monkeypatch):
    @contextmanager
    def blind(*, cuda):
        yield SimpleNamespace(kineto_results=SimpleNamespace(events=list))

    framework = Launching(card)
    seen = framework.timed()
    monkeypatch.setattr(device_clock, "profiled", blind)
    assert device_time(framework, card.call, seen=seen, protocol=Protocol()) is None
    monkeypatch.setattr(device_clock, "profiled", lambda **_: pytest.fail("profiled in vain"))
    for name, value in (("preload", ()), ("shows_kernels", False)):
        with monkeypatch.context() as changed:
            changed.setattr(Launching, name, value)
            assert device_time(framework, card.call, seen=seen, protocol=Protocol()) is None


def test_profiled_calls_are_few(card, kernels):
    framework = Launching(card)
    for latency, least, most in ((1e-6, 50, 100), (1e-3, 3, 10), (10.0, 3, 3)):
        card.host_s, card.device_s = latency, 0.0
        seen = framework.timed()
        before = card.calls
        device_time(framework, card.call, seen=seen, protocol=Protocol())
        again = 1 + Protocol().least_blocks * seen.calls_per_block
        assert least <= card.calls - before - again <= most


@pytest.mark.parametrize(("cuda", "down"), [("12.8", "1"), ("13.0", "1"), ("12.4", None), (None, None)])
def test_profiler_is_taken_down_where_that_works(monkeypatch, cuda, down):
    import torch

    monkeypatch.setattr(torch.version, "cuda", cuda)
    for name in ("TEARDOWN_CUPTI", "KINETO_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with profiler.profiled(cpu=True) as session:
        torch.ones(3).add(1)
    assert os.environ.get("TEARDOWN_CUPTI") == down
    assert any(event.name() == "aten::add" for event in session.kineto_results.events())


@pytest.mark.gpu
def test_two_ways_agree_on_this_gpu(monkeypatch):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch cannot use the GPU")
    one = frameworks.load("cuda-graphs")
    mlp = architectures.complete(Workload("mlp", {"num_layers": 8, "hidden_size": 4096}, batch_size=512))
    with torch.device("cuda"):
        model, inputs = architectures.load("mlp").build(mlp)
    protocol = Protocol()
    with one.mode():
        call = one.prepare(model, inputs, detect("cuda"))
        seen = timing.measure(call, clock=one.clock, protocol=protocol, synchronize=one.synchronize)
        by_graph = device_time(one, call, seen=seen, protocol=protocol)
        monkeypatch.setattr(type(one), "graph", lambda self, call: None)
        by_profiler = device_time(one, call, seen=seen, protocol=protocol)
        again = timing.measure(call, clock=one.clock, protocol=protocol, synchronize=one.synchronize)
    assert (by_graph.way, by_profiler.way) == ("graph-replay", "profiler")
    assert by_profiler.seconds == pytest.approx(by_graph.seconds, rel=0.1)
    assert by_graph.seconds <= 1.02 * seen.latency_s
    assert by_profiler.marked or again.latency_s < 1.1 * seen.latency_s
