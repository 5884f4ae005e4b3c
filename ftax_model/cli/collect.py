"""``ftax collect``: a plan in, measurements out, one line a cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftax_model.cli import _complete, _options

if TYPE_CHECKING:
    from ftax_model.collection.plan import Plan, Shard
    from ftax_model.collection.runner import Summary
    from ftax_model.fleet import FleetSummary
    from ftax_model.schedule import Estimate


@click.command("collect", short_help="Measure a plan; append to a dataset; go on where it stopped.")
@click.argument("plan", shell_complete=_complete.plans)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Dataset to append to.")
@_options.kind_of_device
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order and of inputs and weights.")
@click.option("--budget", default=None, help="Stop in time, for example 9m or 90s.")
@click.option(
    "--shard", metavar="PART/PARTS", default=None, help="Measure one part of the plan, as 3/10; others do the rest."
)
@click.option("--operators", is_flag=True, help="Then profile each cell, operator by operator: FILE.operators.jsonl.")
@_options.trust
@click.option("--on", metavar="ray://HEAD:PORT", help="Measure on the machines of this Ray cluster, not on this one.")
@click.option("--same-environment", is_flag=True, help="With --on: refuse machines whose versions differ.")
@click.option("--dry-run", is_flag=True, help="Measure nothing; list the cells and the time that they will take.")
@click.option("--model", type=click.Path(path_type=Path), help="With --dry-run: a predictor that `ftax fit` wrote.")
@click.option(
    "--seen",
    shell_complete=_complete.datasets,
    help="With --dry-run: a dataset that tells how long models take to compile.",
)
@_options.as_json
def command(
    plan: str,
    out: Path | None,
    device: str,
    seed: int,
    budget: str | None,
    shard: str | None,
    operators: bool,
    trust: bool,
    on: str | None,
    same_environment: bool,
    dry_run: bool,
    model: Path | None,
    seen: str | None,
    as_json: bool,
) -> None:
    """Measure every cell of PLAN (a name from `ftax list`, or a YAML file) and append it to a dataset.

        ftax collect quick --out mine.jsonl --budget 90s

    Run again, it goes on where it stopped. Ctrl-C loses nothing.

    A plan is spread over machines of a kind by the part that each of them measures, and `ftax merge` puts together what
    they wrote:

        ftax collect quick --shard 1/2 --out part-1.jsonl
    """
    from ftax_model.cli import _print, _show
    from ftax_model.collection.plan import load_plan

    part = _options.shard(shard)
    if on is None and same_environment:
        raise click.UsageError("--same-environment is of the machines of a fleet: give --on")
    if on is not None and dry_run:
        raise click.UsageError("--dry-run looks at this machine alone: leave --on out")
    if dry_run:
        _show.schedule(_schedule(load_plan(plan), out, device, seed, part, model, seen), as_json=as_json)
        return
    if out is None:
        raise click.UsageError("collect needs --out, a dataset to append to (or --dry-run)")
    budget_s = _options.duration(budget)
    options = {"device": device, "seed": seed, "shard": part, "budget_s": budget_s, "operators": operators}
    summary: Summary | FleetSummary
    if on is not None:
        options |= {"on": on, "same_environment": same_environment}
        summary = _show.fleet(load_plan(plan), out, as_json=as_json, **options)
    else:
        summary = _show.collect(load_plan(plan), out, trust=trust, **options)
    if as_json:
        _print.as_json(summary.to_record())


def _schedule(
    plan: Plan, out: Path | None, device: str, seed: int, shard: Shard | None, model: Path | None, seen: str | None
) -> list[Estimate]:
    """What a collection into ``out`` would measure, with the times that a predictor and measurements let expect."""
    from ftax_model import dataset
    from ftax_model.cli import _print
    from ftax_model.device import detect
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.schedule import schedule

    before = dataset.read(out) if out and out.exists() else []
    with _print.progress(f"looking at {plan.name}") as advance:
        return schedule(
            plan,
            detect(device),
            predictor=LatencyPredictor.load(model) if model else None,
            done={one.cell.key: dataset.Outcome(one.status, one.latency_s) for one in before},
            seen=[*before, *(dataset.read(dataset.find(seen)) if seen else [])],
            seed=seed,
            shard=shard,
            on_progress=lambda done, total: advance(done, total, f"looking at {plan.name}"),
        )
