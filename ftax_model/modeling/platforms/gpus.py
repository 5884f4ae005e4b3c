"""KnownGpus: what GPUs measured so far say together of a framework, and the model of another card or another host.

Latency on a GPU has two owners. Overhead belongs to the host and the framework: the same card under another CPU is two
times apart where kernels are short, and equal where they are long. What kernels take belongs to the card, and goes by
its data sheet. So each machine, a card under a host, has costs of its own near the mean over all; another card begins
at the mean cost of a roofline, another host at the mean host, with as much room as hosts differ.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from ftax_model import plugins, values
from ftax_model.device import Rates, file_of, names, rates, specification
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Platform
from ftax_model.modeling import limits
from ftax_model.modeling.estimators import kernels as costs
from ftax_model.modeling.estimators.kernels import COMPOSITION, COSTS, HOSTS, Calls, Efficiency, KernelModel
from ftax_model.modeling.estimators.law import Array
from ftax_model.modeling.estimators.operators import NOISE, packed, unpacked
from ftax_model.modeling.estimators.priors import Prior
from ftax_model.modeling.estimators.trees import Trees
from ftax_model.modeling.judging.intervals import Errors, kinds
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms.known import COLUMNS, design, device_from, domain_from, domain_of, law
from ftax_model.modeling.platforms.platform import PlatformFit, parts
from ftax_model.modeling.rows import folds
from ftax_model.tracing.kernels import COLUMNS as KERNEL_COLUMNS
from ftax_model.tracing.kernels import GROUPS, KERNELS, Kernels
from ftax_model.values import listed, reading
from ftax_model.workload import MAX_BATCH_SIZE

SPREAD = costs.spread(0.5, 0.25, 0.15)
"""How log costs of one machine differ from the mean: all of the host's together, all of the card's, each by itself."""

ACROSS = costs.spread(1.0, 0.3, 0.3)
"""The same of one framework and another on the same machine."""

COUNTS = (0, 5, 20)
"""Calls that are measured on a card left out, for the errors that intervals follow from."""

KNOWN = "known"
"""Name of the errors on cards that were measured."""

HOST = "host"
"""Name of the errors on hosts that were not, of cards that were measured under others."""

MANY = 60
"""Calls of a machine from which its errors are those of known ones."""

NUMBERS = ("peak_macs.float32", "bandwidth", "l2_bytes", "multiprocessors")
"""What a device file has to tell of a GPU."""

_ROUNDS = 2  # of mean costs and each machine's own
_TURNS = 3  # in which modules are left out besides the card
_CAPTURED = 40  # of the shortest calls, among which the fewest cells are
_SCALE_TREES, _ENOUGH = 60, 150


@dataclass(frozen=True)
class Machine:
    """A card under a host: its log costs, shape (len(COSTS),), how open they are, and the calls that taught them."""

    device: str
    host: str
    logs: Array
    covariance: Array
    n_rows: int
    n_models: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; `from_dict` is the way back."""
        own = dataclasses.asdict(self)
        return own | {"logs": _rounded(self.logs), "covariance": packed(self.covariance)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Machine:
        """What `to_dict` wrote; raises `DataError` for anything else."""
        with reading("a machine", do=_AGAIN):
            return cls(
                device=device_from(record["device"]),
                host=values.text(record["host"], "a host"),
                logs=_logs(record["logs"]),
                covariance=unpacked(record["covariance"], len(COSTS)),
                n_rows=values.whole(record["n_rows"], "the number of rows", limits.COUNT),
                n_models=values.whole(record["n_models"], "the number of models", limits.COUNT),
            )


@dataclass(frozen=True)
class KnownGpus:
    """What is known of a framework on GPUs.

    ``reference`` are the mean log costs over ``machines``, ``efficiency`` the trees they share; ``seen`` are the groups
    of operators that were measured. ``errors`` are those on modules left out, of cards that are `KNOWN`, of a `HOST`
    left out, and of cards left out by the count of calls measured there, in units of what was expected.
    """

    framework: str
    reference: Array
    efficiency: Efficiency
    machines: tuple[Machine, ...]
    seen: tuple[str, ...]
    domain: Mapping[str, tuple[float, float]]
    largest_batch: int
    source: str
    overlap: float = costs.OVERLAP
    residual_scale: Trees | None = None
    errors: Mapping[str, Errors] = field(default_factory=dict)
    sample: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    @property
    def kind(self) -> str:
        """The kind of device."""
        return "cuda"

    def knows(self, host: str | None) -> bool:
        """Whether some call under a host was measured."""
        return any(one.host == host for one in self.machines)

    def begin(self, device: str, host: str | None = None, host_factor: float | None = None) -> Prior:
        """Log costs of a machine before any call of it was measured.

        ``host_factor`` says how many times longer its host takes than the mean of known ones.
        """
        exact = [one for one in self.machines if one.device == device and one.host == host]
        if host is not None and not self.knows(host):
            hosts = sorted({one.host for one in self.machines})
            plugins.check(host, hosts, what="host, unless five calls there are measured (ftax calibrate),")
        if exact and host_factor is None:
            return Prior(exact[0].logs, exact[0].covariance)
        mean, covariance = self.reference.copy(), SPREAD.copy()
        of_host = [one for one in self.machines if one.host == host]
        of_card = [one for one in self.machines if one.device == device]
        for part, alike in ((slice(0, HOSTS), of_host), (slice(HOSTS, None), of_card)):
            if alike:
                mean[part] = np.mean([one.logs[part] for one in alike], axis=0)
                covariance[part, part] = np.mean([one.covariance[part, part] for one in alike], axis=0)
        if host_factor is not None:
            if not (math.isfinite(host_factor) and host_factor > 0):
                raise InputError("a host factor is above zero", repr(host_factor), "1 is the mean of known hosts")
            mean[:HOSTS] = self.reference[:HOSTS] + math.log(host_factor)
            covariance[:HOSTS, :HOSTS] = costs.spread(0.1, 0.0, 0.15)[:HOSTS, :HOSTS]
        return Prior(mean, covariance)

    def model(self, begin: Prior, can: Rates) -> KernelModel:
        """The model of a machine whose costs are those, on a card that can do so much."""
        return KernelModel(begin, self.efficiency, can, self.seen, self.overlap)

    def fit(self, platform: Platform, *, host: str | None = None, host_factor: float | None = None) -> PlatformFit:
        """The fit of a platform, measured or not.

        Raises `InputError` where no device file tells what the card can do.
        """
        can = needed(platform)
        exact = [one for one in self.machines if one.device == platform.device and one.host == host]
        measured = exact[0].n_rows if exact and host_factor is None else 0
        model = self.model(self.begin(platform.device, host, host_factor), can)
        own_law = law(self.sample)
        if len(self.sample):
            own_law.fit(design(self.sample), parts(model, self.sample)["latency_s"].to_numpy())
        return PlatformFit(
            platform=platform,
            law=own_law,
            model=model,
            known=self,
            errors=self._errors(measured, platform.device),
            domain=self.domain,
            largest_batch=self.largest_batch,
            n_rows=measured,
            n_models=exact[0].n_models if measured else 0,
            origin=self.source,
            caveat=self._caveat(platform.device, host, host_factor),
        )

    def calibrated(self, rows: pd.DataFrame) -> KnownGpus:
        """With what rows of one or more machines say of those; rows hold kernels, ``device``, ``host``, ``dtype``."""
        found = {(one.device, one.host): one for one in self.machines}
        for (device, host), part in rows.groupby(["device", "host"]):
            begin = self.begin(str(device), str(host) if self.knows(str(host)) else None)
            found[str(device), str(host)] = self._calibrate((str(device), str(host)), part, begin)
        return dataclasses.replace(
            self, machines=tuple(found.values()), seen=tuple(sorted({*self.seen, *_groups(rows)}))
        )

    def _calibrate(self, machine: tuple[str, str], rows: pd.DataFrame, begin: Prior) -> Machine:
        calls = Calls.of(list(rows[KERNELS]), _rates(rows, self.framework))
        amounts = costs.columns(calls, self.efficiency)
        own = costs.fit(amounts, rows["latency_s"].to_numpy(float), begin, overlap=self.overlap)
        return Machine(*machine, own.mean, own.covariance, len(rows), rows["model"].nunique())

    def of_another(self, framework: str, rows: pd.DataFrame, source: str = "") -> KnownGpus:
        """What is known of another framework, from rows of it on a machine or more.

        On other machines its costs differ from this framework's by as much as there; trees and errors are shared, but
        not which operators were measured.
        """
        machines, moved = list[Machine](), list[Array]()
        for (device, host), part in rows.groupby(["device", "host"]):
            own = self.begin(str(device), str(host) if self.knows(str(host)) else None)
            begin = Prior(own.mean, own.covariance + ACROSS)
            known = dataclasses.replace(self, framework=framework)
            machines.append(known._calibrate((str(device), str(host)), part, begin))
            moved.append(machines[-1].logs - own.mean)
        return dataclasses.replace(
            self,
            framework=framework,
            reference=self.reference + np.mean(moved, axis=0),
            machines=tuple(machines),
            source=source or self.source,
            seen=_groups(rows),
            largest_batch=max(self.largest_batch, int(rows["batch_size"].max())),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, without what frameworks share: trees and the sample; `from_dict` is the way back."""
        return {
            "framework": self.framework,
            "reference": _rounded(self.reference),
            "machines": [one.to_dict() for one in self.machines],
            "seen": list(self.seen),
            "domain": dict(self.domain),
            "largest_batch": self.largest_batch,
            "source": self.source,
            "overlap": self.overlap,
            "residual_scale": self.residual_scale.to_dict() if self.residual_scale else None,
            "errors": {name: errors.to_dict() for name, errors in self.errors.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], efficiency: Efficiency, sample: pd.DataFrame) -> KnownGpus:
        """What `to_dict` wrote; raises `DataError` for anything else."""
        with reading("what is known of GPUs", do=_AGAIN):
            seen = [values.text(one, "a group") for one in listed(record["seen"], "groups", most=len(GROUPS))]
            if not {*seen} <= {*GROUPS}:
                raise ValueError("other groups of operators")
            machines = tuple(
                Machine.from_dict(one) for one in listed(record["machines"], "machines", most=limits.MOST_MACHINES)
            )
            if len({(one.device, one.host) for one in machines}) < len(machines):
                raise ValueError("a machine twice")
            errors, scale = values.mapping(record["errors"], "errors", most=_MOST_COUNTS), record["residual_scale"]
            for name in errors:
                if name not in (KNOWN, HOST):
                    values.whole(int(name), "calls after which errors are", limits.COUNT)
            return cls(
                framework=values.text(record["framework"], "the framework"),
                reference=_logs(record["reference"]),
                efficiency=efficiency,
                machines=machines,
                seen=tuple(seen),
                domain=domain_from(record["domain"]),
                largest_batch=values.whole(record["largest_batch"], "the largest batch", (1, MAX_BATCH_SIZE)),
                source=values.text(record["source"], "the source", most=_LONGEST),
                overlap=values.number(record["overlap"], "the overlap", (limits.OVERLAP[0], _STEEPEST)),
                residual_scale=Trees.from_dict(scale, features=COMPOSITION) if scale is not None else None,
                errors={name: Errors.from_dict(own) for name, own in errors.items()},
                sample=sample,
            )

    def _errors(self, measured: int, device: str) -> Errors:
        if measured >= MANY and KNOWN in self.errors:
            return self.errors[KNOWN]
        if not measured and HOST in self.errors and any(one.device == device for one in self.machines):
            return self.errors[HOST]
        counts = [name for name in self.errors if name not in (KNOWN, HOST) and int(name) <= measured]
        return self.errors[max(counts, key=int)] if counts else Errors.normal()

    def _caveat(self, device: str, host: str | None, host_factor: float | None) -> str:
        """What to hold against predictions of a machine."""
        own = [one for one in self.machines if one.device == device]
        if any(one.host == host and one.n_rows < MANY for one in own) and host_factor is None:
            own_rows = next(one.n_rows for one in own if one.host == host)
            return f"{self.source}; {own_rows} calls of its own" if own_rows else self.source
        said = [self.source] if self.source else []
        said += [] if own else ["the card by its data sheet"]
        told = host_factor is not None or self.knows(host)
        said += [] if told else ["host unknown"]
        return "; ".join(said)


def _groups(rows: pd.DataFrame) -> tuple[str, ...]:
    """The groups of operators in the calls of rows."""
    return tuple(sorted({GROUPS[int(at)] for call in rows[KERNELS] for at in call["group"]}))


def needed(platform: Platform) -> Rates:
    """What the card of a platform can do; raises `InputError` where no device file tells it."""
    can = rates(platform.device, platform.dtype, platform.threads)
    if can is None or can.kind != "cuda" or not can.bandwidth or not can.l2_bytes or not can.multiprocessors:
        if file_of(platform.device) is None:
            known = [name for name in names() if specification(name)["kind"] == "cuda"]
            own = f"else write one, NAME.toml, that tells {', '.join(NUMBERS)}, and give its path"
            plugins.check(platform.device, known, what=f"GPU that has a device file ({own})")
        law_ = f"a GPU that was never measured is predicted from its device file, which tells {', '.join(NUMBERS)}"
        cure = "write those into a file NAME.toml and give its path; ftax list shows the devices that have one"
        raise InputError(law_, f"{platform.device} in {platform.dtype}", cure)
    return can


def learn(
    rows: pd.DataFrame,
    *,
    source: str = "",
    jobs: int | None = 1,
    sample: pd.DataFrame | None = None,
    judged: bool = True,
) -> list[KnownGpus]:
    """What rows of GPUs say of each framework, where ``judged`` with the errors on modules, hosts and cards left out.

    Rows hold their kernels (`ftax_model.tracing.kernels.KERNELS`), features of the trace, ``framework``, ``device``,
    ``host``, ``dtype``, ``model`` and ``latency_s``. ``sample`` are workloads that stand for what people run, from
    which the law of a platform follows. Raises `DataError` where there are no rows.
    """
    if rows.empty:
        raise DataError("what is known of GPUs is learnt from measured calls", "none", "name tables that hold some")
    found = []
    for framework, part in rows.groupby("framework"):
        own = part.reset_index(drop=True)
        known = _learn(str(framework), own, source)
        if sample is not None:
            known = dataclasses.replace(known, sample=sample, largest_batch=int(sample["batch_size"].max()))
        if judged:
            missed = left_out(own, jobs=jobs)
            scale, trees = expected(missed)
            known = dataclasses.replace(known, residual_scale=trees, errors=errors_of(missed, scale))
        found.append(known)
    return found


def _learn(framework: str, rows: pd.DataFrame, source: str = "") -> KnownGpus:
    can = _rates(rows, framework)
    calls, measured = Calls.of(list(rows[KERNELS]), can), rows["latency_s"].to_numpy(float)
    labels = list(zip(rows["device"], rows["host"], strict=True))
    members = {one: np.array([label == one for label in labels]) for one in sorted(set(labels))}
    efficiency, own = costs.NONE, dict[tuple[str, str], Prior]()
    for grown in (False, True):
        if grown:
            logs = np.zeros((len(rows), len(COSTS)))
            for one, those in members.items():
                logs[those] = own[one].mean
            efficiency = costs.grow(calls, measured, logs)
        amounts = costs.columns(calls, efficiency)
        reference = costs.fit(amounts, measured, costs.ignorance()).mean
        for _ in range(_ROUNDS):
            begin = Prior(reference, SPREAD)
            own = {one: costs.fit(amounts[those], measured[those], begin) for one, those in members.items()}
            reference = np.mean([one.mean for one in own.values()], axis=0)
    groups = {GROUPS[int(at)] for at in np.unique(calls.group)}
    return KnownGpus(
        framework=framework,
        reference=reference,
        efficiency=efficiency,
        machines=tuple(
            Machine(*one, own[one].mean, own[one].covariance, int(those.sum()), rows["model"][those].nunique())
            for one, those in members.items()
        ),
        seen=tuple(sorted(groups)),
        domain=domain_of(rows),
        largest_batch=int(rows["batch_size"].max()),
        source=source,
    )


def _rates(rows: pd.DataFrame, framework: str) -> list[Rates]:
    own = {
        (device, dtype): needed(Platform(framework, device, dtype, 1))
        for device, dtype in set(zip(rows["device"], rows["dtype"], strict=True))
    }
    return [own[one] for one in zip(rows["device"], rows["dtype"], strict=True)]


def left_out(rows: pd.DataFrame, *, jobs: int | None = 1, counts: Sequence[int] = COUNTS) -> pd.DataFrame:
    """Rows of one framework, predicted by models that saw nothing of their module.

    Beside the columns of the rows: ``scenario``, `KNOWN` where the machine was known, `HOST` where the card was known
    under other hosts alone, else how many calls of a card that was left out were measured (of the shortest, where they
    are fewer than ten); ``predicted_s``, ``ratio``, log of measured over predicted, ``uncertainty``, ``regime``,
    ``outside``, and ``composition``.
    """
    tasks = [(train, test, "") for train, test in folds(rows["model"], most=5)]
    for column in ("device", "host") if counts else ():
        names = rows[column].to_numpy()
        for name in sorted(set(names)) if len(set(names)) > 1 else []:
            here = names == name
            if column == "host":  # a card that is known under another host
                here &= rows["device"].isin(rows["device"][~here]).to_numpy()
            tasks += [(train, test[here[test]], column) for train, test in folds(rows["model"], most=_TURNS)]
    found = in_parallel(
        (delayed(_predicted)(rows, train, test, column, counts) for train, test, column in tasks if len(test)),
        jobs=jobs,
    )
    missed: pd.DataFrame = pd.concat(found, ignore_index=True)
    return missed


def _predicted(
    rows: pd.DataFrame, train: NDArray[np.intp], test: NDArray[np.intp], column: str, counts: Sequence[int]
) -> pd.DataFrame:
    """What is said of rows, by models that saw nothing of their one device or host, where that is the column."""
    seen, unseen = rows.iloc[train], rows.iloc[test]
    new = seen[column].isin(unseen[column]) if column else pd.Series(False, index=seen.index)
    known = _learn(str(rows["framework"].iloc[0]), seen[~new].reset_index(drop=True))
    if column != "device":
        return _said(known, unseen, HOST if column else KNOWN)
    own = seen[new]
    parts_ = [_said(known, unseen, "0")] if 0 in counts else []
    for count in counts:
        if count:
            cells = pd.concat(list(_drawn(own, count)))
            parts_.append(_said(known.calibrated(cells), unseen, str(count)))
    return pd.concat(parts_)


def _drawn(rows: pd.DataFrame, count: int) -> Iterator[pd.DataFrame]:
    """So many calls of each machine, at random; fewer than ten are of the shortest, which tell the host."""
    for _, part in rows.groupby(["device", "host"]):
        from_ = part.nsmallest(_CAPTURED, "latency_s") if count < 10 else part
        yield from_.sample(min(count, len(from_)), random_state=1)


def _said(known: KnownGpus, rows: pd.DataFrame, scenario: str) -> pd.DataFrame:
    found = []
    for (device, host, dtype), part in rows.groupby(["device", "host", "dtype"]):
        told = scenario != "0" and known.knows(str(host))
        begin = known.begin(str(device), str(host) if told else None)
        model = known.model(begin, needed(Platform(known.framework, str(device), str(dtype), 1)))
        said = parts(model, part)
        outside = np.array([bool(groups) for groups in model.unknown(part)], dtype=bool)
        found.append(
            part.assign(
                scenario=scenario,
                predicted_s=said["latency_s"],
                regime=said["regime"],
                ratio=np.log(part["latency_s"].to_numpy(float) / said["latency_s"].to_numpy()),
                uncertainty=model.uncertainty(part),
                outside=outside,
                composition=list(model.composition(part)),
            )
        )
    return pd.concat(found)


def expected(missed: pd.DataFrame) -> tuple[Array, Trees | None]:
    """By how much rows (`left_out`) were expected to be missed, shape (n_rows,), and the trees that say it.

    What is said of a row comes from trees that saw nothing of its module; of few rows nothing can be learnt.
    """
    scale, seen = np.full(len(missed), NOISE), np.vstack(list(missed["composition"]))
    target = np.log(missed["ratio"].abs().to_numpy() + 0.02)
    telling = (missed["scenario"] == KNOWN).to_numpy()
    trees = None
    if telling.sum() >= _ENOUGH:
        for train, test in folds(missed["model"], most=5):
            own = train[telling[train]]
            scale[test] = np.exp(Trees.fit(seen[own], target[own], count=_SCALE_TREES).predict(seen[test]))
        trees = Trees.fit(seen[telling], target[telling], count=_SCALE_TREES)
    return np.asarray(np.hypot(scale, missed["uncertainty"].to_numpy())), trees


def errors_of(missed: pd.DataFrame, scale: Array) -> dict[str, Errors]:
    """The errors of rows that were missed, by scenario, in units of what was expected."""
    ratio, kind = missed["ratio"].to_numpy() / scale, kinds(missed["regime"], missed["outside"])
    scenarios = missed["scenario"].to_numpy()
    return {str(name): Errors.of(ratio[scenarios == name], kind[scenarios == name]) for name in set(scenarios)}


def to_record(known: Mapping[str, KnownGpus]) -> dict[str, Any] | None:
    """What is known of GPUs as plain JSON values; `from_record` is the way back."""
    if not known:
        return None
    sample = next(iter(known.values())).sample
    calls = (
        []
        if sample.empty
        else [_packed_call({str(name): value for name, value in one.items()}) for one in sample.to_dict("records")]
    )
    trees = {id(one.efficiency): one.efficiency for one in known.values()}
    at = {key: number for number, key in enumerate(trees)}
    return {
        "columns": _FINGERPRINT,
        "sample": calls,
        "trees": [[one.host.to_dict(), one.device.to_dict()] for one in trees.values()],
        "known": [{**one.to_dict(), "trees": at[id(one.efficiency)]} for one in known.values()],
    }


def from_record(record: Mapping[str, Any] | None) -> dict[str, KnownGpus]:
    """What `to_record` wrote; raises `DataError` for anything else."""
    if record is None:
        return {}
    with reading("GPUs", do=_AGAIN):
        if record["columns"] != _FINGERPRINT:
            raise ValueError("kernels are told by other columns in this version")
        calls = [_unpacked_call(one) for one in listed(record["sample"], "calls", most=limits.MOST_ROWS)]
        if sum(len(one[KERNELS].count) for one in calls) > limits.MOST_KERNELS:
            raise ValueError(f"more than {limits.MOST_KERNELS:,} kernels")
        shared = []
        for pair in listed(record["trees"], "trees", most=limits.MOST_FRAMEWORKS):
            host, device = listed(pair, "trees", most=2)
            sizes = costs.HOST_FEATURES, costs.DEVICE_FEATURES
            shared.append(
                Efficiency(Trees.from_dict(host, features=sizes[0]), Trees.from_dict(device, features=sizes[1]))
            )
        found = []
        for one in listed(record["known"], "frameworks", most=limits.MOST_FRAMEWORKS):
            at = values.whole(one["trees"], "the number of trees", (0, len(shared) - 1))
            found.append(KnownGpus.from_dict(one, shared[at], pd.DataFrame(calls)))
        if len({one.framework for one in found}) < len(found):
            raise ValueError("a framework twice")
        return {one.framework: one for one in found}


def _packed_call(row: Mapping[str, Any]) -> dict[str, Any]:
    own: Kernels = row[KERNELS]
    table = np.column_stack([own.count, own.table]).astype("<f4")
    text = base64.b64encode(zlib.compress(table.tobytes(), 9)).decode()
    return {**{name: float(row[name]) for name in (*COLUMNS, "batch_size")}, KERNELS: text}


def _unpacked_call(record: Any) -> dict[str, Any]:
    width = 1 + len(KERNEL_COLUMNS)
    told = values.unpacked(record[KERNELS], "kernels of a call", "<f4", most=width * _MOST)
    table = values.within(told.reshape(-1, width).astype(float), "kernels of a call", limits.SPAN)
    known = np.isin(table[:, 1 + KERNEL_COLUMNS.index("group")], range(len(GROUPS)))
    if not (len(table) and known.all() and (table[:, 0] > 0).all() and (table[:, _AMOUNTS] >= 0).all()):
        raise ValueError("kernels that are none")
    numbers = {name: values.number(record[name], name, limits.AMOUNT) for name in COLUMNS}
    numbers["batch_size"] = values.number(record["batch_size"], "a batch size", (1, MAX_BATCH_SIZE))
    return {**numbers, KERNELS: Kernels(table[:, 1:], table[:, 0])}


_FINGERPRINT = zlib.crc32(" ".join((*KERNEL_COLUMNS, *GROUPS)).encode())
_MOST = 10_000  # kernels of a call in a sample
_AMOUNTS = [1 + KERNEL_COLUMNS.index(name) for name in KERNEL_COLUMNS if not name.startswith(("before", "after"))]
_LONGEST = 10_000  # characters of a source
_STEEPEST = 1000.0  # overlap
_MOST_COUNTS = 32  # of errors
_AGAIN = "fit the predictor again"


def _rounded(values: Array) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _logs(record: Any) -> Array:
    """Log costs of kernels."""
    found = values.shaped(values.numbers(record, "log costs", (-_LONGEST, _LONGEST)), "log costs", (len(COSTS),))
    work = slice(HOSTS, -1)
    seconds, times = np.delete(found, work), found[work]
    values.within(np.exp(np.clip(seconds, -99, 99)), "seconds of dispatches", limits.DISPATCH_S)
    values.within(np.exp(np.clip(times, -99, 99)), "times of rooflines", limits.ROOFLINES)
    return found
