"""Prior: what the costs of operators are likely to be before a platform was measured, and how they move together.

Costs are held in log space, where a factor of two up is as far as one down and no cost is ever negative. They move
together on levels: all of them (a faster machine), those of a term (the host, computing, memory), those of a class
(products of matrices, convolutions), those of a group of operators, and each by itself. A level has a standard
deviation, which is learnt from how machines differ; a cost that few rows speak of stays near its group, a group near
its class. So a column that four rows hold cannot ruin a family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ftax_model.modeling.estimators.law import Array
from ftax_model.tracing import features

COSTS = ("intercept", *features.SUMS)
"""What has a cost: a call, and the columns that sum over operators."""

HOSTS = 1 + len(features.HOST)
"""How many of these, from the first, make the time of the host."""

_CLASSES: Mapping[str, str] = {
    **dict.fromkeys(("linear", "matmul", "attention", "recurrent", "fourier"), "products"),
    **dict.fromkeys(
        ("pointwise-convolution", "dense-convolution", "plain-convolution", "grouped-convolution"), "convolutions"
    ),
    "depthwise-convolution": "depthwise",
    **dict.fromkeys(("traffic", "weights"), "traffic"),
}  # fmt: skip
"""Classes of groups; those not named stream what they read."""


def class_of(cost: str) -> str:
    """The class of a cost, one of `COSTS`: ``host``, ``products``, ``convolutions``, ``depthwise``, ``streaming``,
    ``traffic``.

    >>> class_of("linear.ops"), class_of("linear.macs"), class_of("softmax.rows")
    ('host', 'products', 'streaming')
    """
    if COSTS.index(cost) < HOSTS:
        return "host"
    return _CLASSES.get(cost.split(".")[0], "streaming")


def term_of(cost: str) -> str:
    """The term of a cost: ``host``, ``computing`` or ``memory``.

    >>> term_of("linear.ops"), term_of("linear.macs"), term_of("softmax.rows")
    ('host', 'computing', 'memory')
    """
    own = class_of(cost)
    return own if own == "host" else "memory" if own in ("streaming", "traffic") else "computing"


def group_of(cost: str) -> str:
    """The group of operators of a cost; the host's of a group is another than the device's."""
    own = cost.split(".")[0]
    return f"host:{own}" if COSTS.index(cost) < HOSTS else own


@dataclass(frozen=True)
class Spread:
    """Standard deviations of log costs, by level."""

    everything: float
    of_term: float
    of_class: float
    of_group: float
    own: float

    @property
    def _levels(self) -> Array:
        return np.array([self.everything, self.of_term, self.of_class, self.of_group, self.own])

    def covariance(self, other: Spread | None = None) -> Array:
        """Of the logarithms of `COSTS`, shape (n_costs, n_costs); with those of another spread that moves alike."""
        levels = zip(self._levels, (other or self)._levels, _MEMBERS, strict=True)
        return np.asarray(sum(one * another * members @ members.T for one, another, members in levels))

    def learnt(self, moves: Sequence[Array], covariances: Sequence[Array], *, begin: Spread, trust: float) -> Spread:
        """The spread after several machines were seen to differ from their mean by ``moves``, each so uncertain.

        One step of expectation and maximisation for the variances of the levels (Dempster, Laird and Rubin, 1977);
        ``begin``, what was held before any machine was seen, counts as ``trust`` machines. Of one machine nothing
        follows.
        """
        count = len(moves)
        if count < 2:
            return self
        precision = np.linalg.inv(self.covariance())
        found = []
        for deviation, first, members in zip(self._levels, begin._levels, _MEMBERS, strict=True):
            gain = deviation**2 * members.T @ precision
            rest = deviation**2 * np.eye(members.shape[1]) - deviation**2 * gain @ members
            seen = sum(float(((gain @ move) ** 2).sum()) for move in moves) * count / (count - 1)
            still_open = sum(float(np.trace(rest + gain @ one @ gain.T)) for one in covariances)
            mean = (seen + still_open) / members.shape[1]
            found.append(math.sqrt((trust * first**2 + mean) / (trust + count)))
        return Spread(*found)


@dataclass(frozen=True)
class Prior:
    """Mean and covariance of the logarithms of `COSTS` (seconds per unit)."""

    mean: Array
    covariance: Array

    def moved(self, by: Array, spread: Spread) -> Prior:
        """Another platform's, whose log costs differ by about so much."""
        return Prior(self.mean + by, self.covariance + spread.covariance())


CLASSES = tuple(sorted({class_of(cost) for cost in COSTS}))
"""All classes, in the order of `by_class`."""


def by_class(moves: Array) -> Array:
    """The mean of what costs are moved by, class by class, shape (n_classes,)."""
    members = _MEMBERS[2]
    return np.asarray(moves @ members / members.sum(axis=0))


IGNORANCE = Spread(1.0, 1.0, 1.7, 0.7, 0.7)
"""Of a platform like none that is known."""


def ignorance(peak_macs: float | None = None) -> Prior:
    """What holds of any device: a dispatch takes microseconds, a byte not more than a disk takes for it.

    The means are those of a core of a CPU, or follow from ``peak_macs``, multiply-accumulates per second; the spread is
    so wide that a hundred rows have the say.
    """
    faster = 1.0 if peak_macs is None else max(peak_macs / _CORE_MACS, 1.0)
    mean = np.array([_usual(name) / (1.0 if at < HOSTS else faster) for at, name in enumerate(COSTS)])
    return Prior(np.log(mean), IGNORANCE.covariance())


def class_shift(factor: float, classes: tuple[str, ...]) -> Array:
    """The log costs of these classes move by a factor, the others stay, shape (n_costs,)."""
    own = np.array([class_of(cost) in classes for cost in COSTS])
    return np.where(own, math.log(factor), 0.0)


_CORE_MACS = 80e9  # of the core that the means are of, by its data sheet
_UNITS: Mapping[str, float] = {"rows": 5e-9, "images": 5e-8, "matrices": 1e-7, "steps": 1e-6, "vector_macs": 2.5e-11}


def _usual(cost: str) -> float:
    group, _, quantity = cost.partition(".")
    if cost == "intercept":
        return 5e-6
    if quantity == "ops":
        return 1.5e-6
    if group in ("traffic", "weights"):
        return 1 / 60e9
    return _UNITS.get(quantity, 1 / _CORE_MACS if quantity.endswith("macs") else 1 / 40e9)


def _members(labels: list[str]) -> Array:
    own = np.array(labels)
    return np.asarray(own[:, None] == np.unique(own)[None, :], dtype=float)


_MEMBERS = (
    np.ones((len(COSTS), 1)),
    *(_members([of(cost) for cost in COSTS]) for of in (term_of, class_of, group_of)),
    np.eye(len(COSTS)),
)
"""Which cost belongs to what on each level, shapes (n_costs, n_members)."""
