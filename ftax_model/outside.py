"""Models from outside: workloads that say where a model lies, in place of what it is made of."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftax_model.errors import DataError, FtaxError, InputError, one_line
from ftax_model.fields import SHAPES, Kind, text
from ftax_model.workload import Workload

KINDS: Mapping[str, str] = {
    "module": "a function of your own, PACKAGE.FILE:FUNCTION",
    "hf": "a configuration of transformers",
    "onnx": "an ONNX file",
    "export": "a program of torch.export",
    "torchscript": "a TorchScript file",
}
"""What stands in the place of an architecture, and what lies at the place that the workload names."""

RUNS_CODE = ("module", "export", "torchscript")
"""Kinds that run what whoever wrote them put in, by the time they are loaded."""

Shape = tuple[int, ...]


def check_trust(kind: str, place: str | os.PathLike[str], *, trust: bool) -> None:
    """Raise `InputError` for a model that may run code or go to the network, unless it is one to ``trust``."""
    if trust or (kind not in RUNS_CODE and not _on_hub(kind, str(place))):
        return
    what = f"{KINDS[kind]} runs code of whoever wrote it" if kind in RUNS_CODE else "a name on the hub is downloaded"
    raise InputError(f"{what}, and so only where you trust it", str(place), "add --trust (from Python trust=True)")


def _are_pairs(value: object, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and holds(one[1]) for one in value
    )


_TOLD: Mapping[str, Kind] = {
    "place": text(),
    "digest": text(64),
    "shapes": Kind("are names and shapes", lambda value: _are_pairs(value, lambda one: SHAPES.holds((one,)))),
    "values": Kind("are names and values", lambda value: _are_pairs(value, lambda one: not isinstance(one, tuple))),
}


def workload(
    kind: str,
    place: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    tokens: int | None = None,
    shapes: Mapping[str, Shape] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Workload:
    """The workload, of batch size 1, that names a model of one of `KINDS` to another process.

    Its hyperparameters are the ``place`` (a file by its whole path), a ``digest`` of the file that lies there, so that
    a changed file is another model, and the ``shapes`` and ``values`` that its inputs were given; ``tokens`` are its
    input size. Of a function the file that defines it counts, not what that imports. Raises `DataError` and
    `InputError` where there is no such file.
    """
    settings: dict[str, Any] = {"place": str(place), "digest": _digest(kind, str(place))}
    if kind != "module" and Path(place).exists():
        settings["place"] = str(Path(place).resolve())
    settings |= {"shapes": tuple(sorted(shapes.items()))} if shapes else {}
    settings |= {"values": tuple(sorted(values.items()))} if values else {}
    return Workload(kind, settings, input_size=tokens, dtype=dtype)


def is_one(workload: Workload) -> bool:
    """Whether a workload says where its model lies, as `workload` does."""
    told = workload.settings
    return (
        workload.architecture in KINDS
        and {"place", "digest"} <= told.keys()
        and all(kind.holds(told[name]) for name, kind in _TOLD.items() if name in told)
    )


def place(workload: Workload, *, trust: bool) -> str:
    """Where the model of such a workload lies.

    Raises `DataError` where something else lies there by now, and what `check_trust` raises: a workload can come from
    a plan or a dataset of anybody.
    """
    found = str(workload.settings["place"])
    check_trust(workload.architecture, found, trust=trust)
    if _digest(workload.architecture, found) != workload.settings["digest"]:
        cure = "name the model anew, or put the file back"
        raise DataError("a model is the one that its workload names", f"a changed {found}", cure)
    return found


def shapes(workload: Workload) -> dict[str, Shape]:
    """The shapes that inputs were given, by name."""
    return dict(workload.settings.get("shapes", ()))


def values(workload: Workload) -> dict[str, Any]:
    """The values that inputs were given, by name."""
    return dict(workload.settings.get("values", ()))


def label(workload: Workload) -> str:
    """A short name for people: of the file or function, with the first digits of its digest, and of its inputs.

    >>> label(Workload("onnx", {"place": "/a/net.onnx", "digest": "0123456789abcdef", "shapes": (("x", (1, 8)),)}))
    'net.onnx 012345, x=1x8'
    """
    whole = str(workload.settings["place"])
    path = Path(whole)
    name = whole if workload.architecture == "module" else path.name
    name = f"{path.parent.name}/{name}" if name == "config.json" else name
    parts = [f"{name} {str(workload.settings['digest'])[:6]}"]
    parts += [f"{name}={'x'.join(map(str, extents))}" for name, extents in shapes(workload).items()]
    parts += [f"{name}={value}" for name, value in values(workload).items()]
    parts += [f"{workload.input_size} tokens"] if workload.input_size else []
    parts += [workload.dtype] if workload.dtype != "float32" else []
    return ", ".join(parts)


@contextmanager
def importable_here() -> Iterator[None]:
    """Have packages looked for in the working directory first."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _digest(kind: str, place: str) -> str:
    """Sixteen hexadecimal digits of the content of the file at a place; of the place itself, if that is on the hub."""
    file = _file_of_function(place) if kind == "module" else Path(place)
    file = file / "config.json" if kind == "hf" and file.is_dir() else file
    if _on_hub(kind, place):
        return hashlib.sha256(place.encode()).hexdigest()[:16]
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError("a model lies in a readable file", f"{file}: {error.strerror}", "check the path") from error


def _on_hub(kind: str, place: str) -> bool:
    return kind == "hf" and not Path(place).exists()


def _file_of_function(place: str) -> Path:
    package = place.partition(":")[0]
    law = "a function is found by PACKAGE.FILE:FUNCTION, in a file of Python"
    with importable_here():
        try:
            found = importlib.util.find_spec(package)
        except FtaxError:
            raise
        except Exception as error:  # finding a file within a package imports that
            raise InputError(law, f"{place}: {one_line(error)}", "mend the name, or the package") from error
    if found is None or not found.has_location or found.origin is None:
        raise InputError(law, repr(place), "start where the package lies, or install it")
    return Path(found.origin)
