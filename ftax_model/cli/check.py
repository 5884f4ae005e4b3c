"""``ftax check``: whether a dataset, a predictor or a plan can be trusted, and what is odd about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ftax_model.cli import EXIT_NO, _complete, _options

if TYPE_CHECKING:
    from ftax_model.checks import Finding


@click.command("check", short_help="What is odd about a dataset, a predictor or a plan.")
@click.argument("what", required=False, shell_complete=_complete.checked)
@click.option("--against", metavar="DATASET", help="Of a predictor: rows measured, which it is held against.")
@click.option("--only", default=None, help="These checks alone, with commas.")
@click.option("--list", "listed", is_flag=True, help="The checks, and what each looks at.")
@_options.as_json
def command(what: str | None, against: str | None, only: str | None, listed: bool, as_json: bool) -> int:
    """Look for what is wrong but plausible in WHAT, a dataset, predictor or plan, by name or by path.

        ftax check nvidia-h200 --only clocks,labels

    Without WHAT it is this machine's calibration, held against this machine. A finding is odd (it may have a good
    reason) or wrong (it cannot be what it says it is). Exits with 1 where there is any.
    """
    from ftax_model import checks
    from ftax_model.cli import _print

    if listed:
        rows = [{"check": name, "of a": checks.load(name).kind.kind, "looks for": checks.load(name).looks_at}
                for name in checks.names()]  # fmt: skip
        if as_json:
            _print.as_json(rows)
        else:
            _print.table(rows, dict.fromkeys(rows[0]))
        return 0
    chosen = only.split(",") if only else checks.names()
    with _print.working("looking"):
        found = [(seen, checks.look(seen, only=chosen)) for seen in checks.see(what, against=against)]
    bad = [finding for _, findings in found for finding in findings if finding.level != checks.FINE]
    if as_json:
        own = [
            {"name": seen.name, "kind": seen.kind, **one.to_record()} for seen, findings in found for one in findings
        ]
        of = [{"name": seen.name, "kind": seen.kind, "checks": checks.of(seen, chosen)} for seen, _ in found]
        _print.answers("checked", own, notes=[], of=of)
    else:
        for seen, findings in found:
            _show(seen.name, seen.kind, findings, len(checks.of(seen, chosen)))
    return EXIT_NO if bad else 0


def _show(name: str, kind: str, findings: Sequence[Finding], looked: int) -> None:
    """One thing, a paragraph a finding, and in a line how many checks looked at it."""
    for one in findings:
        share = f" ({one.count:,} of {one.of:,})" if one.of > 1 else ""
        click.echo(f"{one.level}: {one.check}: {one.saw}{share}")
        if one.example and one.example not in one.saw:
            click.echo(f"    for example {one.example}")
        if one.do:
            click.echo(f"    {one.do}")
    levels = [one.level for one in findings]
    told = [f"{levels.count(level)} {level}" for level in ("wrong", "odd") if level in levels]
    click.echo(f"{name}, a {kind}: {' and '.join(told) or 'nothing odd'}; {looked} checks looked at it")
