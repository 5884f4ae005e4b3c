"""Device clock: how long a GPU is busy with one call, from replays where it is a graph, else from a profiled run."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ftax_model.collection import timing
from ftax_model.collection.frameworks import Framework
from ftax_model.collection.profiler import profiled
from ftax_model.collection.timing import Protocol, Timing

MOST_CALLS = 100
"""Calls in a profiled run, at most."""

MARK = 0.02
"""Relative slowdown behind a profiled run from which the profiler is taken to have left something behind."""


@dataclass(frozen=True)
class DeviceTime:
    """Seconds that the GPU is busy with one call, and the ``way`` they were found: ``graph-replay`` or ``profiler``.

    ``marked`` says that the process has been slower since: it should time nothing any more.
    """

    seconds: float
    way: str
    marked: bool = False


def device_time(
    framework: Framework, call: Callable[[], object], *, seen: Timing, protocol: Protocol
) -> DeviceTime | None:
    """How long the GPU is busy with ``call``, which was just timed as ``seen``; ``None`` where nothing shows it.

    Where the framework has one launch of it all (`Framework.graph`), that of a replay among others: the host is far
    ahead, and the gaps between kernels are those of the GPU itself. Elsewhere the kernels of a profiled run of its own.
    """
    replay = framework.graph(call)
    if replay is not None:
        return DeviceTime(replayed_s(replay, protocol), "graph-replay")
    if "torch" not in framework.preload or not framework.shows_kernels:
        return None
    calls = min(max(round(protocol.block_s / seen.latency_s), protocol.least_blocks), MOST_CALLS)
    seconds = kernels_s(call, framework.synchronize, calls)
    if seconds is None:
        return None
    return DeviceTime(seconds, "profiler", marked=_slower(framework, call, seen, protocol))


def replayed_s(replay: Callable[[], object], protocol: Protocol) -> float:
    """Seconds of one replay: the median over windows between two events on the GPU.

    A window holds as many replays as last ``block_s``, or one. There are ``min_blocks`` of them, or as many as fit into
    ``cell_s``, but ``least_blocks``.
    """
    replays = 1
    _between_events(replay, replays)  # the first carries the graph to the GPU
    while (lasted := _between_events(replay, replays)) < protocol.block_s:
        replays = timing.longer(replays, lasted, protocol.block_s)
    windows = min(max(int(protocol.cell_s / lasted), protocol.least_blocks), protocol.min_blocks)
    return statistics.median(_between_events(replay, replays) for _ in range(windows)) / replays


def kernels_s(call: Callable[[], object], synchronize: Callable[[], None], calls: int) -> float | None:
    """Seconds for which the GPU did something for one call, by the profiler; ``None`` where that shows nothing.

    Copies count as kernels do, and what runs at the same time counts once.
    """
    from torch.autograd import DeviceType

    with timing.no_garbage_collection(), profiled(cuda=True) as session:
        for _ in range(calls):
            call()
            synchronize()
    spans = [
        (event.start_ns(), event.end_ns())
        for event in session.kineto_results.events()
        if event.device_type() == DeviceType.CUDA and not event.is_user_annotation()
    ]
    return covered(spans) / 1e9 / calls if spans else None


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Length of what the spans cover together.

    >>> covered([(5, 7), (0, 2), (1, 3)])
    5
    """
    total, end = 0, -1
    for begin, until in sorted(spans):
        total += max(until - max(begin, end), 0)
        end = max(end, until)
    return total


def _between_events(replay: Callable[[], object], replays: int) -> float:
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    replay()  # keeps the GPU busy while the host launches the next
    begin.record()
    for _ in itertools.repeat(None, replays):
        replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _slower(framework: Framework, call: Callable[[], object], seen: Timing, protocol: Protocol) -> bool:
    """Whether calls take longer than when they were timed: than three of four blocks then, and by `MARK`."""
    call()
    framework.synchronize()
    calls, count = seen.calls_per_block, protocol.least_blocks
    blocks = [timing.each(call, framework.synchronize, framework.clock, calls) for _ in range(count)]
    *_, slow = statistics.quantiles(seen.samples, method="inclusive") if len(seen.samples) > 1 else seen.samples
    return statistics.median(blocks) > max(slow, (1 + MARK) * seen.latency_s)
