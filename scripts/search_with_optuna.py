#!/usr/bin/env python3
"""Search with Optuna: most parameters and least latency, within a latency budget that is a constraint.

    .venv/bin/python scripts/search_with_optuna.py --device amd-epyc-genoa-2core --budget-ms 20

Candidates are judged by a predictor, none is run. The budget is held against the upper quantile of the latency, so that
nine out of ten winners keep it. Needs optuna (pip install -e .[search]).
"""

from __future__ import annotations

import sys

import click
import optuna

from ftax_model.errors import FtaxError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace


def suggest(trial: optuna.Trial, space: SearchSpace, variable: str) -> object:
    """A value of a variable: a range as a number, choices as categories."""
    choices = space.choices(variable)
    if isinstance(choices, range):
        return trial.suggest_int(variable, choices[0], choices[-1], step=choices.step)
    return trial.suggest_categorical(variable, choices)


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
@click.option("--trials", type=click.IntRange(1), default=60, show_default=True, help="Candidates that are looked at.")
def main(name: str, model: str | None, device: str | None, budget_ms: float, trials: int) -> None:
    """Print the candidates that keep the budget and of which none is better in both."""
    try:
        space = SearchSpace.load(name)
        cost = LatencyCost(LatencyPredictor.load(model), framework="eager", device=device, threads=1, quantile=0.9)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        candidate = space.candidate({variable: suggest(trial, space, variable) for variable in space.variables})
        latency_ms = 1e3 * cost(candidate)
        trial.set_constraint("over budget, ms", latency_ms - budget_ms)
        return cost.features(candidate)["params"], latency_ms

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=trials)
    front = {(latency_ms, params): trial.params for trial in study.best_trials for params, latency_ms in [trial.values]}
    for (latency_ms, params), values in sorted(front.items()):
        if latency_ms <= budget_ms:
            click.echo(f"{latency_ms:.2f} ms, {params:,.0f} parameters: {values}")


if __name__ == "__main__":
    main()
