"""Fields of a search space laid out as numbers: rows of indices to values, and values back to rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftax_model import plugins
from ftax_model.errors import InputError
from ftax_model.nas._fields import MAX_ENTRIES, MAX_NUMBER, Axis, Choices, Field, Joined, Listed, Product

Indices = NDArray[np.int64]

MAX_VARIABLES = 10_000


class Layout:
    """The variables among the axes of named fields, and what rows of their indices stand for.

    ``axes`` has the variables by name, in order. ``controls`` has, by variable, the axis that says whether it is used,
    and the number that this has to exceed. Raises `InputError` for fields that name what is not there or what does not
    suit, and for names that lead in a circle.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        for name, field in fields.items():
            for other in {*names_in(field)} - fields.keys():
                plugins.check(other, fields, what=f"a name in {name}")
            _check_kinds(name, field, fields)
        self.fields = {name: _expanded(name, field, fields) for name, field in fields.items()}
        self._order = _ordered(self.fields)
        self._check_products()
        axes = [axis for field in self.fields.values() for axis in _axes(field)]
        self.axes = {axis.name: axis for axis in axes if len(axis.choices) > 1}
        if len(self.axes) > MAX_VARIABLES:
            law = f"a search space has {MAX_VARIABLES:,} variables at most"
            raise InputError(law, f"{len(self.axes):,}", "leave some out")
        self._places = {name: place for place, name in enumerate(self.axes)}
        self.sizes = np.array([len(axis.choices) for axis in self.axes.values()], dtype=np.int64)
        self.controls = {
            axis.name: found
            for name, field in self.fields.items()
            if isinstance(field, Listed)
            for axis, found in zip(field.axes, self._controls(name, field), strict=True)
            if found and axis.name in self.axes
        }

    @property
    def size(self) -> int:
        """How many rows differ in what they stand for."""
        dependent: dict[str, list[tuple[int, int]]] = {}
        for name, (control, least) in self.controls.items():
            dependent.setdefault(control.name, []).append((least, len(self.axes[name].choices)))
        total = math.prod(
            len(axis.choices) for name, axis in self.axes.items() if name not in self.controls and name not in dependent
        )
        for control in dict.fromkeys(control for control, _ in self.controls.values()):
            members = dependent[control.name]
            total *= sum(math.prod(count for least, count in members if value > least) for value in control.choices)
        return total

    def used(self, rows: Indices) -> NDArray[np.bool_]:
        """Whether each variable of each row matters: shape (n, n_variables)."""
        found = np.ones(rows.shape, dtype=bool)
        for name, (control, least) in self.controls.items():
            enough = np.array(control.choices) > least
            place = self._places.get(control.name)
            found[:, self._places[name]] = enough[0] if place is None else enough[rows[:, place]]
        return found

    def canonical(self, indices: ArrayLike) -> Indices:
        """Rows with variables that do not matter at 0; raises `InputError` for what are no indices of variables."""
        rows, number = np.asarray(indices), len(self.sizes)
        if rows.ndim != 2 or rows.shape[1] != number:
            raise InputError(f"indices are rows of {number}", f"shape {rows.shape}", "see variables and bounds")
        if not np.all((rows >= 0) & (rows < self.sizes) & (rows % 1 == 0)):
            raise InputError("indices are whole numbers within the bounds", "others", "see bounds, and round")
        rows = rows.astype(np.int64)
        return rows * self.used(rows)

    def columns(self, rows: Indices, names: Sequence[str]) -> list[list[Any]]:
        """Values of the fields of these names, each a list with one for each of canonical rows."""
        made: dict[str, list[Any]] = {}
        for name in self._order:
            made[name] = self._column(self.fields[name], rows, made)
        return [made[name] for name in names]

    def row(self, settings: Mapping[str, Any]) -> list[int]:
        """Indices of the variables where fields have these values; those left out are told from the others.

        Raises `InputError` where there is no such row.
        """
        known = self._recovered(settings)
        found = dict.fromkeys(self.axes, 0)
        for name, field in self.fields.items():
            if name not in known:
                raise InputError(f"{name} can be told from a candidate", "one that leaves it open", "use indices")
            values = known[name] if isinstance(field, Listed) else [known[name]]
            for axis, value in zip(_axes(field), values, strict=False):
                found |= {axis.name: axis.find(value)} if axis.name in found else {}
        row = list(found.values())
        rows = self.canonical(np.array([row], dtype=np.int64).reshape(1, -1))
        for name, (value,) in zip(settings, self.columns(rows, list(settings)), strict=True):
            if value != settings[name]:
                raise InputError(f"{name} is {value} there", repr(settings[name]), "choose a candidate of the space")
        return row

    def _column(self, field: Field, rows: Indices, made: Mapping[str, list[Any]]) -> list[Any]:
        """Values of a field, given those of the fields that it names."""
        if isinstance(field, Axis):
            return self._taken(field, rows)
        if isinstance(field, Product):
            factors = [made[one] if isinstance(one, str) else [one] * len(rows) for one in field.factors]
            return list(map(math.prod, zip(*factors, strict=True)))
        if isinstance(field, Joined):
            lists = [made[one] for one in field.lists]
            return [_joined(parts, field.by) for parts in zip(*lists, strict=True)]
        entries = list(zip(*(self._taken(axis, rows) for axis in field.axes), strict=True))
        if not field.count:
            return entries
        return [entry[:count] for entry, count in zip(entries, made[field.count], strict=True)]

    def _taken(self, axis: Axis, rows: Indices) -> list[Any]:
        if axis.name not in self.axes:
            return [axis.choices[0]] * len(rows)
        return take(axis.choices, rows[:, self._places[axis.name]])

    def _recovered(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings, and what follows from them of fields that they leave out."""
        known = dict(settings)
        before = -1
        while len(known) > before:
            before = len(known)
            for name, field in self.fields.items():
                if name in known:
                    known = {**_implied(field, known[name], known, self.fields), **known}
        constant = {name: field.choices[0] for name, field in self.fields.items() if isinstance(field, Axis)}
        return {**{name: value for name, value in constant.items() if name not in self.axes}, **known}

    def _controls(self, name: str, field: Listed) -> Iterator[tuple[Axis, int] | None]:
        """Of each entry the axis that says whether it is used, and what this has to exceed."""
        control = field.used or field.count
        axes = _axes(self.fields[control]) if control else ()
        if not axes:
            yield from [None] * len(field.axes)
            return
        slots, over = divmod(len(field.axes), len(axes))
        most = max(max(axis.choices) for axis in axes)
        if over or most > slots:
            law = f"{name} has as many entries for each of {len(axes)} in {control} as that says"
            raise InputError(law, f"{len(field.axes)} entries, {control} up to {most}", "change one of them")
        yield from ((axis, slot) for axis in axes for slot in range(slots))

    def _check_products(self) -> None:
        """Raise `InputError` for products that grow beyond all numbers."""
        largest: dict[str | int, int] = {}
        for name in self._order:
            field = self.fields[name]
            if isinstance(field, Axis) and _whole(field):
                largest[name] = max(field.ends)
            elif isinstance(field, Product):
                largest[name] = 1
                for factor in field.factors:
                    largest[name] *= largest.get(factor, factor if isinstance(factor, int) else 1)
                    if largest[name] > MAX_NUMBER:
                        raise InputError(f"{name} is {MAX_NUMBER:,} at most", "a larger product", "change a factor")


def names_in(field: Field) -> tuple[str, ...]:
    """Names of the fields that a field is made of."""
    if isinstance(field, Product):
        return tuple(factor for factor in field.factors if isinstance(factor, str))
    if isinstance(field, Joined):
        return field.lists
    return tuple(filter(None, (field.count, field.used))) if isinstance(field, Listed) else ()


def _ordered(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Names in an order in which each comes after those that it names; raises `InputError` where there is none."""
    try:
        return tuple(TopologicalSorter({name: names_in(field) for name, field in fields.items()}).static_order())
    except CycleError as error:
        raise InputError(
            "no product is made of itself", " of ".join(error.args[1][:9]), "change one of them"
        ) from error


def take(choices: Choices, places: Indices) -> list[Any]:
    """Choices at these places."""
    if isinstance(choices, range):
        return list((choices.start + choices.step * places).tolist())
    return list(map(choices.__getitem__, places.tolist()))


def _axes(field: Field) -> tuple[Axis, ...]:
    if isinstance(field, Listed):
        return field.axes
    return (field,) if isinstance(field, Axis) else ()


def _expanded(name: str, field: Field, fields: Mapping[str, Field]) -> Field:
    """A list with an axis for each entry that there may be, where another field says how many there are."""
    if not isinstance(field, Listed) or not field.count:
        return field
    most = max(_axes(fields[field.count])[0].choices)
    if most > MAX_ENTRIES:
        raise InputError(f"{name} has {MAX_ENTRIES} entries at most", f"{field.count} up to {most}", "change it")
    if len(field.axes) == 1 and field.axes[0].name == name:
        axes = tuple(Axis(f"{name}.{place}", field.axes[0].choices) for place in range(most))
        return Listed(axes, count=field.count)
    return field


def _check_kinds(name: str, field: Field, fields: Mapping[str, Field]) -> None:
    """Raise `InputError` unless what a field names is of the kind that it takes."""
    if isinstance(field, Listed):
        if field.count and field.used:
            raise InputError(f"{name} names count or used", "both", "leave one out")
        for key, kinds in {"count": (Axis,), "used": (Axis, Listed)}.items():
            other = getattr(field, key)
            if other and not (isinstance(fields[other], kinds) and _free(fields[other]) and _whole(fields[other])):
                raise InputError(f"{key} of {name} names whole numbers above 0", other, "name others")
    elif isinstance(field, Product):
        for other in names_in(field):
            if not isinstance(fields[other], Product) and not (
                isinstance(fields[other], Axis) and _whole(fields[other])
            ):
                raise InputError(f"product of {name} names whole numbers above 0", other, "name others")
    elif isinstance(field, Joined):
        found = {}
        for other in field.lists:
            if not isinstance(fields[other], Listed) or not _free(fields[other]):
                raise InputError(f"join of {name} names lists of one length", other, "name others")
            widths = [{len(_flat(choice)) for choice in axis.choices} for axis in _axes(fields[other])]
            found[other] = [sum(one) if len(one) == 1 else -1 for one in widths]
        lengths = {other: sum(one) for other, one in found.items() if -1 not in one}
        if len(lengths) < len(found) or len(set(lengths.values())) > 1:
            raise InputError(f"join of {name} names lists of one length", ", ".join(found), "make them equally long")


def _free(field: Field) -> bool:
    return not isinstance(field, Listed) or not (field.count or field.used)


def _whole(field: Field) -> bool:
    return all(type(end) is int and end > 0 for axis in _axes(field) for end in axis.ends)


def _flat(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _joined(parts: Sequence[tuple[Any, ...]], by: str) -> tuple[str, ...]:
    flat = [[item for entry in part for item in _flat(entry)] for part in parts]
    return tuple(by.join(map(str, items)) for items in zip(*flat, strict=True))


def _implied(field: Field, value: Any, known: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """What follows from the value of a field for those that it names."""
    unknown = [name for name in names_in(field) if name not in known]
    if isinstance(field, Listed) and field.count in unknown:
        return {field.count: len(value)}
    if isinstance(field, Product) and len(unknown) == 1:
        rest = math.prod(known.get(factor, 1) if isinstance(factor, str) else factor for factor in field.factors)
        return {unknown[0]: value // rest}
    if isinstance(field, Joined) and field.by:
        words = [word.split(field.by) for word in value]
        return {
            name: _grouped(_axes(fields[name]), [word[place] for word in words if place < len(word)])
            for place, name in enumerate(field.lists)
            if name in unknown
        }
    return {}


def _grouped(axes: Sequence[Axis], words: Sequence[str]) -> tuple[Any, ...]:
    """The entries, one an axis, whose items are written as these words; a word itself where none is."""
    found, start = [], 0
    for axis in axes:
        width = len(_flat(axis.choices[0]))
        wanted = list(words[start : start + width])
        start += width
        found.append(next((one for one in axis.choices if list(map(str, _flat(one))) == wanted), ",".join(wanted)))
    return tuple(found)
