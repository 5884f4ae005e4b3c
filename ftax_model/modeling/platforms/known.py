"""Known: what the machines measured so far say together of a framework, and the prior that follows for another one.

A new machine does the same operators at other rates. What known machines pay in the mean is where its costs begin; how
far they may move, all together, by class, by group and one by one, is how known machines differ (`BETWEEN`). The peaks
of device files move the beginning. Another precision or thread count of a machine begins at what that machine is known
to pay, moved as it moved on the others (`WITHIN`); a framework never seen begins at another one, with all the more
room (`ACROSS`).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import values
from ftax_model.device import rates
from ftax_model.fields import MOST_THREADS, NO_PATH, shown
from ftax_model.measurement import Platform
from ftax_model.modeling import limits
from ftax_model.modeling.estimators.correction import LARGEST, CorrectedModel, composition, trees_from
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.operators import OperatorModel
from ftax_model.modeling.estimators.priors import CLASSES, COSTS, Prior, Spread, by_class, class_shift, ignorance
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import Errors
from ftax_model.modeling.rows import PLATFORM
from ftax_model.tracing import features
from ftax_model.values import listed, reading
from ftax_model.workload import DTYPES, MAX_BATCH_SIZE

BETWEEN = Spread(0.25, 0.2, 0.3, 0.2, 0.15)
"""How the log costs of one machine differ from the mean over others, in one framework, before any two were seen."""

TRUST = 2.0
"""Machines that `BETWEEN` counts as."""

LIKENESS = 0.5
"""Correlation of what two frameworks' log costs are moved by from machine to machine, before any two were seen."""

WITHIN = Spread(0.3, 0.3, 0.25, 0.15, 0.15)
"""How they differ from those of another precision or thread count of the same machine, beyond the usual shift."""

ACROSS = Spread(0.8, 0.6, 0.4, 0.4, 0.4)
"""How they differ from those of another framework."""

TREES = 150
"""Trees that correct the costs of a framework over all machines."""

OWN_TREES, MANY_ROWS = 60, 300
"""Trees of a platform's own, on top, once it has so many rows."""

PLAIN = ("float32", 1)
"""Precision and threads that others are told from, where they were measured."""

_COMPUTING = ("products", "convolutions", "depthwise")
_ROUNDS = 3  # of mean costs and each machine's own
_SAMPLE = 48  # rows that stand for a framework's workloads

LAW: Mapping[str, Any] = {
    "overhead": ("n_ops",),
    "compute": ("macs", "activation_bytes"),
    "constant": ("weight_bytes",),
    "memory": ("activation_bytes", "weight_bytes"),
}
"""Which features of the trace stand for which term of the law."""

COLUMNS = tuple(dict.fromkeys(name for names in LAW.values() for name in names))

INSTEAD: Mapping[str, str] = {"activation_bytes": "activations", "weight_bytes": "params"}
"""What goes along with a feature that rows lack: tables of others count elements, not bytes, and no operators."""

_SAMPLED = (*dict.fromkeys((*COLUMNS, "batch_size", *features.COLUMNS)),)

Key = tuple[str, str]
"""A framework and the kind of device that it runs on."""


@dataclass(frozen=True)
class Known:
    """What is known of a framework on a kind of device.

    ``reference`` holds the mean costs over machines, of ``plain`` (precision and threads); ``trees`` correct them;
    ``shifts`` say by how much log costs move to another precision and thread count. ``platforms`` are those it was
    learnt from, ``domain`` the smallest and largest value of each feature measured, ``spread`` how machines differ,
    ``moves`` by how much each one's log costs do, class by class, and ``sample`` a few workloads that stand for it.
    ``residual_scale`` says by how much a row is missed; ``errors`` are those on machines left out, by the count of rows
    that were measured there, in units of what was expected (`PlatformFit.expected`); of one machine alone they are
    those on models left out.
    """

    framework: str
    kind: str
    plain: tuple[str, int]
    reference: OperatorModel
    trees: tuple[Trees, ...]
    shifts: Mapping[str, Array]
    platforms: tuple[Platform, ...]
    domain: Mapping[str, tuple[float, float]]
    largest_batch: int
    spread: Spread
    moves: Mapping[str, Array]
    sample: pd.DataFrame = field(repr=False)
    residual_scale: Trees | None = None
    errors: Mapping[int, Errors] = field(default_factory=dict)

    def is_plain(self, platform: Platform) -> bool:
        """Whether a platform is in the precision and threads that others are told from."""
        return (platform.dtype, platform.threads) == self.plain

    def plain_of(self, platform: Platform) -> Platform:
        """The same framework as here, on the device of a platform, in ``plain``."""
        return dataclasses.replace(platform, framework=self.framework, dtype=self.plain[0], threads=self.plain[1])

    def errors_after(self, count: int) -> Errors | None:
        """The errors after so many rows of a platform were measured, or fewer; ``None`` where none were seen yet."""
        fewer = [own for own in self.errors if own <= count]
        return self.errors[max(fewer)] if fewer else None

    @property
    def key(self) -> Key:
        """The framework and the kind of device."""
        return self.framework, self.kind

    @property
    def machines(self) -> list[str]:
        """Names of the devices that it was learnt from."""
        return sorted({platform.device for platform in self.platforms})

    def shift(self, platform: Platform) -> Array | None:
        """By how much log costs move from ``plain`` to a platform's precision and threads; ``None`` where unknown.

        Of more threads than were measured, by what one doubling took; of what was never measured, by the peaks of the
        platform's device file.
        """
        dtype, threads = platform.dtype, platform.threads
        if self.is_plain(platform):
            return np.zeros(len(COSTS))
        if f"{dtype}/{threads}" in self.shifts:
            return self.shifts[f"{dtype}/{threads}"]
        parts = [f"{dtype}/{self.plain[1]}"] if dtype != self.plain[0] else []
        found = np.zeros(len(COSTS))
        if threads != self.plain[1] and f"{self.plain[0]}/{2 * self.plain[1]}" in self.shifts:
            found = found + self.shifts[f"{self.plain[0]}/{2 * self.plain[1]}"] * math.log2(threads / self.plain[1])
            if all(part in self.shifts for part in parts):
                return found + sum((self.shifts[part] for part in parts), np.zeros(len(COSTS)))
        factor = _slower(self.plain_of(platform), platform)
        return None if factor is None else class_shift(factor, _COMPUTING)

    def specified(self, platform: Platform) -> Array | None:
        """By how much log costs of a device are expected to differ from the mean of known ones, by device files.

        What a device reaches of its peak is taken to be what the known ones reach in the mean. ``None`` where no file
        tells either peak.
        """
        plain = self.plain_of(platform)
        own = [dataclasses.replace(plain, device=machine) for machine in self.machines]
        factors = [_slower(one, plain) for one in own]
        told = [factor for factor in factors if factor is not None]
        return class_shift(float(np.exp(np.mean(np.log(told)))), _COMPUTING) if told else None

    def prior(
        self,
        platform: Platform,
        *,
        near: OperatorModel | None = None,
        others: Sequence[tuple[Known, OperatorModel]] = (),
    ) -> Prior:
        """Where a platform of this framework begins; ``near`` are its costs in ``plain``, where these are known.

        ``others`` are costs of other frameworks on the same machine, each in its ``plain``: machines that are faster
        than thought in one are so in others, as far as the known ones were (`correlations`). Where neither
        measurements nor device files say how its precision and threads differ, they are taken not to.
        """
        moved = self.shift(platform)
        if near is not None:
            return Prior(near.logs_, near.covariance_).moved(np.zeros(len(COSTS)) if moved is None else moved, WITHIN)
        specified = self.specified(platform)
        mean = self.reference.logs_ + (0.0 if specified is None else specified)
        begin = Prior(mean, self.spread.covariance())
        if self.is_plain(platform):
            return self._given(begin, platform, others) if others else begin
        return begin.moved(np.zeros(len(COSTS)) if moved is None else moved, WITHIN)

    def _given(self, begin: Prior, platform: Platform, others: Sequence[tuple[Known, OperatorModel]]) -> Prior:
        """A prior after what the costs of other frameworks on the machine turned out to be.

        All their costs are Gaussian together; what rows said of the others is what their fits know beyond their priors.
        """
        group, n = [self, *(one for one, _ in others)], len(COSTS)
        together = correlations(group)
        blocks = [
            [likeness * one.spread.covariance(other.spread) for other, likeness in zip(group, row, strict=True)]
            for one, row in zip(group, together, strict=True)
        ]
        precision, told = np.asarray(np.linalg.inv(np.block(blocks)), dtype=float), np.zeros(n * len(group))
        for at, (one, model) in enumerate(others, 1):
            own = slice(at * n, (at + 1) * n)
            first = one.prior(one.plain_of(platform))
            after = np.linalg.inv(model.covariance_ + _LEAST_VARIANCE * np.eye(n))
            precision[own, own] += after - np.linalg.inv(first.covariance)
            told[own] = after @ (model.logs_ - first.mean)
        covariance = np.asarray(np.linalg.inv(precision), dtype=float)
        return Prior(begin.mean + (covariance @ told)[:n], covariance[:n, :n])

    def model(self, *, trees: int = 0) -> CorrectedModel:
        """An unfitted model of a platform, with so many trees of its own."""
        overlap = self.reference.overlap
        return CorrectedModel(overlap=overlap, trees=trees, reference=self.reference, shared=self.trees)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` is the way back."""
        sample = self.sample[list(_SAMPLED)].to_numpy(float)
        return {
            "framework": self.framework,
            "kind": self.kind,
            "plain": list(self.plain),
            "reference": self.reference.to_dict(covariance=False),
            "trees": [one.to_dict() for one in self.trees],
            "shifts": {name: [float(f"{value:.4g}") for value in own] for name, own in self.shifts.items()},
            "platforms": [dataclasses.asdict(one) for one in self.platforms],
            "domain": dict(self.domain),
            "largest_batch": self.largest_batch,
            "spread": dataclasses.asdict(self.spread),
            "moves": {name: [float(f"{value:.4g}") for value in own] for name, own in self.moves.items()},
            "sample": [{name: float(f"{v:.6g}") for name, v in zip(_SAMPLED, own, strict=True) if v} for own in sample],
            "residual_scale": self.residual_scale.to_dict() if self.residual_scale else None,
            "errors": {str(count): errors.to_dict() for count, errors in self.errors.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Known:
        """What `to_dict` wrote; raises `DataError` for anything else."""
        with reading("what is known of a framework", do="fit the predictor again"):
            dtype, threads = listed(record["plain"], "plain", most=2)
            one = _platform(values.text(record["framework"], "the framework"), "any", dtype, threads)
            scale, spread = record["residual_scale"], values.mapping(record["spread"], "the spread")
            platforms = listed(record["platforms"], "platforms", most=limits.MOST_PLATFORMS)
            return cls(
                framework=one.framework,
                kind=values.text(record["kind"], "the kind of device"),
                plain=(one.dtype, one.threads),
                reference=OperatorModel.from_dict(record["reference"]),
                trees=trees_from(record["trees"]),
                shifts=_logs(record["shifts"], "shifts", len(COSTS)),
                platforms=tuple(platform_from(each) for each in platforms),
                domain=domain_from(record["domain"]),
                largest_batch=values.whole(record["largest_batch"], "the largest batch", (1, MAX_BATCH_SIZE)),
                spread=Spread(**{name: values.number(own, name, limits.DEVIATION) for name, own in spread.items()}),
                moves=_logs(record["moves"], "moves", len(CLASSES)),
                sample=_sample(record["sample"]),
                residual_scale=trees_from([scale])[0] if scale is not None else None,
                errors={
                    values.whole(int(count), "rows after which errors are", limits.COUNT): Errors.from_dict(errors)
                    for count, errors in values.mapping(record["errors"], "errors", most=_MOST_COUNTS).items()
                },
            )


def correlations(group: Sequence[Known]) -> Array:
    """How alike machines move in frameworks, shape (n, n): learnt from those that were measured, class by class.

    `LIKENESS` of any two counts as `TRUST` machines.
    """
    machines = sorted({machine for one in group for machine in one.moves})
    none = np.zeros(len(CLASSES))
    moves = np.array([np.concatenate([one.moves.get(machine, none) for machine in machines]) for one in group])
    directions = moves / np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), _LEAST_VARIANCE)
    seen = directions @ directions.T
    np.fill_diagonal(seen, 1.0)
    usual = np.full_like(seen, LIKENESS)
    np.fill_diagonal(usual, 1.0)
    count = len(machines) if len(machines) > 1 else 0
    return np.asarray((TRUST * usual + count * seen) / (TRUST + count))


def learn(rows: pd.DataFrame, profiles: pd.DataFrame | None = None, *, trees: int = TREES) -> dict[Key, Known]:
    """What rows of one or several machines say of each framework; rows hold the columns of operators.

    ``profiles`` are operators timed one by one (`ftax_model.modeling.rows.of_operators`); those of calls that are not
    among the rows are not looked at.
    """
    found = {}
    kinds = rows["device"].map({name: kind_of(name) for name in rows["device"].unique()})
    for key, part in rows.groupby([rows["framework"], kinds], sort=True):
        framework, kind = str(key[0]), str(key[1])
        found[framework, kind] = _learn(framework, kind, part.reset_index(drop=True), profiles, trees)
    return found


def _learn(framework: str, kind: str, rows: pd.DataFrame, profiles: pd.DataFrame | None, trees: int) -> Known:
    variants = {
        (str(part["dtype"].iloc[0]), int(part["threads"].iloc[0])): part.reset_index(drop=True)
        for _, part in rows.groupby(["dtype", "threads"])
    }
    plain = PLAIN if PLAIN in variants else max(variants, key=lambda name: len(variants[name]))
    base = variants[plain]
    parts = {str(device): part for device, part in base.groupby("device")}
    overlap = (
        law(base).fit(design(base), base["latency_s"].to_numpy(float)).overlap_ if len(base) > len(COLUMNS) else 1.0
    )
    timed = None if profiles is None else _profiles_of(profiles, base)
    begin = ignorance(_peak(kind, parts, plain))
    mean = OperatorModel(overlap=overlap).fit(base, base["latency_s"], prior=begin, profiles=timed)
    own, spread = dict.fromkeys(parts, mean), BETWEEN
    for _ in range(_ROUNDS if len(parts) > 1 else 0):
        prior = Prior(mean.logs_, spread.covariance())
        own = {
            device: OperatorModel(overlap=overlap).fit(part, part["latency_s"], prior=prior)
            for device, part in parts.items()
        }
        mean._set(np.exp(np.mean([one.logs_ for one in own.values()], axis=0)), mean.seen_.to_numpy())
        moves = [one.logs_ - mean.logs_ for one in own.values()]
        spread = spread.learnt(moves, [one.covariance_ for one in own.values()], begin=BETWEEN, trust=TRUST)
    mean.covariance_ = np.zeros_like(mean.covariance_)
    grown: tuple[Trees, ...] = ()
    if trees and base["model"].nunique() > _FEW_MODELS:
        seen = pd.concat(list(parts.values()))
        summed = np.concatenate([own[device].predict(part) for device, part in parts.items()])
        ratio = np.log(seen["latency_s"].to_numpy(float) / summed)
        grown = (Trees.fit(composition(mean, seen), np.clip(ratio, -LARGEST, LARGEST), count=trees),)
    known = Known(
        framework=framework,
        kind=kind,
        plain=plain,
        reference=mean,
        trees=grown,
        shifts={},
        platforms=tuple(platform_of(part) for _, part in rows.groupby(list(PLATFORM))),
        domain=domain_of(base),
        largest_batch=int(base["batch_size"].max()),
        spread=spread,
        moves={device: by_class(one.logs_ - mean.logs_) for device, one in own.items()},
        sample=base.sample(min(_SAMPLE, len(base)), random_state=0)[list(_SAMPLED)].reset_index(drop=True),
    )
    shifts = {f"{v[0]}/{v[1]}": _shift(known, part, own) for v, part in variants.items() if v != plain}
    return dataclasses.replace(known, shifts={name: shift for name, shift in shifts.items() if shift is not None})


def _shift(known: Known, rows: pd.DataFrame, own: Mapping[str, OperatorModel]) -> Array | None:
    """By how much the log costs of a precision and thread count differ from ``plain`` on the same machine, in mean."""
    found = []
    for device, part in rows.groupby("device"):
        if device in own:
            near = own[str(device)]
            prior = known.prior(platform_of(part), near=near)
            model = known.model().fit(part, part["latency_s"], prior=prior, weight=weights(part))
            found.append(model.structure_.logs_ - near.logs_)
    return np.mean(found, axis=0) if found else None


def weights(rows: pd.DataFrame) -> Array:
    """What each row counts: the batch sizes of one curve err together, so that n of them count as the root of n."""
    if "curve" not in rows or rows.empty:
        return np.ones(len(rows))
    count = rows.groupby(["curve", *PLATFORM])["latency_s"].transform("size").to_numpy(float)
    return np.asarray(count**-0.5)


def keys(rows: pd.DataFrame) -> pd.Series[str]:
    """The `Key` of each row, in one word: ``framework/kind``."""
    kind = {name: kind_of(str(name)) for name in rows["device"].unique()}
    return rows["framework"] + "/" + rows["device"].map(kind)


def kind_of(device: str) -> str:
    """The kind of a device by its name: that of its file, else a CPU's name tells its cores.

    >>> kind_of("amd-epyc-turin-2core"), kind_of("nvidia-h200"), kind_of("fake")
    ('cpu', 'cuda', 'fake')
    """
    if device == "fake":
        return "fake"
    told = rates(device, "float32", 1)
    if told:
        return told.kind
    return "cuda" if re.match(r"nvidia|tesla|quadro|geforce", device) else "cpu"


def platform_of(rows: pd.DataFrame) -> Platform:
    """The platform that all rows of a part share."""
    first = rows.iloc[0]
    return Platform(str(first["framework"]), str(first["device"]), str(first["dtype"]), int(first["threads"]))


def law(rows: pd.DataFrame) -> RegimeModel:
    """The law on the features that all rows hold, not yet fitted; `INSTEAD` of some others stand in."""
    held = {name: [one for one in (name, INSTEAD.get(name, "")) if _held(rows, one)][:1] for name in COLUMNS}
    roles: dict[str, Any] = {role: tuple(one for name in names for one in held[name]) for role, names in LAW.items()}
    return RegimeModel(**roles)


def design(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a dataset's frame that a law can look at, and the batch size."""
    return rows[[name for name in (*COLUMNS, *INSTEAD.values(), "batch_size") if name in rows]].astype(float)


def domain_of(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The smallest and largest value of each feature of the law that all rows hold, and of the shapes of operators.

    The latter are mean log2 of extents (`ftax_model.tracing.features.SHAPES`), of the rows that have such operators.
    """
    found = {name: (float(rows[name].min()), float(rows[name].max())) for name in COLUMNS if _held(rows, name)}
    for name in features.SHAPES if set(features.COLUMNS) <= set(rows.columns) else ():
        own = rows.loc[rows[f"{name.partition('.')[0]}.ops"] > 0, name].dropna()
        if len(own):
            found[name] = (float(own.min()), float(own.max()))
    return found


def _held(rows: pd.DataFrame, name: str) -> bool:
    return name in rows and bool(rows[name].notna().all())


def nearest(known: Mapping[Key, Known], platform: Platform) -> list[Known]:
    """What is known of a platform's framework, else of all others on its kind of device; empty where nothing is."""
    kind = kind_of(platform.device)
    own = known.get((platform.framework, kind))
    return [own] if own else [one for one in known.values() if one.kind == kind]


def _slower(one: Platform, other: Platform) -> float | None:
    """Peak of one platform over that of another, by device files; ``None`` where these do not tell, or of one kind."""
    peaks = [rates(own.device, own.dtype, own.threads) for own in (one, other)]
    if peaks[0] is None or peaks[1] is None or peaks[0].kind != peaks[1].kind:
        return None
    return peaks[0].macs / peaks[1].macs


def _peak(kind: str, devices: Iterable[str], plain: tuple[str, int]) -> float | None:
    """Largest peak of the devices, of a GPU: the means of ignorance are those of a CPU."""
    if kind != "cuda":
        return None
    told = [rates(device, *plain) for device in devices]
    return max((one.macs for one in told if one), default=1e13)


def _profiles_of(profiles: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame | None:
    own = profiles[profiles["key"].isin(rows["key"])] if "key" in rows else profiles[:0]
    return own if len(own) else None


def platform_from(record: Any) -> Platform:
    """A platform from its record in a file; raises `ValueError` for what is none."""
    own = values.mapping(record, "a platform", most=4)
    return _platform(own["framework"], own["device"], own["dtype"], own["threads"])


def _platform(framework: Any, device: Any, dtype: Any, threads: Any) -> Platform:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"a platform's precision is none of {', '.join(DTYPES)}")
    return Platform(
        values.text(framework, "a framework"),
        device_from(device),
        dtype,
        values.whole(threads, "the number of threads", (1, MOST_THREADS)),
    )


def device_from(value: Any) -> str:
    """The name of a device in a file, which must be no path: others than the user name no files to be read."""
    if not NO_PATH.holds(value):
        raise ValueError(f"a device {NO_PATH.law}, and is {shown(value)}")
    return str(value)


def domain_from(record: Any) -> dict[str, tuple[float, float]]:
    """The ends of features from their record (`domain_of`); raises `ValueError` for what is none."""
    found = values.ranges(record, "the range", limits.SPAN)
    if not {*found} <= {*COLUMNS, *features.SHAPES}:
        raise ValueError("ranges of other features")
    return found


def _logs(record: Any, what: str, size: int) -> dict[str, Array]:
    return {
        name: values.shaped(values.numbers(own, f"{what} of {name}", limits.LOG_SHIFT), what, (size,))
        for name, own in values.mapping(record, what, most=limits.MOST_PLATFORMS).items()
    }


def _sample(record: Any) -> pd.DataFrame:
    rows = [values.mapping(one, "a workload") for one in listed(record, "workloads", most=limits.MOST_ROWS)]
    for one in rows:
        values.numbers([*one.values()], "a workload", limits.AMOUNT)
    return pd.DataFrame(rows, columns=list(_SAMPLED)).fillna(0.0)


_MOST_COUNTS = 32
_FEW_MODELS = 5
_LEAST_VARIANCE = 1e-6  # of a log cost
