"""A file in a folder is a plugin: list the names a package holds, and load one of them.

The file name is the registry. ``cuda_graphs.py`` is the plugin ``cuda-graphs``; names that begin with an underscore
or a dot are not plugins. A Python plugin defines exactly one public class.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from ftax_model.errors import InputError, MissingError

LONGEST = 600
"""Characters of names that are all listed where one of them was wanted."""


def names(package: str, *, suffix: str = ".py") -> list[str]:
    """Names of all plugins in ``package``, sorted.

    Examples
    --------
    >>> "devices" in names("ftax_model")
    False
    """
    files = (Path(entry.name) for entry in resources.files(package).iterdir() if entry.name[0] not in "_.")
    return sorted(file.stem.replace("_", "-") for file in files if file.suffix == suffix)


def path(package: str, name: str, *, suffix: str) -> Path:
    """Path of the plugin file ``name``; raises `InputError` where there is none."""
    check(name, names(package, suffix=suffix), what=_noun(package))
    folder = Path(str(resources.files(package)))
    return next(
        folder / stem for stem in (f"{name}{suffix}", f"{name.replace('-', '_')}{suffix}") if (folder / stem).exists()
    )


def load(package: str, name: str) -> type:
    """The one public class that the plugin file ``name`` defines.

    Raises `InputError` for a name that is not there and `MissingError` for one whose own imports are not installed.
    """
    check(name, names(package), what=_noun(package))
    try:
        module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ftax_model"):
            raise
        missing = error.name.partition(".")[0]
        raise MissingError(
            f"the {_noun(package)} {name!r} needs the Python package {missing!r}",
            "an environment without it",
            f"install it (pip install {missing}) or choose another {_noun(package)}",
        ) from error
    found = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if len(found) != 1:
        raise TypeError(
            f"{module.__name__} must define exactly one public class, found {[cls.__name__ for cls in found]}"
        )
    return found[0]


def check(name: str, known: Iterable[str], *, what: str) -> None:
    """Raise `InputError` unless ``name`` is one of ``known``; the message names the nearest, and all if few."""
    known = known if isinstance(known, tuple | list) else list(known)  # a name that cannot be hashed is none of them
    if name in known:
        return
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "choose one of those"
    listed = ", ".join(known)
    if len(listed) > LONGEST:
        nearer = difflib.get_close_matches(str(name), known, n=8, cutoff=0.3) or known[:8]
        listed = f"{', '.join(nearer)} and {len(known) - len(nearer)} more (ftax list)"
    raise InputError(f"{what} is one of {listed}", repr(name), hint)


def _noun(package: str) -> str:
    last = package.rsplit(".", 1)[-1]
    return last.removesuffix("s")
