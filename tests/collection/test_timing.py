"""Timing, on clocks that the test moves itself."""

import gc
import math
import random
import statistics
from collections.abc import Collection

import pytest

from ftax_model.collection.timing import Protocol, half_width, measure, steady
from ftax_model.errors import InputError


class Waiting:
    """A device whose call takes the next of ``costs`` seconds; the last one again and again."""

    def __init__(self, *costs: float, noise: float = 0.0, seed: int = 0):
        self.costs, self.now, self.calls = list(costs), 0.0, 0
        self.noise, self.random = noise, random.Random(seed)

    def __call__(self) -> object:
        cost = self.costs[min(self.calls, len(self.costs) - 1)]
        self.calls += 1
        self.now += cost * self.random.lognormvariate(0, self.noise) if self.noise else cost
        return object()

    def clock(self) -> float:
        return self.now

    def measure(self, **knobs):
        return measure(self, clock=self.clock, protocol=Protocol(**knobs))


class Queueing:
    """A device with a queue: a call keeps the host ``host`` seconds, the device is busy ``device`` seconds with it."""

    def __init__(self, host: float, device: float):
        self.host, self.device, self.now, self.free_at = host, device, 0.0, 0.0

    def __call__(self) -> None:
        self.now += self.host
        self.free_at = max(self.free_at, self.now) + self.device

    def synchronize(self) -> None:
        self.now = max(self.now, self.free_at)

    def clock(self) -> float:
        return self.now


def test_first_call_stands_apart():
    device = Waiting(3.0, 1e-3)
    timing = device.measure()
    assert timing.first_call_s == pytest.approx(3.0)
    assert timing.latency_s == pytest.approx(1e-3)
    assert max(timing.samples) == pytest.approx(1e-3)


def test_warm_up_goes_on_until_the_calls_stop_getting_faster():
    falling = [1e-2 * 0.8**step + 1e-3 for step in range(40)]
    timing = Waiting(0.5, *falling).measure(warmup_s=10.0)
    assert timing.latency_s == pytest.approx(1e-3, rel=0.05)
    assert timing.warmup_calls > 10


def test_warm_up_is_capped():
    forever_faster = [10 * 0.97**step for step in range(1000)]
    timing = Waiting(*forever_faster).measure(warmup_s=25.0, cell_s=50.0)
    assert timing.warmup_calls <= 4


def test_fast_calls_are_timed_in_blocks_of_the_length_asked_for():
    timing = Waiting(1e-5).measure(block_s=0.005)
    assert timing.calls_per_block * timing.latency_s >= 0.005
    assert timing.calls_per_block < 1200


def test_slow_calls_are_timed_one_by_one_and_still_three_times():
    device = Waiting(20.0)
    timing = device.measure(cell_s=1.0, least_blocks=3)
    assert timing.calls_per_block == 1
    assert len(timing.samples) == 3
    assert device.calls == 5  # the first, one to warm up, three timed


def test_slowdown_in_the_warm_up_still_leaves_three_blocks():
    timing = Waiting(1e-3, *[1e-3] * 40, 1.0).measure(cell_s=1.0)
    assert len(timing.samples) == 3
    assert timing.calls_per_block > 1


def test_quiet_cell_stops_after_the_fewest_blocks():
    assert len(Waiting(0.01).measure(min_blocks=9).samples) == 9


def test_noisy_cell_goes_on_until_the_median_is_known():
    quiet = Waiting(0.01, noise=0.001).measure(cell_s=100.0)
    noisy = Waiting(0.01, noise=0.03).measure(cell_s=100.0)
    spent = [timing.calls_per_block * len(timing.samples) for timing in (quiet, noisy)]
    assert spent[1] > 2 * spent[0]
    assert half_width(noisy.samples, 0.95) <= 0.01
    assert noisy.latency_s == pytest.approx(0.01, rel=0.02)


def test_cell_stops_when_its_time_is_up():
    device = Waiting(0.01, noise=0.5)
    timing = device.measure(cell_s=2.0, half_width=1e-6)
    assert half_width(timing.samples, 0.95) > 1e-6
    assert device.now < 2.0 + 10 * 0.01 * timing.calls_per_block


def test_merging_keeps_every_call_and_few_values():
    device = Waiting(0.01, noise=0.2)
    timing = device.measure(cell_s=20.0, half_width=1e-6, max_blocks=32)
    assert len(timing.samples) <= 32
    timed = device.calls - timing.warmup_calls - 1
    assert timing.calls_per_block * len(timing.samples) == timed > 500


def test_median_shrugs_at_a_hiccup():
    timing = Waiting(*[0.01] * 20, 5.0, 0.01).measure(cell_s=1.0)
    assert timing.latency_s == pytest.approx(0.01)


def test_waiting_device_has_no_host_clock_and_one_latency():
    timing = Waiting(0.01, noise=0.01).measure()
    assert timing.host_s is None
    assert timing.pipelined_s == timing.latency_s == statistics.median(timing.samples)


@pytest.mark.parametrize(("host", "device"), [(1e-3, 1e-2), (1e-2, 1e-3)])
def test_queueing_device_shows_three_clocks(host, device):
    machine = Queueing(host, device)
    timing = measure(machine, clock=machine.clock, protocol=Protocol(), synchronize=machine.synchronize)
    assert timing.host_s == pytest.approx(host)
    assert timing.latency_s == pytest.approx(host + device)
    assert max(host, device) <= timing.pipelined_s < timing.latency_s


def test_outputs_are_dropped_at_once():
    alive: list[int] = []

    class Output:
        def __init__(self):
            alive.append(len(alive))

        def __del__(self):
            alive.pop()

    most, now = 0, 0.0

    def call():
        nonlocal most, now
        now += 0.01
        most = max(most, len(alive))
        return Output()

    measure(call, clock=lambda: now, protocol=Protocol())
    assert most == 0


@pytest.mark.parametrize(("timed", "blocks"), [(100, 25), (10, 10), (31, 31), (37, 1), (1, 1)])
def test_fixed_numbers_of_calls_are_kept_to(timed, blocks):
    device = Waiting(3.0, 1e-3, noise=0.2)
    timing = device.measure(warmup_calls=10, timed_calls=timed)
    assert device.calls == 1 + 10 + timed
    assert (timing.warmup_calls, len(timing.samples), timing.calls_per_block) == (10, blocks, timed // blocks)


def test_fixed_numbers_of_calls_end_with_the_time():
    device = Waiting(1.0)
    assert len(device.measure(warmup_calls=10, timed_calls=100, cell_s=30.0).samples) == 5
    assert len(device.measure(warmup_calls=10, timed_calls=100).samples) == 3


def test_fixed_number_of_calls_between_two_synchronisations_is_the_clock_of_the_paper():
    device = Queueing(1e-3, 1.5e-3)
    protocol = Protocol(warmup_calls=10, timed_calls=100, cell_s=10)
    timing = measure(device, clock=device.clock, protocol=protocol, synchronize=device.synchronize)
    assert timing.pipelined_s == pytest.approx((1e-3 + 100 * 1.5e-3) / 100)
    assert timing.host_s == pytest.approx(1e-3)
    assert timing.latency_s == pytest.approx(2.5e-3)
    assert len(timing.samples) == 25


@pytest.mark.parametrize("latency_s", [1e-4, 1e-3, 1e-2, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("knobs", [{}, {"warmup_calls": 10, "timed_calls": 100, "cell_s": 30.0}, {"cell_s": 0.05}])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_timing_will_take_is_known_from_the_latency(latency_s, knobs, noise):
    device = Waiting(latency_s, noise=noise)
    device.measure(**knobs)
    least_s, most_s = Protocol(**knobs).expected_s(latency_s)
    assert least_s / 1.5 < device.now < 1.5 * most_s
    if not noise:
        assert device.now == pytest.approx(least_s, rel=0.5)


@pytest.mark.parametrize("latency_s", [1e-3, 0.1])
def test_three_clocks_take_longer(latency_s):
    device = Queueing(latency_s, latency_s / 2)
    measure(device, clock=device.clock, protocol=Protocol(), synchronize=device.synchronize)
    least_s, most_s = Protocol().expected_s(1.5 * latency_s, clocks=3)
    assert least_s / 1.5 < device.now < 1.5 * most_s


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_collector_is_off_while_timing_and_left_as_it_was(was_on):
    device, seen = Waiting(0.01), set()
    (gc.enable if was_on else gc.disable)()
    try:
        measure(lambda: (seen.add(gc.isenabled()), device())[1], clock=device.clock, protocol=Protocol())
        assert seen == {False}
        assert gc.isenabled() == was_on
    finally:
        gc.enable()


def test_garbage_collector_is_back_after_a_failure():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 // 0, clock=lambda: 0.0, protocol=Protocol())
    assert gc.isenabled()


def test_clock_that_stands_still_is_an_error_not_a_hang():
    with pytest.raises(RuntimeError, match="stands still"):
        measure(lambda: None, clock=lambda: 0.0, protocol=Protocol())


class Falling(Waiting):
    """A noisy device whose clock jumps back by so many seconds in certain calls."""

    def __init__(self, *, back: float, at: Collection[int]):
        super().__init__(1e-3, noise=0.05)
        self.back, self.at = back, at

    def __call__(self) -> object:
        if self.calls in self.at:
            self.now -= self.back
        return super().__call__()


@pytest.mark.parametrize("back", [0.1, 3600.0])
@pytest.mark.parametrize(("at", "discarded"), [({4}, 0), ({120}, 1), ({4, 120, 160}, 2)])
def test_block_in_which_the_clock_goes_backwards_is_thrown_away(back, at, discarded):
    device = Falling(back=back, at=at)
    timing = device.measure(cell_s=1.0, half_width=1e-6)
    assert timing.warmup_calls < 120
    assert timing.latency_s == pytest.approx(1e-3, rel=0.05)
    assert min(timing.samples) > 0
    assert timing.discarded_blocks == discarded
    assert 900 < device.calls < 1100  # its second was up all the same


def test_first_call_in_which_the_clock_goes_backwards_is_not_known():
    timing = Falling(back=10.0, at={0}).measure()
    assert (timing.first_call_s, timing.discarded_blocks) == (None, 0)
    assert timing.latency_s == pytest.approx(1e-3, rel=0.05)


@pytest.mark.parametrize("begins", [0, 200])
def test_clock_that_keeps_going_backwards_is_an_error(begins):
    with pytest.raises(RuntimeError, match="the clock keeps going backwards: 4 blocks"):
        Falling(back=0.1, at=range(begins, 9999)).measure(cell_s=1.0, half_width=1e-6)


def test_clock_that_goes_backwards_costs_all_three_blocks_of_the_round():
    machine = Queueing(1e-3, 1e-2)
    jumps = iter([0.0] * 20 + [5.0] + [0.0] * 10_000)

    def call():
        machine.now -= (jump := next(jumps))
        machine.free_at -= jump
        machine()

    timing = measure(call, clock=machine.clock, protocol=Protocol(), synchronize=machine.synchronize)
    assert timing.warmup_calls < 20
    assert timing.discarded_blocks == 1
    assert (timing.host_s, timing.latency_s) == pytest.approx((1e-3, 1.1e-2))


def test_interval_of_the_median_covers_it_as_often_as_it_says():
    random_ = random.Random(0)
    covered = 0
    for _ in range(2000):
        samples = [random_.lognormvariate(0, 0.5) for _ in range(15)]
        ordered = sorted(samples)
        reach = half_width(samples, 0.95) * statistics.median(samples)
        # ranks 4 and 12 of 15: the interval of the text books
        assert reach == pytest.approx((ordered[11] - ordered[3]) / 2)
        covered += ordered[3] <= 1.0 <= ordered[11]
    assert 0.95 <= covered / 2000 <= 0.98


def test_interval_of_few_samples_is_unknown():
    assert half_width([1.0] * 5, 0.95) == math.inf
    assert half_width([1.0] * 6, 0.95) == 0.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0] * 8, True),
        ([1.0] * 7, False),
        ([1.01, 0.99, 1.0, 1.0, 1.02, 0.98, 1.0, 1.0], True),
        ([2.0, 1.8, 1.6, 1.4, 1.2, 1.1, 1.0, 1.0], False),
        ([1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 1.2], False),
    ],
)
def test_steady(values, expected):
    assert steady(values) is expected


@pytest.mark.parametrize(
    "knobs",
    [
        {"cell_s": 0},
        {"cell_s": "1"},
        {"min_blocks": 2.5},
        {"half_width": True},
        {"confidence": 1.0},
        {"max_blocks": 3},
        {"limit_s": math.inf},
        {"limit_s": math.nan},
        {"energy_s": -1.0},
        {"energy_s": "0"},
        {"warmup_calls": 0, "timed_calls": 100},
        {"warmup_calls": 10},
        {"warmup_calls": -1, "timed_calls": -1},
    ],
)
def test_protocol_refuses(knobs):
    with pytest.raises(InputError, match=f"protocol {next(iter(knobs))}"):
        Protocol(**knobs)


def test_protocol_record_comes_back():
    protocol = Protocol(cell_s=2, half_width=0.02)
    assert Protocol.from_record(protocol.to_record()) == protocol
    assert Protocol(energy_s=0).energy_s == 0
    with pytest.raises(InputError, match="did you mean 'cell_s'"):
        Protocol.from_record({"cells": 1})
