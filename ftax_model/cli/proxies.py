"""``ftax proxies``: how well MACs, depth and the rest rank latency."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options


@click.command("proxies", short_help="How well MACs, depth and the rest rank latency.")
@click.argument("dataset", shell_complete=_complete.datasets)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Take regimes from this predictor, not from a fresh fit."
)
@click.option("--by", default="framework,regime", show_default=True, help="Columns to group by, with commas.")
@_options.as_json
def command(dataset: str, model: Path | None, by: str, as_json: bool) -> None:
    """Rank correlation of each proxy with the measured latency in DATASET (a name or a file), by regime.

        ftax proxies x86-epyc-2core --by framework,regime

    1 ranks as latency does, 0 tells nothing, -1 ranks the other way round.
    """
    from ftax_model.cli import _print, _show
    from ftax_model.dataset import load_dataset
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.proxies import proxies

    predictor = LatencyPredictor.load(model) if model else None
    with _print.working("fitting, to tell regimes"):
        found = proxies(load_dataset(dataset), predictor=predictor, by=by.split(","))
    _show.proxies(found, as_json=as_json)
