"""Corrupts shipped datasets and predictors in plausible ways, and counts what ftax check sees, misses and alarms for.

A draw is some models of a shipped dataset with all their rows (`ROWS` about), or all of a small one. A corruption is
laid on all of it, one platform, one model or one row in a hundred; it is seen where a check finds what it did not find
before. ``bad`` counts those missed where `MUST` says that they are seen; of clean parts, those called wrong.
"""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ftax_model import checks, dataset
from ftax_model.checks import Finding
from ftax_model.checks._seen import Fitted, Measured
from ftax_model.collection.plan import group
from ftax_model.device import Device
from ftax_model.measurement import Measurement
from ftax_model.modeling.estimators.correction import CorrectedModel
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.predictor import SHIPPED, LatencyPredictor

FULL = {"draws": 4, "clean": 24, "predictors": True, "promised": False}
QUICK = {"draws": 1, "clean": 2, "predictors": False, "promised": True}

ROWS = 300
SCOPES = ("all", "platform", "model", "1 % of rows")
ALL, PLATFORM, MODEL, SOME = SCOPES

Rows = list[Measurement]
Corruption = Callable[[Rows, list[int], random.Random], Rows | None]
"""Of rows, places of those to corrupt, and a source of chance: corrupted rows, None where they cannot be."""

Row = dict[str, Any]


def run(
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
    draws: int,
    clean: int,
    predictors: bool,
    promised: bool,
) -> list[Row]:
    """A row for each corruption and scope, or those ``promised`` alone, then those of predictors, then false alarms.

    Each kind is drawn from the seed by itself; ``folder`` is not needed.
    """
    known = {name: dataset.read(dataset.find(name)) for name in dataset.names()}
    rows = []
    for kind in CORRUPTIONS:
        rows += seen_of(kind, known, random.Random(f"{seed} {kind}"), draws, promised=promised)
        tell(kind)
    if predictors:
        rows += of_predictors(random.Random(f"{seed} predictors"))
        tell("predictors")
    for what in CLEAN:
        rows.append(alarms(what, known, random.Random(f"{seed} {what}"), clean))
        tell(f"clean: {what}")
    return rows


def seen_of(
    kind: str, known: Mapping[str, Rows], chance: random.Random, draws: int, *, promised: bool = False
) -> list[Row]:
    """A row for each scope, of the draws in which there was something to corrupt."""
    runs, seen, by = Counter[str](), Counter[str](), {scope: Counter[str]() for scope in SCOPES}
    must = MUST.get(kind, ())
    for _ in range(draws if must or not promised else 0):
        base = _draw(known, chance, gpu=kind in ON_GPUS)
        before = _look(base, kind)
        for scope in SCOPES:
            places = _places(base, scope, chance) if scope in must or not promised else []
            changed = CORRUPTIONS[kind](list(base), places, chance) if places else None
            if changed is not None:
                new = _new(before, _look(changed, kind))
                runs[scope] += 1
                seen[scope] += bool(new)
                by[scope].update({finding.check for finding in new})
    return [
        _row(f"{kind}: {scope}", runs[scope], seen[scope], by[scope], must=scope in must)
        for scope in SCOPES
        if runs[scope]
    ]


def _row(what: str, runs: int, seen: int, by: Counter[str], *, must: bool) -> Row:
    told = ", ".join(name for name, _ in by.most_common(3))
    missed = runs - seen if must else 0
    return {"what": what, "runs": runs, "bad": missed, "seen": seen / runs, "must": "yes" if must else "no", "by": told}


def _draw(known: Mapping[str, Rows], chance: random.Random, *, gpu: bool) -> Rows:
    """All rows of some models of a dataset, in their order."""
    names = [name for name in known if name.startswith("nvidia") == gpu]
    rows = known[chance.choice(names)]
    by = Counter(map(_model, rows))
    models = sorted(by, key=str)
    chance.shuffle(models)
    taken, count = set(), 0
    for model in models:
        if count < ROWS:
            taken.add(model)
            count += by[model]
    return [one for one in rows if _model(one) in taken]


def _model(one: Measurement) -> tuple[object, ...]:
    """What tells one model from others: quicker to compare than the workload."""
    return one.cell.workload.architecture, one.cell.workload.hyperparameters


def _places(rows: Rows, scope: str, chance: random.Random) -> list[int]:
    """Places of the good rows that a corruption is laid on."""
    good = [at for at, one in enumerate(rows) if one.status == "ok"]
    if scope == ALL:
        return good
    if scope == SOME:
        return sorted(chance.sample(good, max(4, len(good) // 100)))
    of = (lambda at: rows[at].cell.platform) if scope == PLATFORM else (lambda at: _model(rows[at]))
    counts = Counter(map(of, good))
    few = 12 if scope == PLATFORM else 3
    large = [one for one, count in counts.items() if few <= count < len(good)]
    chosen = chance.choice(large) if large else None
    return [at for at in good if of(at) == chosen]


def _look(rows: Sequence[Measurement], kind: str = "") -> list[Finding]:
    """What is found; models are traced again only where features were corrupted, for that takes seconds."""
    chosen = [name for name in checks.names() if name != "traces" or kind in TRACED]
    return checks.look(Measured("", tuple(rows)), only=chosen)


def _new(before: Sequence[Finding], after: Sequence[Finding]) -> list[Finding]:
    """Findings of a check that were not there, or are of more rows."""
    old = Counter({(one.check, one.level): 0 for one in before})
    for one in before:
        old[one.check, one.level] += one.count
    new: Counter[tuple[str, str]] = Counter()
    for one in after:
        new[one.check, one.level] += one.count
    return [one for one in after if new[one.check, one.level] > old.get((one.check, one.level), 0)]


# Corruptions of datasets


def _each(change: Callable[[Measurement, random.Random], Measurement | None]) -> Corruption:
    """A corruption of each row by itself."""

    def corrupt(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
        any_changed = False
        for at in places:
            changed = change(rows[at], chance)
            if changed is not None and changed != rows[at]:
                rows[at], any_changed = changed, True
        return rows if any_changed else None

    return corrupt


def _slower(one: Measurement, factor: float) -> Measurement:
    """A record in another unit: all its clocks and samples."""
    clocks = ("latency_s", "pipelined_s", "host_s", "device_s")
    values = {name: value * factor for name in clocks if (value := getattr(one, name)) is not None}
    return dataclasses.replace(one, **values, samples=tuple(value * factor for value in one.samples))


def _by(factor: float) -> Corruption:
    return _each(lambda one, _: _slower(one, factor))


def _at(one: Measurement, latency_s: float, *, samples: bool = True) -> Measurement:
    """A record of another latency, its samples moved along or gone."""
    assert one.latency_s is not None
    factor = latency_s / one.latency_s
    own = tuple(value * factor for value in one.samples) if samples else one.samples
    on_cpu = {"pipelined_s": latency_s} if one.pipelined_s == one.latency_s else {}
    return dataclasses.replace(one, latency_s=latency_s, samples=own, **on_cpu)


def _told(**values: Any) -> Corruption:
    """What records say of their environment, changed."""
    return _each(lambda one, _: dataclasses.replace(one, environment={**one.environment, **values}))


def _exchanged(one: Measurement, _: random.Random) -> Measurement | None:
    if one.pipelined_s is None:
        return None
    return dataclasses.replace(one, latency_s=one.pipelined_s, pipelined_s=one.latency_s)


def _host_clock(one: Measurement, _: random.Random) -> Measurement | None:
    return dataclasses.replace(one, latency_s=one.host_s) if one.host_s else None


def _one_clock(one: Measurement, _: random.Random) -> Measurement:
    return dataclasses.replace(one, pipelined_s=one.latency_s)


def _fastest(one: Measurement, _: random.Random) -> Measurement:
    """The best sample in place of their median."""
    return dataclasses.replace(one, latency_s=min(one.samples), pipelined_s=min(one.samples))


OTHERS = {
    "amd-epyc-turin-2core": ("intel-xeon-amx-2core", "Intel Xeon Processor (family 6, model 167, avx2, avx512, amx)"),
    "amd-epyc-genoa-2core": ("amd-epyc-turin-2core", "AMD EPYC (family 26, model 2)"),
    "intel-xeon-amx-2core": ("amd-epyc-turin-2core", "AMD EPYC (family 26, model 2)"),
    "nvidia-h200": ("nvidia-a100-sxm-80gb", "NVIDIA A100-SXM4-80GB"),
}


def _label(one: Measurement, _: random.Random) -> Measurement:
    """The name of another device; the record still tells the model."""
    return dataclasses.replace(one, cell=dataclasses.replace(one.cell, device=OTHERS[one.cell.device][0]))


def _lie(one: Measurement, _: random.Random) -> Measurement:
    """The same, and the model changed to match."""
    name, model = OTHERS[one.cell.device]
    told = {**one.environment, "device_model": model, "host_cpu": model}
    return dataclasses.replace(one, cell=dataclasses.replace(one.cell, device=name), environment=told)


def _threads(one: Measurement, _: random.Random) -> Measurement:
    return dataclasses.replace(one, cell=dataclasses.replace(one.cell, threads=64))


def _mixed(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    """Every other row says another version, host or count of cores."""
    for at in places[::2]:
        one = rows[at]
        versions = {**one.environment.get("versions", {}), "torch": "2.4.0"}
        told = {**one.environment, "framework_version": "2.4.0", "versions": versions}
        rows[at] = dataclasses.replace(one, environment=told)
    return rows if len(places) > 1 else None


def _two_hosts(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    for at in places[::2]:
        told = {**rows[at].environment, "host_cpu": "AMD EPYC 7543 32-Core Processor"}
        rows[at] = dataclasses.replace(rows[at], environment=told)
    return rows


def _again(factor: float) -> Corruption:
    """Cells measured once more, with another value."""

    def corrupt(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
        for at in places:
            cell = dataclasses.replace(rows[at].cell, repeat=rows[at].cell.repeat + 100)
            noise = math.exp(chance.gauss(0, 0.03))
            rows.append(dataclasses.replace(_slower(rows[at], factor * noise), cell=cell))
        return rows

    return corrupt


def _copied(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    """The samples and the latency of another record."""
    good = [at for at, one in enumerate(rows) if one.status == "ok"]
    for at in places:
        other = rows[chance.choice([place for place in good if place != at])]
        changes = {name: getattr(other, name) for name in ("latency_s", "pipelined_s", "samples")}
        rows[at] = dataclasses.replace(rows[at], **changes)
    return rows


def _leak(feature: str, noise: float) -> Corruption:
    """A feature that is made of the latency."""

    def change(one: Measurement, chance: random.Random) -> Measurement | None:
        if feature not in one.features or one.latency_s is None:
            return None
        value = one.latency_s * 1e11 * math.exp(chance.gauss(0, noise))
        return dataclasses.replace(one, features={**one.features, feature: value})

    return _each(change)


def _flops(one: Measurement, _: random.Random) -> Measurement:
    return dataclasses.replace(one, features={**one.features, "macs": 2 * one.features["macs"]})


def _time(text: str) -> Corruption:
    return _each(lambda one, _: dataclasses.replace(one, measured_at=text))


def _shuffled(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    times = [rows[at].measured_at for at in places]
    chance.shuffle(times)
    for at, time in zip(places, times, strict=True):
        rows[at] = dataclasses.replace(rows[at], measured_at=time)
    return rows


def _before(one: Measurement, _: random.Random) -> Measurement:
    """A week before the sitting that the record is of."""
    earlier = datetime.fromisoformat(one.measured_at) - timedelta(days=7)
    return dataclasses.replace(one, measured_at=earlier.isoformat())


def _constant(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    """One latency for all, with noise of a part in a thousand."""
    middle = statistics.median(one for at in places if (one := rows[at].latency_s))
    for at in places:
        rows[at] = _at(rows[at], middle * math.exp(chance.gauss(0, 0.001)))
    return rows if len(places) >= 12 else None


def _still(one: Measurement, _: random.Random) -> Measurement:
    assert one.latency_s is not None
    return dataclasses.replace(one, samples=(one.latency_s,) * len(one.samples))


def _rounded(one: Measurement, _: random.Random) -> Measurement:
    assert one.latency_s is not None
    return dataclasses.replace(_at(one, float(f"{one.latency_s:.2g}")), samples=())


def _turned(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    """Latencies of each batch sweep in the order of falling batch sizes."""
    sweeps: dict[object, list[int]] = {}
    for at in places:
        sweeps.setdefault(group(rows[at].cell), []).append(at)
    changed = False
    for own in sweeps.values():
        own.sort(key=lambda at: rows[at].cell.workload.batch_size)
        turned = [rows[at] for at in reversed(own)]
        if len(own) > 1 and max(one.latency_s or 0 for one in turned) > 3 * min(one.latency_s or 1 for one in turned):
            changed = True
        for at, other in zip(own, turned, strict=True):
            moved = {name: getattr(other, name) for name in ("latency_s", "pipelined_s", "samples")}
            rows[at] = dataclasses.replace(rows[at], **moved)
    return rows if changed else None


def _failed(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    for at in places:
        rows[at] = Measurement(cell=rows[at].cell, status="crashed", reason="exit code 1")
    return rows if len(places) < len(rows) else None


def _loaded(one: Measurement, _: random.Random) -> Measurement:
    return dataclasses.replace(one, environment={**one.environment, "load_before": 0.9})


def _subnormal(one: Measurement, _: random.Random) -> Measurement:
    return dataclasses.replace(one, telemetry={**one.telemetry, "activations": {"subnormal": 0.2}})


def _timeout(one: Measurement, chance: random.Random) -> Measurement:
    limit = one.environment["protocol"]["limit_s"]
    return dataclasses.replace(_at(one, limit * (1 + 1e-3 * chance.random())), samples=())


def _clamped(rows: Rows, places: list[int], chance: random.Random) -> Rows | None:
    """The longest tenth of latencies set to a bound."""
    bound = sorted(one for at in places if (one := rows[at].latency_s))[-max(1, len(places) // 10)]
    longer = [at for at in places if (rows[at].latency_s or 0.0) > bound]
    for at in longer:
        rows[at] = dataclasses.replace(_at(rows[at], bound), samples=())
    return rows if len(longer) > 3 else None


CORRUPTIONS: Mapping[str, Corruption] = {
    "milliseconds for seconds": _by(1e3),
    "microseconds for seconds": _by(1e6),
    "divided by 1,000": _by(1e-3),
    "ten times as long": _by(10),
    "latency and pipelined exchanged": _each(_exchanged),
    "host time as latency": _each(_host_clock),
    "latency for pipelined": _each(_one_clock),
    "best sample as latency": _each(_fastest),
    "device name of another": _each(_label),
    "device name of another on a GPU": _each(_label),
    "device name and model of another": _each(_lie),
    "threads beyond the cores": _each(_threads),
    "two hosts": _two_hosts,
    "two versions": _mixed,
    "cells again, 20 times as long": _again(20),
    "cells again, 5 times as long": _again(5),
    "cells again, 2 times as long": _again(2),
    "records copied": _copied,
    "MACs made of latency": _leak("macs", 0.0),
    "MACs made of latency, noise 10 %": _leak("macs", 0.1),
    "params made of latency": _leak("params", 0.0),
    "operators made of latency": _leak("n_ops", 0.0),
    "bytes made of latency": _leak("activation_bytes", 0.0),
    "bytes made of latency, noise 10 %": _leak("activation_bytes", 0.1),
    "FLOPs for MACs": _each(_flops),
    "in the year 2031": _time("2031-05-01T12:00:00+00:00"),
    "in 1970": _time("1970-01-01T00:00:07+00:00"),
    "times shuffled": _shuffled,
    "before their sitting": _each(_before),
    "constant latency": _constant,
    "no spread": _each(_still),
    "two digits": _each(_rounded),
    "batch sizes turned round": _turned,
    "failed": _failed,
    "load of others": _each(_loaded),
    "subnormal activations": _each(_subnormal),
    "time limit as latency": _each(_timeout),
    "longest clamped": _clamped,
}

ON_GPUS = ("latency and pipelined exchanged", "host time as latency", "latency for pipelined",
           "device name of another on a GPU")  # fmt: skip
"""Those of clocks that a GPU alone tells apart."""

TRACED = ("FLOPs for MACs",)

MUST: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(["milliseconds for seconds", "microseconds for seconds", "divided by 1,000"], SCOPES),
    "latency and pipelined exchanged": (ALL, PLATFORM),
    "host time as latency": SCOPES,
    "latency for pipelined": (ALL, PLATFORM, MODEL),
    "best sample as latency": SCOPES,
    "device name of another": SCOPES,
    "device name of another on a GPU": SCOPES,
    "device name and model of another": (ALL,),
    "threads beyond the cores": SCOPES,
    "two hosts": SCOPES,
    "two versions": SCOPES,
    "cells again, 20 times as long": SCOPES,
    "cells again, 5 times as long": SCOPES,
    "records copied": SCOPES,
    "MACs made of latency": SCOPES,
    "MACs made of latency, noise 10 %": SCOPES,
    "params made of latency": SCOPES,
    "operators made of latency": SCOPES,
    "bytes made of latency": (ALL, PLATFORM),
    "FLOPs for MACs": (ALL, PLATFORM),
    "in the year 2031": SCOPES,
    "in 1970": SCOPES,
    "times shuffled": (ALL,),
    "before their sitting": SCOPES,
    "constant latency": (ALL, PLATFORM),
    "no spread": (ALL,),
    "two digits": (ALL,),
    "batch sizes turned round": (ALL, PLATFORM),
    "failed": (PLATFORM,),
    "load of others": (ALL,),
    "subnormal activations": SCOPES,
    "time limit as latency": SCOPES,
    "longest clamped": (ALL,),
}
"""Where a corruption must be seen. Elsewhere it is counted, and may look like what machines do."""


# Predictors


def of_predictors(chance: random.Random) -> list[Row]:
    """A row for each way to spoil a predictor."""
    rows, before = [], checks.look(_a_predictor())
    for kind, change in OF_PREDICTORS.items():
        new = _new(before, checks.look(change(_a_predictor(), chance)))
        by = Counter({finding.check for finding in new})
        rows.append(_row(f"predictor: {kind}", 1, bool(new), by, must=True))
    return rows


def _a_predictor() -> Fitted:
    """A calibration as one would be made here, of the fits of one machine."""
    predictor = LatencyPredictor.load(SHIPPED)
    device = "intel-xeon-amx-2core"
    predictor.fits_ = [fit for fit in predictor.fits_ if fit.platform.device == device and fit.platform.threads == 1]
    here = Device(device, "cpu", "Intel Xeon", "Intel Xeon", 2)
    predictor.about_ = {"device": device, "model": "Intel Xeon", "versions": mine.versions()}
    return Fitted("", predictor, here)


def _one_fit(seen: Fitted, chance: random.Random, **changes: Any) -> Fitted:
    at = chance.randrange(len(seen.predictor.fits_))
    seen.predictor.fits_[at] = dataclasses.replace(seen.predictor.fits_[at], **changes)
    return seen


def _about(**changes: Any) -> Callable[[Fitted, random.Random], Fitted]:
    def change(seen: Fitted, _: random.Random) -> Fitted:
        seen.predictor.about_ |= changes
        return seen

    return change


def _costs(factor: float, *, ends: str) -> Callable[[Fitted, random.Random], Fitted]:
    """Costs of operators of one platform, times a factor."""

    def change(seen: Fitted, chance: random.Random) -> Fitted:
        fit = chance.choice([one for one in seen.predictor.fits_ if isinstance(one.model, CorrectedModel)])
        assert isinstance(fit.model, CorrectedModel)
        costs = fit.model.structure_.costs_
        fit.model.structure_.costs_ = costs.where(~costs.index.str.endswith(ends), costs * factor)
        return seen

    return change


OF_PREDICTORS: Mapping[str, Callable[[Fitted, random.Random], Fitted]] = {
    "another torch": _about(versions={"torch": "1.13.1"}),
    "another host": _about(device="amd-epyc-rome-8core", model="AMD EPYC 7402P 24-Core Processor"),
    "another model of CPU": _about(model="Intel Xeon Platinum 8481C"),
    "of few rows": lambda seen, chance: _one_fit(seen, chance, n_rows=3, n_models=2),
    "operators' costs 100 times": _costs(100.0, ends=".macs"),
    "intervals 50 times as wide": lambda seen, chance: _wider(seen, 50.0),
    "intervals of no width": lambda seen, chance: _wider(seen, 1e-4),
}


def _wider(seen: Fitted, factor: float) -> Fitted:
    for at, fit in enumerate(seen.predictor.fits_):
        seen.predictor.fits_[at] = dataclasses.replace(fit, errors=fit.errors.times(factor))
    return seen


# Clean parts


def _half(rows: Rows, chance: random.Random) -> Rows:
    taken = set(chance.sample(range(len(rows)), min(len(rows) // 2, 2 * ROWS)))
    return [one for at, one in enumerate(rows) if at in taken]


def _platform(rows: Rows, chance: random.Random) -> Rows:
    chosen = chance.choice(sorted({str(one.cell.platform) for one in rows}))
    return [one for one in rows if str(one.cell.platform) == chosen][: 2 * ROWS]


def _a_model(rows: Rows, chance: random.Random) -> Rows:
    chosen = chance.choice(sorted({*map(_model, rows)}, key=str))
    return [one for one in rows if _model(one) == chosen]


def _ten(rows: Rows, chance: random.Random) -> Rows:
    return [rows[at] for at in sorted(chance.sample(range(len(rows)), 10))]


CLEAN: Mapping[str, Callable[[Rows, random.Random], Rows]] = {
    "random halves": _half,
    "single platforms": _platform,
    "single models": _a_model,
    "ten rows": _ten,
}


def alarms(what: str, known: Mapping[str, Rows], chance: random.Random, runs: int) -> Row:
    """How often something is called wrong, or odd, in such a part of a shipped dataset."""
    wrong, odd, by = 0, 0, Counter[str]()
    for _ in range(runs):
        found = _look(CLEAN[what](known[chance.choice(list(known))], chance))
        wrong += any(finding.level == checks.WRONG for finding in found)
        odd += any(finding.level == checks.ODD for finding in found)
        by.update({finding.check for finding in found})
    told = ", ".join(name for name, _ in by.most_common(3))
    return {"what": f"clean: {what}", "runs": runs, "bad": wrong, "odd": odd / runs, "by": told}
