"""Fields: what the values of a record may be, said once for each, and checked where records become objects.

Bounds are far beyond all that was ever measured, and within what makes sense: whatever lies outside is another unit, a
damaged file, or a bad joke.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftax_model.errors import DataError

LEAST_S, MOST_S = 1e-12, 1e7
"""Seconds of anything that took a time: a picosecond to a hundred days."""
MOST_COUNT = 1e24
"""Operations, elements or bytes of one call."""
MOST_BYTES = 2**60
"""Bytes of memory."""
MOST_ELEMENTS = 2**63 - 1
"""Elements of a tensor, and all else that is counted of one operator."""
MOST_AXES = 64
"""Axes of a tensor."""
MOST_THREADS = 4096
LONGEST_NAME = 200
LONGEST_TEXT = 100_000


@dataclass(frozen=True)
class Kind:
    """What a value may be: the law that is told where it is not, behind its name, and the laws of named ``parts``."""

    law: str
    holds: Callable[[Any], bool]
    parts: Mapping[str, Kind] = field(default_factory=dict)


def check(
    kinds: Mapping[str, Kind], values: Mapping[str, Any], *, within: str = "", what: str = "the record", where: str = ""
) -> None:
    """Raise `DataError` where one of the values, by name, is not of its kind; those that are not there are skipped.

    ``what`` is to be mended, which lies ``where``.

    >>> check({"threads": whole(1, MOST_THREADS)}, {"threads": 0})
    Traceback (most recent call last):
    ftax_model.errors.DataError: threads is a whole number from 1 to 4,096; got 0; mend the record
    """
    for name, kind in kinds.items():
        if name in values:
            value = values[name]
            if not kind.holds(value):
                raise DataError(
                    f"{within}{name} {kind.law}", shown(value) + f" in {where}" * bool(where), f"mend {what}"
                )
            if kind.parts and value:
                check(kind.parts, value, within=f"{within}{name}.", what=what, where=where)


def shown(value: Any) -> str:
    """A value as a refusal shows it: short, whatever it is.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'"
    """
    return _short.repr(value)


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def number(unit: str, most: float, least: float = 0.0) -> Kind:
    """A number of that unit, no yes or no, from ``least`` to ``most``."""
    law = f"is a number of {unit} from {least:g} to {most:g}"
    return Kind(law, lambda value: is_number(value) and least <= value <= most)


def whole(least: int, most: int) -> Kind:
    """A whole number."""
    law = f"is a whole number from {least:,} to {most:,}"
    return Kind(law, lambda value: isinstance(value, int) and value is not True and least <= value <= most)


def text(most: int = LONGEST_TEXT) -> Kind:
    """Any text of so many characters."""
    return Kind(
        f"is a text of {most:,} characters at most", lambda value: isinstance(value, str) and len(value) <= most
    )


def one_of(known: Collection[str]) -> Kind:
    """One of some words."""
    words = (*known,)
    return Kind(f"is one of {', '.join(words)}", lambda value: value in words)


def optional(kind: Kind) -> Kind:
    """``None`` as well."""
    return Kind(f"{kind.law}, or null", lambda value: value is None or kind.holds(value), kind.parts)


def each(kind: Kind) -> Kind:
    """A list whose values are all of that kind."""
    law = f"is a list, of which each {kind.law}"
    return Kind(law, lambda value: isinstance(value, list | tuple) and all(map(kind.holds, value)))


def some(kind: Kind) -> Kind:
    """As `each`, and one value at least."""
    own = each(kind)
    return Kind(f"{own.law}, one at least", lambda value: own.holds(value) and len(value) > 0)


def named(parts: Mapping[str, Kind] | None = None) -> Kind:
    """Names and values; some of them of their own kinds, where they are there."""
    return Kind("are names and values", lambda value: isinstance(value, Mapping), parts or {})


def named_numbers(unit: str, most: float, least: float = 0.0) -> Kind:
    """Names and numbers of that unit, from ``least`` to ``most``."""

    def holds(value: Any) -> bool:
        return isinstance(value, Mapping) and all(is_number(one) and least <= one <= most for one in value.values())

    return Kind(f"are names and numbers of {unit} from {least:g} to {most:g}", holds)


def is_number(value: Any) -> bool:
    """Whether it is a number, which a yes or no is not."""
    return isinstance(value, float | int) and value is not True and value is not False


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def _is_no_path(value: Any) -> bool:
    return _is_name(value) and not ("/" in value or "\\" in value or value.endswith(".toml"))


def _is_duration(value: Any) -> bool:
    return is_number(value) and (LEAST_S <= value <= MOST_S or value == 0)


def _are_durations(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(one, float | int) and LEAST_S <= one <= MOST_S and one is not True for one in value
    )


def _are_shapes(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_shape, value))


def _is_shape(value: Any) -> bool:
    if not (isinstance(value, tuple) and len(value) <= MOST_AXES):
        return False
    elements = 1
    for extent in value:
        if not isinstance(extent, int) or extent is True or extent is False or extent < 0:
            return False
        elements *= max(extent, 1)
    return elements <= MOST_ELEMENTS


NAME = Kind(f"is a name of 1 to {LONGEST_NAME} characters that can be printed", _is_name)
NO_PATH = Kind(f"is a name of 1 to {LONGEST_NAME} characters that can be printed, and no path", _is_no_path)
SECONDS = Kind(f"is a number of seconds, 0 or from {LEAST_S:g} to {MOST_S:g}", _is_duration)
SAMPLES = Kind(f"are positive numbers of seconds, from {LEAST_S:g} to {MOST_S:g}", _are_durations)
SHAPES = Kind(
    f"are lists of whole numbers, {MOST_AXES} at most, whose product is {MOST_ELEMENTS:,} at most", _are_shapes
)
COUNT = whole(0, MOST_ELEMENTS)
