"""``ftax proxies``: how well MACs, depth and the rest stand in for latency, and which of them to use."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options


@click.command("proxies", short_help="How well MACs, depth and the rest stand in for latency.")
@click.argument("dataset", shell_complete=_complete.datasets)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Take regimes from this predictor, not from a fresh fit."
)
@click.option(
    "--by",
    default="framework,regime",
    show_default=True,
    help="Columns to group by, with commas: regime, framework, device, family, batch_size or another.",
)
@click.option(
    "--statistic", default="spearman", show_default=True, help="What to show by group: pairs, mape or another."
)
@click.option("--full", is_flag=True, help="Judge the full predictor too, families left out; takes minutes.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one a core.")
@_options.as_json
def command(dataset: str, model: Path | None, by: str, statistic: str, full: bool, jobs: int, as_json: bool) -> None:
    """How well each proxy stands in for the measured latency in DATASET (a name or a file), and which one to use.

        ftax proxies x86-epyc-2core --by framework,regime

    Counts of a trace, bytes, the roofline of the device file, and the law fitted to other families are compared within
    each platform. Intervals are over families drawn again. `ftax plot proxies DATASET --out FILE.png` draws latency
    over MACs, `ftax plot proxy-quality` which proxy is good at which batch size.
    """
    from ftax_model import plugins
    from ftax_model.cli import _data, _print, _show
    from ftax_model.modeling.judging.ranking import STATISTICS
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.proxies import proxies

    plugins.check(statistic, STATISTICS, what="statistic")
    predictor = LatencyPredictor.load(model) if model else None
    table = _data.drawn(_data.table([dataset]))
    with _print.working("judging proxies"):
        found = proxies(
            table,
            predictor=predictor,
            by=by.split(","),
            full=full,
            jobs=_options.processes(jobs),
        )
    _show.proxies(found, statistic=statistic, as_json=as_json)
