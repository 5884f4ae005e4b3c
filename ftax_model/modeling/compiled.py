"""Compiled: from hyperparameters to a latency in one pass of machine code, equal to what `LatencyPredictor` says.

The polynomials of an architecture give the numbers of its operators, the arithmetic of `ftax_model.tracing.features`
their columns, and a fit of a platform the seconds: law, costs, trees and how far all that may be off. numba compiles
the whole of it once and keeps the machine code beside this file or in the user's cache; a row then takes microseconds.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftax_model.modeling import limits
from ftax_model.operators import FEATURES
from ftax_model.tracing import features, kernels, numbers
from ftax_model.tracing.polynomials import BATCH_SIZE, Polynomials
from ftax_model.values import covariance, within

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("framework-bound", "compute-bound", "memory-bound", "outside")
"""Kinds of rows, by which errors differ."""

TOLD = ("latency_s", "host_s", "device_s", "expected", "kind", "unknown_share")
"""What is told of a row: seconds; the absolute log ratio to be expected; which of `KINDS`; the share of bytes moved by
operators of unknown cost."""

_SUMS, _HOST, _SHAPES = len(features.SUMS), len(features.HOST), len(features.SHAPES)
_COLUMNS, _SCRATCH, _NUMBERS = len(features.COLUMNS), features.SCRATCH, len(numbers.NUMBERS)
_FEATURES, _GROUPS = len(FEATURES), len(features.NAMES)
_F_MACS, _F_PARAMS, _F_DEPTH, _F_OPS, _F_ACTIVATIONS, _F_BYTES, _F_WEIGHTS = range(_FEATURES)
_KERNEL = len(kernels.COLUMNS)
(
    _K_GROUP, _K_MACS, _K_BYTES, _K_KERNEL, _K_ELEMENTS, _K_READ, _K_BLOCKS, _K_STEPS, _K_SERIAL,
) = (
    kernels.COLUMNS.index(name)
    for name in ("group", "macs", "bytes", "kernel", "elements", "read", "blocks", "steps", "serial_bytes")
)  # fmt: skip
_NOISE, _TINY, _LEAST = 0.16, 1e-12, 2.2250738585072014e-308


class Program(NamedTuple):
    """Polynomials as arrays: of term t of polynomial p, ``above[t] / below[t]`` times variables to their powers."""

    polynomial: Ints  # first term of each, and the end
    above: Array
    below: Array
    term: Ints  # first factor of each, and the end
    variable: Ints
    power: Ints
    steps: Ints  # (n, 3): variable, plus, over
    form: Ints
    kernel_form: Ints
    kind: Array
    known: Ints
    base: Array  # (classes, NUMBERS): what is constant
    varying: Ints  # first of each class, and the end
    slot: Ints
    value: Ints
    kernels: Ints  # (n, 5): own, before, after, place, polynomial of the count
    scalars: Ints  # polynomials of the parameters and the depth, variable of the batch or -1, the batch if it is fixed
    itemsize: float


def program(found: Polynomials, *, itemsize: int) -> Program:
    """The arrays of polynomials."""
    terms = [term for own in found.terms for term in own]
    factors = [factor for _, _, powers in terms for factor in powers]
    base = np.zeros((len(found.classes), _NUMBERS))
    for at, one in enumerate(found.classes):
        for slot, value in one.values:
            base[at, slot] = value
    varying = [pair for one in found.classes for pair in one.varying]
    batch = found.variables.index(BATCH_SIZE) if BATCH_SIZE in found.variables else -1
    return Program(
        polynomial=_starts(len(own) for own in found.terms),
        above=np.array([term[0] for term in terms], dtype=float),
        below=np.array([term[1] for term in terms], dtype=float),
        term=_starts(len(term[2]) for term in terms),
        variable=_ints(factor[0] for factor in factors),
        power=_ints(factor[1] for factor in factors),
        steps=np.array(found.steps, dtype=np.int64).reshape(-1, 3),
        form=_ints(one.form for one in found.classes),
        kernel_form=_ints(one.kernel for one in found.classes),
        kind=np.array([one.kind for one in found.classes], dtype=float),
        known=_ints(one.known for one in found.classes),
        base=base,
        varying=_starts(len(one.varying) for one in found.classes),
        slot=_ints(pair[0] for pair in varying),
        value=_ints(pair[1] for pair in varying),
        kernels=np.array(
            [(*vars(one).values(), count) for one, count in zip(found.kernels, found.counts, strict=True)],
            dtype=np.int64,
        ).reshape(-1, 5),
        scalars=_ints((found.params, found.depth, batch, found.fixed.get(BATCH_SIZE, 0))),
        itemsize=float(itemsize),
    )


def _ints(values: Any) -> Ints:
    return np.array(list(values), dtype=np.int64)


def _starts(counts: Any) -> Ints:
    return np.concatenate([[0], np.cumsum(list(counts))]).astype(np.int64)


class Forest(NamedTuple):
    """The nodes of trees one after another; a leaf is its own child."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    value: NDArray[np.float32]
    roots: Ints


class Compiled(NamedTuple):
    """A fit of a CPU as arrays (`ftax_model.modeling.platforms.flat`).

    ``law`` has shape (3, FEATURES): costs on the host, on the device, and on the device without MACs. ``costs`` and
    ``reference`` begin with the intercept; they are empty where the law is the answer.
    """

    law: Array
    constants: Array  # of the law: intercept, overlap
    costs: Array
    reference: Array
    overlap: float
    traffic: Array
    member: Ints
    part: Ints  # of each column of DEVICE: group * 2 + (0 for bytes, 1 for MACs), -1 for neither
    seen: Ints
    covariance: Array
    trees: Forest
    scale: Forest
    domain: Array  # (2, FEATURES)
    shapes: Array  # (2, SHAPES)
    shaped: Ints  # group of each of SHAPES
    settings: Array  # whether groups never measured are told of; FAR; SLIGHT; ODD_OCTAVES; the part that shapes have


class Card(NamedTuple):
    """A fit of a GPU under its host as arrays (`ftax_model.modeling.platforms.flat`).

    ``costs`` are those of `ftax_model.modeling.estimators.kernels`, ``hosts`` of them on the host; ``rates`` what the
    card can do, by peak, convolution, vector, bandwidth, multiprocessors and cache; ``logarithms`` and ``host_columns``
    say what trees see of a kernel.
    """

    costs: Array
    hosts: int
    rates: Array
    logarithms: Ints
    host_columns: Ints
    overlap: float
    seen: Ints
    covariance: Array
    host: Forest
    device: Forest
    scale: Forest
    domain: Array
    settings: Array  # FAR; seconds of a step; bytes per second of a serial block; groups: depthwise


_WHOLE = ("member", "part", "seen", "shaped", "hosts", "logarithms", "host_columns")
_OF_FOREST = (np.int32, np.int32, np.int32, np.float32, np.float32, np.int64)


def light(fit: Compiled | Card) -> Compiled | Card:
    """A fit without what tells how far it may be off."""
    found = fit._replace(scale=fit.scale._replace(roots=fit.scale.roots[:0]))
    return found._replace(covariance=np.zeros((0, 0))) if isinstance(found, Compiled) else found


def check(fit: Compiled | Card) -> None:
    """Raise `ValueError` where the arrays of a fit, as a file holds them, are such that compiled code leaves them."""
    of_cpu = isinstance(fit, Compiled)
    if isinstance(fit, Compiled):
        size, seen = _SUMS + 1, _GROUPS
        shapes: list[tuple[Any, set[tuple[int, ...]]]] = [
            (fit.law, {(3, _FEATURES)}),
            (fit.constants, {(2,)}),
            (fit.costs, {(0,), (size,)}),
            (fit.reference, {(len(fit.costs),)}),
            (fit.traffic, {(_SUMS,)}),
            (fit.member, {(_SUMS,)}),
            (fit.part, {(_SUMS - _HOST,)}),
            (fit.seen, {(_GROUPS if len(fit.costs) else 0,)}),
            (fit.shapes, {(2, _SHAPES)}),
            (fit.shaped, {(_SHAPES,)}),
            (fit.settings, {(5,)}),
        ]
        ranges = [(fit.member, _GROUPS + 2), (fit.shaped, _GROUPS), (fit.part + 1, 2 * _GROUPS + 1)]
        forests = [(fit.trees, _GROUPS + 11 + _SHAPES), (fit.scale, _GROUPS + 11 + _SHAPES)]
    else:
        size, seen = 2 * len(kernels.GROUPS) + 2, len(kernels.GROUPS)
        shapes = [
            (fit.costs, {(size,)}),
            (fit.rates, {(6,)}),
            (fit.logarithms, {(_KERNEL,)}),
            (fit.seen, {(seen,)}),
            (fit.settings, {(4,)}),
        ]
        ranges = [(fit.host_columns, _KERNEL)]
        forests = [(fit.host, len(fit.host_columns)), (fit.device, _KERNEL + 11), (fit.scale, size + 1)]
    shapes += [(fit.domain, {(2, _FEATURES)}), (fit.covariance, {(0, 0), (size, size)} if of_cpu else {(size, size)})]
    good = [own.shape in allowed and own.dtype.kind in "fi" for own, allowed in shapes]
    good += [bool(((own >= 0) & (own < end)).all()) for own, end in ranges]
    good += [
        np.ndim(fit.overlap) == 0,
        isinstance(fit, Compiled) or (np.ndim(fit.hosts) == 0 and fit.hosts == 1 + seen),
    ]
    if not all(good) or not all(_is_typed(name, own) for name, own in fit._asdict().items()):
        raise ValueError("arrays that are no fit")
    for forest, columns in forests:
        nodes = dict(zip(Forest._fields[:-1], forest[:-1], strict=True))
        limits.check_trees(nodes, forest.roots, features=columns, ensembles=2 * limits.MOST_ENSEMBLES)
    _check_numbers(fit)


def _check_numbers(fit: Compiled | Card) -> None:
    """Raise `ValueError` where the numbers of a fit, whose arrays have their shapes, say nothing of any machine."""
    hosts = _HOST + 1 if isinstance(fit, Compiled) else fit.hosts
    within(np.array(fit.overlap), "the overlap", limits.OVERLAP)
    within(fit.costs[:hosts], "costs of dispatches", limits.DISPATCH_S)
    if len(fit.covariance):
        covariance(fit.covariance, "costs", most=limits.VARIANCE)
    for low, high in (fit.domain, fit.shapes) if isinstance(fit, Compiled) else (fit.domain,):
        if not (low <= high).all():
            raise ValueError("ranges that run down")
    within(fit.settings, "settings", limits.AMOUNT)
    if isinstance(fit, Compiled):
        within(fit.costs[hosts:], "costs", limits.UNIT_S)
        within(fit.reference[:hosts], "costs of dispatches", limits.DISPATCH_S)
        within(fit.reference[hosts:], "costs", limits.UNIT_S)
        within(fit.law, "the law", limits.LAW_S)
        within(fit.constants[:1], "the law", limits.LAW_S)
        within(fit.constants[1:], "the overlap", limits.OVERLAP)
        within(fit.traffic, "shares of traffic", (0.0, 1.0))
    else:
        within(fit.costs[hosts:-1], "costs", limits.ROOFLINES)
        within(fit.costs[-1:], "costs of kernels", limits.DISPATCH_S)
        within(fit.rates, "what a card does", limits.RATE)
        within(fit.settings[1:3], "what a step takes", (1e-9, limits.RATE[1]))


def _is_typed(name: str, values: Any) -> bool:
    """Whether values are of the type that compiled code was made for."""
    if isinstance(values, Forest):
        nodes: list[Any] = [*values]
        return all(own.ndim == 1 for own in nodes) and [own.dtype for own in nodes] == [*_OF_FOREST]
    return bool(np.asarray(values).dtype == (np.int64 if name in _WHOLE else np.float64))


Told = Callable[[Array, Program, Any, Array], None]


@cache
def predict() -> Told:
    """The compiled function: points (n, variables), a program and a fit in; `TOLD` (n, len(TOLD)) out.

    Where a number of an operator is no whole number at a point, so that no such model can be, all is nan there, unless
    the fit comes with ``smooth`` points: see `smooth`.
    """
    return _predicting(_version(), whole=True)


@cache
def smooth() -> Told:
    """The same of points between whole numbers, for slopes."""
    return _predicting(_version(), whole=False)


@cache
def predict_columns() -> Callable[[Array, Array, Array, Any, Array], None]:
    """The compiled function: columns (n, COLUMNS), features and batch sizes, the share unknown in; `TOLD` out."""
    return _judging(_version())


@cache
def predict_sums() -> Callable[[Array, float, Any, Array], None]:
    """The compiled function: vectors (n, LENGTH) of `ftax_model.tracing.choices`, the batch size and a fit of a CPU in;
    `TOLD` out.
    """
    return _summing(_version())


@cache
def predict_on_card() -> Told:
    """As `predict`, of a `Card`."""
    return _predicting_on_card(_version(), whole=True)


@cache
def smooth_on_card() -> Told:
    """As `smooth`, of a `Card`."""
    return _predicting_on_card(_version(), whole=False)


@cache
def predict_kernels() -> Callable[[Array, Array, Array, float, Any, Array], None]:
    """The compiled function: kernels (n, kernels.COLUMNS) of one call, their counts, features, the share unknown and a
    `Card` in; `TOLD` out.
    """
    return _judging_on_card(_version())


@cache
def describe() -> Callable[[Array, Program, Array, Array], None]:
    """The compiled function: points and a program in; `FEATURES` and columns of operators out."""
    return _describing(_version())


def _version() -> int:
    """Of the code that is compiled: another one is compiled again."""
    files = (Path(str(one.__file__)) for one in (features, kernels, numbers))
    return zlib.crc32(b"".join(file.read_bytes() for file in (*files, Path(__file__))))


@cache
def numba() -> Any:
    """numba, with the arithmetic on numbers made known to it."""
    import numba
    from numba.extending import register_jitable

    plain: list[Any] = [numbers.weight_bytes, numbers.taken]
    plain += [features.resolved, features._is_plain, features.add, features.finish, features.describe]
    plain += [features._describe_product, features._describe_convolution, features._up]
    plain += [kernels.resolved, kernels.describe, kernels.place, kernels._rows]
    plain += [_values, _is_whole, _numbers_of, _rows, _features_of, _judge, _sum, _shares, _compose, walk, _latency]
    plain += [_regime, _unseen, _odd_shapes, _variance, _batch, _kernel, _judge_card, _far]
    for own in plain:
        register_jitable(own)
    return numba


def _predicting(version: int, *, whole: bool) -> Told:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def told(points: Any, program: Any, fit: Any, out: Any) -> None:
        if version < 0:  # named here, so that machine code of another version is not taken for this one's
            return
        values, row = np.zeros(len(program.polynomial) - 1), np.zeros(_NUMBERS)
        counts, own = np.zeros(len(program.form)), np.zeros(points.shape[1] + len(program.steps))
        found, scratch, seen = np.zeros(_COLUMNS), np.zeros(_SCRATCH), np.zeros(_FEATURES)
        made, slopes, at = np.zeros(_GROUPS + 3), np.zeros(_SUMS + 1), np.zeros(_SUMS + 1, dtype=np.int64)
        composition, parts = np.zeros(_GROUPS + 11 + _SHAPES, dtype=np.float32), np.zeros((_GROUPS, 2))
        for n in range(len(points)):
            _values(points[n], program, own, values)
            if whole and not _is_whole(values):
                out[n] = np.nan
                continue
            share = _rows(program, values, counts, row, found, scratch, seen)
            batch = _batch(points[n], program)
            _judge(found, seen, batch, share, fit, made, composition, slopes, at, parts, out[n])

    return told  # type: ignore[no-any-return]


def _judging(version: int) -> Callable[[Array, Array, Array, Any, Array], None]:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def told(found: Any, seen: Any, rest: Any, fit: Any, out: Any) -> None:
        if version < 0:
            return
        made, slopes, at = np.zeros(_GROUPS + 3), np.zeros(_SUMS + 1), np.zeros(_SUMS + 1, dtype=np.int64)
        composition, parts = np.zeros(_GROUPS + 11 + _SHAPES, dtype=np.float32), np.zeros((_GROUPS, 2))
        for n in range(len(found)):
            _judge(found[n], seen[n], rest[n, 0], rest[n, 1], fit, made, composition, slopes, at, parts, out[n])

    return told  # type: ignore[no-any-return]


def _summing(version: int) -> Callable[[Array, float, Any, Array], None]:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def told(sums: Any, batch: float, fit: Any, out: Any) -> None:
        if version < 0:
            return
        found, scratch, seen = np.zeros(_COLUMNS), np.zeros(_SCRATCH), np.zeros(_FEATURES)
        made, slopes, at = np.zeros(_GROUPS + 3), np.zeros(_SUMS + 1), np.zeros(_SUMS + 1, dtype=np.int64)
        composition, parts = np.zeros(_GROUPS + 11 + _SHAPES, dtype=np.float32), np.zeros((_GROUPS, 2))
        for n in range(len(sums)):
            found[:] = sums[n, :_COLUMNS]
            scratch[_SCRATCH - _GROUPS :] = sums[n, _COLUMNS : _COLUMNS + _GROUPS]
            seen[:] = sums[n, _COLUMNS + _GROUPS : _COLUMNS + _GROUPS + _FEATURES]
            features.finish(seen[_F_WEIGHTS], found, scratch)
            share = sums[n, -1] / max(seen[_F_BYTES] + seen[_F_WEIGHTS], 1.0)
            _judge(found, seen, batch, share, fit, made, composition, slopes, at, parts, out[n])

    return told  # type: ignore[no-any-return]


def _predicting_on_card(version: int, *, whole: bool) -> Told:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def told(points: Any, program: Any, card: Any, out: Any) -> None:
        if version < 0:
            return
        values, own = np.zeros(len(program.polynomial) - 1), np.zeros(points.shape[1] + len(program.steps))
        rows, groups = np.zeros((len(program.form), _NUMBERS)), np.zeros(len(program.form), dtype=np.int64)
        counts, seen, scratch = np.zeros(len(program.form)), np.zeros(_FEATURES), np.zeros(_SCRATCH)
        kernel, amounts, times = np.zeros(_KERNEL), np.zeros(len(card.costs)), np.zeros(3)
        on_host = np.zeros(len(card.host_columns), dtype=np.float32)
        on_device = np.zeros(_KERNEL + 11, dtype=np.float32)
        composition, slopes = np.zeros(len(card.costs) + 1, dtype=np.float32), np.zeros(len(card.costs))
        for n in range(len(points)):
            _values(points[n], program, own, values)
            if whole and not _is_whole(values):
                out[n] = np.nan
                continue
            share = _numbers_of(program, values, counts, rows, seen)
            for at in range(len(groups)):
                groups[at] = kernels.resolved(program.kernel_form[at], rows[at])
            amounts[:], times[:] = 0.0, 0.0
            for at in range(len(program.kernels)):
                one, before, after, place, count = program.kernels[at]
                if values[count] == 0.0:
                    continue
                kernels.describe(
                    groups[one], program.kind[one], program.form[one], rows[one], program.itemsize, scratch, kernel
                )
                kernels.place(
                    place,
                    groups[before] if before >= 0 else -1,
                    rows[before],
                    rows[one],
                    groups[after] if after >= 0 else -1,
                    rows[after],
                    kernel,
                )
                _kernel(kernel, values[count], card, on_host, on_device, amounts, times)
            _judge_card(seen, share, card, amounts, times, composition, slopes, out[n])

    return told  # type: ignore[no-any-return]


def _judging_on_card(version: int) -> Callable[[Array, Array, Array, float, Any, Array], None]:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def told(table: Any, counts: Any, seen: Any, share: float, card: Any, out: Any) -> None:
        if version < 0:
            return
        amounts, times = np.zeros(len(card.costs)), np.zeros(3)
        on_host = np.zeros(len(card.host_columns), dtype=np.float32)
        on_device = np.zeros(_KERNEL + 11, dtype=np.float32)
        composition, slopes = np.zeros(len(card.costs) + 1, dtype=np.float32), np.zeros(len(card.costs))
        for at in range(len(table)):
            _kernel(table[at], counts[at], card, on_host, on_device, amounts, times)
        _judge_card(seen, share, card, amounts, times, composition, slopes, out)

    return told  # type: ignore[no-any-return]


def _describing(version: int) -> Callable[[Array, Program, Array, Array], None]:
    @numba().njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
    def described(points: Any, program: Any, seen: Any, found: Any) -> None:
        if version < 0:
            return
        values, row = np.zeros(len(program.polynomial) - 1), np.zeros(_NUMBERS)
        counts, own = np.zeros(len(program.form)), np.zeros(points.shape[1] + len(program.steps))
        scratch = np.zeros(_SCRATCH)
        for n in range(len(points)):
            _values(points[n], program, own, values)
            _rows(program, values, counts, row, found[n], scratch, seen[n])

    return described  # type: ignore[no-any-return]


# What follows is compiled.


def _values(point: Any, program: Any, own: Any, values: Any) -> None:
    """The value of each polynomial at a point; exact for whole numbers below 2^53."""
    own[: len(point)] = point
    for at in range(len(program.steps)):
        variable, plus, over = program.steps[at]
        own[len(point) + at] = math.floor((point[variable] + plus) / over)
    for at in range(len(values)):
        total, whole, divisor = 0.0, 0.0, 1.0
        for term in range(program.polynomial[at], program.polynomial[at + 1]):
            above, below = program.above[term], program.below[term]
            divides = False
            for factor in range(program.term[term], program.term[term + 1]):
                value, power = own[program.variable[factor]], program.power[factor]
                for _ in range(power):
                    above *= value
                for _ in range(-power):
                    below *= value
                divides |= power < 0
            if divides:
                total += above / below
            else:  # summed before they are divided, for thirds add up to no whole number
                whole, divisor = whole + above, below
        values[at] = total + whole / divisor


def _is_whole(values: Any) -> bool:
    """Whether all of what is told of operators are whole numbers above or at zero, as those of a model are."""
    for value in values:  # noqa: SIM110
        if value < 0 or value != math.floor(value):
            return False
    return True


def _batch(point: Any, program: Any) -> float:
    """The batch size of a point."""
    at = program.scalars[2]
    return float(point[at]) if at >= 0 else float(program.scalars[3])


def _far(seen: Any, domain: Any, far: float) -> bool:
    """Whether a feature is far outside of what was measured."""
    for at in range(_FEATURES):  # noqa: SIM110
        if seen[at] < domain[0, at] / far or seen[at] > domain[1, at] * far:
            return True
    return False


def _judge(
    found: Any,
    seen: Any,
    batch: float,
    share: float,
    fit: Any,
    made: Any,
    composition: Any,
    slopes: Any,
    at: Any,
    parts: Any,
    out: Any,
) -> None:
    """Put `TOLD` of a call, whose columns and features are found, into its place."""
    outside = share > 0 or _far(seen, fit.domain, fit.settings[1])
    if not len(fit.costs):
        host, device, memory = fit.constants[0], 0.0, 0.0
        for one in range(_FEATURES):
            if fit.law[0, one] > 0 or fit.law[1, one] > 0:  # others may be nan: they were not counted
                host += fit.law[0, one] * seen[one]
                device += fit.law[1, one] * seen[one]
                memory += fit.law[2, one] * seen[one]
        out[0], out[3] = _latency(host, device, fit.constants[1]), 1.0
    else:
        host, device, memory = _sum(found, fit.costs, fit)
        if len(fit.trees.roots) or len(fit.scale.roots):
            _compose(found, seen, batch, fit, made, composition)
        outside |= fit.settings[0] > 0 and _unseen(found, fit, parts)
        outside |= _odd_shapes(found, fit, made)
        deviation = math.sqrt(_variance(found, host, device, fit, slopes, at)) if len(fit.covariance) else 0.0
        miss = math.exp(walk(fit.scale, composition)) if len(fit.scale.roots) else _NOISE
        factor = math.exp(walk(fit.trees, composition)) if len(fit.trees.roots) else 1.0
        host, device, memory = factor * host, factor * device, factor * memory
        out[0], out[3] = _latency(host, device, fit.overlap), math.hypot(miss, deviation)
    out[1], out[2], out[5] = host, device, share
    out[4] = 3 if outside else _regime(host, device, memory)


def _numbers_of(program: Any, values: Any, counts: Any, rows: Any, seen: Any) -> float:
    """Put the numbers of all classes, their counts and the features of a call into their places; returns the share that
    is not known.
    """
    counts[:], seen[:] = 0.0, 0.0
    for at in range(len(program.kernels)):
        counts[program.kernels[at, 0]] += values[program.kernels[at, 4]]
    unknown = 0.0
    for at in range(len(counts)):
        row = rows[at]
        row[:] = program.base[at]
        for one in range(program.varying[at], program.varying[at + 1]):
            row[program.slot[one]] = values[program.value[one]]
        weights = counts[at] * numbers.weight_bytes(row)
        _features_of(row, counts[at], weights, seen)
        if not program.known[at]:
            unknown += counts[at] * row[numbers.ACTIVATION_BYTES] + weights
    seen[_F_PARAMS] = values[program.scalars[0]] if program.scalars[0] >= 0 else np.nan
    seen[_F_DEPTH] = values[program.scalars[1]]
    return float(unknown / max(seen[_F_BYTES] + seen[_F_WEIGHTS], 1.0))


def _rows(program: Any, values: Any, counts: Any, row: Any, found: Any, scratch: Any, seen: Any) -> float:
    """Put the columns of operators and the features of a call in their places; returns the share that is not known."""
    counts[:], found[:], scratch[:], seen[:] = 0.0, 0.0, 0.0, 0.0
    for at in range(len(program.kernels)):
        counts[program.kernels[at, 0]] += values[program.kernels[at, 4]]
    weights, unknown = 0.0, 0.0
    for at in range(len(counts)):
        count = counts[at]
        if count == 0.0:
            continue
        row[:] = program.base[at]
        for one in range(program.varying[at], program.varying[at + 1]):
            row[program.slot[one]] = values[program.value[one]]
        own = features.add(program.form[at], row, count, program.itemsize, found, scratch)
        weights += own
        _features_of(row, count, own, seen)
        if not program.known[at]:
            unknown += count * row[numbers.ACTIVATION_BYTES] + own
    features.finish(weights, found, scratch)
    seen[_F_PARAMS] = values[program.scalars[0]] if program.scalars[0] >= 0 else np.nan
    seen[_F_DEPTH] = values[program.scalars[1]]
    return float(unknown / max(seen[_F_BYTES] + seen[_F_WEIGHTS], 1.0))


def _features_of(row: Any, count: float, weights: float, seen: Any) -> None:
    """Add operators of one class to the features of a trace."""
    seen[_F_MACS] += count * row[numbers.MACS]
    seen[_F_OPS] += count
    seen[_F_ACTIVATIONS] += count * row[numbers.ELEMENTS] if row[numbers.MACS] > 0 else 0.0
    seen[_F_BYTES] += count * row[numbers.ACTIVATION_BYTES]
    seen[_F_WEIGHTS] += weights


def _sum(found: Any, costs: Any, fit: Any) -> tuple[float, float, float]:
    """Seconds of the host, of the device, and what of the latter is traffic."""
    host, device, memory = costs[0], 0.0, 0.0
    for at in range(_HOST):
        host += found[at] * costs[1 + at]
    for at in range(_HOST, _SUMS):
        seconds = found[at] * costs[1 + at]
        device += seconds
        memory += seconds * fit.traffic[at]
    return host, device, memory


def _shares(found: Any, costs: Any, fit: Any, made: Any) -> float:
    """Put the share of each group in the sum of host and device into its place; returns the sum."""
    made[:] = 0.0
    total = costs[0]
    for at in range(_SUMS):
        seconds = found[at] * costs[1 + at]
        made[fit.member[at]] += seconds
        total += seconds
    made[-1] = costs[0]
    for at in range(len(made)):
        made[at] /= total + _TINY
    return float(total)


def _compose(found: Any, seen: Any, batch: float, fit: Any, made: Any, into: Any) -> None:
    """What a call is made of, by the costs of the reference, as `ftax_model.modeling.estimators.correction` says."""
    costs = fit.reference
    total = max(_shares(found, costs, fit, made), _LEAST)
    host, _, _ = _sum(found, costs, fit)
    place = len(made)
    into[:place] = made
    into[place], into[place + 1] = host / total, math.log2(total)
    into[place + 2] = math.log2(total / max(seen[_F_OPS], 1.0))
    into[place + 3], into[place + 4] = math.log2(1 + seen[_F_OPS]), math.log2(1 + seen[_F_MACS])
    into[place + 5], into[place + 6] = math.log2(1 + seen[_F_BYTES]), math.log2(1 + seen[_F_WEIGHTS])
    into[place + 7] = math.log2(1 + batch)
    into[place + 8 :] = found[_SUMS:]


def walk(forest: Any, row: Any) -> float:
    """What trees say of a row."""
    total = 0.0
    for root in forest.roots:
        at = root
        while forest.left[at] != at:
            at = forest.right[at] if row[forest.feature[at]] > forest.threshold[at] else forest.left[at]
        total += forest.value[at]
    return float(total)


def _latency(host: float, device: float, overlap: float) -> float:
    """Seconds of a call, by the law."""
    longer, shorter = max(host, device), min(host, device)
    if longer <= 0:
        return 0.0
    return float(longer * (1 + (shorter / longer) ** overlap) ** (1 / overlap))


def _regime(host: float, device: float, memory: float) -> int:
    if host >= device:
        return 0
    return 2 if 2 * memory > device else 1


def _unseen(found: Any, fit: Any, parts: Any) -> bool:
    """Whether a call has operators of a group that no row of the fit had, which do more than a slight part of it."""
    parts[:] = 0.0
    total_bytes, total_macs = 0.0, 0.0
    for at in range(_SUMS - _HOST):
        own, value = fit.part[at], found[_HOST + at]
        if own >= 0:
            parts[own // 2, own % 2] += value
            total_bytes += value * (1 - own % 2)
            total_macs += value * (own % 2)
    for group in range(_GROUPS):
        largest = max(parts[group, 0] / max(total_bytes, 1.0), parts[group, 1] / max(total_macs, 1.0))
        if found[group] > 0 and not fit.seen[group] and largest > fit.settings[2]:
            return True
    return False


def _odd_shapes(found: Any, fit: Any, made: Any) -> bool:
    """Whether a group of operators takes a part of a call in shapes that were not measured."""
    far = False
    for at in range(_SHAPES):
        value = found[_SUMS + at]
        far |= value < fit.shapes[0, at] - fit.settings[3] or value > fit.shapes[1, at] + fit.settings[3]
    if not far:
        return False
    _shares(found, fit.costs, fit, made)
    for at in range(_SHAPES):
        value = found[_SUMS + at]
        odd = value < fit.shapes[0, at] - fit.settings[3] or value > fit.shapes[1, at] + fit.settings[3]
        if odd and made[fit.shaped[at]] > fit.settings[4]:
            return True
    return False


def _variance(found: Any, host: float, device: float, fit: Any, slopes: Any, at: Any) -> float:
    """Variance of the logarithm of a latency that follows from that of the costs."""
    total = max(_latency(host, device, fit.overlap), 1e-300)
    of_host = min(host / total, 1.0) ** (fit.overlap - 1) / total
    of_device = min(device / total, 1.0) ** (fit.overlap - 1) / total
    slopes[0], at[0], count = fit.costs[0] * of_host, 0, 1
    for column in range(_SUMS):
        if found[column] > 0:
            slopes[count] = found[column] * fit.costs[1 + column] * (of_host if column < _HOST else of_device)
            at[count] = 1 + column
            count += 1
    variance = 0.0
    for one in range(count):
        row = 0.0
        for other in range(count):
            row += fit.covariance[at[one], at[other]] * slopes[other]
        variance += slopes[one] * row
    return float(max(variance, 0.0))


def _kernel(kernel: Any, count: float, card: Any, on_host: Any, on_device: Any, amounts: Any, times: Any) -> None:
    """Add kernels to what a call asks of a host and a card, as `ftax_model.modeling.estimators.kernels` says."""
    peak, convolution, vector, bandwidth, processors, l2 = card.rates
    depthwise = kernel[_K_GROUP] == card.settings[3]
    work = kernel[_K_MACS] / (vector if depthwise else convolution if kernel[_K_KERNEL] > 0 else peak)
    memory = kernel[_K_BYTES] / bandwidth
    roofline = max(max(work, memory), kernel[_K_SERIAL] / card.settings[2]) + kernel[_K_STEPS] * card.settings[1]
    for at in range(_KERNEL):
        on_device[at] = math.log2(1 + kernel[at]) if card.logarithms[at] else kernel[at]
    for at in range(len(on_host)):
        column = card.host_columns[at]
        on_host[at] = math.log2(1 + kernel[column]) if card.logarithms[column] else kernel[column]
    on_device[_KERNEL] = math.log2(max(kernel[_K_READ], 1.0) / max(kernel[_K_ELEMENTS], 1.0))
    on_device[_KERNEL + 1] = math.log2(kernel[_K_BLOCKS] / processors)
    on_device[_KERNEL + 2] = min(max(math.log2((work + _TINY) / (memory + _TINY)), -20.0), 20.0)
    on_device[_KERNEL + 3] = math.log2(max(kernel[_K_BYTES], 1.0) / l2)
    on_device[_KERNEL + 4] = math.log2(1e6 * roofline + 2)
    on_device[_KERNEL + 5], on_device[_KERNEL + 6] = math.log2(peak), math.log2(convolution / peak)
    on_device[_KERNEL + 7], on_device[_KERNEL + 8] = math.log2(bandwidth), math.log2(processors)
    on_device[_KERNEL + 9], on_device[_KERNEL + 10] = math.log2(l2), math.log2(peak / bandwidth)
    host, device = count * math.exp(walk(card.host, on_host)), count * math.exp(walk(card.device, on_device))
    group = int(kernel[_K_GROUP])
    amounts[0] = 1.0
    amounts[1 + group] += host
    amounts[card.hosts + group] += device * roofline
    amounts[-1] += device
    if memory >= work:
        times[0] += device * (card.costs[card.hosts + group] * roofline + card.costs[-1])
    times[1] += count
    if not card.seen[group]:
        times[2] = 1.0


def _judge_card(
    seen: Any, share: float, card: Any, amounts: Any, times: Any, composition: Any, slopes: Any, out: Any
) -> None:
    """Put `TOLD` of a call, whose amounts are found, into its place."""
    host, device = 0.0, 0.0
    for at in range(len(amounts)):
        slopes[at] = amounts[at] * card.costs[at]
        if at < card.hosts:
            host += slopes[at]
        else:
            device += slopes[at]
    total = _latency(host, device, card.overlap)
    of_host = (host / total) ** card.overlap / max(host, 1e-15)
    of_device = (device / total) ** card.overlap / max(device, 1e-15)
    of_hosts = 0.0
    for at in range(len(amounts)):
        slopes[at] *= of_host if at < card.hosts else of_device
        of_hosts += slopes[at] if at < card.hosts else 0.0
    last = len(amounts) - 2
    for at in range(last):
        composition[at] = slopes[1 + at]
    composition[last], composition[last + 1] = of_hosts, math.log2(total)
    composition[last + 2] = math.log2(max(times[1], 1.0))
    variance = 0.0
    for one in range(len(slopes)):
        if slopes[one] > 0:
            for other in range(len(slopes)):
                variance += slopes[one] * card.covariance[one, other] * slopes[other]
    miss = math.exp(walk(card.scale, composition)) if len(card.scale.roots) else _NOISE
    out[0], out[1], out[2] = total, host, device
    out[3] = math.hypot(miss, math.sqrt(max(variance, 0.0)))
    outside = share > 0 or times[2] > 0 or _far(seen, card.domain, card.settings[0])
    out[4], out[5] = 3 if outside else _regime(host, device, times[0]), share
