"""What checks look at: a dataset, a predictor or a plan, and what several checks need to know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ftax_model import dataset
from ftax_model.collection.plan import Plan
from ftax_model.device import Device
from ftax_model.errors import FtaxError
from ftax_model.measurement import Measurement, Platform
from ftax_model.modeling.estimators.regime import RegimeModel
from ftax_model.modeling.platforms.known import COLUMNS, design, kind_of, law, platform_of
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, LatencyPredictor
from ftax_model.modeling.rows import PLATFORM, WORKLOAD
from ftax_model.operators import FEATURES
from ftax_model.workload import Workload

FEWEST_FOR_A_LAW = 12
"""Rows of a platform from which a law of its own can be fitted, where none is known of another."""

SWEEP = ("curve", *PLATFORM, "repeat")
"""Columns that one batch sweep shares."""

SMALL: Mapping[str, Mapping[str, Any]] = {
    "mlp": {},
    "feedforward": {},
    "conv2d": {},
    "depthwise-conv2d": {},
    "bert": {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512, "vocab_size": 1024},
}
"""Models that are quickly traced, of the operators that most models are made of."""

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

INSTRUCTIONS = r",? (avx|amx|asimd|sve|bf16)[\w-]*"


@dataclass(frozen=True)
class Seen:
    """Something in a file, by the ``name`` it was asked for."""

    kind: ClassVar[str] = ""
    name: str


@dataclass(frozen=True)
class Measured(Seen):
    """A dataset: its measurements in the order of the file, and the time now, in UTC."""

    kind = "dataset"
    measurements: tuple[Measurement, ...] = field(repr=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def good(self) -> tuple[Measurement, ...]:
        """Those that were measured."""
        return tuple(one for one in self.measurements if one.status == "ok")

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The frame of those, a row each, in their order, with ``workload``, a number that records of one share."""
        table = dataset.frame(self.measurements)
        rows = table[table["status"] == "ok"].reset_index(drop=True)
        if rows.empty:
            return rows
        rows = rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce") for name in FEATURES})
        return rows.assign(workload=rows.groupby(list(WORKLOAD), dropna=False, sort=False).ngroup())

    @cached_property
    def environment(self) -> pd.DataFrame:
        """What records say of where they were measured, a row for each of ``rows``; None where they do not say it."""
        return pd.DataFrame([_place(one) for one in self.good], columns=_PLACE, index=self.rows.index, dtype=object)

    def platforms(self) -> Iterator[tuple[Platform, pd.DataFrame]]:
        """Each platform with its rows."""
        return by_platform(self.rows)

    @cached_property
    def off(self) -> pd.Series[float]:
        """Log of each latency over what a law says of it, of a machine alike where one is known; nan without a law.

        Where none is known, the law is fitted to the platform's own rows. `whole` tells the two apart.
        """
        return self._laws[0]

    @cached_property
    def whole(self) -> dict[Platform, float]:
        """Median of ``off`` of each platform whose framework is known on other machines."""
        return self._laws[1]

    @cached_property
    def _laws(self) -> tuple[pd.Series[float], dict[Platform, float]]:
        off = pd.Series(np.nan, index=self.rows.index, dtype=float)
        whole: dict[Platform, float] = {}
        for platform, part in self.platforms():
            rows = part[part[[name for name in COLUMNS if name in part]].notna().all(axis=1)]
            known = _known_law(platform) if len(rows) else None
            if known is None and len(rows) < FEWEST_FOR_A_LAW:
                continue
            said = (known or _own_law(rows)).predict(design(rows))
            off[rows.index] = np.log(rows["latency_s"].to_numpy(float) / np.maximum(said, _LEAST_S))
            if known is not None:
                whole[platform] = float(off[rows.index].median())
        return off, whole


@dataclass(frozen=True)
class Fitted(Seen):
    """A predictor, the device at hand (None where it is not to be held against it), and rows measured, if any."""

    kind = "predictor"
    predictor: LatencyPredictor = field(repr=False)
    here: Device | None = None
    against: Measured | None = field(default=None, repr=False)

    @cached_property
    def sweeps(self) -> pd.DataFrame:
        """Predictions of a few small models at many batch sizes, on every platform that the predictor was fitted to.

        Of GPUs, on one of them. Columns are those of `LatencyPredictor.predict`.
        """
        on: dict[str, Any] = {}
        if not self.predictor.fits_ and self.predictor.gpus_:
            on = {"device": next(iter(self.predictor.gpus_.values())).machines[0].device}
        dtypes = {fit.platform.dtype for fit in self.predictor.fits_} or {"float32"}
        asked = [Workload(name, settings, dtype=dtype) for dtype in sorted(dtypes) for name, settings in SMALL.items()]
        return self.predictor.predict(asked, batch_sizes=SIZES, crossovers=False, **on)


@dataclass(frozen=True)
class Planned(Seen):
    """A plan, and the device at hand."""

    kind = "plan"
    plan: Plan = field(repr=False)
    here: Device


def by_platform(rows: pd.DataFrame) -> Iterator[tuple[Platform, pd.DataFrame]]:
    """Each platform in a frame with its rows; none where there are no rows."""
    for _, part in rows.groupby(list(PLATFORM)) if len(rows) else ():
        yield platform_of(part), part


@cache
def predictor_for(kind: str) -> LatencyPredictor | None:
    """The predictor that ships for a kind of device; None where none does."""
    name = {"cpu": SHIPPED, "cuda": PUBLISHED}.get(kind)
    return LatencyPredictor.load(name) if name else None


def _known_law(platform: Platform) -> RegimeModel | None:
    """The law of the platform most alike among those that ship, in the same framework; None where there is none."""
    kind = kind_of(platform.device)
    predictor = predictor_for(kind)
    if predictor is None:
        return None
    if kind == "cuda":
        try:
            return predictor.select(framework=platform.framework, device=platform.device, dtype=platform.dtype)[0].law
        except FtaxError:
            return None
    alike = [one for one in predictor.fits_ if one.platform.framework == platform.framework]
    wanted = ("device", "dtype", "threads")
    alike.sort(key=lambda one: [getattr(one.platform, name) == getattr(platform, name) for name in wanted])
    return alike[-1].law if alike else None


def _own_law(rows: pd.DataFrame) -> RegimeModel:
    """The law of a platform of which nothing is known, fitted to its own rows."""
    some = rows.sample(min(len(rows), _ENOUGH), random_state=0)
    return law(some).fit(design(some), some["latency_s"].to_numpy(float))


_LEAST_S = 1e-9  # of what a law says
_ENOUGH = 300  # rows that a law is fitted to

_PLACE = ("device_model", "host_cpu", "cores", "affinity", "framework_version", "torch", "sitting", "limit_s")


def _place(one: Measurement) -> tuple[Any, ...]:
    """What a record says of where it was measured, in the order of `_PLACE`; None for what it does not say."""
    said = one.environment
    affinity, versions, protocol = (said.get(name) for name in ("affinity", "versions", "protocol"))
    return (
        plain_model(said.get("device_model")),
        plain_model(said.get("host_cpu")),
        said.get("cores") if isinstance(said.get("cores"), int) else None,
        len(affinity) if isinstance(affinity, list) else None,
        _text(said.get("framework_version")),
        _text(versions.get("torch")) if isinstance(versions, Mapping) else None,
        _text(said.get("sitting")),
        protocol.get("limit_s") if isinstance(protocol, Mapping) else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def key_at(rows: pd.DataFrame, at: Any) -> str:
    """The key of the row of that index."""
    return str(rows["key"][at])


def without_others(values: pd.Series[float]) -> pd.Series[float]:
    """Each value less the median of the others; nan where there are fewer than two others."""
    own = values.to_numpy(float)
    if np.isfinite(own).sum() < 3:
        return pd.Series(np.nan, index=values.index)
    found = [one - np.nanmedian(np.delete(own, at)) for at, one in enumerate(own)]
    return pd.Series(found, index=values.index)


def plain_model(model: Any) -> str | None:
    """A CPU's name without the sets of instructions that later versions note behind it.

    >>> plain_model("AMD EPYC (family 25, model 17, avx2, avx512)")
    'AMD EPYC (family 25, model 17)'
    """
    return re.sub(INSTRUCTIONS, "", model).strip() if isinstance(model, str) else None


def times_more(ratio: float) -> str:
    """A ratio in words.

    >>> times_more(1234.5), times_more(0.02)
    ('1,234 times as long', '50 times as short')
    """
    return f"{ratio:,.4g} times as long" if ratio >= 1 else f"{1 / ratio:,.4g} times as short"
