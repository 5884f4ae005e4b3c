"""Whether a plan measures what can be learnt from, and what this machine can run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ftax_model.checks._base import Check, Finding
from ftax_model.checks._seen import Planned

FEWEST_SIZES, FEWEST_MODELS = 3, 4


class Cells(Check[Planned]):
    """The cells of a plan on the CPU at hand."""

    kind = Planned
    looks_at = "threads beyond the cores, sweeps of fewer than three batch sizes, few models"

    def find(self, seen: Planned) -> Iterator[Finding]:
        """Over all cells."""
        cells = seen.plan.cells(seen.here)
        over = [cell.key for cell in cells if cell.threads > seen.here.cores]
        if over:
            most = max(cell.threads for cell in cells)
            saw = f"{most} threads, and this machine has {seen.here.cores} cores"
            yield self.odd(saw, "ask for fewer, or run it elsewhere", count=len(over), of=len(cells), example=over[0])
        sizes: dict[object, set[int]] = defaultdict(set)
        for cell in cells:
            sizes[cell.workload.curve, cell.platform].add(cell.workload.batch_size)
        short = [curve for curve, own in sizes.items() if len(own) < FEWEST_SIZES]
        if len(short) > len(sizes) / 2:
            saw = f"sweeps of fewer than {FEWEST_SIZES} batch sizes"
            do = "no crossover shows in them: list more, as [1, 4, 16, 64]"
            yield self.odd(saw, do, count=len(short), of=len(sizes))
        models = {cell.workload.model for cell in cells}
        if len(models) < FEWEST_MODELS:
            saw, do = f"{len(models)} models", "a fit of so few says nothing of others: list more"
            yield self.odd(saw, do, count=len(models), of=len(models))
