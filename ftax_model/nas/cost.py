"""LatencyCost: a fitted predictor as the cost function of an architecture search, in microseconds a candidate."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftax_model import architectures, files, outside, plugins, values
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Platform
from ftax_model.modeling import compiled, limits
from ftax_model.modeling.compiled import KINDS, TOLD, Card, Compiled, Forest
from ftax_model.nas._family import Family, Plan, checked
from ftax_model.nas._tables import Table, by_words, fill, first, has_parts, length, plain, table_of
from ftax_model.operators import FEATURES, Trace
from ftax_model.tracing import choices, features, kernels, polynomials
from ftax_model.tracing.choices import Choices
from ftax_model.tracing.numbers import NUMBERS
from ftax_model.tracing.polynomials import Polynomials
from ftax_model.workload import DTYPES, MAX_BATCH_SIZE, Workload, whole

if TYPE_CHECKING:
    from ftax_model.modeling.predictor import LatencyPredictor

Array = NDArray[np.float64]

FORMAT, SCHEMA = "ftax_model.LatencyCost", 1

STEP = 0.05
"""Part of a hyperparameter by which it is moved to each side for a slope."""

_OWN = ("batch_size", "input_size", "dtype", "lengths")
_DEAREST = 20.0
_CHUNK = 1 << 14  # rows that one call of the compiled function takes
_MANY = 4096  # rows from which threads are worth it
_UNREADABLE = (*values.WRONG, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError)
_MOST_WORKERS = 1024
_MOST_ARRAYS = 64  # in a file
_FEW = 1000  # candidates that are checked by their architecture one by one, of a table


class LatencyCost:
    """Seconds of a candidate on one platform.

    What hyperparameters make of operators is derived once for each architecture, in a few seconds, proven on traces
    and kept on disk (`ftax_model.tracing.polynomials`); then nothing is traced any more, and torch is not needed. Where
    that cannot be, candidates are traced, each once. A cost can be pickled, shared among threads and saved (`save`,
    `load`).

    Raises `InputError` where not exactly one platform matches, and for a quantile outside of 0 to 1.

    Parameters
    ----------
    predictor : the fitted predictor.
    framework, device, threads, dtype, host, host_factor : of the platform, as `LatencyPredictor.select` takes them;
        what is left out must follow from the predictor.
    batch_size : of every candidate that names none; ``None`` for its own.
    architecture : of candidates that are hyperparameters alone.
    variables : names of the columns of arrays that have none.
    quantile : ``None`` for the latency itself; else the latency that a share ``quantile`` of such candidates stays
        below, so that a search does not run into what is not known.
    strict : refuse candidates far outside what was measured.
    workers : threads for tables; all cores if it is not told.

    Examples
    --------
    >>> cost = LatencyCost(predictor, framework="eager", architecture="bert", batch_size=8)  # doctest: +SKIP
    >>> cost({"num_layers": 4, "hidden_size": 256, "num_heads": 4})  # doctest: +SKIP
    0.0123
    """

    def __init__(
        self,
        predictor: LatencyPredictor,
        *,
        framework: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        dtype: str = "float32",
        host: str | None = None,
        host_factor: float | None = None,
        batch_size: int | None = None,
        architecture: str | None = None,
        variables: Sequence[str] = (),
        quantile: float | None = None,
        strict: bool = False,
        workers: int | None = None,
    ) -> None:
        from ftax_model.modeling.platforms.flat import flat

        self.quantile, self.strict, self.batch_size, self.architecture = quantile, strict, batch_size, architecture
        self.variables, self.workers = _checked_names(variables), workers
        self._check()
        fits = predictor.select(
            framework=framework, device=device, threads=threads, dtype=dtype, host=host, host_factor=host_factor
        )
        if len(fits) > 1:
            got = "; ".join(str(fit.platform) for fit in fits)
            raise InputError("a cost is of one platform", got, "name framework, device and threads")
        levels = ((1 - predictor.confidence) / 2, (1 + predictor.confidence) / 2, 0.5 if quantile is None else quantile)
        self.platform: Platform = fits[0].platform
        self._fit: Compiled | Card = flat(fits[0])
        self._levels = np.array(levels)
        self._ratios = np.array([fits[0].errors.quantile(level, KINDS) for level in levels])
        self._noted = fits[0].caveat or fits[0].partly() or ("" if fits[0].n_rows else "of a platform never measured")
        self._begin()

    def __call__(self, candidates: Any, inputs: Any = None) -> Any:
        """Seconds of a call: a number for one candidate, an array for several.

        One candidate is a `Workload`; a mapping of hyperparameters, in which ``architecture``, ``batch_size``,
        ``input_size``, ``dtype`` and ``lengths`` are the workload's own; or an ``nn.Module``, with the ``inputs`` of
        one call. Several are a list of these, or a table of hyperparameters: a mapping of columns, a DataFrame, a
        structured array, or a plain one of ``variables``. A column of lists has two dimensions, or is one for each
        entry (``widths.2``). Raises `InputError` for what is none of these, and for candidates that cannot be.
        """
        told, single = self._told(candidates, inputs, self._asked)
        said = self._said(told)
        return float(said[0]) if single else said

    def interval(self, candidates: Any, inputs: Any = None) -> tuple[Any, Any]:
        """The ends of the interval that holds the predictor's ``confidence`` of such candidates, in seconds."""
        told, single = self._told(candidates, inputs, self._fit)
        low, high = self._ends(told)
        return (float(low[0]), float(high[0])) if single else (low, high)

    def features(self, candidates: Any) -> dict[str, Any]:
        """What traces of candidates count (`ftax_model.operators.FEATURES`), by name: MACs, parameters, operators...

        The depth is nan of networks that are put together from parts (`ftax_model.tracing.choices`).
        """
        found, single = self._counted(candidates)
        return {name: float(found[0, at]) if single else found[:, at] for at, name in enumerate(FEATURES)}

    def feasible(self, budget: float) -> Callable[[Any], Any]:
        """A function of candidates that says which keep a budget of seconds."""
        _positive("budget", budget)
        return partial(_keeps, self, budget)

    def penalty(self, budget: float) -> Callable[[Any], Any]:
        """A function of candidates: by which part of a budget of seconds they exceed it, 0 where they keep it."""
        _positive("budget", budget)
        return partial(_exceeds, self, budget)

    def rank(self, candidates: Any) -> NDArray[np.int64]:
        """The rank of each candidate, 1 for the fastest; those that cannot be told from the fastest of their rank share
        it: the interval of the ratio of the two latencies holds 1 (`ftax_model.modeling.judging.ratios`).
        """
        from ftax_model.modeling.judging.ratios import ratio

        told, _ = self._told(candidates, None, self._fit)
        platform = dataclasses.asdict(self.platform)
        rows = [
            {**platform, "latency_s": middle, "low_s": low, "high_s": high}
            for middle, low, high in zip(told[:, 0], *self._ends(told), strict=True)
        ]
        found, first, rank = np.zeros(len(rows), dtype=np.int64), -1, 0
        for at in np.argsort(told[:, 0], kind="stable").tolist():
            if first < 0 or ratio(rows[at], rows[first]).told:
                first, rank = at, rank + 1
            found[at] = rank
        return found

    def gradient(self, candidate: Any, names: Iterable[str] | None = None, *, step: float = STEP) -> dict[str, float]:
        """Slope of the cost in each hyperparameter that is a number, in seconds for one more of it.

        It is that of the secant over a ``step`` to each side, as a part of the value: what the law, costs and trees say
        between whole numbers, where trees have steps and no slope. ``names`` are by default all that may vary there
        (`derive` tells the others). Raises `InputError` for others, and for a candidate whose operators are no
        polynomials of its hyperparameters.
        """
        workload = self._workload(candidate)
        _, point = polynomials.sizes_of(workload)
        wanted = list(self._region(workload, self._family_of(workload)).variables if names is None else names)
        found = self.slopes(candidate, wanted, np.array([[point.get(name, 0) for name in wanted]]), step=step)
        return dict(zip(wanted, found[0].tolist(), strict=True))

    def smooth(self, like: Any, names: Sequence[str], values: ArrayLike) -> Array:
        """The cost of points between whole numbers, shape (n,): as ``like`` but for ``values`` (n, len(names)).

        Raises `InputError` as `gradient` does.
        """
        workload = self._workload(like)
        family = self._family_of(workload)
        return self._smooth(family, *self._placed(workload, family, names, np.asarray(values, dtype=float)))

    def slopes(self, like: Any, names: Sequence[str], values: ArrayLike, *, step: float = STEP) -> Array:
        """The slopes of `gradient` at the points of `smooth`, shape (n, len(names))."""
        if not (_is_number(step) and 0 < step < 1):
            raise InputError("a step is a part of a hyperparameter", repr(step), "choose for example 0.05")
        workload = self._workload(like)
        family = self._family_of(workload)
        one, rows = self._placed(workload, family, names, np.asarray(values, dtype=float))
        found = np.zeros((len(rows), len(names)))
        for at, name in enumerate(names):
            column = family.names.index(name)
            high, low = rows.copy(), rows.copy()
            high[:, column] *= 1 + step
            low[:, column] *= 1 - step
            change = self._smooth(family, one, high) - self._smooth(family, one, low)
            found[:, at] = change / (high[:, column] - low[:, column])
        return found

    def twin(self, names: Sequence[str], like: Any, *, step: float = STEP) -> Any:
        """The cost as a module of torch, differentiable in hyperparameters (`ftax_model.nas.twin.Twin`)."""
        from ftax_model.nas.twin import Twin

        return Twin(self, names, like, step=step)

    def derive(self, candidate: Any) -> list[str]:
        """Derive the polynomials that a candidate needs, if they are not kept yet.

        Returns the hyperparameters that keep their values there: others want polynomials of their own. Raises
        `InputError` as `gradient` does.
        """
        workload = self._workload(candidate)
        return sorted(self._region(workload, self._family_of(workload)).fixed)

    def _check(self) -> None:
        """Raise `InputError` for settings that mean nothing."""
        if self.quantile is not None and not (_is_number(self.quantile) and 0 < self.quantile < 1):
            raise InputError("a quantile lies between 0 and 1", repr(self.quantile), "choose for example 0.95, or None")
        if self.batch_size is not None:
            whole("batch size", self.batch_size, MAX_BATCH_SIZE)
        if self.workers is not None:
            whole("number of workers", self.workers, _MOST_WORKERS)
        if self.architecture is not None:
            plugins.check(self.architecture, architectures.names(), what="architecture")

    def _begin(self) -> None:
        self._light = compiled.light(self._fit)
        self._families: dict[tuple[Any, ...], Family] = {}
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._choices: dict[tuple[Any, ...], Choices] = {}
        self._traced: dict[Any, Array] = {}
        self._lock = threading.RLock()

    # What is told of candidates

    def _said(self, told: Array) -> Array:
        said = _guarded(told[:, 0])
        return said if self.quantile is None else _guarded(self._at(told, 2))

    def _ends(self, told: Array) -> tuple[Array, Array]:
        """The ends of intervals, which hold the latency."""
        return (
            _guarded(np.minimum(self._at(told, 0), told[:, 0])),
            _guarded(np.maximum(self._at(told, 1), told[:, 0])),
        )

    def _at(self, told: Array, level: int) -> Array:
        """The latency below which a share of calls lies, by the position of a level."""
        ratio = self._ratios[level][told[:, 4].astype(np.intp)] * told[:, 3]
        if told[:, 5].any():
            ratio = ratio + np.log1p(_DEAREST * told[:, 5]) * max(2 * self._levels[level] - 1, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((told[:, 0] * np.exp(ratio)).clip(*limits.CALL_S))

    @property
    def _asked(self) -> Compiled | Card:
        """The fit, without that of it which tells intervals where nobody asks for them."""
        return self._light if self.quantile is None and not self.strict else self._fit

    def _told(self, candidates: Any, inputs: Any, fit: Compiled | Card) -> tuple[Array, bool]:
        """`TOLD` of candidates by a fit, and whether it is one."""
        found, single = self._quick(candidates, fit) if type(candidates) is dict and inputs is None else None, True
        if found is None:
            found, single = self._each(candidates, inputs, fit)
        if self.strict and (self._noted or (found[:, 4] == len(KINDS) - 1).any()):
            law, got = (
                "strict costs stay near what was measured of the platform",
                self._noted or "one far outside of it",
            )
            raise InputError(law, got, "measure nearer, or leave strict out")
        return found, single

    def _each(self, candidates: Any, inputs: Any, fit: Compiled | Card) -> tuple[Array, bool]:
        table = table_of(candidates, self.variables)
        if table is not None:
            return self._of_table(table, fit), False
        if isinstance(candidates, list | tuple) and inputs is None:
            found = [self._told(one, None, fit)[0] for one in candidates]
            return np.concatenate([np.zeros((0, len(TOLD))), *found]), False
        if isinstance(candidates, Workload | Mapping):
            return self._of_workload(self._workload(candidates), fit), True
        return self._of_trace(self._source(candidates, inputs)), True

    def _quick(self, settings: dict[str, Any], fit: Compiled | Card) -> Array | None:
        """`TOLD` of hyperparameters in a form that was asked for before."""
        form, names, values = list[tuple[str, Any]](), list[str](), list[int]()
        architecture = settings.get("architecture", self.architecture)
        put_together = choices.names(architecture) if isinstance(architecture, str) else ()
        for name, value in settings.items():
            if type(value) is int:
                form.append((name, int))
                names.append(name)
                values.append(value)
            elif type(value) is tuple and set(map(type, value)) == {int} and name not in put_together:
                form.append((name, len(value)))
                names += [f"{name}.{at}" for at in range(len(value))]
                values += value
            elif isinstance(value, str | float | bool):
                form.append((name, value))
            else:  # a table, parts that are put together, or nothing that a hyperparameter can be
                return None
        key = tuple(form)
        plan = self._plans.get(key)
        if plan is None:
            workload = self._workload(settings)
            family = self._family_of(workload)
            plan = self._plans[key] = Plan(family, family.row(workload), names, settings)
        return plan.told(values, fit)

    def _of_workload(self, workload: Workload, fit: Compiled | Card) -> Array:
        """`TOLD` of a completed workload, or one from outside."""
        if outside.is_one(workload):
            return self._of_trace(self._source(workload, None, workload.batch_size))
        if isinstance(fit, Compiled) and choices.names(workload.architecture):
            found = self._sum_of(workload)
            if found is not None:
                out = np.empty((1, len(TOLD)))
                compiled.predict_sums()(found[None], float(workload.batch_size), fit, out)
                return out
            return self._of_trace(lambda: self._source(workload, None, workload.batch_size), key=workload)
        family = self._family_of(workload)
        row = family.row(workload)
        one = family.region(row)
        if one is None:
            return self._of_trace(lambda: self._source(workload, None, workload.batch_size), key=workload)
        found = family.predict(one, np.array([row], dtype=float), fit)
        if np.isnan(found[0, 0]):  # numbers that are not whole: polynomials are not believed there
            return self._of_trace(lambda: self._source(workload, None, workload.batch_size), key=workload)
        return found

    def _sum_of(self, workload: Workload) -> Array | None:
        """The vector of a completed workload that is put together from parts, if it is a sum of its choices."""
        with self._lock:
            return self._choices_of(workload).find(workload)

    def _choices_of(self, workload: Workload) -> Choices:
        own, names = workload.settings, choices.names(workload.architecture)
        rest = tuple((name, len(value) if name in names else value) for name, value in own.items())
        key = (workload.architecture, workload.batch_size, workload.input_size, workload.lengths, rest)
        if key not in self._choices:
            found = Choices(workload)
            others = (one for one in self._choices.values() if one.base == found.base)
            self._choices[key] = next(others, found)
        return self._choices[key]

    def _of_trace(self, trace: Trace | Callable[[], Trace], key: Any = None) -> Array:
        """`TOLD` of a trace; one that has a key is taken once."""
        if key is not None and key in self._traced:
            return self._traced[key]
        own = trace if isinstance(trace, Trace) else trace()
        found = self._judged(own, key.batch_size if isinstance(key, Workload) else self.batch_size or 1)
        if key is not None:
            self._traced[key] = found
        return found

    def _judged(self, trace: Trace, batch_size: int) -> Array:
        itemsize, out = DTYPES[self.platform.dtype], np.zeros((1, len(TOLD)))
        seen = np.array([[*trace.features().values()]])
        share = features.unknown_share(trace) if features.unknown(trace) else 0.0
        if isinstance(self._fit, Card):
            own = kernels.kernels(trace, itemsize=itemsize)
            compiled.predict_kernels()(own.table, own.count, seen[0], share, self._fit, out[0])
        else:
            columns = np.array([[*features.columns(trace, itemsize=itemsize).values()]])
            compiled.predict_columns()(columns, seen, np.array([[float(batch_size), share]]), self._fit, out)
        if trace.way:
            out[0, 4] = len(KINDS) - 1
        return out

    def _source(self, model: Any, inputs: Any, batch_size: int | None = None) -> Trace:
        from ftax_model.tracing.sources import find

        source = find(model, inputs)
        if source.dtype != self.platform.dtype:
            law = f"a cost is of one precision, {self.platform.dtype}"
            raise InputError(law, f"{source.label}, {source.dtype}", "make a cost for that one")
        return source.trace(batch_size if batch_size is not None else self.batch_size)

    # Candidates

    def _workload(self, candidate: Any) -> Workload:
        """The completed workload of a candidate."""
        if isinstance(candidate, Workload):
            own = candidate if self.batch_size is None else candidate.with_batch_size(self.batch_size)
        elif isinstance(candidate, Mapping):
            settings = {name: plain(value) for name, value in candidate.items()}
            architecture = settings.pop("architecture", self.architecture)
            if architecture is None:
                law, cure = "hyperparameters belong to an architecture", "name it, here or in the cost"
                raise InputError(law, ", ".join(settings) or "none", cure)
            direct = {name: settings.pop(name) for name in _OWN if name in settings}
            usual = {"dtype": self.platform.dtype, "batch_size": self.batch_size or 1}
            own = Workload(architecture, settings, **{**usual, **direct})
        else:
            law = "a candidate is a workload or its hyperparameters"
            raise InputError(law, f"a {type(candidate).__name__}", "give one of those")
        if own.dtype != self.platform.dtype:
            law = f"a cost is of one precision, {self.platform.dtype}"
            raise InputError(law, own.dtype, "make a cost for that one")
        return architectures.complete(own)

    def _family_of(self, workload: Workload) -> Family:
        """The family of a completed workload."""
        rest, point = polynomials.sizes_of(workload)
        key = (workload.architecture, tuple(sorted(rest.items())), tuple(point))
        with self._lock:
            if key not in self._families:
                self._families[key] = Family(workload)
            return self._families[key]

    def _region(self, workload: Workload, family: Family) -> Polynomials:
        found = family.region(family.row(workload))
        if found is None:
            law = "slopes follow from polynomials of hyperparameters"
            raise InputError(law, f"{architectures.label(workload)}, which is traced", "compare candidates instead")
        return found

    def _placed(
        self, workload: Workload, family: Family, names: Sequence[str], values: Array
    ) -> tuple[Polynomials, Array]:
        """The polynomials of a workload, and rows that are as it is but for the values of these names."""
        for name in names:
            plugins.check(name, family.names, what="hyperparameter that is a number")
        if values.ndim != 2 or values.shape[1] != len(names) or not np.isfinite(values).all():
            law = f"points have two dimensions, and a number for each of {', '.join(names) or 'none'}"
            raise InputError(law, f"shape {values.shape}" if np.isfinite(values).all() else "nan", "mend the points")
        one, rows = self._region(workload, family), np.tile(np.array(family.row(workload), float), (len(values), 1))
        for at, name in enumerate(names):
            if name not in one.variables:
                law = f"slopes are of hyperparameters that may vary there, {', '.join(one.variables) or 'none'}"
                raise InputError(law, f"{name} of {architectures.label(workload)}", "compare candidates instead")
            rows[:, family.names.index(name)] = values[:, at]
        return one, rows

    def _smooth(self, family: Family, one: Polynomials, rows: Array) -> Array:
        return self._said(family.predict(one, rows, self._asked, smooth=True))

    # Tables

    def _of_table(self, table: Table, fit: Compiled | Card) -> Array:
        if has_parts(table, self.architecture):
            each = (self._workload(first(table, {}, at)) for at in range(length(table)))
            return np.concatenate([np.zeros((0, len(TOLD))), *(self._of_workload(own, fit) for own in each)])
        out = np.empty((length(table), len(TOLD)))
        for family, rows, points, one in self._parts(table):
            if one is None:
                out[rows] = [self._of_workload(family.workload(point), fit)[0] for point in points]
                continue
            out[rows] = self._spread(partial(family.predict, one, fit=fit), points)
            for at in np.flatnonzero(np.isnan(out[rows, 0])):
                checked(family, points[at])
                out[rows[at]] = self._of_workload(family.workload(points[at]), fit)
        return out

    def _counted(self, candidates: Any) -> tuple[Array, bool]:
        """`FEATURES` of candidates, and whether it is one."""
        table = table_of(candidates, self.variables)
        if table is None and isinstance(candidates, list | tuple):
            return np.concatenate([np.zeros((0, len(FEATURES))), *(self._counted(one)[0] for one in candidates)]), False
        if table is None:
            workload = self._workload(candidates)
            found = self._sum_of(workload) if choices.names(workload.architecture) else None
            if found is not None:
                return found[None, -1 - len(FEATURES) : -1], True
            family = self._family_of(workload)
            return self._count(family, family.region(family.row(workload)), np.array([family.row(workload)])), True
        if has_parts(table, self.architecture):
            return np.concatenate([self._counted(first(table, {}, at))[0] for at in range(length(table))]), False
        out = np.empty((length(table), len(FEATURES)))
        for family, rows, points, one in self._parts(table):
            out[rows] = self._count(family, one, points)
        return out, False

    def _count(self, family: Family, one: Polynomials | None, points: Array) -> Array:
        if one is not None:
            return self._spread(partial(family.count, one), points.astype(float))
        workloads = map(family.workload, points)
        traces = (self._source(own, None, own.batch_size) for own in workloads)
        return np.array([[*trace.features().values()] for trace in traces])

    def _parts(self, table: Table) -> Iterator[tuple[Family, NDArray[np.intp], Array, Polynomials | None]]:
        """The rows of a table by family and region: their positions, their points, and the polynomials that hold."""
        for words, rows in by_words(table, self.architecture):
            workload = self._workload(first(table, words, rows[0]))
            family = self._family_of(workload)
            points = np.tile(np.array(family.row(workload), dtype=float), (len(rows), 1))
            fill(points, family.names, table, words, rows)
            if len(rows) <= _FEW:
                for point in np.unique(points, axis=0):
                    checked(family, point)
            while len(rows):
                one = family.region(points[0])
                if one is None:
                    here = (points == points[0]).all(axis=1)
                else:
                    here = family.regions.holds(one, dict(zip(family.names, points.T, strict=True)))
                if here.all():
                    yield family, rows, points, one
                    break
                yield family, rows[here], points[here], one
                rows, points = rows[~here], points[~here]

    def _spread(self, work: Callable[[Array], Array], points: Array) -> Array:
        """What a function says of rows, in threads where they are many."""
        workers = self.workers or len(os.sched_getaffinity(0))
        size = min(_CHUNK, -(-len(points) // workers))
        parts = [points[at : at + size] for at in range(0, len(points), max(size, 1))]
        if len(points) < _MANY or workers == 1:
            found = list(map(work, parts))
        else:
            with ThreadPoolExecutor(workers) as pool:
                found = list(pool.map(work, parts))
        return np.concatenate(found)

    # Files and workers

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cost, with the polynomials derived so far, to a file that `load` reads in a moment, without torch.

        Raises `DataError` where it cannot be written.
        """
        state = self._state()
        fit = state.pop("fit")
        arrays: dict[str, Any] = {f"fit.{name}": value for name, value in _arrays(fit).items()}
        arrays |= {"levels": state.pop("levels"), "ratios": state.pop("ratios")}
        record = {"format": FORMAT, "schema": SCHEMA, "code": _code(), "kind": type(fit).__name__, **state}
        content = io.BytesIO()
        np.savez(content, **{**arrays, "record": np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)})
        files.write(path, content.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyCost:
        """The cost that `save` wrote; runs no code from the file. Raises `DataError` for any other file."""
        law, cure = "a cost's file is one that LatencyCost.save wrote", "save it again"
        content = files.read(path, law=law, do=cure, most=limits.MOST_BYTES)
        try:
            arrays = _unzipped(content)
            record = dict(values.mapping(files.parse_json(arrays.pop("record").tobytes()), "the record"))
            if record.pop("format") != FORMAT:
                raise ValueError("another format")
            values.check_schema(record.pop("schema"), SCHEMA, what=f"costs ({path})", again=cure)
            if record.pop("code") != _code():
                raise DataError("this version reads costs that it saved itself", f"{path}: another version's", cure)
            kind = {"Compiled": Compiled, "Card": Card}[record.pop("kind")]
            fit = _from_arrays(kind, {name.removeprefix("fit."): value for name, value in arrays.items()})
            cost = cls.__new__(cls)
            cost._restore({**record, "fit": fit, "levels": arrays["levels"], "ratios": arrays["ratios"]})
        except DataError:
            raise
        except _UNREADABLE as error:
            raise DataError(law, f"{path}: {type(error).__name__}: {error}"[:300], cure) from error
        return cost

    def __getstate__(self) -> dict[str, Any]:
        return self._state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._restore(state)

    def _state(self) -> dict[str, Any]:
        with self._lock:
            return {
                "platform": dataclasses.asdict(self.platform),
                "quantile": self.quantile,
                "strict": self.strict,
                "batch_size": self.batch_size,
                "architecture": self.architecture,
                "variables": list(self.variables),
                "workers": self.workers,
                "noted": self._noted,
                "choices": [[one.base.to_record(), one.to_record()] for one in set(self._choices.values())],
                "families": [[one.like.to_record(), one.regions.to_record()] for one in self._families.values()],
                "fit": self._fit,
                "levels": self._levels,
                "ratios": self._ratios,
            }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.platform = Platform(**state["platform"])
        self.quantile, self.strict = state["quantile"], bool(state["strict"])
        self.batch_size, self.architecture = state["batch_size"], state["architecture"]
        self.variables, self.workers = _checked_names(state["variables"]), state["workers"]
        self._check()
        self._noted, self._fit = values.text(state["noted"], "the note", most=10_000), state["fit"]
        self._levels, self._ratios = state["levels"], state["ratios"]
        _check_ratios(self._levels, self._ratios)
        self._begin()
        for base, record in values.listed(state["choices"], "choices"):
            self._choices_of(_registered(base)).take(record)
        for like, regions in values.listed(state["families"], "families"):
            self._family_of(_registered(like)).regions.take(regions)


def _registered(record: Any) -> Workload:
    """The completed workload of a record; raises `InputError` for one that lies elsewhere: no file names another."""
    own = Workload.from_record(record)
    plugins.check(own.architecture, architectures.names(), what="architecture")
    return architectures.complete(own)


def _check_ratios(levels: Array, ratios: Array) -> None:
    """Raise `ValueError` unless ratios are log ratios for levels and `KINDS`, larger for higher levels."""
    if {ratios.dtype, levels.dtype} != {np.dtype(float)}:
        raise ValueError("ratios that are no numbers")
    values.within(values.shaped(levels, "levels", (3,)), "levels", (0.0, 1.0))
    values.within(values.shaped(ratios, "ratios", (3, len(KINDS))), "ratios", limits.MISS)
    if not levels[0] < levels[1] or (np.diff(ratios[np.argsort(levels, kind="stable")], axis=0) < 0).any():
        raise ValueError("levels out of order")


_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f8|<f4|<i8|<i4|\|u1)', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,9}, )*(?:\d{1,9},?)?)\), \} *\n",
    re.DOTALL,
)


def _unzipped(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file of ``numpy.savez`` by name, of the types that `LatencyCost.save` writes, none compressed.

    Nothing is made room for but what is there. Raises `ValueError`, or what `zipfile` raises, for any other file.
    """
    found = {}
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        entries = packed.infolist()
        plain = all(one.compress_type == zipfile.ZIP_STORED and not one.flag_bits & 1 for one in entries)
        if len(entries) > _MOST_ARRAYS or not plain or sum(one.file_size for one in entries) > len(content):
            raise ValueError("other arrays than those of a cost")
        for one in entries:
            own = packed.read(one)
            header = _HEADER.match(own)
            if header is None or one.filename.removesuffix(".npy") in found:
                raise ValueError(f"no array in {one.filename[:40]!r}")
            kind, order, extents = (group.decode() for group in header.groups())
            shape = tuple(map(int, filter(None, extents.replace(" ", "").split(","))))
            array = np.frombuffer(own, kind, offset=header.end())
            if array.size != math.prod(shape):
                raise ValueError(f"{one.filename[:40]!r} has another shape than it says")
            found[one.filename.removesuffix(".npy")] = array.reshape(
                shape, order="F" if order == "True" else "C"
            ).copy()
    return found


def _guarded(seconds: Array) -> Array:
    """Seconds that calls can take; raises `DataError` for others (`ftax_model.modeling.limits.check_calls`)."""
    if seconds.size == 1:
        good = limits.CALL_S[0] <= seconds.item() <= limits.CALL_S[1]
    else:
        good = not seconds.size or bool(limits.CALL_S[0] <= seconds.min() and seconds.max() <= limits.CALL_S[1])
    if not good:
        limits.check_calls(seconds)
    return seconds


def _keeps(cost: LatencyCost, budget: float, candidates: Any) -> Any:
    return cost(candidates) <= budget


def _exceeds(cost: LatencyCost, budget: float, candidates: Any) -> Any:
    return np.maximum(cost(candidates) / budget - 1, 0.0)


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of variables; raises `InputError` for anything else."""
    found = tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise InputError("variables are a list of names", repr(names), "write them in brackets")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _positive(what: str, value: float) -> None:
    if not (_is_number(value) and value > 0):
        raise InputError(f"a {what} is above zero seconds", repr(value), "give another")


def _code() -> str:
    """The version of what a file's numbers mean."""
    return hashlib.sha256(" ".join([*features.COLUMNS, *kernels.COLUMNS, *NUMBERS]).encode()).hexdigest()[:16]


def _arrays(fit: Compiled | Card) -> dict[str, NDArray[Any]]:
    """The arrays of a fit by name, those of trees by two."""
    found: dict[str, NDArray[Any]] = {}
    for name, value in fit._asdict().items():
        if isinstance(value, Forest):
            found |= {f"{name}.{own}": one for own, one in value._asdict().items()}
        else:
            found[name] = np.asarray(value)
    return found


def _from_arrays(kind: type[Compiled] | type[Card], arrays: Mapping[str, NDArray[Any]]) -> Compiled | Card:
    """The fit that `_arrays` took apart."""
    values: dict[str, Any] = {}
    for name in kind._fields:
        if name in arrays:
            values[name] = arrays[name] if arrays[name].ndim else arrays[name].item()
        else:
            values[name] = Forest(**{own: arrays[f"{name}.{own}"] for own in Forest._fields})
    found = kind(**values)
    compiled.check(found)
    return found
