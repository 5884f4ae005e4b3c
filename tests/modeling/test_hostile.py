"""Predictors of strangers: refused where a value is none, else they answer with seconds that a call can take."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ftax_model.errors import DataError, FtaxError
from ftax_model.modeling import limits
from ftax_model.modeling.predictor import SCHEMA, LatencyPredictor

CPU, GPU, LAW = 0, 1, 2
"""The records of scripts/fuzz_predictor.py."""

ODD = st.one_of(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-1, 0, 1, 1e-9, 1e9, 1e300, "", "x", "inf", "nan", "a.toml", "eager", [], {}, [[]], {"": 0}]),
)


@pytest.fixture(scope="module")
def fuzz(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("fuzz_predictor")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "predictor.json"


def loaded(record: Any, file: Path) -> LatencyPredictor:
    file.write_text(json.dumps(record), encoding="utf-8")
    return LatencyPredictor.load(file)


@pytest.mark.parametrize("at", [CPU, GPU, LAW])
def test_what_is_cut_down_answers(fuzz: ModuleType, file: Path, at: int) -> None:
    fuzz.use(loaded(fuzz.records()[at], file))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 3), st.lists(st.integers(0, 10**6), min_size=2, max_size=8), ODD)
@example(CPU, [3, 0], 90)
def test_any_value_in_any_place_is_refused_or_harmless(
    fuzz: ModuleType, file: Path, at: int, way: list[int], odd: Any
) -> None:
    record = copy.deepcopy(fuzz.records()[at])
    holder = record
    for step in way:
        keys = [*holder] if isinstance(holder, dict) else range(len(holder))
        key = keys[step % len(keys)]
        if step is way[-1] or not isinstance(holder[key], dict | list) or not holder[key]:
            holder[key] = odd
            break
        holder = holder[key]
    try:
        fuzz.use(loaded(record, file))
    except FtaxError as error:
        assert str(error).isprintable()


def packed(values: Any, kind: str) -> str:
    return base64.b64encode(zlib.compress(np.array(values).astype(kind).tobytes(), 9)).decode()


def trees(left: Any, right: Any, roots: Any = (0,), **changes: Any) -> dict[str, Any]:
    """A record of trees whose nodes all look at the first column."""
    count = len(left)
    told = {"feature": np.zeros(count), "threshold": np.zeros(count), "value": np.zeros(count), **changes}
    kinds = {"feature": "<i4", "threshold": "<f4", "value": "<f4"}
    own = {name: packed(value, kinds[name]) for name, value in told.items()}
    return {"roots": [*roots], "left": packed(left, "<i4"), "right": packed(right, "<i4"), **own}


STUMP = [1, 1, 2], [2, 1, 2]
CHAIN = [*range(1, 100), 99], [*range(1, 100), 99]
TREES: dict[str, tuple[dict[str, Any], str]] = {
    "many trees": (trees(*STUMP, [0] * 10**5), "roots of trees has 100,000 entries"),
    "a bomb": (trees(*STUMP, value=np.zeros(1 << 24)), "value of trees unpacks to more than"),
    "a chain": (trees(*CHAIN), "trees deeper than 32"),
    "a circle": (trees([1, 0], [1, 0]), "nodes that are no trees"),
    "a leaf on one side": (trees([1, 1, 2], [0, 1, 2]), "nodes that are no trees"),
    "a child outside": (trees([1, 1, 2], [7, 1, 2]), "nodes that are no trees"),
    "a root outside": (trees(*STUMP, [3]), "nodes that are no trees"),
    "roots that are no places": (trees(*STUMP, [-1]), "roots of trees holds -1"),
    "a column outside": (trees(*STUMP, feature=[1000, 0, 0]), "nodes that are no trees"),
    "values that are none": (trees(*STUMP, value=[0, np.nan, 0]), "what trees say holds nan"),
    "values without end": (trees(*STUMP, value=[0, np.inf, 0]), "what trees say holds inf"),
    "values of another world": (trees(*STUMP, value=[0, 1e9, 0]), "what trees say holds 1000000000"),
    "thresholds that are none": (trees(*STUMP, threshold=[np.nan, 0, 0]), "thresholds of trees holds nan"),
    "fewer values": (trees(*STUMP, value=[0.0]), "nodes that are no trees"),
    "words": ({**trees(*STUMP), "left": "no base64!"}, "left of trees cannot be unpacked"),
}


@pytest.mark.parametrize(("own", "said"), TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("place", ["known", "crossovers", "gpus"])
def test_trees_that_are_none(fuzz: ModuleType, file: Path, own: dict[str, Any], said: str, place: str) -> None:
    record = copy.deepcopy(fuzz.records()[GPU if place == "gpus" else CPU])
    if place == "known":
        record["known"][0]["trees"] = [own]
    elif place == "gpus":
        record["gpus"]["trees"][0][1] = own
    else:
        record["crossovers"]["regressor"]["every"] = own
    with pytest.raises(DataError, match=said):
        loaded(record, file)


Spoil = Callable[[dict[str, Any]], object]

SPOILT: dict[str, tuple[int, Spoil, str]] = {
    "an intercept that is none": (CPU, lambda r: structure(r).update(intercept=None), "intercept is None"),
    "a negative cost": (CPU, lambda r: costs(r).update({"linear.macs": -1e-12}), "the cost of linear.macs is -1e-12"),
    "a cost of 30 years": (CPU, lambda r: costs(r).update({"linear.ops": 1e9}), "linear.ops is 1000000000.0"),
    "costs in words": (CPU, lambda r: costs(r).update({"linear.ops": "dear"}), "the cost of linear.ops is 'dear'"),
    "a law of 30 years": (CPU, lambda r: law(r).update(coef_=[1e9] * 4), r"coefficients holds 1000000000\.0"),
    "a law that goes back": (CPU, lambda r: law(r).update(intercept_=-1.0), r"the intercept is -1\.0"),
    "a law of other columns": (CPU, lambda r: law(r).update(feature_names_in_=["a", "b", "c", "d"]), "column of X"),
    "uncertain by less than nothing": (CPU, lambda r: law(r).update(covariance_=[[-1.0] * 6] * 6), "variances"),
    "likelier one way": (CPU, lambda r: law(r)["covariance_"][0].__setitem__(1, 1e9), "the law is not symmetric"),
    "costs that cannot vary so": (CPU, lambda r: structure(r).update(covariance=turned()), "in some direction"),
    "costs that vary by all": (CPU, lambda r: structure(r).update(covariance=turned(99.0)), "a covariance holds"),
    "errors in words": (CPU, lambda r: fit(r)["errors"].update(every=["1"]), "holds what is no number"),
    "errors of another world": (CPU, lambda r: fit(r)["errors"].update(every=[1e9]), "errors of every holds"),
    "a range that runs down": (CPU, lambda r: fit(r)["domain"].update(macs=[9, 1]), "macs runs from 9 down"),
    "a range of nothing": (CPU, lambda r: fit(r)["domain"].update(colour=[1, 9]), "ranges of other features"),
    "a platform twice": (CPU, lambda r: r["fits"].append(r["fits"][0]), "a platform twice"),
    "a framework twice": (CPU, lambda r: r["known"].append(r["known"][0]), "a framework twice"),
    "a crowd of frameworks": (CPU, lambda r: r.update(memory=r["memory"] * 99), "memory has 99 entries"),
    "a device that is a file": (CPU, lambda r: fit(r)["platform"].update(device="/a.toml"), "printed, and no path"),
    "a device of a path": (CPU, lambda r: known(r)["platforms"][0].update(device="../a"), "printed, and no path"),
    "another precision": (CPU, lambda r: fit(r)["platform"].update(dtype="float8"), "precision is none of"),
    "threads without number": (CPU, lambda r: fit(r)["platform"].update(threads=True), "threads is True"),
    "a framework in a list": (CPU, lambda r: known(r).update(framework=["eager"]), r"the framework is \[.eager.\]"),
    "machines all alike": (CPU, lambda r: known(r)["spread"].update(own=0.0), r"own is 0\.0"),
    "machines too far apart": (CPU, lambda r: moves(r).update(there=[1e3] * 6), "moves of there holds"),
    "workloads in words": (CPU, lambda r: known(r)["sample"][0].update(macs="many"), "holds what is no number"),
    "memory of nothing": (CPU, lambda r: r["memory"][0]["costs"].update(floor=0), "what memory holds of floor"),
    "versions in a list": (CPU, lambda r: r.update(about={"versions": ["1"]}), r"versions is \[.1.\]"),
    "a confidence of all": (CPU, lambda r: r.update(confidence=1.0), "confidence lies between 0 and 1"),
    "a law of another world": (LAW, lambda r: law(r).update(overlap_=0.5), r"the overlap is 0\.5"),
    "kernels of 30 years": (GPU, lambda r: gpu(r)["reference"].__setitem__(1, 20.0), "seconds of dispatches"),
    "kernels past the peak": (GPU, lambda r: gpu(r)["reference"].__setitem__(30, -30.0), "times of rooflines"),
    "an overlap that is none": (GPU, lambda r: gpu(r).update(overlap=0.1), r"the overlap is 0\.1"),
    "trees of others": (GPU, lambda r: gpu(r).update(trees=7), "the number of trees is 7"),
    "errors of another kind": (GPU, lambda r: errors(r).update(often=errors(r)["known"]), "invalid literal for int"),
    "a machine twice": (GPU, lambda r: machines(r).append(machines(r)[0]), "a machine twice"),
    "calls without kernels": (GPU, lambda r: sample(r).update(kernels=packed([], "<f4")), "kernels that are none"),
    "calls of bombs": (GPU, lambda r: sample(r).update(kernels=packed(np.zeros(1 << 23), "<f4")), "call unpacks"),
    "negative kernels": (GPU, lambda r: sample(r).update(kernels=packed([-1.0] * 33, "<f4")), "kernels that are none"),
}  # fmt: skip


def known(record: dict[str, Any]) -> Any:
    return record["known"][0]


def fit(record: dict[str, Any]) -> Any:
    return record["fits"][0]


def structure(record: dict[str, Any]) -> Any:
    return fit(record)["structure"]


def costs(record: dict[str, Any]) -> Any:
    return structure(record)["costs"]


def law(record: dict[str, Any]) -> Any:
    return fit(record)["law"]["fitted"]


def moves(record: dict[str, Any]) -> Any:
    return known(record)["moves"]


def gpu(record: dict[str, Any]) -> Any:
    return record["gpus"]["known"][0]


def errors(record: dict[str, Any]) -> Any:
    return gpu(record)["errors"]


def machines(record: dict[str, Any]) -> Any:
    return gpu(record)["machines"]


def sample(record: dict[str, Any]) -> Any:
    return record["gpus"]["sample"][0]


def turned(correlation: float = 2.0) -> str:
    """No covariance of all costs: the first two are correlated by more than 1."""
    matrix = np.eye(105)
    matrix[0, 1] = matrix[1, 0] = correlation
    return packed(matrix[np.triu_indices(105)], "<f2")


@pytest.mark.parametrize(("at", "spoil", "said"), SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_predictor_is_refused(fuzz: ModuleType, file: Path, at: int, spoil: Spoil, said: str) -> None:
    record = copy.deepcopy(fuzz.records()[at])
    spoil(record)
    with pytest.raises(DataError, match=said) as error:
        loaded(record, file)
    assert str(error.value).startswith("a model file is one that ftax fit wrote; got ")
    assert str(error.value).isprintable()


def test_a_file_too_large_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch, fuzz: ModuleType) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        loaded(fuzz.records()[LAW], file)


def test_what_is_within_all_limits_and_says_nothing_is_refused_when_it_answers(fuzz: ModuleType, file: Path) -> None:
    record = copy.deepcopy(fuzz.records()[LAW])
    law(record).update(coef_=[1e6] * 4)
    predictor = loaded(record, file)
    with pytest.raises(DataError, match=r"a call takes between 1e-09 and 1e\+06 seconds; got a prediction of"):
        fuzz.use(predictor)


@pytest.mark.parametrize("schema", range(2, SCHEMA))
def test_a_predictor_of_an_earlier_schema_says_what_to_do(file: Path, fuzz: ModuleType, schema: int) -> None:
    with pytest.raises(DataError, match=r"the datasets must be fitted again: .*ftax fit DATASET --out"):
        loaded({**fuzz.records()[LAW], "schema": schema}, file)


def test_a_predictor_of_a_later_schema_says_what_is_needed(file: Path, fuzz: ModuleType) -> None:
    with pytest.raises(DataError, match=f"of schema {SCHEMA}; got schema {SCHEMA + 1}, .*pip install"):
        loaded({**fuzz.records()[LAW], "schema": SCHEMA + 1}, file)
