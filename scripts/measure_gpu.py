"""Measure a GPU that is to be had for a short while: call after call, most valuable first, into one folder.

    .venv/bin/python scripts/measure_gpu.py OUT --budget 9m

Each call goes on where the last one stopped: what the machine is and whether it can be trusted (``doctor.json``), what
runs on it (``smoke.jsonl``), then the plans `calibrate-gpu` and `reference-gpu` (``gpu.jsonl``). Every cell is on disk
as soon as it is measured, so that nothing is lost where a call is cut off. ``--device cpu`` rehearses it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click

from ftax_model import files
from ftax_model.cli._options import duration

PLANS = (("smoke", "smoke.jsonl", 0.2), ("calibrate-gpu", "gpu.jsonl", 0.3), ("reference-gpu", "gpu.jsonl", 1.0))
"""Plans in order, the file of each, and the share of the time left that it may take."""

LEAST_S = 5.0
"""Seconds below which a plan is left for the next call."""


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--budget", default="9m", show_default=True, help="Longest time of this call.")
@click.option("--device", default="cuda", show_default=True, help="cuda, or another one to rehearse.")
@click.option("--plan", "plans", multiple=True, help="Only these of the plans, or others; can be repeated.")
def main(out: Path, budget: str, device: str, plans: tuple[str, ...]) -> None:
    """Measure into the folder OUT until the budget ends; run again, it goes on."""
    end = time.monotonic() + (duration(budget) or 0.0)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "doctor.json").exists():
        found = _ftax("doctor", "--device", device, "--json", capture=True)
        if found.returncode == 2:
            click.echo(found.stderr.strip(), err=True)
            sys.exit(2)
        files.write(out / "doctor.json", found.stdout.encode())
    known = {name: (name, file, share) for name, file, share in PLANS}
    asked = [known.get(name, (name, "gpu.jsonl", 1.0)) for name in plans] or PLANS
    for name, file, share in asked:
        left = end - time.monotonic()
        if left < LEAST_S:
            click.echo(f"{name}: left for the next call")
            continue
        options = ("--out", str(out / file), "--device", device, "--budget", f"{max(int(left * share), 1)}s")
        click.echo(f"{name}: up to {int(left * share)} s")
        done = _ftax("collect", name, *options)
        if done.returncode == 2:  # of what was asked; the next plan would end the same way
            sys.exit(2)


def _ftax(*words: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ftax_model", *words], check=False, text=True, capture_output=capture)


if __name__ == "__main__":
    main()
