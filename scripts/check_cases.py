#!/usr/bin/env python3
"""Run small cases, each a folder with a ``run.py`` that exits with 1 where the product says something wrong.

.venv/bin/python scripts/check_cases.py DIR
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

LIMIT_S = 300


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Run every case in FOLDER and print what each says last."""
    scripts = sorted(folder.glob("*/run.py"))
    wrong = 0
    for script in scripts:
        try:
            done = subprocess.run(
                [sys.executable, script], capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
            code, said = done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            code, said = 1, [f"not done after {LIMIT_S} s"]
        wrong += code != 0
        click.echo(f"{'ok ' if code == 0 else 'BAD'} {script.parent.name}: {''.join(said)[:200]}")
    click.echo(f"{len(scripts) - wrong} of {len(scripts)} right")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
