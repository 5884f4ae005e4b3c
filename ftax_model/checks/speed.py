"""Whether a device runs as fast as it is known to, or as another one is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, by_platform, predictor_for
from ftax_model.modeling.platforms.known import COLUMNS, design, kind_of

FEWEST = 30
"""Rows that tell one device from another."""

BETTER = 0.75
"""Part of the error under its own name that a device has under another's, below which it is odd."""

CLOSE = math.log(1.35)
"""Log error under the other name above which that one is not it either."""


class Speed(Check[Measured]):
    """Devices that are known, against the laws of all known ones of their kind."""

    kind = Measured
    looks_at = "latencies that are those of another known device than the one they are said to be of"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By device, all of its platforms together: each alone may be alike on two machines."""
        for name, part in seen.rows.groupby("device") if len(seen.rows) else ():
            device = str(name)
            predictor = predictor_for("cpu") if kind_of(device) == "cpu" else None
            known = {fit.platform: fit.law for fit in predictor.fits_} if predictor else {}
            devices = {platform.device for platform in known}
            if device not in devices:
                continue
            errors: dict[str, list[pd.Series[float]]] = {name: [] for name in devices}
            for platform, rows in by_platform(part):
                held = rows[rows[list(COLUMNS)].notna().all(axis=1)]
                laws = {one.device: law for one, law in known.items() if _alike(one, platform)}
                if set(laws) != devices or held.empty:
                    continue
                for name, law in laws.items():
                    errors[name].append(np.log(held["latency_s"] / law.predict(design(held))).abs())
            if sum(map(len, errors[device])) < FEWEST:
                continue
            error = {name: float(pd.concat(own).median()) for name, own in errors.items()}
            best = min(error, key=error.__getitem__)
            if best != device and error[best] < min(BETTER * error[device], CLOSE):
                count, own = sum(map(len, errors[device])), error[device]
                saw = f"{device} is as fast as {best}: {error[best]:.0%} off that law, {own:.0%} off its own"
                do = f"was it {best}? then it has the wrong name"
                yield self.odd(saw, do, count=count, of=len(part), example=str(part["key"].iloc[0]))


def _alike(one: object, other: object) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("framework", "dtype", "threads"))
