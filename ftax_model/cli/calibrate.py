"""``ftax calibrate``: measure this machine for a minute, and make a fitted predictor its own."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _options


@click.command("calibrate", short_help="Adapt a predictor to this machine in about a minute.")
@click.argument("model", default="x86-epyc-2core")
@_options.out_file
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--plan", default="calibrate", show_default=True, help="What to measure.")
@click.option("--measured", type=click.Path(path_type=Path, dir_okay=False), help="Where to keep the measurements.")
@click.option("--budget", default="90s", show_default=True, help="Longest time to measure.")
@_options.as_json
def command(model: str, out: Path, device: str, plan: str, measured: Path | None, budget: str, as_json: bool) -> None:
    """Measure a handful of cells on this machine and adapt MODEL to it (a name that ships, or a file).

    Prints by what factor each platform's time on the host, computing and moving memory differs from the known one.
    """
    from ftax_model.cli import _show
    from ftax_model.collection.plan import load_plan
    from ftax_model.dataset import load_dataset
    from ftax_model.modeling.predictor import LatencyPredictor

    known = LatencyPredictor.load(model)
    kept = measured or out.with_name(f"{out.name.split('.')[0]}.measured.jsonl")
    _show.collect(load_plan(plan), kept, device=device, budget_s=_options.duration(budget))
    adapted = known.calibrate(load_dataset(kept))
    adapted.save(out)
    _show.calibrated(adapted, as_json=as_json)
