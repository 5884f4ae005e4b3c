"""Fuzzes what reads files of strangers: inputs mutated towards new code, each a result or a refusal, and nothing else.

A target is a file ``scripts/fuzz_READER.py`` that opens with one sentence, and holds

    seeds() -> [bytes, ...]          small valid files
    read(data, folder)               the way of a user's command: load, and the first use
    dictionary() -> [bytes, ...]     words of the format, if it is a text; optional
    mutate(data, random) -> bytes    where the format is neither JSON nor a text; optional

Inputs come from atheris, guided by the coverage of `READERS`; half of them have values of JSON swapped, or words of a
text. Where atheris is not installed all are drawn from the seeds, blindly. A promise is broken by whatever is raised
that is no `FtaxError`, by a message with control characters, by an input that takes longer than `LONGEST_S` or more
memory than `MOST_MEMORY`, and by a process, a socket, foreign code, or a file outside the installation and ``folder``.
Each kind counts once: the first input of a kind stays in the folder, and fuzzing goes on.

    python scripts/torture_fuzz.py READER --inputs 100000 --folder /tmp/found
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import json
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None

FULL = {"inputs": 100_000}
QUICK = {"inputs": 2_000}

LONGEST_S = 10.0
"""Seconds of the processor that one input may take."""
MOST_MEMORY = 2 << 30
"""Bytes that inputs may take beyond what the process has once its seeds were read."""

HERE = Path(__file__).resolve().parent
BESIDE = "fuzz_"

READERS = (
    "ftax_model.files", "ftax_model.workload", "ftax_model.operators", "ftax_model.measurement", "ftax_model.dataset",
    "ftax_model.device", "ftax_model.importer", "ftax_model.outside", "ftax_model.plugins", "ftax_model.tracing",
    "ftax_model.architectures", "ftax_model.collection.plan", "ftax_model.collection.timing",
    "ftax_model.collection.adaptive", "ftax_model.nas", "ftax_model.modeling.predictor",
    "ftax_model.modeling.platforms", "ftax_model.modeling.estimators", "ftax_model.report",
)  # fmt: skip
"""Packages whose coverage guides."""

COMPILED = (
    "ftax_model.modeling.compiled", "ftax_model.tracing.features", "ftax_model.tracing.kernels",
    "ftax_model.tracing.numbers",
)  # fmt: skip
"""Modules that numba compiles, which takes them as they are."""

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-300, 1e308, -1e308, math.nan, math.inf, 2**31, 2**53, 2**63 - 1,
    2**63, 10**40, "", "x", "0", "NaN", "1e999", "../../../../etc/passwd", "/etc/passwd", "/etc/hosts.toml",
    "../x.toml", "x/../y", "\x1b[31mred\x07", "a\nb\rc", "\u202eabc", "\0", "\ud800", "<script>alert(1)</script>",
    "x" * 3000, "(a+)+$", "float32", "cpu", "eager", "toy", "onnx", "module", "os:getcwd", [], {}, [[]], [{}],
    {"": None}, [None], [1, 2], ["a"], [[1, 2]], {"a": 1}, [1] * 300,
)  # fmt: skip
"""Values that take the place of others."""


_NUMBERS = (
    "0",
    "-1",
    "1",
    "3",
    "0.5",
    "1e3",
    "1e12",
    "1e21",
    "1e24",
    "1e300",
    "1e-300",
    "1e999",
    "nan",
    "inf",
    "99999",
)


class _Twice(str):
    """A key that a mapping can hold beside its like."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class TooSlow(BaseException):
    """An input took longer than `LONGEST_S`."""


def names() -> list[str]:
    """The targets that lie beside this file."""
    return sorted(file.stem.removeprefix(BESIDE) for file in HERE.glob(f"{BESIDE}*.py"))


def run(
    folder: Path, *, seed: int, tell: Callable[[str], None], inputs: int, only: list[str] | None = None
) -> list[dict[str, Any]]:
    """A row for each target, as many ``inputs`` each, in a process of its own."""
    found = []
    for name in only or names():
        own = folder / name
        own.mkdir()
        command = [sys.executable, __file__, name, "--inputs", str(inputs), "--seed", str(seed), "--folder", str(own)]
        with (own / "log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        row = json.loads((own / "row").read_text()) if (own / "row").exists() else {"what": name, "runs": 0, "bad": 0}
        if code or row["runs"] < inputs:
            row |= {"bad": row["bad"] + 1, "ended": f"early, exit code {code}"}
            tell(f"{name}: {(own / 'log').read_text(errors='replace')[-2000:]}")
        for kind, said in row.pop("kinds", {}).items():
            tell(f"{name}: {kind}: {said!r}")
        found.append(row)
    return found


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A file with a few values of its JSON swapped, or words of its text; bytes where it is neither."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return flipped(data, dice)
    lines = text.splitlines()
    with contextlib.suppress(ValueError, RecursionError):
        return _swapped(json.loads(text), dice).encode()
    with contextlib.suppress(ValueError, RecursionError, IndexError):
        at = dice.randrange(len(lines))
        new = [dice.choice(lines)] if dice.random() < 0.1 else [_swapped(json.loads(lines[at]), dice)]
        lines[at : at + 1] = dice.choice(([], new, new, new, [*new, *new], [lines[at], *new]))
        return ("\n".join(lines) + dice.choice(("\n", "\n", ""))).encode()
    return _reworded(text, dice).encode(errors="surrogatepass")


def flipped(data: bytes, dice: random.Random) -> bytes:
    """A file with a few bytes changed, or a part of it cut out or repeated."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(found))
        to = min(len(found), at + dice.randint(0, 40))
        found[at:to] = dice.choice((b"", bytes(found[at:to]) * 2, dice.randbytes(1) + bytes(found[at + 1 : to])))
    return bytes(found)


def _swapped(content: Any, dice: random.Random) -> str:
    def odd(of: Sequence[Any] = ODD) -> Any:
        return copy.deepcopy(dice.choice(of))

    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        holders = [one for one in _within(content) if isinstance(one, dict | list) and one]
        if not holders:
            return json.dumps(odd())
        holder = dice.choice(holders)
        key = dice.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
        match dice.randrange(10), holder:
            case 0, _:
                del holder[key]
            case 1, dict():
                holder[_Twice(key)] = odd()
            case 1 | 2, list():
                holder.insert(key, odd(holder))
            case 2, dict():
                holder[str(odd())] = holder[key]
            case 3, _:
                holder[key] = odd([*_within(content)])
            case 4, _ if isinstance(holder[key], int | float):
                holder[key] *= dice.choice((-1, 0.5, 2, 10, 1e6, 1e-6, 1e300))
            case _:
                holder[key] = odd()
    return json.dumps(content)


def _within(content: Any) -> Iterator[Any]:
    waiting = [content]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()


def _reworded(text: str, dice: random.Random) -> str:
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        words = [*re.finditer(r"[\w.+-]+|\"[^\"\n]*\"|[^\w\s]", text)]
        if not words:
            return str(dice.choice(ODD))
        word = dice.choice(words)
        odd = dice.choice(ODD)
        other = dice.choice((str(odd), _as_json(odd), dice.choice(words)[0], "", f"{word[0]}\n{word[0]}"))
        if re.fullmatch(r"[\d.e+-]*\d[\d.e+-]*", word[0]) and dice.random() < 0.7:
            other = dice.choice(_NUMBERS)
        text = text[: word.start()] + other + text[word.end() :]
    return text


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class Watch:
    """What reading must not do, seen as Python does it, while it is ``on``."""

    def __init__(self, folder: Path) -> None:
        self.on, self.seen = False, dict[str, str]()
        package = HERE.parent
        own = (folder, package, sys.prefix, sys.base_prefix, "/usr/lib", "/usr/share", "/lib", "/proc", "/sys", "/dev")
        self._inside = tuple(f"{Path(one).resolve()}/" for one in own)
        self._folder = f"{folder.resolve()}/"
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what is wrong with an event of Python."""
        if self.on:
            self.on = False
            try:
                if what := self._wrong(event, arguments):
                    self.seen[f"{what} {_place(sys._getframe(1))}"] = repr(arguments)[:200]
            finally:
                self.on = True

    def _wrong(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if arguments[2] else False
            within = self._is_within(arguments[0], (self._folder, "/dev/null") if writes else self._inside)
            return "" if within else f"{'writes' if writes else 'reads'} a file outside"
        if event in (
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.chmod",
            "os.link",
            "os.symlink",
            "os.truncate",
        ):
            return "" if self._is_within(arguments[0], (self._folder,)) else f"{event} outside"
        if event in ("os.listdir", "os.scandir"):
            return "" if self._is_within(arguments[0] or ".", self._inside) else f"{event} outside"
        if event.startswith(("socket.", "subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "pty.", "webbrowser.")):
            return event
        if event == "os.fork":  # a copy of this process with limits, and nothing else
            return "" if _place(sys._getframe(2)).startswith("tracing/_apart.py") else event
        if event in ("os.system", "os.forkpty", "pickle.find_class"):
            return event
        if event in ("exec", "compile"):
            file = arguments[0].co_filename if event == "exec" else os.fsdecode(arguments[1] or "<none>")
            from_file = Path(file).is_absolute() and self._is_within(file, self._inside)
            return "" if from_file or _of_installed() else event
        return ""

    def _is_within(self, path: Any, inside: tuple[str, ...]) -> bool:
        return os.path.realpath(os.fsdecode(path) if not isinstance(path, int) else f"/dev/fd/{path}").startswith(
            inside
        )


def _of_installed() -> bool:
    """Whether code is made while a module is imported, or by one that makes its own."""
    frame: FrameType | None = sys._getframe(3)
    while frame:
        file = frame.f_code.co_filename
        if "importlib._bootstrap" in file or any(f"/{own}/" in file for own in ("numba", "dataclasses.py", "jinja2")):
            return True
        frame = frame.f_back
    return False


def _place(frame: FrameType | None) -> str:
    """The innermost line of the package from a frame outwards."""
    while frame:
        if "/ftax_model/" in frame.f_code.co_filename:
            return f"{frame.f_code.co_filename.rpartition('/ftax_model/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


class Target:
    """A target in this process: what it is given, and what came of it."""

    def __init__(self, name: str, folder: Path, inputs: int, seed: int) -> None:
        self.name, self.folder, self.inputs = name, folder, inputs
        self._work = folder / "work"
        self._work.mkdir()
        self.watch = Watch(self._work)
        self.dice = random.Random(seed)
        self.runs, self.refused, self.slowest_s, self.kinds = 0, 0, 0.0, dict[str, str]()
        with _guided():
            self.module = _load(name)
            from ftax_model.errors import FtaxError

            self._refusal = FtaxError
            self.seeds = self.module.seeds()
            for one in self.seeds:  # what is imported late is imported now
                self.module.read(one, self._work)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MOST_MEMORY, held + MOST_MEMORY))
        signal.signal(signal.SIGPROF, _too_slow)

    def __call__(self, data: bytes) -> None:
        """Read one input."""
        began, error = time.process_time(), None
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        self.watch.on = True
        try:
            self.module.read(data, self._work)
        except (Exception, SystemExit, TooSlow) as caught:
            error = caught
        finally:
            self.watch.on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        self.runs += 1
        self.slowest_s = max(self.slowest_s, time.process_time() - began)
        kinds, seen = [*self.watch.seen], dict(self.watch.seen)
        self.watch.seen.clear()
        if isinstance(error, self._refusal):
            self.refused += 1
            kinds += [f"a message with control characters, {_kind(error)}"] if _is_unprintable(str(error)) else []
        elif error is not None:
            kinds.append(_kind(error))
        for kind in kinds:
            if kind not in self.kinds:
                self._keep(kind, data, error, seen.get(kind, str(error)[:200]))
        if self.runs == self.inputs or self.runs % 1000 == 0:
            self.report()

    def mutate(self, data: bytes) -> bytes:
        """Another input."""
        mutate = getattr(self.module, "mutate", mutated)
        return bytes(mutate(data if self.dice.random() < 0.6 else self.dice.choice(self.seeds), self.dice))

    def report(self) -> None:
        """Write down what came of it so far."""
        row = {
            "what": self.name, "runs": self.runs, "bad": len(self.kinds), "refused": self.refused,
            "slowest_s": round(self.slowest_s, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            "guided": "by coverage" if atheris else "blindly", "kinds": self.kinds,
        }  # fmt: skip
        part = self.folder / "row.part"
        part.write_text(json.dumps(row))
        part.replace(self.folder / "row")

    def _keep(self, kind: str, data: bytes, error: BaseException | None, said: str) -> None:
        self.kinds[kind] = said
        file = self.folder / f"kind-{len(self.kinds)}"
        file.write_bytes(data)
        told = "".join(traceback.format_exception(error)) if error else ""
        file.with_suffix(".txt").write_text(f"{kind}\n{said}\n{told}", errors="backslashreplace")
        self.report()


def _kind(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "/ftax_model/" in one.filename] or frames[-1:]
    return f"{type(error).__name__} {own[-1].filename.rpartition('/ftax_model/')[2]}:{own[-1].lineno}"


def _is_unprintable(text: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _too_slow(*_: object) -> None:
    raise TooSlow


def _guided() -> contextlib.AbstractContextManager[Any]:
    return atheris.instrument_imports(include=[*READERS], exclude=[*COMPILED]) if atheris else contextlib.nullcontext()


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{BESIDE}{name}", HERE / f"{BESIDE}{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def fuzz(target: Target, seed: int) -> None:
    """Give a target as many inputs as it wants; does not return."""

    def one(data: bytes) -> None:
        target(data)
        if target.runs >= target.inputs:
            sys.stdout.flush()
            os._exit(0)

    for data in target.seeds:
        one(data)
    if atheris is None:
        while True:
            one(target.mutate(target.dice.choice(target.seeds)))
    corpus = target.folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)
    words = getattr(target.module, "dictionary", list)()
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    (target.folder / "words").write_text("".join(f'"{word}"\n' for word in quoted if word))

    def custom(data: bytes, most: int, _seed: int) -> bytes:
        new = target.mutate(data) if target.dice.random() < 0.6 else atheris.Mutate(data, most)
        return bytes(new[:most])

    longest = max(4096, 4 * max(map(len, target.seeds)))
    options = {
        "seed": seed + 1, "max_len": longest, "len_control": 0, "rss_limit_mb": 0, "timeout": int(12 * LONGEST_S),
        "artifact_prefix": f"{target.folder}/ended-",
    } | ({"dict": target.folder / "words"} if words else {})  # fmt: skip
    arguments = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(corpus)]
    atheris.Setup(arguments, one, custom_mutator=custom)
    atheris.Fuzz()


def main() -> None:
    """One target, in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=names())
    parser.add_argument("--inputs", type=int, default=QUICK["inputs"], help="how many")
    parser.add_argument("--folder", type=Path, required=True, help="to work in, and for what is found; empty")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "elsewhere").mkdir()
    homes = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NUMBA_CACHE_DIR")
    os.environ |= {**dict.fromkeys(homes, str(folder / "work" / "home")), "OMP_NUM_THREADS": "1"}
    os.chdir(folder / "elsewhere")  # what a path of a stranger starts from
    warnings.simplefilter("ignore")
    fuzz(Target(asked.target, folder, asked.inputs, asked.seed), asked.seed)


if __name__ == "__main__":
    main()
