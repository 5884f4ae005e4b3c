"""The scripts, in a copy of the repository and with fake programs on the path: no network, no real environment."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ftax_model import LatencyPredictor
from ftax_model.cli import main as cli
from ftax_model.dataset import load_dataset, load_operators
from ftax_model.errors import DataError
from ftax_model.modeling.estimators.crossover import COLUMNS, figures
from ftax_model.modeling.rows import of_operators, with_operators

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(file for file in (ROOT / "scripts").iterdir() if file.suffix == "")
CUDA_BUILD = re.compile(r"nvidia-(?!ml-py)|cuda-|triton")
"""What a torch built for CUDA brings along, in its own choice of versions."""

FAKE_PYTHON = """\
# Stands for Python {version}, with or without ensurepip; what it is asked to run is written down, not run.
import os, shutil, sys
from pathlib import Path

here = sys.argv.pop(1)
sys.version_info = {version}
sys._base_executable = {path!r}
if not {has_venv}:
    sys.modules["ensurepip"] = None
with open({calls!r}, "a") as log:
    log.write(" ".join(sys.argv[1:3]).splitlines()[0] + "\\n")
match sys.argv[1:]:
    case ["-c", code]:
        exec(code)
    case ["-m", "venv", *options]:
        folder = Path(options[-1]) / "bin"
        folder.mkdir(parents=True)
        shutil.copy(here, folder / "python")
    case ["-m", "ensurepip", *_]:
        pass
    case ["-m", "pip", *options]:
        print(*options)
        print(os.environ.get("FAKE_PIP_ERROR", ""), file=sys.stderr)
        sys.exit(bool(os.environ.get("FAKE_PIP_ERROR")))
    case ["-VV"]:
        print("Python", *sys.version_info)
    case other:
        sys.exit(f"unforeseen: {{other}}")
"""


class House:
    """A copy of the scripts with a path that holds nothing but a few system tools and what a test adds."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.calls = folder / "a house", folder / "bin", folder / "calls"
        (self.root / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        self.calls.touch()
        for file in SCRIPTS:
            shutil.copy(file, self.root / "scripts")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root)
        for tool in ("sh", "dirname", "cat", "cksum", "tr", "awk", "rm", "grep", "tail"):
            found = shutil.which(tool)
            assert found is not None, f"no {tool} on this machine"
            (self.bin / tool).symlink_to(found)
        self.disk(free_gb=100)

    def python(self, name: str, version: tuple[int, int, int], *, has_venv: bool = True) -> None:
        path = str(self.bin / name)
        text = FAKE_PYTHON.format(version=version, path=path, has_venv=has_venv, calls=str(self.calls))
        self.program(name, python_program(self.bin / f"{name}.py", text))

    def disk(self, *, free_gb: int) -> None:
        self.program(
            "df", f"#!/bin/sh\necho Filesystem Blocks Used Available\necho disk 0 0 {free_gb * 1024**2} 1% /\n"
        )

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("dash") or "/bin/sh", str(self.root / "scripts" / script), *arguments],
            capture_output=True,
            text=True,
            env={"PATH": str(self.bin), "HOME": str(self.root), **environment},
            check=False,
        )

    def forget(self) -> None:
        self.calls.write_text("", encoding="utf-8")

    def called(self, what: str) -> bool:
        return what in self.calls.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def python_program(file: Path, text: str) -> str:
    """A shell script that runs the text, kept in the file, with its own path as the first argument."""
    file.write_text(text, encoding="utf-8")
    return f'#!/bin/sh\nexec "{sys.executable}" "{file}" "$0" "$@"\n'


def says(run: subprocess.CompletedProcess[str], *parts: str) -> bool:
    """Whether a run failed with 2 and one line that holds all parts."""
    lines = run.stderr.strip().splitlines()
    return (run.returncode, len(lines), run.stdout) == (2, 1, "") and all(part in lines[0] for part in parts)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_script_is_short_posix_shell_that_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[1].startswith("# "), "the second line says what the script is for"
    assert "set -eu" in lines
    assert len(lines) <= 100
    for shell in ("sh", "dash"):
        if found := shutil.which(shell):
            assert subprocess.run([found, "-n", str(script)], check=False).returncode == 0
    if shellcheck := shutil.which("shellcheck"):
        run = subprocess.run([shellcheck, str(script)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout


def test_continuous_integration_runs_lint_and_all_tests() -> None:
    file = ROOT / ".ci" / "run"
    assert os.access(file, os.X_OK)
    assert file.read_text(encoding="utf-8").splitlines()[-2:] == ["scripts/lint", "scripts/test"]


def test_install_installs_and_then_is_at_rest(house: House) -> None:
    house.python("python3", (3, 12, 1))
    first = house.run("install", "test")
    assert first.returncode == 0, first.stderr
    assert "-c constraints.txt -e .[test]" in first.stderr
    assert first.stdout == ""
    house.forget()
    second = house.run("install", "test")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert not house.called("-m pip")


def test_install_keeps_the_extras_it_had(house: House) -> None:
    house.python("python3", (3, 11, 0))
    assert "-e .\n" in house.run("install").stderr
    assert "-e .[test]" in house.run("install", "test").stderr
    assert house.run("install").stderr == ""
    (house.root / "constraints.txt").write_text("torch==0\n", encoding="utf-8")
    assert "-e .[test]" in house.run("install").stderr


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_install_runs_again_when_its_grounds_change(house: House, changed: str) -> None:
    house.python("python3", (3, 12, 1))
    house.run("install")
    with (house.root / changed).open("a", encoding="utf-8") as file:
        file.write("# another line\n")
    house.forget()
    assert house.run("install").returncode == 0
    assert house.called("-m pip")
    assert not house.called("-m venv"), "the environment is kept"


def test_install_runs_again_when_the_folder_moves(house: House) -> None:
    house.python("python3", (3, 12, 1))
    house.run("install")
    house.root = house.root.rename(house.root.with_name("another house"))
    house.forget()
    assert house.run("install").returncode == 0
    assert house.called("-m pip")


def test_install_takes_the_first_python_that_will_do(house: House) -> None:
    house.python("python3", (3, 9, 2))
    house.python("python3.14", (3, 14, 0), has_venv=False)
    house.program("python3.13", "#!/bin/sh\necho 'not in this version of the shim' >&2\nexit 127\n")
    house.python("python3.12", (3, 12, 4))
    assert house.run("install").returncode == 0
    assert "python3.12.py" in (house.root / ".venv" / "bin" / "python").read_text(encoding="utf-8")


def test_install_without_python(house: House) -> None:
    assert says(house.run("install"), "Python 3.11 or newer", "no python3", "apt-get install python3")


def test_install_with_an_old_python(house: House) -> None:
    house.python("python3", (3, 9, 2))
    house.python("python3.11", (3, 10, 0))
    assert says(house.run("install"), "Python 3.11 or newer", "python3 of version 3.9", "run again")
    assert not (house.root / ".venv").exists()


def test_install_without_the_venv_module(house: House) -> None:
    house.python("python3", (3, 11, 2), has_venv=False)
    assert says(house.run("install"), "venv module", "apt-get install python3-venv")
    assert not (house.root / ".venv").exists()


def test_install_with_a_small_disk(house: House) -> None:
    house.python("python3", (3, 12, 1))
    house.disk(free_gb=3)
    assert says(house.run("install"), "6 GB", "3 GB free", "make room")
    assert not house.called("-m pip")
    house.disk(free_gb=6)
    assert house.run("install").returncode == 0
    house.disk(free_gb=0)
    assert house.run("install").returncode == 0, "only the first installation needs the room"


def test_install_when_the_disk_fills_up(house: House) -> None:
    house.python("python3", (3, 12, 1))
    error = "WARNING: some\nERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    run = house.run("install", FAKE_PIP_ERROR=error, TMPDIR="/a/small/tmp")
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("scripts/install")]
    assert "No space left on device" in line
    assert "make room" in line
    assert "/a/small/tmp" in line


def test_install_says_what_pip_said_and_where_to_read_more(house: House) -> None:
    house.python("python3", (3, 12, 1))
    run = house.run("install", FAKE_PIP_ERROR="ERROR: No matching distribution found for torch==2.13.0")
    assert run.returncode == 2
    assert "got ERROR: No matching distribution found for torch==2.13.0; see" in run.stderr.splitlines()[-1]
    assert ".venv/install.log" in run.stderr.splitlines()[-1]


def test_install_starts_afresh_after_an_interrupted_one(house: House) -> None:
    house.python("python3", (3, 12, 1))
    house.run("install", FAKE_PIP_ERROR="ERROR: half of it was written")
    half = house.root / ".venv" / "half"
    half.touch()
    house.forget()
    assert house.run("install").returncode == 0
    assert house.called("-m venv")
    assert not half.exists()


@pytest.mark.parametrize("stamp", ["", "unfinished\n", "unfinished"])
def test_install_mends_a_stamp_cut_off_by_a_crash(house: House, stamp: str) -> None:
    house.python("python3", (3, 12, 1))
    house.run("install")
    (house.root / ".venv" / "installed").write_text(stamp, encoding="utf-8")
    house.forget()
    assert house.run("install").returncode == 0
    assert house.called("-m venv")
    assert house.called("-m pip")


def test_install_replaces_an_environment_whose_python_is_gone(house: House) -> None:
    house.python("python3", (3, 12, 1))
    house.run("install")
    python = house.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.10")
    assert house.run("install").returncode == 0
    assert not python.is_symlink()


def test_install_keeps_an_environment_made_by_hand(house: House) -> None:
    house.python("python3", (3, 12, 1))
    folder = house.root / ".venv" / "bin"
    folder.mkdir(parents=True)
    shutil.copy(house.bin / "python3", folder / "python")
    assert house.run("install").returncode == 0
    assert house.called("-m pip")
    assert not house.called("-m venv")


def test_install_refuses_an_unknown_extra(house: House) -> None:
    house.python("python3", (3, 12, 1))
    assert says(house.run("install", "tset"), "optional-dependencies", "'tset'")
    assert house.calls.read_text(encoding="utf-8") == ""


FILES = "python -m pip --disable-pip-version-check show -q magika rapidocr-onnxruntime silero-vad"
"""How it is seen whether the packages with real ONNX files are there."""


@pytest.mark.parametrize(
    ("script", "program", "called"),
    [
        ("demo", "ftax", ["ftax demo --x 'a b'"]),
        ("test", "python", [FILES, "python -m pytest -n 2 --dist loadfile --x 'a b'"]),
        ("lint", "python", ["python -m ruff check", "python -m ruff format --check", "python -m mypy"]),
        ("bench", "python", ["python bench_one.py --x 'a b'", "python bench_two.py --x 'a b'"]),
        (
            "check",
            "python",
            [
                "python -m ruff check",
                "python -m ruff format --check",
                "python -m mypy",
                FILES,
                "python -m pytest -n 2 --dist loadfile -m 'not slow and not gpu' --x 'a b'",
            ],
        ),
    ],
)
def test_script_calls(house: House, script: str, program: str, called: list[str]) -> None:
    (house.root / "scripts" / "install").write_text("#!/bin/sh\n", encoding="utf-8")
    for name in ("bench_two.py", "bench_one.py"):
        (house.root / "scripts" / name).touch()
    bin_ = house.root / ".venv" / "bin"
    bin_.mkdir(parents=True)
    text = (
        "import shlex, sys\nfrom pathlib import Path\n"
        "words = [Path(word).name for word in sys.argv[1:]]\n"
        f"open({str(house.calls)!r}, 'a').write(shlex.join(words) + '\\n')\n"
    )
    (bin_ / program).write_text(python_program(house.bin / "noted.py", text), encoding="utf-8")
    (bin_ / program).chmod(0o755)
    run = house.run(script, "--x", "a b")
    assert run.returncode == 0, run.stderr
    assert house.calls.read_text(encoding="utf-8").splitlines() == called


def test_tests_run_where_files_of_others_cannot_be_fetched(house: House) -> None:
    (house.root / "scripts" / "install").write_text("#!/bin/sh\n", encoding="utf-8")
    bin_ = house.root / ".venv" / "bin"
    bin_.mkdir(parents=True)
    text = (
        "import sys\n"
        f"open({str(house.calls)!r}, 'a').write(' '.join(sys.argv[2:]) + '\\n')\n"
        "sys.exit('pip' in sys.argv)\n"
    )
    (bin_ / "python").write_text(python_program(house.bin / "noted.py", text), encoding="utf-8")
    (bin_ / "python").chmod(0o755)
    run = house.run("test")
    assert run.returncode == 0, run.stderr
    assert "tests of real ONNX files are skipped" in run.stderr
    assert [call.split()[1] for call in house.calls.read_text(encoding="utf-8").splitlines()] == [
        "pip",
        "pip",
        "pytest",
    ]


@pytest.mark.parametrize("script", ["test", "lint", "bench"])
def test_script_fails_with_what_it_calls(house: House, script: str) -> None:
    (house.root / "scripts" / "install").write_text("#!/bin/sh\n", encoding="utf-8")
    (house.root / "scripts" / "bench_one.py").touch()
    bin_ = house.root / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    (bin_ / "python").chmod(0o755)
    assert house.run(script).returncode == 3


def test_constraints_pin_everything_that_is_installed() -> None:
    pins = dict(line.split("==") for line in constraints())
    missing = sorted(closure("ftax-model", ("test",)) - {"ftax-model"} - pins.keys())
    assert not missing, f"constraints.txt pins every dependency; it misses {', '.join(missing)}"


def test_constraints_are_plain_and_in_order() -> None:
    lines = constraints()
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), f"{line}: name==version, no local part"
    built_for_gpu = [line for line in lines if CUDA_BUILD.match(line)]
    assert not built_for_gpu, "the torch of the machine chooses these"


def test_constraints_suit_pyproject() -> None:
    pins = dict(line.split("==") for line in constraints())
    for requirement in requirements("ftax-model", ("test",)):
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} does not allow the pin {pin}"


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def requirements(name: str, extras: tuple[str, ...]) -> Iterator[Requirement]:
    for requirement in map(Requirement, importlib.metadata.requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def closure(name: str, extras: tuple[str, ...]) -> set[str]:
    """Names of all distributions that one asks for, itself included; those of a CUDA build are left to it."""
    waiting = [(name, extras)]
    done: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done or CUDA_BUILD.match(name):
            continue
        done.add((name, extras))
        waiting += [(canonicalize_name(r.name), tuple(sorted(r.extras))) for r in requirements(name, extras)]
    return {name for name, _ in done}


def test_memory_is_learnt_anew_and_all_else_of_the_predictor_stays(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, data, out = tmp_path / "plan.yaml", tmp_path / "toy.jsonl", tmp_path / "out.json"
    plan.write_text("frameworks: fake\nworkloads: [{architecture: toy, num_layers: [3, 5], batch_size: [1, 9]}]\n")
    assert cli(["collect", str(plan), "--out", str(data)]) == 0
    learn_memory = script("learn_memory")
    assert learn_memory.main([str(data), "--out", str(out), "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("fake")
    shipped, written = LatencyPredictor.load("cpu"), json.loads(out.read_text())
    shipped.save(tmp_path / "shipped.json")
    expected = json.loads((tmp_path / "shipped.json").read_text())
    assert [one["framework"] for one in written.pop("memory")] == ["fake"]
    assert {one["framework"] for one in expected.pop("memory")} > {"eager", "onnxruntime"}
    assert written == expected
    assert learn_memory.main([str(tmp_path / "none.jsonl")]) == 2


@pytest.fixture(scope="module")
def compare_crossovers(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("compare_crossovers")


def left_out_sweeps(count: int = 72) -> pd.DataFrame:
    """Made-up sweeps of four families, up to batch 64: read off without bias, in closed form an octave too low."""
    draw = np.random.default_rng(0)
    read = draw.uniform(-1, 5, count)
    seen = read + draw.normal(0, 0.1, count)
    own = {"architecture": [f"family {number % 4}" for number in range(count)], "read_off": read}
    own |= {"measured": np.maximum(seen, 0), "closed_form": read - 1, "censored": np.where(seen < 0, "below", "")}
    return pd.DataFrame(draw.uniform(1, 2, (count, len(COLUMNS))), columns=list(COLUMNS)).assign(**own)


def test_crossover_regressors_are_judged_alike_on_families_never_seen(
    compare_crossovers: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare_crossovers, "left_out", lambda name, jobs: left_out_sweeps())
    assert compare_crossovers.main(["made-up", "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["sweeps"], told["families"]) == ("made-up", 72, 4)
    found = {(row["regressor"], row["fitted on"]): row for row in told["regressors"]}
    names = [*compare_crossovers.REGRESSORS, "CrossoverRegressor"]
    assert {*found} == {(name, on) for name in names for on in ("crossover inside", "all")} | {
        (name, "-") for name in compare_crossovers.READ
    }
    assert found["read off the predicted curve", "-"]["median"] < 0.1
    assert found["closed form", "-"]["bias"] == pytest.approx(-1, abs=0.05)
    assert found["closed form", "-"]["right"] == 1
    for name in compare_crossovers.REGRESSORS:
        assert found[name, "crossover inside"]["right"] <= found[name, "all"]["right"]
        assert found[name, "all"]["median"] <= found[name, "all"]["p90"] < 3
    monkeypatch.setattr(compare_crossovers, "REGRESSORS", {"ridge": compare_crossovers.REGRESSORS["ridge"]})
    assert compare_crossovers.main(["made-up", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"72 sweeps of 4 families, {told['inside']} with")
    assert sum(line.startswith("ridge") for line in lines) == 2


def test_figures_of_crossovers_by_hand() -> None:
    sweeps = pd.DataFrame({"measured": [1.0, 2.0, 0.0, 6.0], "censored": ["", "", "below", "above"]})
    found = figures(np.array([1.5, 1.0, -0.1, 5.0]), sweeps)
    assert found == pytest.approx({"median": 0.75, "p90": 0.95, "bias": -0.25, "right": 0.5})
    assert math.isnan(figures(np.array([1.0, 2.0]), sweeps[:2])["right"])


def test_crossover_regressors_need_sweeps_and_families(
    compare_crossovers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare_crossovers.main(["nowhere"]) == 2
    assert compare_crossovers.main(["nowhere", "--jobs", "0"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nowhere" in first
    assert "--jobs" in second
    one = left_out_sweeps().assign(architecture="one")
    for few in (left_out_sweeps(12), pd.DataFrame(), one):
        with pytest.raises(DataError, match="30 sweeps of other families"):
            compare_crossovers.compare(few, jobs=1)
    with pytest.raises(DataError, match="cannot trace"):
        compare_crossovers.compare(left_out_sweeps().assign(macs=math.nan), jobs=1)


@pytest.fixture(scope="module")
def check_operators(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("check_operators")


def test_shares_of_operators_by_hand(check_operators: ModuleType) -> None:
    said, seen = [0.1, 0.2, 0.7], [6.0, 3.0, 1.0]
    found = check_operators._figures(pd.DataFrame({"group": ["a", "a", "b"], "said": said, "seen": seen}))
    assert found == pytest.approx({"wrong group": 0.6, "wrong operator": 0.6, "same top": 0, "rank": -1})


def test_operators_are_checked_against_the_profiler(
    check_operators: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.yaml", tmp_path / "toy.jsonl"
    plan.write_text("frameworks: fake\nworkloads: [{architecture: toy, num_layers: [3, 5, 8], batch_size: [1, 9]}]\n")
    assert cli(["collect", str(plan), "--out", str(out), "--operators", "--json"]) == 0
    capsys.readouterr()
    assert check_operators.main([str(out), "--jobs", "1"]) == 2
    assert "four families" in capsys.readouterr().err
    rows = with_operators(load_dataset(out), jobs=1)
    rows = rows.assign(architecture=rows["model"], family="made up")
    found = check_operators.check(rows, of_operators(load_operators(out)), jobs=1)
    assert [one["fitted to"] for one in found] == ["whole models", "and profiles"]
    assert all(one["calls"] == len(rows) for one in found)
    assert found[0]["wrong group"] == pytest.approx(0)


def measure_gpu(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "measure_gpu.py"), str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_measuring_a_gpu_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out, plan = tmp_path / "out", tmp_path / "few.yaml"
    out.mkdir()
    (out / "doctor.json").write_text("[]", encoding="utf-8")  # which takes half a minute
    plan.write_text(
        "frameworks: [eager]\nworkloads:\n  - {architecture: mlp, num_layers: 2, hidden_size: 8, batch_size: [1, 2]}\n",
        encoding="utf-8",
    )
    asked = ("--device", "cpu", "--plan", str(plan), "--budget", "60s")
    assert measure_gpu(out, *asked).returncode == 0
    first = (out / "gpu.jsonl").read_bytes()
    assert len(load_dataset(out / "gpu.jsonl")) == 2
    assert measure_gpu(out, *asked).returncode == 0
    assert (out / "gpu.jsonl").read_bytes() == first
    late = measure_gpu(out, *asked[:-1], "1s")
    assert "left for the next call" in late.stdout


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU here")
def test_measuring_a_gpu_where_there_is_none_is_one_line(tmp_path: Path) -> None:
    found = measure_gpu(tmp_path / "out", "--budget", "60s")
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "device cuda needs an NVIDIA GPU" in found.stderr
    assert not (tmp_path / "out" / "doctor.json").exists()


def test_audit_tells_what_is_vulnerable_and_what_was_not_looked_up(script: Callable[[str], ModuleType]) -> None:
    found = [
        {"name": "torch", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1", "3.0"]}]},
        {"name": "numpy", "version": "1.0", "vulns": []},
        {"name": "click", "skip_reason": "not found"},
    ]
    assert script("audit").vulnerabilities({"dependencies": found}) == (
        ["torch 2.0: CVE-1, mended in 2.1, 3.0"],
        ["click"],
    )


@pytest.mark.parametrize(
    ("licence", "refused"),
    [("GPL-3.0-only", True), ("AGPL-3.0", True), ("GNU General Public License v2", True), ("UNKNOWN", True),
     ("LGPL-2.1", False), ("GNU Lesser General Public License", False), ("MIT", False)],
)  # fmt: skip
def test_audit_refuses_licences_of_what_is_needed_alone(
    script: Callable[[str], ModuleType], licence: str, refused: bool
) -> None:
    report = [{"Name": "Needed_One", "License": licence}, {"Name": "atheris", "License": "UNKNOWN"}]
    counts, bad = script("audit").licences(report, {"needed-one"})
    assert bool(bad) == refused
    assert counts == {licence: 1, "Apache-2.0": 1}
    assert {"torch", "numpy", "click"} <= script("audit").needed()
    assert "hypothesis" not in script("audit").needed()
