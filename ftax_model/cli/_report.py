"""What a report or a plot is made of: the words and options that ``ftax report`` and ``ftax plot`` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftax_model.cli import _complete, _options, _print
from ftax_model.errors import InputError

if TYPE_CHECKING:
    from ftax_model.report.content import Content

model = click.option(
    "--model",
    shell_complete=_complete.predictors,
    help="Of a dataset: the predictor beside it; without, the one that ships.",
)
evaluate = click.option(
    "--evaluate", is_flag=True, help="Of a dataset: hold out models, families and sizes; takes minutes."
)


def content(words: Sequence[str], asked: dict[str, Any], *, model: str | None, evaluate: bool) -> Content:
    """The content that the command line asks for: of a workload, of datasets, or of a predictor.

    A model is asked for by `_options.SOURCES`; without, words name datasets or one predictor, and no word is this
    machine's own predictor, or the one that ships. Raises `InputError` for words that are neither.
    """
    from ftax_model.advice.place import place
    from ftax_model.report import content as made
    from ftax_model.tracing.sources import find

    of_model = bool(_options.kinds(asked))
    named = [word for word in words if not word.startswith("--")][: 1 if of_model else None]
    named = named if words[: len(named)] == tuple(named) else []
    if not of_model and _all_datasets(named):
        platform = ("framework", "device", "threads", "host", "host_factor", "without")
        if any(asked[name] is not None for name in platform):
            law = "a report of a dataset shows all that was measured"
            raise InputError(law, "--framework, --device or another platform", "use the switches of the page")
        return _of_datasets(named, model=model, evaluate=evaluate)
    if model is not None or evaluate:
        got = "--evaluate" if evaluate else "--model"
        raise InputError(f"{got} is of a dataset", " ".join(words) or "none", "name one: ftax datasets")
    if len(named) > 1:
        law = "a report is of a workload, of datasets, or of one predictor"
        raise InputError(law, ", ".join(named), "name datasets alone (ftax datasets), or one predictor (ftax list)")
    if named and not of_model:
        _check(named[0])
    own = _options.unasked(named[0] if named else None, asked)
    for note in own.notes:
        _print.say(f"note: {note}", err=True)
    if not of_model:
        return made.of_predictor(
            own.predictor, Path(named[0]).name if named else "at hand", framework=own.framework, **own.platform
        )
    sources, sizes = _options.sources(words[len(named) :], asked)
    here = place(own.predictor, dtype=find(sources[0]).dtype, **own.place)
    return made.of_workloads(sources, own.predictor, batch_sizes=sizes, framework=own.framework, **here.asked)


def _all_datasets(named: Sequence[str]) -> bool:
    return bool(named) and all(map(_is_dataset, named))


def _is_dataset(word: str) -> bool:
    from ftax_model import dataset

    return word in dataset.names() or word.endswith(dataset.SUFFIXES)


def _check(word: str) -> None:
    """Raise `InputError` for a word without a suffix that is no predictor either."""
    from ftax_model import dataset
    from ftax_model.modeling.predictor import shipped
    from ftax_model.plugins import check

    if not Path(word).exists() and not Path(word).suffix:
        check(word, [*dataset.names(), *shipped()], what="what a report is of")


def _of_datasets(names: Sequence[str], *, model: str | None, evaluate: bool) -> Content:
    from ftax_model import claims
    from ftax_model.cli import _data
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.report import content as made

    measurements, drawn = _data.measurements(names)
    title = " and ".join(Path(name).name for name in names)
    known = LatencyPredictor.load(model) if model else None
    content = made.of_dataset(measurements, title, predictor=known, evaluate=evaluate, note=drawn)
    return dataclasses.replace(content, claims=claims.markdown(claims.decided(claims.judge(names))))


def described() -> list[Mapping[str, str]]:
    """Every plot with the sentence that says how to read it."""
    from ftax_model.report import plots

    return [{"plot": name, "how to read it": plots.load(name).reading} for name in plots.names()]
