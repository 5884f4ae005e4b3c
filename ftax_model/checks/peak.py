"""Whether anything ran faster than its device can, or absurdly far below it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured, key_at
from ftax_model.device import rates

ABOVE = 2.25
"""Times the peak that cannot be: what a Winograd convolution saves of its multiplications."""

BELOW = 1e-6
"""Part of the peak below which calls of many MACs do not lie."""

MANY_MACS = 1e9


class Peak(Check[Measured]):
    """MACs per second against the peak in the device file."""

    kind = Measured
    looks_at = "MACs per second above the peak in the device file, or absurdly far below it"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By platform."""
        for platform, part in seen.platforms():
            told = rates(platform.device, platform.dtype, platform.threads)
            if told is None or "macs" not in part:
                continue
            peak = max(told.macs, told.convolution_macs)
            share = (part["macs"].astype(float) / part["latency_s"] / peak).dropna()
            do = "latencies too short, MACs too large (FLOPs are twice as many), or another device: look at them"
            yield from self._told(part, share[share > ABOVE], platform.device, "above", do, wrong=True)
            yield from self._told(part, share[(share > 1) & (share <= ABOVE)], platform.device, "above", do)
            slow = share[(share < BELOW) & (part["macs"] > MANY_MACS)]
            do = "latencies too long (milliseconds for seconds?), or MACs too small: look at these records"
            yield from self._told(part, slow, platform.device, "below", do, wrong=True)

    def _told(
        self, part: pd.DataFrame, share: pd.Series[float], device: str, side: str, do: str, *, wrong: bool = False
    ) -> Iterator[Finding]:
        if share.empty:
            return
        farthest, at = (share.max(), share.idxmax()) if side == "above" else (share.min(), share.idxmin())
        saw = f"rows run {side} what can be, at {farthest:.3g} times the peak MACs/s of {device}"
        telling = self.wrong if wrong else self.odd
        yield telling(saw, do, count=len(share), of=len(part), example=key_at(part, at))
