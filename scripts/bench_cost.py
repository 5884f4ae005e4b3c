#!/usr/bin/env python
"""How fast `LatencyCost` is: a query, a million rows, a cold start, a derivation; beside a trace from scratch.

Candidates have the default sizes of an architecture, halved and doubled at random. What is cold is timed in new
processes: a derivation with an empty cache; a cost that was saved, from the start of the interpreter to the end of it,
once with no machine code either. All else is of one process. Medians over repeats, after one that is not counted.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ftax_model import architectures
from ftax_model.errors import FtaxError, InputError
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.modeling.rows import row
from ftax_model.nas import LatencyCost
from ftax_model.tracing import polynomials, trace_workload
from ftax_model.workload import Workload

GPU, VISION = {"framework": "eager", "device": "nvidia-l40s"}, "mobilenet-v2"
FACTORS = (0.5, 1, 2)
"""Times its default that a hyperparameter is."""
POOL = 256
"""Candidates that are different."""
FUNCTIONS = 8
"""Those that are told of in a profile."""

FRESH = """
import json, sys, time
asked = json.loads(sys.argv[1])
candidate = {name: tuple(value) if isinstance(value, list) else value for name, value in asked["candidate"].items()}
from ftax_model.nas import LatencyCost
if asked["saved"]:
    cost = LatencyCost.load(asked["saved"])
else:
    from ftax_model.modeling.predictor import LatencyPredictor
    cost = LatencyCost(LatencyPredictor.load(asked["predictor"]), **asked["platform"])
begin = time.perf_counter()
if asked["rows"]:
    import numpy
    said = cost({name: numpy.resize(values, asked["rows"]) for name, values in asked["table"].items()})
elif asked["saved"]:
    said = cost(candidate)
else:
    said = cost.derive(candidate)
told = {"spent_s": time.perf_counter() - begin, "torch": "torch" in sys.modules}
with open("/proc/self/status") as status:
    told |= {"memory_mb": int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")}
print(json.dumps(told))
"""
"""What a new process does; its own peak memory is in /proc, where that of its parent is not counted."""

Columns = Mapping[str, list[int]]


def drawn(architecture: str, names: list[str] | None = None) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Candidates that an architecture takes, one by one and as columns; they differ in some hyperparameters, or all."""
    like = architectures.complete(Workload(architecture, batch_size=8))
    _, usual = polynomials.sizes_of(like)
    rng, points = np.random.default_rng(0), [usual]
    for _ in range(20 * POOL):
        factors = {name: rng.choice(FACTORS) for name in names or usual}
        point = {name: max(int(value * factors.get(name, 1)), min(value, 2)) for name, value in usual.items()}
        try:
            polynomials.workload_of(like, point)
        except FtaxError:
            continue
        points.append(point)
        if len(points) == POOL:
            break
    return [settings(polynomials.workload_of(like, point)) for point in points], {
        name: [point[name] for point in points] for name in usual
    }


def settings(workload: Workload) -> dict[str, Any]:
    """A candidate as a search writes it: numbers, and lists of them."""
    own = {name: value for name, value in workload.settings.items() if not isinstance(value, str | float | bool)}
    return {**own, "batch_size": workload.batch_size, "input_size": workload.input_size}


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def median(call: Callable[[], object], repeats: int) -> float:
    """Seconds of a call."""
    call()
    return statistics.median(seconds(call) for _ in range(repeats))


def columns(table: Columns, rows: int) -> dict[str, np.ndarray]:
    """So many rows of candidates."""
    return {name: np.resize(values, rows) for name, values in table.items()}


def asking(cost: LatencyCost, candidates: list[dict[str, Any]], queries: int) -> Callable[[], None]:
    """A function that asks so often, each time for another candidate than the last."""

    def ask() -> None:
        for one in itertools.islice(itertools.cycle(candidates), queries):
            cost(one)

    return ask


def fresh(asked: Mapping[str, Any], **places: Path) -> dict[str, Any]:
    """What a new process tells of itself, and the seconds of it."""
    environment = {**os.environ, **{name: str(path) for name, path in places.items()}}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    given = json.dumps({"saved": "", "rows": 0, **asked})
    begin = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", FRESH, given], env=environment, stdout=subprocess.PIPE, check=True)
    return {"process_s": time.perf_counter() - begin, **json.loads(run.stdout)}


def tracing(predictor: LatencyPredictor, cost: LatencyCost, architecture: str) -> Callable[[dict[str, Any]], float]:
    """A function that answers the same query from scratch: build on the meta device, trace, columns, predict."""

    def ask(candidate: dict[str, Any]) -> float:
        own = {**candidate}
        sizes = {name: own.pop(name) for name in ("batch_size", "input_size")}
        workload = architectures.complete(Workload(architecture, own, **sizes))
        ready = row(trace_workload.__wrapped__(workload), dtype="float32")
        table = pd.DataFrame([{**ready, "batch_size": workload.batch_size, **vars(cost.platform)}])
        return float(predictor.predict_frame(table, crossovers=False)["latency_s"].iloc[0])

    return ask


def cold(asked: Mapping[str, Any], cost: LatencyCost, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of new processes."""
    saved = folder / "cost.npz"
    cost.save(saved)
    derived = [fresh(asked, XDG_CACHE_HOME=folder / f"empty-{turn}") for turn in range(options.repeats)]
    asked = {**asked, "saved": str(saved)}
    compiled = fresh(asked, NUMBA_CACHE_DIR=folder / "code")
    loaded = [fresh(asked) for _ in range(options.repeats + 1)][1:]
    cold_s = statistics.median(one["process_s"] for one in loaded)
    return {
        "cold_s": cold_s,
        "cold_imports_torch": any(one["torch"] for one in loaded),
        "derive_s": statistics.median(one["spent_s"] for one in derived),
        "compile_s": compiled["process_s"] - cold_s,
        "million_memory_mb": fresh({**asked, "rows": options.rows})["memory_mb"],
    }


def of_tables(cost: LatencyCost, table: Columns, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of many candidates at once."""
    every = columns(table, options.rows)
    some = [columns(table, max(options.rows // part, 1)) for part in (100, 10)]
    row_us = {len(own["batch_size"]): 1e6 * median(partial(cost, own), options.repeats) for own in (*some, every)}
    return {
        "million_s": median(lambda: cost(every), options.repeats),
        "million_interval_s": median(lambda: cost.interval(every), options.repeats),
        "row_us": {str(rows): spent / rows for rows, spent in row_us.items()},
    }


def queries(cost: LatencyCost, architecture: str, candidates: list[dict[str, Any]], options: argparse.Namespace) -> Any:
    """Figures of candidates one by one, warm and traced from scratch, by turns."""
    ask, trace = asking(cost, candidates, options.queries), tracing(options.predictor, cost, architecture)
    said, traced = cost(candidates[0]), trace(candidates[0])
    if abs(said / traced - 1) > 1e-9:
        raise InputError("a cost is what the predictor says", f"{said} s, not {traced} s", "report it, please")
    ask()
    turns = [(seconds(ask) / options.queries, seconds(partial(trace, one))) for one in candidates[: options.repeats]]
    query_s, trace_s = (statistics.median(own) for own in zip(*turns, strict=True))
    return {
        "query_us": 1e6 * query_s,
        "trace_s": trace_s,
        "times_faster_than_tracing": trace_s / query_s,
        "profile_us": profile(ask, 1e6 * query_s),
    }


def profile(ask: Callable[[], None], query_us: float) -> dict[str, float]:
    """Microseconds of a query by function; machine code counts to the function that calls it.

    A profiler makes each call dearer: these are its shares of what a query takes without it.
    """
    profiler = cProfile.Profile()
    with profiler:
        ask()
    spent = {
        f"{Path(file).name}:{name}" if line else name: own
        for (file, line, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    }
    most = sorted(spent, key=lambda name: -spent[name])[:FUNCTIONS]
    shares = {name: query_us * spent[name] / sum(spent.values()) for name in most}
    return {**shares, "all others": query_us - sum(shares.values())}


def others(options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Microseconds of a query of a GPU, and of another architecture, whose batches alone differ."""
    on_gpu = LatencyCost(LatencyPredictor.load(PUBLISHED), architecture=options.architecture, **GPU)
    vision = LatencyCost(options.predictor, architecture=VISION, **options.platform)
    for cost in (on_gpu, vision):
        candidates, _ = drawn(str(cost.architecture), ["batch_size"])
        ask = asking(cost, candidates, options.queries)
        yield f"{cost.architecture}, {cost.platform}", 1e6 * median(ask, options.repeats) / options.queries


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    cost = LatencyCost(options.predictor, architecture=options.architecture, **options.platform)
    candidates, table = drawn(options.architecture)
    cost(columns(table, POOL))  # derives what is not kept
    asked = {"predictor": SHIPPED, "platform": {**options.platform, "architecture": options.architecture}}
    asked |= {"candidate": candidates[0], "table": table}
    with tempfile.TemporaryDirectory() as folder:
        of_processes = cold(asked, cost, Path(folder), options)
    return {
        "architecture": options.architecture,
        "platform": str(cost.platform),
        "rows": options.rows,
        **queries(cost, options.architecture, candidates, options),
        **of_tables(cost, table, options),
        **of_processes,
        "other_queries_us": dict(others(options)),
    }


def shown(found: Mapping[str, Any]) -> Iterator[str]:
    """As lines."""
    rows = f"{found['rows']:,} candidates"
    yield f"{found['architecture']}, {found['platform']}"
    yield f"{'one query, warm':46s} {found['query_us']:12.1f} us"
    for name, spent in found["other_queries_us"].items():
        yield f"{'  ' + name:46s} {spent:12.1f} us"
    yield f"{'the same from scratch, by a trace':46s} {1e3 * found['trace_s']:12.1f} ms"
    yield f"{'times that a query is faster':46s} {found['times_faster_than_tracing']:12,.0f}"
    yield f"{rows:46s} {found['million_s']:12.2f} s"
    yield f"{rows + ', with intervals':46s} {found['million_interval_s']:12.2f} s"
    for count, spent in found["row_us"].items():
        yield f"{f'  a row of {int(count):,}':46s} {spent:12.2f} us"
    yield f"{'  most memory of a process that asks for them':46s} {found['million_memory_mb']:12.0f} MB"
    yield f"{'cold start, first answer included':46s} {found['cold_s']:12.2f} s"
    yield f"{'  torch is imported':46s} {'yes' if found['cold_imports_torch'] else 'no':>12s}"
    yield f"{'  longer the first time, to compile':46s} {found['compile_s']:12.2f} s"
    yield f"{'derivation of the polynomials, once':46s} {found['derive_s']:12.2f} s"
    yield "where a query's time goes, by its profile:"
    for name, spent in found["profile_us"].items():
        yield f"{'  ' + name:46s} {spent:12.1f} us"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="bert", help="of the candidates (bert)")
    parser.add_argument("--framework", default="eager", help="of the platform (eager)")
    parser.add_argument("--device", default="amd-epyc-genoa-2core", help="of it, a CPU (amd-epyc-genoa-2core)")
    parser.add_argument("--threads", type=int, default=1, help="of it (1)")
    parser.add_argument("--repeats", type=int, default=5, help="of each figure (5)")
    parser.add_argument("--queries", type=int, default=1000, help="in one repeat (1,000)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the largest table (1,000,000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args(arguments)
    options.platform = {name: getattr(options, name) for name in ("framework", "device", "threads")}
    try:
        if min(options.repeats, options.queries, options.rows) < 1:
            raise InputError("there is one repeat, query and row at least", "fewer", "ask for more")
        options.predictor = LatencyPredictor.load(SHIPPED)
        found = measure(options)
    except FtaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found) if options.json else "\n".join(shown(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
