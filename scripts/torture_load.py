"""Grows a dataset, and prints what each step from file to report takes a row: seconds, and memory at its peak."""

from __future__ import annotations

import gzip
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

MOST_MIB = 20 * 1024
"""Memory that no step may take."""

GROWTH = 2.0
"""By how much the cost of a row may grow from one size to the next."""

LEAST_S = 1.0
"""Seconds below which growth says nothing: every process takes some to begin."""

LONGEST_S = 3600
"""Seconds that a step may take; one that would take longer, by the size before, is not begun."""


def generate(path: Path, rows: int, *, seed: int = 0) -> Path:
    """A dataset like `x86-epyc-2core`, line by line: its rows again and again, with noise, other batch sizes and, every
    fourth time, other models.
    """
    from ftax_model import dataset
    from ftax_model.workload import Workload

    with gzip.open(dataset.find("x86-epyc-2core")) as lines:
        source = [one for one in map(json.loads, lines) if one["status"] == "ok"]
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            again, place = divmod(number, len(source))
            one, larger = source[place], (1, 2, 3, 4)[again % 4]
            workload = {**one["workload"], "batch_size": one["workload"]["batch_size"] * larger}
            workload["hyperparameters"] = _wider(workload, again // 4)
            repeat = one["repeat"] + _REPEATS * again
            cell = f"{Workload.from_record(workload).key}/{one['framework']}/{one['device']}/{one['threads']}/{repeat}"
            times = larger * draw.lognormvariate(0.0, 0.03)
            found = {
                **one, "key": cell, "workload": workload, "repeat": repeat, "latency_s": one["latency_s"] * times,
                "samples": [value * times for value in one["samples"]],
                "features": {
                    name: value if name in _OF_MODEL else value * larger for name, value in one["features"].items()
                },
            }  # fmt: skip
            file.write(json.dumps(found, separators=(",", ":")) + "\n")
    return path


def _wider(workload: dict[str, Any], steps: int) -> dict[str, Any]:
    own = workload["hyperparameters"]
    name = next((name for name in _WIDTHS if name in own), "hidden_size")
    if name == "hidden_size" and workload["architecture"] not in _FREE:
        return dict(own)
    return {**own, name: own[name] + 8 * steps}


_REPEATS = 10  # more than any cell has
_WIDTHS = ("intermediate_size", "num_classes")
_FREE = ("mlp", "lstm", "layer-norm")  # whose width nothing else has to divide
_OF_MODEL = ("params", "depth", "n_ops", "weight_bytes")


def _frame(folder: Path) -> Any:
    from ftax_model import load_dataset

    return load_dataset(folder / "rows.parquet")


def _read(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from ftax_model import dataset

        return dataset.read(folder / name)

    return read


def _pack(folder: Path) -> Any:
    from ftax_model import dataset

    return dataset.pack(folder / "rows.jsonl", folder / "rows.parquet")


def _frame_of_lines(folder: Path) -> Any:
    from ftax_model import load_dataset

    return load_dataset(folder / "rows.jsonl")


def _part(folder: Path) -> Any:
    from ftax_model import load_dataset

    where = {"framework": "eager", "architecture": "bert"}
    return load_dataset(folder / "rows.parquet", columns=["model", "latency_s"], where=where)


def _overview(folder: Path) -> Any:
    from ftax_model import dataset

    return dataset.overview(folder / "rows.jsonl")


def _fit_law(folder: Path) -> Any:
    from ftax_model import LatencyPredictor

    return LatencyPredictor(operators=False).fit(_frame(folder))


def _fit(folder: Path) -> Any:
    from ftax_model import LatencyPredictor

    return LatencyPredictor().fit(_frame(folder), known=LatencyPredictor.load("cpu"))


def _evaluate(folder: Path) -> Any:
    from ftax_model.modeling.judging import evaluation

    return evaluation.report(_frame(folder), splits=["model"])


def _command(*words: str) -> Callable[[Path], Any]:
    def run(folder: Path) -> None:
        from ftax_model.cli import main

        code = main([word.replace("FOLDER", str(folder)) for word in words])
        if code:
            raise SystemExit(code)

    return run


STEPS: dict[str, Callable[[Path], Any]] = {
    "read": _read("rows.jsonl"),
    "read .gz": _read("rows.jsonl.gz"),
    "pack": _pack,
    "read .parquet": _read("rows.parquet"),
    "frame": _frame_of_lines,
    "frame .parquet": _frame,
    "two columns of some rows": _part,
    "overview": _overview,
    "fit law": _fit_law,
    "fit": _fit,
    "evaluate": _evaluate,
    "report": _command("report", "FOLDER/rows.parquet", "--out", "FOLDER/rows.html"),
}

FULL = {"sizes": (10_000, 100_000, 1_000_000), "steps": tuple(STEPS)}
QUICK = {"sizes": (1_000, 10_000), "steps": tuple(STEPS)[:8]}


def run(
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
    sizes: Sequence[int],
    steps: Sequence[str] = tuple(STEPS),
) -> list[dict[str, Any]]:
    """A row for each step and number of rows, each in a process of its own."""
    found: list[dict[str, Any]] = []
    for size in sizes:
        begin = time.monotonic()
        path = generate(folder / "rows.jsonl", size, seed=seed)
        with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed)
        tell(f"{size:,} rows, {path.stat().st_size >> 20:,} MiB, made in {time.monotonic() - begin:.0f} s")
        for step in steps:
            before = next((one for one in reversed(found) if one["what"] == step), None)
            found.append(_row(folder, step, size, before))
            tell(str(found[-1]))
    return found


def _row(folder: Path, step: str, size: int, before: dict[str, Any] | None) -> dict[str, Any]:
    row = {"what": step, "runs": size, "bad": 0}
    if before is not None:
        expected = before.get("seconds", LONGEST_S) * size / before["runs"]
        if expected > LONGEST_S:
            return {**row, "bad": 1, "why": f"would take {expected / 3600:.1f} h"}
    done = subprocess.run(
        [sys.executable, __file__, step, str(folder)],
        capture_output=True,
        text=True,
        timeout=4 * LONGEST_S,
        check=False,
    )
    if done.returncode:
        return {**row, "bad": 1, "why": " ".join(done.stderr.split())[-200:] or f"exit code {done.returncode}"}
    own = json.loads(done.stdout.splitlines()[-1])
    row |= {**own, "us_a_row": own["cpu_s"] / size * 1e6}
    why = [f"more than {MOST_MIB:,} MiB"] if own["peak_mib"] > MOST_MIB else []
    if before is not None and before.get("cpu_s", 0.0) > LEAST_S and row["us_a_row"] > GROWTH * before["us_a_row"]:
        why.append(f"a row costs {row['us_a_row'] / before['us_a_row']:.1f} times as much")
    return {**row, "bad": len(why), "why": ", ".join(why)}


def _here(step: str, folder: Path) -> dict[str, float]:
    """What a step takes in this process and its children, imports left out: seconds, those of processors, which other
    work on the machine changes less, and memory at its peak, that of one child added.
    """
    import ftax_model.modeling.predictor  # noqa: F401

    begin, before = time.perf_counter(), _processors_s()
    kept = STEPS[step](folder)
    seconds, own = time.perf_counter() - begin, _processors_s() - before
    del kept
    return {"seconds": round(seconds, 3), "cpu_s": round(own, 3), "peak_mib": round(sum(_peaks()) / 1024)}


def _processors_s() -> float:
    """Seconds of processors that this process and its ended children have taken."""
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _peaks() -> Iterator[int]:
    """Memory at its peak in KiB: of this process, and of its largest child."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    yield next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    yield resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(_here(sys.argv[1], Path(sys.argv[2]))))
