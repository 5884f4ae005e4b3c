"""Fit the predictor of CPUs that ships to datasets, unless its intervals hold less than they say, or than before.

    .venv/bin/python scripts/build_cpus.py x86-epyc-2core intel-xeon-amx-2core amd-epyc-genoa-2core

Coverage by machine, framework, regime and batch size is that of models, families and machines left out while it is
fitted (`ftax_model.modeling.judging.coverage`), and is written beside it. ``--judge`` writes that alone, of the file
that is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pandas as pd

from ftax_model import dataset
from ftax_model.errors import FtaxError
from ftax_model.modeling.judging import coverage
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor
from ftax_model.modeling.rows import with_operators

OUT = Path(__file__).resolve().parent.parent / "ftax_model" / "predictors"


@click.command()
@click.argument("datasets", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=OUT, show_default=False, help="Folder."
)
@click.option("--accept", default="", metavar="REASON", help="Write it in any case, and the reason with its figures.")
@click.option("--judge", is_flag=True, help="Write figures of coverage alone; the predictor stays as it is.")
@click.option("--confidence", type=float, default=coverage.PROMISE, show_default=True)
@click.option("--jobs", default=-1, help="Processes; -1 for one a core.")
def main(datasets: tuple[str, ...], out: Path, accept: str, judge: bool, confidence: float, jobs: int) -> None:
    file = out / f"{SHIPPED}.json.gz"
    try:
        table = pd.concat([dataset.load_dataset(name) for name in datasets], ignore_index=True)
        rows = with_operators(dataset.good(table), jobs=jobs)
        predictor = LatencyPredictor(confidence=confidence, jobs=jobs)
        learnt = predictor.learn(rows, dataset.load_profiles(datasets))
        predictor.of_learnt(learnt).learn_memory(rows)
        fits = LatencyPredictor.load(file).fits_ if judge else learnt.fits
        figures = coverage.figures(coverage.of_learnt(learnt, confidence=confidence, fits=fits), promise=confidence)
        why = coverage.refusal(coverage.judged(figures, out, SHIPPED, promise=confidence), SHIPPED, promise=confidence)
        if why and not (accept or judge):
            click.echo(f"{why}; mend it, or --accept REASON", err=True)
            sys.exit(1)
        if not judge:
            predictor.save(file)
        path = coverage.write(figures, out, SHIPPED, note=accept)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    click.echo(f"{len(rows)} rows, {len(figures)} figures of coverage; {path}")


if __name__ == "__main__":
    main()
