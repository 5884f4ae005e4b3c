"""Vulnerabilities and licences of everything that constraints.txt pins; called by scripts/audit."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".venv-audit" / "bin"

REFUSED = re.compile(r"(?<!L)(?<!Lesser )(?<!Library )(AGPL|GPL|GNU (Affero )?General Public)", re.IGNORECASE)
"""Licences that would bind programs that import this package."""
TOLD_ELSEWHERE = {"atheris": "Apache-2.0"}
"""Licences of packages whose metadata lacks them, as their sources state them."""


def vulnerabilities(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """From pip-audit's report a line for each vulnerability, and the packages that no database was asked of."""
    found, unknown = [], []
    for one in report["dependencies"]:
        if "skip_reason" in one:
            unknown.append(one["name"])
        for own in one.get("vulns", []):
            mended = ", ".join(own["fix_versions"]) or "no version yet"
            found.append(f"{one['name']} {one['version']}: {own['id']}, mended in {mended}")
    return found, unknown


def licences(report: Iterable[dict[str, str]], needed: set[str]) -> tuple[Counter[str], list[str]]:
    """From pip-licenses' report the licences by count, and those that packages ``needed`` at run time must not have."""
    told = {canonicalize_name(one["Name"]): one["License"].split("\n")[0][:60] for one in report}
    told |= {name: licence for name, licence in TOLD_ELSEWHERE.items() if name in told}
    bad = [
        f"{name}: {licence}"
        for name, licence in sorted(told.items())
        if name in needed and (REFUSED.search(licence) or licence == "UNKNOWN")
    ]
    return Counter(told.values()), bad


def needed(name: str = "ftax-model") -> set[str]:
    """Names of all distributions that one needs at run time, itself included."""
    found, waiting = set[str](), [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            asked = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where nothing is known to be wrong, 1 where something is, 2 where no database could be asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--licences", action="store_true", help="licences alone, which needs no network")
    asked = parser.parse_args(arguments)
    report = _json("pip-licenses", "--python", sys.executable, "--from", "mixed", "--format", "json")
    counts, refused = licences(report, needed())
    for licence, count in counts.most_common():
        print(f"{count:4}  {licence}")
    for line in refused:
        print(f"not to be needed at run time: {line}")
    if asked.licences:
        return int(bool(refused))
    report = _json("pip-audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json")
    found, unknown = vulnerabilities(report)
    for line in found:
        print(f"vulnerable: {line}")
    if unknown:
        law, cure = "audit: each package is looked up in a database of vulnerabilities", "reach pypi.org, and run again"
        print(f"{law}; got no answer for {len(unknown)} of {len(report['dependencies'])}; {cure}", file=sys.stderr)
        return 2
    looked_up = len(report["dependencies"])
    print(f"{looked_up} packages looked up, {len(found)} vulnerabilities, {len(refused)} licences refused")
    return int(bool(found or refused))


def _json(tool: str, *arguments: str) -> Any:
    ended = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        return json.loads(ended.stdout)
    except ValueError:
        why = (ended.stderr.strip().splitlines() or ["nothing"])[-1]
        sys.exit(f"audit: {tool} prints a report as JSON; got {why}; see what {TOOLS / tool} prints, and mend that")


if __name__ == "__main__":
    sys.exit(main())
