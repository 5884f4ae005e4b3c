"""The GPU's counters, on a fake NVML; and on a real one where there is one."""

import itertools
import json
import os
import threading
import time
from types import SimpleNamespace

import pytest

from ftax_model.collection import gpu
from ftax_model.collection.gpu import Gpu, Reading, energy_per_call, summary, throttling, visible, watched


def one(nvml):
    return Gpu(nvml, "GPU 0")


def test_fake_has_the_names_of_the_real_library(fake_nvml):
    import pynvml

    nvml = fake_nvml.FakeNvml()
    questions = [f"nvmlDeviceGet{question}" for question in nvml.answers if question[0].isupper()]
    for name in [*questions, *(name for name in dir(nvml) if name.startswith(("nvml", "NVML", "c_nvml")))]:
        assert hasattr(pynvml, name), name
    for name in ("NVML_SUCCESS", "NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_TEMPERATURE_GPU", "NVML_GPM_METRIC_SM_UTIL"):
        assert getattr(nvml, name) == getattr(pynvml, name)


def test_reasons_are_those_of_the_real_library():
    import pynvml

    names = {
        "GpuIdle": "idle",
        "ApplicationsClocksSetting": "application-clocks",
        "SwPowerCap": "power-cap",
        "HwSlowdown": "hardware-slowdown",
        "SyncBoost": "sync-boost",
        "SwThermalSlowdown": "thermal-slowdown",
        "HwThermalSlowdown": "hardware-thermal-slowdown",
        "HwPowerBrakeSlowdown": "power-brake",
        "DisplayClockSetting": "display-clocks",
    }
    for name, word in names.items():
        bit = getattr(pynvml, f"nvmlClocksEventReason{name}")
        assert gpu.REASONS[bit.bit_length() - 1] == word
        assert throttling(bit) == (() if word in gpu.CHOSEN else (word,))
    assert throttling(0) == ()
    assert throttling(1 << 40 | 1) == ("reason-40",)


def test_counters_are_in_si_units(fake_nvml):
    reading = one(fake_nvml.FakeNvml(CurrentClocksEventReasons=0b101)).read(ours=True)
    assert reading.counters == {
        "sm_clock_hz": pytest.approx(1.98e9),
        "memory_clock_hz": pytest.approx(3.201e9),
        "power_w": pytest.approx(250.5),
        "temperature_c": 41,
        "utilization": pytest.approx(0.87),
        "memory_utilization": pytest.approx(0.12),
        "memory_used_bytes": 3 * 2**30,
    }
    assert (reading.throttled, reading.neighbours) == (("power-cap",), ())


def test_counters_that_are_missing_are_left_out(fake_nvml):
    nvml = fake_nvml.FakeNvml
    some = one(nvml(PowerUsage=nvml.NOT_SUPPORTED, UtilizationRates=nvml.NOT_SUPPORTED)).read(ours=True)
    assert set(some.counters) == {"sm_clock_hz", "memory_clock_hz", "temperature_c", "memory_used_bytes"}
    lost = nvml()
    lost.lose()
    assert one(lost).read(ours=True) == Reading()
    assert (one(lost).energy_j(), one(lost).monitored(), one(lost).driver()) == (None, None, None)
    assert summary([Reading()]) == {}


@pytest.mark.parametrize(
    ("listed", "ours", "others"),
    [
        ((), True, ()),
        (("me",), True, ()),
        ((7, "me", 9), True, (7, 9)),
        ((7,), True, ()),  # in a container: that is this one
        ((7, 9), True, (7,)),
        ((7, 9), False, (7, 9)),
        (("me", 9), False, (9,)),
    ],
)
def test_neighbours_are_others(fake_nvml, listed, ours, others):
    processes = [SimpleNamespace(pid=os.getpid() if name == "me" else name) for name in listed]
    assert one(fake_nvml.FakeNvml(ComputeRunningProcesses=processes)).neighbours(ours=ours) == others


def test_summary_gives_median_and_extremes():
    readings = [
        Reading({"power_w": 100.0}, (), (7,)),
        Reading({"power_w": 312.3456, "utilization": 0.5}, ("power-cap",), ()),
        Reading({"power_w": 300.0}, None, None),
        Reading({"power_w": 310.0}, ("power-cap", "thermal-slowdown"), (7, 8)),
    ]
    assert summary(readings, 0.123456) == {
        "gpu": {"power_w": [305, 100, 312.3], "utilization": [0.5, 0.5, 0.5], "sm_active": 0.1235, "readings": 4},
        "throttled": {"power-cap": 0.6667, "thermal-slowdown": 0.3333},
        "neighbours": 2,
    }
    assert not summary([Reading({}, ())])["throttled"]


def test_watching_reads_in_another_thread_until_it_ends(fake_nvml):
    threads, read_thrice = set(), threading.Event()
    reads = itertools.count(1)

    def power():
        threads.add(threading.current_thread())
        if next(reads) == 3:
            read_thrice.set()
        return 100_000

    nvml = fake_nvml.FakeNvml(PowerUsage=power)
    with watched(one(nvml), every_s=1e-3) as found:
        assert read_thrice.wait(timeout=60)
        assert found == {}
    (thread,) = threads
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert not thread.is_alive()
    asked = nvml.asked
    assert found["gpu"]["power_w"] == [100, 100, 100]
    assert found["gpu"]["readings"] >= 3
    assert found["gpu"]["sm_active"] == 0.43
    assert (found["throttled"], found["neighbours"]) == ({}, 0)
    assert nvml.samples == 0
    assert len(json.dumps(found)) < 600
    assert nvml.asked == asked


def test_watching_ends_with_what_it_watched(fake_nvml):
    nvml = fake_nvml.FakeNvml()
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), watched(one(nvml)):
        raise ZeroDivisionError
    assert threading.active_count() == before
    assert nvml.samples == 0


def test_gpu_that_is_lost_while_watched_leaves_what_was_seen(fake_nvml):
    nvml, read = fake_nvml.FakeNvml(), threading.Event()
    nvml.answers["ComputeRunningProcesses"] = lambda: read.set() or []
    with watched(one(nvml), every_s=1e-3) as found:
        assert read.wait(timeout=60)
        nvml.lose()
    assert found["gpu"]["power_w"] == [250.5] * 3
    assert "sm_active" not in found["gpu"]
    assert nvml.samples == 0


def test_gpu_that_never_answers_again_does_not_keep_us(fake_nvml, monkeypatch):
    asked, answer = threading.Event(), threading.Event()
    nvml = fake_nvml.FakeNvml(PowerUsage=lambda: asked.set() or (answer.wait() and 1))
    monkeypatch.setattr(gpu, "JOIN_S", 0.01)
    with watched(one(nvml)) as found:
        asked.wait(timeout=60)
    answer.set()
    assert found == {"gpu": {"sm_active": 0.43, "readings": 0}}


@pytest.mark.parametrize("share", [float("nan"), None])
def test_multiprocessors_are_told_of_where_they_are_monitored(fake_nvml, share):
    nvml = fake_nvml.FakeNvml(busy=fake_nvml.FakeNvml.NOT_SUPPORTED if share is None else share)
    with watched(one(nvml)) as found:
        pass
    assert "sm_active" not in found["gpu"]
    assert nvml.samples == 0


def test_without_a_gpu_nothing_is_watched(monkeypatch):
    monkeypatch.setattr(threading, "Thread", lambda **_: pytest.fail("a thread"))
    with watched(None) as found:
        pass
    assert found == {}


def test_visible_gpu_is_open_while_entered(fake_nvml, monkeypatch):
    nvml = fake_nvml.installed(monkeypatch)
    with visible() as found:
        assert found.read(ours=False).counters["power_w"] == 250.5
        assert nvml.open == 1
    assert nvml.open == 0
    nvml.lose()
    with visible() as found:
        assert found is None
    assert nvml.open == 0


class Board:
    """A board whose call takes ``call_s`` and so many watts; its counter moves every ``step_s``."""

    def __init__(self, *, call_s=1e-3, watts=500.0, step_s=0.1, stops_at=None):
        self.call_s, self.watts, self.step_s, self.stops_at = call_s, watts, step_s, stops_at
        self.now, self.calls = 0.0, 0

    def __call__(self):
        self.now += self.call_s
        self.calls += 1

    def energy_j(self):
        if self.stops_at is not None and self.now > self.stops_at:
            return None
        return 1e6 + self.watts * self.step_s * (self.now // self.step_s) if self.step_s else 1e6

    def measure(self, *, calls=10, window_s=1.0):
        return energy_per_call(
            self, self, synchronize=lambda: None, clock=lambda: self.now, calls=calls, window_s=window_s
        )


@pytest.mark.parametrize(("call_s", "calls"), [(1e-4, 100), (1e-3, 10), (0.033, 1), (0.9, 1), (7.0, 1)])
def test_energy_is_that_of_a_whole_window_of_calls(call_s, calls):
    board = Board(call_s=call_s)
    assert board.measure(calls=calls) == pytest.approx(500.0 * call_s, rel=0.11 if call_s == 0.9 else 0.03)
    assert 1.0 <= board.now < 1.5 + 2 * call_s


def test_energy_window_begins_and_ends_where_the_counter_moves():
    begun_between_steps = Board(call_s=1e-3, step_s=0.4)
    begun_between_steps.now = 0.39
    assert begun_between_steps.measure(calls=1) == pytest.approx(0.5, rel=0.005)


@pytest.mark.parametrize("knobs", [{"step_s": 0}, {"stops_at": 0.5}, {"stops_at": -1.0}])
def test_energy_that_is_not_counted_is_unknown(knobs):
    board = Board(**knobs)
    assert board.measure() is None
    assert board.now < 2.1


def test_energy_with_a_clock_that_stands_still_comes_to_an_end(monkeypatch):
    monkeypatch.setattr(gpu, "MOST_LOOKS", 50)
    board = Board()
    assert energy_per_call(board, board, synchronize=int, clock=lambda: 0.0, calls=1, window_s=1.0) is None
    assert board.calls == 50


@pytest.mark.gpu
def test_counters_of_this_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch cannot use the GPU")
    matrix = torch.rand(4096, 4096, device="cuda")
    with visible() as found:
        assert found is not None
        with watched(found) as seen:
            energy = energy_per_call(
                found,
                lambda: matrix @ matrix,
                synchronize=torch.cuda.synchronize,
                clock=time.perf_counter,
                calls=5,
                window_s=1.0,
            )
        if found.energy_j() is not None:
            assert energy > 0
    assert seen["gpu"]["readings"] > 3
    assert seen["gpu"]["memory_used_bytes"][0] >= matrix.nbytes
    low, high = seen["gpu"]["sm_clock_hz"][1:]
    assert 1e8 < low <= high < 1e10
    assert 0 < seen["gpu"]["utilization"][2] <= 1
    assert 0 < seen["gpu"].get("sm_active", 1.0) <= 1
