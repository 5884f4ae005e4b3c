"""Content: the numbers that a report shows, of workloads, of a dataset, or of a predictor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

import ftax_model
from ftax_model import architectures, dataset, plugins
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Measurement, Platform, in_threads
from ftax_model.modeling.judging import evaluation, regimes
from ftax_model.modeling.platforms.known import kind_of, platform_of
from ftax_model.modeling.platforms.platform import BLOCK, PlatformFit
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED, SWEEP, LatencyPredictor, with_features
from ftax_model.modeling.rows import PLATFORM, with_operators
from ftax_model.operators import FEATURES, Trace
from ftax_model.report.card import card
from ftax_model.tracing.sources import Source, find
from ftax_model.workload import Workload

CELL = ("curve", "family", "framework", "device", "batch_size")
"""Columns that name a row of `Content.cells`; ``device`` tells the threads too where they differ."""

PREDICTED = ("predicted_s", "low_s", "high_s", "host_s", "device_s", "regime", "notes")
MEASURED = ("measured_s", "measured_host_s", "measured_device_s")

CROSSOVER = (
    "curve", "family", "framework", "device", "regime", "crossover_batch_size", "crossover_low", "crossover_high",
    "censored", "largest_batch",
)  # fmt: skip

OTHER = "other"
"""Family of models that are in no architecture here."""

Sources = Iterable[Workload | Source]


@dataclass(frozen=True)
class Content:
    """What a report is made of.

    ``cells`` holds one row for each workload, platform and batch size: `CELL`, ``dtype``, `PREDICTED` and `MEASURED`
    (seconds, nan where there is none) and the features of traces; the ``regime`` of what was measured is that of its
    sweep where there is one (`ftax_model.modeling.judging.regimes`).
    ``crossovers`` holds one row for each workload and platform: `CROSSOVER`, ``largest_batch`` being the bound above
    which one is censored. ``left_out`` are rows that `ftax_model.modeling.judging.evaluation.evaluate` held out,
    ``card`` and ``claims`` (verdicts on the paper's claims) are Markdown, ``facts`` are counts by name, and
    ``provenance`` says where all of it comes from.
    """

    title: str
    lead: str
    cells: pd.DataFrame
    crossovers: pd.DataFrame
    predictor: LatencyPredictor
    provenance: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)
    left_out: pd.DataFrame = field(default_factory=pd.DataFrame)
    card: str = ""
    claims: str = ""

    @property
    def frameworks(self) -> list[str]:
        """All frameworks, sorted."""
        return sorted(self.cells["framework"].unique())

    @property
    def devices(self) -> list[str]:
        """All devices, that of most rows first."""
        return [str(name) for name in self.cells["device"].value_counts().index]

    @property
    def workloads(self) -> list[str]:
        """Labels of all workloads: as they were asked for, or those with most frameworks and batch sizes first."""
        if self.cells["measured_s"].isna().all():
            return [str(name) for name in self.cells["curve"].unique()]
        counts = self.cells.groupby("curve").agg(
            frameworks=("framework", "nunique"), sizes=("batch_size", "nunique"), rows=("framework", "size")
        )
        order = counts.sort_values(["frameworks", "sizes", "rows"], ascending=False, kind="stable")
        return [str(name) for name in order.index]

    @property
    def fits(self) -> list[tuple[dict[str, str], PlatformFit]]:
        """What the predictor learnt of the frameworks and devices here, and what these are called in ``cells``."""
        found = []
        for fit in self.predictor.fits_:
            one = fit.platform
            names = [name for name in (one.device, f"{one.device}, {in_threads(one.threads)}") if name in self.devices]
            if names and one.framework in self.frameworks:
                found.append(({"framework": one.framework, "device": names[0], "platform": _variant(one)}, fit))
        return found

    def only(self, workload: str) -> Content:
        """The same of one workload; raises `InputError` for one that is not there."""
        plugins.check(workload, self.workloads, what="workload")
        own = {name: getattr(self, name) for name in ("cells", "crossovers")}
        return dataclasses.replace(self, **{name: table[table["curve"] == workload] for name, table in own.items()})


def of_workloads(
    sources: Sources,
    predictor: LatencyPredictor,
    *,
    batch_sizes: Iterable[int] | None = None,
    made: datetime | None = None,
    **platform: Any,
) -> Content:
    """What ``predictor`` says of workloads at ``batch_sizes``, else at 1 to 64.

    ``platform`` are the options of `LatencyPredictor.predict`: ``framework``, ``device``, ``threads``, ``host`` and
    ``host_factor``. ``made`` is the time that the report tells, now if it is left out. Raises as that does.
    """
    cells, crossovers = _predicted(sources, predictor, batch_sizes or SWEEP, platform)
    names = list(dict.fromkeys(cells["curve"]))
    shown = "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Content(
        title=shown,
        lead="Predicted latency: nothing of this was measured. Bands are intervals that hold "
        f"{100 * predictor.confidence:g} % of latencies of unseen models.",
        cells=cells,
        crossovers=crossovers,
        predictor=predictor,
        provenance=_provenance(made) | _learnt(predictor) | _notes(cells),
        facts=_facts(cells),
    )


def of_predictor(
    predictor: LatencyPredictor,
    name: str,
    *,
    sources: Sources | None = None,
    made: datetime | None = None,
    **platform: Any,
) -> Content:
    """What a predictor knows: its platforms, and what it says of ``sources``, else of a preset of each architecture."""
    own = list(sources) if sources is not None else presets()
    cells, crossovers = _predicted(own, predictor, SWEEP, platform)
    machines = len({fit.platform.device for fit in predictor.fits_})
    return Content(
        title=f"predictor {name}",
        lead=f"What the predictor knows, and what it says of {cells['curve'].nunique()} published models.",
        cells=cells,
        crossovers=crossovers,
        predictor=predictor,
        provenance={"predictor": name} | _provenance(made) | _learnt(predictor) | _notes(cells),
        facts=_facts(cells) | ({"machines measured": f"{machines:,}"} if machines else {}),
    )


def of_dataset(
    measurements: Sequence[Measurement],
    name: str,
    *,
    predictor: LatencyPredictor | None = None,
    evaluate: bool = False,
    note: str = "",
    jobs: int | None = None,
    made: datetime | None = None,
) -> Content:
    """What was measured, and predictions beside it; ``note`` says which part of it these measurements are.

    These are by ``predictor``, or else the one that ships where it answers for the platforms, or else the law fitted to
    the measurements themselves. ``evaluate`` holds out models, families and sizes, so that each prediction is by a fit
    that saw nothing of its model, which takes minutes. Raises `DataError` where nothing was measured.
    """
    table = dataset.frame(measurements)
    rows = with_features(dataset.good(table)).reset_index(drop=True)
    rows = with_operators(rows, jobs=jobs)
    known, origin = (predictor, "the predictor that was named") if predictor else _of_rows(rows)
    left_out, swept = pd.DataFrame(), regimes.sweeps(rows)
    if evaluate:
        left_out = evaluation.evaluate(rows, jobs=jobs)
        told, origin = _of_left_out(left_out), "fits that saw nothing of the model"
    else:
        said = known.predict_frame(rows, crossovers=False)
        told = rows.join(said.drop(columns=["latency_s", "host_s", "device_s"])).assign(
            predicted_s=said["latency_s"], law_host_s=said["host_s"], law_device_s=said["device_s"]
        )
        seen = {fit.platform.device for fit in known.fits_} & set(rows["device"])
        origin += f", which has seen measurements of {', '.join(sorted(seen))}" if seen else ""
    cells = _cells_of(told.assign(regime=_regimes(told, swept)))
    return Content(
        title=f"dataset {name}",
        lead=f"Measured latency{f': {note}' if note else ''}. Predictions beside it are by {origin}.",
        cells=cells,
        crossovers=_sweeps(rows, known, swept),
        predictor=known,
        provenance={"dataset": name} | _measured_with(measurements) | _provenance(made) | {"predictions": origin},
        facts=_facts(cells) | _counts(table, rows),
        left_out=left_out,
        card=card(measurements),
    )


def presets() -> list[Workload]:
    """The smallest published size of each architecture that is not a single layer."""
    own = {name: architectures.load(name) for name in architectures.names()}
    found = [
        Workload(name, {"preset": next(iter(one.presets))})
        for name, one in own.items()
        if one.presets and one.family != BLOCK
    ]
    return [architectures.complete(workload) for workload in found]


def _predicted(
    sources: Sources, predictor: LatencyPredictor, batch_sizes: Iterable[int], platform: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    sizes = sorted(set(batch_sizes))
    parts, features, families = [], [], {}
    for one in sources:
        source = _remembered(find(one))
        family = architectures.load(one.architecture).family if isinstance(one, Workload) else OTHER
        families[source.label] = family
        for device in _devices(predictor, platform):
            asked = {**platform, "device": device}
            parts.append(predictor.predict(source, batch_sizes=sizes, **asked))
        traces = source.traced(sizes, ())
        features += [{"curve": source.label, "batch_size": n, **traces[n].features()} for n in sizes]
    if not parts:
        raise InputError("a report is of a model or more", "none", "name one")
    told = pd.concat(parts, ignore_index=True)
    told = told.assign(family=told["curve"].map(families)).rename(columns={"latency_s": "predicted_s"})
    told = told.merge(pd.DataFrame(features).drop_duplicates(["curve", "batch_size"]), on=["curve", "batch_size"])
    bounds = {key: _largest_batch(predictor, part) for key, part in told.groupby(list(PLATFORM))}
    told["largest_batch"] = [bounds[key] for key in told[list(PLATFORM)].itertuples(index=False, name=None)]
    told = _with_threads(told).assign(**dict.fromkeys(MEASURED, math.nan))
    cells = told[[*CELL, "dtype", *PREDICTED, *MEASURED, *_held(told)]].drop_duplicates(list(CELL))
    first = told.sort_values("batch_size", kind="stable").drop_duplicates(list(CELL[:-1])).sort_index()
    return cells.reset_index(drop=True), first[list(CROSSOVER)].reset_index(drop=True)


def _largest_batch(predictor: LatencyPredictor, rows: pd.DataFrame) -> int:
    """Largest batch measured of the platform of these rows."""
    return predictor.select(**dataclasses.asdict(platform_of(rows)))[0].largest_batch


def _devices(predictor: LatencyPredictor, platform: Mapping[str, Any]) -> list[str | None]:
    """The device asked for; of a predictor that knows GPUs alone, all of them."""
    asked = platform.get("device")
    if asked is not None or predictor.fits_ or predictor.known_:
        return [asked]
    return [*sorted({machine.device for one in predictor.gpus_.values() for machine in one.machines})]


def _remembered(source: Source) -> Source:
    """The same, that traces each batch size once."""
    found: dict[int, Trace] = {}

    def traced(sizes: Iterable[int], more: Iterable[int]) -> dict[int, Trace]:
        asked = {*sizes, *more}
        if not asked <= set(found):
            found.update(source.traced(sizes, more))
        return {size: found[size] for size in sorted(asked & set(found))}

    return dataclasses.replace(source, traced=traced)


def _of_rows(rows: pd.DataFrame) -> tuple[LatencyPredictor, str]:
    """The predictor that ships where it answers for all platforms of the rows, else the law fitted to them."""
    shipped = PUBLISHED if any(kind_of(str(name)) == "cuda" for name in rows["device"].unique()) else SHIPPED
    known = LatencyPredictor.load(shipped)
    try:
        for _, part in rows.groupby(list(PLATFORM)):
            known.predict_frame(part[:1], crossovers=False)
    except (InputError, KeyError):
        return LatencyPredictor(operators=False).fit(rows), "the law fitted to these very measurements"
    return known, f"the predictor {shipped} that ships"


def _of_left_out(left_out: pd.DataFrame) -> pd.DataFrame:
    split = "model" if (left_out["split"] == "model").any() else str(left_out["split"].iloc[0])
    rows = left_out[left_out["split"] == split]
    names = {"host_part_s": "law_host_s", "device_part_s": "law_device_s", "constant_part_s": "constant_s"}
    return rows.assign(notes="", **{own: rows[name] for name, own in names.items()})


def _regimes(told: pd.DataFrame, swept: pd.DataFrame) -> pd.Series[Any]:
    """The regimes of measured rows that were predicted."""
    estimate = told[["constant_s", "regime"]].assign(host_s=told["law_host_s"])
    return regimes.measured(told, estimate, swept)


def _cells_of(told: pd.DataFrame) -> pd.DataFrame:
    """Repeats of one cell as one row, by their medians."""
    own = _with_threads(told).rename(
        columns={
            "latency_s": "measured_s",
            "host_s": "measured_host_s",
            "device_s": "measured_device_s",
            "law_host_s": "host_s",
            "law_device_s": "device_s",
        }
    )
    numbers = ["measured_s", "measured_host_s", "measured_device_s", "predicted_s", "low_s", "high_s"]
    numbers += ["host_s", "device_s", *_held(own)]
    own[numbers] = own[numbers].apply(pd.to_numeric).astype(float)
    cells = own.groupby(list(CELL), as_index=False).agg(
        {**dict.fromkeys(numbers, "median"), "regime": "first", "notes": "first", "dtype": "first"}
    )
    return cells[[*CELL, "dtype", *PREDICTED, *MEASURED, *_held(cells)]]


def _sweeps(rows: pd.DataFrame, predictor: LatencyPredictor, swept: pd.DataFrame) -> pd.DataFrame:
    """Crossovers of the sweeps themselves, where they were measured at three batch sizes or more."""
    told = evaluation.sweeps(rows, predictor, swept=swept).dropna(subset="crossover_batch_size")
    families = rows.drop_duplicates("curve").set_index("curve")["family"]
    largest = rows.groupby(["curve", *PLATFORM])["batch_size"].max()
    keys = told[["curve", *PLATFORM]].itertuples(index=False, name=None)
    told = told.assign(family=told["curve"].map(families), largest_batch=[int(largest[key]) for key in keys])
    told = _with_threads(told)
    return told[list(CROSSOVER)].reset_index(drop=True)


def _with_threads(table: pd.DataFrame) -> pd.DataFrame:
    """Devices that tell their threads, where these differ."""
    if table["threads"].nunique() < 2:
        return table.copy()
    return table.assign(device=table["device"] + ", " + table["threads"].map(in_threads))


def _variant(platform: Platform) -> str:
    return f"{platform.framework}, {platform.dtype}, {in_threads(platform.threads)}"


def _held(table: pd.DataFrame) -> list[str]:
    return [name for name in FEATURES if name in table]


def _facts(cells: pd.DataFrame) -> dict[str, str]:
    own = cells.assign(device=cells["device"].str.partition(", ")[0])
    counts = {what: own[column].nunique() for column, what in _COUNTED.items()}
    return {what if count == 1 else f"{what}s": f"{count:,}" for what, count in counts.items()}


_COUNTED = {"curve": "workload", "framework": "framework", "device": "device"}


def _counts(table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    floor = evaluation.floor(rows)
    own = {"measurements": f"{len(rows):,}"}
    failed = int((table["status"] != "ok").sum())
    own |= {"failed": f"{failed:,}"} if failed else {}
    return own if math.isnan(floor) else own | {"repeatability floor": f"{100 * floor:.1f} %"}


def _provenance(made: datetime | None) -> dict[str, str]:
    when = (made or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    return {"report made": when, "ftax_model": ftax_model.__version__}


def _learnt(predictor: LatencyPredictor) -> dict[str, str]:
    found = {}
    if predictor.fits_:
        rows = sum(fit.n_rows for fit in predictor.fits_)
        found["learnt from"] = f"{rows:,} measurements on {len(predictor.fits_)} platforms"
    machines = {machine for one in predictor.known_.values() for machine in one.machines}
    machines |= {machine.device for one in predictor.gpus_.values() for machine in one.machines}
    if machines:
        found["known machines"] = ", ".join(sorted(machines))
    said = predictor.about_
    if said.get("calibrated_at"):
        found["calibrated"] = f"{said['calibrated_at']} on {said.get('model', said.get('device', ''))}"
    if said.get("versions"):
        found["calibrated with"] = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
    found["intervals hold"] = f"{100 * predictor.confidence:g} %"
    return found


def _notes(cells: pd.DataFrame) -> dict[str, str]:
    counts = cells.loc[cells["notes"] != "", "notes"].value_counts()
    said = [f"{count:,} of {len(cells):,} predictions are {note}" for note, count in counts[:_NOTES].items()]
    said += [f"and {len(counts) - _NOTES} more kinds of notes"] if len(counts) > _NOTES else []
    return {"notes": "; ".join(said)} if said else {}


_NOTES = 4


def _measured_with(measurements: Sequence[Measurement]) -> dict[str, str]:
    good = [one for one in measurements if one.status == "ok"]
    if not good:
        raise DataError("a report needs measured rows", "none", "measure some: ftax collect")
    versions: dict[str, str] = {}
    for one in good:
        versions |= {one.cell.framework: str(one.environment.get("framework_version") or "")}
    when = sorted(one.measured_at for one in good)
    models = sorted({str(one.environment.get("device_model") or one.cell.device) for one in good})
    return {
        "measured on": ", ".join(models),
        "measured": f"{when[0]} to {when[-1]}",
        "versions": ", ".join(f"{name} {version}".strip() for name, version in sorted(versions.items())),
    }
