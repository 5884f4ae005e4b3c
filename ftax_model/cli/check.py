"""``ftax check``: whether a dataset, a predictor or a plan can be trusted, and what is odd about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftax_model.cli import EXIT_NO, _complete, _options, _print

if TYPE_CHECKING:
    from ftax_model.checks import Looked


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

    if listed:
        known = {name: checks.load(name) for name in checks.names()}
        rows = [{"check": name, "of a": one.kind.kind, "looks for": one.looks_at} for name, one in known.items()]
        if as_json:
            _print.as_json(rows)
        else:
            _print.table(rows, dict.fromkeys(rows[0]))
        return 0
    with _print.working("looking"):
        found = checks.looked(what, against=against, only=only.split(",") if only else None)
    if as_json:
        of = [{"name": one.seen.name, "kind": one.seen.kind, "checks": one.checks} for one in found]
        named = [({"name": one.seen.name, "kind": one.seen.kind}, finding) for one in found for finding in one.findings]
        _print.answers("checked", [{**name, **finding.to_record()} for name, finding in named], notes=[], of=of)
    else:
        for one in found:
            _show(one)
    odd = any(finding.level != checks.FINE for one in found for finding in one.findings)
    return EXIT_NO if odd else 0


def _show(looked: Looked) -> None:
    """A paragraph for each finding, and in a line how many checks looked at what."""
    for one in looked.findings:
        share = f" ({one.count:,} of {one.of:,})" if one.of > 1 else ""
        _print.say(f"{one.level}: {one.check}: {one.saw}{share}")
        if one.example and one.example not in one.saw:
            _print.say(f"    for example {one.example}")
        if one.do:
            _print.say(f"    {one.do}")
    levels = [one.level for one in looked.findings]
    told = [f"{levels.count(level)} {level}" for level in ("wrong", "odd") if level in levels]
    many = f"{len(looked.checks)} check{'s' * (len(looked.checks) != 1)}"
    _print.say(f"{looked.seen.name}, a {looked.seen.kind}: {' and '.join(told) or 'nothing odd'}; {many} looked at it")
