"""``ftax claims``: which claims of the paper hold, on datasets or on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options, _print


@click.command("claims", short_help="Which claims of the paper hold, here or on a dataset.")
@click.argument("datasets", nargs=-1, shell_complete=_complete.judged)
@click.option("--measure", is_flag=True, help="Measure on this machine what the claims need, and judge that.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="With --measure: dataset to append to.")
@click.option("--budget", default=None, help="With --measure: stop in time, for example 3m or 90s.")
@_options.kind_of_device
@click.option("--only", default=None, help="These claims alone, with commas.")
@click.option("--evidence", is_flag=True, help="The numbers behind each verdict, too.")
@_options.as_json
def command(
    datasets: tuple[str, ...],
    measure: bool,
    out: Path | None,
    budget: str | None,
    device: str,
    only: str | None,
    evidence: bool,
    as_json: bool,
) -> None:
    """Judge the paper's claims by DATASETS (names or files), else by the paper's own figures and all that come along.

        ftax claims paper-rtx8000

        ftax claims --measure --budget 3m --out mine.jsonl

    A claim holds, fails, is undecided (within noise) or is not testable here; repeatability floor and intervals count.
    """
    from ftax_model import claims
    from ftax_model.cli import _claims

    names = only.split(",") if only else None
    if measure:
        if datasets or out is None:
            raise click.UsageError("--measure takes --out, a dataset to append to, and no DATASETS")
        with _print.progress("measuring") as advance:
            budget_s = _options.duration(budget)
            summary, found = claims.measure(out, device=device, budget_s=budget_s, only=names, on_progress=advance)
        if summary.stopped_by:
            cells = f"{summary.done} of {summary.planned} cells"
            _print.say(f"note: stopped by {summary.stopped_by}, {cells}; run it again to go on", err=True)
    else:
        if out or budget:
            raise click.UsageError("--out and --budget are of --measure")
        with _print.working("judging"):
            found = claims.judge(datasets or claims.shipped(), only=names)
    _claims.show(found, evidence=evidence, as_json=as_json)
