"""Polynomials: the operators of a registered architecture as functions of its hyperparameters, so that none is traced.

Whatever is told of an operator (`ftax_model.tracing.numbers`) is a polynomial of hyperparameters, batch and input size:
piecewise, for strides round an image down, and one head or one image takes another path. A few traces tell which:
along a line, on which only one variable moves, the degree of each number in it; a sample of points, the coefficients;
other depths, how many operators of each class there are. Others, which were not used, prove it: where a single integer
differs, the polynomials are not used and the workload is traced.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model import architectures
from ftax_model.errors import FtaxError
from ftax_model.operators import Trace
from ftax_model.tracing import features, kernels
from ftax_model.tracing.numbers import NUMBERS, numbers
from ftax_model.tracing.trace import params, trace_workload
from ftax_model.workload import DTYPES, Scalar, Workload

Point = dict[str, int]
"""A value for each variable: hyperparameters that are whole numbers (``widths.2`` in lists), batch and input size."""

Traces = dict[tuple[int, ...], Trace | None]
"""The trace at each point, by its values; ``None`` where none can be taken."""

Sizes = tuple[Mapping[str, Scalar], Point]
"""What of a workload does not vary (words, fractions, lengths of lists), and what does."""

FURTHEST = 4
"""Times the largest value traced, and parts of the smallest, up to which polynomials are believed."""

BATCH_SIZE, INPUT_SIZE = "batch_size", "input_size"

_LINE = 5  # points of a line beside its origin
_SIZES = 14  # the same of the line of input sizes
_FEWEST, _SPARE, _MOST = 16, 6, 160  # points of a sample: at least, more than coefficients, at most
_SMALL = 31  # of a default value, above which sizes are rounded so that others divide them
_ROUND = (840, 240, 96, 48, 24, 8)
_NEAR = (1, -1, 2, -2)  # changes of a depth
_DEEP = 9  # layers below which depths are tried
_ALIKE = 6.0  # layers that it is worth that two variables are not alike
_STARTS = 20  # points to start from that are tried
_FEW = (2, 3, 4, 6)  # layers, heads and the like at which traces are cheap
_EQUAL = 1e-9  # relative difference of floats that are equal
_DENOMINATORS, _REFINED = (64, 1 << 18), 4
_PROOFS = 12  # random points that prove
_PAIRS = 24  # of variables that are tried at one value
_HIGHEST = 4  # degree in one variable
_STRIDES = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 112, 128, 160, 224, 256, 320)
_MANY = 1000  # coefficients that are thought of
_MOST_TRACES = 600  # after which it is given up
_MOST_FIXED = 4  # variables that are held because something is no polynomial in them
_LARGEST = 2**63  # of all that polynomials are made of
_PATIENCE = 400  # moves that are tried for one point


class InexactError(Exception):
    """Some number of some operator is no polynomial that was found; holds the variable to blame, if one is."""

    def __init__(self, why: str, variable: str = "") -> None:
        super().__init__(why)
        self.variable = variable


class TooFewError(InexactError):
    """A polynomial may have more coefficients than there are points."""


Term = tuple[int, int, tuple[tuple[int, int], ...]]
"""Numerator and denominator of a coefficient, and the power of each variable, by its position.

Of a polynomial the denominators of all terms without negative powers are the same.
"""

Polynomial = tuple[Term, ...]


@dataclass(frozen=True)
class Class:
    """Operators of one kind with the same numbers.

    ``values`` holds, by position in `NUMBERS`, those that are constant and not 0, ``varying`` the position of the
    polynomial of the others; ``form`` and ``kernel`` are the forms of columns and of kernels.
    """

    kind: float
    form: int
    kernel: int
    known: int
    values: tuple[tuple[int, float], ...]
    varying: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Kernel:
    """Operators of one class between the same neighbours (by position of their classes, -1 for none), at one place."""

    own: int
    before: int
    after: int
    place: int


@dataclass(frozen=True)
class Polynomials:
    """The operators of one architecture in one region of its hyperparameters.

    ``fixed`` holds the variables that have one value here, ``tied`` those that equal another one; ``variables`` are the
    others, ``steps`` what is derived of them: ``(x + plus) // over``, by the position of x. ``terms`` are the
    polynomials; ``counts`` the position of that which counts each kernel, ``params`` and ``depth`` of theirs;
    ``params`` is -1 where it was not found. ``low`` and ``high`` are the values traced.
    """

    fixed: Mapping[str, int]
    tied: Mapping[str, str]
    variables: tuple[str, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    steps: tuple[tuple[int, int, int], ...]
    terms: tuple[Polynomial, ...]
    classes: tuple[Class, ...]
    kernels: tuple[Kernel, ...]
    counts: tuple[int, ...]
    params: int
    depth: int

    def holds(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Which points the region holds, not far beyond what was traced; a column a variable, shape (n,) each."""
        found = np.ones(len(columns[BATCH_SIZE]), dtype=bool)
        for name, value in self.fixed.items():
            found &= columns[name] == value
        for name, other in self.tied.items():
            found &= columns[name] == columns[other]
        for name, low, high in zip(self.variables, self.low, self.high, strict=True):
            found &= (columns[name] > 1) & (columns[name] >= low / FURTHEST) & (columns[name] <= high * FURTHEST)
        return found

    def __post_init__(self) -> None:
        """Raise `ValueError` where a position points at nothing, as in a damaged file."""
        extended, terms, classes = len(self.variables) + len(self.steps), len(self.terms), len(self.classes)
        powers = [one for own in self.terms for _, _, powers in own for one in powers]
        positions = [at for one in self.kernels for at in (one.before, one.after)]
        good = [
            all(0 <= variable < extended and abs(power) <= _HIGHEST for variable, power in powers),
            all(below for own in self.terms for _, below, _ in own),
            all(0 <= variable < len(self.variables) and over > 0 for variable, _, over in self.steps),
            all(
                0 <= one.form <= features.CONVOLUTION and 0 <= one.kernel <= kernels.CONVOLUTION for one in self.classes
            ),
            all(0 <= slot < len(NUMBERS) for one in self.classes for slot, _ in (*one.values, *one.varying)),
            all(0 <= term < terms for one in self.classes for _, term in one.varying),
            all(0 <= one.own < classes for one in self.kernels),
            all(-1 <= at < classes for at in positions),
            all(0 <= at < terms for at in (*self.counts, self.depth)) and -1 <= self.params < terms,
            len(self.counts) == len(self.kernels),
            len({*self.variables, *self.fixed, *self.tied}) == len(self.variables) + len(self.fixed) + len(self.tied),
        ]
        if not all(good):
            raise ValueError("polynomials of nothing")

    def values(self, point: Point) -> NDArray[np.float64]:
        """The value of each polynomial at a point."""
        return evaluate(self.terms, self._extended(point))

    def traced(self, point: Point) -> Counter[Any]:
        """Operators with their neighbours, as `_counted` gives them of a trace."""
        values = self.values(point)
        own = [_signature(one, values) for one in self.classes] + [None]
        found: Counter[Any] = Counter()
        for kernel, count in zip(self.kernels, values[list(self.counts)], strict=True):
            if count:
                found[own[kernel.own], own[kernel.before], own[kernel.after], kernel.place] += count
        return found

    def _extended(self, point: Point) -> list[int]:
        own = [point[name] for name in self.variables]
        return own + [(own[at] + plus) // over for at, plus, over in self.steps]

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `from_record` is the way back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Polynomials:
        """What `to_record` wrote; raises `LookupError`, `TypeError` or `ValueError` for anything else."""
        own = {field.name: _frozen(record[field.name]) for field in dataclasses.fields(cls)}
        own["classes"] = tuple(Class(**{name: _frozen(value) for name, value in one.items()}) for one in own["classes"])
        own["kernels"] = tuple(Kernel(**one) for one in own["kernels"])
        found = cls(**own)
        if not found._is_typed():
            raise ValueError("polynomials of other numbers")
        return found

    def _is_typed(self) -> bool:
        """Whether all is of its type, as it need not be in a damaged file."""
        whole = [*self.low, *self.high, *self.fixed.values(), *itertools.chain.from_iterable(self.steps), *self.counts]
        whole += [self.params, self.depth, *itertools.chain.from_iterable(map(dataclasses.astuple, self.kernels))]
        for own in itertools.chain.from_iterable(self.terms):
            whole += [*own[:2], *itertools.chain.from_iterable(own[2])]
        real: list[Any] = []
        for one in self.classes:
            whole += [one.form, one.kernel, one.known, *itertools.chain.from_iterable(one.varying)]
            whole += [slot for slot, _ in one.values]
            real += [one.kind, *(value for _, value in one.values)]
        names = [*self.variables, *self.fixed, *self.tied]
        return (
            len(self.low) == len(self.high) == len(self.variables)
            and all(isinstance(name, str) for name in names)
            and {*self.tied.values()} <= {*self.variables, *self.fixed}
            and all(type(value) is int and abs(value) < _LARGEST for value in whole)
            and all(type(value) in (int, float) and abs(value) < _LARGEST for value in real)
        )


def evaluate(terms: Sequence[Polynomial], values: Sequence[float]) -> NDArray[np.float64]:
    """Polynomials at a point; exact for whole numbers below 2^53."""
    found = np.zeros(len(terms))
    for at, own in enumerate(terms):
        whole, divisor = 0.0, 1.0
        for above, below, powers in own:
            total, over = float(above), float(below)
            for variable, power in powers:
                if power > 0:
                    total *= float(values[variable]) ** power
                else:
                    over *= float(values[variable]) ** -power
            if _divides(powers):
                found[at] += total / over
            else:  # summed before they are divided, for thirds add up to no whole number
                whole, divisor = whole + total, over
        found[at] += whole / divisor
    return found


def sizes_of(workload: Workload) -> Sizes:
    """What of a completed workload varies, and what does not."""
    rest: dict[str, Scalar] = {"dtype": workload.dtype, "lengths": workload.lengths}
    point: Point = {}
    for name, value in workload.settings.items():
        if _is_whole(value):
            point[name] = value
        elif isinstance(value, tuple) and value and all(map(_is_whole, value)):
            rest[name] = len(value)
            point |= {f"{name}.{at}": one for at, one in enumerate(value)}
        else:
            rest[name] = value
    assert workload.input_size is not None
    return rest, point | {BATCH_SIZE: workload.batch_size, INPUT_SIZE: workload.input_size}


def workload_of(like: Workload, point: Point) -> Workload:
    """The completed workload at a point, as another in all else; raises `InputError` where there is none."""
    settings: dict[str, Any] = {}
    for name, value in like.settings.items():
        if name in point:
            settings[name] = point[name]
        elif f"{name}.0" in point and isinstance(value, tuple):
            settings[name] = tuple(point[f"{name}.{at}"] for at in range(len(value)))
        else:
            settings[name] = value
    own = Workload(
        like.architecture,
        settings,
        batch_size=point[BATCH_SIZE],
        input_size=point[INPUT_SIZE],
        dtype=like.dtype,
        lengths=like.lengths,
    )
    return architectures.complete(own)


def derive(
    like: Workload, *, fixed: Iterable[str] = (), tied: Mapping[str, str] | None = None, seed: int = 0
) -> Polynomials:
    """The polynomials of the region in which a completed workload lies.

    Variables that are ``fixed`` keep its values, as do `ones`, ``tied`` ones those of another. So do, one after
    another, those in which something is no polynomial. Raises `InexactError` where too many are, or counts differ at
    points that were not used.
    """
    own, traces = [*fixed, *(name for name in ones(sizes_of(like)[1]) if name not in fixed)], Traces()
    for _ in range(_MOST_FIXED + 1):
        try:
            return _Derivation(like, own, tied or {}, seed, traces).found()
        except InexactError as error:
            blamed = error.variable or (INPUT_SIZE if INPUT_SIZE not in own else "")
            if not blamed or blamed in own or blamed == BATCH_SIZE:
                raise
            own.append(blamed)
    raise InexactError(f"no polynomials in {', '.join(own)}")


def ones(point: Point) -> list[str]:
    """The variables that are 1 at a point; there, other operators run, or none (one head, one image, no groups)."""
    return [name for name, value in point.items() if value == 1]


def ties(like: Workload, found: Polynomials, *, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of variables that matter where they are equal, of those that polynomials take."""
    return _Derivation(like, found.fixed, found.tied, seed, Traces()).ties(found)


def agrees(workload: Workload, found: Polynomials) -> bool:
    """Whether polynomials say of a completed workload what its trace says."""
    _, point = sizes_of(workload)
    own = _Derivation(workload, found.fixed, found.tied, 0, Traces())
    return not own.difference(found, point, own.seen(point))


class _Derivation:
    """Traces of one architecture, and what follows from them."""

    def __init__(
        self, like: Workload, fixed: Iterable[str], tied: Mapping[str, str], seed: int, traces: Traces
    ) -> None:
        self.like, self.itemsize = like, DTYPES[like.dtype]
        _, self.here = sizes_of(like)
        self.fixed, self.tied = tuple(fixed), dict(tied)
        self.free = [name for name in self.here if name not in self.fixed and name not in self.tied]
        self.rng = np.random.default_rng(seed)
        self.traces = traces
        self.deep: list[str] = []
        self.sizes: dict[tuple[int, ...], int] = {}

    def found(self) -> Polynomials:
        """The polynomials, proven."""
        origin = self.start()
        self.deep = depths = self.depths(origin)
        large = [name for name in depths if self.is_new(origin, name)]
        if large:
            origin = self.start(large)
            self.deep = depths = self.depths(origin)
        sizes = [name for name in self.free if name not in depths]
        table = _Table(_forms(self.seen(origin)), self.free, self.itemsize)
        lines = {name: self.line(table, origin, name) for name in sizes}
        table.tell_degrees(lines)
        self.fit(table, sizes)
        found = self.counted(table, depths)
        self.prove(found, origin)
        points = [dict(zip(self.here, key, strict=True)) for key, trace in self.traces.items() if trace is not None]
        return dataclasses.replace(
            found,
            low=tuple(min(point[name] for point in points) for name in self.free),
            high=tuple(max(point[name] for point in points) for name in self.free),
        )

    # Points, and traces at them

    def at(self, point: Point, **changes: int) -> Point:
        """A point with other values, those that are tied too."""
        own = {**point, **changes}
        return own | {name: own[other] for name, other in self.tied.items()}

    def possible(self, point: Point) -> bool:
        """Whether an architecture takes a point, as far as it says so before it is built."""
        try:
            workload_of(self.like, point)
        except FtaxError:
            return False
        return True

    def trace(self, point: Point) -> Trace | None:
        """The trace at a point; ``None`` where none can be taken."""
        key = tuple(point.values())
        if key not in self.traces:
            if len(self.traces) >= _MOST_TRACES:
                raise InexactError(f"{_MOST_TRACES} traces are not enough")
            found = None
            if self.possible(point):
                with suppress(Exception):  # whatever a module raises that cannot be built or called
                    found = trace_workload.__wrapped__(workload_of(self.like, point))
            if found is not None and found.way:
                raise InexactError(f"a trace on {found.way}")
            self.traces[key] = found
        return self.traces[key]

    def seen(self, point: Point) -> Trace:
        """The trace at a point at which there has to be one."""
        found = self.trace(point)
        if found is None:
            raise InexactError(f"no trace at {point}")
        return found

    @cached_property
    def usual(self) -> Point:
        """What is usual of each variable: its default."""
        defaults = architectures.load(self.like.architecture).complete(Workload(self.like.architecture))
        own = sizes_of(defaults)[1]
        return {name: own.get(name, own.get(f"{name.partition('.')[0]}.0", value)) for name, value in self.here.items()}

    def choice(self, name: str) -> int:
        """A value that a variable may have."""
        usual = self.usual[name]
        if name == BATCH_SIZE:
            return int(self.rng.integers(2, 40))
        if usual <= _SMALL:
            return int(self.rng.integers(2, _DEEP if name in self.deep else _SMALL))
        value = usual * 2.0 ** self.rng.uniform(-3, 1)
        units = [1, 1, 2, 4, 8, 16, 32] if name == INPUT_SIZE else [unit for unit in _ROUND if unit <= value][:2] or [1]
        unit = int(self.rng.choice(units))
        return int(max(round(value / unit) * unit, 2))

    def walk(self, point: Point, names: Sequence[str]) -> Point:
        """Another point, some random moves of single variables away."""
        made = 0
        for _ in range(_PATIENCE):
            name = names[int(self.rng.integers(len(names)))]
            other = self.at(point, **{name: self.choice(name)})
            if other != point and self.possible(other):
                point, made = other, made + 1
            if made > 2 * len(names):
                break
        return point

    def start(self, large: Sequence[str] = ()) -> Point:
        """A small point: few layers, few heads, a few of everything that is usually few, and no two alike if it can be.

        What is alike by chance may take another path (as many keys as heads). Those that are ``large`` are as usual.
        """
        few = [name for name in self.free if self.usual[name] <= _SMALL and name not in (BATCH_SIZE, *large)]
        found = [self.at(self.here, **{name: self.usual[name] for name in large})]
        for _ in range(_PATIENCE):
            point = self.at(found[0], **{name: int(self.rng.choice(_FEW)) for name in few})
            found += [point] if self.possible(point) else []
        found.sort(key=lambda point: sum(point[name] for name in few) - _ALIKE * len({point[name] for name in few}))
        point = next((point for point in found[:_STARTS] if self.trace(point) is not None), found[0])
        self.seen(point)
        return point

    def depths(self, origin: Point) -> list[str]:
        """The variables that decide how many operators there are."""
        forms, found = _forms(self.seen(origin)), []
        for name in self.free:
            if name in (BATCH_SIZE, INPUT_SIZE) or origin[name] > 4 * _SMALL:
                continue
            trace = next((own for _, own in self.moved(origin, name)), None)
            if trace is not None and _forms(trace) != forms:
                found.append(name)
        return found

    def moved(self, point: Point, name: str) -> Iterator[tuple[int, Trace]]:
        """Other values of a variable near a point, but for 1, which is a region of its own, and the traces there."""
        for change in _NEAR:
            value = point[name] + change
            trace = self.trace(self.at(point, **{name: value})) if value > 1 else None
            if trace is not None:
                yield value, trace

    def is_new(self, origin: Point, name: str) -> bool:
        """Whether one more of a depth brings operators that no smaller one has."""
        trace = self.trace(self.at(origin, **{name: origin[name] + 1}))
        known = {*_operators(self.seen(origin), self.itemsize)}
        return trace is not None and not {*_operators(trace, self.itemsize)} <= known

    # What traces tell

    def line(self, table: _Table, origin: Point, name: str) -> list[int]:
        """The rows of a table at points on which one variable moves."""
        wanted = _SIZES if name == INPUT_SIZE else _LINE
        rows, tried = [table.add(origin, self.seen(origin))], {origin[name]}
        for _ in range(_PATIENCE):
            point = self.at(origin, **{name: self.choice(name)})
            if point[name] in tried or not self.possible(point):
                continue
            tried.add(point[name])
            trace = self.trace(point)
            rows += [table.add(point, trace)] if trace is not None and table.takes(trace) else []
            if len(rows) > wanted or len(tried) > 3 * wanted:
                break
        return rows

    def fit(self, table: _Table, sizes: Sequence[str]) -> None:
        """Traces at random points, until they are enough for all coefficients."""
        wanted = _FEWEST
        while True:
            self.sample(table, sizes, wanted)
            try:
                return table.fit()
            except TooFewError:
                wanted *= 2
                if wanted > _MOST:
                    raise

    def sample(self, table: _Table, sizes: Sequence[str], wanted: int) -> None:
        """Traces at so many random points."""
        point, made = table.points[0], 0
        for _ in range(2 * wanted if sizes else 0):
            point = self.walk(point, sizes)
            trace = self.trace(point)
            if trace is not None and table.takes(trace):
                table.add(point, trace)
                made += 1
            if made >= wanted:
                break

    def counted(self, table: _Table, depths: Sequence[str]) -> Polynomials:
        """How many of each kernel there are, by depths."""
        at, classes = table.classes(self.more(table))
        bends = list(self.bends(at, depths))
        seen = {_key(own): self.seen(self.at(at, **own)) for bend in bends for _, own in bend.parts}
        found = {key: classes.kernels(trace, key[0][0] if key else "") for key, trace in seen.items()}
        each = sorted(set(itertools.chain.from_iterable(found.values())), key=dataclasses.astuple)
        counts = [_bent(bends, partial(_counted_at, found, one)) for one in each]
        chain = _bent(bends, lambda own: _chain(seen[_key(own)]))
        terms = [*table.terms, *counts, chain]
        with suppress(InexactError):
            terms.append(self.params(table, bends))
        whole = len(terms) - len(table.terms) - len(counts)
        return Polynomials(
            fixed={name: self.here[name] for name in self.fixed},
            tied=self.tied,
            variables=tuple(self.free),
            low=(),
            high=(),
            steps=tuple(table.steps),
            terms=tuple(terms),
            classes=tuple(classes.own),
            kernels=tuple(each),
            counts=tuple(range(len(table.terms), len(table.terms) + len(each))),
            depth=len(table.terms) + len(counts),
            params=len(terms) - 1 if whole > 1 else -1,
        )

    def bends(self, at: Point, depths: Sequence[str]) -> Iterator[_Bend]:
        """The ways in which counts hang on depths: not, on each (by two other values of it), and on two together."""
        one = Fraction(1)
        yield _Bend({(): one}, [(one, {})])
        firsts: list[tuple[str, int, Shape]] = []
        for name in depths:
            others = [value for value, _ in itertools.islice(self.moved(at, name), 2)]
            if not others:
                raise InexactError(f"no other {name}", name)
            variable, begin = self.free.index(name), at[name]
            line = _line(variable, begin, others[0])
            yield _Bend(line, [(one, {name: others[0]}), (-one, {})])
            firsts.append((name, others[0], line))
            if len(others) > 1:
                part = Fraction(others[1] - begin, others[0] - begin)
                curve = _times(_line(variable, begin, others[1]), _line(variable, others[0], others[1]))
                yield _Bend(curve, [(one, {name: others[1]}), (-part, {name: others[0]}), (part - 1, {})])
        for (left, value, line), (right, other, same) in itertools.combinations(firsts, 2):
            parts = [(one, {left: value, right: other}), (-one, {left: value}), (-one, {right: other}), (one, {})]
            yield _Bend(_times(line, same), parts)

    def params(self, table: _Table, bends: Sequence[_Bend]) -> Polynomial:
        """Elements of parameters, by sizes and depths."""
        found: defaultdict[Powers, Fraction] = defaultdict(Fraction)
        for bend in bends:
            if bend.of(partial(self.built, table.points[-1])):
                for powers, value in _times(bend.shape, self.fit_params(table, bend)).items():
                    found[powers] += value
        return _terms(found)

    def fit_params(self, table: _Table, bend: _Bend) -> Shape:
        """What a bend of depths adds to the parameters, by sizes."""
        points, grown = list[Point](), list[float]()
        spanned(table.degrees[-1])
        for point in self.more(table):
            with suppress(InexactError):
                grown.append(float(bend.of(partial(self.built, point))))
                points.append(point)
            if len(points) >= _FEWEST and not len(points) % 4:
                with suppress(InexactError):
                    found = fitted(table.extended(points), np.array(grown), table.degrees[-1])
                    return {powers: Fraction(above, below) for above, below, powers in found}
        raise InexactError("parameters that are no polynomial")

    def more(self, table: _Table) -> Iterator[Point]:
        """The points of a table, and others."""
        yield from reversed(table.points)
        yield from self.spread(table)
        point, names = table.points[-1], [name for name in self.free if name not in self.deep]
        for _ in range(_MOST if names else 0):
            point = self.walk(point, names)
            yield point

    def spread(self, table: _Table) -> Iterator[Point]:
        """Points at which neighbours in a list are not alike."""
        lists: dict[str, list[str]] = {}
        for name in self.free:
            if "." in name and name not in self.deep:
                lists.setdefault(name.partition(".")[0], []).append(name)
        for _ in range(_PATIENCE if lists else 0):
            own: Point = {}
            for names in lists.values():
                values = sorted({point[name] for name in names for point in table.points})
                turns = [self.rng.permutation(values) for _ in range(0, len(names), len(values))]
                own |= dict(zip(names, map(int, np.concatenate(turns)), strict=False))
            point = self.at(table.points[-1], **own)
            if self.possible(point):
                yield point

    def built(self, point: Point, changes: Point) -> int:
        """Elements of parameters at a point with changes, which is built, not traced."""
        own = self.at(point, **changes)
        key = tuple(own.values())
        trace = self.traces.get(key)
        if trace is not None:
            return trace.params
        if key not in self.sizes:
            try:
                self.sizes[key] = params(workload_of(self.like, own))
            except Exception as error:  # whatever a module raises that cannot be built
                raise InexactError(f"nothing to build at {own}") from error
        return self.sizes[key]

    # What proves it

    def prove(self, found: Polynomials, origin: Point) -> None:
        """Raise `InexactError` where a trace that was not used differs in a single integer."""
        for _ in range(_PROOFS if self.free else 0):
            point = self.walk(origin, self.free)
            if self.differs(found, point):
                raise InexactError(f"differs at {point}", self.blamed(found, origin, point))

    def blamed(self, found: Polynomials, origin: Point, point: Point) -> str:
        """The variable that, moved last on the way from one point to another, makes the difference; none if unclear."""
        here = origin
        for name in self.free:
            other = self.at(here, **{name: point[name]})
            if self.trace(other) is None:
                continue
            if self.differs(found, other):
                return name
            here = other
        return ""

    def difference(self, found: Polynomials, point: Point, trace: Trace) -> str:
        """What polynomials say of a point that its trace does not; nothing where they agree."""
        values = found.values(point)
        if found.traced(point) != counted(trace, self.itemsize):
            return "other operators"
        if found.params >= 0 and values[found.params] != trace.params:
            return f"{trace.params} parameters, not {values[found.params]}"
        return "another depth" if values[found.depth] != _chain(trace) else ""

    def ties(self, found: Polynomials) -> list[tuple[str, str]]:
        """Pairs of variables that matter where they are equal."""
        origin = self.start()
        pairs = [pair for pair in itertools.combinations(self.free, 2) if {*pair}.isdisjoint({BATCH_SIZE, INPUT_SIZE})]
        tried = [pairs[at] for at in self.rng.permutation(len(pairs))[:_PAIRS]]
        return [(one, other) for one, other in tried if self.differs(found, self.equal(origin, one, other))]

    def equal(self, origin: Point, one: str, other: str) -> Point:
        """A point at which two variables are equal, if there is one."""
        ways = ((name, origin[like], max(self.usual[name], _FEW[-1])) for name, like in ((one, other), (other, one)))
        points = [self.at(origin, **{name: value}) for name, value, usual in ways if usual / 16 <= value <= 2 * usual]
        return next((point for point in points if self.trace(point) is not None), origin)

    def differs(self, found: Polynomials, point: Point) -> bool:
        """Whether polynomials say something else of a point than its trace, if there is one."""
        trace = self.trace(point)
        return trace is not None and bool(self.difference(found, point, trace))


class _Classes:
    """The classes of the operators of one depth, told apart at one point."""

    def __init__(self, own: Sequence[Class], signatures: Sequence[tuple[float, ...]], itemsize: int) -> None:
        self.own, self.itemsize = own, itemsize
        self.at = {signature: number for number, signature in enumerate(signatures)}

    def kernels(self, trace: Trace, deeper: str = "") -> Counter[Kernel]:
        """How many of each kernel a trace has, if it is at that point but for its depths."""
        names = [self.at.get(one, -2) for one in _operators(trace, self.itemsize)]
        if -2 in names:
            raise InexactError("operators that are none of a smaller depth", deeper)
        sides = [-1, *names, -1]
        return Counter(Kernel(one, sides[at], sides[at + 2], _place(at)) for at, one in enumerate(names))


class _Table:
    """What is told of the operators of one depth at many points, and the polynomials through it.

    ``degrees`` holds for each number of each operator, and for the parameters at the end, the lowest and highest power
    of every variable (and what is derived of it) that it hangs on.
    """

    def __init__(self, forms: Forms, variables: Sequence[str], itemsize: int) -> None:
        self.forms, self.variables, self.itemsize = forms, list(variables), itemsize
        self.points: list[Point] = []
        self.rows: list[NDArray[np.float64]] = []
        self.steps: list[tuple[int, int, int]] = []

    def takes(self, trace: Trace) -> bool:
        """Whether a trace is of the same operators."""
        return _forms(trace) == self.forms

    def add(self, point: Point, trace: Trace) -> int:
        """Keep what a trace tells; returns its row."""
        if point not in self.points:
            own = [numbers(one, itemsize=self.itemsize) for one in trace.operators]
            self.points.append(point)
            self.rows.append(np.array([*itertools.chain.from_iterable(own), float(trace.params)]))
        return self.points.index(point)

    def tell_degrees(self, lines: Mapping[str, Sequence[int]]) -> None:
        """Tell the degrees from lines: for each variable the rows in which it alone moves."""
        keys, columns = np.unique(np.array(self.rows), axis=1, return_inverse=True)
        each: list[Degrees] = [{} for _ in range(keys.shape[1])]
        for name, rows in lines.items():
            at, later = np.array([self.points[row][name] for row in rows]), []
            for column in np.flatnonzero((keys[rows] != keys[rows[0]]).any(axis=0)):
                own = self.degree_on(name, at, keys[rows, column])
                each[column] |= own or {}
                later += [] if own else [column]
            for column in later:  # of what is derived in two ways, each of which some other number hangs on
                each[column] |= self.degree_of_two(name, at, keys[rows, column])
        self.degrees = [each[column] for column in columns.ravel()]

    def degree_on(self, name: str, at: NDArray[np.int_], values: NDArray[np.float64]) -> Degrees | None:
        """The powers of a variable in a number, or of what of it is derived."""
        variable = self.variables.index(name)
        own = degree(at.astype(float), values, spare=0 if len(at) < _LINE else 1)  # few: it can have no others
        if own is not None:
            return {variable: tuple((variable, power) for power in own)}
        for step in [*self.steps, *_steps_of(variable, at)]:
            own = degree(((at + step[1]) // step[2]).astype(float), values) if step[0] == variable else None
            if own is not None:
                self.steps += [] if step in self.steps else [step]
                position = len(self.variables) + self.steps.index(step)
                return {variable: tuple((position, power) for power in own)}
        return None

    def degree_of_two(self, name: str, at: NDArray[np.int_], values: NDArray[np.float64]) -> Degrees:
        """The same of a number that is a sum of two of these; raises `InexactError` for others."""
        variable = self.variables.index(name)
        ways = {variable: at.astype(float)}
        for number, (own, plus, over) in enumerate(self.steps):
            ways |= {len(self.variables) + number: ((at + plus) // over).astype(float)} if own == variable else {}
        for pair in itertools.combinations(ways, 2):
            powers = [(variable, 0), *((way, power) for way in pair for power in (1, 2))]
            columns = np.column_stack([ways.get(way, at) ** power for way, power in powers])
            if len(at) <= columns.shape[1] or np.linalg.matrix_rank(columns / columns.max(axis=0)) < columns.shape[1]:
                continue
            found = _through(columns, values)
            if found is not None:
                return {variable: tuple(one for one, value in zip(powers, found, strict=True) if value)}
        raise InexactError(f"no polynomial in {name}", name)

    def fit(self) -> None:
        """The polynomial of each number that varies, from all points."""
        data, values = np.array(self.rows), self.extended(self.points)
        keys, firsts, columns = np.unique(data, axis=1, return_index=True, return_inverse=True)
        self.terms: list[Polynomial] = []
        own: list[tuple[float, int]] = []
        for key, first in zip(keys.T, firsts, strict=True):
            if (key == key[0]).all() or first == data.shape[1] - 1:  # parameters are fitted on their own
                own.append((float(key[0]), -1))
                continue
            found = fitted(values, key, self.degrees[first])
            if found not in self.terms:
                self.terms.append(found)
            own.append((0.0, self.terms.index(found)))
        self.of = [own[column] for column in columns.ravel()]

    def extended(self, points: Sequence[Point]) -> NDArray[np.float64]:
        """Variables, and what is derived of them, shape (points, variables and steps)."""
        own = np.array([[point[name] for name in self.variables] for point in points], dtype=np.int64)
        own = own.reshape(len(points), len(self.variables))
        steps = [(own[:, at] + plus) // over for at, plus, over in self.steps]
        return np.column_stack([own, *steps]).astype(float)

    def classes(self, points: Iterable[Point]) -> tuple[Point, _Classes]:
        """The classes of operators, and the first of points at which they all differ.

        Raises `InexactError` where there is none.
        """
        width, found = len(NUMBERS), dict[Class, int]()
        for at, form in enumerate(self.forms):
            own = list(enumerate(self.of[at * width : (at + 1) * width]))
            constant = tuple((slot, value) for slot, (value, term) in own if term < 0 and value)
            found.setdefault(Class(*form, constant, tuple((slot, term) for slot, (_, term) in own if term >= 0)), at)
        for point in points:
            values = evaluate(self.terms, self.extended([point])[0].tolist())
            signatures = [_signature(one, values) for one in found]
            if len(set(signatures)) == len(signatures):
                return point, _Classes(list(found), signatures, self.itemsize)
        raise InexactError("operators that cannot be told apart")


Degrees = dict[int, tuple[tuple[int, int], ...]]
"""For each variable, by its position, the powers of it, or of what is derived of it, that there are."""

Forms = list[tuple[float, int, int, int]]
"""Of each operator of a trace what its numbers do not tell: its kind, the groups it may be of, whether it is known."""


def degree(at: NDArray[np.float64], values: NDArray[np.float64], *, spare: int = 1) -> tuple[int, ...] | None:
    """The powers in the polynomial of one variable through values, with so many of them to spare.

    >>> degree(np.array([2.0, 3, 4, 6]), np.array([12.0, 8, 6, 4]))
    (-1,)
    >>> degree(np.array([2.0, 3, 4, 6]), np.array([5.0, 10, 17, 37]))
    (0, 2)
    """
    count = len(np.unique(at))
    for left, low in itertools.product(range(1, spare - 1, -1), (0, -1) if at.min() > 0 else (0,)):
        for high in range(low, min(_HIGHEST, count - 1 - left + low) + 1):
            powers = np.arange(low, high + 1)
            found = _through(at[:, None] ** powers, values)
            if found is not None:
                return tuple(powers[found != 0].tolist())
    return None


def _through(columns: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Coefficients, of columns that are scaled to 1, whose sum is equal to values; ``None`` where there are none."""
    scaled = columns / np.maximum(np.abs(columns).max(axis=0), 1e-300)
    found: NDArray[np.float64] = np.linalg.lstsq(scaled, values)[0]
    largest = np.abs(values).max()
    found[np.abs(found) < _EQUAL * largest] = 0.0
    return found if np.abs(scaled @ found - values).max() <= _EQUAL * largest else None


Powers = tuple[tuple[int, int], ...]
"""Variables of a product, by position, and their powers."""


def spanned(degrees: Degrees) -> list[Powers]:
    """The products that a polynomial of such degrees may have, those of few variables first.

    Raises `InexactError` where they are too many.

    >>> spanned({0: ((0, 1),), 1: ((1, 0), (1, 2))})
    [((0, 1),), ((0, 1), (1, 2))]
    """
    count = math.prod(map(len, degrees.values()))
    if count > _MANY:
        raise InexactError(f"{count:,} coefficients")
    every = [tuple(one for one in own if one[1]) for own in itertools.product(*degrees.values())]
    return sorted(every, key=_total)


def _total(powers: Powers) -> int:
    return sum(max(power, 0) for _, power in powers)


def fitted(points: NDArray[np.float64], values: NDArray[np.float64], degrees: Degrees) -> Polynomial:
    """The polynomial of such degrees, with fractions as coefficients, that is equal to values at all points.

    ``points`` has shape (n, variables), ``values`` (n,). Products of low degree are tried first. Raises
    `InexactError` where there is none, `TooFewError` where it may have more coefficients than there are points.
    """
    every = spanned(degrees)
    columns = np.array([[_product(point, own) for own in every] for point in points])
    scaled = columns / np.abs(columns).max(axis=0)
    for highest in sorted({_total(own) for own in every}):
        count = sum(_total(own) <= highest for own in every)
        if count + _SPARE > len(points) or np.linalg.matrix_rank(scaled[:, :count]) < count:
            raise TooFewError(f"{count} coefficients")
        for denominator in _DENOMINATORS:
            found = _solved(columns[:, :count], every[:count], points, values, denominator)
            if found is not None:
                return found
    raise InexactError("coefficients that are no fractions")


def _solved(
    columns: NDArray[np.float64],
    every: Sequence[Powers],
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    denominator: int,
) -> Polynomial | None:
    scale = np.abs(columns).max(axis=0)
    coefficients, rest = [Fraction(0)] * len(every), values.astype(float)
    for _ in range(_REFINED):
        more = np.linalg.lstsq(columns / scale, rest)[0] / scale
        coefficients = [
            one + Fraction(float(other)).limit_denominator(denominator)
            for one, other in zip(coefficients, more, strict=True)
        ]
        found = _terms(dict(zip(every, coefficients, strict=True)))
        last, rest = np.abs(rest).max(), values - np.array([evaluate([found], point)[0] for point in points])
        if not rest.any():
            return found
        if np.abs(rest).max() >= last:
            return None
    return None


Shape = dict[Powers, Fraction]
"""A polynomial, by the powers of its terms."""


@dataclass(frozen=True)
class _Bend:
    """One way in which a count hangs on depths: ``shape`` times the sum of ``parts``, fractions of the count where the
    depths have these values.
    """

    shape: Shape
    parts: Sequence[tuple[Fraction, Point]]

    def of(self, count: Callable[[Point], int]) -> Fraction:
        """The sum of the parts."""
        return sum((part * count(own) for part, own in self.parts), Fraction(0))


def _bent(bends: Iterable[_Bend], count: Callable[[Point], int]) -> Polynomial:
    """A count by depths."""
    found: defaultdict[Powers, Fraction] = defaultdict(Fraction)
    for bend in bends:
        more = bend.of(count)
        for powers, value in bend.shape.items() if more else ():
            found[powers] += value * more
    return _terms(found)


def _counted_at(found: Mapping[Any, Counter[Kernel]], one: Kernel, changes: Point) -> int:
    return found[_key(changes)][one]


def _key(changes: Point) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(changes.items()))


def _line(variable: int, zero: int, one: int) -> Shape:
    """The line in a variable that is 0 and 1 at two values."""
    return {((variable, 1),): Fraction(1, one - zero), (): Fraction(-zero, one - zero)}


def _times(one: Shape, other: Shape) -> Shape:
    found: defaultdict[Powers, Fraction] = defaultdict(Fraction)
    for own, value in one.items():
        for more, factor in other.items():
            powers = Counter(dict(own))
            powers.update(dict(more))
            found[tuple(sorted((name, power) for name, power in powers.items() if power))] += value * factor
    return dict(found)


def _terms(found: Mapping[Powers, Fraction]) -> Polynomial:
    """The polynomial of such coefficients."""
    common = math.lcm(*(value.denominator for powers, value in found.items() if not _divides(powers)))
    return tuple(
        (value.numerator, value.denominator, powers) if _divides(powers) else (int(value * common), common, powers)
        for powers, value in found.items()
        if value
    )


def _divides(powers: Powers) -> bool:
    """Whether a product divides by one of its variables."""
    return any(power < 0 for _, power in powers)


def counted(trace: Trace, itemsize: int) -> Counter[Any]:
    """Operators of a trace: kind, forms and numbers of each, of the one before and the one after, and its place."""
    own = _operators(trace, itemsize)
    sides = [None, *own, None]
    return Counter((one, sides[at], sides[at + 2], _place(at)) for at, one in enumerate(own))


def _operators(trace: Trace, itemsize: int) -> list[tuple[float, ...]]:
    pairs = zip(_forms(trace), trace.operators, strict=True)
    return [(*form, *numbers(operator, itemsize=itemsize)) for form, operator in pairs]


def _signature(own: Class, values: NDArray[np.float64]) -> tuple[float, ...]:
    row = [0.0] * len(NUMBERS)
    for at, value in own.values:
        row[at] = value
    for at, term in own.varying:
        row[at] = float(values[term])
    return (own.kind, own.form, own.kernel, own.known, *row)


def _forms(trace: Trace) -> Forms:
    return [
        (kernels.kind(one), features.form(one), kernels.form(one), int(features.is_known(one)))
        for one in trace.operators
    ]


def _place(at: int) -> int:
    return min(at, kernels.FIRST)


def _chain(trace: Trace) -> int:
    return int(trace.features()["depth"])


def _product(point: NDArray[np.float64], powers: tuple[tuple[int, int], ...]) -> float:
    return math.prod(float(point[variable]) ** power for variable, power in powers)


def _steps_of(variable: int, at: NDArray[np.int_]) -> Iterator[tuple[int, int, int]]:
    """What may be derived of a variable that has such values: rounded down and up first."""
    ends = [(variable, plus, over) for over in _STRIDES for plus in (0, over - 1)]
    inner = [(variable, plus, over) for over in _STRIDES for plus in range(1, over - 1)]
    return (one for one in [*ends, *(inner if len(at) > _LINE + 1 else ())] if 3 * one[2] <= at.max())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
