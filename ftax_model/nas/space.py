"""SearchSpace: what the candidates of an architecture search may be, as numbers for any search algorithm."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from ftax_model import architectures, files, plugins
from ftax_model.errors import FtaxError, InputError
from ftax_model.nas._fields import Axis, Choices, Field, Joined, Listed, axis, check_extent, field, frozen, plain
from ftax_model.nas._layout import Indices, Layout, names_in, take
from ftax_model.workload import Workload

OWN = ("batch_size", "input_size", "dtype", "lengths")
"""What is the workload's own beside its hyperparameters."""

LEAST_VALID, TRIES = 0.001, 5_000
"""Share of candidates that an architecture takes, at least, and how many are tried before a space is refused."""

LOOKS = 200
"""Candidates that a choice is tried in before it is taken to fit in none."""

MOST_TRIED = 4_000_000
"""Values of candidates that are made to try choices, at most; choices beyond are taken as they are."""

_FOLDER = "ftax_model.nas.spaces"
_KEYS = ("name", "description", "architecture", *OWN, "hyperparameters")


class SearchSpace:
    """Candidates of one architecture, each hyperparameter one value, choices, or a range.

    Raises `InputError` for whatever means nothing: unknown names, values of another type, empty ranges, products of
    themselves, choices that the architecture refuses, and where it refuses nearly all candidates.

    Parameters
    ----------
    architecture : name of a plugin in ``ftax_model/architectures``.
    hyperparameters : what each may be, by name: one value; a list of choices; a `range`, or a mapping with ``low``,
        ``high`` (inclusive) and ``step``. A tuple is one value. Further forms are mappings:

        - ``{"each": CHOICES, "count": N}``: a list of N entries, each a variable of its own (``widths.2``). Where
          ``count`` names another number, there are as many entries as that says.
        - ``{"entries": [CHOICES, ...]}``: a list whose entries differ in their choices; here too with ``count``.
        - ``used`` beside these names a hyperparameter, a number or a list of them: in each of as many groups so many
          entries are used. The others stay at their first choice, so that each network is one candidate.
        - ``{"product": [NAME, NAME, 4]}``: the product of other numbers.
        - ``{"join": [NAME, NAME], "by": "~"}``: words of other lists, entry by entry, with ``by`` between them.

        A name that the architecture does not have is a variable of the space alone, for one of these to name.
    batch_size, input_size, dtype, lengths : the workload's own, in the same way; ``None`` leaves them open.
    name, description : for people.

    Examples
    --------
    >>> space = SearchSpace(
    ...     "bert",
    ...     {
    ...         "num_layers": range(1, 13),
    ...         "num_heads": [1, 2, 4],
    ...         "head_size": [32, 64],
    ...         "hidden_size": {"product": ["num_heads", "head_size"]},
    ...         "intermediate_size": {"low": 128, "high": 1024, "step": 128},
    ...     },
    ...     input_size=32,
    ... )
    >>> space.variables
    ('num_layers', 'num_heads', 'head_size', 'intermediate_size')
    >>> space.size
    576
    >>> candidate = space.candidate({"num_layers": 2, "num_heads": 4, "head_size": 32, "intermediate_size": 512})
    >>> candidate["hidden_size"], candidate["input_size"], space.contains(candidate)
    (128, 32, True)
    >>> space.encode([candidate])
    array([[1, 2, 0, 3]])
    """

    def __init__(
        self,
        architecture: str,
        hyperparameters: Mapping[str, Any],
        *,
        batch_size: Any = None,
        input_size: Any = None,
        dtype: Any = None,
        lengths: Any = None,
        name: str = "",
        description: str = "",
    ) -> None:
        plugins.check(architecture, architectures.names(), what="architecture")
        given = {"batch_size": batch_size, "input_size": input_size, "dtype": dtype, "lengths": lengths}
        own = {key: value for key, value in given.items() if value is not None}
        self.architecture, self.name, self.description = architecture, name, description
        self._record = {
            "architecture": architecture,
            **{key: plain(value) for key, value in own.items()},
            "hyperparameters": {key: plain(value) for key, value in hyperparameters.items()},
        }
        fields = {key: field(key, value) for key, value in hyperparameters.items()}
        _check_names(architecture, fields)
        _check_values(architecture, fields)
        own_fields = {key: axis(key, value) for key, value in own.items()}
        _check_own(architecture, own_fields)
        self._layout = Layout({**own_fields, **fields})
        defaults = architectures.load(architecture).defaults
        self._names = [*(key for key in fields if key in defaults), *own]
        self._check_choices()

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> SearchSpace:
        """The space in a YAML file, by the name of one that ships with the package or by path.

        Raises `DataError` for a file that cannot be read or is not YAML, and `InputError` for whatever in it means
        nothing; each names the file.

        Examples
        --------
        >>> SearchSpace.load("nasbench201").size
        15625
        """
        path = _find(name_or_path)
        content = files.read_yaml(path, law="a search space is a YAML file")
        try:
            return cls.from_record(content, name=path.stem.replace("_", "-"))
        except FtaxError as error:
            raise type(error)(error.law, f"{error.got} in {path}", error.do) from error

    @classmethod
    def from_record(cls, record: Any, *, name: str = "") -> SearchSpace:
        """The space that a parsed YAML file, or `to_record`, holds; raises `InputError` where it makes no sense."""
        check_extent(record)
        space = _mapping("a search space", record)
        for key in space:
            plugins.check(key, _KEYS, what="key of a search space")
        if "architecture" not in space:
            raise InputError("a search space names its architecture", ", ".join(space) or "nothing", "add it")
        told = {key: " ".join(str(space.pop(key, "")).split()) for key in ("name", "description")}
        hyperparameters = _mapping("hyperparameters", space.pop("hyperparameters", {}))
        return cls(space.pop("architecture"), hyperparameters, **{**told, "name": told["name"] or name}, **space)

    def to_record(self) -> dict[str, Any]:
        """As plain values; `from_record` is the way back."""
        told = {"name": self.name, "description": self.description}
        return {**{key: value for key, value in told.items() if value}, **self._record}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a YAML file that `load` reads; returns its path, raises `DataError` where it cannot be written."""
        return files.write(path, yaml.safe_dump(self.to_record(), sort_keys=False, allow_unicode=True).encode())

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what differs between candidates, in the order of all arrays."""
        return tuple(self._layout.axes)

    def choices(self, variable: str) -> Choices:
        """What a variable may be: a `range`, or a tuple of values; raises `InputError` for another name.

        Examples
        --------
        >>> SearchSpace.load("text-encoder").choices("num_layers")
        range(1, 13)
        """
        plugins.check(variable, self._layout.axes, what="variable")
        return self._layout.axes[variable].choices

    @property
    def size(self) -> int:
        """How many candidates there are, exactly; those that the architecture refuses are counted too.

        Entries that are dropped or not used make no further candidates; products that come out alike do.
        """
        return self._layout.size

    @property
    def bounds(self) -> tuple[Indices, Indices]:
        """The lowest and the highest index of each variable, both inclusive, each of shape (n_variables,).

        Examples
        --------
        >>> SearchSpace.load("nasbench201").bounds
        (array([0, 0, 0, 0, 0, 0]), array([4, 4, 4, 4, 4, 4]))
        """
        return np.zeros_like(self._layout.sizes), self._layout.sizes - 1

    def sample(self, n: int, *, seed: int = 0) -> list[dict[str, Any]]:
        """Candidates drawn at random, as `sample_indices` draws them."""
        return self.decode(self.sample_indices(n, seed=seed))

    def sample_indices(self, n: int, *, seed: int = 0) -> Indices:
        """Indices (n, n_variables) of candidates that the architecture takes, each variable drawn evenly; may repeat.

        Raises `InputError` where it refuses nearly all of them, and for a number that is no whole one from 0 on.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise InputError("a sample has a whole number of candidates", repr(n), "give 0 or more")
        random, sizes = np.random.default_rng(seed), self._layout.sizes
        kept = np.empty((0, len(sizes)), dtype=np.int64)
        drawn = 0
        while len(kept) < n:
            rows = self._layout.canonical(random.integers(0, sizes, size=(max(n - len(kept), 16), len(sizes))))
            refusals = [self._refusal(candidate) for candidate in self.decode(rows)]
            kept = np.concatenate([kept, rows[[not refusal for refusal in refusals]]])
            drawn += len(rows)
            if drawn >= TRIES and len(kept) < LEAST_VALID * drawn:
                law = f"{self.architecture} takes one candidate of a search space in {1 / LEAST_VALID:,.0f} at least"
                got = f"{len(kept)} in {drawn:,}; one was refused since {next(filter(None, refusals))}"
                raise InputError(law, got, "change the choices")
        return kept[:n]

    def canonical(self, indices: ArrayLike) -> Indices:
        """The same candidates, with the indices of entries that are dropped or not used at 0.

        Raises `InputError` unless ``indices`` are whole numbers within `bounds`, of shape (n, n_variables).
        """
        return self._layout.canonical(indices)

    def valid(self, indices: ArrayLike) -> NDArray[np.bool_]:
        """Whether the architecture takes each candidate (n,), for algorithms that make rows of their own.

        Examples
        --------
        >>> SearchSpace("bert", {"num_heads": [3, 4], "hidden_size": [64, 96]}).valid([[0, 0], [0, 1], [1, 0]])
        array([False,  True,  True])
        """
        return np.array([not self._refusal(candidate) for candidate in self.decode(indices)], dtype=bool)

    def values(self, indices: ArrayLike) -> NDArray[Any]:
        """Values of the variables (n, n_variables): numbers, or objects where some are words, lists or a yes or no."""
        rows = self.canonical(indices)
        axes = self._layout.axes.values()
        numbers = all(type(end) in (int, float) for one in axes for end in one.ends)
        found = np.empty(rows.shape, dtype=np.float64 if numbers else object)
        for place, one in enumerate(axes):
            found[:, place] = np.fromiter(take(one.choices, rows[:, place]), dtype=found.dtype, count=len(rows))
        return found

    def decode(self, indices: ArrayLike) -> list[dict[str, Any]]:
        """Candidates of rows of indices: hyperparameters with ``architecture``, as `LatencyCost` takes them.

        Examples
        --------
        >>> SearchSpace("mlp", {"num_layers": [1, 2], "hidden_size": 64}).decode([[1]])
        [{'architecture': 'mlp', 'num_layers': 2, 'hidden_size': 64}]
        """
        rows = self.canonical(indices)
        columns = self._layout.columns(rows, self._names)
        candidates = zip([self.architecture] * len(rows), *columns, strict=True)
        return [dict(zip(("architecture", *self._names), one, strict=True)) for one in candidates]

    def table(self, indices: ArrayLike) -> dict[str, Any]:
        """The same candidates as columns by name, for `LatencyCost` to take all at once.

        Examples
        --------
        >>> SearchSpace("mlp", {"num_layers": [1, 2], "hidden_size": 64}).table([[1], [0]])["num_layers"]
        array([2, 1])
        """
        rows = self.canonical(indices)
        columns = zip(self._names, self._layout.columns(rows, self._names), strict=True)
        found: dict[str, Any] = {"architecture": np.full(len(rows), self.architecture)}
        for name, column in columns:
            lists = bool(column) and isinstance(column[0], tuple)
            found[name] = np.empty(len(rows), dtype=object) if lists else np.array(column)
            found[name][:] = column
        return found

    def candidate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The candidate whose variables have these values; those that are not used may be left out.

        Raises `InputError` for a name that is no variable, one that is missing, and a value that is no choice of it.
        """
        for name in values:
            plugins.check(name, self._layout.axes, what="variable")
        axes = self._layout.axes.items()
        row = np.array(
            [[one.find(frozen(values[name])) if name in values else 0 for name, one in axes]], dtype=np.int64
        )
        used = self._layout.used(row)[0]
        missing = [name for name, needed in zip(self.variables, used, strict=True) if needed and name not in values]
        if missing:
            raise InputError("a candidate has a value for each variable", f"none for {', '.join(missing)}", "add it")
        return self.decode(row)[0]

    def workload(self, candidate: Mapping[str, Any], **own: Any) -> Workload:
        """The workload of a candidate, with ``batch_size``, ``input_size``, ``dtype`` and ``lengths`` as given here.

        Examples
        --------
        >>> space = SearchSpace("mlp", {"num_layers": [1, 2], "hidden_size": 64})
        >>> space.workload(space.candidate({"num_layers": 2}), batch_size=8)
        Workload('mlp', hidden_size=64, num_layers=2, batch_size=8)
        """
        settings = {"architecture": self.architecture, **candidate}
        direct = {name: settings.pop(name) for name in OWN if name in settings}
        return Workload(settings.pop("architecture"), settings, **{**direct, **own})

    def encode(self, candidates: Iterable[Mapping[str, Any] | Workload]) -> Indices:
        """Indices (n, n_variables) of candidates; what they leave out is the architecture's default.

        Batch size, input size, dtype and lengths do not matter where the space leaves them open.
        Raises `InputError` for one that is not in the space. `decode` is the way back.
        """
        rows = [self._row(candidate) for candidate in candidates]
        return self.canonical(np.array(rows, dtype=np.int64).reshape(len(rows), len(self._layout.sizes)))

    def contains(self, candidate: Mapping[str, Any] | Workload) -> bool:
        """Whether a candidate, a preset too, is one of this space that its architecture takes.

        Examples
        --------
        >>> SearchSpace.load("fbnet").contains({"preset": "fbnet-b"})
        True
        """
        try:
            self._row(candidate)
        except InputError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.to_record() == other.to_record()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        size = f"{self.size:.3g}" if self.size < 10**300 else f"1e+{math.floor(math.log10(self.size))}"
        return f"SearchSpace({self.architecture!r}, {len(self.variables)} variables, {size} candidates)"

    def _refusal(self, candidate: Mapping[str, Any]) -> str:
        """Why the architecture does not take a candidate; empty where it does."""
        try:
            architectures.complete(self.workload(candidate))
        except InputError as error:
            return str(error)
        return ""

    def _row(self, candidate: Mapping[str, Any] | Workload) -> list[int]:
        workload = candidate if isinstance(candidate, Workload) else self.workload(candidate)
        if workload.architecture != self.architecture:
            raise InputError(f"a candidate is a {self.architecture}", workload.architecture, "choose another space")
        full = architectures.complete(workload)
        defaults = architectures.load(self.architecture).defaults
        for name, value in full.settings.items():
            if name not in self._names and value != defaults[name]:
                raise InputError(f"{name} is {defaults[name]!r} in this space", repr(value), "leave it out")
        known = {**full.settings, **{name: getattr(full, name) for name in OWN}}
        return self._layout.row({name: known[name] for name in self._names})

    def _check_choices(self) -> None:
        """Raise `InputError` for choices that the architecture refuses in whichever candidate."""
        rows = self.sample_indices(LOOKS)
        left = MOST_TRIED // max(rows.size, 1)
        for place, (name, one) in enumerate(self._layout.axes.items()):
            unseen = range(len(one.choices)) if len(one.choices) <= LOOKS and isinstance(one.choices, tuple) else ()
            untried = sorted({*unseen} - {*rows[:, place].tolist()})[:left]
            left -= len(untried)
            for index in untried:
                changed = rows.copy()
                changed[:, place] = index
                changed = self._layout.canonical(changed)
                refusal = ""
                for candidate in self.decode(changed[changed[:, place] == index]):
                    refusal = self._refusal(candidate)
                    if not refusal:
                        break
                if refusal:
                    law = f"{self.architecture} takes each choice of {name}"
                    raise InputError(law, f"{one.choices[index]!r}, refused since {refusal}", "leave it out")


def names() -> list[str]:
    """Search spaces that ship with the package."""
    return plugins.names(_FOLDER, suffix=".yaml")


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    path = Path(name_or_path)
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    return plugins.path(_FOLDER, str(name_or_path), suffix=".yaml")


def _mapping(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what} is a mapping of names to values", repr(value)[:60], "write it as name: value")
    return dict(value)


def _check_names(architecture: str, fields: Mapping[str, Field]) -> None:
    """Raise `InputError` for a name that is neither a hyperparameter nor one that another field names."""
    defaults = architectures.load(architecture).defaults
    named = {other for one in fields.values() for other in names_in(one)}
    for name in fields:
        if name not in named:
            plugins.check(name, defaults, what=f"hyperparameter of {architecture}")
    for name, one in fields.items():
        if isinstance(one, Listed) and one.used in named - {*defaults}:
            raise InputError(f"used of {name} names hyperparameters of {architecture}", one.used, "name one of those")


def _check_values(architecture: str, fields: Mapping[str, Field]) -> None:
    """Raise `InputError` for a choice that is not of the type of its hyperparameter."""
    plugin = architectures.load(architecture)
    for name, one in fields.items():
        if name in plugin.defaults:
            for value in _examples(one):
                plugin.check_value(name, value)


def _check_own(architecture: str, fields: Mapping[str, Axis]) -> None:
    """Raise `InputError` for what is no batch size, input size, dtype or lengths."""
    for name, one in fields.items():
        for value in one.ends:
            Workload(architecture, **{name: value})


def _examples(one: Field) -> list[Any]:
    """Values of a field that tell the types of all."""
    if isinstance(one, Axis):
        return list(one.ends)
    if isinstance(one, Listed):
        return [(end,) for entry in one.axes for end in entry.ends]
    return [("word",)] if isinstance(one, Joined) else [1]
