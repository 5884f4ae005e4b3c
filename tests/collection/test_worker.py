"""The bench, its environment and telemetry; a server's channel; and the GPU's part of them, on fakes."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import types

import psutil
import pytest

from ftax_model import architectures
from ftax_model.collection import environment, frameworks, telemetry, worker
from ftax_model.collection.activations import KINDS
from ftax_model.collection.device_clock import DeviceTime
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import collect
from ftax_model.collection.timing import Protocol
from ftax_model.collection.worker import Bench, Setup, verdict
from ftax_model.dataset import read
from ftax_model.device import Device, detect
from ftax_model.errors import InputError
from ftax_model.measurement import Cell
from ftax_model.operators import FEATURES
from ftax_model.workload import Workload, grid

GPU = Device(
    name="gpu", kind="cuda", model="GPU", host_cpu="CPU", cores=4, peak_macs=(("float32", 1e12), ("float16", 2e12))
)


def cell(batch_size=1, framework="fake", *, device="cpu", **settings):
    workload = Workload("toy", {"num_layers": 2, "width": 8, **settings}, batch_size=batch_size)
    return Cell(architectures.complete(workload), framework, device)


def setup(device=None, **knobs):
    return Setup(device or detect("cpu"), Protocol(**knobs), seed=3)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "out-of-memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "out-of-memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out-of-memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "out-of-memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "crashed"),
        (NotImplementedError("no export; the last one: Failed to allocate memory"), "out-of-memory"),
        (NotImplementedError("no such operator"), "unsupported"),
        (InputError("law", "got", "do"), "unsupported"),
        (RuntimeError("shape"), "crashed"),
        (KeyError("x"), "crashed"),
    ],
)
def test_verdict(error, status):
    assert verdict(error)[0] == status


def test_verdict_on_torchs_own_error():
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1 GiB")
    assert verdict(error)[0] == "out-of-memory"


def test_setup_and_cell_come_back_from_their_records():
    for device in (detect("cpu"), GPU):
        one = setup(device, cell_s=0.3)
        assert Setup.from_record(json.loads(json.dumps(one.to_record()))) == one
    one = cell(4)
    assert Cell.from_record(json.loads(json.dumps(one.to_record()))) == one


def test_record_is_complete_and_compact():
    with Bench(setup()) as bench:
        measurement = bench.attempt(cell(8))
    assert set(measurement.features) == set(FEATURES)
    assert measurement.environment["seed"] == 3
    assert measurement.environment["protocol"] == Protocol().to_record()
    assert set(measurement.environment["versions"]) == {"ftax_model", "python"}
    assert measurement.environment["host_cpu"] == detect("cpu").host_cpu
    assert measurement.peak_memory_bytes > 1e6
    assert measurement.prepare_s is not None
    assert measurement.measured_at
    record = measurement.to_record()
    del record["samples"]
    assert len(json.dumps(record)) < 2048


def test_features_that_are_known_are_not_traced_again(monkeypatch):
    monkeypatch.setattr(worker, "_trace", lambda cell: pytest.fail("traced"))
    with Bench(setup()) as bench:
        measurement = bench.attempt(cell(), features={"macs": 7.0})
    assert measurement.features == {"macs": 7.0}


def test_module_is_built_once_where_it_takes_other_inputs(monkeypatch):
    toy = architectures.load("toy")
    built = []
    build = type(toy).build
    monkeypatch.setattr(type(toy), "build", lambda self, workload: built.append(workload) or build(self, workload))
    sizes = [1, 2, 4]
    with Bench(setup()) as bench:
        for size in sizes:
            bench.measure(cell(size), features={"macs": 1.0})
        assert len(built) == 3  # a toy is its own trace, good for one batch size
        monkeypatch.setattr(type(toy), "inputs_for", lambda self, module, workload: {})
        for size in sizes:
            bench.measure(cell(size, width=16), features={"macs": 1.0})
    assert len(built) == 4


def test_process_is_as_it_was_after_the_bench():
    import torch

    before = torch.get_num_threads(), os.sched_getaffinity(0), os.environ.get("OMP_NUM_THREADS")
    with Bench(setup(cell_s=0.05)) as bench:
        measurement = bench.measure(mlp())
        assert torch.get_num_threads() == 1
        assert len(os.sched_getaffinity(0)) == 1
    assert (torch.get_num_threads(), os.sched_getaffinity(0), os.environ.get("OMP_NUM_THREADS")) == before
    assert measurement.environment["torch"]["threads"] == 1
    assert not torch.is_inference_mode_enabled()


def mlp(batch_size=1, framework="eager", *, device="cpu"):
    sizes = {"num_layers": 1, "hidden_size": 8}
    workload = architectures.complete(Workload("mlp", sizes, batch_size=batch_size, input_size=8))
    return Cell(workload, framework, device)


def test_cells_of_torch_carry_the_shares_of_odd_activations(monkeypatch):
    looked = []
    shares = worker.activations.shares
    monkeypatch.setattr(worker.activations, "shares", lambda *given: looked.append(given) or shares(*given))
    with Bench(setup(cell_s=0.05)) as bench:
        measured = [bench.attempt(mlp(size)) for size in (1, 4)]
        assert len(looked) == 1  # those of a group have the same weights
        assert "activations" not in bench.attempt(cell()).telemetry
    assert [one.telemetry["activations"] for one in measured] == [dict.fromkeys(KINDS, 0.0)] * 2
    assert not any("activations" in warning for one in measured for warning in one.warnings())


def test_cell_is_good_without_the_shares_but_its_process_is_not(monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(worker.activations, "shares", fail)
    with Bench(setup(cell_s=0.05)) as bench:
        measurement = bench.attempt(mlp())
        assert not bench.sound
    assert measurement.status == "ok"
    assert "activations" not in measurement.telemetry


def test_weights_and_inputs_are_seeded():
    import torch

    def drawn(seed):
        with environment.settled(threads=1, device=detect("cpu"), seed=seed, modules=["torch"]):
            return torch.rand(3).tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_peak_is_that_of_the_threads_in_use():
    cpu = dataclasses.replace(GPU, kind="cpu")
    common = {"dtype": "float32", "modules": (), "seed": 0, "protocol": Protocol(), "model": None}
    assert environment.describe(device=cpu, threads=1, **common)["peak_macs"] == 0.25e12
    assert environment.describe(device=cpu, threads=4, **common)["peak_macs"] == 1e12
    assert environment.describe(device=GPU, threads=1, **common)["peak_macs"] == 1e12


def test_foreign_load_is_what_others_use(monkeypatch):
    now = {"wall": 0.0, "busy": 0.0, "stolen": 0.0, "own": 0.0}

    class Times(tuple):
        idle = property(lambda self: self[2])
        guest = property(lambda self: 0.0)

    def pass_by(seconds, *, busy, own, stolen=0.0):
        for name, rate in (("wall", 1.0), ("busy", busy), ("own", own), ("stolen", stolen)):
            now[name] += rate * seconds

    monkeypatch.setattr(telemetry.psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(
        telemetry.psutil, "cpu_times", lambda: Times((now["busy"], now["stolen"], 4 * now["wall"] - now["busy"]))
    )
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(telemetry.time, "process_time", lambda: now["own"])
    load = telemetry.ForeignLoad()
    assert load.share() is None
    pass_by(1.0, busy=3.0, own=1.0)
    assert load.share() == 0.5
    pass_by(0.01, busy=4.0, own=0.0)
    assert load.share() == pytest.approx(0.5, abs=0.01)  # too short to tell: it looks back over both
    pass_by(1.0, busy=1.0, own=1.0)
    assert load.share() == pytest.approx(0.0, abs=0.02)
    pass_by(1.0, busy=1.0, own=1.0, stolen=2.0)
    assert load.share() == pytest.approx(0.5)


def test_peak_memory_sees_what_came_and_went():
    memory = telemetry.PeakMemory(cuda=False)
    memory.reset()
    low = memory.read_bytes()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    del block
    high = memory.read_bytes()
    assert high > low + 150_000_000
    memory.reset()
    assert memory.read_bytes() < high - 100_000_000


def test_messages_arrive_whole_or_not_at_all():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        long = {"text": "x" * 50_000}
        for message in ({"a": 1}, long, {"b": 2}):
            worker.send(one, message)
        assert [worker.receive(other) for _ in range(3)] == [{"a": 1}, long, {"b": 2}]
        one.close()
        assert worker.receive(other) is None


def test_long_messages_go_in_packets_and_none_is_half():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    long = {"text": "x" * (3 * worker.PACKET_BYTES)}
    with one, other:
        sender = threading.Thread(target=worker.send, args=(one, long))
        sender.start()
        assert worker.receive(other) == long
        sender.join()
        one.sendall(bytes([worker.FIRST]) + b'{"text": "begun by a worker that died')
        worker.send(one, {"exit": 1})
        assert worker.receive(other) == {"exit": 1}
        one.sendall(bytes([worker.FIRST]) + b'{"text": "begun by')
        one.close()
        assert worker.receive(other) is None


def test_profile_stands_beside_the_measurement():
    with Bench(setup()) as bench:
        profile, measurement = bench.attempt_profile(cell(8)), bench.attempt(cell(8))
    assert profile.cell == measurement.cell
    assert profile.latency_s == pytest.approx(measurement.latency_s, rel=0.05)
    assert (len(profile.timings), profile.events, profile.calls) == (2, 2, Protocol().least_blocks)
    versions = ("framework_version", "versions", "protocol", "seed")
    assert all(profile.environment[name] == measurement.environment[name] for name in versions)


def test_profile_of_more_threads_than_cores_is_unsupported():
    one = dataclasses.replace(cell(), threads=4096)
    with Bench(setup()) as bench:
        assert bench.attempt_profile(one).status == "unsupported"


def test_server_without_a_runner_ends_itself():
    code = "import sys; from ftax_model.collection.worker import die_with_parent; die_with_parent(1); print('alive')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stdout == b""


def test_worker_dies_with_its_server():
    code = (
        "import os, signal, subprocess, sys, time\n"
        "from ftax_model.collection.worker import die_with_parent\n"
        "server = os.getpid()\n"
        "worker = os.fork()\n"
        "if worker == 0:\n"
        "    die_with_parent(server); print(os.getpid(), flush=True); signal.pause()\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        child = psutil.Process(int(server.stdout.readline()))
        server.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs([child], timeout=30)
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive)


class Queue(Fake):
    """A GPU that is busy ten times as long with a call as the host is."""

    def prepare(self, model, inputs, device):
        self.free_at = 0.0

        def call():
            self._now += 1e-3
            self.free_at = max(self.free_at, self._now) + 1e-2

        return call

    def synchronize(self):
        self._now = max(self._now, getattr(self, "free_at", 0.0))


def test_gpu_has_its_clocks_and_its_memory(monkeypatch):
    import torch

    resets = []
    monkeypatch.setattr(frameworks, "load", lambda name: Queue())
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(1))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 12345)
    allowed = os.sched_getaffinity(0)
    with Bench(setup(GPU)) as bench:
        measurement = bench.measure(cell(device="gpu"))
        assert os.sched_getaffinity(0) == allowed  # the driver has threads of its own
    assert measurement.host_s == pytest.approx(1e-3)
    assert measurement.latency_s == pytest.approx(11e-3)
    assert 10e-3 <= measurement.pipelined_s < 11e-3
    assert (measurement.peak_memory_bytes, len(resets)) == (12345, 1)
    assert measurement.environment["peak_macs"] == 1e12
    assert environment.torch_settings(None).keys() >= {"cuda", "cudnn"}


class Graphed(Queue):
    """The same GPU with a graph of its calls, a board of 400 watts, and events on its own clock."""

    graph_error = None

    def graph(self, call):
        if self.graph_error:
            raise self.graph_error

        def replay():
            self._now += 1e-5
            self.free_at = max(self.free_at, self._now) + 1e-2

        return replay

    def event(self, *, enable_timing):
        event = types.SimpleNamespace(synchronize=self.synchronize)
        event.record = lambda: setattr(event, "at", max(self._now, self.free_at))
        event.elapsed_time = lambda later: 1e3 * (later.at - event.at)
        return event

    def millijoules(self):
        return 1000 * int(400 * (self._now // 0.05) * 0.05)


@pytest.fixture
def graphed(monkeypatch, fake_nvml):
    """That framework, whatever is asked for, with its board in NVML."""
    import torch

    one = Graphed()
    one.nvml = fake_nvml.installed(
        monkeypatch, TotalEnergyConsumption=one.millijoules, CurrentClocksEventReasons=0b101, ComputeRunningProcesses=[]
    )
    monkeypatch.setattr(frameworks, "load", lambda name: one)
    monkeypatch.setattr(torch.cuda, "Event", one.event)
    return one


def test_gpu_has_its_counters_energy_and_device_clock(graphed):
    with Bench(setup(GPU)) as bench:
        measurement = bench.measure(cell(device="gpu"))
        assert (bench.sound, graphed.nvml.open) == (True, 1)
        bench.measure(cell(2, device="gpu"))
        assert graphed.nvml.open == 1
    assert graphed.nvml.open == 0
    assert measurement.device_s == pytest.approx(1e-2)
    assert measurement.energy_j == pytest.approx(400 * measurement.latency_s, rel=0.05)
    telemetry = measurement.telemetry
    assert telemetry["device_clock"] == "graph-replay"
    assert telemetry["gpu"]["power_w"] == [250.5] * 3
    assert telemetry["throttled"] == {"power-cap": 1}
    assert telemetry["neighbours"] == 0
    assert measurement.environment["driver"] == "570.1"
    assert measurement.warnings() == ("throttled",)
    record = measurement.to_record()
    del record["samples"]
    assert len(json.dumps(record)) < 2560


def test_energy_is_left_out_where_the_protocol_says_so(graphed):
    with Bench(setup(GPU, energy_s=0)) as bench:
        measurement = bench.measure(cell(device="gpu"))
    assert measurement.energy_j is None
    assert measurement.device_s == pytest.approx(1e-2)


def test_gpu_that_nvml_does_not_show_is_measured_all_the_same(graphed):
    graphed.nvml.lose()
    with Bench(setup(GPU)) as bench:
        measurement = bench.measure(cell(device="gpu"))
    assert (measurement.status, measurement.energy_j) == ("ok", None)
    assert set(measurement.telemetry) <= {"load", "device_clock"}
    assert measurement.device_s == pytest.approx(1e-2)


def test_cell_is_good_without_a_device_clock_but_its_process_is_not(graphed):
    graphed.graph_error = RuntimeError("CUDA error: misaligned\naddress")
    with Bench(setup(GPU, energy_s=0)) as bench:
        measurement = bench.attempt(cell(device="gpu"))
        assert not bench.sound
    assert (measurement.status, measurement.device_s) == ("ok", None)
    assert measurement.telemetry["device_clock"] == "failed: RuntimeError: CUDA error: misaligned address"


def test_process_that_the_profiler_has_marked_is_not_sound(graphed, monkeypatch):
    monkeypatch.setattr(worker, "device_time", lambda *_, **__: DeviceTime(3e-3, "profiler", marked=True))
    with Bench(setup(GPU, energy_s=0)) as bench:
        measurement = bench.measure(cell(device="gpu"))
        assert not bench.sound
    assert (measurement.device_s, measurement.telemetry["device_clock"]) == (3e-3, "profiler")


def test_cpu_has_neither_counters_nor_energy_nor_device_clock(graphed):
    with Bench(setup()) as bench:
        measurement = bench.measure(cell())
    assert (measurement.device_s, measurement.energy_j) == (None, None)
    assert set(measurement.telemetry) <= {"load"}
    assert "driver" not in measurement.environment
    assert graphed.nvml.asked == 0


def test_module_is_made_on_the_gpu(monkeypatch):
    import torch

    made_on = []
    monkeypatch.setattr(torch, "device", lambda kind: made_on.append(kind) or worker.nullcontext())
    monkeypatch.setattr(torch, "get_default_device", lambda: "cpu")
    monkeypatch.setattr(frameworks, "load", lambda name: Queue())
    with Bench(setup(GPU)) as bench:
        bench.measure(mlp(framework="queue", device="gpu"), features={"macs": 1.0})
    assert made_on == ["cuda"]


@pytest.mark.slow
def test_real_models_in_real_frameworks(tmp_path):
    small = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100}
    asked = [
        *grid("bert", **small, input_size=16, batch_size=[1, 3]),
        *grid("mlp", num_layers=2, hidden_size=16, input_size=16, batch_size=[1, 3]),
    ]
    workloads = tuple(architectures.complete(workload) for workload in asked)
    plan = Plan("real", (Grid(workloads, ("eager", "torchscript", "onnxruntime")),), protocol=Protocol(cell_s=0.1))
    out = tmp_path / "out.jsonl"
    assert collect(plan, out).measured == 12
    for measurement in read(out):
        found = measurement.environment
        assert measurement.samples
        assert measurement.features["macs"] > 0
        assert measurement.telemetry["activations"] == dict.fromkeys(KINDS, 0.0)
        assert found["affinity"] == [min(os.sched_getaffinity(0))]
        assert found["torch"]["threads"] == 1
        bert = measurement.cell.workload.architecture == "bert"
        assert found["torch"]["attention"] == ("sdpa" if bert else None)
        assert {"torch", "python"} <= set(found["versions"])
        assert ("transformers" in found["versions"]) == bert
        assert ("onnxruntime" in found["versions"]) == (measurement.cell.framework == "onnxruntime")
        record = measurement.to_record()
        del record["samples"]
        assert len(json.dumps(record)) < 2048


@pytest.mark.gpu
@pytest.mark.slow
def test_cells_on_this_gpu_have_every_clock(tmp_path):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch cannot use the GPU")
    small = {"num_layers": 2, "hidden_size": 256, "num_heads": 4, "intermediate_size": 512, "vocab_size": 100}
    workloads = tuple(architectures.complete(one) for one in grid("bert", **small, input_size=64, batch_size=[1, 64]))
    names = [name for name in frameworks.names() if not issubclass(type(frameworks.load(name)), Fake)]
    out = tmp_path / "out.jsonl"
    collect(Plan("gpu", (Grid(workloads, tuple(names)),)), out, device="cuda")
    good = [one for one in read(out) if one.status == "ok"]
    assert {"eager", "cuda-graphs"} <= {one.cell.framework for one in good}
    for one in good:
        assert one.telemetry["device_clock"] in ("graph-replay", "profiler"), one.cell.framework
        assert 0 < one.device_s <= 1.1 * one.latency_s
        assert one.host_s <= 1.1 * one.latency_s
        assert one.telemetry["gpu"]["readings"] > 0
        assert one.peak_memory_bytes > 0
        if one.energy_j is not None:
            assert 10 < one.energy_j / one.latency_s < 2000
