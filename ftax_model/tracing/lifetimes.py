"""Lifetimes: which activations are alive while an operator runs, by the order in which operators touch them.

A tensor is alive from the first operator that touches it to the last; views of it are the same. Inputs of the call are
held by whoever calls, from its beginning to its end, and what it returns is alive to the end.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate


def live_bytes(
    touched: Sequence[Iterable[Hashable]],
    sizes: Mapping[Hashable, int],
    *,
    inputs: Iterable[Hashable],
    outputs: Collection[Hashable],
) -> list[int]:
    """Bytes alive while each operator runs.

    ``touched`` holds for each operator, in order, what it reads and writes; ``sizes`` the bytes of each of these that
    counts: what is not in there (weights) does not.

    >>> live_bytes([["x", "y"], ["y", "z"]], {"x": 1, "y": 10, "z": 100}, inputs=["x"], outputs=["z"])
    [11, 111]
    """
    first: dict[Hashable, int] = dict.fromkeys(inputs, 0)
    last: dict[Hashable, int] = dict.fromkeys(first, len(touched) - 1)
    held = set(first)
    for at, names in enumerate(touched):
        for name in names:
            first.setdefault(name, at)
            if name not in held:
                last[name] = at
    changes = [0] * (len(touched) + 1)
    for name, begin in first.items():
        size = sizes.get(name, 0)
        changes[begin] += size
        changes[len(touched) if name in outputs else last[name] + 1] -= size
    return list(accumulate(changes[:-1]))
