"""Measurement and Profile: what was seen of one workload on one platform, timed or operator by operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ftax_model import fields
from ftax_model.device import renamed
from ftax_model.errors import DataError, FtaxError
from ftax_model.fields import Kind, check, named, number, one_of, optional, shown, text, whole
from ftax_model.operators import FEATURES, TIMING, OperatorTiming, timings_from_record, timings_to_record
from ftax_model.values import check_schema
from ftax_model.workload import Workload

SCHEMA = 1

STATUSES = ("ok", "out-of-memory", "unsupported", "timeout", "crashed")

CLOCKS: Mapping[str, str] = {
    "latency_s": "synchronise, call, synchronise: what one request waits; median over blocks",
    "pipelined_s": "N calls between two synchronisations, divided by N; median over blocks",
    "host_s": "time until the call returns, without synchronising",
    "device_s": "time the device is busy with one call",
}

MOST_REPEATS = 10**9
"""Looks at one workload on one platform, and calls, blocks and events of each."""

WIDE_SPREAD = 0.05
SHORT_BLOCK_S = 1e-3
FOREIGN_LOAD = 0.25


def in_threads(count: int) -> str:
    """A number of threads in words.

    >>> in_threads(1), in_threads(8)
    ('1 thread', '8 threads')
    """
    return f"{count} thread{'s' * (count != 1)}"


PLATFORM: Mapping[str, Kind] = {
    "framework": fields.NAME,
    "device": text(5000),
    "dtype": fields.NAME,
    "threads": whole(1, fields.MOST_THREADS),
}
CELL: Mapping[str, Kind] = {**PLATFORM, "device": fields.NO_PATH, "repeat": whole(0, MOST_REPEATS)}
RECORD: Mapping[str, Kind] = {
    "status": one_of(STATUSES),
    "reason": text(),
    "latency_s": optional(fields.SECONDS),
    "environment": named(
        {
            "device_model": optional(text(1000)),
            "load_before": optional(number("cores", MOST_REPEATS)),
            "peak_macs": optional(number("MACs a second", fields.MOST_COUNT)),
            "versions": named(),
        }
    ),
    "measured_at": text(100),
}
MEASUREMENT: Mapping[str, Kind] = {
    **RECORD,
    **dict.fromkeys((*CLOCKS, "prepare_s", "first_call_s"), optional(fields.SECONDS)),
    "energy_j": optional(number("joules", MOST_REPEATS)),
    "samples": fields.SAMPLES,
    **dict.fromkeys(("calls_per_block", "discarded_blocks", "warmup_calls"), whole(0, MOST_REPEATS)),
    "peak_memory_bytes": optional(whole(0, fields.MOST_BYTES)),
    "features": named(dict.fromkeys(FEATURES, number("something counted", fields.MOST_COUNT))),
    "telemetry": named({"activations": optional(fields.named_numbers("shares", 1.0))}),
}
PROFILE: Mapping[str, Kind] = {
    **RECORD, "profiled_s": optional(fields.SECONDS), "events": whole(0, MOST_REPEATS), "calls": whole(0, MOST_REPEATS),
}  # fmt: skip
"""What the fields of a platform, a cell, and the kinds of records may be."""


@dataclass(frozen=True)
class Platform:
    """What runs a workload: framework, device, dtype and thread count."""

    framework: str
    device: str
    dtype: str
    threads: int

    def __post_init__(self) -> None:
        check(PLATFORM, vars(self))

    def __str__(self) -> str:
        return f"{self.framework} on {self.device}, {self.dtype}, {in_threads(self.threads)}"


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a workload on a platform, for the ``repeat``-th time in a fresh process."""

    workload: Workload
    framework: str
    device: str
    threads: int = 1
    repeat: int = 0

    def __post_init__(self) -> None:
        check(CELL, vars(self))

    @property
    def platform(self) -> Platform:
        """The platform of this cell."""
        return Platform(self.framework, self.device, self.workload.dtype, self.threads)

    @property
    def key(self) -> str:
        """Unique within a dataset."""
        return f"{self.workload.key}/{self.framework}/{self.device}/{self.threads}/{self.repeat}"

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values; `from_record` is the way back."""
        return {**vars(self), "workload": self.workload.to_record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Cell:
        """The cell that `to_record` wrote."""
        return cls(**{**record, "workload": Workload.from_record(record["workload"])})


@dataclass(frozen=True)
class Record:
    """What every line of a file about cells holds: the cell, how looking at it ended, where and when.

    ``latency_s`` are the seconds of one call. A failed cell has a ``status`` other than ``ok`` and a ``reason``, and no
    ``latency_s``. A subclass says what else there is.
    """

    cell: Cell
    status: str = "ok"
    reason: str = ""
    latency_s: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    measured_at: str = ""

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values, one line of a file; `from_record` is the way back."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "cell"}
        return {"schema": SCHEMA, "key": self.cell.key, **self.cell.to_record(), **values}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What `to_record` wrote; raises `DataError` where it is another schema or not such a record."""
        drop = "mend or drop the line"
        if not isinstance(record, Mapping) or "schema" not in record:
            raise DataError("a record is a JSON object with a schema version", shown(record), drop)
        again = "measure again, or use the version that wrote it"
        check_schema(record["schema"], SCHEMA, what="records of datasets", again=again)
        values = dict(record)
        try:
            cell = Cell.from_record({f.name: values.pop(f.name) for f in dataclasses.fields(Cell)})
            del values["schema"], values["key"]
            environment = values.get("environment")
            model = environment.get("device_model") if isinstance(environment, Mapping) else None
            if isinstance(model, str) and (device := renamed(cell.device, model)) != cell.device:
                cell = dataclasses.replace(cell, device=device)
            return cls(cell=cell, **cls._values(values))
        except FtaxError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            got = f"{type(error).__name__}: {error}"
            raise DataError(f"a record has the fields of {cls.__name__}", got, drop) from error

    @classmethod
    def _values(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The fields beside the cell, from their JSON values."""
        return values


@dataclass(frozen=True)
class Measurement(Record):
    """One record of a dataset.

    ``latency_s`` and the other `CLOCKS` are seconds per call, ``None`` where that clock does not exist. ``samples`` are
    the block values behind ``latency_s``, each the mean of ``calls_per_block`` calls; ``discarded_blocks`` were thrown
    away because the clock went backwards. ``prepare_s`` is the time to compile or export, ``first_call_s`` the first
    call alone. ``energy_j`` are the joules that a whole GPU board takes for one call of a loop of such calls, ``None``
    where they are not counted. ``features`` are the trace's columns (`ftax_model.operators.FEATURES`). A failed cell
    has no clocks.
    """

    pipelined_s: float | None = None
    host_s: float | None = None
    device_s: float | None = None
    energy_j: float | None = None
    samples: tuple[float, ...] = ()
    calls_per_block: int = 0
    discarded_blocks: int = 0
    warmup_calls: int = 0
    prepare_s: float | None = None
    first_call_s: float | None = None
    peak_memory_bytes: int | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    telemetry: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(MEASUREMENT, vars(self))
        if self.status == "ok" and not self.latency_s:
            raise DataError("a good record has a positive latency_s", repr(self.latency_s), "mend the record")

    @property
    def spread(self) -> float | None:
        """Interquartile range of the samples over their median; ``None`` below four samples."""
        if len(self.samples) < 4:
            return None
        ordered = sorted(self.samples)
        low, middle, high = (_quantile(ordered, q) for q in (0.25, 0.5, 0.75))
        return (high - low) / middle

    def warnings(self) -> tuple[str, ...]:
        """What this measurement holds against itself; empty where it holds nothing."""
        if self.status != "ok" or self.latency_s is None:
            return ()
        found = []
        if self.spread is not None and self.spread > WIDE_SPREAD:
            found.append("wide-spread")
        if self.samples and self.calls_per_block * self.latency_s < SHORT_BLOCK_S:
            found.append("short-block")
        if self.discarded_blocks:
            found.append("clock-setback")
        if (self.environment.get("load_before") or 0.0) > FOREIGN_LOAD or self.telemetry.get("neighbours"):
            found.append("foreign-load")
        if self.telemetry.get("throttled"):
            found.append("throttled")
        shares = self.telemetry.get("activations") or {}
        found += [f"{kind}-activations" for kind, share in shares.items() if share]
        peak = self.environment.get("peak_macs")
        if peak and self.features.get("macs", 0.0) / self.latency_s > peak:
            found.append("above-peak")
        return tuple(found)

    def to_record(self) -> dict[str, Any]:
        """As the base says."""
        return {**super().to_record(), "samples": list(self.samples)}

    @classmethod
    def _values(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "samples": tuple(values.get("samples", ()))}


@dataclass(frozen=True)
class Profile(Record):
    """What each operator of a cell's trace took, seen in a profiled run of its own.

    ``timings`` are in the order of the trace, one an operator. ``profiled_s`` are the seconds of a call under the
    profiler, the median of ``calls``; ``latency_s`` those of a call without, in the same process before and after.
    ``events`` is how many the profiler wrote down in one call, so that ``(profiled_s - latency_s) / events`` is what
    each of them adds. A failed profile has none of these.
    """

    timings: tuple[OperatorTiming, ...] = ()
    profiled_s: float | None = None
    events: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        check(PROFILE, vars(self))
        if self.status == "ok":
            for name in ("latency_s", "profiled_s"):
                if not getattr(self, name):
                    raise DataError(
                        f"a good profile has a positive {name}", repr(getattr(self, name)), "mend the record"
                    )
        for timing in self.timings:
            check(TIMING, vars(timing))

    @property
    def unmatched(self) -> int:
        """Operators of the trace that the profiled run did not show."""
        return sum(timing.host_s is None for timing in self.timings)

    def to_record(self) -> dict[str, Any]:
        """As the base says; see `ftax_model.operators.timings_to_record`."""
        return {**super().to_record(), "timings": timings_to_record(self.timings)}

    @classmethod
    def _values(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "timings": timings_from_record(values["timings"])}


def _quantile(ordered: list[float], q: float) -> float:
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
