"""Whether a device is the one that its name says, and one machine alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.device import canonical, cores_of, named
from ftax_model.modeling.platforms.known import kind_of


class Labels(Check[Measured]):
    """Device names against what the records say of the machine."""

    kind = Measured
    looks_at = (
        "device names that the machine's own model contradicts, several machines under one name, cores and threads"
    )

    def find(self, seen: Measured) -> Iterator[Finding]:
        """Names first, then what one name stands for, then cores."""
        rows = seen.rows.join(seen.environment) if len(seen.rows) else seen.rows
        for device, part in rows.groupby("device") if len(rows) else ():
            yield from self._model(str(device), part)
            yield from self._several(str(device), part)
            yield from self._cores(str(device), part)

    def _model(self, device: str, part: pd.DataFrame) -> Iterator[Finding]:
        told = part["device_model"].dropna()
        others = {model for model in told.unique() if not _agree(device, str(model))}
        other = told[told.isin(others)]
        if len(other):
            at = other.index[0]
            do = "give each device its own name; a platform learnt from two of them is neither"
            saw = f"{device} was measured on {other[at]}"
            yield self.wrong(saw, do, count=len(other), of=len(part), example=key_at(part, at))
        if kind_of(device) == "cpu":
            both = part[part["device_model"].notna() & part["host_cpu"].notna()]
            apart = both[both["device_model"] != both["host_cpu"]]
            if len(apart):
                first = apart.iloc[0]
                saw = f"{device} is {first['device_model']}, its host {first['host_cpu']}: a CPU is its own host"
                do = "one of the two was changed: measure again"
                yield self.wrong(saw, do, count=len(apart), of=len(both), example=str(first["key"]))

    def _several(self, device: str, part: pd.DataFrame) -> Iterator[Finding]:
        for column, what in (("device_model", "models"), ("host_cpu", "hosts"), ("cores", "counts of cores")):
            counts = part[column].value_counts()
            if len(counts) > 1:
                least = part[part[column] == counts.index[-1]]
                listed = ", ".join(f"{name} ({count:,})" for name, count in counts.iloc[:3].items())
                saw = f"{device} stands for {len(counts)} {what}: {listed}"
                do = "name machines apart: overhead is the host's, so one name for two makes one wrong"
                yield self.odd(saw, do, count=len(least), of=len(part), example=str(least["key"].iloc[0]))

    def _cores(self, device: str, part: pd.DataFrame) -> Iterator[Finding]:
        told = part[part["cores"].notna()]
        over = told[told["threads"] > told["cores"].astype(float)]
        if len(over):
            first = over.iloc[0]
            saw = f"{first['threads']} threads on {first['cores']} cores"
            do = "threads beyond the cores wait for each other: correct the count, or measure again"
            yield self.wrong(saw, do, count=len(over), of=len(told), example=str(first["key"]))
        held = part[part["affinity"].notna()]
        held = held[held["threads"] > held["affinity"].astype(float)]
        if len(held.index.difference(over.index)):
            first = held.iloc[0]
            saw = f"{first['threads']} threads were held to {first['affinity']} CPUs"
            do = "they waited for each other: give them as many CPUs, or correct the count"
            yield self.wrong(saw, do, count=len(held), of=len(part), example=str(first["key"]))
        named_cores = cores_of(device)
        if named_cores is not None:
            other = told[told["cores"].astype(float) != named_cores]
            if len(other):
                saw = f"{device} was measured on {other['cores'].iloc[0]} cores"
                do = "give it the name of what it was measured on"
                yield self.wrong(saw, do, count=len(other), of=len(told), example=str(other["key"].iloc[0]))


def _agree(device: str, model: str) -> bool:
    """Whether a name may be that of a device of this model; what is not known is believed."""
    kind = kind_of(device)
    if kind not in ("cpu", "cuda"):
        return True
    own, said = canonical(re.sub(r"-\d+core$", "", device)), canonical(named(kind, model))
    bare = re.sub(r"-\d+core$", "", own)
    return own == said or bare == said or bare.startswith(said) or said.startswith(bare)
