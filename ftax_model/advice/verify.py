"""Verify: what advice claims, measured on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ftax_model.advice.changes import Call, Claim
from ftax_model.advice.place import Place
from ftax_model.collection import runner
from ftax_model.collection.runner import Progress
from ftax_model.device import detect
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Measurement
from ftax_model.modeling.platforms.known import kind_of
from ftax_model.tracing.sources import Source
from ftax_model.workload import Workload

FIRST = 3
"""Claims that are measured, from the first that can be."""


@dataclass(frozen=True)
class Verified:
    """A claim, and the seconds that were measured before and after the change."""

    claim: Claim
    before_s: float
    after_s: float

    @property
    def ratio(self) -> float:
        """The measured latency after over that before."""
        return self.after_s / self.before_s

    @property
    def holds(self) -> bool:
        """Whether that lies in the interval that was claimed."""
        return self.claim.change.low <= self.ratio <= self.claim.change.high


def verify(
    claims: Iterable[Claim], place: Place, *, first: int = FIRST, on_progress: Progress | None = None
) -> list[Verified]:
    """Measure the calls of the ``first`` claims that can be measured, each call once, in processes of their own.

    Calls that fail here, in frameworks that are not installed for example, are passed over, and the next claims take
    their place. Raises `InputError` where the advice is for another machine, `DataError` where no call can be measured.
    """
    machine = detect(kind_of(place.device))
    if machine.name != place.device:
        raise InputError("advice is verified on the machine it is for", place.device, "leave --device out")
    found: list[Verified] = []
    seen: dict[Call, Measurement | None] = {}
    for claim in claims:
        if claim.calls is None or any(_workload(call) is None for call in claim.calls):
            continue
        for call in claim.calls:
            if call not in seen:
                seen[call] = _measured(call, machine.kind, place.threads, on_progress)
        before, after = (seen[call] for call in claim.calls)
        if before and after and before.latency_s and after.latency_s:
            found.append(Verified(claim, before.latency_s, after.latency_s))
        if len(found) == first:
            break
    if not found:
        reasons = sorted({one.reason for one in seen.values() if one and one.reason})
        raise DataError("a claim is verified where both calls run", "; ".join(reasons) or "none", "see ftax doctor")
    return found


def _workload(call: Call) -> Workload | None:
    model = call.model
    if isinstance(model, Source):
        return model.workload().with_batch_size(call.batch_size) if model.workload else None
    return model.with_batch_size(call.batch_size)


def _measured(call: Call, device: str, threads: int, on_progress: Progress | None) -> Measurement | None:
    workload = _workload(call)
    assert workload is not None
    found = runner.measure(
        [workload],
        [call.framework],
        threads=[threads],
        device=device,
        trust=True,  # or it would not have been traced
        on_progress=on_progress,
    )
    return found[0] if found else None
