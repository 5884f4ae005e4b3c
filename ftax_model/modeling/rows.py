"""Rows of a dataset: the columns that estimators look at, those of operators from tracing again, and folds of rows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from ftax_model import architectures, dataset, outside
from ftax_model.errors import DataError
from ftax_model.measurement import Platform
from ftax_model.modeling.parallel import in_parallel
from ftax_model.modeling.platforms import mine
from ftax_model.operators import MEMORY, Trace
from ftax_model.tracing import features, trace_sweep
from ftax_model.tracing.kernels import KERNELS, kernels
from ftax_model.workload import DTYPES, Workload

WORKLOAD = ("architecture", "hyperparameters", "batch_size", "input_size", "dtype", "lengths")
"""Columns of a dataset's frame that say what was computed."""

PLATFORM = tuple(field.name for field in dataclasses.fields(Platform))
"""Columns that say with what it was computed."""

UNKNOWN = "unknown"
"""Column that names the operators of a call whose cost is not known; empty where there are none."""

UNKNOWN_SHARE = "unknown_share"
"""Column with the share of bytes that those move."""

WAY = "way"
"""Column that says on what a call was traced, where that was neither the meta device nor the module itself."""

MANY = 1000
"""Rows from which processes of their own are worth it."""


def with_operators(table: pd.DataFrame, *, jobs: int | None = None) -> pd.DataFrame:
    """The table with the columns of operators (`ftax_model.tracing.features.COLUMNS`) and of memory
    (`ftax_model.operators.MEMORY`) beside its own.

    Workloads are built and traced again, each sweep of batch sizes once, in ``jobs`` processes
    (`ftax_model.modeling.parallel.in_parallel`); of models from outside the traces that are kept count
    (`ftax_model.modeling.platforms.mine`). Rows whose architecture this version does not have (what others measured),
    those from outside without traces, and those of whole numbers have none: their columns are nan. A table that has the
    columns comes back as it is.
    """
    names = [name for name in (*features.COLUMNS, *MEMORY) if name not in table]
    if set(names) <= set(MEMORY):
        return table
    if not set(WORKLOAD) <= set(table.columns):
        return table.join(pd.DataFrame(float("nan"), index=table.index, columns=names))
    known = {*architectures.names(), *outside.KINDS}
    keys = _keys(table)
    traceable = keys[keys["architecture"].isin(known) & keys["dtype"].isin(list(DTYPES))].drop_duplicates()
    sweeps: dict[Workload, list[tuple[Any, Workload]]] = {}
    for key in traceable.itertuples(index=False, name=None):
        workload = _workload(dict(zip(WORKLOAD, key, strict=True)))
        sweeps.setdefault(workload.curve, []).append((key, workload))
    ordered = sorted(sweeps.values(), key=lambda own: own[0][1].architecture)
    found = in_parallel((delayed(_columns)(own) for own in ordered), jobs=jobs if len(ordered) > _FEW else 1)
    columns = {key: one for part in found for key, one in part}
    nothing, place = dict.fromkeys(names, float("nan")), {key: at for at, key in enumerate(columns, start=1)}
    distinct = pd.DataFrame([nothing, *columns.values()], columns=names)
    at = [place.get(key, 0) for key in keys.itertuples(index=False, name=None)]
    return table.join(distinct.iloc[at].set_axis(table.index))


MOST = 20_000
"""Rows of a platform that are learnt from or judged; seven times those of any dataset that comes along."""


def drawn(table: pd.DataFrame, *, most: int = MOST, each: Sequence[str] = PLATFORM, seed: int = 0) -> pd.DataFrame:
    """At most so many rows of ``each`` platform, whole batch sweeps at random, of as few workloads as may be.

    Of a sweep that has more alone, some rows. A table that has no more comes back as it is. Whoever draws says so.
    """
    if len(table) <= most:
        return table
    groups = table.groupby(list(each), sort=False).ngroup() if each else pd.Series(0, index=table.index)
    if groups.value_counts().max() <= most:
        return table
    curves = pd.Series(pd.factorize(table["curve"])[0], index=table.index)
    turn = np.random.default_rng(seed).permutation(curves.max() + 1)[curves]
    sizes = pd.DataFrame({"group": groups, "turn": turn}).groupby(["group", "turn"]).size()
    kept = sizes.index[sizes.groupby("group").cumsum() <= most]
    whole = pd.Series(pd.MultiIndex.from_arrays([groups, turn]).isin(kept), index=table.index)
    bare = groups[~groups.isin(kept.get_level_values("group"))].sample(frac=1.0, random_state=seed)
    whole[bare.groupby(bare).head(most).index] = True
    return table[whole].reset_index(drop=True)


def with_kernels(table: pd.DataFrame) -> pd.DataFrame:
    """The table with kernels (`KERNELS`) and features, ``dtype``, ``host``, ``model`` and ``batch_size`` in any case.

    A row's ``trace`` tells them, else its workload is traced again. Raises `DataError` for a row that has neither.
    """
    if KERNELS not in table:
        lacking = [name for name in WORKLOAD if name not in table]
        if "trace" not in table and lacking:
            law = "what a GPU took says something once the call is traced"
            raise DataError(law, f"no trace, and no {lacking[0]}", "give each row its Trace, or its workload")
        dtypes = table["dtype"] if "dtype" in table else pd.Series("float32", index=table.index)
        traces = table["trace"] if "trace" in table else _traced(table)
        own = [kernel_row(trace, dtype=str(dtype)) for trace, dtype in zip(traces, dtypes, strict=True)]
        told = pd.DataFrame(own, index=table.index)
        table = table.drop(columns=[name for name in told if name in table]).join(told)
    usual: dict[str, Any] = {
        "dtype": "float32",
        "host": "here",
        "batch_size": 1,
        "model": [f"call {at}" for at in range(len(table))],
    }
    return table.assign(**{name: value for name, value in usual.items() if name not in table})


def _traced(table: pd.DataFrame) -> list[Trace]:
    keys = _keys(table)
    workloads = [_workload(dict(zip(WORKLOAD, key, strict=True))) for key in keys.itertuples(index=False, name=None)]
    traces = [_traces(one.curve, [one.batch_size]).get(one.batch_size) for one in workloads]
    for one, trace in zip(workloads, traces, strict=True):
        if trace is None:
            law = "what a GPU took says something once the call is traced"
            raise DataError(law, f"no trace of {architectures.label(one)}", "measure it with ftax measure --save")
    return cast(list[Trace], traces)


def of_operators(profiles: pd.DataFrame) -> pd.DataFrame:
    """Operators that were timed one by one (`ftax_model.dataset.operator_frame`), with the columns that sum over them.

    Beside those of `ftax_model.tracing.features.SUMS`: ``key`` of the call, the platform, ``count``, ``host_s`` and
    ``device_s``, and ``kind``, a number that operators of equal columns on one platform share. A table that has the
    columns comes back as it is.
    """
    names = list(features.SUMS)
    if set(names) <= set(profiles.columns):
        return profiles
    sums = [
        features.linear(operator, itemsize=DTYPES[dtype])[1]
        for operator, dtype in zip(dataset.operators(profiles), profiles["dtype"], strict=True)
    ]
    columns = pd.DataFrame(sums, columns=names, index=profiles.index).fillna(0.0)
    kept = profiles[["key", *PLATFORM, "count", "host_s", "device_s"]].join(columns)
    return kept.assign(kind=kept.groupby([*PLATFORM, *names]).ngroup())


def row(trace: Trace, *, dtype: str) -> dict[str, Any]:
    """Features and columns of operators of one call, as models of CPUs see it, which are `UNKNOWN`, and the `WAY`."""
    own = features.columns(trace, itemsize=DTYPES[dtype])
    return {**trace.features(), **trace.memory(), **_told(trace), **own}


def kernel_row(trace: Trace, *, dtype: str) -> dict[str, Any]:
    """Features and kernels of one call, as models of GPUs see it, which operators are `UNKNOWN`, and the `WAY`."""
    return {**trace.features(), **trace.memory(), **_told(trace), KERNELS: kernels(trace, itemsize=DTYPES[dtype])}


def _told(trace: Trace) -> dict[str, Any]:
    said = features.unknown(trace)
    return {UNKNOWN: said, UNKNOWN_SHARE: features.unknown_share(trace) if said else 0.0, WAY: trace.way}


def folds(
    groups: pd.Series[Any], *, always: pd.Series[bool] | None = None, most: int = 10
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions to learn from and to predict: every group left out once, in ``most`` turns; one group alone by rows.

    Rows that are ``always`` seen are never predicted.
    """
    own = groups.to_numpy() if groups.nunique() > 1 else np.arange(len(groups))
    kept = np.zeros(len(own), dtype=bool) if always is None else always.to_numpy()
    if len(set(own[~kept])) < 2:
        kept = np.zeros(len(own), dtype=bool)
    left, right = np.flatnonzero(kept), np.flatnonzero(~kept)
    splitter = GroupKFold(n_splits=min(most, len(set(own[right]))))
    for train, test in splitter.split(np.zeros(len(right)), groups=own[right]):
        yield np.concatenate([left, right[train]]), right[test]


_FEW = 60  # sweeps that are sooner traced than shared out


def _keys(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that say what was computed; an input size that is not there is ``None``, which equals itself."""
    keys = table[list(WORKLOAD)].astype({"hyperparameters": str, "input_size": object})
    return keys.where(keys.notna(), None)


def _workload(values: Mapping[str, Any]) -> Workload:
    settings = json.loads(values["hyperparameters"])
    return Workload(
        values["architecture"],
        settings,
        batch_size=int(values["batch_size"]),
        input_size=None if pd.isna(values["input_size"]) else int(values["input_size"]),
        dtype=values["dtype"],
        lengths=values["lengths"],
    )


def _columns(sweep: Iterable[tuple[Any, Workload]]) -> list[tuple[Any, dict[str, float]]]:
    own = list(sweep)
    traces = _traces(own[0][1].curve, [workload.batch_size for _, workload in own])
    itemsize = DTYPES[own[0][1].dtype]
    there = [(key, traces[workload.batch_size]) for key, workload in own if workload.batch_size in traces]
    return [(key, {**features.columns(trace, itemsize=itemsize), **trace.memory()}) for key, trace in there]


def _traces(curve: Workload, sizes: Iterable[int]) -> dict[int, Trace]:
    """The traces of a workload by batch size, as far as they can be known."""
    if curve.architecture in architectures.names():
        return trace_sweep(curve, sizes)
    return mine.kept_traces(curve)
