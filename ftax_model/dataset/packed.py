"""Parquet: a dataset packed to be read by columns and by rows, each record beside its row of the frame."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftax_model import files
from ftax_model.dataset import frames, overview
from ftax_model.dataset.frames import Tell, Where
from ftax_model.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".parquet"

MEASUREMENTS, PROFILES = "measurements", "profiles"

FORMAT = "ftax_model.Dataset"

SCHEMA = 1

LAW = "a packed dataset is a Parquet file that ftax pack wrote"
CURE = "pack the dataset again: ftax pack"

SORTED = ("device", "framework", "dtype", "architecture")
"""Columns that rows are sorted by, so that whole groups of them can be passed over."""

GROUP = 1 << 14
"""Rows of a group."""

_COLUMNS = {
    MEASUREMENTS: (*frames.TEXTS, *frames.NUMBERS),
    PROFILES: ("key", "architecture", "framework", "device", "dtype", "status"),
}
_LINE, _RECORD = "line", "record"  # which line of JSON a row was, and that line
_FACTS = b"ftax_model"  # where the footer says what the file is
_LARGEST_GROUP = 1 << 20
_LEAST = 8  # bytes of a row: no two keys are equal
_THRIFT = 1 << 24  # bytes of a text, and parts of a list, in the footer


def write(
    path: Path, table: pd.DataFrame, lines: Sequence[bytes], facts: Mapping[str, Any], *, tell: Tell | None = None
) -> Path:
    """Pack records, ``lines`` of JSON, with a row of a table for each; ``facts`` are what `read_facts` gives."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = table.assign(**{_LINE: range(len(table))})
    order = table.sort_values([*SORTED, _LINE]).index
    kinds = {"i": pa.int64(), "f": pa.float64()}
    plain = pa.schema([(name, kinds.get(table[name].dtype.kind, pa.string())) for name in table])
    schema = plain.append(pa.field(_RECORD, pa.string()))
    repeated = [name for name in frames.TEXTS if name in table and name != "key"]
    sink = pa.BufferOutputStream()
    ranges = []
    options = {"compression": "zstd", "use_dictionary": repeated, "write_statistics": False, "store_schema": False}
    with pq.ParquetWriter(sink, schema, **options) as writer:
        for begin in range(0, len(order), GROUP):
            at = order[begin : begin + GROUP]
            rows = table.loc[at]
            ranges.append({name: [rows[name].min(), rows[name].max()] for name in SORTED})
            part = pa.Table.from_pandas(rows, schema=plain, preserve_index=False)
            records = pa.array([lines[one].decode() for one in at], pa.string())
            writer.write_table(part.append_column(_RECORD, records))
            if tell:
                tell(begin + len(at), (begin + len(at)) / len(order))
        told = json.dumps({"format": FORMAT, "schema": SCHEMA, **facts, "ranges": ranges}, allow_nan=False)
        writer.add_key_value_metadata({_FACTS: told.encode()})
    return files.write(path, sink.getvalue().to_pybytes())


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the footer of a packed dataset says of it."""
    with _opened(path) as (_, facts):
        return facts


def read_lines(
    path: str | os.PathLike[str],
    *,
    keys: Collection[str] | None = None,
    tell: Tell | None = None,
    in_order: bool = True,
) -> Iterator[bytes]:
    """The records of a packed dataset, or those with some keys, as lines of JSON.

    They come in the order of packing, for which all of them are read first, or group by group as they lie there.
    """
    values = {} if keys is None else {"key": list(keys)}
    with _opened(path) as (file, facts):
        groups = _groups(path, file, facts["ranges"], [_LINE, _RECORD, *values], values, tell)
        for part in (_together(groups),) if in_order else groups:
            for chunk in part[_RECORD].chunks:
                for one in chunk:
                    yield one.as_py().encode()


def read_frame(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    tell: Tell | None = None,
) -> pd.DataFrame:
    """The frame of a packed dataset, or columns and rows of it; see `ftax_model.dataset.load_dataset`."""
    values = frames.values(where)
    frames.check_columns(columns or ())
    with _opened(path) as (file, facts):
        if facts["kind"] != MEASUREMENTS:
            raise DataError(LAW, f"{path}: {facts['kind']}", "name the dataset that they lie beside")
        held = [name for name in file.schema_arrow.names if name in _COLUMNS[MEASUREMENTS]]
        wanted = list(columns) if columns is not None else held
        names = list(dict.fromkeys([*wanted, *values, _LINE]))
        found: pd.DataFrame = _together(_groups(path, file, facts["ranges"], names, values, tell)).to_pandas()
        frames.check_values(found)
    return found[wanted]


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[pq.ParquetFile, dict[str, Any]]]:
    """A packed dataset and its facts; whatever is wrong with the file is a `DataError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": _THRIFT, "thrift_container_size_limit": _THRIFT}
    try:
        with pq.ParquetFile(path, pre_buffer=False, **limits) as file:
            columns = [file.metadata.schema.column(place) for place in range(file.metadata.num_columns)]
            texts = [one.path for one in columns if one.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, pre_buffer=False, read_dictionary=texts, **limits) as file:
            facts = _facts(file)
            _check(file, facts["kind"], Path(path).stat().st_size)
            yield file, facts
    except (pa.ArrowException, OSError, ValueError) as error:
        got = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        raise DataError(LAW, f"{path}: {got}", CURE) from error


def _facts(file: pq.ParquetFile) -> dict[str, Any]:
    told = (file.metadata.metadata or {}).get(_FACTS)
    facts = files.parse_json(told) if told else None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError("its footer does not say so")
    if facts.get("schema") != SCHEMA:
        raise ValueError(f"schema {facts.get('schema')!r}, of which this version reads {SCHEMA}")
    if facts.get("kind") not in (MEASUREMENTS, PROFILES):
        raise ValueError("its footer does not say of what")
    overview.check(facts.get("counts"))
    ranges = facts.get("ranges")
    if not isinstance(ranges, list) or len(ranges) != file.metadata.num_row_groups or not all(map(_is_range, ranges)):
        raise ValueError("its footer does not say what lies where")
    return facts


def _is_range(one: Any) -> bool:
    """Whether it is the least and the greatest text of each column that rows are sorted by."""
    return (
        isinstance(one, dict)
        and {*one} == {*SORTED}
        and all(isinstance(own, list) and list(map(type, own)) == [str, str] for own in one.values())
    )


def _check(file: pq.ParquetFile, kind: str, size: int) -> None:
    """Raise `ValueError` where a file lacks a column, has one of another type, or more rows than its size can hold."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    held = {one.name: one.type for one in file.schema_arrow}
    if len(held) < len(file.schema_arrow):
        raise ValueError("a column twice")
    for name in (*_COLUMNS[kind], _LINE, _RECORD):
        if name not in held:
            raise ValueError(f"no column {name}")
        is_text, whole = name in frames.TEXTS or name == _RECORD, name in frames.WHOLE or name == _LINE
        allowed = [text] if is_text else [pa.int64()] if whole else [pa.int64(), pa.float64()]
        if held[name] not in allowed:
            raise ValueError(f"{name} is {held[name]}")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    if any(not 0 <= rows <= _LARGEST_GROUP for rows in groups) or sum(groups) > size // _LEAST:
        raise ValueError(f"{sum(groups):,} rows in {size:,} bytes")


def _groups(
    path: str | os.PathLike[str],
    file: pq.ParquetFile,
    ranges: list[dict[str, list[str]]],
    names: list[str],
    values: Mapping[str, list[Any]],
    tell: Tell | None,
) -> Iterator[pa.Table]:
    """The rows of a file that have the values, group by group, with the columns of those names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows, left = 0, files.most_unpacked(Path(path).stat().st_size)
    plain = pa.schema([(name, _plain(file.schema_arrow.field(name).type)) for name in names])
    yield plain.empty_table()
    for number, own_ranges in enumerate(ranges):
        rows += file.metadata.row_group(number).num_rows
        if _may_hold(own_ranges, values):
            part = file.read_row_group(number, columns=names, use_threads=False)
            part.validate(full=True)
            left -= _unpacked(part)
            if left < 0:
                raise ValueError(f"unpacks to more than {files.UNPACKED} times its size")
            part = part.cast(plain)
            for name in {*names} & {*frames.TEXTS, *frames.WHOLE, _LINE, _RECORD}:
                if part[name].null_count:
                    raise ValueError(f"{name} is missing in a row")
            for name, own in values.items():
                kind = pa.large_string() if name in frames.TEXTS else pa.float64()
                part = part.filter(pc.is_in(part[name].cast(kind), pa.array(own, kind)))
            yield part
        if tell:
            tell(rows, rows / file.metadata.num_rows)


def _may_hold(ranges: Mapping[str, list[str]], values: Mapping[str, list[Any]]) -> bool:
    """Whether a group of rows can hold one with such values, by the least and the greatest text of its columns."""
    return all(
        name not in ranges or any(ranges[name][0] <= one <= ranges[name][1] for one in own)
        for name, own in values.items()
    )


def _unpacked(part: pa.Table) -> int:
    """Bytes of the texts in a table that holds each distinct one once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [chunk for column in part.columns if pa.types.is_dictionary(column.type) for chunk in column.chunks]
    return sum(pc.sum(pc.binary_length(one.dictionary).take(one.indices)).as_py() or 0 for one in texts)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves; a table of texts may be larger than 2 GiB."""
    import pyarrow as pa

    return pa.large_string() if pa.types.is_dictionary(kind) else kind


def _together(parts: Iterator[pa.Table]) -> pa.Table:
    """Groups of rows as one table, in the order in which they were packed."""
    import pyarrow as pa

    return pa.concat_tables(parts).sort_by(_LINE)
