"""Tidy frames of measurements and of operator profiles, and what is asked of a frame."""

from __future__ import annotations

import itertools
import json
import math
import numbers
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftax_model import architectures, plugins
from ftax_model.errors import DataError, FtaxError
from ftax_model.files import LARGEST_NUMBER, parse_json
from ftax_model.measurement import CLOCKS, STATUSES, WIDE_SPREAD, Cell, Measurement, Profile
from ftax_model.operators import FEATURES, SIGNATURE, TIMES, Operator, OperatorTiming
from ftax_model.workload import DTYPES, LENGTHS, MAX_BATCH_SIZE, MAX_INPUT_SIZE, QUANTISED, Workload

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


TEXTS = (
    "key", "architecture", "family", "model", "curve", "hyperparameters", "lengths", "framework", "device", "dtype",
    "status", "reason", "warnings",
)  # fmt: skip
"""Columns of a `frame` that are words."""

_BESIDE_FEATURES = ("spread", "prepare_s", "first_call_s", "peak_memory_bytes")

WHOLE = ("batch_size", "threads", "repeat")
"""Columns that are whole numbers in every row."""

NUMBERS = (
    *WHOLE, "input_size", *CLOCKS, "energy_j", *FEATURES, *_BESIDE_FEATURES
)  # fmt: skip
"""Columns that are numbers."""

Where = Mapping[str, Any]
"""Which rows: a value, or several in a list, a tuple or a set, by the name of a column."""

Tell = Callable[[int, float], None]
"""Takes how many rows are done, and which share of all that is, from 0 to 1."""


def frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row a measurement, tidy; they may come one after the other, and none is kept.

    Columns: ``key``; ``architecture``, ``family``, ``model`` (label of architecture and hyperparameters), ``curve``
    (model, input size, dtype: what one batch sweep shares), ``hyperparameters`` (JSON), ``batch_size``, ``input_size``,
    ``lengths``; ``framework``, ``device``, ``dtype``, ``threads``, ``repeat``; the clocks in seconds
    (`ftax_model.measurement.CLOCKS`); ``energy_j``; the features of the trace (`ftax_model.operators.FEATURES`);
    ``spread``, ``prepare_s``, ``first_call_s``, ``peak_memory_bytes``; ``status``, ``reason`` and ``warnings`` (joined
    by commas): what the measurement holds against itself (`ftax_model.measurement.Measurement.warnings`), and
    ``non-monotone`` where a larger batch of the same sweep was clearly faster. A number that is missing is nan.
    """
    import pandas as pd

    coming, labels, parts = iter(measurements), _Labels(), []
    while own := list(itertools.islice(coming, _AT_ONCE)):
        parts.append(pd.DataFrame(_columns(own, labels)))
    if not parts:
        return pd.DataFrame(columns=["key", "status", "latency_s"])
    table = pd.concat(parts, ignore_index=True)
    said = table["warnings"].to_list()
    for at in _non_monotone(table):
        said[at] = f"{said[at]},non-monotone" if said[at] else "non-monotone"
    return table.assign(warnings=said)


def operator_frame(profiles: Iterable[Profile]) -> pd.DataFrame:
    """One row for each workload, platform and distinct operator signature, tidy.

    Columns: ``key`` (that of the measurement in the dataset); ``architecture``, ``family``, ``model``, ``curve``,
    ``batch_size``, ``framework``, ``device``, ``dtype``, ``threads`` as in `frame`; ``latency_s``, ``profiled_s`` and
    ``events`` of the whole call (see `ftax_model.measurement.Profile`); the signature: ``kind``, ``inputs`` and
    ``outputs`` (shapes), ``macs``, ``activation_bytes``, ``weight_bytes``, and each of its attributes, missing where an
    operator has none of that name (``m``, ``k``, ``n``, ``batch``; ``kernel``, ``stride``, ``groups``, ...); ``count``
    of such operators in a call, how many of them are ``unmatched``, and the median ``host_s`` and ``device_s`` of the
    others. A profile that failed has no row.
    """
    import pandas as pd

    labels = _Labels()
    rows = [row for profile in profiles for row in _operator_rows(profile, labels)]
    table = pd.DataFrame(rows, columns=None if rows else [*_BESIDE_OPERATORS, *SIGNATURE[:-1]])
    return table.astype(dict.fromkeys(TIMES, float))


def operators(table: pd.DataFrame) -> list[Operator]:
    """The operators that the rows of an `operator_frame` are of, without their place in the model."""
    *plain, _ = SIGNATURE  # the attributes, which have columns of their own
    named = [name for name in table.columns if name not in {*plain, *_BESIDE_OPERATORS}]
    found = []
    for own in table[[*plain, *named]].to_dict("records"):
        given = {name: own[name] for name in named if own[name] is not None and own[name] == own[name]}  # nan: missing
        found.append(Operator(**{name: own[name] for name in plain}, attributes=given))
    return found


def values(where: Where | None) -> dict[str, list[Any]]:
    """The values that rows may have, by the name of a column, those alone that are of its type.

    Raises `InputError` for a column that a frame lacks.
    """
    check_columns(where or ())
    found: dict[str, list[Any]] = {}
    for name, own in (where or {}).items():
        several = own if isinstance(own, list | tuple | set) else [own]
        if name in TEXTS:
            found[name] = [one for one in several if isinstance(one, str)]
        else:
            found[name] = [float(one) for one in several if isinstance(one, numbers.Real)]
    return found


def check_columns(asked: Iterable[str]) -> None:
    """Raise `InputError` for a column that a `frame` does not have."""
    for name in asked:
        plugins.check(name, (*TEXTS, *NUMBERS), what="column")


def chosen(table: pd.DataFrame, *, columns: Sequence[str] | None, where: Where | None) -> pd.DataFrame:
    """The columns and rows of a frame that were asked for; raises `InputError` for a column that it lacks."""
    check_columns(columns or ())
    for name, own in values(where).items():
        table = table[table[name].isin(own)]
    return table.reset_index(drop=True) if columns is None else table[list(columns)].reset_index(drop=True)


def check_values(table: pd.DataFrame) -> None:
    """Raise `ValueError` where the values in columns of a frame are none that measurements have."""
    import numpy as np

    for name in table.columns.intersection([*NUMBERS]):
        if np.isinf(table[name]).any():
            raise ValueError(f"{name} is not finite")
    for name in table.columns.intersection([*CLOCKS, "energy_j"]):
        if (table[name] < 0).any():
            raise ValueError(f"{name} is negative")
    for name, allowed in {"status": STATUSES, "lengths": LENGTHS, "dtype": (*DTYPES, QUANTISED)}.items():
        if name in table and not table[name].isin(allowed).all():
            raise ValueError(f"{name} is one of {', '.join(allowed)}")
    for name, most in {"batch_size": MAX_BATCH_SIZE, "input_size": MAX_INPUT_SIZE, "threads": LARGEST_NUMBER}.items():
        if name in table and not table[name].dropna().between(1, most).all():
            raise ValueError(f"{name} lies outside 1 to {most}")
    if {"status", "latency_s"} <= {*table} and not (table.loc[table["status"] == "ok", "latency_s"] > 0).all():
        raise ValueError("a good row has a positive latency_s")
    if "key" in table and not table["key"].is_unique:
        raise ValueError("a key comes twice")
    for own in table["hyperparameters"].unique() if "hyperparameters" in table else ():
        if not isinstance(parse_json(own), dict):
            raise ValueError("hyperparameters are a JSON object")


def by_name(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of any frame as dictionaries of its own values, by the names of columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def good(table: pd.DataFrame, *, what: str = "the dataset") -> pd.DataFrame:
    """The rows that were measured (``status`` ok); raises `DataError` where there is none."""
    rows = table[table["status"] == "ok"].reset_index(drop=True)
    if rows.empty:
        reasons = ", ".join(f"{count} {status}" for status, count in table["status"].value_counts().items())
        raise DataError(
            "a fit needs measured rows", f"{what}: {reasons or 'no row at all'}", "measure some: ftax collect"
        )
    return rows


_AT_ONCE = 4096  # measurements in memory at a time


def _columns(measurements: Sequence[Measurement], labels: _Labels) -> dict[str, Any]:
    """The columns of a frame, but for what all its rows together tell."""
    cells = [one.cell for one in measurements]
    return {
        **labels.columns(cells),
        "batch_size": _numbers(cell.workload.batch_size for cell in cells),
        "input_size": _numbers(cell.workload.input_size for cell in cells),
        "lengths": [cell.workload.lengths for cell in cells],
        "framework": [cell.framework for cell in cells],
        "device": [cell.device for cell in cells],
        "dtype": [cell.workload.dtype for cell in cells],
        "threads": _numbers(cell.threads for cell in cells),
        "repeat": _numbers(cell.repeat for cell in cells),
        **{name: _numbers(getattr(one, name) for one in measurements) for name in (*CLOCKS, "energy_j")},
        **{name: _numbers(one.features.get(name) for one in measurements) for name in FEATURES},
        **{name: _numbers(getattr(one, name) for one in measurements) for name in _BESIDE_FEATURES},
        "status": [one.status for one in measurements],
        "reason": [one.reason for one in measurements],
        "warnings": [",".join(one.warnings()) for one in measurements],
    }


def _numbers(values: Iterable[Any]) -> NDArray[Any]:
    """Whole numbers where all of them are; else floats, nan where one is missing."""
    import numpy as np

    known = list(values)
    found = np.array(known)
    return found if found.dtype.kind in "if" else np.array(known, dtype=float)


def _non_monotone(table: pd.DataFrame) -> NDArray[np.intp]:
    """Where a row took longer than a larger batch of the same sweep and repeat did, by more than both spreads.

    What disturbs a measurement makes it slower, so it is the smaller batch that is doubted.
    """
    import numpy as np

    rows = table[table["status"] == "ok"]
    rows = rows.assign(sweep=rows.groupby(_SWEEP, dropna=False, sort=False).ngroup())
    rows = rows.sort_values(["sweep", "batch_size"], ascending=[True, False], kind="stable")
    spread = rows["spread"].fillna(WIDE_SPREAD)  # of too few samples, as wide as it may be
    fastest = (rows["latency_s"] * (1 + spread)).groupby(rows["sweep"]).cummin()
    before = fastest.groupby(rows["sweep"]).shift(fill_value=math.inf)
    slow = rows.index[rows["latency_s"] * (1 - spread) > before]
    return np.sort(slow.to_numpy())


_SWEEP = [
    "architecture", "hyperparameters", "input_size", "lengths", "framework", "device", "dtype", "threads", "repeat",
]  # fmt: skip
"""Columns that all batch sizes of one sweep share."""


def _operator_rows(profile: Profile, labels: _Labels) -> Iterator[dict[str, object]]:
    alike: dict[str, list[OperatorTiming]] = {}
    for timing in profile.timings:
        alike.setdefault(json.dumps(timing.operator.signature), []).append(timing)
    called = {name: own for name, (own,) in labels.columns([profile.cell]).items() if name != "hyperparameters"}
    for timings in alike.values():
        operator = timings[0].operator
        taken = operator.attributes.keys() & {*_BESIDE_OPERATORS, *SIGNATURE}
        if taken:
            raise DataError("attributes of an operator have names of their own", min(taken), "mend the record")
        matched = [timing for timing in timings if timing.host_s is not None]
        yield {
            **called,
            "batch_size": profile.cell.workload.batch_size,
            **_platform_columns(profile.cell),
            **{name: getattr(profile, name) for name in ("latency_s", "profiled_s", "events")},
            **{name: getattr(operator, name) for name in SIGNATURE[:-1]},
            **operator.attributes,
            "count": len(timings),
            "unmatched": len(timings) - len(matched),
            **{name: _median(getattr(timing, name) for timing in matched) for name in TIMES},
        }


_BESIDE_OPERATORS = (
    "key", "architecture", "family", "model", "curve", "batch_size", "framework", "device", "dtype", "threads",
    "latency_s", "profiled_s", "events", "count", "unmatched", *TIMES,
)  # fmt: skip
"""Columns of an `operator_frame` that are of the call, or what was measured."""


class _Labels:
    """What cells are called, worked out once a model."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], str] = {}

    def columns(self, cells: Sequence[Cell]) -> dict[str, list[str]]:
        """The columns that say which model each cell is of."""
        workloads = [cell.workload for cell in cells]
        settings = [json.dumps(one.settings, sort_keys=True) for one in workloads]
        return {
            "key": [cell.key for cell in cells],
            "architecture": [one.architecture for one in workloads],
            "family": [self._family(one.architecture) for one in workloads],
            "model": [self._model(one, own) for one, own in zip(workloads, settings, strict=True)],
            "curve": [self._curve(one, own) for one, own in zip(workloads, settings, strict=True)],
            "hyperparameters": settings,
        }

    def _family(self, architecture: str) -> str:
        key = (architecture,)
        if key not in self._known:
            self._known[key] = _family(architecture)
        return self._known[key]

    def _model(self, workload: Workload, settings: str) -> str:
        key = (workload.architecture, settings)
        if key not in self._known:
            self._known[key] = _label(workload.model)
        return self._known[key]

    def _curve(self, workload: Workload, settings: str) -> str:
        key = (workload.architecture, settings, workload.input_size, workload.dtype, workload.lengths)
        if key not in self._known:
            self._known[key] = _label(workload.curve)
        return self._known[key]


def _platform_columns(cell: Cell) -> dict[str, object]:
    return {name: getattr(cell.platform, name) for name in ("framework", "device", "dtype", "threads")}


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _label(workload: Workload) -> str:
    try:
        return architectures.label(workload)
    except FtaxError:  # imported, or measured by a version that had another architecture folder
        parts = [" ".join([workload.architecture, *(f"{name}={value}" for name, value in workload.settings.items())])]
        parts += [str(workload.input_size)] if workload.input_size is not None else []
        parts += [workload.dtype] if workload.dtype != "float32" else []
        return ", ".join(parts)


def _family(architecture: str) -> str:
    return architectures.load(architecture).family if architecture in architectures.names() else "unknown"
