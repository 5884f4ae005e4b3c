"""``ftax doctor``: whether this machine can be trusted to measure."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import click

from ftax_model.cli import EXIT_NO, _options


@click.command("doctor", short_help="Can this machine be trusted to measure, and what to do about it.")
@_options.kind_of_device
@click.option("--quick", is_flag=True, help="Leave out the sentinel cells, which take about half a minute.")
@_options.as_json
def command(device: str, quick: bool, as_json: bool) -> int:
    """Look for whatever spoils measurements: governor, turbo, load, threads, limits, clocks, GPU neighbours.

        ftax doctor --quick

    Three sentinel cells are measured in three fresh processes each: how far they differ is what this machine's numbers
    are worth. Exits with 1 where a finding is bad.
    """
    from ftax_model.cli import _print
    from ftax_model.collection import doctor

    findings = doctor.examine(device=device, repeatability=None if quick else lambda: _repeatability(device))
    if as_json:
        _print.as_json([dataclasses.asdict(finding) for finding in findings])
    else:
        rows = [{"": f.level, "what": f.name, "seen": f.saw, "do": f.do} for f in findings]
        _print.table(rows, dict.fromkeys(rows[0]))
    if doctor.worst(findings) == "bad":
        return EXIT_NO
    return 0


def _repeatability(device: str) -> float:
    """Relative difference between fresh processes that measured the same sentinel cell."""
    from ftax_model.cli import _show
    from ftax_model.collection.plan import load_plan
    from ftax_model.dataset import load_dataset
    from ftax_model.modeling.judging.evaluation import floor

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sentinel.jsonl"
        _show.collect(load_plan("sentinel"), out, device=device)
        return float(floor(load_dataset(out)))
