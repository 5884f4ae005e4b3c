"""``ftax collect``: a plan in, measurements out, one line a cell."""

from __future__ import annotations

from pathlib import Path

import click

from ftax_model.cli import _options


@click.command("collect", short_help="Measure a plan; append to a dataset; go on where it stopped.")
@click.argument("plan")
@_options.out_file
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order and of inputs and weights.")
@click.option("--budget", default=None, help="Stop in time, for example 9m or 90s.")
@click.option("--operators", is_flag=True, help="Then profile each cell, operator by operator: FILE.operators.jsonl.")
@_options.as_json
def command(plan: str, out: Path, device: str, seed: int, budget: str | None, operators: bool, as_json: bool) -> None:
    """Measure every cell of PLAN (a name from `ftax list`, or a YAML file) and append it to a dataset.

    Run again, it goes on where it stopped. Ctrl-C loses nothing.
    """
    from ftax_model.cli import _print, _show
    from ftax_model.collection.plan import load_plan

    budget_s = _options.duration(budget)
    summary = _show.collect(load_plan(plan), out, device=device, seed=seed, budget_s=budget_s, operators=operators)
    if as_json:
        _print.as_json(summary.to_record())
