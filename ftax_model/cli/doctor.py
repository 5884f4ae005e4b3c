"""``ftax doctor``: whether this machine can be trusted to measure, and whether it is what it was."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftax_model.cli import EXIT_NO, _complete, _options

if TYPE_CHECKING:
    from ftax_model.collection.doctor import Finding
    from ftax_model.collection.plan import Plan
    from ftax_model.measurement import Measurement


@click.command("doctor", short_help="Can this machine be trusted to measure, and what to do about it.")
@_options.kind_of_device
@click.option("--quick", is_flag=True, help="Leave out the sentinel cells, which take about half a minute.")
@click.option(
    "--baseline",
    metavar="FILE",
    shell_complete=_complete.datasets,
    help="Dataset of an earlier day to compare with; one that is not there yet is made.",
)
@click.option("--add", is_flag=True, help="Add what is measured now to the baseline, as one more sitting.")
@_options.as_json
def command(device: str, quick: bool, baseline: str | None, add: bool, as_json: bool) -> int:
    """Look for whatever spoils measurements: governor, turbo, load, threads, limits, clocks, GPU neighbours.

        ftax doctor --quick

    Sentinel cells are measured in three fresh processes each: how far they differ is what this machine's numbers are
    worth. With a baseline they are compared with those of an earlier day, to tell drift of the machine or of versions
    from noise:

        ftax doctor --baseline machine.jsonl

    Exits with 1 where a finding is bad.
    """
    from ftax_model.cli import _print
    from ftax_model.collection import doctor
    from ftax_model.errors import InputError

    if quick and baseline:
        raise InputError("a baseline is compared with sentinel cells", "--quick as well", "leave one of them out")
    if add and not baseline:
        raise InputError("--add adds to a baseline", "none", "name its file: --baseline FILE")
    findings = doctor.examine(device=device)
    if not quick:
        findings += _measured(device, baseline, add=add)
    if as_json:
        _print.as_json([dataclasses.asdict(finding) for finding in findings])
    else:
        rows = [{"": f.level, "what": f.name, "seen": f.saw, "do": f.do} for f in findings]
        _print.table(rows, dict.fromkeys(rows[0]))
    if doctor.worst(findings) == "bad":
        return EXIT_NO
    return 0


def _measured(device: str, baseline: str | None, *, add: bool) -> list[Finding]:
    """What sentinel cells say that are measured now: how well they repeat, and whether they are what they were."""
    from ftax_model import dataset
    from ftax_model.collection import doctor, drift
    from ftax_model.collection.plan import load_plan
    from ftax_model.device import detect
    from ftax_model.modeling.judging.evaluation import floor

    new = baseline is not None and baseline.endswith(".jsonl") and not Path(baseline).exists()
    before = [] if baseline is None or new else dataset.read(dataset.find(baseline))
    plan = drift.sentinels(before, detect(device).name) if before else load_plan(drift.PLAN)
    if baseline is None:
        now = _sentinels(plan, device)
        return [doctor.floor(float(floor(dataset.frame(now))))]
    with dataset.Writer(baseline) if new or add else nullcontext() as writer:  # refused now, or not at all
        now = _sentinels(plan, device)
        found = [doctor.floor(float(floor(dataset.frame(now))))]
        found += [doctor.Finding("drift", "good", f"{baseline} is the baseline from now on")] if new else []
        found += [] if new else drift.findings(drift.shifts(before, now))
        if writer is not None:
            for one in drift.numbered(before, now):
                writer.write(one)
    return found


def _sentinels(plan: Plan, device: str) -> list[Measurement]:
    from ftax_model.cli import _show
    from ftax_model.dataset import read

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sentinel.jsonl"
        _show.collect(plan, out, device=device)
        return read(out)
