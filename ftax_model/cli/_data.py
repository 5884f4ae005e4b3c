"""Datasets that a command names, read with a bar that says how far it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftax_model.cli import _print

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.measurement import Measurement


MOST_SHOWN = 20_000
"""Measurements of which all are shown in a report."""


def table(names: Iterable[str], *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The frames of datasets, named or given by path, as one; raises as `ftax_model.dataset.load_dataset`."""
    import pandas as pd

    from ftax_model.dataset import load_dataset

    found = []
    for name in names:
        with _print.counting(f"reading {Path(name).name}") as tell:
            found.append(load_dataset(name, columns=columns, tell=tell))
    return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]


def drawn(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are learnt from or judged, of so many that not all are; a note says so."""
    from ftax_model.modeling.rows import MOST, drawn

    kept = drawn(rows)
    if len(kept) < len(rows):
        said = f"whole sweeps drawn at random, at most {MOST:,} rows of a platform"
        _print.say(f"note: {len(kept):,} of {len(rows):,} rows are looked at: {said}", err=True)
    return kept


def measurements(names: Sequence[str]) -> tuple[list[Measurement], str]:
    """The records of datasets, named or given by path, and what is to be said of them; as `ftax_model.dataset.read`.

    Of more than `MOST_SHOWN` whole sweeps are drawn at random.
    """
    from ftax_model import dataset
    from ftax_model.modeling.rows import drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dataset.DatasetWarning)  # reading says it again
        counts = [dataset.overview(name) for name in names]
    count, keys, note = sum(one["measurements"] + one["failed"] for one in counts), None, ""
    if count > MOST_SHOWN:
        rows = drawn(table(names, columns=["key", "curve"]), most=MOST_SHOWN, each=())
        keys, note = frozenset(rows["key"]), f"{len(rows):,} of {count:,} rows, whole sweeps drawn at random"
    found = []
    for name in names:
        with _print.counting(f"reading {Path(name).name}") as tell:
            found += dataset.read(dataset.find(name), keys=keys, tell=tell)
    return found, note
