"""Write the verdicts on the paper's claims into docs/claims.md, between the lines that mark them.

    .venv/bin/python scripts/claims_table.py

The text around them is written by hand. ``--check`` writes nothing and exits with 1 where they are not what
``ftax claims`` gives of the paper and all datasets that come along.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ftax_model import claims

PAGE = Path(__file__).resolve().parent.parent / "docs" / "claims.md"
BEGIN, END = "<!-- claims: verdicts -->\n", "<!-- claims: end -->"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is not what the command gives.")
def main(check: bool) -> None:
    before = PAGE.read_text(encoding="utf-8")
    text = claims.markdown(claims.judge(claims.shipped()))
    after = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{text}\n\n{END}", before, flags=re.S)
    if check:
        sys.exit(after != before)
    PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
