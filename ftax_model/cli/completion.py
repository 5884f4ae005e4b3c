"""``ftax completion``: a script by which a shell completes commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print a script that completes commands and names in your shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL; a new shell that has it completes commands, options and names after Tab.

        ftax completion bash > ~/.local/share/bash-completion/completions/ftax

    In zsh the file is _ftax, in a folder of $fpath; in fish it is ~/.config/fish/completions/ftax.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root()
    click.echo(found(root.command, {}, "ftax", "_FTAX_COMPLETE").source())
