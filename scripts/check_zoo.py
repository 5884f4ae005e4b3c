#!/usr/bin/env python3
"""Every type of model in the installed transformers, from its default configuration: does it trace, and are MACs right?

    .venv/bin/python scripts/check_zoo.py [TYPE ...] [--jobs 2] [--limit 60]

Models are built without weights and traced with the inputs that their class takes. Printed are how many trace, how
long that takes, MACs that differ from those of torch's own counter, operators of unknown cost, and each failure.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click
from joblib import Parallel, delayed

from ftax_model.cli import _print
from ftax_model.errors import FtaxError, one_line

Row = dict[str, Any]


def types() -> list[str]:
    """All types of models that have a base class."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(MODEL_MAPPING_NAMES)


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise `TimeoutError` in what takes longer."""

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"it takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def look(kind: str, limit: int) -> Row:
    """What becomes of one type: traced, not built or not traced, and why; seconds, ratio of MACs, unknown operators."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    warnings.simplefilter("ignore")
    import transformers

    from ftax_model.tracing import features, huggingface

    transformers.logging.set_verbosity_error()
    row: Row = {"type": kind, "status": "not built", "why": "", "seconds": None, "ratio": None, "unknown": ""}
    try:
        config = transformers.AutoConfig.for_model(kind)
        huggingface.build(config)
    except Exception as error:  # transformers raises anything
        return row | {"why": one_line(error)}
    try:
        start = time.perf_counter()
        with within(limit):
            model, inputs, found = huggingface.called(config)
    except Exception as error:
        return row | {"status": "not traced", "why": one_line(error), "raw": not isinstance(error, FtaxError)}
    on_meta = next(iter(model.parameters())).is_meta
    row |= {"status": "traced", "way": "meta" if on_meta else "real", "unknown": features.unknown(found)}
    row |= {"seconds": time.perf_counter() - start}
    theirs = _counted(model, inputs) if on_meta else None
    return row | {"ratio": found.features()["macs"] / theirs if theirs else None}


def _counted(model: Any, inputs: dict[str, Any]) -> float | None:
    """MACs by torch's counter; ``None`` where it does not run, or counts none."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(**{name: one.to("meta") if isinstance(one, torch.Tensor) else one for name, one in inputs.items()})
    except Exception:
        return None
    return float(counter.get_total_flops() / 2) or None


@click.command()
@click.argument("names", nargs=-1)
@click.option("--jobs", default=-1, help="Processes; -1 for one a core.")
@click.option("--limit", default=60, show_default=True, help="Seconds that one type may take.")
def main(names: tuple[str, ...], jobs: int, limit: int) -> None:
    """Trace every type of model in transformers, or those named."""
    rows: list[Row] = Parallel(n_jobs=jobs)(delayed(look)(kind, limit) for kind in names or types())
    for row in rows:
        if row["status"] != "traced":
            click.echo(f"{row['type']}: {row['status']}: {row['why']}")
    counts = Counter(row["status"] for row in rows)
    took = sorted(row["seconds"] for row in rows if row["seconds"] is not None)
    compared = [row for row in rows if row["ratio"] is not None]
    off = [row for row in compared if abs(row["ratio"] - 1) > 0.01]
    for row in off:
        click.echo(f"{row['type']}: {row['ratio']:.4f} times the MACs of torch's counter")
    for row in rows:
        if row["unknown"]:
            click.echo(f"{row['type']}: of unknown cost: {row['unknown']}")
    built = len(rows) - counts["not built"]
    raw = sum(bool(row.get("raw")) for row in rows)
    real = sum(row.get("way") == "real" for row in rows)
    said = f"{counts['traced']} traced, {real} of them by a call with random weights, {raw} with raw errors"
    click.echo(f"{len(rows)} types, {built} built, {said}")
    click.echo(f"{len(off)} of {len(compared)} off by over 1 % against torch's counter")
    if took:
        click.echo(
            f"a trace takes {_print.seconds(took[len(took) // 2])} in the median, {_print.seconds(took[-1])} at most"
        )


if __name__ == "__main__":
    main()
