"""Where models come from: your own code, configurations, ONNX, exported programs, TorchScript, traces.

Each becomes a `Source`: a label, the batch size and dtype it came with, and its traces at any batch sizes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ftax_model import architectures, files, outside, plugins
from ftax_model.errors import DataError, FtaxError, InputError, one_line
from ftax_model.fields import Kind, check, text, whole
from ftax_model.files import write_json
from ftax_model.operators import Trace
from ftax_model.tracing.cache import Kept
from ftax_model.tracing.sweeps import BatchAxis, ModuleSweep, along, batch_axes
from ftax_model.tracing.trace import ValuesError, trace, trace_workload
from ftax_model.values import check_schema
from ftax_model.workload import DTYPES, MAX_BATCH_SIZE, QUANTISED, Workload

FORMAT, SCHEMA = "ftax_model.Trace", 1
"""What a file of traces says that it is."""

TRACED: Mapping[str, Kind] = {"model": text(1000), "batch_size": whole(1, MAX_BATCH_SIZE)}
"""What a file of traces may tell beside each trace."""

Traced = Callable[[Iterable[int], Iterable[int]], dict[int, Trace]]
"""The traces at batch sizes that are asked for, and at more where that works; raises `InputError` for the former."""


@dataclass(frozen=True)
class Source:
    """A model, and its traces at any batch sizes.

    ``workload`` gives the workload, of batch size 1, by which another process finds the model; ``None`` for what is in
    this process alone, and for traces.
    """

    label: str
    batch_size: int
    dtype: str
    traced: Traced
    workload: Callable[[], Workload] | None = None

    def trace(self, batch_size: int | None = None) -> Trace:
        """The trace at one batch size, its own if none is named."""
        size = self.batch_size if batch_size is None else batch_size
        return self.traced([size], ())[size]


def of_workload(workload: Workload, *, trust: bool = False) -> Source:
    """A registered architecture, or the model from outside that a workload names (`ftax_model.outside`).

    Traces of the former are kept (`ftax_model.tracing.cache`). Raises `InputError` for a workload that cannot be
    completed, or that runs code and is not one to ``trust``, and what `of_place` raises.
    """
    curve = architectures.complete(workload).curve
    if outside.is_one(curve):
        told = {"shapes": outside.shapes(curve), "values": outside.values(curve)}
        dtype = curve.dtype if curve.architecture == "hf" else None
        place = outside.place(curve, trust=trust)
        return of_place(curve.architecture, place, tokens=curve.input_size, dtype=dtype, trust=trust, **told)
    kept = Kept(curve)

    def one(size: int) -> Trace:
        found = kept.get(size)
        if found is None:
            found = trace_workload(curve.with_batch_size(size))
            kept.put(size, found)
        return found

    def traced(sizes: Iterable[int], more: Iterable[int]) -> dict[int, Trace]:
        return along(one, sorted({*sizes, *more}))

    return Source(architectures.label(curve), workload.batch_size, curve.dtype, traced, lambda: curve)


def of_place(
    kind: str,
    place: str,
    *,
    tokens: int | None = None,
    dtype: str | None = None,
    shapes: Mapping[str, outside.Shape] | None = None,
    values: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Source:
    """A model of one of `ftax_model.outside.KINDS` by the place where it lies; see the functions below.

    Texts of a configuration have so many ``tokens``, its weights that ``dtype``; a file's inputs have these ``shapes``
    and ``values``. Raises what they raise.
    """
    make: dict[str, Callable[[], Source]] = {
        "module": lambda: of_function(place),
        "hf": lambda: of_config(place, tokens=tokens, dtype=dtype),
        "onnx": lambda: of_onnx(place, shapes=shapes, values=values),
        "export": lambda: of_export(place, trust=trust),
        "torchscript": lambda: of_torchscript(place, shapes=shapes or {}, trust=trust),
    }
    plugins.check(kind, make, what="kind of model")
    found = make[kind]()
    named = partial(outside.workload, kind, place, dtype=found.dtype, tokens=tokens, shapes=shapes, values=values)
    return dataclasses.replace(found, workload=named)


def of_trace(trace: Trace, *, dtype: str = "float32") -> Source:
    """A trace that was taken before, of one batch size."""
    return Source("trace", 1, dtype, lambda sizes, more: {1: trace})


def of_module(
    module: Any, inputs: Any, *, batch_axis: BatchAxis = None, own: Trace | None = None, label: str = ""
) -> Source:
    """A module of torch with the inputs of one call, as in `ModuleSweep`."""
    sweep = ModuleSweep(module, inputs, batch_axis, own=own)
    return Source(label or type(module).__name__, sweep.batch_size, sweep.dtype, sweep)


def of_function(place: str) -> Source:
    """What ``PACKAGE.FILE:FUNCTION`` builds: ``FUNCTION()`` returns a module and the inputs of one call.

    It is your own code, and runs, on the meta device, and once more with real weights where values decide what the
    module does; its package is looked for in the working directory too. Raises `InputError` where there is no such
    function, or it fails.
    """
    with function(place) as build:
        from ftax_model.tracing._empty import built

        module, inputs = built(build)
        try:
            own = trace(module, inputs)
        except ValuesError:
            module, inputs = build()
            own = trace(module, inputs)
    name = place.partition(":")[2]
    return of_module(module, inputs, own=own, label=name if name != "build" else place)


@contextlib.contextmanager
def function(place: str) -> Iterator[Callable[[], tuple[Any, Any]]]:
    """The function at ``PACKAGE.FILE:FUNCTION``; whatever goes wrong with it in this context is an `InputError`.

    Memory that runs out is no fault of the function.
    """
    package, _, name = place.partition(":")
    law = "a module is PACKAGE.FILE:FUNCTION, whose FUNCTION() returns an nn.Module and the inputs of one call"
    if not (package and name):
        raise InputError(law, repr(place), "write for example my_package.nets:build")
    with outside.importable_here():
        try:
            yield getattr(importlib.import_module(package), name)
        except (FtaxError, MemoryError):
            raise
        except Exception as error:  # somebody else's code: whatever it raises is named in one line
            raise InputError(law, f"{place}: {one_line(error)}", "mend the function") from error


def of_config(path: str | os.PathLike[str], *, tokens: int | None = None, dtype: str | None = None) -> Source:
    """A model of transformers by its ``config.json``, a folder with one, or its name on the hub; never with weights.

    ``tokens`` is the length of texts, ``dtype`` that of weights; without, the configuration tells them, else it is 128
    tokens in single precision.
    """
    from ftax_model.tracing import huggingface

    if dtype is not None:
        plugins.check(dtype, DTYPES, what="dtype")
    config = huggingface.read_config(path)
    sweep = huggingface.sweep(config, tokens=tokens, dtype=dtype)
    name = str(getattr(config, "model_type", "") or type(config).__name__)
    length = f", {tokens} tokens" if tokens else ""
    return Source(f"{name}, {Path(path).name}{length}", sweep.batch_size, sweep.dtype, sweep)


def of_onnx(
    path: str | os.PathLike[str],
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Source:
    """An ONNX file, as in `ftax_model.tracing.onnx_graph.OnnxSweep`."""
    from ftax_model.tracing.onnx_graph import OnnxSweep

    sweep = OnnxSweep(path, shapes, values)
    return Source(Path(path).name, sweep.batch_size, sweep.dtype, sweep)


def of_export(what: Any, *, trust: bool = False) -> Source:
    """A program of ``torch.export``, or a ``.pt2`` file of one, with its example inputs; raises as `program` does."""
    label = Path(what).name if isinstance(what, str | os.PathLike) else "program"
    module, inputs, axes = program(what, trust=trust)
    return of_module(module, inputs, batch_axis=axes, label=label)


def program(what: Any, *, trust: bool = False) -> tuple[Any, Any, BatchAxis]:
    """The module of a program of ``torch.export``, or of a ``.pt2`` file, its example inputs, and where the batch is.

    A file is one to ``trust``: torch reads its pickles and evaluates its expressions, and both can hold any code.
    Raises `DataError` for another file, and `InputError` for one that is not trusted or a program without inputs.
    """
    import torch

    label, law = "program", "a .pt2 file holds what torch.export.save wrote"
    if isinstance(what, str | os.PathLike):
        label = Path(what).name
        if not Path(what).is_file():
            raise DataError(law, f"no file {what}", "check the path")
        outside.check_trust("export", what, trust=trust)
        try:
            what = torch.export.load(what)
        except Exception as error:  # torch raises anything
            raise DataError(law, f"{label}: {one_line(error)}", "check the file") from error
    if what.example_inputs is None:
        raise InputError("a program is traced with its example inputs", f"none in {label}", "export it with some")
    arguments, named = what.example_inputs
    module = what.module(check_guards=False)
    inputs: Any = tuple(arguments) if arguments else dict(named)
    if arguments and named:  # it takes each as it was exported, in order or by name, and no other way
        module, inputs = _in_order(module, len(arguments), list(named)), (*arguments, *named.values())
    return module, inputs, _free_axes(what)


def _in_order(module: Any, count: int, names: list[str]) -> Any:
    """A module that takes in order what another takes partly by name."""
    import torch

    class InOrder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Any) -> Any:
            return self.module(*inputs[:count], **dict(zip(names, inputs[count:], strict=True)))

    return InOrder()


def _free_axes(program: Any) -> BatchAxis:
    """The axis of the batch in each input of a program, where it was exported with free axes."""
    placeholders = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [placeholders.get(str(name)) for name in program.graph_signature.user_inputs]
    free = [
        {axis: str(extent) for axis, extent in enumerate(getattr(one, "shape", ())) if not isinstance(extent, int)}
        for one in inputs
    ]
    return batch_axes(inputs, free) if any(free) else None


def of_torchscript(
    path: str | os.PathLike[str], *, shapes: Mapping[str, tuple[int, ...]], trust: bool = False
) -> Source:
    """A file of TorchScript, whose inputs are floats of these ``shapes``, by name; raises what `script` raises."""
    module, inputs = script(path, shapes=shapes, trust=trust)
    return of_module(module, inputs, label=Path(path).name)


def script(
    path: str | os.PathLike[str], *, shapes: Mapping[str, tuple[int, ...]], trust: bool = False
) -> tuple[Any, dict[str, Any]]:
    """The module in a file of TorchScript, and zeros of these ``shapes``.

    The file is one to ``trust``: its code runs when it is loaded and when it is called, and can write files.
    Raises `DataError` for another file, and `InputError` for one that is not trusted or where there are no shapes.
    """
    import torch

    law = "a TorchScript file holds what torch.jit.save wrote"
    if not Path(path).is_file():
        raise DataError(law, f"no file {path}", "check the path")
    outside.check_trust("torchscript", path, trust=trust)
    try:
        module = torch.jit.load(str(path), map_location="cpu")
    except Exception as error:  # torch raises anything
        raise DataError(law, f"{path}: {one_line(error)}", "check the file") from error
    if not shapes:
        raise InputError("a TorchScript file does not tell its inputs", "none", "give each: --shape x=1x3x224x224")
    return module, {name: torch.zeros(shape) for name, shape in shapes.items()}


def read(path: str | os.PathLike[str]) -> Source:
    """The traces in a file that `write` wrote; needs no torch. Raises `DataError` for any other file."""
    law = "a file of traces is one that ftax trace wrote"
    record = files.read_json(path, law=law, do="write it anew: ftax trace")
    if isinstance(record, dict) and record.get("format") == FORMAT:
        check_schema(record.get("schema"), SCHEMA, what=f"traces ({path})", again="write it anew: ftax trace")
    try:
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}")
        plugins.check(record["dtype"], (*DTYPES, QUANTISED), what="dtype")
        check(TRACED, record)
        traces = {batch_size_of(one): Trace.from_record(one) for one in record["traces"]}
        own, label = min(traces), record["model"]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(law, f"{path}: {type(error).__name__}: {error}"[:200], "write it anew: ftax trace") from error
    return Source(label, own, record["dtype"], partial(held, label, traces))


def batch_size_of(record: Mapping[str, Any], default: int | None = None) -> int:
    """The batch size of a trace in a file; raises `DataError` for what is none, `KeyError` where none is told."""
    check(TRACED, record)
    found: int = record["batch_size"] if default is None else record.get("batch_size", default)
    return found


def held(name: str, traces: Mapping[int, Trace], sizes: Iterable[int], more: Iterable[int] = ()) -> dict[int, Trace]:
    """Those of some traces that are asked for; raises `InputError` where one is not there."""
    for size in sizes:
        if size not in traces:
            known = ", ".join(map(str, sorted(traces)))
            raise InputError(f"{name} was traced at batch size {known}", str(size), "trace that one as well")
    return {size: traces[size] for size in sorted({*sizes, *more}) if size in traces}


def write(path: str | os.PathLike[str], source: Source, traces: Mapping[int, Trace]) -> None:
    """Write traces as JSON, in one step, compressed where the name ends in .gz; `read` is the way back."""
    record = {
        "format": FORMAT,
        "schema": SCHEMA,
        "model": source.label,
        "dtype": source.dtype,
        "traces": [{"batch_size": size, **one.to_record()} for size, one in sorted(traces.items())],
    }
    write_json(path, record)


def find(what: Any, inputs: Any = None, *, batch_axis: BatchAxis = None, trust: bool = False) -> Source:
    """The source of a workload, a trace, a module with its inputs, an exported program, or a file of one's kind.

    Raises `InputError` for anything else, and for workloads and files that run code and are not ones to ``trust``.
    """
    if isinstance(what, Source):
        return what
    if isinstance(what, Trace):
        return of_trace(what)
    if isinstance(what, Workload):
        return of_workload(what, trust=trust)
    if isinstance(what, str | os.PathLike):
        name = str(what)
        for ends, make in _FILES.items():
            if name.endswith(ends):
                return make(name, trust)
    elif hasattr(what, "graph_signature") and hasattr(what, "example_inputs"):
        return of_export(what)
    elif inputs is not None:
        return of_module(what, inputs, batch_axis=batch_axis)
    law = f"a model is a workload, a module with its inputs, a Trace, or a file {', '.join(_FILES)}"
    raise InputError(law, f"a {type(what).__name__} without inputs", "give the inputs of one call")


_FILES: Mapping[str, Callable[[str, bool], Source]] = {
    ".onnx": lambda name, trust: of_place("onnx", name),
    ".pt2": lambda name, trust: of_place("export", name, trust=trust),
    ".json": lambda name, trust: read(name),
    ".json.gz": lambda name, trust: read(name),
}
