"""KernelModel: what each kernel costs on a GPU and its host, as a share of what the card could do.

::

    T_host   = call + sum over kernels of (dispatch of its group * what trees say of the kernel)
    T_device = sum over kernels of ((roofline seconds * cost of its group + floor) * what trees say of the kernel)
    latency  = (T_host^p + T_device^p)^(1/p)

The roofline of a kernel is the longer of its work at the card's peak and its traffic at the card's bandwidth, so that
the cost of a group is how many times longer than that it takes, much the same on every card: what is learnt on some
holds on others. Trees see each kernel (extents, how it fills the card, its neighbours) and are grown on whole calls,
each tree on what the kernels of a call are missed by together (`grow`). Costs are learnt in log space from a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model.device import Rates
from ftax_model.modeling.estimators.law import Array, Design, Loss, checked_latencies, latency
from ftax_model.modeling.estimators.operators import NOISE, fit_costs
from ftax_model.modeling.estimators.priors import Prior
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.operators import Trace
from ftax_model.tracing.kernels import COLUMNS, GROUPS, KERNELS, Kernels, joined, kernels_in_order

COSTS = (
    "call",
    *(f"{group}.dispatch" for group in GROUPS),
    *(f"{group}.work" for group in GROUPS),
    "kernel",
)
"""What has a cost: a call and dispatches, in seconds; work, in times its roofline; a kernel's floor, in seconds."""

HOSTS = 1 + len(GROUPS)
"""How many of these, from the first, make the time of the host."""

OVERLAP = 4.0
"""The exponent p: GPUs work on while the host dispatches."""

LOSS = Loss("soft_l1", 0.1)

_CALL_S, _DISPATCH_S, _WORK, _FLOOR_S = 5e-6, 6e-6, 1.6, 2e-6  # before anything was measured
STEP_S = 5e-6  # of a recurrent network, each after the other
SERIAL = 8e9  # bytes per second of one block that has to see all of a row
_GROUP = COLUMNS.index("group")
LOGARITHMS = [
    COLUMNS.index(name)
    for name in (
        "macs", "bytes", "weight_bytes", "m", "k", "n", "matrices", "groups", "elements", "channels_in",
        "channels_out", "steps",
    )
]  # fmt: skip
HOST_COLUMNS = [
    COLUMNS.index(name)
    for name in (
        "group", "kind", "spatial", "arguments", "scalar", "steps", "groups", "before", "before_alike", "before_fuses",
        "after", "after_alike", "after_fuses", "place",
    )
]  # fmt: skip

HOST_FEATURES = len(HOST_COLUMNS)
DEVICE_FEATURES = len(COLUMNS) + 11
"""Columns that the two kinds of trees see."""

COMPOSITION = 2 * len(GROUPS) + 3
"""Columns that say what a call is made of (`KernelModel.composition`)."""


@dataclass(frozen=True)
class Calls:
    """Kernels of many calls, each on a device, ready to be fitted or predicted.

    ``row``, ``group``, ``count`` and ``roofline_s`` have shape (n_kernels,), ``host`` (n_kernels, HOST_FEATURES) and
    ``device`` (n_kernels, DEVICE_FEATURES); ``traffic`` is the share of a kernel's roofline that is memory's and
    ``weights`` that of it which weights make. ``size`` is the number of calls.
    """

    row: NDArray[np.intp]
    group: NDArray[np.intp]
    count: Array
    roofline_s: Array
    traffic: Array
    weights: Array
    host: Array
    device: Array
    size: int

    @classmethod
    def of(cls, calls: Sequence[Kernels], rates: Sequence[Rates]) -> Calls:
        """From the kernels of each call and what its device can do."""
        row, kernels = joined(calls)
        own = {id(one): one for one in rates}
        order = {key: at for at, key in enumerate(own)}
        table = np.array(
            [can_do(one) for one in own.values()],
            dtype=float,
        ).reshape(-1, 6)
        peak, convolution, vector, bandwidth, processors, l2 = table[[order[id(one)] for one in rates]][row].T
        group = kernels["group"].astype(np.intp)
        names = np.array(GROUPS)[group]
        depthwise = names == "depthwise-convolution"
        dense = (kernels["kernel"] > 0) & ~depthwise
        work_s = kernels["macs"] / np.where(dense, convolution, np.where(depthwise, vector, peak))
        memory_s = kernels["bytes"] / bandwidth
        roofline_s = np.maximum(np.maximum(work_s, memory_s), kernels["serial_bytes"] / SERIAL)
        roofline_s = roofline_s + kernels["steps"] * STEP_S
        seen = kernels.table.copy()
        seen[:, LOGARITHMS] = np.log2(1 + seen[:, LOGARITHMS])
        tiny = 1e-12
        told = [
            np.log2(np.maximum(kernels["read"], 1) / np.maximum(kernels["elements"], 1)),
            np.log2(kernels["blocks"] / processors),
            np.clip(np.log2((work_s + tiny) / (memory_s + tiny)), -20, 20),
            np.log2(np.maximum(kernels["bytes"], 1) / l2),
            np.log2(1e6 * roofline_s + 2),
            np.log2(peak),
            np.log2(convolution / peak),
            np.log2(bandwidth),
            np.log2(processors),
            np.log2(l2),
            np.log2(peak / bandwidth),
        ]
        return cls(
            row=row,
            group=group,
            count=kernels.count,
            roofline_s=roofline_s,
            traffic=(memory_s >= work_s).astype(float),
            weights=kernels["weight_bytes"] / np.maximum(kernels["bytes"], 1),
            host=seen[:, HOST_COLUMNS],
            device=np.column_stack([seen, *told]),
            size=len(calls),
        )

    def sums(self, values: Array) -> Array:
        """Of each call the sum over its kernels, shape (size,)."""
        return np.asarray(np.bincount(self.row, values, self.size), dtype=float)


def can_do(card: Rates) -> tuple[float | None, ...]:
    """Of a card: MACs, those of convolutions and of vectors, and bytes per second; multiprocessors; bytes of cache."""
    return card.macs, card.convolution_macs, card.vector_macs, card.bandwidth, card.multiprocessors, card.l2_bytes


@dataclass(frozen=True)
class Efficiency:
    """What trees say of kernels: factors of what the host's dispatch and the device's work take."""

    host: Trees
    device: Trees

    def factors(self, calls: Calls) -> tuple[Array, Array]:
        """Of each kernel, both of shape (n_kernels,)."""
        return np.exp(self.host.predict(calls.host)), np.exp(self.device.predict(calls.device))


NONE = Efficiency(Trees.of((), rate=1.0), Trees.of((), rate=1.0))
"""No trees yet: all kernels of a group cost the same."""


def columns(calls: Calls, efficiency: Efficiency) -> Array:
    """How much of each of `COSTS` every call takes, shape (size, len(COSTS))."""
    host, device = efficiency.factors(calls)
    found = np.zeros((calls.size, len(COSTS)))
    found[:, 0] = 1.0
    np.add.at(found, (calls.row, 1 + calls.group), calls.count * host)
    np.add.at(found, (calls.row, HOSTS + calls.group), calls.count * device * calls.roofline_s)
    found[:, -1] = calls.sums(calls.count * device)
    return found


def spread(everything_host: float, everything_device: float, own: float) -> Array:
    """Covariance of log costs that move together on the host, together on the device, and each by itself."""
    found = own**2 * np.eye(len(COSTS))
    host = np.arange(len(COSTS)) < HOSTS
    found[np.ix_(host, host)] += everything_host**2
    found[np.ix_(~host, ~host)] += everything_device**2
    return found


def ignorance() -> Prior:
    """What holds of any GPU: a dispatch takes microseconds, and a kernel a little longer than its roofline."""
    mean = [_CALL_S, *[_DISPATCH_S] * len(GROUPS), *[_WORK] * len(GROUPS), _FLOOR_S]
    return Prior(np.log(mean), spread(0.7, 0.5, 0.7))


def fit(amounts: Array, latency_s: Array, prior: Prior, *, overlap: float = OVERLAP) -> Prior:
    """Log costs after calls were measured; ``amounts`` are their `columns`.

    Raises `InputError` where latencies are not positive, finite seconds.
    """
    if not len(amounts):
        return prior
    measured = checked_latencies(latency_s)
    return Prior(*fit_costs(Design(amounts, HOSTS), measured, prior, overlap=overlap, loss=LOSS, noise=NOISE))


def grow(
    calls: Calls,
    latency_s: Array,
    logs: Array,
    *,
    overlap: float = OVERLAP,
    rounds: int = 250,
    rate: float = 0.12,
    seed: int = 0,
) -> Efficiency:
    """Trees that say by how much each kernel differs from what its group costs.

    ``logs`` are the log costs of each call's platform, shape (size, len(COSTS)). Functional gradient steps on the log
    residuals of whole calls: a tree is fitted to what calls are missed by, each kernel counting by its share of the
    call's latency (Friedman, 2001). Rows that are far off say no more than others.
    """
    rng = np.random.default_rng(seed)
    costs, at = np.exp(logs), np.arange(len(calls.row))
    own = costs[calls.row]
    dispatch_s = calls.count * own[at, 1 + calls.group]
    work_s = calls.count * (own[at, HOSTS + calls.group] * calls.roofline_s + own[:, -1])
    measured = np.log(latency_s)
    host, device = np.zeros(len(at)), np.zeros(len(at))
    from sklearn.tree import DecisionTreeRegressor  # a prediction needs none of it

    grown: dict[str, list[Any]] = {"host": [], "device": []}
    for turn in range(rounds):
        host_s, device_s = calls.sums(dispatch_s * np.exp(host)), calls.sums(work_s * np.exp(device))
        predicted = latency(costs[:, 0] + host_s, device_s, overlap)
        residual = np.clip(measured - np.log(predicted), -_FARTHEST, _FARTHEST)[calls.row]
        scale = predicted**-overlap
        parts = {
            "host": ((costs[:, 0] + host_s) ** (overlap - 1) * scale)[calls.row] * dispatch_s * np.exp(host),
            "device": (device_s ** (overlap - 1) * scale)[calls.row] * work_s * np.exp(device),
        }
        kept = (rng.random(calls.size) < _KEPT)[calls.row]
        for term, share in parts.items():
            if term == "host" and turn % 2:
                continue
            seen = calls.host if term == "host" else calls.device
            told = kept & (share > _LEAST_SHARE)
            if told.sum() < 2 * _LEAF:
                continue
            tree = DecisionTreeRegressor(
                max_leaf_nodes=_LEAVES[term],
                min_samples_leaf=_LEAF,
                max_features=None if term == "host" else 0.4,
                random_state=int(rng.integers(1 << 30)),
            ).fit(seen[told], residual[told], sample_weight=share[told])
            step = rate * tree.predict(seen)
            grown[term].append(tree)
            host, device = (host + step, device) if term == "host" else (host, device + step)
    return Efficiency(*(Trees.of([tree.tree_ for tree in grown[term]], rate=rate) for term in ("host", "device")))


_FARTHEST = 0.7
_KEPT = 0.7  # share of calls that a tree sees
_LEAST_SHARE = 1e-3  # of a call's latency, below which a kernel says nothing
_LEAF, _LEAVES = 20, {"host": 5, "device": 16}


def terms(amounts: Array, logs: Array) -> tuple[Array, Array]:
    """Seconds on the host and on the device of each call; ``logs`` are one platform's, or one row a call."""
    seconds = amounts * np.exp(logs)
    return seconds[:, :HOSTS].sum(axis=1), seconds[:, HOSTS:].sum(axis=1)


def slopes(amounts: Array, logs: Array, overlap: float) -> Array:
    """Share of each cost in the latency of each call: the slopes of its logarithm, shape (size, len(COSTS))."""
    host_s, device_s = terms(amounts, logs)
    total = latency(host_s, device_s, overlap)
    seconds = amounts * np.exp(logs)
    host = (host_s / total) ** overlap / np.maximum(host_s, _TINY)
    device = (device_s / total) ** overlap / np.maximum(device_s, _TINY)
    seconds[:, :HOSTS] *= host[:, None]
    seconds[:, HOSTS:] *= device[:, None]
    return seconds


_TINY = 1e-15


class KernelModel:
    """The costs of one machine, put to calls; what `CorrectedModel` is to a CPU."""

    def __init__(self, begin: Prior, efficiency: Efficiency, can: Rates, seen: Sequence[str], overlap: float) -> None:
        self.logs, self.covariance = begin.mean, begin.covariance
        self.efficiency, self.can, self.seen, self.overlap_ = efficiency, can, seen, overlap
        self._last: tuple[list[Kernels], tuple[Calls, Array, Array, Array]] | None = None

    def holds(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows hold the kernels of their call."""
        return rows[KERNELS].notna().to_numpy() if KERNELS in rows else np.zeros(len(rows), dtype=bool)

    def times(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Seconds of each row: ``host_s``; ``device_s``, ``memory_s``, what of it is traffic, and ``constant_s``, what
        of it weights take.
        """
        calls, _, device, amounts = self._calls(rows)
        host_s, device_s = terms(amounts, self.logs)
        own = np.exp(self.logs)
        each = calls.count * device * (own[HOSTS + calls.group] * calls.roofline_s + own[-1])
        memory_s = calls.sums(each * calls.traffic)
        constant_s = calls.sums(each * calls.traffic * calls.weights)
        found = {"host_s": host_s, "device_s": device_s, "memory_s": memory_s, "constant_s": constant_s}
        return pd.DataFrame(found, index=rows.index)

    def attribute(self, trace: Trace, X: pd.DataFrame, *, itemsize: int = 4) -> pd.DataFrame:
        """What each operator of a trace, whose row is X, costs, in order, as `OperatorModel.attribute` says."""
        kernels = kernels_in_order(trace, itemsize=itemsize)
        calls, own = Calls.of([kernels], [self.can]), np.exp(self.logs)
        host, device = self.efficiency.factors(calls)
        return pd.DataFrame(
            {
                "layer": [operator.layer for operator in trace.operators],
                "kind": [operator.kind for operator in trace.operators],
                "group": [GROUPS[at] for at in calls.group],
                "host_s": own[1 + calls.group] * host,
                "device_s": device * (own[HOSTS + calls.group] * calls.roofline_s + own[-1]),
            }
        )

    def composition(self, rows: pd.DataFrame) -> Array:
        """What rows are made of: shares of costs in latency, logarithms of latency and kernels."""
        calls, _, _, amounts = self._calls(rows)
        host_s, device_s = terms(amounts, self.logs)
        share = slopes(amounts, self.logs, self.overlap_)
        seconds = latency(host_s, device_s, self.overlap_)
        shares = share[:, 1 : 1 + 2 * len(GROUPS)]
        count = np.maximum(calls.sums(calls.count), 1)
        return np.column_stack([shares, share[:, :HOSTS].sum(axis=1), np.log2(seconds), np.log2(count)])

    def uncertainty(self, rows: pd.DataFrame) -> Array:
        """Standard deviation of log latency that follows from that of the costs, shape (n_rows,)."""
        share = slopes(self._calls(rows)[3], self.logs, self.overlap_)
        return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", share, self.covariance, share)))

    def unknown(self, rows: pd.DataFrame) -> list[list[str]]:
        """For each row the groups of operators in it that no GPU was measured with."""
        seen = {GROUPS.index(name) for name in self.seen}
        return [sorted({GROUPS[int(g)] for g in own["group"]} - {GROUPS[g] for g in seen}) for own in rows[KERNELS]]

    def lacking(self) -> list[str]:
        """Nothing: a few cells tell a host and a card, never single groups."""
        return []

    def _calls(self, rows: pd.DataFrame) -> tuple[Calls, Array, Array, Array]:
        own = list(rows[KERNELS])
        if self._last is None or list(map(id, self._last[0])) != list(map(id, own)):  # held, so that none is another
            calls = Calls.of(own, [self.can] * len(rows))
            self._last = own, (calls, *self.efficiency.factors(calls), columns(calls, self.efficiency))
        return self._last[1]
