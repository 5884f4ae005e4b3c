"""Each ``--help`` holds an example, and it runs; exit codes are those that ``ftax --help`` lists."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from ftax_model import cli, plugins
from ftax_model.cli import EXIT_INTERRUPTED, EXITS, ftax, main
from ftax_model.cli._complete import hyperparameters

NAMES = plugins.names(cli.__name__)

SHORT = ("check", "completion", "datasets", "list")
LONGER = ("advise", "claims", "compare", "crossover", "diff", "explain-gap", "predict", "proxies", "trace")
"""Commands whose examples need nothing that is not here; others measure, or read what another command wrote."""


def examples(name: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of each example that ``ftax NAME --help`` shows."""
    capsys.readouterr()
    assert main([name, "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    return [shlex.split(line.partition(" > ")[0]) for line in lines if line.startswith(f"ftax {name}")]


def command(name: str) -> click.Command:
    found = ftax.get_command(click.Context(ftax), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_an_example_whose_options_there_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = examples(name, capsys)
    assert found
    written = [line for line in str(command(name).help).splitlines() if line.strip().startswith(f"ftax {name}")]
    assert len(found) == len(written)
    for line, words in zip(written, found, strict=True):
        assert shlex.split(line.partition(" > ")[0]) == words  # on one line of the help, too
        own = command(name)
        context = own.make_context(f"ftax {name}", words[2:])
        known = {option for one in own.params for option in one.opts}
        known |= {*hyperparameters(context.params.get("architecture"))}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONGER)])
def test_examples_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for words in examples(name, capsys):
        if not any(word.endswith(".jsonl") for word in words):
            assert main(words[1:]) == 0, words
            assert capsys.readouterr().out


def test_the_exit_codes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out.partition("Exit codes:")[2]
    for code, said in EXITS.items():
        assert f"{code} " in told
        assert said.split(":")[0].split(";")[0] in " ".join(told.split())
    page = (Path(__file__).resolve().parents[2] / "docs/commands.md").read_text(encoding="utf-8")
    for code in EXITS:
        assert f"\n| {code} |" in page


def test_an_interruption_has_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftax_model.dataset.names", interrupted)
    assert main(["datasets"]) == EXIT_INTERRUPTED
    assert "what was written is kept" in capsys.readouterr().err
