"""``ftax evaluate``: how good predictions are on what a fit never saw."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options


@click.command("evaluate", short_help="Errors of predictions on models, families and sizes never seen.")
@click.argument("datasets", nargs=-1, required=True, shell_complete=_complete.datasets)
@click.option(
    "--split",
    "splits",
    multiple=True,
    help="model, family, framework, size or machine; can be repeated.",
)
@click.option("--confidence", type=float, default=0.9, show_default=True, help="Share that intervals are to hold.")
@click.option("--page", type=_options.Output(), help="Also draw a page of plots: FILE.png.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one a core.")
@_options.as_json
def command(
    datasets: tuple[str, ...], splits: tuple[str, ...], confidence: float, page: Path | None, jobs: int, as_json: bool
) -> None:
    """Hold out parts of DATASETS (names or files), predict them, and print the errors.

        ftax evaluate x86-epyc-2core --split family

    Each table stands beside plain baselines and the repeatability floor. The whole takes some minutes.
    """
    from ftax_model.cli import _data, _print, _show
    from ftax_model.collection.plan import load_plan
    from ftax_model.dataset import load_profiles
    from ftax_model.modeling.judging import evaluation
    from ftax_model.report import evaluation_page

    jobs = _options.processes(jobs)
    table = _data.drawn(_data.table(datasets))
    several = table["device"].nunique() > 1
    asked = splits or tuple(evaluation.SPLITS if several else evaluation.WITHIN)
    plan = {workload.key for one in load_plan("calibrate").grids for workload in one.workloads}
    with _print.working(f"{len(table):,} rows, holding out by {', '.join(asked)}"):
        report = evaluation.report(
            table, load_profiles(datasets), splits=asked, confidence=confidence, plan=plan, jobs=jobs
        )
    if page:
        evaluation_page.figure(report, page)
    _show.evaluation(report, as_json=as_json)
