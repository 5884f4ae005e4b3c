"""Datasets that a command names, read with a bar that says how far it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ftax_model.cli import _print

if TYPE_CHECKING:
    import pandas as pd

    from ftax_model.measurement import Measurement


def table(names: Iterable[str]) -> pd.DataFrame:
    """The frames of datasets, named or given by path, as one; raises as `ftax_model.dataset.load_dataset`."""
    import pandas as pd

    from ftax_model.dataset import load_dataset

    found = []
    for name in names:
        with _print.counting(f"reading {Path(name).name}") as tell:
            found.append(load_dataset(name, tell=tell))
    return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]


def measurements(names: Iterable[str]) -> list[Measurement]:
    """The records of datasets, named or given by path; raises as `ftax_model.dataset.read`."""
    from ftax_model import dataset

    found = []
    for name in names:
        with _print.counting(f"reading {Path(name).name}") as tell:
            found += dataset.read(dataset.find(name), tell=tell)
    return found
