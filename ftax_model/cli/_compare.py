"""What two words mean that are to be compared, and what is predicted or was measured of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftax_model.advice import compare
from ftax_model.cli import _data, _options
from ftax_model.errors import InputError
from ftax_model.measurement import in_threads
from ftax_model.modeling.predictor import SWEEP

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.tracing.sources import Source

USUAL = "eager"
"""The framework in which models and devices are compared where none is named."""


@dataclass(frozen=True)
class Compared:
    """Two lines over batch size: what they are ``of``, the ``names`` of both, and where they cross."""

    of: str
    names: tuple[str, str]
    table: pd.DataFrame
    notes: Sequence[str] = field(default=())

    @property
    def crossings(self) -> list[float]:
        """Batch sizes at which the one becomes the faster."""
        ratios = dict(zip(self.table["batch_size"].tolist(), self.table["ratio"].tolist(), strict=True))
        return compare.crossings(ratios)


def of(words: tuple[str, ...], asked: dict[str, Any]) -> list[Compared]:
    """What is asked of the first two words, with the options of a workload; raises `InputError` for other words."""
    law = "what is compared are two datasets, frameworks, devices or models, by their names"
    if len(words) < 2 or words[0].startswith("--") or words[1].startswith("--"):
        raise InputError(law, " ".join(words[:2]) or "none", "write for example ftax compare bert-base distilbert")
    one, other, rest = words[0], words[1], words[2:]
    pair = one, other
    for known, compared in ((_is_dataset, _datasets), (_is_framework, _frameworks), (_is_device, _devices)):
        if known(one) or known(other):
            return compared(pair, rest, asked)
    return _models(pair, rest, asked)


def _is_dataset(word: str) -> bool:
    from ftax_model import dataset

    return word in dataset.names() or word.endswith(dataset.SUFFIXES)


def _is_framework(word: str) -> bool:
    from ftax_model.collection import frameworks
    from ftax_model.modeling.predictor import PUBLISHED, LatencyPredictor

    return word in frameworks.names() or word in LatencyPredictor.load(PUBLISHED).gpus_


def _is_device(word: str) -> bool:
    from ftax_model import device

    return device.canonical(word) in device.names() or word.endswith(".toml")


def _datasets(pair: tuple[str, str], rest: tuple[str, ...], asked: dict[str, Any]) -> list[Compared]:
    tables = [_data.table([word]) for word in pair]
    if asked["framework"]:
        tables = [table[table["framework"] == asked["framework"]] for table in tables]
    found = compare.measured(*tables)
    names = (Path(pair[0]).name, Path(pair[1]).name)
    notes = [] if found["low"].notna().all() else ["nothing was repeated: how far repeats lie apart is not known"]
    groups = found.groupby(["curve", "framework", "threads"], sort=False)
    return [
        Compared(f"{curve}, {framework}, {in_threads(int(str(threads)))}", names, part, notes)
        for (curve, framework, threads), part in groups
    ]


def _frameworks(pair: tuple[str, str], rest: tuple[str, ...], asked: dict[str, Any]) -> list[Compared]:
    question = _options.question(rest, asked)
    return [
        _both([(question, model, name) for name in pair], pair, f"{model.label}", question.sizes)
        for model in question.models
    ]


def _devices(pair: tuple[str, str], rest: tuple[str, ...], asked: dict[str, Any]) -> list[Compared]:
    questions = [_options.question(rest, {**asked, "device": word}) for word in pair]
    framework = questions[0].framework or USUAL
    return [
        _both(
            [(question, model, framework) for question in questions],
            pair,
            f"{model.label}, {framework}",
            questions[0].sizes,
        )
        for model in questions[0].models
    ]


def _models(pair: tuple[str, str], rest: tuple[str, ...], asked: dict[str, Any]) -> list[Compared]:
    question = _options.unasked(None, asked)
    if rest:
        raise InputError("two models are compared as their names say", rest[0], "leave it out, or compare two files")
    sizes = _options.numbers("--batch-size", asked["batch_size"]) if asked["batch_size"] else None
    models = [_model(word, asked) for word in pair]
    framework = question.framework or USUAL
    return [_both([(question, model, framework) for model in models], pair, framework, sizes)]


def _model(word: str, asked: dict[str, Any]) -> Source:
    """The model that a word names: a preset or an architecture, or a file; raises `InputError` for any other."""
    from ftax_model import architectures, plugins
    from ftax_model.tracing.attach import called
    from ftax_model.tracing.sources import find
    from ftax_model.workload import Workload

    if Path(word).suffix:
        return find(word, trust=asked["trust"])
    own = called(word)
    if own is None:
        presets = [name for one in architectures.names() for name in architectures.load(one).presets]
        plugins.check(word, [*architectures.names(), *presets], what="model to compare")
        raise AssertionError  # what is one of those is called so
    size = int(asked["input_size"]) if asked["input_size"] else None
    return find(Workload(own[0], own[1], input_size=size, dtype=asked["dtype"] or "float32"))


def _both(
    sides: Sequence[tuple[_options.Question, Source, str]], names: tuple[str, str], of: str, sizes: list[int] | None
) -> Compared:
    """What is predicted of two sides, each a question, a model and a framework, at sizes that both have."""
    from ftax_model.advice.decision import typical
    from ftax_model.advice.place import place

    if sizes is None:
        sizes = sorted(set.intersection(*(set(typical(model, SWEEP)) for _, model, _ in sides)))
    tables, notes = [], list[str]()
    for question, model, framework in sides:
        here = place(question.predictor, dtype=model.dtype, **question.place)
        asked = {"batch_sizes": sizes, "framework": framework, "crossovers": False, **here.asked}
        tables.append(question.predictor.predict(model, **asked))
        notes += [*question.notes, *here.notes, *filter(None, tables[-1]["notes"])]
    where = dict.fromkeys(f"{row['device']}, {row['dtype']}" for table in tables for row in table.to_dict("records"))
    return Compared(f"{of} on {' and '.join(where)}", names, compare.predicted(*tables), list(dict.fromkeys(notes)))
