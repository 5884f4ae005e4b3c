#!/usr/bin/env python3
"""Search with pymoo: most parameters and least latency by NSGA-II, on candidates as rows of whole numbers.

    .venv/bin/python scripts/search_with_pymoo.py --device amd-epyc-genoa-2core --budget-ms 20

Candidates are judged by a predictor, none is run; the budget is held against the upper quantile of the latency. Needs
pymoo (pip install -e .[search]).
"""

from __future__ import annotations

import sys
from typing import Any

import click
import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

from ftax_model.errors import FtaxError
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.nas import LatencyCost, SearchSpace


class WithinBudget(Problem):  # type: ignore[misc]
    """Rows of indices; minus the parameters and the latency are minimised, what is over the budget is not allowed."""

    def __init__(self, space: SearchSpace, cost: LatencyCost, budget_ms: float) -> None:
        low, high = space.bounds
        super().__init__(n_var=len(low), n_obj=2, n_ieq_constr=1, xl=low, xu=high, vtype=int)
        self.space, self.cost, self.budget_ms = space, cost, budget_ms

    def _evaluate(self, x: np.ndarray, out: dict[str, Any]) -> None:
        candidates = self.space.table(x)
        latency_ms = 1e3 * self.cost(candidates)
        params = self.cost.features(candidates)["params"]
        out["F"], out["G"] = np.column_stack([-params, latency_ms]), latency_ms - self.budget_ms


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
@click.option("--generations", type=click.IntRange(1), default=5, show_default=True, help="Each of 20 candidates.")
def main(name: str, model: str | None, device: str | None, budget_ms: float, generations: int) -> None:
    """Print the candidates that keep the budget and of which none is better in both."""
    try:
        space = SearchSpace.load(name)
        cost = LatencyCost(LatencyPredictor.load(model), framework="eager", device=device, threads=1, quantile=0.9)
    except FtaxError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    moves = {
        "crossover": SBX(vtype=float, repair=RoundingRepair()),
        "mutation": PM(vtype=float, repair=RoundingRepair()),
    }
    algorithm = NSGA2(pop_size=20, sampling=space.sample_indices(20), **moves)
    found = minimize(WithinBudget(space, cost, budget_ms), algorithm, ("n_gen", generations), seed=0)
    if found.X is None:
        raise click.ClickException(f"no candidate keeps {budget_ms} ms; allow more")
    for row, (params, latency_ms) in sorted(zip(found.X, found.F, strict=True), key=lambda one: one[1][1]):
        click.echo(f"{latency_ms:.2f} ms, {-params:,.0f} parameters: {space.decode([row])[0]}")


if __name__ == "__main__":
    main()
