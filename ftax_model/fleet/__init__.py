"""Fleet: one plan, measured on all machines of a cluster, into one dataset."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from ftax_model import outside
from ftax_model.collection.plan import Plan, Shard, check_shard, load_plan
from ftax_model.collection.runner import Progress, check_budget
from ftax_model.collection.worker_pool import Interrupts
from ftax_model.dataset import Writer, beside, operators_file
from ftax_model.errors import InputError
from ftax_model.fleet.driver import Fleet, FleetSummary, Machine
from ftax_model.fleet.engine import Ray
from ftax_model.measurement import Profile

__all__ = ["FleetSummary", "Machine", "collect", "sentinels_file"]


def collect(
    plan: Plan | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    on: str,
    device: str = "cpu",
    seed: int = 0,
    shard: Shard | None = None,
    budget_s: float | None = None,
    operators: bool = False,
    same_environment: bool = False,
    on_progress: Progress | None = None,
) -> FleetSummary:
    """Measure on the machines of a Ray cluster the cells of a plan that their device lacks in the dataset ``out``.

    ``on`` is the address of the cluster, ``ray://HEAD:PORT``; each node that offers the resource ``ftax`` is a machine,
    and measures one cell at a time. Machines with the same device share its cells. On each some cells, its sentinels,
    are measured first, every half hour and at the end, into `sentinels_file`: a machine that is not like the others of
    its kind counts as another device, whose name ends in ``-b``, ``-c``, and so on.

    Records are written here, each as soon as it is measured. What a lost machine was at goes to another one; a cell
    that two machines are lost with is left for another run. Run again, it goes on where it stopped. With
    ``same_environment`` machines whose versions differ are refused.

    The others are as in `ftax_model.collection.runner.collect`. Raises `FtaxError` where plan, output or cluster are no
    good, no machine comes, or environments differ that should not.
    """
    check_budget(budget_s)
    if shard is not None:
        check_shard(shard)
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    for workload in {workload.curve for grid in plan.grids for workload in grid.workloads}:
        if outside.is_one(workload):
            cure = "measure it on each machine: ftax collect --shard"
            raise InputError("a fleet measures architectures that every machine has", workload.architecture, cure)
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(out))
        sentinels = stack.enter_context(Writer(sentinels_file(out)))
        profiles = stack.enter_context(Writer(operators_file(out), Profile)) if operators else None
        engine = Ray(on, device)
        stack.callback(engine.close)
        interrupts = stack.enter_context(Interrupts())  # behind Ray, which minds signals too
        fleet = Fleet(
            plan,
            engine,
            writer,
            sentinels,
            profiles,
            seed=seed,
            shard=shard,
            budget_s=budget_s,
            same_environment=same_environment,
            tell=on_progress,
        )
        return fleet.run(interrupts)


def sentinels_file(path: str | os.PathLike[str]) -> Path:
    """Where the sentinels of a dataset are written that a fleet collects, by the path of its file.

    >>> sentinels_file("some/fleet.jsonl").name
    'fleet.sentinels.jsonl'
    """
    return beside(path, ".sentinels")
