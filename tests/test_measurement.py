"""A measurement is what was seen; it goes through a file unchanged and judges itself."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftax_model.collection.activations import KINDS
from ftax_model.errors import DataError, FtaxError
from ftax_model.fields import NO_PATH
from ftax_model.measurement import CLOCKS, SCHEMA, STATUSES, Cell, Measurement, Platform, Profile
from ftax_model.operators import FEATURES, Operator, OperatorTiming
from ftax_model.workload import Workload

CELL = Cell(Workload("bert", {"num_layers": 2, "depths": (1, 2)}, batch_size=4), "eager", "cpu-2core", threads=2)
seconds = st.floats(1e-9, 1e4)
names = st.text(max_size=8).filter(lambda name: NO_PATH.holds(name))
notes = st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8))
measurements = st.builds(
    Measurement,
    st.builds(
        Cell,
        st.builds(Workload, st.text(max_size=8), batch_size=st.integers(1, 512)),
        names,
        names,
        threads=st.integers(1, 64),
        repeat=st.integers(0, 9),
    ),
    status=st.sampled_from(STATUSES),
    reason=st.text(max_size=20),
    latency_s=seconds,
    pipelined_s=st.none() | seconds,
    device_s=st.none() | seconds,
    energy_j=st.none() | seconds,
    samples=st.lists(seconds, max_size=5).map(tuple),
    calls_per_block=st.integers(0, 1000),
    peak_memory_bytes=st.none() | st.integers(0, 2**40),
    features=st.dictionaries(st.sampled_from(list(FEATURES)), st.floats(0, 1e15)),
    telemetry=notes,
    environment=notes,
)


def good(**values: Any) -> Measurement:
    """A measurement that holds nothing against itself, but for what is given."""
    clean = {"latency_s": 0.01, "samples": (0.01, 0.0101, 0.0099, 0.01), "calls_per_block": 10}
    return Measurement(CELL, **{**clean, **values})


@given(measurements)
def test_record_round_trip(measurement: Measurement) -> None:
    line = json.dumps(measurement.to_record(), allow_nan=False)
    assert Measurement.from_record(json.loads(line)) == measurement


def test_record_tells_its_schema_and_key() -> None:
    record = good().to_record()
    assert (record["schema"], record["key"]) == (SCHEMA, CELL.key)
    assert set(record) >= {*CLOCKS, "workload", "framework", "device", "threads", "samples", "status", "reason"}


def test_keys_tell_cells_apart() -> None:
    others = [
        dataclasses.replace(CELL, **change)
        for change in (
            {"workload": CELL.workload.with_batch_size(8)},
            {"framework": "onnxruntime"},
            {"device": "nvidia-h200"},
            {"threads": 1},
            {"repeat": 1},
        )
    ]
    assert len({CELL.key, *(cell.key for cell in others)}) == 6
    assert Cell(**{f.name: getattr(CELL, f.name) for f in dataclasses.fields(CELL)}).key == CELL.key


def test_platform_of_a_cell() -> None:
    assert CELL.platform == Platform("eager", "cpu-2core", "float32", 2)
    assert str(CELL.platform) == "eager on cpu-2core, float32, 2 threads"
    assert str(dataclasses.replace(CELL, threads=1).platform) == "eager on cpu-2core, float32, 1 thread"


def test_a_failed_cell_is_a_record_too() -> None:
    failed = Measurement(CELL, status="out-of-memory", reason="tried to allocate 90 GiB")
    assert Measurement.from_record(failed.to_record()) == failed
    assert failed.warnings() == ()
    assert failed.spread is None


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"status": "fine"}, "status is one of ok, out-of-memory"),
        ({"latency_s": None}, "positive latency_s"),
        ({"latency_s": 0.0}, "positive latency_s"),
        ({"latency_s": -1.0}, "latency_s is a number of seconds"),
        ({"latency_s": float("nan")}, "latency_s is a number of seconds"),
        ({"latency_s": float("inf")}, "latency_s is a number of seconds"),
        ({"latency_s": "0.1"}, "latency_s is a number of seconds"),
        ({"latency_s": True}, "latency_s is a number of seconds"),
        ({"device_s": -0.1}, "device_s is a number of seconds"),
        ({"energy_j": -0.1}, "energy_j is a number of joules"),
        ({"energy_j": "1 J"}, "energy_j is a number of joules"),
        ({"samples": (0.1, 0.0)}, "samples are positive numbers of seconds"),
        ({"samples": ("a",)}, "samples are positive numbers of seconds"),
        ({"features": 3}, "features are names and values"),
        ({"environment": [1]}, "environment are names and values"),
        ({"latency_s": 1e308}, "latency_s is a number of seconds, 0 or from 1e-12 to 1e[+]07"),
        ({"latency_s": 1e-300}, "latency_s is a number of seconds"),
        ({"samples": (1e-300,)}, "samples are positive numbers of seconds"),
        ({"prepare_s": "long"}, "prepare_s is a number of seconds"),
        ({"peak_memory_bytes": -1}, "peak_memory_bytes is a whole number from 0"),
        ({"peak_memory_bytes": 1.5}, "peak_memory_bytes is a whole number from 0"),
        ({"calls_per_block": None}, "calls_per_block is a whole number"),
        ({"features": {"macs": 1e300}}, "features.macs is a number of something counted"),
        ({"features": {"n_ops": [1]}}, "features.n_ops is a number"),
        ({"environment": {"load_before": "busy"}}, "environment.load_before is a number of cores"),
        ({"environment": {"peak_macs": {}}}, "environment.peak_macs is a number of MACs a second"),
        ({"environment": {"device_model": "x" * 2000}}, "environment.device_model is a text"),
        ({"telemetry": {"activations": "many"}}, "telemetry.activations are names and numbers of shares"),
        ({"reason": ["a"]}, "reason is a text"),
        ({"threads": 0}, "threads is a whole number from 1 to 4,096"),
        ({"threads": 10**9}, "threads is a whole number from 1 to 4,096"),
        ({"repeat": -1}, "repeat is a whole number from 0"),
        ({"framework": ["eager"]}, "framework is a name"),
        ({"device": "/etc/passwd.toml"}, "device is a name .* and no path"),
        ({"device": "../x"}, "device is a name .* and no path"),
        ({"device": "x.toml"}, "device is a name .* and no path"),
        ({"device": "\x1b[31m"}, "device is a name of 1 to 200 characters that can be printed"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused(values: dict[str, Any], law: str) -> None:
    if not values.keys() & {f.name for f in dataclasses.fields(Cell)}:
        with pytest.raises(DataError, match=law):
            good(**values)
    with pytest.raises(DataError, match=law):
        Measurement.from_record({**good().to_record(), **values})


@pytest.mark.parametrize("record", [None, 3, "text", [], [1], {}, {"key": "a"}])
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(DataError, match="a record is a JSON object with a schema version"):
        Measurement.from_record(record)


@pytest.mark.parametrize(
    ("schema", "do"), [(0, "measure again"), ("1", "measure again"), (None, "measure again"), (SCHEMA + 1, "install")]
)
def test_another_schema_is_refused(schema: Any, do: str) -> None:
    with pytest.raises(DataError, match=f"reads records of datasets of schema {SCHEMA}; got schema .*; {do}"):
        Measurement.from_record({**good().to_record(), "schema": schema})


def test_a_record_from_before_a_field_was_there_is_read() -> None:
    record = good(energy_j=1.5).to_record()
    assert Measurement.from_record(record).energy_j == 1.5
    for name in ("energy_j", "discarded_blocks"):
        del record[name]
    older = Measurement.from_record(record)
    assert (older.energy_j, older.discarded_blocks) == (None, 0)


def test_a_cpu_that_has_a_file_by_now_is_read_by_its_name() -> None:
    cell = dataclasses.replace(CELL, device="intel-xeon-2core")
    model = "Intel Xeon Processor (family 6, model 167)"
    record = dataclasses.replace(good(environment={"device_model": model}), cell=cell).to_record()
    read = Measurement.from_record(record)
    assert read.cell == dataclasses.replace(cell, device="intel-xeon-amx-2core")
    assert Measurement.from_record(read.to_record()) == read
    profile = Profile(cell, status="crashed", environment={"device_model": model})
    assert Profile.from_record(profile.to_record()).cell == read.cell
    del record["environment"]
    assert Measurement.from_record(record).cell == cell


@pytest.mark.parametrize("missing", ["key", "workload", "framework", "device", "threads", "repeat"])
def test_a_record_without_a_field_is_refused(missing: str) -> None:
    record = good().to_record()
    del record[missing]
    with pytest.raises(DataError, match=f"fields of Measurement; got KeyError: '{missing}'; mend or drop"):
        Measurement.from_record(record)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"workload": None},
        {"workload": {"name": "bert"}},
        {"workload": {"architecture": "bert", "hyperparameters": "ab"}},
        {"workload": {"architecture": "bert", "batch_size": 0}},
        {"samples": 3},
    ],
)
def test_a_record_with_a_broken_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FtaxError):
        Measurement.from_record({**good().to_record(), **change})


def test_reading_leaves_the_record_alone() -> None:
    record = good().to_record()
    before = json.dumps(record)
    Measurement.from_record(record)
    assert json.dumps(record) == before


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    assert good(samples=(1.0, 2.0, 3.0)).spread is None
    assert good(samples=(4.0, 1.0, 3.0, 2.0)).spread == pytest.approx((3.25 - 1.75) / 2.5)
    assert good(samples=(5.0,) * 7).spread == 0.0


@given(st.lists(seconds, min_size=4), st.floats(1e-3, 1e3))
def test_spread_has_no_unit(samples: list[float], factor: float) -> None:
    spread = good(samples=tuple(samples)).spread
    scaled = good(samples=tuple(sample * factor for sample in samples)).spread
    assert spread is not None
    assert spread >= 0
    assert scaled == pytest.approx(spread, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"samples": (0.01, 0.01, 0.011, 0.012)}, "wide-spread"),
        ({"latency_s": 1e-5, "samples": (1e-5,) * 4}, "short-block"),
        ({"discarded_blocks": 1}, "clock-setback"),
        ({"environment": {"load_before": 0.5}}, "foreign-load"),
        ({"telemetry": {"neighbours": 1}}, "foreign-load"),
        ({"telemetry": {"throttled": {"power-cap": 0.5}}}, "throttled"),
        ({"environment": {"peak_macs": 1e9}, "features": {"macs": 2e7}}, "above-peak"),
        ({"telemetry": {"activations": {"subnormal": 1e-6, "nan": 0.0, "infinite": 0.0}}}, "subnormal-activations"),
        ({"telemetry": {"activations": {"subnormal": 0.0, "nan": 1.0, "infinite": 0.0}}}, "nan-activations"),
        ({"telemetry": {"activations": {"subnormal": 0.0, "nan": 0.0, "infinite": 0.5}}}, "infinite-activations"),
    ],
)
def test_a_measurement_judges_itself(values: dict[str, Any], warning: str) -> None:
    assert good().warnings() == ()
    assert good(**values).warnings() == (warning,)


def test_what_is_not_known_is_not_held_against_it() -> None:
    unknown = {"load_before": None, "peak_macs": None}
    zero = {"activations": dict.fromkeys(KINDS, 0.0)}
    for quiet in ({"throttled": None}, {"throttled": {}, "neighbours": 0}, {"activations": None}, zero):
        assert good(environment=unknown, telemetry=quiet, features={"macs": 1e20}, samples=()).warnings() == ()


PRODUCT = Operator("mm", ((4, 8), (8, 8)), ((4, 8),), macs=256, attributes={"batch": 1, "m": 4, "k": 8, "n": 8})


def profiled(*times: tuple[float | None, float | None], **values: Any) -> Profile:
    """A profile of as many products as there are pairs of host and device seconds."""
    timings = tuple(OperatorTiming(PRODUCT, host_s, device_s) for host_s, device_s in times)
    return Profile(CELL, timings=timings, **{"latency_s": 1e-3, "profiled_s": 2e-3, "events": 9, "calls": 5, **values})


def test_a_profile_goes_through_a_file_unchanged() -> None:
    profile = profiled((1e-4, 2e-5), (None, None), environment={"seed": 0}, measured_at="now")
    assert Profile.from_record(json.loads(json.dumps(profile.to_record(), allow_nan=False))) == profile
    assert profile.to_record()["key"] == CELL.key
    assert profile.unmatched == 1


def test_a_failed_profile_is_a_record_too() -> None:
    profile = Profile(CELL, status="crashed", reason="signal 11")
    assert Profile.from_record(json.loads(json.dumps(profile.to_record()))) == profile


@pytest.mark.parametrize(
    ("times", "values", "law"),
    [
        ((1e-4, None), {"latency_s": None}, "positive latency_s"),
        ((1e-4, None), {"profiled_s": 0.0}, "positive profiled_s"),
        ((-1e-4, None), {}, "number of seconds"),
        ((1e-4, float("nan")), {}, "number of seconds"),
        ((1e-4, None), {"status": "good"}, "status"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(times: Any, values: dict[str, Any], law: str) -> None:
    with pytest.raises(DataError, match=law):
        profiled(times, **values)


def test_the_two_kinds_of_record_are_told_apart() -> None:
    with pytest.raises(DataError, match="fields of Profile"):
        Profile.from_record(good().to_record())
    with pytest.raises(DataError, match="fields of Measurement"):
        Measurement.from_record(profiled((1e-4, None)).to_record())


@pytest.mark.parametrize("change", [{"kind": None}, {"at": [7]}, {"host_s": ["slow"]}, {"level": [1, 2]}])
def test_a_profile_with_broken_timings_is_refused(change: dict[str, Any]) -> None:
    record = profiled((1e-4, None)).to_record()
    (entry,) = record["timings"]
    broken = {name: value for name, value in {**entry, **change}.items() if value is not None}
    with pytest.raises(DataError):
        Profile.from_record({**record, "timings": [broken]})
