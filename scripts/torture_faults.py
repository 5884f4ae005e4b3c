"""Kills collections and commands, fills their disks and turns their clocks, and counts what was lost: nothing may be.

A collection is of ``toy`` cells on the ``fake`` framework, in processes forked from this one; its workers are processes
of their own too. After each fault every cell that was told to be done is in the file once, nothing written before has
changed, the file can be read, another run completes the plan, and no process is left. After each fault of a command
every file of its is the old one or a whole new one.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import gzip
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Never

import psutil

from ftax_model import cli, dataset, files
from ftax_model.collection import worker, worker_pool
from ftax_model.collection.frameworks.fake import Fake
from ftax_model.collection.plan import Grid, Plan
from ftax_model.collection.runner import Summary, collect
from ftax_model.collection.timing import Protocol
from ftax_model.dataset import DatasetWarning, operators_file
from ftax_model.device import detect
from ftax_model.errors import FtaxError
from ftax_model.measurement import Measurement, Profile, Record
from ftax_model.modeling.platforms import mine
from ftax_model.tracing import cache, sources
from ftax_model.workload import grid

FULL = {"kills": 60, "stops": 30, "cold": 10, "disks": 30, "others": 30, "clocks": 30, "bytes_apart": 1, "writes": 10}
QUICK = {"kills": 6, "stops": 3, "cold": 1, "disks": 3, "others": 2, "clocks": 2, "bytes_apart": 61, "writes": 2}

LAYERS, SIZES = (2, 3, 4), (1, 2, 4, 8)
SHORT = Protocol(min_blocks=3, max_blocks=8, block_s=0.001, warmup_s=0.001, half_width=0.5)

REFUSED, ABORTED = 2, 70
"""Exit codes of a process: an `FtaxError`, which is one line for the user, and anything else that was raised."""

NOBODY = 65534
"""The user that may write nothing."""

Tell = Callable[[str], None]
Row = dict[str, Any]


def run(
    folder: Path,
    *,
    seed: int,
    tell: Tell,
    kills: int,
    stops: int,
    cold: int,
    disks: int,
    others: int,
    clocks: int,
    bytes_apart: int,
    writes: int,
) -> list[Row]:
    """Rows: ``runs``, ``bad``, and of collections how many were ``stopped`` early, and cells then ``resumed``."""
    draw, rows = random.Random(seed), []
    folder.chmod(0o755)

    def collections(what: str, runs: int, one: Callable[[Trial], None], **how: Any) -> None:
        count = collections_of(folder, draw, what, runs, one, **how)
        rows.append(count.row())
        tell(f"{what}: {count.runs} runs, {count.bad} bad{count.why()}")

    with alone(), set_apart(folder):
        own_s, worker_s = (lasts(folder, draw, isolate=isolate) for isolate in (False, True))
        for operators in (False, True):
            also = ", operators too" if operators else ""
            how: dict[str, Any] = {"operators": operators}
            collections(f"SIGKILL, in one process{also}", kills, killed(own_s), **how)
            collections(f"SIGKILL, with workers{also}", kills // 2, killed(worker_s), isolate=True, **how)
            collections(f"SIGTERM, in one process{also}", stops, terminated(own_s), **how)
            collections(f"SIGTERM, with workers{also}", stops, terminated(worker_s), isolate=True, **how)
            collections(f"SIGKILL within a write{also}", disks, cut_within_a_line, **how)
            collections(f"file size limit{also}", disks, limited, **how)
            with full_disk(folder) as disk:
                what = "full disk (tmpfs)" if disk else "full disk (no right to mount one)"
                collections(f"{what}{also}", disks if disk else 0, full(disk), at=disk, **how)
        collections("SIGKILL, workers started cold", cold, killed(3 * worker_s), isolate=True, fork=False)
        collections("two collections at once", others, two_at_once)
        collections("three at once, one is killed", others, three_at_once(own_s))
        for name, meddle in MEDDLING.items():
            collections(f"file {name} meanwhile", max(others // 3, 1), meddled(meddle))
        collections("read-only file", max(others // 5, 1), forbidden(0o444, 0o777))
        collections("read-only folder", max(others // 5, 1), forbidden(None, 0o555))
        collections("wall clock jumps", clocks, wall_clock, operators=True)
        collections("timer jumps", clocks, timer)
        rows.append(every_cut(folder, draw, apart=bytes_apart))
        tell("files cut at every byte: done")
        rows += commands(folder, draw, writes, tell)
    return rows


def nothing() -> None:
    """Does nothing."""


# What is counted


@dataclass
class Count:
    """Of one kind of fault."""

    what: str
    runs: int = 0
    stopped: int = 0
    resumed: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Runs with a broken promise."""
        return len(self.broken)

    def row(self) -> Row:
        """As harnesses give it."""
        return {
            "what": self.what,
            "runs": self.runs,
            "bad": self.bad,
            "stopped": self.stopped,
            "resumed": self.resumed,
        }

    def why(self) -> str:
        """The first promise that was broken, behind a colon."""
        return f": {self.broken[0]}" if self.broken else ""


class Broken(Exception):  # noqa: N818 - of a promise
    """A promise was broken; the text says how."""


def holds(good: object, otherwise: str) -> None:
    """Raises `Broken` where something is not so."""
    if not good:
        raise Broken(otherwise)


# A collection and what must be true of it afterwards


@dataclass
class Trial:
    """A collection in processes that are forked from this one, and the file it writes to."""

    out: Path
    plan: Plan
    draw: random.Random
    isolate: bool = False
    operators: bool = False
    fork: bool = True
    told: tuple[int, int] = (0, 0)
    """Cells that were told to be done: measured, profiled."""

    def begin(self, *, prepare: Callable[[], object] = nothing, act: Callable[[int], object] | None = None) -> Child:
        """Start it; ``prepare`` is called before in its process, ``act`` with the count before each cell."""

        def work(child: Child) -> int:
            prepare()
            if self.fork:
                fork_servers()
            phase, last = 0, -1

            def progress(done: int, planned: int, now: str) -> None:
                nonlocal phase, last
                phase, last = phase + (done < last), done
                os.write(child.writable, f"{phase} {done}\n".encode())
                if act and not phase:
                    act(done)

            self.collect(isolate=self.isolate, on_progress=progress)
            return 0

        return Child(work)

    def collect(self, **how: Any) -> Summary:
        """Collect the plan."""
        return collect(self.plan, self.out, operators=self.operators, **how)

    def end(self, child: Child, *, wanted: Sequence[int]) -> None:
        """Wait for a process to end, which must be in one of some ways, and leave none behind."""
        code, said = child.wait()
        for phase, done in (map(int, line.split()) for line in said.splitlines()):
            self.told = (max(self.told[0], done), self.told[1]) if phase == 0 else (self.told[0], done)
        holds(code in wanted, f"it ended with {code}: {child.log()}")
        left = leftovers()
        holds(not left, f"processes are left: {left}")

    def files(self) -> list[tuple[Path, type[Record]]]:
        """The files it writes, and what they hold."""
        return [(self.out, Measurement), *([(operators_file(self.out), Profile)] if self.operators else [])]

    def check(self, before: Sequence[bytes] = (b"", b"")) -> list[bytes]:
        """Whole lines of each file: those of before first, and all that was told; raises `Broken` otherwise."""
        found = []
        for (file, kind), told, earlier in zip(self.files(), self.told, before, strict=False):
            content = file.read_bytes() if file.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            holds(whole.startswith(earlier), f"{file.name}: what was written before has changed")
            count = sum(bool(line.strip()) for line in whole.splitlines())
            holds(count >= told, f"{file.name}: {told} cells were told, {count} are there")
            if file.exists():
                with quiet():
                    holds(len(dataset.read(file, kind)) == count, f"{file.name}: other records than lines")
            found.append(whole)
        return found

    def complete(self, before: Sequence[bytes], *, failures: bool = False) -> int:
        """Run again; returns the cells that were measured, raises `Broken` where plan and files are not one."""
        with quiet():
            summary = self.collect(isolate=False)
        holds(summary.remaining == 0 and (failures or not summary.failed), f"not completed: {summary}")
        wanted = sorted(cell.key for cell in self.plan.cells(detect("cpu")))
        for (file, kind), earlier in zip(self.files(), before, strict=False):
            holds(file.read_bytes().startswith(earlier), f"{file.name}: what was written before has changed")
            keys = sorted(json.loads(line)["key"] for line in file.read_bytes().splitlines() if line.strip())
            holds(keys == wanted, f"{file.name}: {len(keys)} lines, {len(set(keys))} cells, {len(wanted)} planned")
            holds(len(dataset.read(file, kind)) == len(wanted), f"{file.name} cannot be read")
        holds(sorted(self.out.parent.iterdir()) == sorted(file for file, _ in self.files()), "other files are left")
        return summary.measured + (summary.operators.measured if summary.operators else 0)


def collections_of(
    folder: Path, draw: random.Random, what: str, runs: int, one: Callable[[Trial], None], **how: Any
) -> Count:
    """What was counted of so many collections with one kind of fault."""
    count = Count(what)
    for _ in range(runs):
        with trial(folder, draw, count, **how) as own:
            one(own)
    return count


@contextlib.contextmanager
def trial(folder: Path, draw: random.Random, count: Count, *, at: Path | None = None, **how: Any) -> Iterator[Trial]:
    """A trial in a new folder; what is true of every one is checked when it has ended, and counted."""
    place = (at or folder) / "trial"
    place.mkdir()
    own = Trial(place / "out.jsonl", plan(), draw, **how)
    try:
        count.runs += 1
        yield own
        before = own.check()
        resumed = own.complete(before)
        count.stopped += resumed > 0
        count.resumed += resumed
    except (Broken, FtaxError, OSError) as error:
        count.broken.append(f"{type(error).__name__}: {error}")
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


def plan() -> Plan:
    """Twelve cells, three sweeps."""
    toys = grid("toy", num_layers=list(LAYERS), width=16, batch_size=list(SIZES), input_size=1)
    return Plan("faults", (Grid(tuple(toys), ("fake",), (1,), 1),), protocol=SHORT)


def lasts(folder: Path, draw: random.Random, *, isolate: bool) -> float:
    """Seconds of an undisturbed collection, the median of three."""
    seconds, count = [], Count("undisturbed")
    for _ in range(3):
        with trial(folder, draw, count, isolate=isolate) as own:
            begin = time.monotonic()
            own.end(own.begin(), wanted=[0])
            seconds.append(time.monotonic() - begin)
    holds(not count.bad, count.why())
    return statistics.median(seconds)


# Faults of a collection


def killed(seconds: float) -> Callable[[Trial], None]:
    """Kill it at a random moment, half of the time once more while it goes on."""

    def one(own: Trial) -> None:
        before: Sequence[bytes] = (b"", b"")
        for _ in range(own.draw.choice((1, 2))):
            child = own.begin()
            child.send(signal.SIGKILL, own.draw.uniform(0, seconds))
            own.end(child, wanted=[0, -signal.SIGKILL])
            before = own.check(before)

    return one


def terminated(seconds: float) -> Callable[[Trial], None]:
    """Ask it to end at a random moment: it ends well, or has not begun to listen."""

    def one(own: Trial) -> None:
        child = own.begin()
        child.send(signal.SIGTERM, own.draw.uniform(0, seconds))
        own.end(child, wanted=[0, -signal.SIGTERM])

    return one


def cut_within_a_line(own: Trial) -> None:
    """Kill it when a random part of a random line is written."""
    left, share = own.draw.randrange(12 * (1 + own.operators)), own.draw.random()
    append = dataset.Writer._append

    def cut(self: dataset.Writer, line: bytes) -> None:
        nonlocal left
        if left == 0:
            os.write(self._file.fileno(), line[: int(share * len(line))])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        append(self, line)

    def prepare() -> None:
        dataset.Writer._append = cut  # type: ignore[method-assign]

    own.end(own.begin(prepare=prepare), wanted=[-signal.SIGKILL])


def limited(own: Trial) -> None:
    """Let the file grow to a random size, and no further."""
    own.end(own.begin(prepare=limit(own.draw, 20_000, deadly=False)), wanted=[0, REFUSED])
    whole = all(file.read_bytes()[-1:] in (b"", b"\n") for file, _ in own.files() if file.exists())
    holds(whole, "a part of a line is left")


def limit(draw: random.Random, most: int, *, deadly: bool) -> Callable[[], None]:
    """Sets the largest size of a file; reaching it is an error of the write, or the end of the process."""
    size = draw.randrange(most)

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return prepare


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of 128 kB; ``None`` where nobody may mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)], check=False, capture_output=True
    )
    try:
        yield None if mounted.returncode else disk
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def full(disk: Path | None) -> Callable[[Trial], None]:
    """Leave a random number of pages free, and make room afterwards."""

    def one(own: Trial) -> None:
        assert disk is not None
        ballast = disk / "ballast"
        ballast.write_bytes(b"0" * 4096 * own.draw.randrange(20, 30))
        try:
            own.end(own.begin(), wanted=[0, REFUSED])
            whole = all(file.read_bytes()[-1:] in (b"", b"\n") for file, _ in own.files() if file.exists())
            holds(whole, "a part of a line is left")
        finally:
            ballast.unlink()

    return one


def two_at_once(own: Trial) -> None:
    """One collects; the other one is told so, or comes late and finds all done."""
    codes = []
    for child in [own.begin(), own.begin()]:
        code, _ = child.wait()
        codes.append(code)
        holds(code == 0 or "another one at work" in child.log(), f"it ended with {code}: {child.log()}")
    holds(0 in codes, f"none collected: {codes}")


def three_at_once(seconds: float) -> Callable[[Trial], None]:
    """Whoever is killed, the others do not mind."""

    def one(own: Trial) -> None:
        children = [own.begin() for _ in range(3)]
        own.draw.choice(children).send(signal.SIGKILL, own.draw.uniform(0, seconds))
        for child in children:
            code, _ = child.wait()
            good = code in (0, -signal.SIGKILL) or "another one at work" in child.log()
            holds(good, f"it ended with {code}: {child.log()}")

    return one


def _rename(file: Path) -> None:
    file.rename(file.with_name("elsewhere.jsonl"))


def _remove(file: Path) -> None:
    file.unlink()


def _replace(file: Path) -> None:
    """As editors do."""
    edited = file.with_name("edited.jsonl")
    edited.write_bytes(file.read_bytes())
    edited.replace(file)


def _empty(file: Path) -> None:
    os.truncate(file, 0)


def _lengthen(file: Path) -> None:
    """By a line that says nothing."""
    with file.open("ab") as more:
        more.write(b"\n")


MEDDLING: dict[str, Callable[[Path], None]] = {
    "renamed": _rename,
    "removed": _remove,
    "replaced": _replace,
    "emptied": _empty,
    "lengthened": _lengthen,
}
"""What others may do to the file of a collection at work."""


def meddled(meddle: Callable[[Path], None]) -> Callable[[Trial], None]:
    """Somebody else lays hands on the file: the collection ends, and leaves it as that one left it."""

    def one(own: Trial) -> None:
        at, kept = own.draw.randrange(1, 12), own.out.parent.parent / "kept.jsonl"

        def act(done: int) -> None:
            if done == at:
                shutil.copy(own.out, kept)
                meddle(own.out)

        own.end(own.begin(act=act), wanted=[REFUSED])
        own.told = (0, 0)
        content = own.out.read_bytes() if own.out.exists() else b""
        holds(kept.read_bytes().startswith(content.rstrip()), "it wrote on")
        elsewhere = own.out.with_name("elsewhere.jsonl")
        if elsewhere.exists():
            holds(elsewhere.read_bytes() == kept.read_bytes(), "it wrote on elsewhere")
            elsewhere.unlink()
        kept.unlink()

    return one


def without_rights() -> None:
    """Be a user who may write nothing that is not for all; root may write all."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def forbidden(file: int | None, folder: int) -> Callable[[Trial], None]:
    """A user without rights collects: one line says so, and nothing is touched."""

    def one(own: Trial) -> None:
        content = b""
        if file is not None:
            own.end(own.begin(act=lambda done: done == 5 and os._exit(0)), wanted=[0])
            content = own.out.read_bytes()
            own.out.chmod(file)
        own.out.parent.chmod(folder)

        child = own.begin(prepare=without_rights)
        code, _ = child.wait()
        holds(code == REFUSED and "Permission denied" in child.log(), f"it ended with {code}: {child.log()}")
        holds((own.out.read_bytes() if own.out.exists() else b"") == content, "the file has changed")

    return one


def wall_clock(own: Trial) -> None:
    """The time of day is another one whenever it is asked for, by years."""
    draw = random.Random(own.draw.random())

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Jumping:
            return cls.fromtimestamp(draw.uniform(0, 4e9), tz)

    def prepare() -> None:
        worker.datetime = Jumping  # type: ignore[attr-defined]
        time.time = lambda: draw.uniform(0, 4e9)

    own.end(own.begin(prepare=prepare), wanted=[0])


def timer(own: Trial) -> None:
    """The clock that times calls jumps, back and forth: a cell is right, or doubts itself, or failed by its clock."""
    draw = random.Random(own.draw.random())

    def clock(self: Fake) -> float:
        if draw.random() < 0.01:
            self._now += draw.choice((-1, 1)) * 10 ** draw.uniform(-3, 6)
        return self._now

    def prepare() -> None:
        Fake.clock = clock  # type: ignore[method-assign]

    own.end(own.begin(prepare=prepare), wanted=[0])
    for cell in dataset.read(own.out):
        if cell.status == "ok":
            assert cell.latency_s is not None
            right = abs(cell.latency_s / Fake.seconds(cell.features) - 1) < 0.05
            holds(right or cell.warnings(), f"{cell.latency_s} s and no warning: {cell.samples}")
        else:
            holds("the clock" in cell.reason, cell.reason)


def every_cut(folder: Path, draw: random.Random, *, apart: int) -> Row:
    """Cut both files of a collection at every byte of their last records, or let zeros follow; the rest goes on."""
    count = Count("cut at every byte of the last records, or zeros from there")
    with trial(folder, draw, Count("undisturbed"), operators=True) as own, quick_disk() as place:
        own.collect(isolate=False)
        for made, kind in own.files():
            content = b"".join(made.read_bytes().splitlines(keepends=True)[-3:])
            file = place / made.name
            file.write_bytes(content)
            records = dataset.read(file, kind)
            ends = list(itertools.accumulate(map(len, content.splitlines(keepends=True))))
            for end in range(ends[-3], len(content), apart):
                for zeros in {0, draw.randrange(len(content) - end) if end % 5 == 0 else 0}:
                    count.runs += 1
                    file.write_bytes(content[:end] + b"\0" * zeros)
                    whole = sum(one <= end for one in ends) + (not zeros and end + 1 in ends)  # without its end alone
                    with quiet():
                        if len(dataset.read(file, kind)) != whole:
                            count.broken.append(f"read at byte {end}")
                        with dataset.Writer(file, kind) as writer:
                            if len(writer.done) != whole:
                                count.broken.append(f"opened at byte {end}")
                            for record in records[whole:]:
                                writer.write(record)
                    count.resumed += len(records) - whole
                    if file.read_bytes() != content:
                        count.broken.append(f"another file at byte {end}")
    return count.row()


@contextlib.contextmanager
def quick_disk() -> Iterator[Path]:
    """A folder in memory, where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


# Commands and the files they write


def commands(folder: Path, draw: random.Random, runs: int, tell: Tell) -> list[Row]:
    """Rows of what writes files: killed at each thing it does to one and within writes, cut short, forbidden."""
    place = folder / "commands"
    place.mkdir()
    rows = []
    found = writers(place)
    for name, (paths, write) in found.items():
        count = Count(f"writes: {name}")
        spoilt = Spoilt(count, place, paths, write)
        spoilt.at_every_step()
        for _ in range(runs):
            spoilt.within_a_write(draw)
        spoilt.forbidden()
        rows.append({"what": count.what, "runs": count.runs, "bad": count.bad, "stopped": count.stopped})
        tell(f"{count.what}: {count.runs} runs, {count.bad} bad{count.why()}")
    rows.append(both_kept(*found["ftax measure --save"], runs))
    rows.append(at_once(place / "shared.json", draw, runs))
    return rows


def both_kept(paths: Sequence[Path], write: Callable[[], object], runs: int) -> Row:
    """Two commands add to what is kept of this machine: one waits for the other."""
    count = Count("writes: ftax measure --save, two at once")
    for _ in range(runs):
        count.runs += 1
        before = len(dataset.read(paths[0]))
        for child in [Child(write_and_end(write)) for _ in range(2)]:
            code, _ = child.wait()
            count.broken += [] if code == 0 else [f"it ended with {code}: {child.log()}"]
        after = len(dataset.read(paths[0]))
        count.broken += [] if after == before + 2 else [f"{before} and 2 are {after}"]
    return {"what": count.what, "runs": count.runs, "bad": count.bad, "stopped": 0}


def at_once(path: Path, draw: random.Random, runs: int) -> Row:
    """Several write one file over and over until they are killed; who reads it finds one of theirs, whole."""
    count = Count("writes: four at once, all killed")
    contents = [bytes([digit]) * draw.randrange(1, 500_000) for digit in b"1234"]
    files.write(path, contents[0])
    for _ in range(runs):
        count.runs += 1
        children = [Child(partial(write_on, path, content)) for content in contents]
        for child in children:
            count.broken += [] if path.read_bytes() in contents else ["a reader found a part"]
            child.send(signal.SIGKILL, draw.uniform(0, 0.05))
        for child in children:
            code, _ = child.wait()
            count.stopped += code == -signal.SIGKILL
            count.broken += [] if code == -signal.SIGKILL else [f"it ended with {code}: {child.log()}"]
        count.broken += [] if path.read_bytes() in contents else ["a part is left in its place"]
        files.write(path, contents[0])
        parts = [one.name for one in path.parent.glob(f"{path.name}.*.part")]
        count.broken += [f"left behind: {parts}"] if parts else []
    return {"what": count.what, "runs": count.runs, "bad": count.bad, "stopped": count.stopped}


def write_on(path: Path, content: bytes, child: Child) -> int:
    """Until it is killed."""
    while True:
        files.write(path, content)


def writers(place: Path) -> dict[str, tuple[list[Path], Callable[[], object]]]:
    """What writes files, and which, made so that only writing is left to do."""
    from ftax_model.modeling.predictor import LatencyPredictor
    from ftax_model.nas import LatencyCost, SearchSpace
    from ftax_model.report import curves

    os.environ["XDG_DATA_HOME"], os.environ["XDG_CACHE_HOME"] = str(place / "data"), str(place / "cache")
    here = detect("cpu")
    toy, learnt = place / "toy.jsonl", place / "learnt.json.gz"
    collect(plan(), toy, isolate=False)
    rows = dataset.load_dataset(toy)
    predictor = LatencyPredictor(jobs=1).fit(rows)
    predictor.save(learnt)
    cost = LatencyCost(predictor, architecture="toy", batch_size=1)
    source = sources.find(grid("toy", batch_size=1)[0])
    traces = source.traced([1], [2, 4, 8, 16, 32, 64])
    table, imported = place / "table.csv", place / "imported.jsonl"
    text = "".join(f"net,{number + 1},0.001\n" for number in range(200))
    table.write_text(f"name,size,seconds\n{text}", encoding="utf-8")
    columns = ("model=name", "batch_size=size", "latency_s=seconds:s")
    constants = ("device=rtx-3090", "framework=eager", "dtype=float32")
    asked = [f"--map={one}" for one in columns] + [f"--set={one}" for one in constants]
    toys = ["--architecture", "toy", "--width", "16"]
    measured = ["measure", *toys, "--framework", "fake", "--save"]
    kept, own = mine.measurements_file(here.name), mine.predictor_file(here.name)

    def calibrate() -> None:
        LatencyPredictor.calibrate = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
        command("calibrate", str(learnt), "--from", str(toy))

    def command(*words: str) -> None:
        fork_servers()
        with contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(words)
        if code:
            raise DiedError(code)

    def once(record: cache.Record) -> None:
        record.keep({str(size): trace.to_record() for size, trace in traces.items()})

    record = cache.Record(cache.TRACES, "faults")
    found: dict[str, tuple[list[Path], Callable[[], object]]] = {
        "a predictor": ([place / "own.json.gz"], lambda: predictor.save(place / "own.json.gz")),
        "ftax calibrate": ([own], calibrate),
        "ftax measure --save": ([kept], lambda: command(*measured)),
        "ftax import": ([imported], lambda: command("import", str(table), *asked, "--out", str(imported))),
        "ftax trace": ([place / "t.json"], lambda: command("trace", *toys, "--out", str(place / "t.json"))),
        "traces, compressed": ([place / "t.json.gz"], lambda: sources.write(place / "t.json.gz", source, traces)),
        "a kept trace": ([record._path], lambda: once(record)),
        "a cost": ([place / "cost.npz"], lambda: cost.save(place / "cost.npz")),
        "a search space": ([place / "s.yaml"], lambda: SearchSpace.load("nasbench201").save(place / "s.yaml")),
        "a picture": ([place / "p.png"], lambda: curves.figure(rows, place / "p.png", largest=1)),
    }
    curves.figure(rows, place / "p.png", largest=1)  # here, for what it imports
    for name, (_, write) in found.items():
        child = Child(write_and_end(write))
        code, _ = child.wait()
        holds(code == 0, f"{name} ends with {code}: {child.log()}")
    shutil.copy(toy, imported)
    return found


class DiedError(Exception):
    """A command ended with a code that is not 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def write_and_end(write: Callable[[], object], prepare: Callable[[], object] = nothing) -> Callable[[Child], int]:
    """Writes, with something before, and has an exit code."""

    def work(child: Child) -> int:
        prepare()
        try:
            write()
        except DiedError as error:
            return error.code
        return 0

    return work


@dataclass
class Spoilt:
    """Spoils what writes files, and sees to it that each is the old one or a whole new one."""

    count: Count
    place: Path
    paths: list[Path]
    write: Callable[[], object]

    def at_every_step(self) -> None:
        """Kill it before each thing that it does to a file, one after the other."""
        for step in range(1, 100):
            if self._one(lambda step=step: kill_at(step, self.place), [0, -signal.SIGKILL]) == 0:
                return

    def within_a_write(self, draw: random.Random) -> None:
        """Kill it, or refuse, at a random byte of what it writes."""
        size = max(path.stat().st_size for path in self.paths)
        for deadly in (True, False):
            self._one(limit(draw, size + size // 8, deadly=deadly), [0, -signal.SIGXFSZ, REFUSED])

    def forbidden(self) -> None:
        """Write as a user without rights."""
        modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in {path.parent for path in self.paths}}
        for folder in modes:
            folder.chmod(0o555)
        self._one(without_rights, [0, REFUSED])
        for folder, mode in modes.items():
            folder.chmod(mode)

    def _one(self, prepare: Callable[[], object], wanted: Sequence[int]) -> int:
        self.count.runs += 1
        before = {path: path.read_bytes() if path.exists() else None for path in self.paths}
        child = Child(write_and_end(self.write, prepare))
        code, _ = child.wait()
        self.count.stopped += code != 0
        try:
            holds(code in wanted, f"it ended with {code}: {child.log()}")
            left = leftovers()
            holds(not left, f"processes are left: {left}")
            for path, content in before.items():
                now = path.read_bytes() if path.exists() else None
                holds(now == content or (now is not None and whole(path, now)), f"{path.name} is neither old nor new")
                holds(not appended(path) or (now or b"").startswith(content or b""), f"{path.name} has lost rows")
            if code in (0, REFUSED):
                parts = [path.name for path in self.place.rglob("*.part")]
                holds(not parts or code == REFUSED, f"left behind: {parts}")
            for path, content in before.items():  # as it was, for the next one
                if content is None:
                    path.unlink(missing_ok=True)
                elif path.exists() and path.read_bytes() != content:
                    path.write_bytes(content)
        except Broken as error:
            self.count.broken.append(str(error))
        return code


def appended(path: Path) -> bool:
    return path.suffix == ".jsonl"


def whole(path: Path, content: bytes) -> bool:
    """Whether a file is what its name says, to the end."""
    from ftax_model.nas import LatencyCost, SearchSpace

    try:
        if path.suffix == ".gz":
            json.loads(gzip.decompress(content))
        elif path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".jsonl":
            return content[-1:] in (b"", b"\n") and bool(dataset.read(path))
        elif path.suffix == ".yaml":
            SearchSpace.load(path)
        elif path.suffix == ".npz":
            LatencyCost.load(path)
        else:
            return content.endswith(b"IEND\xaeB`\x82")
    except (OSError, EOFError, ValueError):
        return False
    return True


def kill_at(step: int, place: Path) -> None:
    """Have this process killed before the so-manieth thing that it does to files in a folder."""
    left, within = step, str(place)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            does = isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if not does or not str(given[0]).startswith(within):
                return
        elif event not in {"os.rename", "os.remove", "os.truncate", "os.mkdir", "os.chmod", "fcntl.flock"}:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


# Processes


class Child:
    """A process that is forked from this one, does one thing and ends with its exit code."""

    def __init__(self, work: Callable[[Child], int]) -> None:
        self._readable, self.writable = os.pipe()
        self._log = os.memfd_create("log")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which numerical libraries keep
            self.pid = os.fork()
        if self.pid == 0:
            self._work(work)
        os.close(self.writable)

    def send(self, number: int, after_s: float) -> None:
        """A signal, after so many seconds, or none if it has ended by then."""
        end = time.monotonic() + after_s
        while time.monotonic() < end and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            time.sleep(min(0.002, max(end - time.monotonic(), 0)))
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, str]:
        """Its exit code, less than 0 for a signal, and what it told."""
        said = b""
        while part := os.read(self._readable, 1 << 16):
            said += part
        os.close(self._readable)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), said[: said.rfind(b"\n") + 1].decode()

    def log(self) -> str:
        """What it printed last."""
        return os.pread(self._log, 10_000, max(os.fstat(self._log).st_size - 400, 0)).decode(errors="replace").strip()

    def __del__(self) -> None:
        os.close(self._log)

    def _work(self, work: Callable[[Child], int]) -> Never:
        code, said = ABORTED, ""
        try:
            os.close(self._readable)
            for stream in (1, 2):
                os.dup2(self._log, stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            code = work(self)
        except FtaxError as error:
            code, said = REFUSED, str(error)
        except BaseException:
            said = traceback.format_exc()
        finally:
            with contextlib.suppress(OSError):  # where the size of files is limited, that of the log is, too
                os.write(self._log, said.encode())
            os._exit(code)


class Forked:
    """In place of ``subprocess.Popen``: a worker server that is forked, and has imported all it needs."""

    def __init__(self, command: Sequence[str], *, stdout: Any, pass_fds: Sequence[int], **_: Any) -> None:
        channel, parent = int(command[-2]), int(command[-1])
        self.pid, self.returncode = os.fork(), None
        if self.pid == 0:
            self._serve(channel, parent, stdout.fileno(), pass_fds)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def _serve(self, channel: int, parent: int, log: int, kept: Sequence[int]) -> Never:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            for stream in (1, 2):
                os.dup2(log, stream)
            ends = [2, *sorted(kept), 1 << 12]
            for low, high in itertools.pairwise(ends):
                os.closerange(low + 1, high)
            worker.serve(socket.socket(fileno=channel), parent=parent)
        finally:
            os._exit(0)

    def poll(self) -> int | None:
        """As there."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As there."""
        end = time.monotonic() + (600.0 if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("server", timeout or 0.0)
            time.sleep(0.001)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """As there."""
        os.kill(self.pid, signal.SIGKILL)


def fork_servers() -> None:
    """In this process, fork worker servers rather than start them."""
    worker_pool.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": Forked})  # type: ignore[attr-defined]


def leftovers(within_s: float = 20.0) -> list[str]:
    """Processes that whoever was killed left behind and that do not end by themselves; they are killed then."""
    end = time.monotonic() + within_s
    while True:
        alive = []
        for one in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.status() != psutil.STATUS_ZOMBIE:
                    alive.append(one)
                elif one.ppid() == os.getpid():
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(one.pid, 0)
        if not alive:
            return []
        if time.monotonic() > end:
            for one in alive:
                one.kill()
            return [" ".join(one.cmdline())[:80] for one in alive if one.is_running()]
        time.sleep(0.002)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Orphans of processes that were killed become children of this one."""
    set_child_subreaper = 36  # of linux/prctl.h
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(set_child_subreaper, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(set_child_subreaper, 0, 0, 0, 0)


@contextlib.contextmanager
def set_apart(folder: Path) -> Iterator[None]:
    """The user's own data and caches are left alone."""
    before = {name: os.environ.get(name) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}
    os.environ.update({name: str(folder / name.lower()) for name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of lines that were cut, which are wanted here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        yield
