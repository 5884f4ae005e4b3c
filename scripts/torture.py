"""Runs the harnesses that try to break ftax_model, each in a process of its own, and prints what they counted.

A harness is a file ``scripts/torture_NAME.py`` that opens with one sentence, and holds

    FULL, QUICK : keyword arguments of ``run`` at full size, and at a size that takes a minute at most
    run(folder, *, seed, tell, **sizes) -> rows

``folder`` is an empty one to work in, ``tell`` takes a line for people. Each row is a dictionary: ``what`` was tried,
``runs`` how often, ``bad`` how often a promise was broken (0 where all is well), and whatever else was counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
BESIDE = "torture_"

OWN = ("what", "runs", "bad")
"""What every row has."""

Row = dict[str, Any]


def names() -> list[str]:
    """The harnesses that lie beside this file."""
    return sorted(file.stem.removeprefix(BESIDE) for file in HERE.glob(f"{BESIDE}*.py"))


def load(name: str) -> ModuleType:
    """The module of a harness."""
    spec = importlib.util.spec_from_file_location(f"{BESIDE}{name}", HERE / f"{BESIDE}{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # processes that a harness forks look there
    spec.loader.exec_module(module)
    return module


def here(name: str, *, quick: bool, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """What a harness counts, run in this process: its ``rows``, and the ``seconds`` it took."""
    module, begin = load(name), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = module.run(Path(folder), seed=seed, tell=tell, **(module.QUICK if quick else module.FULL))
    return {"harness": name, "seconds": round(time.monotonic() - begin, 1), "rows": rows}


def apart(name: str, *, quick: bool, seed: int) -> dict[str, Any]:
    """As `here`, in a process of its own; one that ends badly is a row that says so."""
    command = [sys.executable, __file__, "--here", name, "--seed", str(seed), *(["--quick"] if quick else [])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, 1) or not ended.stdout.strip():
        return {"harness": name, "seconds": 0.0, "rows": [row("the harness itself", 1, 1, exit_code=ended.returncode)]}
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def row(what: str, runs: int, bad: int, **more: Any) -> Row:
    """A row as harnesses give them."""
    return {"what": what, "runs": runs, "bad": bad, **more}


def broken(found: Iterable[dict[str, Any]]) -> int:
    """How often a promise was broken."""
    return sum(one["bad"] for own in found for one in own["rows"])


def show(found: dict[str, Any], console: Console) -> None:
    """The rows of a harness as a table."""
    table = Table(title=f"{found['harness']}, {found['seconds']:,.0f} s", title_justify="left")
    for name in (*OWN, "counted"):
        table.add_column(name, justify="right" if name in OWN[1:] else "left", overflow="fold")
    for one in found["rows"]:
        more = [f"{name} {_shown(value)}" for name, value in one.items() if name not in OWN]
        table.add_row(*(_shown(one[name]) for name in OWN), ", ".join(more))
    console.print(table)


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where no promise was broken, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, a minute a harness at most")
    parser.add_argument("--json", action="store_true", help="the counts by harness as JSON")
    parser.add_argument("--only", action="append", choices=names(), help="a harness; can be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random")
    parser.add_argument("--here", choices=names(), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    console = Console(stderr=True)
    if asked.here:
        own = here(asked.here, quick=asked.quick, seed=asked.seed, tell=lambda line: console.print(line, style="dim"))
        print(json.dumps(own))
        return int(broken([own]) > 0)
    found = []
    for name in asked.only or names():
        found.append(apart(name, quick=asked.quick, seed=asked.seed))
        if not asked.json:
            show(found[-1], Console())
    if asked.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"broken promises: {broken(found)}")
    return int(broken(found) > 0)


if __name__ == "__main__":
    sys.exit(main())
