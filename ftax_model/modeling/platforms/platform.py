"""PlatformFit: all that was learnt of one platform, from no rows to thousands, and by how much it misses.

One way for all: costs begin where known machines let expect (`ftax_model.modeling.platforms.known`) and move to what
the rows say; with no rows the beginning is the answer, with ten it is a calibration, with thousands the rows have the
say. The interval follows from how uncertain costs still are, how much single workloads are missed, and how well both
held on machines and models that were left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from ftax_model import values
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.correction import CorrectedModel, composition, have_operators, trees_from
from ftax_model.modeling.estimators.law import Array, feature_names, latency, shares
from ftax_model.modeling.estimators.operators import NOISE, OperatorModel
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import EVERY, Errors, kinds
from ftax_model.modeling.limits import COUNT
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.known import (
    ACROSS,
    COLUMNS,
    INSTEAD,
    MANY_ROWS,
    OWN_TREES,
    Key,
    Known,
    design,
    domain_from,
    domain_of,
    kind_of,
    law,
    learn,
    nearest,
    platform_from,
    platform_of,
    weights,
)
from ftax_model.modeling.rows import PLATFORM, UNKNOWN, UNKNOWN_SHARE, WAY, folds
from ftax_model.operators import Trace
from ftax_model.tracing import features
from ftax_model.values import listed, reading
from ftax_model.workload import DTYPES, MAX_BATCH_SIZE

FAR = 4.0
"""A feature is far outside the data when it is this many times below the smallest or above the largest measured."""

JOINT = "; "
"""Between what is noted of a prediction."""

CALL = "(the call as a whole)"
"""Stands for what of a call no operator has: its beginning, and weights beyond caches."""

ODD_OCTAVES = 3.0
"""Octaves by which an extent of a group of operators lies outside of all measured to be far outside."""

EXTENTS = ("m", "k", "n", "matrices", "kernel", "stride")
A_PART = 0.1  # of the predicted time

FAMILY = "architecture"
"""Column of what is left out together, beside models."""

BLOCK = "block"
"""Value of ``family`` of architectures that are single layers: they teach what operators cost, and are always seen."""

CLEARLY = 0.9
"""Share of the error of operators below which the law alone is taken."""

OWN_ERRORS = 200
"""Rows of a platform left out in turn that make errors of its own; with fewer, those on machines left out stand."""

LEAST_TIMES, MOST_TIMES = 0.85, 3.0
"""How much narrower and wider the errors on other machines may become by how a platform's own rows are missed."""

DEAREST = 20.0
"""Times that a byte moved by operators of unknown cost may take of a usual one, at the end of the interval.

The dearest group of operators takes up to 19 times as long a byte as the middle one (onnxruntime on CPUs).
"""

_LONGEST = 10_000  # characters of an origin, which names all machines
_EVIDENCE = 20.0  # rows of a platform's own that say as much of its errors as other machines do
_ENOUGH = 300  # misses from which it can be told where they are large
_LEAST_MISS = 0.02  # of a log ratio, below which a miss is luck
_SCALE_TREES = 60
_LAW_ROWS, _LAW_MODELS = 20, 4  # of its own from which the law may be all of the answer


class Model(Protocol):
    """What answers for the operators of a call: `CorrectedModel` on CPUs, `KernelModel` on GPUs."""

    @property
    def overlap_(self) -> float:
        """The exponent p."""

    def holds(self, X: pd.DataFrame, /) -> NDArray[np.bool_]:
        """Which rows hold what it looks at."""

    def times(self, X: pd.DataFrame, /) -> pd.DataFrame:
        """``host_s``, ``device_s``, ``memory_s`` and ``constant_s`` of each row."""

    def attribute(self, trace: Trace, X: pd.DataFrame, /, *, itemsize: int = 4) -> pd.DataFrame:
        """What each operator of a trace, whose row is X, costs, as far as it can be told apart."""

    def composition(self, X: pd.DataFrame, /) -> Array:
        """What rows are made of, in numbers."""

    def uncertainty(self, X: pd.DataFrame, /) -> Array:
        """Standard deviation of log latency that follows from that of the costs."""

    def unknown(self, X: pd.DataFrame, /) -> list[list[str]]:
        """For each row the groups of operators that no row of the fit had."""

    def lacking(self) -> list[str]:
        """What no row of the fit held."""


class Knowledge(Protocol):
    """What other platforms say: `Known` of CPUs, `KnownGpus`."""

    @property
    def framework(self) -> str:
        """The framework."""

    @property
    def residual_scale(self) -> Trees | None:
        """By how much a row is missed, from its composition."""

    @property
    def sample(self) -> pd.DataFrame:
        """Workloads that stand for what people run."""


@dataclass(frozen=True)
class PlatformFit:
    """What was learnt of one platform.

    ``law`` is the law on the features of traces; ``model`` the operators and their correction, ``None`` where the law
    predicts as well or operators are not known. ``errors`` are log ratios of measured over predicted of what was left
    out, in units of what was `expected`. ``domain`` holds the smallest and largest value of each feature measured;
    ``largest_batch`` the largest batch measured. ``known`` is what other platforms of the framework say, and ``origin``
    how its costs began. ``caveat`` is noted with each prediction. ``n_rows`` is 0 of a platform that was not measured.
    """

    platform: Platform
    law: RegimeModel
    model: Model | None
    known: Knowledge | None
    errors: Errors
    domain: Mapping[str, tuple[float, float]]
    largest_batch: int
    n_rows: int
    n_models: int
    origin: str = ""
    caveat: str = ""

    def constants(self) -> dict[str, Any]:
        """What an operator, a MAC and a byte cost on this platform, each with its standard error (``_se``).

        Seconds, MACs per second and bytes per second; ``overlap`` is p. ``None`` for a rate whose coefficient is 0 (its
        cost could not be seen), for an infinite p, and for a standard error that cannot be told.
        """
        values, errors = self.law.parameters_, self.law.standard_errors_
        own: dict[str, float | None] = {}
        for name, column in (("fixed_s", "intercept"), ("overhead_per_op_s", "n_ops"), ("overlap", "overlap")):
            own |= {name: _finite(values.get(column, 0.0)), f"{name}_se": _finite(errors.get(column, math.nan))}
        for column in COLUMNS[1:]:
            rate = 1 / values[column] if values.get(column) else math.inf
            error = rate * rate * errors.get(column, math.nan)
            own |= {f"{column}_per_s": _finite(rate), f"{column}_per_s_se": _finite(error)}
        return {"platform": str(self.platform), **own, "n_rows": self.n_rows, "n_models": self.n_models}

    def estimate(self, rows: pd.DataFrame) -> pd.DataFrame:
        """For each row the seconds and the regime of `parts`, ``outside`` (of what was measured), and ``notes``.

        Rows that lack the columns of operators get the law's answer.
        """
        known = self.has_operators(rows) if self.model is not None else np.zeros(len(rows), dtype=bool)
        pairs = [(self.law, np.flatnonzero(~known)), (self.model, np.flatnonzero(known))]
        answers = [parts(model, rows.iloc[own]) for model, own in pairs if model is not None and len(own)]
        found = pd.concat(answers).iloc[np.argsort(np.concatenate([own for _, own in pairs]))]
        far = self.notes(rows)
        said = (
            self.caveat or self.partly() or ("" if self.n_rows else f"of a platform never measured (by {self.origin})")
        )
        own_ways = rows[WAY].fillna("") if WAY in rows else [""] * len(rows)
        ways = [f"traced on {way}" if way else "" for way in own_ways]
        notes = [JOINT.join(filter(None, (own, said, way))) for own, way in zip(far, ways, strict=True)]
        outside = [bool(own or way) for own, way in zip(far, ways, strict=True)]
        return found.assign(outside=outside, notes=np.array(notes, dtype=object))

    def partly(self) -> str:
        """What to hold against a law whose rows lacked features."""
        columns = [name for name in self.law.parameters_ if name not in ("intercept", "overlap")]
        return (
            "" if {*COLUMNS} <= {*columns} else f"by {', '.join(columns)} alone, all that was told of what was measured"
        )

    def quantiles(self, rows: pd.DataFrame, estimate: pd.DataFrame, levels: Sequence[float]) -> list[Array]:
        """For each level the log ratios to the estimates of rows below which such a share of measurements lies."""
        kind, expected = kinds(estimate["regime"], estimate["outside"]), self.expected(rows)
        share = rows[UNKNOWN_SHARE].fillna(0.0).to_numpy(float) if UNKNOWN_SHARE in rows else np.zeros(len(rows))
        dearer = np.log1p(DEAREST * share)
        return [self.errors.quantile(level, kind) * expected + dearer * max(2 * level - 1, 0) for level in levels]

    def expected(self, rows: pd.DataFrame) -> Array:
        """The absolute log ratio that is expected of each row, shape (n_rows,); 1 where the law is the answer.

        How far costs are still open, and by how much such a workload is missed where they are not.
        """
        found = np.ones(len(rows))
        known = self.has_operators(rows)
        if self.model is not None and known.any():
            found[known] = expected(self.model, self.known, rows[known])
        return found

    def attribute(self, trace: Trace, row: pd.DataFrame) -> pd.DataFrame:
        """Where the predicted time of a call goes: one row an operator, in order, and a last one for the whole call.

        ``layer``, ``kind`` and ``group``; ``host_s`` and ``device_s``, which sum to the two terms of `estimate`; and
        ``latency_s``, what of the latency that makes, which sums to it. ``row`` holds what the fit sees of the call.
        """
        (said,) = self.estimate(row).to_dict("records")
        if self.model is not None and self.has_operators(row)[0]:
            found, p = self.model.attribute(trace, row, itemsize=DTYPES[self.platform.dtype]), self.model.overlap_
        else:
            found, p = _by_law(self.law, trace), self.law.overlap_
        rest = {term: said[term] - found[term].sum() for term in ("host_s", "device_s")}
        found.loc[len(found)] = {"layer": CALL, "kind": CALL, "group": CALL, **rest}
        host, device = shares(said["host_s"], said["device_s"], p)
        return found.assign(latency_s=host * found["host_s"] + device * found["device_s"])

    def expected_errors(self) -> dict[str, float]:
        """Median relative error to be expected of workloads like those that machines were learnt from, by regime.

        ``all`` holds that of all of them; empty where the law is the answer.
        """
        if self.model is None or self.known is None:
            return {}
        sample = self.known.sample
        found = pd.DataFrame({"regime": parts(self.model, sample)["regime"], "expected": self.expected(sample)})
        usual = float(np.median(np.abs(self.errors.by_kind[EVERY])))
        by_regime = found.groupby("regime")["expected"].median()
        own = {"all": found["expected"].median(), **by_regime}
        return {str(regime): float(np.expm1(usual * value)) for regime, value in own.items()}

    def lacking(self) -> list[str]:
        """Classes of operators that no row measured here holds, so that their costs are what other machines pay."""
        return [] if self.model is None else self.model.lacking()

    def notes(self, rows: pd.DataFrame) -> list[str]:
        """Why to trust a prediction of each row less; empty where there is no reason."""
        far = _far(rows, self.domain)
        unknown: list[list[str]] = [[] for _ in range(len(rows))]
        known = self.has_operators(rows)
        if self.model is not None and known.any():
            for at, groups in zip(np.flatnonzero(known).tolist(), self.model.unknown(rows[known]), strict=True):
                unknown[at] = groups
        shapes: list[list[str]] = [[] for _ in range(len(rows))]
        if isinstance(self.model, CorrectedModel) and known.any():
            for at, groups in zip(np.flatnonzero(known).tolist(), self._odd_shapes(rows[known]), strict=True):
                shapes[at] = groups
        told = self.n_rows or not isinstance(self.model, CorrectedModel)  # else none were: the whole platform is new
        costless = list(rows[UNKNOWN].fillna("")) if UNKNOWN in rows else [""] * len(rows)
        found = []
        for at in range(len(rows)):
            names = [name for name, own in far.items() if own[at]]
            said = [f"far outside the data in {', '.join(names)}"] if names else []
            said += [f"far outside the data in shapes of {', '.join(shapes[at])}"] if shapes[at] else []
            said += [f"of operators never measured ({', '.join(unknown[at])})"] if unknown[at] and told else []
            said += [f"of operators never measured, of unknown cost: {costless[at]}"] if costless[at] else []
            found.append(JOINT.join(said))
        return found

    def _odd_shapes(self, rows: pd.DataFrame) -> list[list[str]]:
        """For each row the groups of operators that take a part of its time in shapes that were not measured."""
        assert isinstance(self.model, CorrectedModel)
        shares = self.model.structure_.terms(rows).shares
        found: list[list[str]] = [[] for _ in range(len(rows))]
        for at, group in enumerate(features.QUANTITIES):
            names = [name for name in (f"{group}.{extent}~" for extent in EXTENTS) if name in self.domain]
            if not names:
                continue
            values, (low, high) = rows[names].to_numpy(float), np.array([self.domain[name] for name in names]).T
            far = ((values < low - ODD_OCTAVES) | (values > high + ODD_OCTAVES)).any(axis=1)
            for row in np.flatnonzero(far & (shares[:, at] > A_PART)):
                found[row].append(group)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, without what is ``known``; `from_dict` is the way back."""
        own = self.model if isinstance(self.model, CorrectedModel) else None
        known = self.known if isinstance(self.known, Known) else None
        shared = len(known.trees) if known else 0
        return {
            "platform": dataclasses.asdict(self.platform),
            "known": list(known.key) if known else None,
            "law": self.law.to_dict(),
            "structure": own.structure_.to_dict(covariance=self.n_rows < MANY_ROWS) if own else None,
            "trees": [one.to_dict() for one in own.trees_[shared:]] if own else [],
            "errors": self.errors.to_dict(),
            "domain": dict(self.domain),
            "largest_batch": self.largest_batch,
            "n_rows": self.n_rows,
            "n_models": self.n_models,
            "origin": self.origin,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], known: Mapping[Key, Known]) -> PlatformFit:
        """The fit that `to_dict` wrote; raises `DataError` for anything else."""
        with reading("a platform", do="fit the predictor again"):
            key, structure = record["known"], record["structure"]
            framework, kind = (None, None) if key is None else listed(key, "what is known", most=2)
            own = None if key is None else known[str(framework), str(kind)]
            trees, model = trees_from(record["trees"]), None
            if structure is not None:
                model = own.model() if own else CorrectedModel(trees=0)
                model.structure_ = OperatorModel.from_dict(structure)
                model.trees_ = (*(own.trees if own else ()), *trees)
            fitted = RegimeModel.from_dict(record["law"])
            if fitted.compute is None or not {*feature_names(fitted)} <= {*COLUMNS, *INSTEAD.values()}:
                raise ValueError("a law of other columns")
            return cls(
                platform=platform_from(record["platform"]),
                law=fitted,
                model=model,
                known=own,
                errors=Errors.from_dict(record["errors"]),
                domain=domain_from(record["domain"]),
                largest_batch=values.whole(record["largest_batch"], "the largest batch", (1, MAX_BATCH_SIZE)),
                n_rows=values.whole(record["n_rows"], "the number of rows", COUNT),
                n_models=values.whole(record["n_models"], "the number of models", COUNT),
                origin=values.text(record["origin"], "the origin", most=_LONGEST),
            )

    def has_operators(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows hold what the model looks at."""
        return have_operators(rows) if self.model is None else self.model.holds(rows)


def expected(model: Model, known: Knowledge | None, rows: pd.DataFrame) -> Array:
    """As `PlatformFit.expected`, of rows that hold the columns of operators."""
    miss = np.full(len(rows), NOISE)
    if known is not None and known.residual_scale is not None:
        miss = np.exp(known.residual_scale.predict(model.composition(rows)))
    return np.asarray(np.hypot(miss, model.uncertainty(rows)))


def adapt(rows: pd.DataFrame, known: Mapping[Key, Known], *, own_trees: bool = True) -> dict[Platform, Fitted]:
    """The models of all platforms in rows of one or more machines, from what is known and these rows.

    Those in the precision and threads that others are told from come first, each by itself, then from what the rows of
    the other frameworks say of the machine; the others begin there. Platforms of which nothing alike is known are left
    out.
    """
    groups = {platform_of(part): part for _, part in rows.groupby(list(PLATFORM))}
    order = sorted(groups, key=lambda one: _rank(one, known))
    plain = [one for one in order if not _rank(one, known)[0]]
    alone = {one: fit_one(one, groups[one], known, {}, own_trees=False) for one in plain}
    seen = {platform: fitted for platform, fitted in alone.items() if fitted is not None}
    found: dict[Platform, Fitted] = {}
    for platform in order:
        others = seen if platform in plain else found
        fitted = fit_one(platform, groups[platform], known, others, own_trees=own_trees)
        if fitted is not None:
            found[platform] = fitted
    return found


@dataclass(frozen=True)
class Fitted:
    """A model of one platform, what of the known it began with, and in words how."""

    model: CorrectedModel
    known: Known
    origin: str


def fit_one(
    platform: Platform,
    rows: pd.DataFrame,
    known: Mapping[Key, Known],
    others: Mapping[Platform, Fitted],
    *,
    own_trees: bool = True,
) -> Fitted | None:
    """The model of one platform from its rows, none or more; ``others`` are those of the machine that are fitted.

    ``None`` where nothing alike is known, or neither measurements nor specifications say how the platform differs.
    """
    choices = []
    for one in nearest(known, platform):
        plain = one.plain_of(platform)
        near = others.get(plain) if plain != platform else None
        begin = one.prior(platform, near=near.model.structure_ if near else None, others=_other(platform, others))
        if rows.empty and one.shift(platform) is None:
            continue
        origin = str(plain) if near else f"{one.framework} on {', '.join(one.machines)}"
        if one.framework != platform.framework:
            begin = begin.moved(np.zeros_like(begin.mean), ACROSS)
        many = len(rows) >= MANY_ROWS and platform not in one.platforms
        model = one.model(trees=OWN_TREES if own_trees and many else 0)
        model.fit(rows, rows["latency_s"] if len(rows) else [], prior=begin, weight=weights(rows))
        choices.append(Fitted(model, one, origin))
    if not choices:
        return None
    if choices[0].known.framework == platform.framework:
        return choices[0]
    if rows.empty:
        return None
    measured = np.log(rows["latency_s"].to_numpy(float))
    return min(choices, key=lambda one: float(np.abs(np.log(one.model.predict(rows)) - measured).mean()))


def _other(platform: Platform, fits: Mapping[Platform, Fitted]) -> list[tuple[Known, OperatorModel]]:
    """What other frameworks' costs are on the same machine, each in the precision and threads that it is told from."""
    return [
        (fitted.known, fitted.model.structure_)
        for one, fitted in fits.items()
        if one.device == platform.device and one.framework != platform.framework and fitted.known.plain_of(one) == one
    ]


def _rank(platform: Platform, known: Mapping[Key, Known]) -> tuple[bool, str]:
    one = known.get((platform.framework, kind_of(platform.device)))
    return one is None or not one.is_plain(platform), str(platform)


def finished(
    platform: Platform,
    fitted: Fitted | None,
    rows: pd.DataFrame,
    left_out: pd.DataFrame,
    *,
    fresh: bool = False,
) -> PlatformFit:
    """The whole of what was learnt of a platform.

    ``rows`` are those measured of it, ``left_out`` the same, predicted by models that had not seen them
    (`leave_out`, and `with_law`), none where there are too few. Where the law alone does clearly better, it is the
    answer. ``fresh`` says that nothing was known before these rows.
    """
    enough = len(rows) >= _LAW_ROWS and rows["model"].nunique() >= _LAW_MODELS
    if fitted is not None and len(left_out) and enough:
        by_law = float(left_out["law_ratio"].abs().median())
        if by_law < CLEARLY * float(left_out["ratio"].abs().median()):
            fitted = None
    if fitted is None or fresh or len(rows) >= MANY_ROWS:
        own_law = law(rows).fit(design(rows), rows["latency_s"].to_numpy(float), groups=rows.get("model"))
    else:  # what a few rows make of the known machines' workloads tells rates that the rows alone could not
        sample = pd.concat([fitted.known.sample, rows[have_operators(rows)]])[[*fitted.known.sample.columns]]
        own_law = law(sample).fit(design(sample), fitted.model.predict(sample))
    if fitted is None:
        ratios = left_out["law_ratio"] if len(left_out) else _residuals(own_law, rows)
        regime = parts(own_law, left_out if len(left_out) else rows)["regime"]
        errors = Errors.of(ratios, regime)
    else:
        errors = errors_of(fitted.known, len(rows), left_out)
    domain = domain_of(rows) if len(rows) else {}
    if fitted is not None:
        low_high = [fitted.known.domain, domain] if domain else [fitted.known.domain]
        names = dict.fromkeys(name for one in low_high for name in one)
        told = {name: [one[name] for one in low_high if name in one] for name in names}
        domain = {name: (min(low for low, _ in own), max(high for _, high in own)) for name, own in told.items()}
    largest = int(rows["batch_size"].max()) if len(rows) else 1
    return PlatformFit(
        platform=platform,
        law=own_law,
        model=fitted.model if fitted else None,
        known=fitted.known if fitted else None,
        errors=errors,
        domain=domain,
        largest_batch=max(largest, fitted.known.largest_batch if fitted and not fresh else 1),
        n_rows=len(rows),
        n_models=int(rows["model"].nunique()) if "model" in rows else 0,
        origin="" if fitted is None or fresh else fitted.origin,
    )


def errors_of(known: Known | None, count: int, left_out: pd.DataFrame) -> Errors:
    """Errors of a platform in units of what is expected: its own where enough, else those on machines left out.

    The latter are those after as many rows, ``count``, and are wider or narrower as far as the platform's own few rows,
    ``left_out``, are missed by more or less. Without ``known`` they are its own in any case.
    """
    own = left_out["ratio"] / left_out["expected"] if len(left_out) else pd.Series(dtype=float)
    elsewhere = known.errors_after(count) if known is not None else None
    if len(own) >= OWN_ERRORS or (elsewhere is None and len(own)):
        return Errors.of(own, kinds(left_out["regime"], left_out["outside"]))
    if elsewhere is None:
        return Errors.normal()
    if not len(own):
        return elsewhere
    usual = float(np.median(np.abs(elsewhere.by_kind[EVERY])))
    ratio = math.log(max(float(own.abs().median()), 1e-3) / usual)
    times = math.exp(ratio * len(own) / (len(own) + _EVIDENCE))
    return elsewhere.times(min(max(times, LEAST_TIMES), MOST_TIMES))


def _residuals(own_law: RegimeModel, rows: pd.DataFrame) -> Array:
    return np.asarray(np.log(rows["latency_s"].to_numpy(float) / own_law.predict(design(rows))))


def leave_out(
    rows: pd.DataFrame,
    *,
    by: str,
    known: Mapping[Key, Known] | None = None,
    profiles: pd.DataFrame | None = None,
    most: int = 10,
    jobs: int | None = 1,
) -> pd.DataFrame:
    """Rows of any platforms, each predicted by models that saw nothing of its ``by``; in ``most`` turns at most.

    Without ``known``, what is known is learnt in each turn from the rest of the rows. Returns the rows that could be
    predicted with ``predicted_s``, ``regime`` as predicted, ``outside`` (of what the fit had seen), ``ratio``, log of
    measured over predicted, ``uncertainty`` (that of the costs), and ``host_part_s``, ``device_part_s`` and
    ``constant_part_s`` of the prediction.
    """
    pairs = list(turns(rows, by=by, most=most))
    found = in_parallel(
        (delayed(predict_left_out)(rows.iloc[train], rows.iloc[test], known, profiles) for train, test in pairs),
        jobs=jobs,
    )
    return pd.concat([one for one in found if len(one)]).sort_index() if any(map(len, found)) else rows[:0]


def turns(rows: pd.DataFrame, *, by: str, most: int = 10) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions to learn from and to predict, where ``by`` is left out; single layers are no family of their own."""
    return folds(rows[by], always=rows["family"] == BLOCK if by == FAMILY else None, most=most)


def enough_families(rows: pd.DataFrame) -> bool:
    """Whether there are so many families, beside single layers, that leaving one out says something."""
    return "family" in rows and bool(rows.loc[rows["family"] != BLOCK, FAMILY].nunique() > 3)


def predict_left_out(
    seen: pd.DataFrame,
    unseen: pd.DataFrame,
    known: Mapping[Key, Known] | None = None,
    profiles: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What models of the rows ``seen`` say of rows ``unseen`` (see `leave_out`)."""
    own = learn(seen, profiles) if known is None else known
    fitted = adapt(seen, own)
    found = []
    for _, part in unseen.groupby(list(PLATFORM)):
        platform = platform_of(part)
        one = fitted.get(platform) or fit_one(platform, part[:0], own, fitted)
        if one is not None:
            found.append(_judged(one, part))
    return pd.concat(found) if found else unseen[:0]


def _judged(fitted: Fitted, rows: pd.DataFrame) -> pd.DataFrame:
    model = fitted.model
    said = parts(model, rows)
    outside = np.any(list(_far(rows, fitted.known.domain).values()), axis=0)
    outside |= np.array([bool(groups) for groups in model.structure_.unknown(rows)], dtype=bool)
    return rows.assign(
        predicted_s=said["latency_s"],
        regime=said["regime"],
        outside=outside,
        ratio=np.log(rows["latency_s"].to_numpy(float) / said["latency_s"].to_numpy()),
        uncertainty=model.structure_.uncertainty(rows),
        host_part_s=said["host_s"],
        device_part_s=said["device_s"],
        constant_part_s=said["constant_s"],
    )


def learn_residual_scale(
    missed: pd.DataFrame, reference: OperatorModel, telling: NDArray[np.bool_]
) -> tuple[Trees | None, Array]:
    """Trees that say by how much a row is missed (log of the absolute log ratio), and what they say of these rows.

    They grow on the rows that are ``telling``. What is said of a row comes from trees that saw nothing of its family,
    or of its model where families are few. Of few rows nothing can be learnt: no trees then, and all rows are alike.
    """
    if telling.sum() < _ENOUGH:
        return None, np.full(len(missed), NOISE)
    rows, target = composition(reference, missed), np.log(missed["ratio"].abs().to_numpy() + _LEAST_MISS)
    groups = missed[FAMILY] if missed[FAMILY].nunique() > 3 else missed["model"]
    scale = np.ones(len(missed))
    for train, test in folds(groups, most=5):
        seen = train[telling[train]]
        scale[test] = np.exp(Trees.fit(rows[seen], target[seen], count=_SCALE_TREES).predict(rows[test]))
    return Trees.fit(rows[telling], target[telling], count=_SCALE_TREES), scale


def parts(model: RegimeModel | Model, rows: pd.DataFrame) -> pd.DataFrame:
    """What a fitted model says of rows.

    ``latency_s``; ``host_s`` and ``device_s``, the two terms of the law; ``memory_s`` and ``constant_s``, what of the
    latter is traffic, and what does not grow with the batch; and ``regime``, by which of them is the largest.
    """
    if not isinstance(model, RegimeModel):
        times = model.times(rows)
        found = {name: times[name].to_numpy() for name in times}
        found["latency_s"] = latency(found["host_s"], found["device_s"], model.overlap_)
    else:
        X = design(rows)
        found = {
            "latency_s": model.predict(X),
            "host_s": model.host_s(X),
            "device_s": model.device_s(X),
            "memory_s": model.device_s(X.assign(macs=0.0)),
            "constant_s": model.device_s(X.assign(**{str(name): 0.0 for name in model.compute or ()})),
        }
    bound = np.where(2 * found["memory_s"] > found["device_s"], "memory-bound", "compute-bound")
    regime = np.where(found["host_s"] >= found["device_s"], "framework-bound", bound)
    return pd.DataFrame({**found, "regime": regime.astype(object)}, index=rows.index)


def regimes(estimate: pd.DataFrame, sizes: pd.Series[Any], crossover: float | Array) -> NDArray[Any]:
    """The regime of each row of curves that cross over there: flat below, where host or weights make the floor."""
    flat = np.where(estimate["host_s"] >= estimate["constant_s"], "framework-bound", "memory-bound")
    grows = np.where(estimate["regime"] == "framework-bound", "compute-bound", estimate["regime"])
    return np.where(sizes < crossover, flat, grows)


def _by_law(fitted: RegimeModel, trace: Trace) -> pd.DataFrame:
    """What each operator of a trace adds to the law's terms."""
    costs = fitted.parameters_
    rows = [
        {
            "layer": one.layer,
            "kind": one.kind,
            "group": features.group(one),
            "host_s": costs.get("n_ops", 0.0),
            "device_s": sum(costs.get(name, 0.0) * getattr(one, name) for name in COLUMNS if name != "n_ops"),
        }
        for one in trace.operators
    ]
    return pd.DataFrame(rows, columns=["layer", "kind", "group", "host_s", "device_s"])


def _far(rows: pd.DataFrame, domain: Mapping[str, tuple[float, float]]) -> dict[str, NDArray[np.bool_]]:
    """For each feature of the domain, which rows lie far outside in it."""
    return {
        name: ~rows[name].astype(float).between(low / FAR, high * FAR).to_numpy()
        for name, (low, high) in domain.items()
        if name not in features.SHAPES
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
