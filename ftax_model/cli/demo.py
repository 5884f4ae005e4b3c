"""``ftax demo``: measure this machine, fit, and show the truth about its framework tax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftax_model.cli import _options


@click.command("demo", short_help="Measure this machine for three minutes and show its framework tax.")
@click.option("--plan", default="demo", show_default=True, help="What to measure.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
@click.option("--budget", default="170s", show_default=True, help="Longest time to measure.")
@_options.as_json
def command(plan: str, device: str, folder: Path, budget: str, as_json: bool) -> None:
    """Measure real models on this machine, fit the law, and show what it says beside what was measured.

    Writes measurements.jsonl, model.json and curves.png into FOLDER. Run again, it goes on with what is there; remove
    the folder to measure afresh.
    """
    from ftax_model.cli import _print, _show
    from ftax_model.collection.plan import load_plan
    from ftax_model.dataset import load_dataset
    from ftax_model.errors import DataError
    from ftax_model.modeling.judging import evaluation
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.proxies import proxies
    from ftax_model.report import curves

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("the output can be written", f"{folder}: {error.strerror}", "choose another folder") from error
    measured = folder / "measurements.jsonl"
    _show.collect(load_plan(plan), measured, device=device, budget_s=_options.duration(budget))
    table = load_dataset(measured)
    predictor = LatencyPredictor().fit(table)
    predictor.save(folder / "model.json")
    sweeps = evaluation.sweeps(table, predictor)
    left_out = evaluation.hold_out(table)
    correlations = proxies(table, predictor=predictor)
    picture = curves.figure(table, folder / "curves.png")
    if as_json:
        result: dict[str, Any] = {
            "platforms": [fit.constants() for fit in predictor.fits_],
            "workloads": _print.records(sweeps),
            "held_out": _print.records(left_out),
            "errors": _print.records(evaluation.summary(left_out)),
            "proxies": _print.records(correlations),
            "picture": str(picture),
        }
        _print.as_json(result)
        return
    click.echo("\n1. What each framework costs here\n")
    _show.fits(predictor, as_json=False)
    click.echo("\n2. Each workload: measured latency at batch 1, regime, crossover batch size with its 90 % interval\n")
    _show.sweeps(sweeps)
    click.echo("\n3. Held-out truth: each model predicted by a fit that never saw it\n")
    _show.held_out(left_out, evaluation.summary(left_out))
    click.echo("\n4. Proxies\n")
    _show.proxies(correlations, as_json=False)
    click.echo(f"\n5. The picture: {picture}")
    click.echo(f"   Measurements: {measured}. Ask for any other model: ftax predict {folder / 'model.json'} --help")
