"""PlatformFit: all that was learnt of one platform: the law, its operators, and by how much both miss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ftax_model.errors import DataError
from ftax_model.measurement import Platform
from ftax_model.modeling.estimators.correction import SITUATION, CorrectedModel, Factors
from ftax_model.modeling.estimators.crossover import compare
from ftax_model.modeling.estimators.law import Array, latency
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.estimators.transfer import Transfer
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import Errors, kinds
from ftax_model.modeling.rows import PLATFORM, folds
from ftax_model.tracing import features

LAW: Mapping[str, Any] = {
    "overhead": ("n_ops",),
    "compute": ("macs", "activation_bytes"),
    "constant": ("weight_bytes",),
    "memory": ("activation_bytes", "weight_bytes"),
}
"""Which features of the trace stand for which term of the law."""

COLUMNS = tuple(dict.fromkeys(name for names in LAW.values() for name in names))

FAR = 4.0
"""A feature is far outside the data when it is this many times below the smallest or above the largest measured."""

TREES = (0, 150)
"""Trees that correct the costs of operators: none, or so many."""

CLEARLY = 0.9
"""Share of the error of a simpler recipe below which the next one is taken."""

FAMILY = "architecture"
"""Column of what is left out together, beside models."""

BLOCK = "block"
"""Value of ``family`` of architectures that are single layers: they teach what operators cost, and are always seen."""

BREADTH = 0.5
"""Share of the models of the best known platform that another one must have been measured with to be known well."""

STRENGTH = 4.0
"""Rows that the common factor of host, compute and memory is worth."""

_DIFFICULTY_TREES = 60
_ENOUGH = 300  # misses from which it can be told where they are large
_LEAST_MISS = 0.02  # of a log ratio, below which a miss is luck


@dataclass(frozen=True)
class Recipe:
    """What a model of one platform is made of.

    The law alone; or operators with so many ``trees``; or those of ``siblings``, measured rows of a platform that is
    known better, with factors of this one's own for the time on the host, computing and moving memory. ``profiles`` are
    the platform's operators timed one by one (`ftax_model.modeling.rows.of_operators`), of which only those of calls
    that are seen are looked at.
    """

    overlap: float
    trees: int | None = None
    siblings: pd.DataFrame | None = None
    profiles: pd.DataFrame | None = None

    def fit(self, seen: pd.DataFrame, *, without: tuple[str, set[Any]] | None = None) -> RegimeModel | CorrectedModel:
        """Learn from the rows ``seen``; of siblings, rows that hold one of those values in that column stay out."""
        y = seen["latency_s"].to_numpy(float)
        if self.trees is None:
            return law().fit(design(seen), y)
        model = CorrectedModel(overlap=self.overlap, trees=self.trees)
        if self.siblings is None:
            timed = None if self.profiles is None else self.profiles[self.profiles["key"].isin(seen["key"])]
            return model.fit(seen, y, timed)
        rows = self.siblings if without is None else self.siblings[~self.siblings[without[0]].isin(without[1])]
        known = model.fit(rows, rows["latency_s"].to_numpy(float))
        return known.scaled(nearest_factors(parts(known, seen), y))


@dataclass(frozen=True)
class PlatformFit:
    """What was learnt of one platform.

    ``law`` is the law on the features of traces; ``model`` the operators and their correction, ``None`` where the law
    predicts as well. ``errors`` are those of models left out of the fit in turn, families too, in units of what
    ``difficulty`` expects of a row (of 1 without it). ``domain`` holds the smallest and largest value of each feature
    measured; ``largest_batch`` the largest batch measured. ``origin`` says of a calibrated platform which one it was
    taken over from (``known_as``), by what factors, and the median miss of the rows measured. ``assumed_spread`` is 0
    where anything was measured; of a platform that was not, the standard deviation of the log of what all its
    predictions may be off by, together.
    """

    platform: Platform
    law: RegimeModel
    model: CorrectedModel | None
    difficulty: Trees | None
    errors: Errors
    domain: Mapping[str, tuple[float, float]]
    largest_batch: int
    n_rows: int
    n_models: int
    origin: Mapping[str, Any] | None = None
    assumed_spread: float = 0.0

    def constants(self) -> dict[str, Any]:
        """What an operator, a MAC and a byte cost on this platform, each with its standard error (``_se``).

        Seconds, MACs per second and bytes per second; ``overlap`` is p. ``None`` for a rate whose coefficient is 0 (its
        cost could not be seen), for an infinite p, and for a standard error that cannot be told.
        """
        values, errors = self.law.parameters_, self.law.standard_errors_
        own: dict[str, float | None] = {}
        for name, column in (("fixed_s", "intercept"), ("overhead_per_op_s", "n_ops"), ("overlap", "overlap")):
            own |= {name: _finite(values[column]), f"{name}_se": _finite(errors[column])}
        for column in COLUMNS[1:]:
            rate = 1 / values[column] if values[column] else math.inf
            own |= {f"{column}_per_s": _finite(rate), f"{column}_per_s_se": _finite(rate * rate * errors[column])}
        return {"platform": str(self.platform), **own, "n_rows": self.n_rows, "n_models": self.n_models}

    def estimate(self, rows: pd.DataFrame) -> pd.DataFrame:
        """For each row the seconds and the regime of `parts`, ``outside`` (of what was measured), and ``notes``.

        Rows that lack the columns of operators get the law's answer.
        """
        known = self.has_operators(rows) if self.model is not None else np.zeros(len(rows), dtype=bool)
        pairs = [(self.law, np.flatnonzero(~known)), (self.model, np.flatnonzero(known))]
        answers = [parts(model, rows.iloc[own]) for model, own in pairs if model is not None and len(own)]
        found = pd.concat(answers).iloc[np.argsort(np.concatenate([own for _, own in pairs]))]
        notes = np.array(self.notes(rows), dtype=object)
        outside = notes != ""
        if self.assumed_spread:
            said = f"of a platform never measured (by specifications, from {dict(self.origin or {})['assumed_as']})"
            notes = np.where(outside, notes + " and " + said, said)
        return found.assign(outside=outside, notes=notes)

    def quantiles(self, rows: pd.DataFrame, estimate: pd.DataFrame, levels: Sequence[float]) -> list[Array]:
        """For each level the log ratios to the estimates of rows below which such a share of measurements lies."""
        kind, expected = kinds(estimate["regime"], estimate["outside"]), self.expected_miss(rows)
        found = []
        for level in levels:
            own, common = self.errors.quantile(level, kind) * expected, NormalDist().inv_cdf(level)
            found.append(np.copysign(np.hypot(own, common * self.assumed_spread), level - 0.5) if common else own)
        return found

    def expected_miss(self, rows: pd.DataFrame) -> Array:
        """The absolute log ratio that is expected of each row, shape (n_rows,); 1 where that was not learnt."""
        found = np.ones(len(rows))
        known = self.has_operators(rows)
        if self.model is not None and self.difficulty is not None and known.any():
            found[known] = np.exp(self.difficulty.predict(self.model.situation(rows[known])))
        return found

    def notes(self, rows: pd.DataFrame) -> list[str]:
        """Why to trust a prediction of each row less; empty where there is no reason."""
        far = _far(rows, self.domain)
        unknown: list[list[str]] = [[] for _ in range(len(rows))]
        known = self.has_operators(rows)
        if self.model is not None and known.any():
            for at, groups in zip(
                np.flatnonzero(known).tolist(), self.model.structure_.unknown(rows[known]), strict=True
            ):
                unknown[at] = groups
        found = []
        for at in range(len(rows)):
            names = [name for name, own in far.items() if own[at]]
            said = [f"far outside the data in {', '.join(names)}"] if names else []
            said += [f"of operators never measured ({', '.join(unknown[at])})"] if unknown[at] else []
            found.append(" and ".join(said))
        return found

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` is the way back."""
        return {
            "platform": dataclasses.asdict(self.platform),
            "law": self.law.to_dict(),
            "model": self.model.to_dict() if self.model else None,
            "difficulty": self.difficulty.to_dict() if self.difficulty else None,
            "errors": self.errors.to_dict(),
            "domain": dict(self.domain),
            "largest_batch": self.largest_batch,
            "n_rows": self.n_rows,
            "n_models": self.n_models,
            "origin": dict(self.origin) if self.origin else None,
            "assumed_spread": self.assumed_spread,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PlatformFit:
        """The fit that `to_dict` wrote; raises what reading anything else raises."""
        model, difficulty = record["model"], record["difficulty"]
        own = {
            "platform": Platform(**record["platform"]),
            "law": RegimeModel.from_dict(record["law"]),
            "model": CorrectedModel.from_dict(model) if model else None,
            "difficulty": Trees.from_dict(difficulty, features=SITUATION) if difficulty else None,
            "errors": Errors.from_dict(record["errors"]),
            "domain": {name: (float(low), float(high)) for name, (low, high) in record["domain"].items()},
        }
        return cls(**{**record, **own})

    def has_operators(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows hold the columns of operators."""
        if features.HOST[0] not in rows:
            return np.zeros(len(rows), dtype=bool)
        return rows[features.HOST[0]].notna().to_numpy()


@dataclass(frozen=True)
class Learnt:
    """What was learnt of one platform, and what it was judged by.

    ``left_out`` are its rows, each predicted by a fit that saw nothing of its model, then by one that saw nothing of
    its family where there are enough of them (`leave_out`), with the index of the rows; ``split`` says which,
    ``expected`` by how much a row was expected to be missed. ``sweeps`` are those of models left out, measured and
    predicted (`ftax_model.modeling.estimators.crossover.compare`); none where the law predicts.
    """

    fit: PlatformFit
    left_out: pd.DataFrame
    sweeps: pd.DataFrame


def fit_platform(
    rows: pd.DataFrame,
    *,
    operators: bool = True,
    siblings: pd.DataFrame | None = None,
    profiles: pd.DataFrame | None = None,
    most: int = 10,
) -> Learnt:
    """Learn from the measured rows of one platform; raises `DataError` where there are fewer than two.

    ``operators`` says whether more than the law may be learnt; ``siblings`` are rows of a platform that is known better
    and may be taken over, ``profiles`` operators timed one by one (see `Recipe`). What predicts is chosen by the error
    on models left out; families are left out in ``most`` turns.
    """
    platform = platform_of(rows)
    if len(rows) < 2:
        raise DataError(
            "a platform needs at least two measured rows", f"1 row of {platform}", "measure more: ftax collect"
        )
    fitted = law().fit(design(rows), rows["latency_s"].to_numpy(float), groups=rows["model"])
    recipe, by_model = choose(rows, operators=operators, siblings=siblings, profiles=profiles)
    learnt = recipe.fit(rows)
    model = learnt if isinstance(learnt, CorrectedModel) else None
    parts_ = [by_model.assign(split="model")]
    if enough_families(rows):
        parts_.append(leave_out(rows, recipe, by=FAMILY, most=most).assign(split="family"))
    left_out = pd.concat(parts_)
    difficulty, expected = (None, np.ones(len(left_out))) if model is None else learn_difficulty(model, left_out)
    fit = PlatformFit(
        platform=platform,
        law=fitted,
        model=model,
        difficulty=difficulty,
        errors=Errors.of(left_out["ratio"] / expected, kinds(left_out["regime"], left_out["outside"])),
        domain=_domain(rows),
        largest_batch=int(rows["batch_size"].max()),
        n_rows=len(rows),
        n_models=int(rows["model"].nunique()),
    )
    return Learnt(fit, left_out.assign(expected=expected), pd.DataFrame() if model is None else compare(by_model))


def choose(
    rows: pd.DataFrame,
    *,
    operators: bool = True,
    siblings: pd.DataFrame | None = None,
    profiles: pd.DataFrame | None = None,
) -> tuple[Recipe, pd.DataFrame]:
    """The recipe that predicts models never seen best, and what it said of them (`leave_out`)."""
    overlap = law().fit(design(rows), rows["latency_s"].to_numpy(float)).overlap_
    recipes = [Recipe(overlap)]
    if operators and features.HOST[0] in rows and rows[features.HOST[0]].notna().all() and rows["model"].nunique() > 2:
        recipes += [Recipe(overlap, trees, profiles=profiles) for trees in TREES]
        recipes += [] if siblings is None else [Recipe(overlap, TREES[-1], siblings)]
    best, least, found = recipes[0], math.inf, pd.DataFrame()
    for recipe in recipes:
        missed = leave_out(rows, recipe, by="model")
        error = float(missed["ratio"].abs().median())
        if error < CLEARLY * least:
            best, least, found = recipe, error, missed
    return best, found


def find_siblings(parts_: Sequence[pd.DataFrame], rows: pd.DataFrame) -> pd.DataFrame | None:
    """Of the rows of all platforms those of the framework's best known one; ``None`` where these rows are as many."""
    same = [part for part in parts_ if part["framework"].iloc[0] == rows["framework"].iloc[0]]
    best = max(same, key=lambda part: part["model"].nunique())
    return best if rows["model"].nunique() < BREADTH * best["model"].nunique() else None


def of_platform(profiles: pd.DataFrame | None, rows: pd.DataFrame) -> pd.DataFrame | None:
    """The operators timed one by one on the platform of these rows; ``None`` where there are none."""
    if profiles is None:
        return None
    own = profiles[(profiles[list(PLATFORM)] == rows[list(PLATFORM)].iloc[0]).all(axis=1)]
    return own if len(own) else None


def nearest_factors(times: pd.DataFrame, latency_s: Array, *, prior: Factors | None = None) -> Factors:
    """The factors, held back toward ``prior``, that bring times of a known platform nearest to measured latencies."""
    held = np.array(dataclasses.astuple(prior or Factors()))
    found = Transfer(prior=held, strength=STRENGTH).fit(three_times(times), latency_s)
    return Factors(*(float(value) for value in found.coef_))


def three_times(times: pd.DataFrame) -> Array:
    """Seconds on the host, computing, and moving memory (of `parts`), shape (n_rows, 3)."""
    memory_s = times["memory_s"].to_numpy()
    return np.column_stack([times["host_s"], np.maximum(times["device_s"] - memory_s, 0.0), memory_s])


def learn_difficulty(model: CorrectedModel, missed: pd.DataFrame) -> tuple[Trees | None, Array]:
    """Trees that say by how much a row is missed (log of the absolute log ratio), and what they say of these rows.

    What is said of a row comes from trees that saw nothing of its family, or of its model where families are few. Of
    few rows nothing can be learnt: no trees then, and all rows are alike.
    """
    if len(missed) < _ENOUGH:
        return None, np.ones(len(missed))
    rows, target = model.situation(missed), np.log(missed["ratio"].abs().to_numpy() + _LEAST_MISS)
    groups = missed[FAMILY] if missed[FAMILY].nunique() > 3 else missed["model"]
    scale = np.ones(len(missed))
    for train, test in folds(groups):
        scale[test] = np.exp(Trees.fit(rows[train], target[train], count=_DIFFICULTY_TREES).predict(rows[test]))
    return Trees.fit(rows, target, count=_DIFFICULTY_TREES), scale


def leave_out(rows: pd.DataFrame, recipe: Recipe, *, by: str, most: int = 10) -> pd.DataFrame:
    """Rows of one platform, each predicted by a fit that saw nothing of its ``by``; in ``most`` turns at most.

    Returns the rows with ``predicted_s``, ``regime`` as predicted, ``outside`` (of what the fit had seen), ``ratio``,
    log of measured over predicted, and ``host_part_s``, ``device_part_s`` and ``constant_part_s`` of the prediction.
    """
    pairs = turns(rows, by=by, most=most)
    found = [_predict_left_out(rows.iloc[train], rows.iloc[test], recipe, by) for train, test in pairs]
    return pd.concat(found).sort_index()


def turns(rows: pd.DataFrame, *, by: str, most: int = 10) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions to learn from and to predict, where ``by`` is left out; single layers are no family of their own."""
    return folds(rows[by], always=rows["family"] == BLOCK if by == FAMILY else None, most=most)


def enough_families(rows: pd.DataFrame) -> bool:
    """Whether there are so many families, beside single layers, that leaving one out says something."""
    return "family" in rows and bool(rows.loc[rows["family"] != BLOCK, FAMILY].nunique() > 3)


def _predict_left_out(seen: pd.DataFrame, unseen: pd.DataFrame, recipe: Recipe, by: str) -> pd.DataFrame:
    model = recipe.fit(seen, without=(by, set(unseen[by])))
    found = parts(model, unseen)
    outside = np.any(list(_far(unseen, _domain(seen)).values()), axis=0)
    if isinstance(model, CorrectedModel):
        outside |= np.array([bool(groups) for groups in model.structure_.unknown(unseen)], dtype=bool)
    return unseen.assign(
        predicted_s=found["latency_s"],
        regime=found["regime"],
        outside=outside,
        ratio=np.log(unseen["latency_s"].to_numpy(float) / found["latency_s"].to_numpy()),
        host_part_s=found["host_s"],
        device_part_s=found["device_s"],
        constant_part_s=found["constant_s"],
    )


def parts(model: RegimeModel | CorrectedModel, rows: pd.DataFrame) -> pd.DataFrame:
    """What a fitted model says of rows.

    ``latency_s``; ``host_s`` and ``device_s``, the two terms of the law; ``memory_s`` and ``constant_s``, what of the
    latter is traffic, and what does not grow with the batch; and ``regime``, by which of them is the largest.
    """
    if isinstance(model, CorrectedModel):
        times = model.times(rows)
        found = {name: times[name].to_numpy() for name in times}
        found["latency_s"] = latency(found["host_s"], found["device_s"], model.structure_.overlap)
    else:
        X = design(rows)
        found = {
            "latency_s": model.predict(X),
            "host_s": model.host_s(X),
            "device_s": model.device_s(X),
            "memory_s": model.device_s(X.assign(macs=0.0)),
            "constant_s": model.device_s(X.assign(**dict.fromkeys(LAW["compute"], 0.0))),
        }
    bound = np.where(2 * found["memory_s"] > found["device_s"], "memory-bound", "compute-bound")
    regime = np.where(found["host_s"] >= found["device_s"], "framework-bound", bound)
    return pd.DataFrame({**found, "regime": regime.astype(object)}, index=rows.index)


def regimes(estimate: pd.DataFrame, sizes: pd.Series[Any], crossover: float) -> NDArray[Any]:
    """The regime of each row of one curve: flat below its crossover, where host or weights make the floor."""
    flat = np.where(estimate["host_s"] >= estimate["constant_s"], "framework-bound", "memory-bound")
    grows = np.where(estimate["regime"] == "framework-bound", "compute-bound", estimate["regime"])
    return np.where(sizes < crossover, flat, grows)


def platform_of(rows: pd.DataFrame) -> Platform:
    """The platform that all rows of a part share."""
    first = rows.iloc[0]
    return Platform(str(first["framework"]), str(first["device"]), str(first["dtype"]), int(first["threads"]))


def law() -> RegimeModel:
    """The law on the trace's features, not yet fitted."""
    return RegimeModel(**LAW)


def design(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a dataset's frame that the law looks at, and the batch size."""
    return rows[[*COLUMNS, "batch_size"]].astype(float)


def _domain(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    return {name: (float(rows[name].min()), float(rows[name].max())) for name in COLUMNS}


def _far(rows: pd.DataFrame, domain: Mapping[str, tuple[float, float]]) -> dict[str, NDArray[np.bool_]]:
    """For each feature of the domain, which rows lie far outside in it."""
    return {
        name: ~rows[name].astype(float).between(low / FAR, high * FAR).to_numpy()
        for name, (low, high) in domain.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
