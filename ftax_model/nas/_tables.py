"""Tables of candidates: columns of hyperparameters by name, in whatever form people have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model import architectures
from ftax_model.errors import InputError
from ftax_model.tracing import choices

Table = dict[str, NDArray[Any]]
"""A column for each hyperparameter, or for each entry of one (``widths.2``); lists of numbers have two dimensions."""

_LIST = 16  # mappings in a list from which a table is made of them


def table_of(candidates: Any, variables: Sequence[str]) -> Table | None:
    """The columns of several candidates; ``None`` for what is no table."""
    if isinstance(candidates, np.ndarray):
        names = candidates.dtype.names
        columns = {name: candidates[name] for name in names} if names else _plain(candidates, variables)
    elif hasattr(candidates, "columns") and hasattr(candidates, "to_numpy"):
        columns = {str(name): candidates[name].to_numpy() for name in candidates.columns}
    elif isinstance(candidates, Mapping) and any(
        isinstance(one, np.ndarray) and one.ndim for one in candidates.values()
    ):
        columns = dict(candidates)
    elif isinstance(candidates, list) and len(candidates) >= _LIST and _alike(candidates):
        columns = {name: [one[name] for one in candidates] for name in candidates[0]}
    else:
        return None
    found = {str(name): _column(str(name), value) for name, value in columns.items()}
    lengths = {len(one) for one in found.values() if one.ndim}
    if len(lengths) != 1:
        raise InputError("columns of a table are equally long", f"lengths {sorted(lengths)}", "mend the table")
    (count,) = lengths
    return {name: np.repeat(one[None], count, axis=0) if not one.ndim else one for name, one in found.items()}


def has_parts(table: Table, architecture: str | None) -> bool:
    """Whether networks of a table are put together from parts."""
    names = set(table["architecture"].astype(str)) if "architecture" in table else {architecture}
    return any(choices.names(name) for name in names if name)


def length(table: Table) -> int:
    """Rows of a table."""
    return len(next(iter(table.values())))


def by_words(table: Table, architecture: str | None) -> Iterator[tuple[dict[str, Any], NDArray[np.intp]]]:
    """The rows of a table that agree in all that is no whole number, and what that is.

    ``architecture`` is that of candidates that name none. Raises `InputError` for none, and for a number that is not
    whole in place of one that is.
    """
    if not length(table):
        return
    if "architecture" in table:
        names, codes = np.unique(table["architecture"].astype(str), return_inverse=True)
        parts = [(str(name), np.flatnonzero(codes == at)) for at, name in enumerate(names)]
    else:
        if architecture is None:
            law, cure = "hyperparameters belong to an architecture", "name it, here or in the cost"
            raise InputError(law, ", ".join(table), cure)
        parts = [(architecture, np.arange(length(table)))]
    for name, rows in parts:
        defaults = architectures.load(name).defaults
        for one in table:
            _check_whole(one, table[one][rows], defaults)
        own = [one for one in table if one != "architecture" and not _varies(one, table[one], defaults)]
        combined = np.zeros(len(rows), dtype=np.int64)
        for one in own:
            _, codes = np.unique([repr(plain(value)) for value in table[one][rows]], return_inverse=True)
            combined = combined * (codes.max() + 1) + codes
        for code in np.unique(combined):
            here = rows[combined == code]
            yield {"architecture": name, **{one: plain(table[one][here[0]]) for one in own}}, here


def first(table: Table, words: Mapping[str, Any], row: int) -> dict[str, Any]:
    """The hyperparameters of a row, entries put into their lists."""
    found: dict[str, Any] = dict(words)
    entries: dict[str, dict[int, int]] = {}
    for name, column in table.items():
        if name in words:
            continue
        owner, _, at = name.rpartition(".")
        if owner and at.isdigit():
            entries.setdefault(owner, {})[int(at)] = plain(column[row])
        else:
            found[name] = plain(column[row])
    for owner, own in entries.items():
        usual = architectures.load(found["architecture"]).defaults.get(owner, ())
        length = max(len(usual) if isinstance(usual, tuple) else 0, max(own) + 1)
        if not isinstance(usual, tuple) or any(at not in own and at >= len(usual) for at in range(length)):
            raise InputError(f"{owner} is a list whose entries are all told", f"{sorted(own)}", "tell each of them")
        found[owner] = tuple(own.get(at, usual[at] if at < len(usual) else 0) for at in range(length))
    return found


def fill(points: NDArray[np.float64], names: Sequence[str], table: Table, words: Mapping[str, Any], rows: Any) -> None:
    """Put the columns of whole numbers into the points of a family, whose variables have these names."""
    for name, column in table.items():
        if name in words:
            continue
        own = [name] if column.ndim == 1 else [f"{name}.{at}" for at in range(column.shape[1])]
        for at, one in enumerate(own):
            if one not in names:
                raise InputError(
                    "a column is a hyperparameter, or an entry of one", one, f"choose of {', '.join(names)}"
                )
            points[:, names.index(one)] = column[rows] if column.ndim == 1 else column[rows, at]


def _plain(candidates: NDArray[Any], variables: Sequence[str]) -> dict[str, Any]:
    if candidates.ndim != 2 or candidates.shape[1] != len(variables):
        law = f"an array has two dimensions, and a column for each of variables ({', '.join(variables) or 'none'})"
        raise InputError(law, f"shape {candidates.shape}", "name the variables when the cost is made")
    return {name: candidates[:, at] for at, name in enumerate(variables)}


def _alike(candidates: list[Any]) -> bool:
    return all(type(one) is dict for one in candidates) and len({tuple(one) for one in candidates}) == 1


def _column(name: str, values: Any) -> NDArray[Any]:
    """A column as an array: whole numbers, lists of them (two dimensions), or objects."""
    if np.ma.is_masked(values):
        raise InputError("each row of a table has all its values", f"{name}, some of it masked", "leave such rows out")
    try:
        found = np.asarray(values)
    except ValueError:  # lists of different lengths
        found = np.empty(len(values), dtype=object)
        found[:] = [tuple(one) if isinstance(one, list | np.ndarray) else one for one in values]
    if found.dtype == object and found.ndim == 1 and len(found):
        lists = all(isinstance(one, tuple | list | np.ndarray) for one in found)
        lengths = {len(one) for one in found} if lists else set()
        if len(lengths) == 1 and all(isinstance(one, int | np.integer) for one in found[0]):
            found = np.array([list(one) for one in found])
    if found.dtype.kind == "f" and found.size and (found == np.floor(found)).all() and np.isfinite(found).all():
        found = found.astype(np.int64) if (np.abs(found) < 2**53).all() else found
    return found


def _varies(name: str, column: NDArray[Any], defaults: Mapping[str, Any]) -> bool:
    """Whether a column holds whole numbers of something that is a whole number, or lists of such."""
    if column.dtype.kind not in "iu":
        return False
    usual = defaults.get(name.rpartition(".")[0] or name, 0)
    return not isinstance(usual, float | str | bool)


def _check_whole(name: str, column: NDArray[Any], defaults: Mapping[str, Any]) -> None:
    """Raise `InputError` where a column of whole numbers has others, nan for example."""
    usual = defaults.get(name.rpartition(".")[0] or name, 0)
    usual = usual[0] if isinstance(usual, tuple) else usual
    if column.dtype.kind == "f" and isinstance(usual, int):
        wrong = column[(column != np.floor(column)) | ~np.isfinite(column)]
        if wrong.size:
            raise InputError(
                f"{name} is a whole number", repr(wrong.flat[0].item()), "round it, or leave such rows out"
            )


def plain(value: Any) -> Any:
    """A value as Python has it, lists as tuples."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(plain(one) for one in value)
    return value.item() if isinstance(value, np.generic) else value
