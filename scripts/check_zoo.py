#!/usr/bin/env python3
"""Every type of model in the installed transformers, from its default configuration: does it trace, and are MACs right?

    .venv/bin/python scripts/check_zoo.py [TYPE ...] [--jobs 2] [--limit 300] [--peers]

Models are built without weights and traced with the inputs that their class takes. Printed are how many trace, how
long that takes, MACs that differ from those of torch's own counter, operators of unknown cost, and each failure: of
those that do not trace, whether a model of two layers runs at all, really, with any of these inputs.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import multiprocessing
import os
import resource
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
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


class TooLong(BaseException):
    """What takes longer than it may; no `Exception`, so that nobody on the way catches it."""


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise `TooLong` in what takes longer."""

    def stop(number: int, frame: Any) -> None:
        raise TooLong(f"it takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _quiet() -> None:
    """Keep what models and counters warn of to itself."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def look(kind: str, limit: int) -> Row:
    """What becomes of one type: traced, not built or not traced, and why; seconds, ratio of MACs, unknown operators."""
    _quiet()
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))  # an error instead of a killed process
    import transformers

    from ftax_model.tracing import features, huggingface

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
    except TooLong as error:
        return row | {"status": "not traced", "why": str(error)}
    except Exception as error:
        raw = not isinstance(error, FtaxError)
        return row | {"status": "not traced", "why": one_line(error), "raw": raw, "runs": _runs(kind, limit)}
    row |= {"status": "traced", "way": found.way, "unknown": features.unknown(found)}
    row |= {"seconds": time.perf_counter() - start}
    theirs = None if found.way else _counted(model, inputs)
    return row | {"ratio": found.features()["macs"] / theirs if theirs else None}


def _runs(kind: str, limit: int) -> bool:
    """Whether a model of this type with two layers runs on the CPU, with any of the inputs that are made."""
    import torch
    import transformers

    from ftax_model.tracing import huggingface

    config = transformers.AutoConfig.for_model(kind)
    _shrink(config)
    try:
        with within(limit), torch.no_grad():
            shown = huggingface.build(config)
            if sum(one.numel() for one in shown.parameters()) > MOST_REAL:
                return False
            model = transformers.AutoModel.from_config(config).eval()
            for inputs in huggingface.candidates(shown):
                with contextlib.suppress(Exception):
                    model(**inputs)
                    return True
    except (Exception, TooLong):  # transformers raises anything
        return False
    return False


def _shrink(config: Any) -> None:
    """Leave a configuration no more than two layers of each kind."""
    for name, value in vars(config).items():
        if hasattr(value, "to_dict"):
            _shrink(value)
        elif "layers" in name and isinstance(value, int) and value > 2:
            setattr(config, name, 2)


MOST_MEMORY = 11 << 30  # bytes that one process may take

MOST_REAL = 1_000_000_000  # parameters of a model that is really called


def _counted(model: Any, inputs: dict[str, Any]) -> float | None:
    """MACs by torch's counter; ``None`` where it does not run, or counts none."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    try:
        model = copy.deepcopy(model).to("meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(**{name: one.to("meta") if isinstance(one, torch.Tensor) else one for name, one in inputs.items()})
    except Exception:
        return None
    return float(counter.get_total_flops() / 2) or None


def compare(kind: str, limit: int) -> Row:
    """What each counter says of one type, and the seconds it takes; empty where there is nothing to compare with."""
    _quiet()
    import transformers

    from ftax_model.tracing import huggingface

    try:
        shown = huggingface.build(transformers.AutoConfig.for_model(kind))
        if sum(one.numel() for one in shown.parameters()) > MOST_COMPARED:
            return {}
        with within(limit):
            shown, inputs, found = huggingface.called(transformers.AutoConfig.for_model(kind))
            model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind)).eval()
    except (Exception, TooLong):  # transformers raises anything
        return {}
    expected = None if found.way else _counted(shown, inputs)
    if expected is None:
        return {}
    row: Row = {"type": kind, "expected": expected}
    for name, count in PEERS.items():
        found_by = _apart(count, shown if name == "ftax" else model, inputs, limit)
        if found_by is not None:
            row[name] = (found_by[0] / expected, found_by[1])
    return row


def _apart(
    count: Callable[[Any, dict[str, Any]], float], model: Any, inputs: dict[str, Any], limit: int
) -> tuple[float, float] | None:
    """What a counter says and the seconds it takes, in a process of its own: some leave torch changed behind them."""
    here, there = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            counted = float(count(model, inputs))
            there.send((counted, time.perf_counter() - start))
        there.close()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(limit) else None  # type: ignore[no-any-return]
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


MOST_COMPARED = 150_000_000  # parameters of a model that all counters look at


def _in_order(model: Any, inputs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """A model that takes its inputs in order and puts out tensors, as some counters want it."""
    import torch

    tensors = {name: one for name, one in inputs.items() if isinstance(one, torch.Tensor)}
    others = {name: one for name, one in inputs.items() if name not in tensors}

    class InOrder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            found = self.model(**dict(zip(tensors, values, strict=True)), **others)
            return tuple(one for one in found.values() if isinstance(one, torch.Tensor))

    return InOrder(), tuple(tensors.values())


def _ftax(model: Any, inputs: dict[str, Any]) -> float:
    from ftax_model.tracing import trace

    return float(trace(model, inputs).features()["macs"])


def _torch(model: Any, inputs: dict[str, Any]) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs)
    return float(counter.get_total_flops() / 2)


def _fvcore(model: Any, inputs: dict[str, Any]) -> float:
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(*_in_order(model, inputs))
    found.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return float(found.total())


def _calflops(model: Any, inputs: dict[str, Any]) -> float:
    from calflops import calculate_flops

    told = {"print_results": False, "print_detailed": False, "output_as_string": False}
    return float(calculate_flops(model, kwargs=dict(inputs), **told)[1])


def _ptflops(model: Any, inputs: dict[str, Any]) -> float:
    from ptflops import get_model_complexity_info

    told = {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
    return float(get_model_complexity_info(model, (1,), input_constructor=lambda _: inputs, **told)[0])


def _thop(model: Any, inputs: dict[str, Any]) -> float:
    import thop

    own, values = _in_order(model, inputs)
    return float(thop.profile(own, inputs=values, verbose=False)[0])


def _torchinfo(model: Any, inputs: dict[str, Any]) -> float:
    import torchinfo

    return float(torchinfo.summary(model, input_data=inputs, verbose=0).total_mult_adds)


PEERS: dict[str, Callable[[Any, dict[str, Any]], float]] = {
    "ftax": _ftax,
    "torch, on the CPU": _torch,
    "fvcore": _fvcore,
    "calflops": _calflops,
    "ptflops": _ptflops,
    "thop": _thop,
    "torchinfo": _torchinfo,
}


def _compared(rows: list[Row]) -> None:
    """Print for each counter how many models it counts, how far off it is, and how long it takes."""
    rows = [row for row in rows if row]
    click.echo(f"{len(rows)} types that torch's counter counts on the meta device")
    shown = []
    for name in PEERS:
        own = [row[name] for row in rows if name in row]
        off = sorted(abs(ratio - 1) for ratio, _ in own)
        times = sorted(seconds for _, seconds in own)
        shown.append(
            {
                "counter": name,
                "counts": f"{len(own)}",
                "within 1 %": f"{sum(one <= 0.01 for one in off)}",
                "off by over 10 %": f"{sum(one > 0.1 for one in off)}",
                "median off": off[len(off) // 2] if off else None,
                "worst": off[-1] if off else None,
                "median time": times[len(times) // 2] if times else None,
            }
        )
    formats = {"median off": _print.percent, "worst": _print.percent, "median time": _print.seconds}
    _print.table(shown, {name: formats.get(name) for name in shown[0]})


@click.command()
@click.argument("names", nargs=-1)
@click.option("--jobs", default=-1, help="Processes; -1 for one a core.")
@click.option("--limit", default=300, show_default=True, help="Seconds that one type may take.")
@click.option("--peers", is_flag=True, help="Compare with other counters instead.")
def main(names: tuple[str, ...], jobs: int, limit: int, peers: bool) -> None:
    """Trace every type of model in transformers, or those named."""
    if peers:
        _compared(Parallel(n_jobs=jobs)(delayed(compare)(kind, limit) for kind in names or types()))
        return
    rows: list[Row] = Parallel(n_jobs=jobs)(delayed(look)(kind, limit) for kind in names or types())
    for row in rows:
        if row["status"] != "traced":
            runs = ", though it runs" if row.get("runs") else ""
            click.echo(f"{row['type']}: {row['status']}{runs}: {row['why']}")
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
    drawn = sum(bool(row.get("way")) for row in rows)
    running = counts["traced"] + sum(bool(row.get("runs")) for row in rows)
    click.echo(
        f"{len(rows)} types, {built} built; {running} of these run with inputs that are made from configurations"
    )
    click.echo(f"{counts['traced']} traced, {drawn} of them on random weights; {raw} with raw errors")
    click.echo(f"{len(off)} of {len(compared)} off by over 1 % against torch's counter")
    if took:
        click.echo(
            f"a trace takes {_print.seconds(took[len(took) // 2])} in the median, {_print.seconds(took[-1])} at most"
        )


if __name__ == "__main__":
    main()
