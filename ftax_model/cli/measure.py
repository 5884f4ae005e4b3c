"""``ftax measure``: any model that ``predict`` takes, measured here, and what was predicted beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftax_model.cli import EXIT_NO, _complete, _options, _print

if TYPE_CHECKING:
    from ftax_model.device import Device
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.tracing.sources import Source
    from ftax_model.workload import Workload


@click.command("measure", short_help="Measure any model here, beside what is predicted.", cls=_options.ModelCommand)
@_options.sources_of_a_model
@click.option(
    "--framework",
    shell_complete=_complete.frameworks,
    help="One, or several with commas; else those that are predicted.",
)
@click.option("--threads", default="1", show_default=True, help="One, or several with commas.")
@_options.kind_of_device
@click.option("--repeats", type=int, default=1, show_default=True, help="Fresh processes that measure each cell.")
@click.option("--budget", default=None, help="Stop in time, for example 9m or 90s.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Dataset to append to, and to go on from.")
@click.option("--save", is_flag=True, help="Keep what was measured, for `ftax calibrate` to learn from.")
@_options.as_json
def command(
    words: tuple[str, ...],
    framework: str | None,
    threads: str,
    device: str,
    repeats: int,
    budget: str | None,
    out: Path | None,
    save: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Measure a model on this machine, as `ftax collect` measures, and print what this machine's predictor says of it.

    Hyperparameters are options of their own:

        ftax measure --architecture bert --num-layers 4 --framework eager

    With --save good cells become records of this machine, which the next `ftax calibrate` learns from; measured again,
    a cell is one more look. Ends with 1 where nothing could be measured.
    """
    from ftax_model.cli import _show
    from ftax_model.collection import runner
    from ftax_model.device import detect
    from ftax_model.modeling.judging.beside import beside
    from ftax_model.modeling.platforms import mine

    budget_s, counts = _options.duration(budget), _options.numbers("--threads", threads)
    here = detect(device)
    if save:
        mine.prepared()
    with _print.working("tracing"):
        models = _traced(*_options.sources(words, asked))
    predictor, notes = _options.load(None, device=None if here.kind == "cpu" else here.name)
    workloads = [curve.with_batch_size(size) for curve, (_, sizes) in models.items() for size in sizes]
    names = framework.split(",") if framework else _known(predictor, here, [*models])
    with _print.progress("measuring") as advance:
        found = runner.measure(
            workloads,
            names,
            threads=counts,
            repeats=repeats,
            device=device,
            out=out,
            budget_s=budget_s,
            trust=True,  # or they would not have been traced
            on_progress=advance,
        )
    sources = {curve: source for curve, (source, _) in models.items()}
    table = beside(found, predictor, sources)
    asked_for = len(workloads) * len(names) * len(counts) * repeats
    _show.measured(table, asked=asked_for, notes=notes, as_json=as_json)
    good = [one for one in found if one.status == "ok"]
    if save and good:
        kept = mine.keep(here, good, sources)
        _print.say(f"kept in {kept}, for ftax calibrate to learn from", err=True)
    return 0 if good else EXIT_NO


def _traced(found: Sequence[Any], asked: list[int] | None) -> dict[Workload, tuple[Source, list[int]]]:
    """Each model by its workload of batch size 1, traced at the batch sizes that are asked of it.

    Raises `InputError` for a model that is a trace alone.
    """
    from ftax_model.errors import InputError
    from ftax_model.tracing import checked_batch_sizes
    from ftax_model.tracing.sources import find, held

    models = {}
    for source in map(find, found):
        if source.workload is None:
            cure = "measure the model that it was taken of"
            raise InputError("a model that is measured can be called", "a trace", cure)
        sizes = checked_batch_sizes(asked or [source.batch_size])
        known = partial(held, source.label, source.traced(sizes, ()))
        models[source.workload()] = dataclasses.replace(source, traced=known), sizes
    return models


def _known(predictor: LatencyPredictor, here: Device, curves: Sequence[Workload]) -> list[str]:
    """Frameworks that are installed, that the predictor knows, and that can run one of the workloads at least."""
    from ftax_model.collection import frameworks

    able = [
        name
        for name in frameworks.installed()
        if any(frameworks.load(name).supports(curve, here) is None for curve in curves)
    ]
    known = {name for name, kind in predictor.known_ if kind == here.kind}
    known |= {*predictor.gpus_} if here.kind == "cuda" else {fit.platform.framework for fit in predictor.fits_}
    return [name for name in able if name in known] or able or frameworks.installed()
