"""Options that several commands share, and the words they are read from."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ftax_model import files, outside, plugins
from ftax_model.cli import _complete, _print
from ftax_model.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.tracing.sources import Source
    from ftax_model.workload import Workload

F = TypeVar("F", bound=Callable[..., Any])

without_device = click.option(
    "--without-device",
    "without",
    metavar="NAME",
    shell_complete=_complete.devices,
    help="Pretend that this device was never measured (a minute).",
)
kind_of_device = click.option(
    "--device", default="cpu", show_default=True, shell_complete=_complete.kinds, help="cpu or cuda."
)


class Output(click.Path):
    """A file to write; where that cannot be, it is refused before the work for it is done."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; raises `DataError`."""
        path = super().convert(value, param, ctx)
        assert isinstance(path, Path)
        if ctx is None or not ctx.resilient_parsing:
            files.check(path)
        return path


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
out_file = click.option("--out", type=Output(), required=True, help="File to write.")


trust = click.option("--trust", is_flag=True, help="Let files that run code run it: a .pt2, a TorchScript file.")

SOURCES = (
    click.option(
        "--architecture",
        shell_complete=_complete.architectures,
        help="One of those in `ftax list`; hyperparameters are options of their own.",
    ),
    click.option("--preset", shell_complete=_complete.presets, help="A published size of the architecture: bert-base."),
    click.option(
        "--module", metavar="FILE:FUNCTION", help="PACKAGE.FILE:FUNCTION() -> module, inputs; runs your code."
    ),
    click.option(
        "--hf", metavar="PATH", help="A config.json of transformers, a folder with one, or a name on the hub."
    ),
    click.option("--onnx", metavar="FILE", help="An ONNX file."),
    click.option("--export", metavar="FILE", help="A .pt2 file of torch.export; runs its code: --trust."),
    click.option("--torchscript", metavar="FILE", help="A TorchScript file; runs its code: --trust."),
    click.option("--trace", metavar="FILE", help="What ftax trace wrote."),
    click.option(
        "--shape", "shapes", multiple=True, metavar="NAME=1x3x8x8", help="Of an input that a file leaves open."
    ),
    click.option(
        "--value", "values", multiple=True, metavar="NAME=16000", help="Of an ONNX input that decides what runs."
    ),
    trust,
)
"""Options that name a model; one of them is given, and what belongs to it."""


SIZES = (
    click.option(
        "--batch-size",
        default=None,
        help="One, or several with commas: 1,2,4,8; else the model's own, or typical ones.",
    ),
    click.option("--input-size", default=None, help="Tokens, pixels or samples per input; one or several."),
    click.option("--dtype", default=None, help="float32, float16 or bfloat16; else the model's own."),
)


def workload_options(function: F, *, first: _complete.Completer = _complete.predictors) -> F:
    """`SOURCES` and the rest of a workload, of a `ModelCommand`; the ``first`` word is completed so."""
    return _with_options(
        function,
        *SOURCES,
        *SIZES,
        click.option("--lengths", default=None, help="fixed (the default) or penn-treebank."),
        click.option("--framework", shell_complete=_complete.frameworks, help="Only this framework."),
        click.option(
            "--device",
            shell_complete=_complete.devices,
            help="Only this device; one never measured by its device file, name or path.",
        ),
        click.option("--threads", type=int, default=None, help="Only this thread count."),
        click.option("--host", default=None, help="Of a GPU: the machine round it, one that was measured."),
        click.option(
            "--host-factor", type=float, default=None, help="Of a GPU: times that its host takes of the mean one."
        ),
        without_device,
        click.argument(
            "words",
            nargs=-1,
            type=click.UNPROCESSED,
            metavar="[MODEL] [--HYPERPARAMETER VALUE]...",
            shell_complete=first,
        ),
    )


def sources_of_a_model(function: F) -> F:
    """`SOURCES`, sizes and dtype, of a `ModelCommand`."""
    words = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--HYPERPARAMETER VALUE]...")
    return _with_options(function, *SOURCES, *SIZES, words)


def _with_options(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


class ModelCommand(click.Command):
    """A command that takes the hyperparameters of ``--architecture`` as options of their own, among its ``words``."""

    ignore_unknown_options = True

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; raises `InputError` for what is neither an option nor a hyperparameter, with the nearest."""
        own = _complete.hyperparameters(ctx.params["architecture"])
        known = [name for option in self.get_params(ctx) for name in option.opts if name.startswith("--")]
        what = "option or hyperparameter" if own else "option (hyperparameters are those of an --architecture)"
        for word in ctx.params["words"]:
            if word.startswith("--"):
                plugins.check(word.partition("=")[0], [*own, *known], what=what)
        return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options and, once the architecture is given, its hyperparameters."""
        with suppress(InputError):
            own = _complete.hyperparameters(ctx.params.get("architecture"))
            found = [CompletionItem(name) for name in own if incomplete.startswith("-") and name.startswith(incomplete)]
            return [*super().shell_complete(ctx, incomplete), *found]
        return super().shell_complete(ctx, incomplete)


def workloads(
    architecture: str,
    hyperparameters: Sequence[str],
    *,
    preset: str | None,
    input_size: str | None,
    dtype: str,
    lengths: str,
) -> list[Workload]:
    """The workloads that the command line asks for, complete, of batch size 1.

    Raises `InputError` for what makes no sense.
    """
    from ftax_model import architectures
    from ftax_model.workload import grid

    asked = grid(
        architecture,
        **_settings(hyperparameters),
        **({"preset": preset} if preset else {}),
        input_size=numbers("--input-size", input_size) if input_size else None,
        dtype=dtype,
        lengths=lengths,
    )
    return [architectures.complete(workload) for workload in asked]


def sources(words: Sequence[str], asked: Mapping[str, Any]) -> tuple[list[Any], list[int] | None]:
    """The models that the command line names, and the batch sizes asked for; ``None`` where those are the models' own.

    Raises `InputError` where it names none, or two kinds.
    """
    named = kinds(asked)
    if len(named) != 1:
        law = f"a model is named by one of --{', --'.join(_KINDS)}"
        raise InputError(law, " and ".join(f"--{kind}" for kind in named) or "none", "give one of them")
    (kind,), sizes = named, asked["batch_size"]
    sizes = numbers("--batch-size", sizes) if sizes else None
    for option, (name, takers) in _ONLY.items():
        if asked.get(name) and kind not in takers:
            raise InputError(f"{option} is of --{' and --'.join(takers)}", f"--{kind}", "leave it out")
    dtype = asked["dtype"]
    if kind == "architecture":
        lengths = asked.get("lengths") or "fixed"
        own = {"input_size": asked["input_size"], "dtype": dtype or "float32", "lengths": lengths}
        own["preset"] = asked["preset"]
        return [*workloads(asked["architecture"], words, **own)], sizes
    if words:
        raise InputError("hyperparameters are those of an --architecture", words[0], "leave it out")
    from ftax_model.tracing import sources as made

    if kind == "trace":
        return [made.read(asked["trace"])], sizes
    make = functools.partial(
        made.of_place,
        kind,
        asked[kind],
        dtype=dtype,
        shapes=dict(map(shape, asked["shapes"])),
        values=dict(map(value, asked["values"])),
        trust=asked["trust"],
    )
    lengths = numbers("--input-size", asked["input_size"]) if asked["input_size"] else [None]
    return [make(tokens=tokens) for tokens in lengths], sizes


def kinds(asked: Mapping[str, Any]) -> list[str]:
    """The kinds of models that are named, of those that `SOURCES` are."""
    return [kind for kind in _KINDS if asked[kind] is not None]


_KINDS = ("architecture", *outside.KINDS, "trace")

_ONLY = {
    "--preset": ("preset", ("architecture",)),
    "--input-size": ("input_size", ("architecture", "hf")),
    "--dtype": ("dtype", ("architecture", "hf")),
    "--lengths": ("lengths", ("architecture",)),
    "--shape": ("shapes", ("onnx", "torchscript")),
    "--value": ("values", ("onnx",)),
}
"""Options that not all kinds of models take, what they are called within, and those that do."""


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` as a name and extents; raises `InputError` for anything else."""
    name, _, extents = text.rpartition("=")
    try:
        return name, tuple(int(one) for one in extents.split("x"))
    except ValueError as error:
        raise InputError("a shape is NAME=1x3x224x224", repr(text), "write it so") from error


def value(text: str) -> tuple[str, list[float] | float]:
    """``NAME=16000`` or ``NAME=1,2,3`` as a name and numbers; raises `InputError` for anything else."""
    name, _, given = text.rpartition("=")
    try:
        found = [float(one) if set(one) & {".", "e"} else int(one) for one in given.split(",")]
    except ValueError as error:
        raise InputError("a value is NAME=16000, or NAME=1,2,3", repr(text), "write it so") from error
    return name, found if len(found) > 1 else found[0]


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """``--num-layers 4 --width=8`` as a dictionary; values are JSON where they can be, else words or lists of them."""
    law = "a hyperparameter is given as --name value"
    cure = "see ftax list --architecture NAME for their names"
    flat = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(flat) % 2:
        raise InputError(law, " ".join(words), cure)
    settings = {}
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        if not name.startswith("--"):
            raise InputError(law, name, cure)
        settings[name[2:].replace("-", "_")] = _value(value)
    return settings


def _value(text: str) -> Any:
    try:
        value = json.loads(f"[{text}]" if "," in text and not text.startswith("[") else text)
    except ValueError:
        return tuple(text.split(",")) if "," in text else text
    return tuple(value) if isinstance(value, list) else value


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers with commas between; raises `InputError` for anything else."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"{option} takes whole numbers with commas between", repr(text), "write for example 1,2,4"
        ) from error


def processes(jobs: int) -> int:
    """A number of processes as ``--jobs`` gives it; raises `InputError` for none."""
    if jobs == 0:
        raise InputError("--jobs is a number of processes, or -1 for one a core", "0", "choose another")
    return jobs


def shard(text: str | None) -> tuple[int, int] | None:
    """``3/10`` as two numbers; raises `InputError` for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if not found:
        raise InputError("a shard is PART/PARTS", repr(text), "write for example 3/10")
    return int(found[1]), int(found[2])


def duration(text: str | None) -> float | None:
    """``90s``, ``9m`` or ``2h`` in seconds; raises `InputError` for anything else."""
    return _in_seconds(text, {"s": 1.0, "m": 60.0, "h": 3600.0}, what="a duration", cure="write for example 90s or 9m")


def latency(text: str | None) -> float | None:
    """``10ms``, ``250us`` or ``1.5s`` in seconds; raises `InputError` for anything else."""
    return _in_seconds(text, {"us": 1e-6, "ms": 1e-3, "s": 1.0}, what="a latency", cure="write for example 10ms")


def _in_seconds(text: str | None, units: Mapping[str, float], *, what: str, cure: str) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(rf"(\d+(?:\.\d+)?) ?({'|'.join(units)})", text.strip())
    if not found or not float(found[1]):
        raise InputError(f"{what} is a number above 0 and {', '.join(units)}", repr(text), cure)
    return float(found[1]) * units[found[2]]


@dataclass(frozen=True)
class Question:
    """What the options of `workload_options` ask: models, of a predictor, at batch sizes, on platforms.

    ``named_by`` is the word that named the predictor, ``None`` where none did; ``sizes`` are ``None`` where they are
    the models' own; ``framework`` and ``place`` (device, threads, host and host_factor) hold ``None`` where any will
    do. ``notes`` say which predictor it is, and what to hold against it.
    """

    predictor: LatencyPredictor
    named_by: str | None
    named: list[Workload | Source]
    sizes: list[int] | None
    framework: str | None
    place: dict[str, Any]
    notes: list[str]

    @property
    def platform(self) -> dict[str, Any]:
        """``place`` as `LatencyPredictor.predict` takes it: a device of this machine by its name."""
        from ftax_model.advice.place import HERE, here

        device = self.place["device"]
        return {**self.place, "device": here(device)[0].name} if device in HERE else self.place

    @functools.cached_property
    def models(self) -> list[Source]:
        """The models, as what can be traced."""
        from ftax_model.tracing.sources import find

        return [find(one) for one in self.named]

    def one(self) -> tuple[Workload | Source, int]:
        """The only model and batch size; raises `InputError` where there are several."""
        if len(self.named) > 1 or (self.sizes is not None and len(self.sizes) > 1):
            got = f"{len(self.named)} models, {len(self.sizes or [1])} batch sizes"
            raise InputError("this is asked of one call", got, "name one model and one batch size")
        return self.named[0], self.sizes[0] if self.sizes else self.models[0].batch_size


def question(words: tuple[str, ...], asked: dict[str, Any]) -> Question:
    """What is asked, of the predictor that the first word names, else of this machine's own or the one that ships."""
    own = unasked(words[0] if words and not words[0].startswith("--") else None, asked)
    models, sizes = sources(words if own.named_by is None else words[1:], asked)
    return replace(own, named=models, sizes=sizes)


def unasked(named_by: str | None, asked: dict[str, Any]) -> Question:
    """A `Question` of no model yet, of the predictor of that name, this machine's own, or the one that ships."""
    from ftax_model.advice.place import HERE, here

    place = {name: asked[name] for name in ("device", "threads", "host", "host_factor")}
    device = place["device"]
    about_here = device in HERE or (device is None and named_by is None)
    own = here(device)[0] if about_here else None
    if own is not None and own.kind == "cuda":
        place["device"] = "cuda"
    predictor, notes = load(named_by, device=own.name if own else device)
    predictor = without(predictor, asked["without"])
    return Question(predictor, named_by, [], None, asked["framework"], place, notes)


def without(predictor: LatencyPredictor, device: str | None) -> LatencyPredictor:
    """The predictor, or what it would be if that device had never been measured."""
    if device is None:
        return predictor
    with _print.working(f"learning without {device}"):
        return predictor.without(device)


def predict(words: tuple[str, ...], asked: dict[str, Any], *, strict: bool, memory: bool = False) -> pd.DataFrame:
    """The prediction that is asked, on all platforms that match; what is noted goes to the error stream."""
    own = question(words, asked)
    for note in own.notes:
        _print.say(f"note: {note}", err=True)
    with _print.working("predicting"):
        return own.predictor.predict(
            own.models, batch_sizes=own.sizes, framework=own.framework, strict=strict, memory=memory, **own.platform
        )


def _refuse_architecture(word: str) -> None:
    """Raise `InputError` for a word that names an architecture or a preset where a predictor is named."""
    from ftax_model.tracing.attach import called

    own = None if Path(word).suffix or Path(word).exists() else called(word)
    if own is not None:
        options = {"architecture": own[0], **own[1]}
        cure = f"write {' '.join(f'--{name} {value}' for name, value in options.items())}"
        raise InputError("the first word names a predictor, and options name the model", repr(word), cure)


def load(model: str | None, *, device: str | None = None) -> tuple[LatencyPredictor, list[str]]:
    """The predictor of that name or file; without one this machine's own, or else the one that ships.

    For a ``device`` that is a GPU it is the one learnt from published measurements. The notes say which of them it is,
    and what is stale about it.
    """
    from ftax_model.device import canonical, detect
    from ftax_model.modeling.platforms import mine
    from ftax_model.modeling.platforms.known import kind_of
    from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor

    if model is not None:
        _refuse_architecture(model)
        return LatencyPredictor.load(model), []
    if device is not None and kind_of(device) == "cuda":
        calibrated = mine.predictor_file(canonical(device))
        if calibrated.is_file():
            return LatencyPredictor.load(calibrated), [f"this user's own predictor of {canonical(device)}"]
        return LatencyPredictor.load(PUBLISHED), [f"predictor {PUBLISHED} was learnt from what others measured"]
    own = mine.current()
    if own is None:
        cure = "make it this machine's: ftax calibrate"
        return LatencyPredictor.load(SHIPPED), [f"predictor {SHIPPED} ships with ftax; {cure}"]
    predictor = LatencyPredictor.load(own)
    said = predictor.about_
    notes = [f"this machine's own predictor, calibrated {said.get('calibrated_at', 'some time ago')}"]
    notes += [f"it is stale ({why}): ftax calibrate" for why in mine.stale(said, detect("cpu"))]
    return predictor, notes
