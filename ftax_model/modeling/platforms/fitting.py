"""Fitting: measured rows of any platforms in; what is known of frameworks, and a fit of each platform, out.

With something known the rows calibrate it; without, they are all there is, and what they know of frameworks is learnt
first. Rows are left out in turn, by model and by family, and so is each machine, for the intervals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from ftax_model.errors import DataError
from ftax_model.modeling.estimators.correction import have_operators
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.operators import NOISE
from ftax_model.modeling.judging.intervals import Errors, kinds
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.known import Key, Known, design, keys, kind_of, law, learn, platform_of
from ftax_model.modeling.platforms.platform import (
    BLOCK,
    FAMILY,
    PlatformFit,
    adapt,
    enough_families,
    finished,
    learn_residual_scale,
    leave_out,
    parts,
    predict_left_out,
    turns,
)
from ftax_model.modeling.rows import PLATFORM, folds

COUNTS = (0, 10, 40)
"""Rows of each platform of a machine left out that it is calibrated with, for the errors that intervals follow from."""

FAMILY_TURNS = 3
"""Turns in which families are left out besides."""

WHOLE_MODELS = 8
"""Whole models, of the smallest, that are among the rows which calibrate a machine; the rest are single layers."""

WHOLE_SHARE = 0.4
"""Share of those rows that are of whole models."""

FEWEST_MODELS = 3
"""Models from which more than the law is learnt, where nothing is known."""


@dataclass(frozen=True)
class Learnt:
    """What rows taught: of frameworks, of each platform, and how rows were missed that were left out in turn.

    ``left_out`` holds what `leave_out` says of rows, by ``split`` (``model`` and ``family``), with ``expected``, by how
    much a row was expected to be missed, and ``law_ratio``, by how much the law missed it. ``machines`` holds the same
    of rows of each machine left out, by the ``count`` of rows that were measured there; none where nothing was learnt
    of several.
    """

    known: dict[Key, Known]
    fits: list[PlatformFit]
    left_out: pd.DataFrame
    machines: pd.DataFrame


def fit(
    rows: pd.DataFrame,
    *,
    known: Mapping[Key, Known] | None = None,
    profiles: pd.DataFrame | None = None,
    operators: bool = True,
    families: bool = True,
    most: int = 10,
    jobs: int | None = 1,
) -> Learnt:
    """Learn from measured rows, given what is known of other machines, or nothing.

    ``operators`` says whether more than the law may be learnt; ``profiles`` are operators timed one by one (see
    `learn`). Models, and ``families`` where that is true, are left out in ``most`` turns, at most ten for models.
    Raises `DataError` where one row is all that is known of a platform.
    """
    if known is not None:
        kinds_known = {one.kind for one in known.values()}
        alike = rows["device"].map({name: kind_of(name) in kinds_known for name in rows["device"].unique()})
        if not alike.all():
            same = {"profiles": profiles, "operators": operators, "families": families, "most": most, "jobs": jobs}
            return _both(rows, alike.astype(bool), known, same)
    useful = have_operators(rows) if operators else np.zeros(len(rows), dtype=bool)
    _check_enough(rows, np.zeros(len(rows), dtype=bool) if known is None else useful)
    traced = rows[useful]
    if known is None and (traced.empty or traced["model"].nunique() < FEWEST_MODELS):
        traced = rows[:0]
    own: dict[Key, Known] = dict(known) if known is not None else learn(traced, profiles) if len(traced) else {}
    left_out = _left_out(traced, known, profiles, families=families, most=most, jobs=jobs)
    machines = _machines_left_out(traced if known is None else traced[:0], profiles, jobs=jobs)
    if known is None:
        own, left_out, machines = _with_errors(own, left_out, machines)
    elif len(left_out):
        left_out = left_out.assign(expected=_expected(left_out, own))
    models = adapt(traced, own) if len(traced) else {}
    fits = []
    for _, part in rows.groupby(list(PLATFORM)):
        platform = platform_of(part)
        judged = left_out[_of(left_out, part)] if len(left_out) else left_out
        fits.append(finished(platform, models.get(platform), part, judged, fresh=known is None))
        if fits[-1].model is None and part["model"].nunique() > 1:
            others = left_out[~_of(left_out, part)] if len(left_out) else left_out
            left_out = pd.concat(
                [others, *(_by_law(part, by=by, most=most) for by in _splits(part, families=families))]
            )
    return Learnt(own, fits, left_out, machines)


def _check_enough(rows: pd.DataFrame, told: NDArray[np.bool_]) -> None:
    """Raise `DataError` for a platform with one row that other platforms do not tell of."""
    for _, part in rows.assign(told=told).groupby(list(PLATFORM)):
        if len(part) < 2 and not part["told"].any():
            law_ = "a platform of which nothing is known needs at least two measured rows"
            raise DataError(law_, f"1 row of {platform_of(part)}", "measure more: ftax collect")


def _both(rows: pd.DataFrame, alike: pd.Series[bool], known: Mapping[Key, Known], options: Mapping[str, Any]) -> Learnt:
    """What rows teach of which some are on kinds of devices that nothing is known of."""
    found = [fit(rows[~alike], **options)]
    found += [fit(rows[alike], known=known, **options)] if alike.any() else []
    return Learnt(
        known={
            key: one
            for part in [Learnt(dict(known), [], rows[:0], rows[:0]), *found]
            for key, one in part.known.items()
        },
        fits=[one for part in found for one in part.fits],
        left_out=pd.concat([part.left_out for part in found]),
        machines=pd.concat([part.machines for part in found]),
    )


def _of(rows: pd.DataFrame, part: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of the platform of a part."""
    return (rows[list(PLATFORM)] == part[list(PLATFORM)].iloc[0]).all(axis=1)


def _splits(rows: pd.DataFrame, *, families: bool = True) -> dict[str, str]:
    """Columns that rows are left out by, with the name of that split."""
    return {"model": "model", FAMILY: "family"} if families and enough_families(rows) else {"model": "model"}


def _by_law(rows: pd.DataFrame, *, by: str, most: int) -> pd.DataFrame:
    """What `leave_out` says of the rows of one platform, by the law alone."""
    found = []
    for train, test in turns(rows, by=by, most=most):
        if len(train) < 2:
            continue
        fitted = law(rows).fit(design(rows.iloc[train]), rows["latency_s"].iloc[train])
        said = parts(fitted, rows.iloc[test])
        ratio = np.log(rows["latency_s"].iloc[test] / said["latency_s"])
        names = {"host_part_s": "host_s", "device_part_s": "device_s", "constant_part_s": "constant_s"}
        found.append(
            rows.iloc[test].assign(
                predicted_s=said["latency_s"],
                regime=said["regime"],
                outside=False,
                ratio=ratio,
                law_ratio=ratio,
                uncertainty=0.0,
                expected=1.0,
                split=_splits(rows)[by],
                **{name: said[own] for name, own in names.items()},
            )
        )
    return pd.concat(found).sort_index() if found else rows[:0]


def _left_out(
    rows: pd.DataFrame,
    known: Mapping[Key, Known] | None,
    profiles: pd.DataFrame | None,
    *,
    families: bool,
    most: int,
    jobs: int | None,
) -> pd.DataFrame:
    if len(rows) == 0 or rows["model"].nunique() < 2:
        return rows[:0]
    left_out = pd.concat(
        leave_out(
            rows, by=by, known=known, profiles=profiles, most=min(most, 10) if by == "model" else most, jobs=jobs
        ).assign(split=split)
        for by, split in _splits(rows, families=families).items()
    )
    return left_out.assign(law_ratio=_law_ratios(rows).loc[left_out.index].to_numpy())


def _law_ratios(rows: pd.DataFrame) -> pd.Series[float]:
    """Log of measured over predicted of the law, fitted to the rest of each platform's rows, models left out."""
    found = pd.Series(np.nan, index=rows.index)
    for _, part in rows.groupby(list(PLATFORM)):
        measured = part["latency_s"].to_numpy(float)
        for train, test in folds(part["model"], most=3):
            if len(train) < 2:
                continue
            said = law(part).fit(design(part.iloc[train]), measured[train]).predict(design(part.iloc[test]))
            found.loc[part.index[test]] = np.log(measured[test] / said)
    return found


def _with_errors(
    known: dict[Key, Known], left_out: pd.DataFrame, machines: pd.DataFrame
) -> tuple[dict[Key, Known], pd.DataFrame, pd.DataFrame]:
    """What is known, with the errors that were made: on machines left out, or of one machine on models left out.

    By how much a row is missed is learnt from those with the most rows measured. Returned besides are ``left_out`` and
    ``machines`` with what was ``expected``.
    """
    if left_out.empty:
        return known, left_out, machines
    missed = machines if len(machines) else left_out.assign(count=0)
    own_keys, found, scales = keys(missed).to_numpy(), dict(known), np.full(len(missed), NOISE)
    for key, one in known.items():
        at = np.flatnonzero(own_keys == "/".join(key))
        if len(at) == 0:
            continue
        own = missed.iloc[at].reset_index(drop=True)
        most = (own["count"] == own["count"].max()).to_numpy()
        trees, scales[at] = learn_residual_scale(own, one.reference, telling=most)
        ratio = own["ratio"] / np.hypot(scales[at], own["uncertainty"])
        kind = pd.Series(kinds(own["regime"], own["outside"]))
        after = {int(count): own["count"] == count for count in sorted(own["count"].unique())}
        errors = {count: Errors.of(ratio[those], kind[those]) for count, those in after.items()}
        found[key] = dataclasses.replace(one, residual_scale=trees, errors=errors)
    foreseen = np.hypot(scales, missed["uncertainty"].to_numpy(float))
    if missed is machines:
        return found, left_out.assign(expected=_expected(left_out, found)), missed.assign(expected=foreseen)
    return found, left_out.assign(expected=foreseen), machines


def _machines_left_out(rows: pd.DataFrame, profiles: pd.DataFrame | None, *, jobs: int | None) -> pd.DataFrame:
    """What `leave_out` says of each machine's rows, known by ``count`` rows of it; none where it is alone."""
    machines = sorted(rows["device"].unique()) if len(rows) else []
    if len(machines) < 2:
        return rows[:0]
    found: list[pd.DataFrame] = in_parallel(
        (delayed(_on_machine)(rows, profiles, name) for name in machines), jobs=jobs
    )
    return pd.concat(found)


def _expected(rows: pd.DataFrame, known: Mapping[Key, Known]) -> Array:
    """What is expected of rows that were predicted (`leave_out`), shape (n_rows,)."""
    own_keys, miss = keys(rows).to_numpy(), np.full(len(rows), NOISE)
    for key, one in known.items():
        own = np.flatnonzero(own_keys == "/".join(key))
        if len(own) and one.residual_scale is not None:
            miss[own] = np.exp(one.residual_scale.predict(one.model().composition(rows.iloc[own])))
    return np.asarray(np.hypot(miss, rows["uncertainty"].to_numpy(float)))


def _on_machine(rows: pd.DataFrame, profiles: pd.DataFrame | None, machine: str) -> pd.DataFrame:
    """Rows of a machine, predicted after so many others (`drawn`) were measured there; their families are new too."""
    of_machine, found = (rows["device"] == machine).to_numpy(), []
    for train, test in turns(rows, by=FAMILY if enough_families(rows) else "model", most=FAMILY_TURNS):
        others = learn(rows.iloc[train[~of_machine[train]]], profiles)
        seen, unseen = rows.iloc[train[of_machine[train]]], rows.iloc[test[of_machine[test]]]
        if others and len(unseen):
            for count in COUNTS:
                missed = predict_left_out(seen[drawn(seen, count)], unseen, others)
                found.append(missed.assign(count=count))
    return pd.concat(found) if found else rows[:0].assign(count=0)


def drawn(rows: pd.DataFrame, count: int, *, seed: int = 0) -> pd.Series[bool]:
    """Which rows calibrate a machine: so many of each platform, at random, of single layers and of a few small models.

    It is what the plan `calibrate` measures in kind.
    """
    chosen = pd.Series(False, index=rows.index)
    if not count:
        return chosen
    shuffled = rows.sample(frac=1.0, random_state=seed)
    block = shuffled["family"] == BLOCK
    small = shuffled[~block].groupby("model")["macs"].median().nsmallest(WHOLE_MODELS * 3).index
    picked = pd.Series(small).sample(min(WHOLE_MODELS, len(small)), random_state=seed)
    for _, part in shuffled.groupby(list(PLATFORM)):
        layers = part[part["family"] == BLOCK]
        models = part[part["model"].isin(picked)]
        few = min(len(models), max(round(WHOLE_SHARE * count), 1)) if len(layers) else count
        own = [*models.index[:few], *layers.index[: count - few]]
        chosen.loc[own if own else part.index[:count]] = True
    return chosen
