"""Operator times: events are matched one to one or not at all, kernels are summed, and real models match whole."""

import gc
import itertools
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model import architectures
from ftax_model.collection import frameworks, operators
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.operators import Event, match, profile_torch, timings
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import operator_frame
from ftax_model.device import Device, detect
from ftax_model.errors import MissingError
from ftax_model.measurement import Cell, Profile
from ftax_model.operators import Operator, OperatorTiming
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload

GPU = Device(name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4)
SHORT = Protocol(cell_s=0.02, warmup_s=0.01)


def operator(kind, *inputs):
    return Operator(kind, inputs, ())


def event(kind, *inputs, depth=0, host_s=(1.0,), device_s=()):
    return Event(kind, depth, inputs, host_s, device_s)


MM, ADD, COPY = operator("mm", (4, 8), (8, 8)), operator("add", (4, 8), (8,)), operator("copy_", (4, 8))


def own(one):
    return event(one.kind, *one.inputs)


def test_same_sequences_match_one_to_one():
    assert match([MM, ADD, MM], [own(MM), own(ADD), own(MM)]) == [0, 1, 2]


def test_what_lies_within_an_operator_belongs_to_it():
    events = [
        event("linear", (4, 8), (8, 8)),
        event("mm", (4, 8), (8, 8), depth=1),
        event("copy_", (4, 8), depth=2),
        event("copy_", (4, 8)),
    ]
    assert match([MM, COPY], events) == [1, 3]


def test_views_and_other_kinds_are_passed_over():
    assert match([MM, ADD], [event("view", (4, 8)), own(MM), event("empty"), own(ADD)]) == [1, 3]


@pytest.mark.parametrize(
    ("operators", "events", "expected"),
    [
        ([MM, ADD, MM], [own(MM), own(MM)], [0, None, 1]),
        ([MM, MM, ADD], [own(MM), own(ADD)], [None, 0, 1]),
        ([MM, ADD], [own(MM), own(ADD), own(MM)], [0, 1]),
        ([MM, ADD], [own(ADD), event("mm", (4, 8), (8, 9)), own(MM), own(ADD)], [2, 3]),
        ([MM, ADD], [event("mm", (4, 8), (8, 9)), own(ADD)], [None, 1]),
        ([MM], [own(ADD)], [None]),
        ([MM], [], [None]),
        ([], [own(MM)], []),
    ],
)
def test_what_differs_is_left_without_a_match(operators, events, expected):
    assert match(operators, events) == expected


@pytest.mark.parametrize(
    ("traced", "seen"),
    [
        (operator("add", (4, 8), (8,)), event("add_", (4, 8), (8,))),
        (operator("native_batch_norm", (1, 2, 4), (2,)), event("cudnn_batch_norm", (1, 2, 4), (2,))),
        (operator("mul", (4, 8)), event("mul", (4, 8), ())),
        (operator("index", (4, 8), (3,), (3,)), event("index", (4, 8))),
        (operator("index_put_", (4, 8), (3,), (3,)), event("index_put_", (4, 8), (3,))),
        (operator("where", (4, 1), (4, 8)), event("where", (4, 8), (4, 1))),
    ],
)
def test_what_is_the_same_by_another_name_matches(traced, seen):
    assert match([MM, traced], [own(MM), seen]) == [0, 1]


shapes = st.sampled_from([(4, 8), (8, 8), (2,)])
sequences = st.lists(st.builds(operator, st.sampled_from(["mm", "add", "gelu"]), shapes), max_size=12)


@given(sequences, sequences)
def test_no_match_is_wrong_or_out_of_order(traced, dispatched):
    places = match(traced, [own(one) for one in dispatched])
    found = [place for place in places if place is not None]
    assert found == sorted(set(found))
    for one, place in zip(traced, places, strict=True):
        assert place is None or (one.kind, one.inputs) == (dispatched[place].kind, dispatched[place].inputs)


@given(sequences, st.data())
def test_all_but_the_missing_match(traced, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(traced), max_size=len(traced)))
    places = match(traced, [own(one) for one in itertools.compress(traced, kept)])
    if all(kept):
        assert places == list(range(len(traced)))
    assert sum(place is not None for place in places) <= sum(kept)


def test_timings_are_medians_over_calls():
    events = [
        event("mm", (4, 8), (8, 8), host_s=(3.0, 1.0, 2.0), device_s=(0.1, 0.3, 0.2)),
        event("add", (4, 8), (8,), host_s=(1.234567, 1.0, 2.0)),
    ]
    assert timings([MM, COPY, ADD], events) == (
        OperatorTiming(MM, 2.0, 0.2),
        OperatorTiming(COPY),
        OperatorTiming(ADD, 1.235),
    )
    assert timings([], []) == ()


def test_a_run_that_shows_no_operator_at_all_is_refused():
    with pytest.raises(NotImplementedError, match="none of the 2 operators"):
        timings([MM, ADD], [event("graph")])


# What the profiler of torch hands over, made by hand: CPU and CUDA tell host and device apart.


def node(name, number, *children, tag="TorchOp", ns=1000, inputs=()):
    return types.SimpleNamespace(
        name=name,
        correlation_id=number,
        children=children,
        tag=types.SimpleNamespace(name=tag),
        duration_time_ns=ns,
        extra_fields=types.SimpleNamespace(inputs=inputs),
    )


def activity(launcher, ns, device="CUDA"):
    return types.SimpleNamespace(
        device_type=lambda: device, linked_correlation_id=lambda: launcher, duration_ns=lambda: ns
    )


def tensor(*sizes):
    return types.SimpleNamespace(sizes=list(sizes))


ROOT = node(
    operators._CALL,
    1,
    node(
        "aten::linear",
        2,
        node("aten::t", 3, inputs=[tensor(8, 8)]),
        node("aten::addmm", 4, node("cudaLaunchKernel", 40, node("gemm", 41, tag="Kineto"), tag="Kineto"), ns=500),
        inputs=[tensor(4, 8), tensor(8, 8), None, 1.0],
    ),
    node("cudaDeviceSynchronize", 50, tag="Kineto"),
    node("aten::cat", 5, inputs=[[tensor(4, 8), tensor(2, 8)], 0]),
    node("torchvision::nms", 6),
)
ACTIVITIES = [activity(4, 70), activity(4, 5), activity(5, 9), activity(0, 1000), activity(4, 1000, "CPU")]


def test_kernel_times_go_to_what_launched_them_and_all_around_it():
    kernels = operators.kernel_times(ACTIVITIES, "CPU")
    assert kernels == {4: 75, 5: 9}
    found = operators.rows(ROOT, kernels)
    assert [(row.kind, row.depth, row.device_ns) for row in found] == [
        ("linear", 0, 75),
        ("t", 1, 0),
        ("addmm", 1, 75),
        ("cat", 0, 9),
        ("torchvision.nms", 0, 0),
    ]
    assert found[0].inputs == ((4, 8), (8, 8))
    assert found[3].inputs == ((4, 8), (2, 8))
    assert [row.host_ns for row in found] == [1000, 1000, 500, 1000, 1000]


class FakeProfiler:
    """As much of ``torch.profiler.profile`` as is asked for; sees a call that launches kernels."""

    sessions = []

    def __init__(self, *, activities, record_shapes):
        self.activities, self.shapes, self.calls = activities, record_shapes, 0
        self.profiler = types.SimpleNamespace(kineto_results=self)
        FakeProfiler.sessions.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def events(self):
        from torch.autograd import DeviceType

        return [activity(4, 70, DeviceType.CUDA), activity(5, 9, DeviceType.CUDA), activity(4, 1000, DeviceType.CPU)]

    def experimental_event_tree(self):
        mirrored = node(operators._CALL, 1, tag="Kineto")  # the range as the GPU saw it
        return [node("elsewhere", 0), *[ROOT, mirrored] * self.calls]


def test_a_gpu_is_profiled_with_its_kernels(monkeypatch):
    import torch

    monkeypatch.setattr(torch.profiler, "profile", FakeProfiler)
    monkeypatch.setattr(FakeProfiler, "sessions", [])
    waits = []

    def call():
        FakeProfiler.sessions[-1].calls += 1

    ticks = itertools.count()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(1))
    eager = frameworks.load("eager")
    monkeypatch.setattr(eager, "clock", lambda: next(ticks) * 0.1)
    seen = eager.profile(call, GPU, Protocol(cell_s=0.5))
    with_shapes, without = FakeProfiler.sessions
    assert (with_shapes.shapes, without.shapes) == (True, False)
    assert {one.name for one in without.activities} == {"CPU", "CUDA"}
    assert len(waits) == with_shapes.calls + without.calls
    assert seen.profiled_s == pytest.approx([0.1] * 5)
    assert seen.events[0].device_s == pytest.approx([70e-9] * 5)
    assert timings([operator("linear", (4, 8), (8, 8))], seen.events)[0].device_s == pytest.approx(70e-9)


# Real models on the CPU.


def built(name, settings, **inputs):
    workload = architectures.complete(Workload(name, settings, **inputs))
    return workload, *architectures.load(name).build(workload)


def profiled(name, settings, protocol=SHORT, **inputs):
    workload, module, given = built(name, settings, **inputs)
    eager, device = frameworks.load("eager"), detect("cpu")
    with eager.mode():
        call = eager.prepare(module, given, device)
        for _ in range(3):
            call()
        return trace_workload(workload), eager.profile(call, device, protocol)


TEXT = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100}
SMALL = {
    "mlp": ({"num_layers": 3, "hidden_size": 16}, {"input_size": 16}),
    "bert": (TEXT, {"input_size": 16, "batch_size": 2, "lengths": "penn-treebank"}),
    "gpt2": (TEXT, {"input_size": 16}),
    "resnet": ({"block": "basic", "depths": (1, 1), "widths": (8, 16), "num_classes": 10}, {"input_size": 32}),
    "lstm": ({"num_layers": 2, "hidden_size": 8}, {"input_size": 4}),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_operator_of_a_real_model_has_its_time(name):
    settings, inputs = SMALL[name]
    trace, seen = profiled(name, settings, **inputs)
    found = timings(trace.operators, seen.events)
    assert len(found) == len(trace.operators)
    assert all(timing.host_s > 0 and timing.device_s is None for timing in found)
    assert sum(timing.host_s for timing in found) < 1.5 * max(seen.profiled_s)
    assert len({len(one.host_s) for one in seen.events} | {len(seen.profiled_s)}) == 1
    assert len(seen.events) > len(found)


def test_fused_operators_are_one_with_all_they_dispatch():
    trace, seen = profiled("bert", TEXT, input_size=16)
    places = match(trace.operators, seen.events)
    (attention, *_) = (
        place for one, place in zip(trace.operators, places, strict=True) if one.kind == "scaled_dot_product_attention"
    )
    assert seen.events[attention + 1].depth == seen.events[attention].depth + 1
    assert seen.events[attention].host_s > seen.events[attention + 1].host_s


def test_calls_are_few_where_they_are_slow_and_many_where_they_are_fast():
    settings, inputs = SMALL["mlp"]
    few = profiled("mlp", settings, Protocol(cell_s=1e-9), **inputs)[1]
    assert (len(few.profiled_s), len(few.plain_s)) == (3, 4)
    many = profiled("mlp", settings, Protocol(cell_s=60.0), **inputs)[1]
    assert len(many.profiled_s) == operators.MOST_CALLS


def torch_profiled(call):
    import time

    import torch

    with torch.inference_mode():
        return profile_torch(call, clock=time.perf_counter, synchronize=lambda: None, protocol=SHORT, cuda=False)


def test_calls_that_dispatch_other_operators_are_left_out():
    import torch

    x, count = torch.ones(3), itertools.count()

    seen = torch_profiled(lambda: x.exp() if next(count) % 3 != 1 else x.sin())
    assert [one.kind for one in seen.events] == ["exp"]
    assert 0 < len(seen.profiled_s) < len(seen.plain_s)
    always_new = itertools.count()
    with pytest.raises(NotImplementedError, match="no two calls"):
        torch_profiled(lambda: [x.exp() for _ in range(next(always_new))])


def test_profiling_says_nothing_and_leaves_the_garbage_collector_on(capfd):
    import torch

    torch_profiled(lambda: torch.ones(3) + 1)
    assert capfd.readouterr() == ("", "")
    assert gc.isenabled()


@pytest.mark.parametrize("name", frameworks.names())
def test_a_framework_is_profiled_or_says_why_not(name):
    try:
        framework, device = frameworks.load(name), detect("cpu")
    except MissingError as error:
        pytest.skip(str(error))
    reason = framework.supports_profile(Workload("toy"), device)
    if reason is None:
        assert type(framework).profile is not frameworks.Framework.profile
    else:
        assert len(reason) > 10
        with pytest.raises(NotImplementedError):
            framework.profile(lambda: None, device, SHORT)


def test_fake_knows_what_its_operators_take():
    module, inputs = architectures.load("toy").build(architectures.complete(Workload("toy", batch_size=64)))
    fake = Fake()
    call = fake.prepare(module, inputs, GPU)
    seen = fake.profile(call, GPU, Protocol(least_blocks=101))
    for timing in timings(module.operators, seen.events):
        one = timing.operator
        device_s = Fake.compute_s_per_mac * one.macs + Fake.traffic_s_per_byte * one.activation_bytes
        assert timing.host_s == pytest.approx(Fake.overhead_s_per_op + Fake.profiler_s_per_event, rel=0.01)
        assert timing.device_s == pytest.approx(device_s, rel=0.01)
    added = [one - other for one, other in zip(seen.profiled_s, seen.plain_s, strict=True)]
    assert added == pytest.approx([Fake.profiler_s_per_event * len(module.operators)] * 101)


def test_no_attribute_of_an_operator_hides_a_column_of_the_frame():
    cell = Cell(Workload("toy"), "fake", "fake")
    plain = operator_frame([Profile(cell, timings=(OperatorTiming(MM, 1.0),), latency_s=1.0, profiled_s=1.0)])
    asked = [("bert", TEXT), ("resnet", SMALL["resnet"][0]), ("lstm", SMALL["lstm"][0]), ("fnet", {})]
    attributes = {
        name
        for architecture, settings in asked
        for one in trace_workload(Workload(architecture, settings)).operators
        for name in one.attributes
    }
    assert {"m", "groups", "heads", "hidden_size", "dim"} <= attributes
    assert not attributes & set(plain.columns)


@pytest.mark.gpu
def test_on_a_gpu():
    from ftax_model.collection.worker import Bench, Setup

    device = detect("cuda")
    for name, (settings, inputs) in SMALL.items():
        workload = architectures.complete(Workload(name, settings, **inputs))
        with Bench(Setup(device, SHORT, seed=0)) as bench:
            profile = bench.profile(Cell(workload, "eager", device.name))
        computing = [timing for timing in profile.timings if timing.operator.macs]
        assert profile.unmatched == 0
        assert all(timing.device_s > 0 for timing in computing)
        assert sum(timing.device_s for timing in profile.timings) < 1.2 * profile.profiled_s
