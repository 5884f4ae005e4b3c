"""What a search space says of one hyperparameter: an axis, a list of axes, a product, or words that are joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftax_model import plugins
from ftax_model.errors import InputError

MAX_CHOICES = 1_000_000
MAX_ENTRIES = 1000
MAX_NUMBER = 2**53
"""The largest number, which a float holds exactly."""

MAX_PARTS = 2 * MAX_CHOICES
"""Values, lists and mappings that a description has at most, those that YAML repeats counted each time."""

SHOWN = 20
"""Choices that a refusal lists."""

Choices = range | tuple[Any, ...]


@dataclass(frozen=True)
class Axis:
    """What one number or word may be; a variable of that name where it is more than one."""

    name: str
    choices: Choices

    @property
    def ends(self) -> tuple[Any, ...]:
        """The choices; of a range the first and the last."""
        return (self.choices[0], self.choices[-1]) if isinstance(self.choices, range) else self.choices

    def find(self, value: Any) -> int:
        """Position of a value among the choices; raises `InputError` where it is none of them."""
        if value in self.choices:
            return self.choices.index(value)
        more = f" and {len(self.choices) - SHOWN:,} more" if len(self.choices) > SHOWN else ""
        law = f"{self.name} is one of {', '.join(map(str, self.choices[:SHOWN]))}{more}"
        raise InputError(law, repr(value), "choose one of those")


@dataclass(frozen=True)
class Listed:
    """A list, an axis for each entry.

    ``count`` names the axis that tells how many entries there are; the others are dropped. ``used`` names the axes
    that tell how many of the entries are used, in each of as many equal groups; the others stay at their first choice.
    """

    axes: tuple[Axis, ...]
    count: str = ""
    used: str = ""


@dataclass(frozen=True)
class Product:
    """The product of whole numbers and of the axes and products that are named."""

    factors: tuple[str | int, ...]


@dataclass(frozen=True)
class Joined:
    """Words of several lists, entry by entry, with ``by`` between them; an entry that is a list counts as its items."""

    lists: tuple[str, ...]
    by: str


Field = Axis | Listed | Product | Joined


def field(name: str, spec: Any) -> Field:
    """What a hyperparameter may be, as a file or a caller says it; raises `InputError` where it means nothing."""
    if not isinstance(spec, Mapping) or "low" in spec or "high" in spec:
        return axis(name, spec)
    kind = next((key for key in ("each", "entries", "product", "join") if key in spec), "")
    match kind:
        case "each":
            _keys(name, spec, ("each", "count", "used"))
            return _each(name, **spec)
        case "entries":
            _keys(name, spec, ("entries", "count", "used"))
            entries = _sequence(f"entries of {name}", spec["entries"])
            axes = tuple(axis(f"{name}.{place}", one) for place, one in enumerate(entries))
            return Listed(axes, *(_text(f"{key} of {name}", spec.get(key, "")) for key in ("count", "used")))
        case "product":
            _keys(name, spec, ("product",))
            return Product(tuple(_factor(name, one) for one in _sequence(f"product of {name}", spec["product"])))
        case "join":
            _keys(name, spec, ("join", "by"))
            lists = tuple(_text(f"join of {name}", one) for one in _sequence(f"join of {name}", spec["join"]))
            return Joined(lists, _text(f"by of {name}", spec.get("by", "")))
    law = f"{name} is a value, a list of choices, or a mapping with low and high, each, entries, product or join"
    raise InputError(law, repr(spec)[:60], "write one of those")


def axis(name: str, spec: Any) -> Axis:
    """Choices: a list of them, a range, a mapping with ``low``, ``high`` and ``step``, or one value."""
    if isinstance(spec, Mapping):
        _keys(name, spec, ("low", "high", "step"))
        choices = _range(name, **spec)
    elif isinstance(spec, range):
        choices = spec
    else:
        choices = tuple(map(frozen, spec)) if isinstance(spec, list) else (frozen(spec),)
    if not 1 <= len(choices) <= MAX_CHOICES:
        raise InputError(f"{name} has 1 to {MAX_CHOICES:,} choices", str(len(choices)), "change it")
    if isinstance(choices, tuple) and len(set(choices)) < len(choices):
        raise InputError(f"the choices of {name} differ", ", ".join(map(str, choices))[:100], "give each once")
    return Axis(name, choices)


def plain(spec: Any) -> Any:
    """As values that YAML can hold; a range as a mapping, a tuple, which is one value, as the one choice."""
    if isinstance(spec, range):
        ends = {"low": spec[0], "high": spec[-1]} if spec else {}
        return {**ends, "step": spec.step}
    if isinstance(spec, tuple):
        return [_listed(spec)]
    if isinstance(spec, Mapping):
        return {key: _entries(value) if key == "entries" else plain(value) for key, value in spec.items()}
    return _listed(spec)


def frozen(value: Any) -> Any:
    """A value with its lists as tuples, numbers of NumPy as Python's; raises `InputError` for what cannot be one."""
    value = value.item() if hasattr(value, "item") and not getattr(value, "shape", ()) else value
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    if isinstance(value, bool | str) or (isinstance(value, int | float) and abs(value) <= MAX_NUMBER):
        return value
    raise InputError("a choice is a number, a word, a yes or no, or a list of those", repr(value)[:60], "change it")


def check_extent(content: Any) -> None:
    """Raise `InputError` where nested values are too many, or contain themselves."""
    waiting, seen = [content], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if seen + len(waiting) > MAX_PARTS:
            raise InputError(f"a search space has {MAX_PARTS:,} values at most", "more", "write ranges")
        if isinstance(one, Mapping | list | tuple):
            waiting += one.values() if isinstance(one, Mapping) else one


def _each(name: str, each: Any, count: Any = None, used: Any = "") -> Listed:
    if isinstance(count, str):
        return Listed((axis(name, each),), count=count, used=_text(f"used of {name}", used))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_ENTRIES:
        law = f"count of {name} is a whole number from 1 to {MAX_ENTRIES}, or the name of one"
        raise InputError(law, repr(count), "say how many entries the list has")
    choices = axis(name, each).choices
    return Listed(
        tuple(Axis(f"{name}.{place}", choices) for place in range(count)), used=_text(f"used of {name}", used)
    )


def _range(name: str, low: Any = None, high: Any = None, step: Any = 1) -> Choices:
    for what, value in {"low": low, "high": high, "step": step}.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
            law = f"{what} of {name} is a number"
            raise InputError(law, repr(value)[:60], "a range has low, high and perhaps step")
    if step <= 0 or high < low:
        got = f"low {low}, high {high}, step {step}"
        raise InputError(f"{name} goes up from low to high by steps above 0", got, "change them")
    steps = round((high - low) / step)
    if steps > MAX_CHOICES or not math.isclose(low + steps * step, high):
        law = f"{name} reaches high from low in whole steps, {MAX_CHOICES:,} at most"
        raise InputError(law, f"low {low}, high {high}, step {step}", "change them")
    if isinstance(low, int) and isinstance(step, int):
        return range(low, int(high) + 1, step)
    return tuple(float(f"{low + place * step:.12g}") for place in range(steps + 1))


def _factor(name: str, value: Any) -> str | int:
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int)
        or (isinstance(value, int) and value < 1)
        or value == ""
    ):
        raise InputError(f"product of {name} has names and whole numbers above 0", repr(value)[:60], "change it")
    return value


def _sequence(what: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_ENTRIES:
        raise InputError(f"{what} is a list of 1 to {MAX_ENTRIES}", repr(value)[:60], "write one")
    return value


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what} is a word", repr(value)[:60], "write one")
    return value


def _keys(name: str, spec: Mapping[Any, Any], known: Iterable[str]) -> None:
    for key in spec:
        plugins.check(key, known, what=f"key of {name}")


def _entries(value: Any) -> Any:
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value
