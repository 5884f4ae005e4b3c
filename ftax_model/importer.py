"""Importer: latencies that others measured, brought into records of our own by a map of columns and units."""

from __future__ import annotations

import dataclasses
import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ftax_model import files, plugins
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.operators import FEATURES
from ftax_model.workload import DTYPES, Workload

SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
RATE = "samples/s"
"""Unit of a throughput, from which the latency of a batch follows."""

COUNTS: Mapping[str, float] = {"1": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
PER_SAMPLE = "/sample"
"""Behind the unit of a feature that is of one input and not of the whole batch."""

TEXTS = ("model", "framework", "device", "dtype")
WHOLE = ("batch_size", "input_size", "threads", "n_ops", "depth")
TARGETS = (*TEXTS, "batch_size", "input_size", "threads", "latency_s", *FEATURES)
"""Columns of a dataset that a table of others can fill."""

REQUIRED = (*TEXTS, "batch_size", "latency_s")

_FOLDER = "ftax_model.maps"


@dataclass(frozen=True)
class Source:
    """Where the values of a column come from: a column of the table of others and its unit.

    Units are `SECONDS` or ``samples/s`` of a latency, `COUNTS` of a feature, with ``/sample`` behind it where it is of
    one input; ``@COLUMN`` where another column names the unit; empty for texts and whole numbers.
    """

    column: str
    unit: str = ""


@dataclass(frozen=True)
class Map:
    """Which column of a table of others is which of ours (`TARGETS`), and the values of those that it does not have.

    ``optional`` are targets whose column a table of that layout may lack. Raises `InputError` for a target that does
    not exist, one that comes twice, and a unit that is missing or not known.
    """

    columns: Mapping[str, Source] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for target in (*self.columns, *self.constants):
            plugins.check(target, TARGETS, what="column of a dataset")
        for target in self.constants:
            if target not in (*TEXTS, *WHOLE):
                law = "a value for all rows is one of " + ", ".join((*TEXTS, *WHOLE))
                raise InputError(law, target, f"name its column and unit: --map {target}=COLUMN:UNIT")
        for target, source in self.columns.items():
            _check_unit(target, source)

    def missing(self) -> list[str]:
        """Targets that a measurement cannot do without, and that neither a column nor a value gives."""
        return [target for target in REQUIRED if target not in self.columns and target not in self.constants]


def names() -> list[str]:
    """Layouts that are known by name."""
    return plugins.names(_FOLDER, suffix=".yaml")


def parse_map(words: Iterable[str], constants: Iterable[str] = ()) -> Map:
    """The map that words like ``timm``, ``latency_s=time:ms`` and constants like ``device=rtx-3090`` make.

    A later word replaces an earlier one. Raises `InputError` for one that makes no sense.

    >>> parse_map(["latency_s=time:ms"], ["device=cpu"]).columns["latency_s"]
    Source(column='time', unit='ms')
    """
    columns: dict[str, Source] = {}
    optional = set[str]()
    for word in words:
        target, equals, source = word.partition("=")
        if equals:
            columns[target] = _source(target, source)
            optional.discard(target)
        else:
            layout = _known(word)
            columns |= layout
            optional |= {*layout} - {*REQUIRED}
    values = {}
    for word in constants:
        target, equals, value = word.partition("=")
        if not equals or not value:
            raise InputError("a value for all rows is NAME=VALUE", repr(word), "write for example device=rtx-3090")
        values[target] = value
        columns.pop(target, None)
    return Map(columns, values, frozenset(optional))


def read_table(path: str | os.PathLike[str], asked: Map) -> list[Measurement]:
    """The rows of a CSV file, or of a JSON file (one object or a list of them, nested names joined by dots).

    A second row of the same workload and platform counts as its next repeat. Raises `InputError` where the map lacks
    what a measurement needs, `DataError` for a file that cannot be read, a column that it does not have, and a value
    that is no such number, with its row. Where a measurement does without a value, its field may be empty.
    """
    missing = asked.missing()
    if missing:
        cure = f"name a column (--map {missing[0]}=COLUMN) or a value (--set {missing[0]}=VALUE)"
        raise InputError(f"a measurement has {', '.join(REQUIRED)}", f"no {', '.join(missing)}", cure)
    path = Path(path)
    table = _table(path)
    held = {name: one for name, one in asked.columns.items() if name not in asked.optional or one.column in table}
    asked = dataclasses.replace(asked, columns=held)
    wanted = [source.column for source in asked.columns.values()]
    wanted += [source.unit[1:] for source in asked.columns.values() if source.unit.startswith("@")]
    for column in wanted:
        if column not in table:
            known = ", ".join(map(str, table.columns[:20]))
            raise DataError(f"{path} has the columns {known}", f"no column {column!r}", "name another one")
    seen: Counter[str] = Counter()
    found = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        values = {str(name): value for name, value in row.items()}
        where = f"{path} row {number}"
        try:
            found.append(_measurement(values, asked, seen, where=where))
        except FtaxError as error:
            if where in f"{error.law} {error.got}":
                raise
            raise type(error)(error.law, f"{error.got} in {where}", error.do) from error
    if not found:
        raise DataError("a table has rows", f"none in {path}", "check the file")
    return found


def _measurement(row: Mapping[str, Any], asked: Map, seen: Counter[str], *, where: str) -> Measurement:
    given: dict[str, Any] = {target: row[source.column] for target, source in asked.columns.items()}
    given = {target: value for target, value in given.items() if target in REQUIRED or not _is_empty(value)}
    given |= asked.constants
    texts = {name: _text(name, given[name], where) for name in TEXTS}
    plugins.check(texts["dtype"], DTYPES, what=f"dtype in {where}")
    whole = {name: int(_number(name, given[name], where, whole=True)) for name in WHOLE if name in given}
    workload = Workload(
        texts["model"], batch_size=whole["batch_size"], input_size=whole.get("input_size"), dtype=texts["dtype"]
    )
    cell = Cell(workload, texts["framework"], texts["device"], whole.get("threads", 1))
    seen[cell.key] += 1
    cell = Cell(workload, cell.framework, cell.device, cell.threads, seen[cell.key] - 1)
    features = {
        name: float(whole[name]) if name in whole else _scaled(name, row, asked.columns[name], whole, where)
        for name in FEATURES
        if name in given
    }
    return Measurement(
        cell,
        latency_s=_scaled("latency_s", row, asked.columns["latency_s"], whole, where),
        features=features,
        environment={"imported_from": Path(where.rpartition(" row ")[0]).name},
    )


def _scaled(target: str, row: Mapping[str, Any], source: Source, whole: Mapping[str, int], where: str) -> float:
    """A value in our unit."""
    value = _number(target, row[source.column], where)
    unit = source.unit
    if unit.startswith("@"):
        unit = str(row[unit[1:]])
        _check_unit(target, Source(source.column, unit), in_row=True)
    if unit == RATE:
        return whole["batch_size"] / value
    if target == "latency_s":
        return value * SECONDS[unit]
    each = whole["batch_size"] if unit.endswith(PER_SAMPLE) else 1
    return value * COUNTS[unit.removesuffix(PER_SAMPLE)] * each


def _text(name: str, value: Any, where: str) -> str:
    if _is_empty(value):
        raise DataError(f"every row has a {name}", f"none in {where}", f"mend it, or give --set {name}=VALUE")
    return str(value).strip()


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()


def _number(name: str, value: Any, where: str, *, whole: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (number > 0 and math.isfinite(number)) or (whole and number != int(number)):
        kind = "whole number" if whole else "number"
        raise DataError(f"{name} is a {kind} above 0", f"{value!r} in {where}", "mend or drop the row")
    return number


def _check_unit(target: str, source: Source, *, in_row: bool = False) -> None:
    if source.unit.startswith("@") and not in_row:
        return
    if target in (*TEXTS, *WHOLE):
        known: list[str] = [""]
    elif target == "latency_s":
        known = [*SECONDS, RATE]
    else:
        known = [*COUNTS, *(f"{unit}{PER_SAMPLE}" for unit in COUNTS)]
    if source.unit not in known:
        law = f"{target} has no unit" if known == [""] else f"the unit of {target} is one of {', '.join(known)}"
        got = repr(source.unit) if source.unit else f"none for {source.column!r}"
        raise InputError(law, got, f"write --map {target}={source.column}" + f":{known[0]}" * (known != [""]))


def _source(target: str, text: str) -> Source:
    """``COLUMN`` or ``COLUMN:UNIT``; a colon within the name of a column is part of it where no unit is wanted."""
    if target in (*TEXTS, *WHOLE):
        return Source(text)
    column, _, unit = text.rpartition(":")
    return Source(column, unit) if column else Source(text)


def _known(name: str) -> dict[str, Source]:
    plugins.check(name, names(), what="layout of a table of others, or NAME=COLUMN[:UNIT],")
    content = files.read_yaml(plugins.path(_FOLDER, name, suffix=".yaml"), law="a layout is a YAML file")
    return {target: _source(target, text) for target, text in content["columns"].items()}


def _table(path: Path) -> pd.DataFrame:
    law = "a table of others is a CSV file, or JSON whose name ends in .json"
    if path.suffix == ".json":
        found = files.read_json(path, law=law)
        rows = found if isinstance(found, list) else [found]
        if not all(isinstance(row, Mapping) for row in rows):
            raise DataError(law, f"{path}: no object, nor a list of them", "check the file")
        return pd.json_normalize(rows)
    content = files.read(path, law="a table of others is a readable file", do="check the path")
    try:
        return pd.read_csv(io.BytesIO(content), dtype=object, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(law, f"{path}: {error}", "check the file") from error
