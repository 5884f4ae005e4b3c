"""Checks: each finds what it is for, and what is shipped is not called wrong."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftax_model import checks, dataset
from ftax_model.checks import FINE, ODD, WRONG, Finding
from ftax_model.checks._seen import Fitted, Measured, Planned, Seen
from ftax_model.collection import plan
from ftax_model.collection.runner import measure
from ftax_model.device import Device
from ftax_model.errors import DataError, InputError
from ftax_model.measurement import Cell, Measurement
from ftax_model.modeling.platforms import mine
from ftax_model.modeling.predictor import LatencyPredictor
from ftax_model.workload import Workload, grid

GPU, CPU = "nvidia-h200", "intel-xeon-amx-2core"

Rows = tuple[Measurement, ...]


@pytest.fixture(scope="module")
def gpu() -> Rows:
    """The measurements of a GPU, few enough to be looked at often."""
    return tuple(dataset.read(dataset.find(GPU)))


@pytest.fixture(scope="module")
def cpu() -> Rows:
    """Some measurements of a CPU: whole models, as they were measured."""
    rows = dataset.read(dataset.find(CPU))
    models = sorted({one.cell.workload.architecture for one in rows})[:12]
    return tuple(one for one in rows if one.cell.workload.architecture in models)


def found(rows: Rows, check: str) -> list[Finding]:
    """What one check finds in rows."""
    return checks.look(Measured("rows", rows), only=[check])


def changed(rows: Rows, change: Callable[[Measurement], Measurement], *, count: int | None = None) -> Rows:
    """The rows, the first so many of those that were measured changed; all of them where no count is given."""
    good = [at for at, one in enumerate(rows) if one.status == "ok"][:count]
    return tuple(change(one) if at in good else one for at, one in enumerate(rows))


def slower(factor: float) -> Callable[[Measurement], Measurement]:
    def change(one: Measurement) -> Measurement:
        assert one.latency_s is not None
        samples = tuple(value * factor for value in one.samples)
        return dataclasses.replace(one, latency_s=one.latency_s * factor, samples=samples)

    return change


def told(**values: Any) -> Callable[[Measurement], Measurement]:
    return lambda one: dataclasses.replace(one, environment={**one.environment, **values})


def named(device: str) -> Callable[[Measurement], Measurement]:
    return lambda one: dataclasses.replace(one, cell=dataclasses.replace(one.cell, device=device))


def counted(**features: float) -> Callable[[Measurement], Measurement]:
    return lambda one: dataclasses.replace(one, features={**one.features, **features})


@pytest.mark.parametrize("name", checks.names())
def test_a_check_says_what_it_is_for(name: str) -> None:
    one = checks.load(name)
    assert one.name == name
    assert one.kind in (Measured, Fitted, Planned)
    assert 20 < len(one.looks_at) < 160
    assert not one.looks_at.endswith(".")


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in dataset.names() if name not in (GPU, CPU)]


@pytest.mark.parametrize("name", [GPU, CPU, *LARGE])
def test_no_dataset_that_ships_is_called_wrong(name: str) -> None:
    assert [one for one in checks.check(name) if one.level == WRONG] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cpu", "published-gpus"])
def test_no_predictor_that_ships_is_called_wrong(name: str) -> None:
    assert [one for one in checks.check(name) if one.level == WRONG] == []


@pytest.mark.parametrize("name", plan.names())
def test_no_plan_that_ships_is_called_wrong(name: str) -> None:
    assert [one for one in checks.check(name) if one.level == WRONG] == []


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e-3])
@pytest.mark.parametrize("count", [None, 3])
def test_units(cpu: Rows, factor: float, count: int | None) -> None:
    assert not [one for one in found(cpu, "units") if one.level == WRONG]
    worst = found(changed(cpu, slower(factor), count=count), "units")[0]
    assert worst.level == WRONG
    assert "seconds" in worst.do
    if count:
        assert worst.count == count


def test_units_of_a_framework_never_seen_are_those_of_its_other_rows() -> None:
    rows = tuple(measure(grid("toy", num_layers=[2, 8, 32], width=[16, 64], batch_size=[1, 8, 64]), ["fake"]))
    assert found(rows, "units") == []
    (finding,) = found(changed(rows, slower(1e3), count=1), "units")
    assert (finding.level, finding.count, finding.example) == (WRONG, 1, rows[0].cell.key)


def test_peak(cpu: Rows) -> None:
    assert found(cpu, "peak") == []
    assert WRONG in {one.level for one in found(changed(cpu, slower(1e-3)), "peak")}


def test_clocks(gpu: Rows) -> None:
    assert found(gpu, "clocks") == []

    def pipelined(one: Measurement) -> Measurement:
        return dataclasses.replace(one, pipelined_s=1.5 * (one.latency_s or 0))

    assert [one.level for one in found(changed(gpu, pipelined, count=1), "clocks")] == [ODD]
    assert [one.level for one in found(changed(gpu, pipelined), "clocks")] == [WRONG]
    (same,) = found(changed(gpu, lambda one: dataclasses.replace(one, pipelined_s=one.latency_s)), "clocks")
    assert "equals pipelined_s exactly" in same.saw
    other = found(changed(gpu, lambda one: dataclasses.replace(one, latency_s=one.host_s), count=30), "clocks")
    assert any("not the median of its samples" in one.saw for one in other)


def test_labels(gpu: Rows, cpu: Rows) -> None:
    assert found(gpu, "labels") == found(cpu, "labels") == []
    assert [one.level for one in found(changed(gpu, named("nvidia-l4"), count=1), "labels")] == [WRONG]
    (finding,) = found(changed(cpu, named("amd-epyc-turin-2core"), count=5), "labels")
    assert "amd-epyc-turin-2core was measured on Intel Xeon Processor" in finding.saw
    (hosts,) = found(changed(gpu, told(host_cpu="AMD EPYC 7543"), count=50), "labels")
    assert (hosts.level, hosts.count) == (ODD, 50)
    threads = changed(
        cpu, lambda one: dataclasses.replace(one, cell=dataclasses.replace(one.cell, threads=16)), count=2
    )
    assert "16 threads on 2 cores" in found(threads, "labels")[0].saw
    (cores,) = found(changed(cpu, told(cores=64)), "labels")
    assert "was measured on 64 cores" in cores.saw


def test_what_later_versions_note_of_a_cpu_makes_it_no_other(cpu: Rows) -> None:
    model = "Intel Xeon Processor (family 6, model 167, avx2, avx512, avx512-vnni, amx)"
    assert found(changed(cpu, told(device_model=model, host_cpu=model), count=40), "labels") == []


def test_speed_tells_a_device_by_what_is_known_of_others(cpu: Rows) -> None:
    assert found(cpu, "speed") == []
    (finding,) = found(changed(cpu, named("amd-epyc-genoa-2core")), "speed")
    assert "as fast as intel-xeon-amx-2core" in finding.saw


def test_versions(gpu: Rows) -> None:
    assert found(gpu, "versions") == []
    (finding,) = found(changed(gpu, told(framework_version="2.4.0"), count=1), "versions")
    assert "2.11.0" in finding.saw
    assert finding.count == 1


@pytest.mark.parametrize(("factor", "levels"), [(1.1, []), (5.0, [ODD]), (20.0, [WRONG])])
def test_repeats(gpu: Rows, factor: float, levels: list[str]) -> None:
    again = slower(factor)(dataclasses.replace(gpu[0], cell=dataclasses.replace(gpu[0].cell, repeat=1)))
    assert [one.level for one in found((*gpu, again), "repeats")] == levels


def test_copies(gpu: Rows) -> None:
    assert found(gpu, "copies") == []
    copy = dataclasses.replace(gpu[1], samples=gpu[0].samples, latency_s=gpu[0].latency_s)
    (finding,) = found((gpu[0], copy, *gpu[2:]), "copies")
    assert finding.count == 2
    bare = tuple(dataclasses.replace(one, samples=()) for one in (gpu[0], copy))
    assert [one.level for one in found(bare, "copies")] == [WRONG]


def test_features(gpu: Rows) -> None:
    assert found(gpu, "features") == []
    assert WRONG in {one.level for one in found(changed(gpu, counted(macs=7e9), count=1), "features")}
    assert any("params" in one.saw for one in found(changed(gpu, counted(params=123.0), count=1), "features"))
    bent = [
        dataclasses.replace(one, features={**one.features, "macs": (one.latency_s or 0.0) ** 0.9 * 1e12}) for one in gpu
    ]
    assert any("off a line along a batch sweep" in one.saw for one in found(bent, "features"))


def test_leaks(cpu: Rows) -> None:
    assert found(cpu, "leaks") == []

    def leak(one: Measurement) -> Measurement:
        return dataclasses.replace(one, features={**one.features, "score": 3e4 * (one.latency_s or 0)})

    (finding,) = found(changed(cpu, leak), "leaks")
    assert finding.saw.startswith("score is latency times a constant")


def test_times(gpu: Rows) -> None:
    assert found(gpu, "times") == []
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    for text, said in ((later, "still to come"), ("1970-01-01T00:00:00+00:00", "before"), ("yesterday", "no time")):
        worst = found(changed(gpu, lambda one, text=text: dataclasses.replace(one, measured_at=text), count=1), "times")
        assert any(said in one.saw for one in worst), text
        assert {one.level for one in worst} == {WRONG}
    mixed = list(gpu)
    random.Random(0).shuffle(mixed)
    assert [one.level for one in found(tuple(mixed), "times")] == [ODD]


def test_digits(gpu: Rows) -> None:
    assert found(gpu, "digits") == []
    assert [one.level for one in found(changed(gpu, lambda one: dataclasses.replace(one, latency_s=0.01)), "digits")]
    still = changed(gpu, lambda one: dataclasses.replace(one, samples=(one.latency_s or 0,) * 9))
    assert [one.level for one in found(still, "digits")] == [ODD]


def test_batches(cpu: Rows) -> None:
    assert found(cpu, "batches") == []
    turned = changed(cpu, lambda one: slower(one.cell.workload.batch_size**-2.0)(one))
    assert found(turned, "batches")[0].level == WRONG


def test_traces_tell_flops_from_macs(gpu: Rows) -> None:
    rows = tuple(one for one in gpu if one.cell.workload.architecture == "mlp")
    assert found(rows, "traces") == []
    (finding,) = found(changed(rows, lambda one: counted(macs=2 * one.features["macs"])(one)), "traces")
    assert finding.saw == "macs is 2 times that of a new trace"


def test_failures(gpu: Rows) -> None:
    assert found(gpu, "failures") == []
    crashed = changed(gpu, lambda one: Measurement(cell=one.cell, status="crashed", reason="exit code 1"), count=100)
    assert all("exit code 1" in one.do for one in found(crashed, "failures"))
    assert found(crashed, "failures")


def test_warned(cpu: Rows) -> None:
    assert found(cpu, "warned") == []
    assert "foreign-load" in found(changed(cpu, told(load_before=0.9)), "warned")[0].saw
    odd = changed(cpu, lambda one: dataclasses.replace(one, telemetry={"activations": {"nan": 0.5}}), count=1)
    assert [one.count for one in found(odd, "warned")] == [1]


def test_limits(gpu: Rows) -> None:
    assert found(gpu, "limits") == []
    limit = dataclasses.replace(gpu[0], latency_s=60.1)
    assert [one.level for one in found((limit, *gpu[1:]), "limits")] == [WRONG]
    bound = changed(gpu, lambda one: dataclasses.replace(one, latency_s=min(one.latency_s or 0, 1e-3)))
    assert {one.level for one in found(bound, "limits")} == {ODD}


# Predictors and plans


@pytest.fixture(scope="module")
def toys() -> Rows:
    asked = grid("toy", num_layers=[2, 4, 8, 16, 32], width=[16, 32, 64], batch_size=[1, 16, 64])
    return tuple(measure(asked, ["fake"]))


@pytest.fixture(scope="module")
def fitted(toys: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a predictor of the toys."""
    path = tmp_path_factory.mktemp("fitted") / "toy.json.gz"
    LatencyPredictor(jobs=1).fit(dataset.frame(toys)).save(path)
    return path


@pytest.fixture
def learnt(fitted: Path) -> LatencyPredictor:
    """A predictor of the toys that a test may spoil."""
    return LatencyPredictor.load(fitted)


HERE = Device("fake", "fake", "fake", "Some CPU", 2)


def of(predictor: LatencyPredictor, check: str, **more: Any) -> list[Finding]:
    return checks.look(Fitted("predictor", predictor, **more), only=[check])


def test_a_calibration_of_another_time_and_place_is_stale(learnt: LatencyPredictor, toys: Rows) -> None:
    own = dataclasses.replace(HERE, name=learnt.fits_[0].platform.device)
    learnt.about_ = {"device": own.name, "model": "fake", "versions": mine.versions()}
    assert of(learnt, "stale", here=own) == []
    learnt.about_ |= {"versions": {**mine.versions(), "torch": "1.13.1"}, "model": "another"}
    assert {one.saw.split()[0] for one in of(learnt, "stale", here=own)} == {"it", "torch"}
    learnt.about_ |= {"versions": mine.versions(), "model": "fake"}
    learnt.fits_[0] = dataclasses.replace(
        learnt.fits_[0], platform=dataclasses.replace(learnt.fits_[0].platform, threads=8)
    )
    assert "8 threads" in of(learnt, "stale", here=own)[0].saw
    measured = changed(toys, told(versions={"torch": "1.13.1"}))
    assert any("1.13.1" in one.saw for one in of(learnt, "stale", against=Measured("rows", measured)))


def test_few_rows_and_few_errors(learnt: LatencyPredictor) -> None:
    assert of(learnt, "few-rows") == []
    learnt.fits_ = [dataclasses.replace(fit, n_rows=3) for fit in learnt.fits_]
    assert "learnt from 3 rows" in of(learnt, "few-rows")[0].saw
    learnt.confidence = 0.9999
    assert "errors; it takes" in of(learnt, "few-rows")[1].saw


@pytest.mark.parametrize(("factor", "level"), [(-1.0, WRONG), (100.0, ODD)])
def test_costs_that_no_machine_has(factor: float, level: str) -> None:
    known = LatencyPredictor.load("cpu")
    assert of(known, "costs") == []
    model: Any = known.fits_[0].model
    model.structure_.costs_ = factor * model.structure_.costs_
    assert [one.level for one in of(known, "costs")] == [level]


def test_coverage_and_errors_on_rows_measured(learnt: LatencyPredictor, toys: Rows) -> None:
    (finding,) = of(learnt, "coverage", against=Measured("rows", toys))
    assert finding.level == FINE
    (finding,) = of(learnt, "coverage", against=Measured("rows", changed(toys, slower(3.0))))
    assert finding.level == WRONG
    assert "0% of 15 sweeps" in finding.saw


@pytest.mark.slow
def test_intervals_that_say_nothing_and_dips() -> None:
    predictor = LatencyPredictor.load("cpu")
    predictor.fits_ = predictor.fits_[:1]
    seen = Fitted("cpu", predictor)
    assert checks.look(seen, only=["width", "dips"]) == []
    predictor.fits_ = [dataclasses.replace(fit, errors=fit.errors.times(50)) for fit in predictor.fits_]
    assert [one.check for one in checks.look(Fitted("cpu", predictor), only=["width", "dips"])] == ["width"]
    falling = seen.sweeps.assign(latency_s=1 / seen.sweeps["batch_size"])
    seen.__dict__["sweeps"] = falling
    assert [one.level for one in checks.look(seen, only=["dips"])] == [WRONG]


def test_a_plan_that_this_machine_cannot_run() -> None:
    own = plan.parse(
        {"frameworks": ["fake"], "threads": [64], "workloads": [{"architecture": "toy", "batch_size": [1, 2]}]},
        name="x",
    )
    seen = Planned("x", own, HERE)
    assert [one.saw.split(",")[0] for one in checks.look(seen)] == [
        "64 threads",
        "sweeps of fewer than 3 batch sizes",
        "1 models",
    ]


# What is asked


def test_bad_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for what, more in (("nvidia-h20", {}), ("some.txt", {}), (GPU, {"against": GPU}), (GPU, {"only": ["clock"]})):
        with pytest.raises(InputError):
            checks.check(what, **more)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="has records"):
        checks.check(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match="ftax calibrate"):
        checks.check()


def test_without_a_name_it_is_the_calibration_of_this_machine(
    learnt: LatencyPredictor, toys: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("ftax_model.checks.detect", lambda kind: HERE)
    monkeypatch.setattr("ftax_model.modeling.platforms.mine.detect", lambda kind: HERE)
    mine.prepared()
    learnt.about_ = {"device": "fake", "model": "fake", "versions": {"torch": "1.13.1"}}
    learnt.save(mine.predictor_file("fake"))
    with dataset.Writer(mine.measurements_file("fake")) as writer:
        for one in toys:
            writer.write(one)
    kinds = [seen.kind for seen in checks.see()]
    assert kinds == ["predictor", "dataset"]
    assert any("1.13.1" in one.saw for one in checks.check(only=["stale", "coverage"]))


values = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=4), st.lists(st.integers(), max_size=2)
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_records_of_any_kind_are_looked_at(data: st.DataObject) -> None:
    """Strange values are found odd or left out; nothing is raised, and counts are those of rows."""
    places = st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("device_model", "host_cpu", "cores", "affinity", "versions", "protocol", "sitting", "framework_version"),
            values,
        ),
    )
    rows = []
    for at in range(data.draw(st.integers(0, 16))):
        workload = Workload("toy", {"num_layers": 1 + at % 3}, batch_size=1 + at)
        features = {
            name: data.draw(st.one_of(st.just(0.0), st.floats(1, 1e12))) for name in ("macs", "n_ops", "params")
        }
        latency_s = data.draw(st.floats(1e-9, 1e4))
        environment = data.draw(places)
        told = {
            "latency_s": latency_s,
            "environment": environment,
            "measured_at": data.draw(st.sampled_from(["", "now", "2026-11-26T01:00:00", "2026-11-26T01:00:00+00:00"])),
            "samples": (latency_s,) * data.draw(st.integers(0, 5)),
            "features": features if data.draw(st.booleans()) else {},
        }
        with suppress(DataError):  # what no record may hold
            rows.append(Measurement(Cell(workload, "eager", data.draw(st.sampled_from(["fake", GPU, CPU]))), **told))
    seen: Seen = Measured("rows", tuple(rows))
    for finding in checks.look(seen, only=[name for name in checks.names() if name != "traces"]):
        assert finding.level in (ODD, WRONG)
        assert 0 < finding.count <= max(finding.of, 1)
        assert finding.saw
        assert finding.do
