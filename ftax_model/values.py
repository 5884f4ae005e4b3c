"""Values: what records of files hold, each of its type and within its limits, or a `ValueError` that says what is not.

A reader takes every value of a record through one of these, so that nothing which a stranger wrote comes any further
unless it is what it has to be. `reading` makes a `DataError` of whatever goes wrong on the way.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftax_model.errors import DataError
from ftax_model.fields import LONGEST_NAME, shown

Limits = tuple[float, float]
"""The least and the most that a number may be."""

WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, zlib.error)
"""What reading a damaged record raises."""


@contextmanager
def reading(what: str, *, do: str = "fit the model again") -> Iterator[None]:
    """Whatever goes wrong within is a `DataError`: a record of ``what`` is not what it has to be."""
    try:
        yield
    except DataError:
        raise
    except WRONG as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise DataError(f"a record of {what} is what to_dict wrote", why[:200], do) from error


def check_schema(found: Any, own: int, *, what: str, again: str) -> None:
    """Raise `DataError` unless a file has this version's schema; it says which version is needed, or what to do again.

    >>> check_schema(2, 6, what="predictors", again="fit again")
    Traceback (most recent call last):
        ...
    ftax_model.errors.DataError: this version of ftax reads predictors of schema 6; ...
    """
    if type(found) is int and found == own:
        return
    law, got = f"this version of ftax reads {what} of schema {own}", f"schema {shown(found)}"
    if type(found) is not int or found < 1:
        raise DataError(law, got, again)
    if found > own:
        raise DataError(law, f"{got}, of a later version", "install a later version: pip install --upgrade ftax_model")
    raise DataError(law, f"{got}, of an earlier version", again)


def mapping(value: Any, what: str, *, most: int = 1000) -> Mapping[str, Any]:
    """Names and values, not too many; ``what`` they are is said where they are not."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is {shown(value)}, not names and values")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value):,} entries, more than {most:,}")
    for name in value:
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"{what} has a name {shown(name)}")
    return value


def listed(value: Any, what: str, *, most: int = 1000) -> Sequence[Any]:
    """A list, not too long."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} is {shown(value)}, not a list")
    if len(value) > most:
        raise ValueError(f"{what} has {len(value):,} entries, more than {most:,}")
    return value


def text(value: Any, what: str, *, most: int = LONGEST_NAME) -> str:
    """Printable text, not too long."""
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise ValueError(f"{what} is {shown(value)}, not text of {most} characters at most")
    return value


def number(value: Any, what: str, limits: Limits) -> float:
    """A number within limits, which may be infinite."""
    if type(value) not in (int, float) or not limits[0] <= value <= limits[1]:
        raise ValueError(f"{what} is {shown(value)}, not a number from {limits[0]:g} to {limits[1]:g}")
    return float(value)


def whole(value: Any, what: str, limits: tuple[int, int]) -> int:
    """A whole number within limits."""
    if type(value) is not int or not limits[0] <= value <= limits[1]:
        raise ValueError(f"{what} is {shown(value)}, not a whole number from {limits[0]:,} to {limits[1]:,}")
    return value


def numbers(value: Any, what: str, limits: Limits, *, most: int = 1000) -> NDArray[np.float64]:
    """A list of numbers within limits, not too long, as an array of shape (n,)."""
    own = listed(value, what, most=most)
    if not {*map(type, own)} <= {int, float}:
        raise ValueError(f"{what} holds what is no number")
    return within(np.array(own, dtype=float), what, limits)


def within(array: NDArray[Any], what: str, limits: Limits) -> NDArray[Any]:
    """An array all of whose numbers lie within limits, none of them nan."""
    if not ((array >= limits[0]) & (array <= limits[1])).all():
        odd = array[~((array >= limits[0]) & (array <= limits[1]))].flat[0]
        raise ValueError(f"{what} holds {odd}, not numbers from {limits[0]:g} to {limits[1]:g}")
    return array


def shaped(array: NDArray[Any], what: str, *shapes: tuple[int, ...]) -> NDArray[Any]:
    """An array of one of some shapes."""
    if array.shape not in shapes:
        raise ValueError(f"{what} has shape {array.shape}, not {' or '.join(map(str, shapes))}")
    return array


def ranges(value: Any, what: str, limits: Limits, *, most: int = 1000) -> dict[str, Limits]:
    """Names, each with the low and the high end of a range within limits."""
    found = {}
    for name, ends in mapping(value, what, most=most).items():
        if len(listed(ends, what)) != 2:
            raise ValueError(f"{what} of {name} has {len(ends)} ends")
        low, high = number(ends[0], what, limits), number(ends[1], what, limits)
        if low > high:
            raise ValueError(f"{what} of {name} runs from {low:g} down to {high:g}")
        found[name] = (low, high)
    return found


def unpacked(value: Any, what: str, kind: str, *, most: int) -> NDArray[Any]:
    """The numbers of a type, ``most`` of them at most, in compressed bytes in base64; they are looked at no further."""
    size = np.dtype(kind).itemsize
    if not isinstance(value, str):
        raise ValueError(f"{what} is {shown(value)}, not numbers in base64")
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(value, validate=True), size * most + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"{what} cannot be unpacked, {error}") from error
    if len(content) > size * most or not unpacker.eof:
        raise ValueError(f"{what} unpacks to more than {most:,} numbers, or not to its end")
    return np.frombuffer(content, kind)


def covariance(found: NDArray[np.float64], what: str, *, most: float) -> NDArray[np.float64]:
    """A matrix that is a covariance but for rounding, of variances up to ``most``, none of them below zero."""
    variances = np.diag(found)
    within(variances, f"variances of {what}", (0.0, most))
    deviations = np.sqrt(np.maximum(variances, math.ulp(0.0)))
    correlations = found / deviations[:, None] / deviations
    if (
        not (np.abs(correlations) <= 1 + _ROUNDING).all()
        or not (np.abs(correlations - correlations.T) <= _ROUNDING).all()
    ):
        raise ValueError(f"{what} is not symmetric, or has correlations beyond 1")
    if len(found) and np.linalg.eigvalsh(correlations)[0] < -_ROUNDING * len(found):
        raise ValueError(f"{what} has negative variances in some direction")
    return found


_ROUNDING = 0.02
