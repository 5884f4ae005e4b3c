"""Table 3: the faster a framework, the more of the GPU it keeps busy."""

from __future__ import annotations

import math

from ftax_model.claims._base import Case, Claim, beside
from ftax_model.claims._seen import Seen
from ftax_model.claims.table_3_ladder import Table3Ladder as _Ladder
from ftax_model.claims.table_3_ladder import of_bert
from ftax_model.dataset import by_name


class Table3FasterFrameworksUseMoreOfTheGpu(Claim):
    """Pairs of frameworks, by latency and by the share of the GPU that works."""

    statement = "Of BERT-Base at batch 1, frameworks that are faster keep more of the GPU busy"
    source = "table 3, share of SMs active"
    test = (
        "a case is two frameworks whose latencies differ beyond the floor: the faster one has the higher share, of SMs "
        "active in the paper, of time that the device is busy elsewhere"
    )
    lacking = (
        "no BERT-Base with 128 tokens at batch 1 on a GPU in two frameworks with clocks of their own for the device"
    )
    alone = True
    plan = _Ladder.plan[1:]

    def cases(self, seen: Seen) -> list[Case]:
        """The faster beside the slower framework: the difference of their shares."""
        rows = of_bert(seen)
        rows = rows[rows["busy"].notna()]
        found = []
        for row in by_name(beside(rows, rows, but=["framework"])):
            ratio = math.log(row["latency_s"] / row["latency_s_other"])
            if ratio >= 0:
                continue
            noise = seen.apart(row["framework"], row["framework_other"])
            gain = row["busy"] - row["busy_other"]
            what = f"share of {row['framework']} less that of {row['framework_other']}, {row['dtype']}"
            bears = gain > 0 if -ratio > noise else None
            found.append(Case(what, row["architecture"], gain, gain, gain, bears))
        return found
