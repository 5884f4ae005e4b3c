"""Claims of the paper, each tested on measurements: one file a claim, the file name is the registry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from ftax_model import dataset, plugins
from ftax_model.claims import _seen
from ftax_model.claims._base import NOT_TESTABLE, VERDICTS, Claim, Verdict
from ftax_model.claims._paper import NAME as PAPER
from ftax_model.collection import plan, runner
from ftax_model.collection.runner import Progress, Summary
from ftax_model.device import detect
from ftax_model.errors import InputError

__all__ = [
    "PAPER",
    "VERDICTS",
    "Claim",
    "Verdict",
    "decided",
    "judge",
    "load",
    "markdown",
    "measure",
    "names",
    "plan_for",
    "shipped",
]

REPEATED = (
    {"architecture": "mlp", "num_layers": [4, 16], "hidden_size": 64, "batch_size": [1, 4, 16, 64], "repeats": 2},
)
"""What is measured in two processes, for the repeatability floor."""


def names() -> list[str]:
    """All claims, sorted."""
    return plugins.names(__name__)


@cache
def load(name: str) -> Claim:
    """The claim of that name; raises `InputError` for a name that is not there."""
    claim = plugins.load(__name__, name)()
    assert isinstance(claim, Claim)
    return claim


def shipped() -> list[str]:
    """What `judge` takes by name: the transcribed paper and the datasets that come with the project."""
    return [PAPER, *dataset.names()]


def judge(datasets: Sequence[str | os.PathLike[str]], *, only: Iterable[str] | None = None) -> list[Verdict]:
    """The verdict of each dataset on each claim, claim by claim, or on those of ``only``.

    ``datasets`` are names (`shipped`) or paths. A claim that compares devices has one verdict, of all of them together.
    Raises `InputError` where no dataset is named, one comes twice, or a claim is unknown, `DataError` where a dataset
    cannot be read or holds nothing that was measured.
    """
    wanted = [str(name) for name in datasets]
    if not wanted:
        raise InputError("claims are judged by datasets", "none", f"name some: {', '.join(shipped())}")
    twice = next((name for name in wanted if wanted.count(name) > 1), None)
    if twice:
        raise InputError("a dataset is judged once", f"{twice} twice", "name it once")
    chosen = names() if only is None else list(only)
    claims = {name: load(name) for name in chosen}
    seen = [_loaded(name) for name in wanted]
    together = seen[0] if len(seen) == 1 else _seen.joined(seen)
    return [
        claim.judge(one, name=name) for name, claim in claims.items() for one in ([together] if claim.across else seen)
    ]


def decided(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that are not `NOT_TESTABLE`."""
    return [one for one in verdicts if one.verdict != NOT_TESTABLE]


def plan_for(kind: str, *, only: Iterable[str] | None = None) -> plan.Plan:
    """What the claims need measured on a device of that kind, ``cpu`` or ``cuda``, put together from their own plans.

    What tells the floor comes first, then small models; frameworks that are not the paper's come last. A cell that
    several claims need comes once. Raises `InputError` for an unknown claim.
    """
    grids: list[dict[str, Any]] = []
    for name in names() if only is None else only:
        grids += [dict(one) for one in load(name).plan if one.get("on", kind) == kind and one not in grids]
    content = {
        "description": "what the claims of the paper need",
        "frameworks": [*_seen.THEIRS],
        "order": "given",
        "protocol": {"cell_s": 0.2, "warmup_s": 0.08, "limit_s": 60},
        "workloads": [*REPEATED, *sorted(({k: v for k, v in one.items() if k != "on"} for one in grids), key=_effort)],
    }
    return plan.parse(content, name="claims")


def measure(
    out: str | os.PathLike[str],
    *,
    device: str = "cpu",
    budget_s: float | None = None,
    only: Iterable[str] | None = None,
    on_progress: Progress | None = None,
) -> tuple[Summary, list[Verdict]]:
    """Measure the plan of the claims here, append it to the dataset ``out``, and judge what that holds.

    What the run did comes first: a budget may have stopped it, and another call goes on there.

    ``device`` is a kind, ``cpu`` or ``cuda``; ``budget_s`` as for `ftax_model.collection.runner.collect`, and raises as
    that does and as `judge`.
    """
    only = None if only is None else list(only)
    summary = runner.collect(
        plan_for(detect(device).kind, only=only), out, device=device, budget_s=budget_s, on_progress=on_progress
    )
    return summary, judge([out], only=only)


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Tables of verdicts: a row a claim and a column a dataset, then the claims with what was found.

    The verdict of all datasets together stands in a column of its own.
    """
    if not verdicts:
        return ""
    columns = list(dict.fromkeys(one.dataset for one in verdicts))
    by_claim: dict[str, dict[str, Verdict]] = {}
    for one in verdicts:
        by_claim.setdefault(one.claim, {})[one.dataset] = one
    heads = [f"`{name}`" if ", " not in name else "all together" for name in columns]
    lines = [f"| claim | where | {' | '.join(heads)} |", f"|---|---{'|---' * len(columns)}|"]
    for own in by_claim.values():
        first = next(iter(own.values()))
        said = [own[name].verdict if name in own else "" for name in columns]
        lines.append(f"| {first.statement} | {first.source} | {' | '.join(said)} |")
    for name, own in by_claim.items():
        first = next(iter(own.values()))
        lines += ["", f"**`{name}`**: {first.statement}. In the paper: {first.source}." + _tested(own.values()), ""]
        lines += [f"- {_of(one)}: **{one.verdict}**; {one.reason}." + _shown(one) for one in own.values()]
    return "\n".join(lines)


def _tested(verdicts: Iterable[Verdict]) -> str:
    test = next((str(one.evidence["test"]) for one in verdicts if one.evidence), "")
    return f" Test: {test}." if test else ""


def _of(one: Verdict) -> str:
    return "all together" if ", " in one.dataset else f"`{one.dataset}`"


def _shown(one: Verdict) -> str:
    if one.verdict == NOT_TESTABLE:
        return ""
    found = [
        f"{case['what']}: {_number(case['value'])} ({_number(case['low'])} to {_number(case['high'])})"
        for case in one.evidence["examples"][:2]
    ]
    return f" For example {'; '.join(found)}."


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _loaded(name: str) -> _seen.Seen:
    return _shipped(name) if name in shipped() else _seen.load(name)


_shipped = cache(_seen.load)


def _effort(one: dict[str, Any]) -> tuple[bool, int]:
    """Whether a grid is of frameworks beyond the paper's, which compile for long, and how wide its models are."""
    own = one.get("frameworks", ())
    beyond = not {own} <= {*_seen.THEIRS} if isinstance(own, str) else not {*own} <= {*_seen.THEIRS}
    width = one.get("hidden_size", one.get("channels", 0 if one.get("preset") in ("bert-tiny", "bert-mini") else 768))
    return beyond, max(width) if isinstance(width, list) else int(width)
