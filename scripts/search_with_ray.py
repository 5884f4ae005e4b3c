#!/usr/bin/env python3
"""Search with Ray Tune: random candidates in several processes, the one of most parameters within a latency budget.

    .venv/bin/python scripts/search_with_ray.py --device amd-epyc-genoa-2core --budget-ms 20

Candidates are judged by a predictor, none is run; the budget is held against the upper quantile of the latency. The
space and the cost are sent to Ray's workers once. Needs ray[tune] (pip install -e .[search]).
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import click
import ray
from ray import tune

from ftax_model.errors import FtaxError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace


def judge(config: dict[str, Any], *, space: SearchSpace, cost: LatencyCost) -> dict[str, float]:
    """What Ray is told of the candidate whose variables have these values."""
    candidate = space.candidate(config)
    params = cost.features(candidate)["params"]
    return {"latency_ms": 1e3 * cost(candidate), "params": params}


@click.command()
@click.option(
    "--space", "name", default="text-encoder", show_default=True, help="A search space that ships, or a file."
)
@click.option("--model", help="A predictor that ships, or a file; else this machine's own, or the one that ships.")
@click.option("--device", help="One that the predictor knows; not needed for this machine's own (ftax calibrate).")
@click.option(
    "--budget-ms",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="Latency that the winner may have.",
)
@click.option("--trials", type=click.IntRange(1), default=40, show_default=True, help="Candidates that are looked at.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; else one a core.")
def main(name: str, model: str | None, device: str | None, budget_ms: float, trials: int, jobs: int | None) -> None:
    """Print the best candidate, its parameters and its latency."""
    try:
        space = SearchSpace.load(name)
        cost = LatencyCost(LatencyPredictor.load(model), framework="eager", device=device, threads=1, quantile=0.9)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    ray.init(address="local", num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_parameters(judge, space=space, cost=cost),
            param_space={variable: tune.choice([*space.choices(variable)]) for variable in space.variables},
            tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = [one for one in tuner.fit() if one.metrics["latency_ms"] <= budget_ms]
    if not results:
        raise click.ClickException(f"no candidate keeps {budget_ms} ms; allow more")
    best = max(results, key=lambda one: one.metrics["params"])
    click.echo(f"{best.metrics['latency_ms']:.2f} ms, {best.metrics['params']:,.0f} parameters: {best.config}")


if __name__ == "__main__":
    main()
