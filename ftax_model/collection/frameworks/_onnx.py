"""What the frameworks that read ONNX share: the export of a module, tried every way until one serves."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ftax_model.collection.frameworks._torch import flat
from ftax_model.errors import MissingError

T = TypeVar("T")


def exported(model: Any, inputs: dict[str, Any], load: Callable[[Path], T], *, free: bool = True) -> tuple[T, bool]:
    """What ``load`` makes of an ONNX file of the module, and whether that file takes any batch size.

    ``load`` gets the file, whose inputs bear the names of ``inputs``, and raises where it cannot use it: then the next
    way is tried. Exporting by tracing is some eight times faster; torch.export knows more modules. With ``free`` the
    batch dimension is left open where that works, exported at one batch size for ``load`` to try at another.

    Raises `NotImplementedError` with the last reason where no way serves, and lets a `MissingError` through.
    """
    import torch

    example = _other_batch(inputs) if free else {}
    ways = [(True, _by_tracing), (True, _by_program)] if example else []
    for is_free, export in [*ways, (False, _by_tracing), (False, _by_program)]:
        shown = example if is_free else inputs
        with tempfile.TemporaryDirectory() as folder, torch.no_grad(), _quiet():
            file = Path(folder) / "model.onnx"
            try:
                with _attention_spelt_out(model):
                    export(flat(model, shown), tuple(shown.values()), str(file), names=list(shown), free=is_free)
                return load(file), is_free
            except MissingError:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
    raise NotImplementedError(f"no export through torch.onnx loads and runs; the last one: {reason}")


def _other_batch(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with 2 or 3 rows, another number than they have; none where their first extents differ."""
    import torch

    sizes = {value.shape[0] if value.dim() else 0 for value in inputs.values()}
    if len(sizes) != 1 or 0 in sizes:
        return {}
    size = sizes.pop()
    rows = torch.arange(3 if size == 2 else 2) % size
    return {name: value[rows.to(value.device)] for name, value in inputs.items()}


def _by_tracing(module: Any, values: tuple[Any, ...], file: str, *, names: list[str], free: bool) -> None:
    import torch

    axes = {name: {0: "batch"} for name in names} if free else {}
    torch.onnx.export(module, values, file, dynamo=False, input_names=names, dynamic_axes=axes)


def _by_program(module: Any, values: tuple[Any, ...], file: str, *, names: list[str], free: bool) -> None:
    import torch

    shapes = (tuple({0: "batch"} for _ in names),) if free else None
    torch.onnx.export(module, values, file, dynamo=True, input_names=names, dynamic_shapes=shapes, verbose=False)


@contextlib.contextmanager
def _attention_spelt_out(model: Any) -> Iterator[None]:
    """Have models of transformers write attention as products and a softmax, the form that graph optimisers know.

    Torch's fused attention has none in ONNX: its export takes more operators, and no optimiser joins them again.
    """
    fused = [
        module
        for module in model.modules()
        if hasattr(module, "set_attn_implementation") and module.config._attn_implementation == "sdpa"
    ]
    for module in fused:
        module.set_attn_implementation("eager")
    try:
        yield
    finally:
        for module in fused:
            module.set_attn_implementation("sdpa")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is printed (from C++ too) and warned of while exporting and loading to itself; errors come through."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nowhere, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
