"""Whether a platform is of one version of its framework."""

from __future__ import annotations

from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Measured


class Versions(Check[Measured]):
    """Versions of the framework, and of torch, within a platform."""

    kind = Measured
    looks_at = "versions of the framework or of torch that differ within one platform"

    def find(self, seen: Measured) -> Iterator[Finding]:
        """By platform."""
        for platform, part in seen.platforms():
            said = seen.environment.loc[part.index]
            for column, what in (("framework_version", platform.framework), ("torch", "torch")):
                counts = said[column].value_counts()
                if len(counts) < 2 or (column == "torch" and said["framework_version"].nunique() > 1):
                    continue
                fewest = part[said[column] == counts.index[-1]]
                listed = ", ".join(f"{version} ({count:,} rows)" for version, count in counts.items())
                saw = f"{platform}: {what} {listed}"
                do = "one platform is one version: fit them apart, or measure all of it with one"
                yield self.odd(saw, do, count=len(fewest), of=len(part), example=str(fewest["key"].iloc[0]))
