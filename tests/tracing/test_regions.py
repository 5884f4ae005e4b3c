"""Which polynomials hold where: derived once, kept on disk, never believed where they are damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ftax_model import architectures
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import cache, polynomials, regions
from ftax_model.tracing.polynomials import InexactError, Point
from ftax_model.tracing.regions import Regions
from ftax_model.workload import Workload

LIKE = architectures.complete(Workload("layer-norm", batch_size=4))
HERE = polynomials.sizes_of(LIKE)[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Workload]]:
    """The workloads that polynomials were derived of."""
    found, derive = list[Workload](), polynomials.derive

    def counted(like: Workload, **options: Any) -> Any:
        found.append(like)
        return derive(like, **options)

    monkeypatch.setattr(polynomials, "derive", counted)
    return found


def file() -> Path:
    """What is kept on disk."""
    (found,) = cache.folder(cache.POLYNOMIALS).glob("*.json.gz")
    return found


def test_what_was_derived_is_found_again(derived: list[Workload]) -> None:
    first = Regions(LIKE).find(HERE)
    assert first is not None
    assert derived == [LIKE]
    assert Regions(LIKE).find({**HERE, "hidden_size": HERE["hidden_size"] // 2}) == first
    assert derived == [LIKE]


def test_another_region_is_derived_when_it_is_asked_for(derived: list[Workload]) -> None:
    own = Regions(LIKE)
    many, one = own.find(HERE), own.find({**HERE, "batch_size": 1})
    assert many is not None
    assert one is not None
    assert "batch_size" in many.variables
    assert one.fixed["batch_size"] == 1
    assert [like.batch_size for like in derived] == [4, 1]
    assert own.find({**HERE, "batch_size": 1, "hidden_size": 96}) == one


def test_a_size_beyond_what_was_traced_is_not_believed(derived: list[Workload]) -> None:
    own = Regions(LIKE)
    first = own.find(HERE)
    assert first is not None
    far = {**HERE, "hidden_size": 5 * dict(zip(first.variables, first.high, strict=True))["hidden_size"]}
    assert own.find(far) != first
    assert derived[-1].settings["hidden_size"] == far["hidden_size"]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x1f\x8b\x08\x00", b"{}", b"[]", b"7", b'{"found": [{}], "traced": []}']
)
def test_a_damaged_file_is_no_file(derived: list[Workload], content: bytes) -> None:
    first = Regions(LIKE).find(HERE)
    file().write_bytes(content)
    assert Regions(LIKE).find(HERE) == first
    assert len(derived) == 2


def other_names(record: dict[str, Any]) -> None:
    record["found"][0]["variables"][0] = "other"


SPOILT = {
    "polynomials of other variables": other_names,
    "polynomials of nothing": lambda r: r["found"][0].update(depth=10**6),
    "ends that are missing": lambda r: r["found"][0]["low"].pop(),
    "a traced point of others": lambda r: r["traced"].append({"other": 1}),
    "held variables of others": lambda r: r["fixed"].append("other"),
    "ties of others": lambda r: r.update(ties=[["hidden_size", "other"]]),
    "ties of three": lambda r: r.update(ties=[["hidden_size", "batch_size", "input_size"]]),
    "no list": lambda r: r.update(found=7),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_spoilt_is_refused_and_left_as_it_was(spoil: Any) -> None:
    own = Regions(LIKE)
    own.find(HERE)
    before = own.to_record()
    record = json.loads(json.dumps(before))
    spoil(record)
    with pytest.raises((AttributeError, LookupError, TypeError, ValueError)):
        own.take(record)
    assert own.to_record() == before


def test_where_there_is_none_it_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[Workload]()

    def refused(like: Workload, **options: Any) -> None:
        tried.append(like)
        raise InexactError("for a test")

    monkeypatch.setattr(polynomials, "derive", refused)
    own = Regions(LIKE)
    for _ in range(2):
        assert own.find(HERE) is None
        assert own.find({**HERE, "hidden_size": 96}) is None
    assert Regions(LIKE).find(HERE) is None
    assert len(tried) == 1


def test_regions_are_not_without_number(monkeypatch: pytest.MonkeyPatch, derived: list[Workload]) -> None:
    monkeypatch.setattr(regions, "MOST", 1)
    own = Regions(LIKE)
    assert own.find(HERE) is not None
    assert own.find({**HERE, "batch_size": 1}) is None
    assert len(derived) == 1


def test_where_two_are_equal_other_polynomials_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    like = architectures.complete(Workload("feedforward", batch_size=4))

    def traced(workload: Workload) -> Trace:
        own = workload.settings
        count = own["hidden_size"] * own["intermediate_size"] * workload.batch_size
        one = Operator("relu", ((count,),), ((count,),), 0, 8 * count)
        return Trace((one,) * (2 if own["hidden_size"] == own["intermediate_size"] else 1), params=7)

    monkeypatch.setattr(polynomials, "trace_workload", SimpleNamespace(__wrapped__=traced))
    own = Regions(like)
    point = {"hidden_size": 96, "intermediate_size": 384, "num_layers": 1, "batch_size": 4, "input_size": 8}
    apart, equal = own.find(point), own.find({**point, "intermediate_size": 96})
    assert apart is not None
    assert equal is not None
    assert own.ties == [("hidden_size", "intermediate_size")]
    assert (dict(apart.tied), dict(equal.tied)) == ({}, {"hidden_size": "intermediate_size"})
    columns = {name: np.array([float(value)] * 2) for name, value in point.items()}
    columns["intermediate_size"] = np.array([384.0, 96.0])
    assert own.holds(apart, columns).tolist() == [True, False]
    assert own.holds(equal, columns).tolist() == [False, True]


def test_a_point_is_of_one_region_alone() -> None:
    own = Regions(LIKE)
    points: list[Point] = [{**HERE, "batch_size": size} for size in (1, 2, 7)]
    one, many, same = (own.find(point) for point in points)
    assert one is not None
    assert many is not None
    assert same == many
    columns = {name: np.array([float(point[name]) for point in points]) for name in HERE}
    assert own.holds(one, columns).tolist() == [True, False, False]
    assert own.holds(many, columns).tolist() == [False, True, True]
