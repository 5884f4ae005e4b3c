"""What is compiled says what the predictor says, to the last digits, on every platform that ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, architectures
from ftax_model.measurement import Platform
from ftax_model.modeling import compiled
from ftax_model.modeling.compiled import KINDS, TOLD, Card, Compiled, Forest
from ftax_model.modeling.platforms.flat import flat
from ftax_model.modeling.predictor import PUBLISHED, SHIPPED
from ftax_model.modeling.rows import kernel_row, row
from ftax_model.nas import LatencyCost, SearchSpace
from ftax_model.operators import FEATURES
from ftax_model.tracing import features, polynomials, trace_workload
from ftax_model.tracing.regions import Regions
from ftax_model.workload import DTYPES, Workload

CLOSE = 1e-9
CPU, GPUS = LatencyPredictor.load(SHIPPED), LatencyPredictor.load(PUBLISHED)
PLATFORMS = [fit.platform for fit in CPU.fits_]
CARDS = ("nvidia-l40s", "nvidia-v100")
ON_CARDS = [Platform(framework, card, "float32", 1) for framework in GPUS.gpus_ for card in CARDS]
ON_CARDS.append(Platform("eager", "nvidia-l40s", "float16", 1))


def drawn(dtype: str, seed: int = 0) -> list[Workload]:
    """Candidates of some architectures: tiny, usual, and far beyond what was measured."""
    rng = np.random.default_rng(seed)

    def one(architecture: str, **settings: Any) -> Workload:
        sizes = {"batch_size": int(rng.integers(2, 65)), "input_size": 8 * int(rng.integers(2, 25))}
        return architectures.complete(Workload(architecture, settings, dtype=dtype, **sizes))

    found = []
    for _ in range(3):
        heads = int(rng.integers(2, 13))
        width = heads * 16 * int(rng.integers(1, 9))
        found.append(one("multi-head-attention", num_heads=heads, hidden_size=width))
        found.append(one("feedforward", num_layers=int(rng.integers(2, 9)), hidden_size=width))
        found.append(one("conv2d", channels=width // 4, kernel_size=int(rng.choice([3, 5, 7]))))
    found += [
        one("feedforward", num_layers=6, hidden_size=5600, intermediate_size=20_000),
        one("layer-norm", hidden_size=96),
    ]
    return found


def of_networks() -> list[Workload]:
    """Candidates of whole networks of convolutions."""
    depths = [((2, 3), (8, 16)), ((3, 2), (24, 48)), ((4, 4), (64, 128))]
    return [
        architectures.complete(Workload("convnext", {"depths": depth, "widths": width}, batch_size=5, input_size=160))
        for depth, width in depths
    ]


class Expected:
    """What a predictor says of workloads, by way of traces; each is traced once."""

    def __init__(self, predictor: LatencyPredictor, told: Callable[..., dict[str, Any]]) -> None:
        self.predictor, self.told = predictor, told
        self.tables: dict[tuple[Workload, ...], pd.DataFrame] = {}

    def __call__(self, platform: Platform, workloads: Sequence[Workload]) -> pd.DataFrame:
        key = tuple(workloads)
        if key not in self.tables:
            rows = [self.told(trace_workload(one), dtype=one.dtype) for one in key]
            self.tables[key] = pd.DataFrame(rows).assign(batch_size=[one.batch_size for one in key])
        table = self.tables[key].assign(**dataclasses.asdict(platform))
        return self.predictor.predict_frame(table, quantile=0.95, crossovers=False)


@pytest.fixture(scope="module")
def on_cpu() -> Expected:
    return Expected(CPU, row)


@pytest.fixture(scope="module")
def on_card() -> Expected:
    return Expected(GPUS, kernel_row)


def cost_of(predictor: LatencyPredictor, platform: Platform, **options: Any) -> LatencyCost:
    """The cost of a platform, with intervals of its own or a quantile."""
    own = dataclasses.asdict(platform)
    if predictor is GPUS:
        del own["threads"]
    return LatencyCost(predictor, **own, **options)


def agree(expected: Expected, platform: Platform, workloads: Sequence[Workload]) -> pd.DataFrame:
    """Hold the cost of workloads, its interval and its quantile, against what the predictor says, which is returned."""
    said = expected(platform, workloads)
    cost = cost_of(expected.predictor, platform)
    low, high = cost.interval(workloads)
    careful = cost_of(expected.predictor, platform, quantile=0.95)(workloads)
    for own, name in ((cost(workloads), "latency_s"), (low, "low_s"), (high, "high_s"), (careful, "quantile_s")):
        assert own == pytest.approx(said[name].to_numpy(), rel=CLOSE), name
    return said


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_every_fit_of_cpus_is_compiled_as_it_is(on_cpu: Expected, platform: Platform) -> None:
    said = agree(on_cpu, platform, drawn(platform.dtype))
    assert (said["notes"] != "").any()


@pytest.mark.parametrize("platform", ON_CARDS, ids=str)
def test_every_framework_on_gpus_is_compiled_as_it_is(on_card: Expected, platform: Platform) -> None:
    said = agree(on_card, platform, drawn(platform.dtype, seed=1))
    assert (said["notes"] != "").any()


@pytest.mark.slow
def test_whole_networks_are_compiled_as_they_are_on_all_platforms(on_cpu: Expected, on_card: Expected) -> None:
    workloads = of_networks()
    for expected, platforms in ((on_cpu, PLATFORMS), (on_card, ON_CARDS)):
        for platform in platforms:
            if platform.dtype == "float32":
                agree(expected, platform, workloads)


@pytest.mark.slow
def test_networks_of_words_are_sums_on_every_fit(on_cpu: Expected) -> None:
    space = SearchSpace.load("nasbench201")
    candidates = [{**one, "cells": 1, "channels": 8} for one in space.sample(8, seed=3)]
    workloads = [architectures.complete(space.workload(one, batch_size=1)) for one in candidates]
    for platform in PLATFORMS:
        if platform.dtype == "float32":
            agree(on_cpu, platform, workloads)


def test_platforms_that_were_never_measured_are_compiled_too(on_cpu: Expected, on_card: Expected) -> None:
    agree(on_cpu, Platform("eager", "amd-epyc-milan", "float32", 4), drawn("float32"))
    workloads, platform = drawn("float32", seed=1), dataclasses.asdict(ON_CARDS[0]) | {"threads": None}
    for asked in ({"host": "l40s-matx3"}, {"host_factor": 2.0}):
        platform |= {"framework": "eager", "device": "nvidia-l40s"}
        found = LatencyCost(GPUS, **{**platform, **asked})(workloads)
        said = [
            GPUS.predict(one, framework="eager", device="nvidia-l40s", crossovers=False, **asked)["latency_s"].iloc[0]
            for one in workloads
        ]
        assert found == pytest.approx(said, rel=CLOSE)


@pytest.mark.parametrize(("predictor", "platform"), [(CPU, PLATFORMS[1]), (GPUS, ON_CARDS[0])], ids=["cpu", "gpu"])
def test_operators_of_unknown_cost_widen_the_interval_as_far(
    on_cpu: Expected,
    on_card: Expected,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    predictor: LatencyPredictor,
    platform: Platform,
) -> None:
    workloads = [one for one in drawn("float32") if one.architecture == "layer-norm"]
    before = cost_of(predictor, platform).interval(workloads)
    known = features.is_known
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(features, "is_known", lambda one: known(one) and one.kind != "native_layer_norm")
    told = Expected(predictor, on_cpu.told if predictor is CPU else on_card.told)
    said = agree(told, platform, workloads)
    assert said["notes"].str.contains("native_layer_norm").all()
    assert (said["high_s"] > before[1]).all()


def test_traces_are_judged_as_polynomials_are(on_cpu: Expected, on_card: Expected) -> None:
    workloads = drawn("float32")
    for expected, platform in ((on_cpu, PLATFORMS[1]), (on_card, ON_CARDS[0])):
        cost = cost_of(expected.predictor, platform)
        for one in workloads[:3]:
            own = one.with_batch_size(1)
            assert cost(trace_workload(own)) == pytest.approx(cost(own), rel=CLOSE)


# The parts


@pytest.fixture(scope="module")
def found() -> tuple[Workload, polynomials.Polynomials]:
    like = architectures.complete(Workload("multi-head-attention", batch_size=4))
    own = Regions(like).find(polynomials.sizes_of(like)[1])
    assert own is not None
    return like, own


def points_of(found: polynomials.Polynomials, rows: Sequence[dict[str, int]]) -> np.ndarray[Any, Any]:
    return np.array([[point[name] for name in found.variables] for point in rows], dtype=float)


def test_columns_and_features_are_those_of_a_trace(found: tuple[Workload, polynomials.Polynomials]) -> None:
    like, own = found
    rows = [
        {**polynomials.sizes_of(like)[1], "hidden_size": 32 * heads, "num_heads": heads, "batch_size": batch}
        for heads, batch in ((2, 3), (7, 30), (24, 8))
    ]
    seen, columns = np.zeros((3, len(FEATURES))), np.zeros((3, len(features.COLUMNS)))
    program = compiled.program(own, itemsize=DTYPES["float32"])
    compiled.describe()(points_of(own, rows), program, seen, columns)
    for at, point in enumerate(rows):
        trace = trace_workload(polynomials.workload_of(like, point))
        assert seen[at].tolist() == [*trace.features().values()]
        assert columns[at] == pytest.approx([*features.columns(trace, itemsize=4).values()], rel=1e-12)


def test_parameters_that_are_not_known_are_not_told(found: tuple[Workload, polynomials.Polynomials]) -> None:
    like, own = found
    program = compiled.program(dataclasses.replace(own, params=-1), itemsize=4)
    seen, columns = np.zeros((1, len(FEATURES))), np.zeros((1, len(features.COLUMNS)))
    compiled.describe()(points_of(own, [polynomials.sizes_of(like)[1]]), program, seen, columns)
    assert [name for at, name in enumerate(FEATURES) if np.isnan(seen[0, at])] == ["params"]


def flat_of(platform: Platform) -> Compiled | Card:
    """The arrays of the fit of a platform."""
    asked = dataclasses.asdict(platform)
    if platform in ON_CARDS:
        del asked["threads"]
    return flat((GPUS if platform in ON_CARDS else CPU).select(**asked)[0])


def test_between_whole_numbers_there_is_no_model_but_a_slope(found: tuple[Workload, polynomials.Polynomials]) -> None:
    like, own = found
    fit, point = flat_of(PLATFORMS[1]), polynomials.sizes_of(like)[1]
    rows = points_of(own, [{**point, "hidden_size": width} for width in (768, 770, 780)])  # of 12 heads
    rows[1, own.variables.index("hidden_size")] += 0.25
    program, strict, loose = compiled.program(own, itemsize=4), np.empty((3, len(TOLD))), np.empty((3, len(TOLD)))
    compiled.predict()(rows, program, fit, strict)
    compiled.smooth()(rows, program, fit, loose)
    assert np.isnan(strict[:, 0]).tolist() == [False, True, False]
    assert strict[[0, 2]] == pytest.approx(loose[[0, 2]])
    assert 0.8 * loose[0, 0] < loose[1, 0] < 1.25 * loose[2, 0]
    assert {*strict[[0, 2], 4]} <= {*map(float, range(len(KINDS)))}


@pytest.mark.parametrize("platform", [*PLATFORMS, *ON_CARDS], ids=str)
def test_what_is_flat_is_a_fit_with_and_without_intervals(platform: Platform) -> None:
    own = flat_of(platform)
    compiled.check(own)
    compiled.check(own._replace(scale=own.scale._replace(roots=own.scale.roots[:0])))


def trees(fit: Any, name: str, **changes: Any) -> Any:
    own: Forest = getattr(fit, name)
    return fit._replace(**{name: own._replace(**{key: change(getattr(own, key)) for key, change in changes.items()})})


SPOILT: dict[str, Callable[[Any], Any]] = {
    "a walk round and round": lambda fit: trees(fit, "scale", left=np.zeros_like, right=lambda own: np.zeros_like(own)),
    "a child outside": lambda fit: trees(fit, "scale", right=lambda own: own + np.int32(10**6)),
    "a root outside": lambda fit: trees(fit, "scale", roots=lambda own: own - 10**6),
    "a column outside": lambda fit: trees(fit, "scale", feature=lambda own: own + np.int32(10**6)),
    "fewer values": lambda fit: trees(fit, "scale", value=lambda own: own[:-1]),
    "another type": lambda fit: trees(fit, "scale", value=lambda own: own.astype(np.float64)),
    "costs in halves": lambda fit: fit._replace(costs=fit.costs.astype(np.float16)),
    "fewer costs": lambda fit: fit._replace(costs=fit.costs[:-1]),
    "a domain of one side": lambda fit: fit._replace(domain=fit.domain[:1]),
    "an overlap of many": lambda fit: fit._replace(overlap=np.ones(3)),
    "a flat covariance": lambda fit: fit._replace(covariance=fit.covariance.ravel()),
    "seen of others": lambda fit: fit._replace(seen=fit.seen[:-1]),
}


@pytest.mark.parametrize("platform", [PLATFORMS[1], ON_CARDS[0]], ids=["cpu", "gpu"])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_arrays_that_compiled_code_would_leave_are_refused(platform: Platform, spoil: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"that are no fit|that are no trees"):
        compiled.check(spoil(flat_of(platform)))


@pytest.mark.parametrize("name", ["member", "part", "shaped"])
def test_positions_outside_are_refused(name: str) -> None:
    fit = flat_of(PLATFORMS[1])
    for change in (10**6, -(10**6)):
        with pytest.raises(ValueError, match="arrays that are no fit"):
            compiled.check(fit._replace(**{name: getattr(fit, name) + change}))


@pytest.mark.parametrize("hosts", [0, 10**12, -1, 3.0])
def test_hosts_of_a_card_are_counted(hosts: Any) -> None:
    with pytest.raises(ValueError, match="arrays that are no fit"):
        compiled.check(flat_of(ON_CARDS[0])._replace(hosts=hosts))
