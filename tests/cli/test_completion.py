"""Shell completion: commands, options, hyperparameters and names, without waiting for torch or pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from ftax_model.cli import ftax, main

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


def completed(line: str, *, shell: str = "bash") -> list[str]:
    """What Tab offers at the end of a command line."""
    *words, incomplete = line.split(" ")
    complete = SHELLS[shell](ftax, {}, words[0], "_FTAX_COMPLETE")
    return [item.value for item in complete.get_completions(words[1:], incomplete)]


CASES = {
    "ftax pred": "predict",
    "ftax predict --arch": "--architecture",
    "ftax predict --architecture ber": "bert",
    "ftax predict --architecture bert --num-l": "--num-layers",
    "ftax predict --architecture bert --preset bert-m": "bert-mini",
    "ftax predict --preset resnet-5": "resnet-50",
    "ftax predict --framework onnx": "onnxruntime",
    "ftax measure --framework ea": "eager",
    "ftax predict --device nvidia-l4": "nvidia-l40s",
    "ftax doctor --device cu": "cuda",
    "ftax predict publ": "published-gpus",
    "ftax calibrate publ": "published-gpus",
    "ftax compare bert-b": "bert-base",
    "ftax compare eager onnx": "onnxruntime",
    "ftax fit x86-epyc-2core intel": "intel-xeon-amx-2core",
    "ftax evaluate x86": "x86-epyc-2core",
    "ftax diff x86-epyc-2core intel": "intel-xeon-amx-2core",
    "ftax merge x86": "x86-epyc-2core",
    "ftax proxies x86": "x86-epyc-2core",
    "ftax report x86": "x86-epyc-2core",
    "ftax plot cross": "crossover",
    "ftax collect qui": "quick",
    "ftax completion z": "zsh",
}


@pytest.mark.parametrize(("line", "value"), CASES.items(), ids=CASES.keys())
def test_names_are_completed(line: str, value: str) -> None:
    found = completed(line)
    assert value in found
    assert all(one.startswith(line.rsplit(" ", 1)[1]) for one in found)


def test_presets_and_hyperparameters_are_those_of_the_architecture() -> None:
    assert not [name for name in completed("ftax predict --architecture bert --preset ") if "bert" not in name]
    assert "--width" not in completed("ftax predict --architecture bert --")
    assert "--width" in completed("ftax predict --architecture toy --")
    assert "--batch-size" in completed("ftax predict --architecture berd --")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_FTAX_COMPLETE" in script
    assert f"{shell}_complete" in script
    assert "bert" in completed("ftax predict --architecture ber", shell=shell)


def test_nothing_slow_is_imported() -> None:
    lines = [line for line in CASES if not line.startswith("ftax plot")]
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_completion import completed\n"
        f"for line in {lines!r}: completed(line)\n"
        "print(*{'torch', 'pandas', 'sklearn', 'onnxruntime'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
