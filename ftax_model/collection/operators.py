"""Operator times: a profiled run of a few calls, and its events matched with the operators of the trace one to one.

Eager PyTorch is seen through ``torch.profiler``. Tried against it: a dispatch mode that takes the time around every
operator. On bert (57 operators), resnet (36 and 50) and mlp (31), small and large inputs, one thread of a busy CPU; the
shortest of 72 calls, as a multiple of the shortest without:

===============================  ==================  ====================  ==================
what was recorded                the whole call      added by each event   sum of operators
===============================  ==================  ====================  ==================
profiler, no shapes (taken)      1.06 to 1.57        0.6 to 1.9 us         0.48 to 0.94
profiler, with shapes            1.13 to 1.96        1.0 to 4.7 us         0.55 to 0.94
dispatch mode                    1.28 to 5.34        18 to 40 us           0.65 to 1.07
===============================  ==================  ====================  ==================

From one session to the next the sums differ as much either way, by the machine's own noise. The dispatch mode takes a
call apart in Python, and what an operator takes then includes its way back from there: of an mlp that waits for Python
half the time, its operators seem to fill all of it. The profiler's events lie in C++. Each of them adds about as much
as any other, so that a model can take them out again (``Profile.events``). Shapes nearly double that; they are recorded
in one call of their own, which every other call must equal event by event.
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftax_model.collection.profiler import profiled
from ftax_model.collection.timing import Protocol, no_garbage_collection
from ftax_model.operators import Operator, OperatorTiming

MOST_CALLS = 31
"""Profiled calls, at most."""

MOST_EVENTS = 20_000
"""Events in all profiled calls together, at most, unless the protocol's fewest calls have more."""

ALIASES = {"cudnn_batch_norm": "native_batch_norm", "miopen_batch_norm": "native_batch_norm"}
"""What the meta device calls an operator that a GPU has a kind of its own for."""

FIRST_SHAPE_ALONE = ("index", "index_put", "_unsafe_index", "_unsafe_index_put")
"""Kinds whose indices the profiler does not show, in place or not."""

_CALL = "one call"
"""Name of the profiled range around one call."""


@dataclass(frozen=True)
class Event:
    """What a framework dispatched at one point of a call, in all profiled calls.

    ``kind`` is named as in a trace; ``depth`` is 0 for what the model asked for and one more for what that asked for in
    turn; ``inputs`` are the shapes of its tensors. ``host_s`` are seconds until it returned, ``device_s`` those of the
    kernels that it launched, one value a call, each with all that lies deeper; ``device_s`` is empty without a device.
    """

    kind: str
    depth: int
    inputs: tuple[tuple[int, ...], ...]
    host_s: tuple[float, ...]
    device_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Profiled:
    """Seconds of calls without and with the profiler, synchronised, and the events of one in the order they began."""

    plain_s: tuple[float, ...]
    profiled_s: tuple[float, ...]
    events: tuple[Event, ...]


def timings(operators: Sequence[Operator], events: Sequence[Event]) -> tuple[OperatorTiming, ...]:
    """For each operator of a trace the median times of its event; no times where it has none (see `match`).

    Raises `NotImplementedError` where no operator at all has one.
    """
    places = match(operators, events)
    if operators and not any(place is not None for place in places):
        raise NotImplementedError(f"none of the {len(operators)} operators of the trace was dispatched")
    return tuple(
        OperatorTiming(operator)
        if place is None
        else OperatorTiming(operator, _median(events[place].host_s), _median(events[place].device_s))
        for operator, place in zip(operators, places, strict=True)
    )


def match(operators: Sequence[Operator], events: Sequence[Event]) -> list[int | None]:
    """For each operator of a trace the position of its event, or ``None``; order, kind and shapes must agree.

    An event may be an operator's if its kind occurs in the trace, and if it lies within no other such event: that one
    stands for all it dispatches. An operator in place is of one kind with the same one out of place, which torch takes
    where it is being traced. Where the two sequences differ, what differs is left without a match.
    """
    kinds = {_plain(operator.kind) for operator in operators}
    places = list(_outermost(events, kinds))
    wanted = [_likeness(operator.kind, operator.inputs) for operator in operators]
    found = [_likeness(events[place].kind, events[place].inputs) for place in places]
    if wanted == found:
        return list(places)
    result: list[int | None] = [None] * len(operators)
    for block in difflib.SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks():
        result[block.a : block.a + block.size] = places[block.b : block.b + block.size]
    return result


def profile_torch(
    call: Callable[[], object],
    *,
    clock: Callable[[], float],
    synchronize: Callable[[], None],
    protocol: Protocol,
    cuda: bool,
) -> Profiled:
    """Profile calls that dispatch to torch and are warm, and time as many without, half before and half after.

    Profiled are as many as fit into ``protocol.cell_s``, from ``protocol.least_blocks`` to `MOST_CALLS`. Kernel times
    are recorded with ``cuda``. Calls that dispatch other events than the first are left out; raises
    `NotImplementedError` where all do.
    """

    def once() -> float:
        begin = clock()
        call()
        synchronize()
        return clock() - begin

    with no_garbage_collection():
        seconds, (first,) = _session(once, 1, shapes=True, cuda=cuda)
        room = min(protocol.cell_s / seconds[0], MOST_EVENTS / max(len(first), 1), MOST_CALLS)
        calls = max(int(room), protocol.least_blocks)
        half = (calls + 1) // 2
        before = [once() for _ in range(1 + half)]  # the first of each turn is left out
        seconds, recorded = _session(once, 1 + calls, shapes=False, cuda=cuda)
        after = [once() for _ in range(1 + half)]
    names = [(row.kind, row.depth) for row in first]
    alike = [at for at in range(1, 1 + calls) if [(row.kind, row.depth) for row in recorded[at]] == names]
    if not alike:
        raise NotImplementedError("no two calls dispatch the same operators")
    return Profiled(
        plain_s=tuple(before[1:] + after[1:]),
        profiled_s=tuple(seconds[at] for at in alike),
        events=tuple(
            Event(
                row.kind,
                row.depth,
                row.inputs,
                host_s=tuple(recorded[at][position].host_ns / 1e9 for at in alike),
                device_s=tuple(recorded[at][position].device_ns / 1e9 for at in alike) if cuda else (),
            )
            for position, row in enumerate(first)
        ),
    )


@dataclass(frozen=True)
class _Row:
    """One event of one call."""

    kind: str
    depth: int
    inputs: tuple[tuple[int, ...], ...]
    host_ns: int
    device_ns: int


def _session(
    once: Callable[[], float], calls: int, *, shapes: bool, cuda: bool
) -> tuple[list[float], list[list[_Row]]]:
    """Seconds and events of each call in one run of the profiler."""
    from torch.autograd import DeviceType
    from torch.profiler import record_function

    seconds = []
    with profiled(cpu=True, cuda=cuda, shapes=shapes) as session:
        for _ in range(calls):
            with record_function(_CALL):
                seconds.append(once())
    results = session.kineto_results
    kernels = kernel_times(results.events(), DeviceType.CPU) if cuda else {}
    roots = [node for node in _only_operators(results.experimental_event_tree()) if node.name == _CALL]
    return seconds, [rows(root, kernels) for root in roots]


def kernel_times(events: Iterable[Any], cpu: Any) -> dict[int, int]:
    """Nanoseconds on the device by the event that launched them, from the profiler's flat list of events."""
    found: dict[int, int] = {}
    for event in events:
        if event.device_type() != cpu and event.linked_correlation_id() > 0:
            launcher = event.linked_correlation_id()
            found[launcher] = found.get(launcher, 0) + event.duration_ns()
    return found


def rows(root: Any, kernels: Mapping[int, int]) -> list[_Row]:
    """The operators below a node of the profiler's tree, each before those it dispatched; other nodes are left out."""
    found: list[_Row] = []

    def walk(node: Any, depth: int) -> int:
        at = len(found)
        kind = node.name.removeprefix("aten::").replace("::", ".")
        found.append(_Row(kind, depth, tuple(_shapes(node.extra_fields.inputs)), node.duration_time_ns, 0))
        own = kernels.get(node.correlation_id, 0)
        device_ns = own + sum(walk(child, depth + 1) for child in _only_operators(node.children))
        found[at] = _Row(kind, depth, found[at].inputs, node.duration_time_ns, device_ns)
        return device_ns

    for node in _only_operators(root.children):
        walk(node, 0)
    return found


def _only_operators(nodes: Iterable[Any]) -> Iterator[Any]:
    return (node for node in nodes if node.tag.name == "TorchOp")


def _shapes(values: Iterable[Any]) -> Iterator[tuple[int, ...]]:
    for value in values:
        if hasattr(value, "sizes"):
            yield tuple(value.sizes)
        elif isinstance(value, list | tuple):
            yield from _shapes(value)


def _outermost(events: Sequence[Event], kinds: set[str]) -> Iterator[int]:
    within: int | None = None
    for at, event in enumerate(events):
        if within is not None and event.depth > within:
            continue
        within = None
        if _plain(event.kind) in kinds:
            within = event.depth
            yield at


def _likeness(kind: str, inputs: Sequence[tuple[int, ...]]) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """What an operator and its event share: numbers may be tensors in one alone, and keywords come in any order."""
    shown = inputs[:1] if _plain(kind) in FIRST_SHAPE_ALONE else inputs
    return _plain(kind), tuple(sorted(shape for shape in shown if shape))


def _plain(kind: str) -> str:
    return ALIASES.get(kind, kind).removesuffix("_")


def _median(values: Sequence[float]) -> float | None:
    """To four digits, which is more than can be known; ``None`` of nothing."""
    return float(f"{statistics.median(values):.4g}") if values else None
