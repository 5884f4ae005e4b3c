"""Whether a calibration is of the machine, the versions and the threads that it is used with."""

from __future__ import annotations

from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Fitted, key_at
from ftax_model.modeling.platforms import mine

RUNTIMES = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Packages of frameworks that are none of torch's."""


class Stale(Check[Fitted]):
    """What a calibration says it was made with, against what is here, and against what rows were measured with."""

    kind = Fitted
    looks_at = "a calibration used with another torch, runtime, thread count or host than it was made with"

    def find(self, seen: Fitted) -> Iterator[Finding]:
        """Of a predictor that does not say what it was made with, nothing."""
        about = seen.predictor.about_
        if about and seen.here is not None:
            for why in mine.stale(about, seen.here):
                yield self.odd(why, "calibrate again: ftax calibrate", example=str(about.get("device", "")))
            over = [fit.platform for fit in seen.predictor.fits_ if _over(fit.platform, about, seen.here.cores)]
            if over:
                saw = f"of {over[0].threads} threads, and this machine has {seen.here.cores} cores"
                do = "use it on as many cores as it was made on, or calibrate again"
                yield self.odd(saw, do, count=len(over), of=len(seen.predictor.fits_), example=str(over[0]))
        if about and seen.against is not None:
            yield from self._measured(seen, about.get("versions", {}))

    def _measured(self, seen: Fitted, versions: object) -> Iterator[Finding]:
        assert seen.against is not None
        place, rows = seen.against.environment, seen.against.rows
        for package in ("torch", *RUNTIMES):
            known = versions.get(package) if isinstance(versions, dict) else None
            ours = place["torch"] if package == "torch" else place["framework_version"][rows["framework"] == package]
            other = ours.dropna()[ours.dropna().map(lambda version, known=known: not _same(version, known))]
            if known and len(other):
                saw = f"it was made with {package} {known}, rows were measured with {other.iloc[0]}"
                do = "calibrate with the version that is used, or measure with that one"
                key = key_at(rows, other.index[0])
                yield self.odd(saw, do, count=len(other), of=len(ours), example=key)


def _over(platform: object, about: object, cores: int) -> bool:
    """Whether a platform of the calibrated device has more threads than there are cores."""
    device = about.get("device") if isinstance(about, dict) else None
    return getattr(platform, "device", None) == device and getattr(platform, "threads", 0) > cores


def _same(version: str, known: str | None) -> bool:
    """Whether two versions are one, a build of it aside."""
    return known is not None and version.partition("+")[0] == known.partition("+")[0]
