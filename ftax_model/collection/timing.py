"""Timing: one callable and a clock in; the seconds of one call with the samples behind them out."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ftax_model import plugins
from ftax_model.errors import InputError

MOST_CALLS = 1_000_000
"""Calls in one block, at most; a clock that has not moved by then stands still."""

MOST = 10_000_000
"""Seconds, blocks and calls that a protocol may ask for; the former are a hundred days."""

PIPELINED_CALLS = 3
"""Calls between two synchronisations for ``pipelined_s``, at least."""

MOST_DISCARDED = 3
"""Blocks thrown away because the clock went backwards in them, at most; one that keeps doing so is no clock."""

MAY_BE_ZERO = ("energy_s", "warmup_calls", "timed_calls")
"""Values of a protocol that leave something out when they are 0."""

WINDOW = 4
"""Warm-up values in each of the two halves that `steady` compares."""

TREND = 0.05
"""Relative difference between those halves that still counts as steady."""


@dataclass(frozen=True)
class Protocol:
    """How long and how carefully one cell is measured; recorded with every measurement.

    Parameters
    ----------
    cell_s : seconds after which no further block begins, warm-up included; the first call, which may compile, is not.
    warmup_s : seconds of warm-up, at most.
    block_s : seconds that one block of calls lasts, at least.
    half_width : relative half-width of the median's confidence interval at which measuring stops.
    confidence : of that interval, between 0 and 1.
    min_blocks, max_blocks : blocks to see before stopping early, and values kept at most.
    least_blocks : blocks to see even where the time is up, one slow call each if need be.
    warmup_calls, timed_calls : calls to make, exactly, as far as ``cell_s`` allows (the paper: 10 and 100); 0 for as
        many as it takes. They go together.
    energy_s : seconds of calls, at least, over which the energy of one is taken, on a GPU that counts it; 0 for none.
    limit_s : seconds after which a cell counts as hung, its build and compilation included.

    Raises `InputError` for a value that is not a positive number.
    """

    cell_s: float = 1.0
    warmup_s: float = 0.25
    block_s: float = 0.005
    half_width: float = 0.01
    confidence: float = 0.95
    min_blocks: int = 7
    max_blocks: int = 32
    least_blocks: int = 3
    warmup_calls: int = 0
    timed_calls: int = 0
    energy_s: float = 1.0
    limit_s: float = 300.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            whole = isinstance(field.default, int)
            good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            zero = field.name in MAY_BE_ZERO
            if not good or not (0 < value <= MOST or (zero and value == 0)):
                kind = f"a {'whole ' if whole else ''}number {'from' if zero else 'above'} 0, at most {MOST:,}"
                raise InputError(f"protocol {field.name} is {kind}", repr(value), "give such a number")
        if self.confidence >= 1:
            raise InputError("protocol confidence is below 1", repr(self.confidence), "take 0.95")
        if self.max_blocks < self.min_blocks:
            got = f"min_blocks {self.min_blocks}, max_blocks {self.max_blocks}"
            raise InputError("protocol max_blocks is at least min_blocks", got, "change one of them")
        if bool(self.warmup_calls) != bool(self.timed_calls):
            got = f"warmup_calls {self.warmup_calls}, timed_calls {self.timed_calls}"
            raise InputError("protocol warmup_calls and timed_calls go together", got, "give both or none")

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Protocol:
        """The protocol with these values; raises `InputError` for a name that is not one of them."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in record:
            plugins.check(name, known, what="protocol value")
        return cls(**record)

    def to_record(self) -> dict[str, float]:
        """As plain values; `from_record` is the way back."""
        return dataclasses.asdict(self)

    def expected_s(self, latency_s: float, *, clocks: int = 1) -> tuple[float, float]:
        """Seconds that timing takes where one call takes ``latency_s``: if all of them are alike, and at most.

        ``clocks`` is the number of blocks in a round: 3 on a device that is synchronised, else 1.

        >>> Protocol(cell_s=1.0, least_blocks=3).expected_s(2.0)
        (10.0, 10.0)
        """
        if self.timed_calls:
            warm_s = self.warmup_calls * latency_s
            round_s = clocks * _equal_blocks(self) * latency_s
            wanted_s = clocks * self.timed_calls * latency_s
            spent_s = max(min(warm_s + wanted_s, self.cell_s), warm_s + self.least_blocks * round_s)
            return latency_s + spent_s, latency_s + spent_s
        round_s = clocks * max(self.block_s, latency_s)
        warm_s = max(latency_s, min(self.warmup_s, 2 * WINDOW * max(self.block_s, latency_s)))
        least_s = warm_s + max(min(self.min_blocks * round_s, self.cell_s - warm_s), self.least_blocks * round_s)
        most_s = max(self.cell_s, max(self.warmup_s, latency_s) + self.least_blocks * round_s, least_s)
        return latency_s + least_s, latency_s + most_s


@dataclass(frozen=True)
class Timing:
    """Seconds per call, each the median over blocks, and the blocks behind ``latency_s``.

    ``samples`` are in the order they were taken, each the mean of ``calls_per_block`` calls. ``host_s`` is ``None``
    where the call itself waits for the device, ``first_call_s`` where the clock went backwards in it.
    ``discarded_blocks`` were timed and thrown away, because the clock did not go forwards in them.
    """

    latency_s: float
    pipelined_s: float
    host_s: float | None
    samples: tuple[float, ...]
    calls_per_block: int
    warmup_calls: int
    first_call_s: float | None
    discarded_blocks: int = 0


def measure(
    call: Callable[[], object],
    *,
    clock: Callable[[], float],
    protocol: Protocol,
    synchronize: Callable[[], None] | None = None,
) -> Timing:
    """Time ``call`` until the median of its blocks is known well enough, or the time is up.

    The first call stands apart. Blocks of calls then grow until one lasts ``protocol.block_s``, and go on until they
    are `steady`: that is the warm-up. Timed blocks follow, and each of their calls ends with ``synchronize()``. When
    more than ``max_blocks`` would be kept, neighbours are merged: blocks twice as long, and nothing thrown away.

    ``synchronize`` is ``None`` on a device whose calls wait by themselves. There a loop that synchronises once behind N
    calls is the very loop that synchronises behind each, so that ``pipelined_s`` is ``latency_s``, and rightly so.
    Elsewhere every round times three blocks: one for ``latency_s``, one with a single synchronisation behind all calls
    for ``pipelined_s``, and one that stops the clock whenever the call returns, before it synchronises, for ``host_s``:
    the queue of the device is empty when a call begins.

    With ``protocol.timed_calls`` no block is added and none left out, unless the time is up; as many calls between two
    synchronisations are ``pipelined_s`` then.

    Outputs are dropped at once and the garbage collector is off. A round in which the clock goes backwards is thrown
    away and counted. Raises `RuntimeError` for a clock that stands still or keeps going backwards, and whatever
    ``call`` raises.
    """
    wait = synchronize or _nothing
    with no_garbage_collection():
        begin = clock()
        call()
        wait()
        first_call_s = clock() - begin
        begin = clock()
        calls, warmup_calls = warm_up(call, wait, clock, protocol)
        spent_s = max(clock() - begin, 0.0)
        samples: list[float] = []
        pipelined: list[float] = []
        host: list[float] = []
        discarded = 0
        while not _done(samples, spent_s, protocol):
            if len(samples) >= protocol.max_blocks:
                samples, calls = _merged(samples), 2 * calls
            begin = clock()
            block = [each(call, wait, clock, calls)]
            if synchronize:
                block.append(_returning(call, wait, clock, calls))
                if not protocol.timed_calls:
                    block.append(_together(call, wait, clock, max(calls, PIPELINED_CALLS)))
            spent_s += max(clock() - begin, 0.0)
            if min(block) > 0:
                for values, value in zip((samples, host, pipelined), block, strict=False):
                    values.append(value)
            else:
                discarded = _one_more(discarded)
        while synchronize and not pipelined:
            seconds = _together(call, wait, clock, protocol.timed_calls)
            if seconds > 0:
                pipelined.append(seconds)
            else:
                discarded = _one_more(discarded)
    latency_s = statistics.median(samples)
    return Timing(
        latency_s=latency_s,
        pipelined_s=statistics.median(pipelined) if synchronize else latency_s,
        host_s=statistics.median(host) if synchronize else None,
        samples=tuple(samples),
        calls_per_block=calls,
        warmup_calls=warmup_calls,
        first_call_s=first_call_s if first_call_s >= 0 else None,
        discarded_blocks=discarded,
    )


def steady(values: Sequence[float]) -> bool:
    """Whether the last warm-up values show no trend, after the rule of pyperf.

    They are cut into an older and a newer half: medians and quartiles of the two differ by at most 5 %, and the oldest
    value is no outlier of the newer half (outside its quartiles by more than 1.5 times their distance, and by 5 %).
    """
    if len(values) < 2 * WINDOW:
        return False
    older, newer = values[-2 * WINDOW : -WINDOW], values[-WINDOW:]
    before, after = statistics.quantiles(older, method="inclusive"), statistics.quantiles(newer, method="inclusive")
    if any(abs(old - new) > TREND * new for old, new in zip(before, after, strict=True)):
        return False
    low, middle, high = after
    reach = max(1.5 * (high - low), TREND * middle)
    return low - reach <= older[0] <= high + reach


def half_width(samples: Sequence[float], confidence: float) -> float:
    """Relative half-width of the confidence interval of the median, infinite where there are too few samples.

    The interval runs between two order statistics, chosen by the binomial distribution: it assumes no shape of the
    noise (Le Boudec, *Performance Evaluation of Computer and Communication Systems*, 2.2).

    >>> half_width([1.0, 1.01, 0.99, 1.0, 1.02, 1.0], 0.95)
    0.015000000000000013
    """
    n = len(samples)
    outside, rank = 0.0, 0
    while True:
        outside += 2 * math.comb(n, rank) / 2**n
        if outside > 1 - confidence or 2 * (rank + 1) > n:
            break
        rank += 1
    if rank == 0:
        return math.inf
    ordered = sorted(samples)
    return (ordered[n - rank] - ordered[rank - 1]) / 2 / statistics.median(ordered)


def warm_up(
    call: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], protocol: Protocol
) -> tuple[int, int]:
    """Calls that fill a block, and how many were made to find out and to get steady; at least one."""
    if protocol.timed_calls:
        each(call, wait, clock, protocol.warmup_calls)
        return _equal_blocks(protocol), protocol.warmup_calls
    calls, made, spent_s, discarded = 1, 0, 0.0, 0
    values: list[float] = []
    while True:
        lasted = calls * each(call, wait, clock, calls)
        made += calls
        if lasted < 0:
            discarded = _one_more(discarded)
            continue
        spent_s += lasted
        values.append(lasted / calls)
        if steady(values) or spent_s >= protocol.warmup_s:
            return calls, made
        if lasted < protocol.block_s:
            calls = longer(calls, lasted, protocol.block_s)
            values.clear()


def _equal_blocks(protocol: Protocol) -> int:
    """The fewest calls a block that make ``timed_calls`` in no more than ``max_blocks``."""
    total = protocol.timed_calls
    return next(calls for calls in range(1, total + 1) if total % calls == 0 and total // calls <= protocol.max_blocks)


def _done(samples: Sequence[float], spent_s: float, protocol: Protocol) -> bool:
    if spent_s >= protocol.cell_s and len(samples) >= protocol.least_blocks:
        return True
    if protocol.timed_calls:
        return len(samples) * _equal_blocks(protocol) >= protocol.timed_calls
    return len(samples) >= protocol.min_blocks and half_width(samples, protocol.confidence) <= protocol.half_width


def longer(calls: int, lasted: float, wanted: float) -> int:
    """Calls of the next block: what the last one lets expect, and a tenth more; tenfold growth at most."""
    if calls >= MOST_CALLS:
        raise RuntimeError(f"the clock stands still: {calls} calls took {lasted} seconds")
    grown = math.ceil(1.1 * calls * wanted / lasted) if lasted > 0 else 10 * calls
    return min(grown, 10 * calls, MOST_CALLS)


def _one_more(discarded: int) -> int:
    if discarded == MOST_DISCARDED:
        raise RuntimeError(f"the clock keeps going backwards: {discarded + 1} blocks of calls took no time, or less")
    return discarded + 1


def each(call: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], calls: int) -> float:
    """Seconds of one of so many calls, each with its ``wait()``."""
    begin = clock()
    for _ in itertools.repeat(None, calls):
        call()
        wait()
    return (clock() - begin) / calls


def _together(call: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], calls: int) -> float:
    begin = clock()
    for _ in itertools.repeat(None, calls):
        call()
    wait()
    return (clock() - begin) / calls


def _returning(call: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], calls: int) -> float:
    total = 0.0
    for _ in itertools.repeat(None, calls):
        begin = clock()
        call()
        total += clock() - begin
        wait()
    return total / calls


def _merged(samples: list[float]) -> list[float]:
    """Means of neighbours; the older of an odd number is left out."""
    odd = len(samples) % 2
    return [(one + other) / 2 for one, other in zip(samples[odd::2], samples[odd + 1 :: 2], strict=True)]


def _nothing() -> None:
    pass


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Hold the garbage collector off, and put it back as it was."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
