#!/usr/bin/env python3
"""Search with Ax (Bayesian optimisation by BoTorch): most parameters where latency within a budget is a constraint.

    .venv/bin/python scripts/search_with_ax.py --device amd-epyc-genoa-2core --budget-ms 20

Candidates are judged by a predictor, none is run; the budget is held against the upper quantile of the latency. Needs
ax-platform (pip install -e .[search]).
"""

from __future__ import annotations

import logging
import math
import sys
import warnings

import click
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

from ftax_model.errors import FtaxError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace


def parameter(space: SearchSpace, variable: str) -> RangeParameterConfig | ChoiceParameterConfig:
    """A variable as Ax knows it: a range, or choices, which are in order where they are numbers."""
    choices = space.choices(variable)
    if isinstance(choices, range):
        ends = (choices[0], choices[-1])
        return RangeParameterConfig(name=variable, parameter_type="int", bounds=ends, step_size=choices.step)
    kind = type(choices[0]).__name__
    return ChoiceParameterConfig(name=variable, parameter_type=kind, values=[*choices], is_ordered=kind != "str")


def exactly(**values: float) -> dict[str, tuple[float, float]]:
    """What Ax is told: logarithms, without noise."""
    return {name: (math.log(value), 0.0) for name, value in values.items()}


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
@click.option("--trials", type=click.IntRange(1), default=25, show_default=True, help="Candidates that are looked at.")
def main(name: str, model: str | None, device: str | None, budget_ms: float, trials: int) -> None:
    """Print the best candidate, its parameters and its latency."""
    try:
        space = SearchSpace.load(name)
        cost = LatencyCost(LatencyPredictor.load(model), framework="eager", device=device, threads=1, quantile=0.9)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    logging.getLogger("ax.api.client").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")  # of BoTorch, on noise that is none
    client = Client(random_seed=0)
    client.configure_experiment(parameters=[parameter(space, variable) for variable in space.variables])
    client.configure_optimization(objective="log_params", outcome_constraints=[f"log_ms <= {math.log(budget_ms)}"])
    found = []
    for _ in range(trials):
        for index, values in client.get_next_trials(max_trials=1).items():
            candidate = space.candidate(values)
            latency_ms = 1e3 * cost(candidate)
            params = cost.features(candidate)["params"]
            client.complete_trial(index, raw_data=exactly(log_params=params, log_ms=latency_ms))
            found.append((latency_ms <= budget_ms, params, latency_ms, index, values))
    kept, params, latency_ms, _, values = max(found, key=lambda one: one[:2])
    if not kept:
        raise click.ClickException(f"no candidate keeps {budget_ms} ms; allow more")
    click.echo(f"{latency_ms:.2f} ms, {params:,.0f} parameters: {values}")


if __name__ == "__main__":
    main()
