"""The command line: parse, call one function, print; one file a command."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

import click

import ftax_model
from ftax_model import plugins
from ftax_model.dataset import DatasetWarning
from ftax_model.errors import FtaxError, printable

EXIT_NO = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says where nothing more can be written."""

EXITS = {
    0: "the answer is there",
    EXIT_NO: "it ran, and the answer is no: --slo is not kept (predict --check), a finding is bad (doctor), "
    "something is odd (check), nothing could be measured (measure), something moved (diff --check)",
    EXIT_BAD_INPUT: "bad input, told in one line: what always holds, what was got, what to do",
    EXIT_INTERRUPTED: "interrupted; what was written is kept",
}
"""What each exit code says."""


class Commands(click.Group):
    """The file name is the registry: ``cli/fit.py`` holds ``ftax fit`` as its ``command``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; raises `InputError` for another, with the nearest."""
        if not ctx.resilient_parsing and not args[0].startswith("-"):
            plugins.check(args[0], self.list_commands(ctx), what="command")
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), said) for code, said in EXITS.items()])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return plugins.names(__name__)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported only now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ftax_model.__version__, prog_name="ftax")
def ftax() -> None:
    """Predict inference latency, its regime and the framework/compute crossover batch size.

    Measure with `collect`, learn with `fit`, ask with `predict` and `crossover`. `ftax demo` does it all here, on this
    machine.

        ftax predict --architecture bert --preset bert-mini --batch-size 1,8
    """


def run() -> int:
    """`main` as a process of its own: it looks for garbage seldom, and not at all when it ends."""
    gc.set_threshold(200_000, 20, 20)
    code = main()
    try:
        sys.stdout.flush()
    except OSError:  # told by now; what is left in the buffer goes nowhere, or Python would end with another code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    gc.freeze()
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, one of `EXITS`."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it tells users of trained models what means nothing here
    with warnings.catch_warnings():
        warnings.simplefilter("always", DatasetWarning)
        warnings.showwarning = _one_line
        try:
            code = ftax.main(None if arguments is None else [*arguments], prog_name="ftax", standalone_mode=False)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except FtaxError as error:
            return _refuse(str(error))
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
        except click.ClickException as error:
            return _refuse(error.format_message())
        except (KeyboardInterrupt, click.Abort):
            click.echo(EXITS[EXIT_INTERRUPTED], err=True)
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return _refuse(f"what is told finds room; got {error.strerror}; make room and ask again")
    return 0


def _refuse(message: str) -> int:
    with suppress(OSError):  # the code tells, where there is no room for the line
        click.echo(f"ftax: {printable(' '.join(message.split()))}", err=True)
    return EXIT_BAD_INPUT


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    with suppress(OSError):
        click.echo(f"ftax: warning: {printable(' '.join(str(message).split()))}", err=True)
