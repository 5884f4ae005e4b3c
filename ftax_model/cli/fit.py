"""``ftax fit``: datasets in, a predictor out."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _complete, _options, _print


@click.command("fit", short_help="Fit the law to datasets; write a predictor.")
@click.argument("datasets", nargs=-1, required=True, shell_complete=_complete.datasets)
@_options.out_file
@click.option("--known", default="cpu", show_default=True, help="Predictor that tells of other machines, or none.")
@click.option("--confidence", type=float, default=0.9, show_default=True, help="Share that intervals are to hold.")
@_options.as_json
def command(datasets: tuple[str, ...], out: Path, known: str, confidence: float, as_json: bool) -> None:
    """Fit law and operators to DATASETS (names or files) and write the predictor as JSON.

        ftax fit x86-epyc-2core --out model.json

    What is known of other machines is where costs begin; a dozen rows are enough then. `--known none` begins with
    nothing but physics.

    Operator profiles that lie beside a dataset are learnt from too. Prints what was learnt of each platform, with
    standard errors.
    """
    from ftax_model.cli import _data, _show
    from ftax_model.dataset import good, load_profiles
    from ftax_model.modeling.predictor import LatencyPredictor, with_features

    before = None if known == "none" else LatencyPredictor.load(known)
    table = _data.drawn(_data.table(datasets))
    with _print.working(f"fitting {len(table):,} rows"):
        predictor = LatencyPredictor(confidence=confidence).fit(table, load_profiles(datasets), known=before)
    predictor.save(out)
    measured = good(table)
    left = len(measured) - len(with_features(measured))
    if left:
        _print.say(f"note: {left} of {len(table)} rows lack features that most have, and were left out", err=True)
    for fit in predictor.fits_:
        if fit.partly():
            cure = "attach traces for more: ftax import --trace"
            _print.say(f"note: predictions of {fit.platform} are {fit.partly()}; {cure}", err=True)
    _show.fits(predictor, as_json=as_json)
