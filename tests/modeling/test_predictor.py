"""The predictor on made-up platforms whose costs are known: calibration, modules, crossovers, costs of a search."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from ftax_model import LatencyPredictor, Workload, architectures
from ftax_model.errors import DataError, InputError
from ftax_model.modeling.judging import evaluation, machines
from ftax_model.modeling.platforms.platform import parts
from ftax_model.modeling.predictor import SHIPPED
from ftax_model.modeling.rows import with_operators
from ftax_model.nas import LatencyCost
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace_sweep
from ftax_model.workload import grid

SIZES = [1, 2, 4, 8, 16, 32, 64]
HOST, COMPUTE, MEMORY = 4e-6, 2e-11, 1e-10


def measured(models, *, framework="eager", factors=(1.0, 1.0, 1.0), noise=0.02, seed=0):
    """A dataset's frame of models, as a machine of known costs would give it."""
    draw, rows = np.random.default_rng(seed), []
    for model in models:
        for size, trace in trace_sweep(model, SIZES).items():
            own = trace.features()
            host = factors[0] * HOST * (2 + own["n_ops"])
            device = factors[1] * COMPUTE * own["macs"] + factors[2] * MEMORY * own["activation_bytes"]
            rows.append(
                {
                    **own,
                    "architecture": model.architecture,
                    "family": "block",
                    "model": str(model.settings),
                    "curve": str(model),
                    "hyperparameters": "{" + ", ".join(f'"{k}": {v}' for k, v in model.hyperparameters) + "}",
                    "batch_size": size,
                    "input_size": model.input_size,
                    "lengths": "fixed",
                    "framework": framework,
                    "device": "made-up",
                    "dtype": "float32",
                    "threads": 1,
                    "repeat": 0,
                    "status": "ok",
                    "latency_s": (host + device) * np.exp(draw.normal(0, noise)),
                }
            )
    return pd.DataFrame(rows)


MODELS = grid("mlp", num_layers=[2, 4, 9, 20], hidden_size=[16, 48, 160], input_size=32)


@pytest.fixture(scope="module")
def table():
    return with_operators(measured(MODELS), jobs=1)


@pytest.fixture(scope="module")
def predictor(table):
    return LatencyPredictor(jobs=1).fit(table)


def test_a_calibrated_predictor_knows_the_new_platform_from_a_few_rows(table, predictor):
    factors = (3.0, 0.5, 2.0)
    new = measured(MODELS, framework="other", factors=factors, seed=1)
    few = new.iloc[np.random.default_rng(0).permutation(len(new))[:10]]
    found = predictor.calibrate(few)
    rest = with_operators(new.drop(few.index), jobs=1)
    predicted = found.predict_frame(rest, crossovers=False)
    assert evaluation.errors(predicted["latency_s"], rest["latency_s"])["mape"] < 0.12
    (fit,) = found.fits_
    assert fit.platform.framework == "other"
    assert fit.origin == "eager on made-up"
    assert fit.n_rows == 10


def test_a_calibrated_predictor_survives_its_file(predictor, tmp_path):
    new = measured(MODELS[:2], framework="other", factors=(2.0, 2.0, 2.0))
    found = predictor.calibrate(new)
    found.save(tmp_path / "mine.json.gz")
    again = LatencyPredictor.load(tmp_path / "mine.json.gz")
    pd.testing.assert_frame_equal(again.predict(MODELS[0]), found.predict(MODELS[0]), rtol=0.02)
    assert [one.key for one in again.known_.values()] == [one.key for one in predictor.known_.values()]
    third = [one.calibrate(measured(MODELS[3:5], framework="other")).predict(MODELS[0]) for one in (found, again)]
    assert third[1]["latency_s"].to_numpy() == pytest.approx(third[0]["latency_s"].to_numpy(), rel=0.02)


def test_a_module_is_predicted_like_the_workload_it_is(predictor):
    workload = Workload("mlp", {"num_layers": 4, "hidden_size": 48}, input_size=32)
    with torch.device("meta"):
        module, inputs = architectures.load("mlp").build(architectures.complete(workload))
    sizes = [1, 16]
    found = predictor.predict(module, inputs, batch_sizes=sizes)
    expected = predictor.predict(workload, batch_sizes=sizes)
    assert found["latency_s"].to_numpy() == pytest.approx(expected["latency_s"].to_numpy())
    assert list(found["batch_size"]) == sizes
    assert (found["low_s"] < found["latency_s"]).all()


def test_the_crossover_is_read_off_the_predicted_curve(predictor):
    found = predictor.predict(MODELS[4], batch_sizes=[1, 64])
    assert found["crossover_batch_size"].nunique() == 1
    crossover = found["crossover_batch_size"].iloc[0]
    assert (found["crossover_low"] <= crossover).all()
    assert (crossover <= found["crossover_high"]).all()
    below = found["batch_size"] < crossover
    assert ((found["regime"] == "framework-bound") == below).all()


def test_far_outside_is_noted_refused_and_wider(predictor):
    near, far = (
        predictor.predict(Workload("mlp", {"num_layers": 4, "hidden_size": h}, input_size=32)) for h in (48, 4096)
    )
    assert near["notes"].iloc[0] == ""
    assert "far outside the data in weight_bytes" in far["notes"].iloc[0]
    width = [float(np.log(one["high_s"] / one["low_s"]).iloc[0]) for one in (near, far)]
    assert width[1] > width[0]
    with pytest.raises(InputError, match="far outside"):
        predictor.predict(Workload("mlp", {"hidden_size": 4096}, input_size=32), strict=True)


def test_held_out_rows_lie_in_their_intervals(table):
    found = evaluation.evaluate(table, splits=["model", "size"], jobs=1)
    figures = evaluation.summary(found, by=["split"]).set_index("split")
    assert set(figures.index) == {"model", "size"}
    assert (figures["median"] < 0.1).all()
    assert figures.loc["model", "covered"] > 0.75
    assert figures.loc["model", "by macs"] > figures.loc["model", "median"]
    held = found[found["split"] == "size"]
    assert held["batch_size"].min() > table["batch_size"].min()


def test_crossovers_of_held_out_sweeps_are_compared(table):
    found = evaluation.evaluate(table, splits=["model"], jobs=1)
    sweeps = evaluation.crossovers(found, jobs=1)
    figures = evaluation.crossover_summary(sweeps, by=["split"]).iloc[0]
    assert figures["n"] > 0
    assert figures["median"] < 0.5


def test_cost_takes_workloads_and_dictionaries(predictor):
    cost = LatencyCost(predictor, framework="eager", architecture="mlp", batch_size=8)
    settings = {"num_layers": 4, "hidden_size": 48}
    expected = predictor.predict(Workload("mlp", settings, batch_size=8, input_size=32))["latency_s"].iloc[0]
    assert cost({**settings, "input_size": 32}) == pytest.approx(expected)
    assert cost(Workload("mlp", settings, input_size=32)) == pytest.approx(expected)


def test_a_high_quantile_costs_more(predictor):
    asked = {"framework": "eager", "architecture": "mlp", "batch_size": 8}
    plain, careful = (LatencyCost(predictor, **asked, quantile=q)({"input_size": 32}) for q in (None, 0.95))
    assert careful > plain


def test_cost_needs_one_platform_an_architecture_and_a_share(predictor):
    both = LatencyPredictor(jobs=1)
    both.fits_ = [
        *predictor.fits_,
        dataclasses.replace(predictor.fits_[0], platform=dataclasses.replace(predictor.fits_[0].platform, threads=2)),
    ]
    with pytest.raises(InputError, match="one platform"):
        LatencyCost(both)
    with pytest.raises(InputError, match="belong to an architecture"):
        LatencyCost(predictor)({"num_layers": 2})
    with pytest.raises(InputError, match="quantile"):
        LatencyCost(predictor, quantile=1.5)


def test_rows_without_operators_get_the_answer_of_the_law(table, predictor):
    plain = table.drop(columns=[name for name in table if "." in name])
    found = predictor.predict_frame(plain)
    (fit,) = predictor.fits_
    assert found["latency_s"].to_numpy() == pytest.approx(fit.law.predict(plain))
    assert found["crossover_batch_size"].notna().all()


def test_a_module_without_inputs_is_refused(predictor):
    for module in (torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))):
        with pytest.raises(InputError, match="without inputs"):
            predictor.predict(module)


def test_an_interval_holds_its_prediction_however_far_outside():
    found = LatencyPredictor.load(SHIPPED).predict(torch.nn.Linear(8, 8), {"input": torch.zeros(4, 8)})
    assert (found["low_s"] <= found["latency_s"]).all()
    assert (found["latency_s"] <= found["high_s"]).all()
    assert (found["notes"] != "").any()


def test_intervals_narrow_as_rows_are_measured(predictor):
    new = measured(MODELS, factors=(2.0, 0.5, 2.0), seed=1).assign(device="amd-epyc-milan-2core")
    known = LatencyPredictor(jobs=1).fit(measured(MODELS).assign(device="amd-epyc-turin-2core"))
    shuffled, widths = new.sample(frac=1, random_state=0), []
    for count in (0, 10, 84):
        own = known.calibrate(shuffled[:count]) if count else known
        found = own.predict(MODELS[4], batch_sizes=[1, 8, 64], device="amd-epyc-milan-2core", crossovers=False)
        widths.append(float(np.log(found["high_s"] / found["low_s"]).median()))
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_another_thread_count_begins_at_the_same_machines_own(predictor):
    slow = measured(MODELS, factors=(3.0, 3.0, 3.0), seed=1).assign(device="slow").sample(18, random_state=0)
    two = slow.iloc[:2].assign(threads=2)
    fits = {fit.platform.threads: fit for fit in predictor.calibrate(pd.concat([slow, two], ignore_index=True)).fits_}
    assert fits[1].origin == "eager on made-up"
    assert fits[2].origin == "eager on slow, float32, 1 thread"
    rest = with_operators(slow, jobs=1)
    said = fits[2].estimate(rest)["latency_s"]
    assert evaluation.errors(said, rest["latency_s"])["median"] < 0.2


BIG = Workload("mlp", {"num_layers": 4, "hidden_size": 160}, input_size=32, batch_size=64)


@pytest.fixture(scope="module")
def turin(table):
    return LatencyPredictor(jobs=1).fit(table.assign(device="amd-epyc-turin-2core"))


def mean(predictor):
    """The mean costs of the one framework that is known."""
    (known,) = predictor.known_.values()
    model = known.model()
    model.structure_, model.trees_ = known.reference, known.trees
    return model


@pytest.mark.parametrize(
    ("asked", "compute"),
    [
        ({"device": "amd-epyc-milan"}, 160 / 65.6),
        ({"device": "amd-epyc-milan-64core", "threads": 4}, 160 / (4 * 65.6)),
        ({"threads": 2}, 0.5),
    ],
)
def test_a_platform_never_measured_is_made_of_specifications(turin, asked, compute):
    known, made = turin.predict(BIG).iloc[0], turin.predict(BIG, **asked).iloc[0]
    assert "never measured (by eager on amd-epyc-turin-2core" in made["notes"]
    (fit,) = turin.select(**asked)
    times = [parts(model, with_operators(measured([BIG.curve]), jobs=1)).iloc[-1] for model in (mean(turin), fit.model)]
    computing = [one["device_s"] - one["memory_s"] for one in times]
    assert computing[1] / computing[0] == pytest.approx(compute, rel=0.05)
    assert times[1]["host_s"] == pytest.approx(times[0]["host_s"], rel=0.05)
    assert np.log(made["high_s"] / made["low_s"]) > np.log(known["high_s"] / known["low_s"])
    with pytest.raises(InputError, match="never measured"):
        turin.predict(BIG, **asked, strict=True)


def test_a_device_file_of_ones_own(turin, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "kind = 'cpu'\nmatch = 'mine'\nsource = 'a guess'\npeak_macs = {float32 = 80e9}\n", encoding="utf-8"
    )
    (fit,) = turin.select(device=str(file), threads=1)
    times = [parts(model, with_operators(measured([BIG.curve]), jobs=1)).iloc[-1] for model in (mean(turin), fit.model)]
    computing = [one["device_s"] - one["memory_s"] for one in times]
    assert computing[1] / computing[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("asked", [{"device": "nvidia-h200"}, {"device": "unheard-of"}])
def test_specifications_of_another_kind_or_none_are_no_help(turin, asked):
    with pytest.raises(InputError, match=r"this predictor knows eager on amd-epyc-turin-2core.*measure it"):
        turin.predict(BIG, **asked)


def test_a_framework_that_is_not_known_is_named_with_those_that_are(turin):
    with pytest.raises(InputError, match="knows is one of eager; got 'eagre'; did you mean"):
        turin.predict(BIG, framework="eagre")


def test_machines_held_out_are_judged_after_each_count_of_rows(table):
    other = with_operators(measured(MODELS, factors=(1.0, 160 / 65.6, 1.0), seed=1), jobs=1)
    both = pd.concat(
        [table.assign(device="amd-epyc-turin-2core"), other.assign(device="amd-epyc-milan-2core")], ignore_index=True
    ).assign(key="k")
    found = machines.judge(both, counts=(0, 10), draws=1, jobs=1)
    assert set(zip(found["device"], found["rows"], strict=True)) == {
        (device, count) for device in ("amd-epyc-turin-2core", "amd-epyc-milan-2core") for count in (0, 10)
    }
    assert found.loc[found["rows"] == 0, "by law"].isna().all()
    errors = found.groupby("rows")["error"].agg(lambda own: own.abs().median())
    assert errors[10] < 0.15
    titles = machines.tables(found)
    assert set(titles["machine never seen, mean over machines"]["rows"]) == {"0", "10"}


def test_without_device_files_no_machine_is_judged_without_rows(table):
    other = with_operators(measured(MODELS, factors=(2.0, 2.0, 2.0), seed=1), jobs=1)
    both = pd.concat([table.assign(device="one"), other.assign(device="another")], ignore_index=True)
    found = machines.judge(both, counts=(0, 10), draws=1, jobs=1)
    assert set(found["rows"]) == {10}


def test_one_machine_cannot_be_held_out(table):
    with pytest.raises(DataError, match="holding out a machine needs two"):
        machines.judge(table, jobs=1)


def test_a_framework_never_seen_for_a_model_that_others_measured(table):
    two = pd.concat([table, table[table["batch_size"] < 8].assign(framework="other")], ignore_index=True)
    found = evaluation.evaluate(two, splits=["framework"], jobs=1)
    assert set(found["split"]) == {"framework"}
    assert set(found["framework"]) == {"eager", "other"}
    assert found["batch_size"].max() == 4
    assert "model" in set(
        evaluation.evaluate(two.reset_index(drop=True), splits=["model", "framework"], jobs=1)["split"]
    )


def test_a_predictor_of_other_columns_is_refused(predictor, tmp_path, monkeypatch):
    predictor.save(tmp_path / "old.json")
    monkeypatch.setattr("ftax_model.modeling.predictor._FINGERPRINT", 1)
    with pytest.raises(DataError, match="columns of another version; fit one"):
        LatencyPredictor.load(tmp_path / "old.json")


HOSTILE = {
    "a list for a mapping": lambda r: r["known"][0].update(domain=[1, 2]),
    "text for a number": lambda r: r["known"][0]["spread"].update(own="wide"),
    "another spread": lambda r: r["known"][0].update(spread={"sideways": 1.0}),
    "moves of other classes": lambda r: r["known"][0].update(moves={"made-up": [0.0]}),
    "a shift of other costs": lambda r: r["known"][0].update(shifts={"float32/2": [0.1]}),
    "costs below zero": lambda r: r["known"][0]["reference"].update(intercept=-1.0),
    "costs that are no number": lambda r: r["known"][0]["reference"]["costs"].update({"linear.macs": None}),
    "errors after no count": lambda r: r["known"][0].update(errors={"many": {"every": [0.1]}}),
    "errors without any": lambda r: r["known"][0].update(errors={"0": {}}),
    "trees of nothing": lambda r: r["known"][0].update(trees=[{"roots": [0]}]),
    "a fit of what is not known": lambda r: r["fits"][0].update(known=["other", "cpu"]),
    "a platform without a name": lambda r: r["fits"][0].update(platform={"framework": "eager"}),
    "a law of other features": lambda r: r["fits"][0].update(law={}),
    "known that is no list": lambda r: r.update(known=7),
    "nothing about it": lambda r: r.update(about=None),
    "a confidence beyond one": lambda r: r.update(confidence=90),
    "crossovers of nothing": lambda r: r.update(crossovers=[1]),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_spoilt_file_is_one_error(predictor, tmp_path, spoil):
    path = tmp_path / "spoilt.json"
    predictor.save(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    spoil(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises((DataError, InputError)) as error:
        LatencyPredictor.load(path)
    assert "\n" not in str(error.value)


def test_what_no_row_was_measured_of_is_told(predictor):
    (fit,) = predictor.calibrate(measured(MODELS[:2], framework="other")).fits_
    assert {"convolutions", "depthwise"} <= set(fit.lacking())
    assert not {"host", "products"} & set(fit.lacking())


def test_shapes_far_from_all_measured_are_noted() -> None:
    predictor = LatencyPredictor.load("x86-epyc-2core")
    asked = {"framework": "eager", "threads": 1}
    with torch.device("meta"):
        features_ = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.BatchNorm1d(128)).eval()
        image = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.BatchNorm2d(64)).eval()
        rows, pictures = torch.empty(10_000, 64), torch.empty(8, 3, 64, 64)
    (noted,) = predictor.predict(features_, rows, **asked)["notes"]
    assert "far outside the data in shapes of batch-normalisation" in noted
    (plain,) = predictor.predict(image, pictures, **asked)["notes"]
    assert plain == "", "normalised images were measured"
    with pytest.raises(InputError, match="strict predictions stay near"):
        predictor.predict(features_, rows, strict=True, **asked)


def test_work_of_unknown_cost_widens_the_interval_upwards() -> None:
    known = Operator("relu", ((64, 64),), ((64, 64),), 0, 32_768)
    odd = dataclasses.replace(known, kind="no_such_operator")
    predictor = LatencyPredictor.load("x86-epyc-2core")
    low, high = [], []
    for share in (0, 2, 8):
        trace = Trace((known,) * (16 - share) + (odd,) * share, params=0)
        one = predictor.predict(trace, framework="eager", threads=1).iloc[0]
        low.append(one["low_s"] / one["latency_s"])
        high.append(one["high_s"] / one["latency_s"])
        assert ("no_such_operator" in one["notes"]) == (share > 0)
    assert high[0] < high[1] < high[2]
    assert high[2] > 5, "half of the bytes may take twenty times as long"


def test_a_calibration_keeps_what_is_known_of_memory_and_learns_of_other_frameworks(predictor):
    new = measured(MODELS[:2], framework="other")
    held = [new.assign(peak_memory_bytes=floor) for floor in (5e8, 9e8)]
    first = predictor.calibrate(held[0])
    (key,) = first.memory_
    assert key[0] == "other"
    assert first.predict(MODELS[0], memory=True)["memory_bytes"].iloc[0] == pytest.approx(5e8, rel=0.05)
    assert first.calibrate(held[1]).memory_ == first.memory_
    assert predictor.memory_ == {}


def test_answers_stand_in_the_order_of_the_questions(predictor):
    small, large = MODELS[0], MODELS[-1]
    asked = [small.with_batch_size(4), large, small, large.with_batch_size(2), small]
    found = predictor.predict(asked)
    assert found["batch_size"].tolist() == [4, 1, 1, 2, 1]
    alone = [predictor.predict(one)["latency_s"].item() for one in asked]
    assert found["latency_s"].tolist() == pytest.approx(alone)
