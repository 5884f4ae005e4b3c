#!/usr/bin/env python3
"""Search BERT-like encoders with Optuna: as many parameters as possible within a latency budget on a platform.

    .venv/bin/python scripts/search_architecture.py --device amd-epyc-genoa-2core --budget-ms 5

Every candidate is judged by a predictor in milliseconds of its own, none is ever run. The budget is held against the
upper quantile of its latency, so that the winner keeps it with that probability.
"""

from __future__ import annotations

import time

import click
import optuna

from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload

TOKENS = 32


def candidate(trial: optuna.Trial) -> Workload:
    """One encoder of the search space."""
    heads = trial.suggest_int("num_heads", 1, 8)
    settings = {
        "num_layers": trial.suggest_int("num_layers", 1, 12),
        "num_heads": heads,
        "hidden_size": heads * trial.suggest_categorical("head_size", [16, 32, 64]),
        "intermediate_size": trial.suggest_int("intermediate_size", 128, 2048, step=128),
        "vocab_size": 1024,
    }
    return Workload("bert", settings, input_size=TOKENS)


@click.command()
@click.option("--model", help="A predictor that ships, or a file; else this machine's own, or the one that ships.")
@click.option("--framework", default="eager", show_default=True)
@click.option("--device", help="One that the predictor knows; not needed for this machine's own (ftax calibrate).")
@click.option("--batch-size", default=1, show_default=True)
@click.option("--budget-ms", default=5.0, show_default=True, help="Latency that the winner may have.")
@click.option("--quantile", default=0.9, show_default=True, help="Probability with which it keeps it.")
@click.option("--trials", default=100, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    model: str | None,
    framework: str,
    device: str | None,
    batch_size: int,
    budget_ms: float,
    quantile: float,
    trials: int,
    seed: int,
) -> None:
    """Print the best encoder, its predicted latency, and how fast the search was."""
    cost = LatencyCost(
        LatencyPredictor.load(model),
        framework=framework,
        device=device,
        threads=1,
        batch_size=batch_size,
        quantile=quantile,
    )

    def objective(trial: optuna.Trial) -> float:
        workload = candidate(trial)
        seconds = cost(workload)
        trial.set_user_attr("latency_ms", 1e3 * seconds)
        trial.set_constraint("over budget, ms", 1e3 * seconds - budget_ms)
        return trace_workload(workload).features()["params"]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    begin = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    spent = time.perf_counter() - begin
    kept = [trial for trial in study.trials if trial.user_attrs["latency_ms"] <= budget_ms]
    if not kept:
        raise click.ClickException(f"no candidate keeps {budget_ms} ms; allow more")
    best = max(kept, key=lambda trial: trial.value)
    click.echo(f"{cost.platform}, batch {batch_size}, {TOKENS} tokens: {len(kept)} of {trials} keep {budget_ms} ms")
    click.echo(f"best: {best.value:,.0f} parameters, {best.params}")
    click.echo(f"{100 * quantile:.0f} % quantile {best.user_attrs['latency_ms']:.2f} ms")
    click.echo(f"{1e3 * spent / trials:.0f} ms a candidate")


if __name__ == "__main__":
    main()
