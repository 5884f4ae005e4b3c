"""Write the verdicts on the paper's claims into docs/claims.md, and how many there are into README.md, between marks.

    .venv/bin/python scripts/claims_table.py

The text around them is written by hand. ``--check`` writes nothing and exits with 1 where they are not what
``ftax claims`` gives of the paper and all datasets that come along.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ftax_model import claims, files

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- claims: verdicts -->\n", "<!-- claims: end -->"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is not what the command gives.")
def main(check: bool) -> None:
    verdicts = claims.judge(claims.shipped())
    stale = False
    for name, text in (("docs/claims.md", claims.markdown(verdicts)), ("README.md", counts(verdicts))):
        before = (ROOT / name).read_text(encoding="utf-8")
        own = f"{BEGIN}\n{text}\n\n{END}"
        after = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _, own=own: own, before, flags=re.S)
        stale |= after != before
        if not check:
            files.write(ROOT / name, after.encode())
    sys.exit(check and stale)


def counts(verdicts: Sequence[claims.Verdict]) -> str:
    """A table of how many claims hold and fail on each dataset."""
    found = Counter((one.dataset, one.verdict) for one in verdicts if ", " not in one.dataset)
    lines = [f"| dataset | {' | '.join(claims.VERDICTS)} |", f"|---{'|---' * len(claims.VERDICTS)}|"]
    lines += [
        f"| `{name}` | {' | '.join(str(found[name, one]) for one in claims.VERDICTS)} |"
        for name in dict.fromkeys(dataset for dataset, _ in found)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
