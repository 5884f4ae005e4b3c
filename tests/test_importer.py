"""Importer: known layouts and maps of one's own become records, and what is missing is refused in one line."""

from __future__ import annotations

import json

import pytest

from ftax_model import dataset, importer
from ftax_model.cli import main
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.importer import Map, Source, parse_map, read_table

TIMM = """\
model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts
small_net,160,500.0,2.0,1,0.5,0.04,0.48
small_net,160,1000.0,8.0,8,0.5,0.04,0.48
large_net,224,100.0,80.0,8,25.0,4.1,11.1
"""

OPTIMUM = {
    "config": {
        "name": "pytorch-bert",
        "backend": {"name": "pytorch", "model": "bert-base-uncased", "device": "cpu"},
        "scenario": {"input_shapes": {"batch_size": 2, "sequence_length": 16}},
    },
    "report": {
        "load": {"latency": {"unit": "s", "values": [1.0], "p50": 1.0}},
        "forward": {"latency": {"unit": "s", "values": [0.02, 0.03, 0.04], "mean": 0.03, "p50": 0.03}},
    },
}

CONSTANTS = ["device=some-gpu", "dtype=float16", "framework=eager"]


@pytest.fixture
def timm(tmp_path):
    path = tmp_path / "benchmark-infer.csv"
    path.write_text(TIMM)
    return path


def test_timm(timm):
    small, batch, large = read_table(timm, parse_map(["timm"], CONSTANTS))
    assert small.cell.workload.architecture == "small_net"
    assert (small.cell.framework, small.cell.device, small.cell.workload.dtype) == ("eager", "some-gpu", "float16")
    assert [one.latency_s for one in (small, batch, large)] == pytest.approx([0.002, 0.008, 0.080])
    assert [one.cell.workload.batch_size for one in (small, batch, large)] == [1, 8, 8]
    assert batch.features["macs"] == pytest.approx(8 * 0.04e9)  # its columns are of one image
    assert batch.features["activations"] == pytest.approx(8 * 0.48e6)
    assert batch.features["params"] == pytest.approx(0.5e6)  # weights do not grow with the batch
    assert large.cell.workload.input_size == 224
    assert small.environment["imported_from"] == "benchmark-infer.csv"


def test_optimum_benchmark(tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(OPTIMUM))
    words = ["optimum-benchmark", "input_size=config.scenario.input_shapes.sequence_length"]
    (one,) = read_table(path, parse_map(words, ["dtype=float32"]))
    assert (one.cell.workload.architecture, one.cell.framework, one.cell.device) == (
        "bert-base-uncased",
        "pytorch",
        "cpu",
    )
    assert (one.latency_s, one.cell.workload.batch_size, one.cell.workload.input_size) == (0.03, 2, 16)


def test_list_of_reports(tmp_path):
    path = tmp_path / "all.json"
    other = json.loads(json.dumps(OPTIMUM))
    other["config"]["scenario"]["input_shapes"]["batch_size"] = 4
    path.write_text(json.dumps([OPTIMUM, other]))
    found = read_table(path, parse_map(["optimum-benchmark"], ["dtype=float32"]))
    assert [one.cell.workload.batch_size for one in found] == [2, 4]


def test_throughput_is_the_latency_of_a_batch(timm):
    asked = parse_map(["timm", "latency_s=infer_samples_per_sec:samples/s"], CONSTANTS)
    assert [one.latency_s for one in read_table(timm, asked)] == pytest.approx([0.002, 0.008, 0.080])


def test_a_second_row_of_the_same_is_a_repeat(timm):
    timm.write_text(TIMM + TIMM.splitlines()[1] + "\n")
    found = read_table(timm, parse_map(["timm"], CONSTANTS))
    assert [one.cell.repeat for one in found] == [0, 0, 0, 1]
    assert len({one.cell.key for one in found}) == 4


def test_imported_rows_are_a_frame_like_any_other(timm, tmp_path, capsys):
    out = tmp_path / "timm.jsonl"
    words = [word for constant in CONSTANTS for word in ("--set", constant)]
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 0
    assert "3 rows" in capsys.readouterr().out
    table = dataset.load_dataset(out)
    assert table["model"].tolist() == ["small_net", "small_net", "large_net"]
    assert table["curve"].iloc[0] == "small_net, 160, float16"
    assert set(table["status"]) == {"ok"}
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 2
    assert "unique" in capsys.readouterr().err
    assert len(dataset.read(out)) == 3


def test_a_fit_says_which_features_are_missing(timm, tmp_path, capsys):
    out = tmp_path / "timm.jsonl"
    words = [word for constant in CONSTANTS for word in ("--set", constant)]
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 0
    assert main(["fit", str(out), "--out", str(tmp_path / "model.json")]) == 2
    assert "n_ops" in capsys.readouterr().err


@pytest.mark.parametrize("name", importer.names())
def test_shipped_maps_are_good(name):
    assert Map(parse_map([name]).columns).columns["latency_s"].unit


@pytest.mark.parametrize(
    ("words", "constants", "message"),
    [
        (["timm"], [], "no framework, device, dtype"),
        (["tim"], CONSTANTS, "did you mean 'timm'"),
        (["timm", "latency_s=infer_step_time"], CONSTANTS, "unit of latency_s"),
        (["timm", "latency_s=infer_step_time:min"], CONSTANTS, "unit of latency_s"),
        (["timm", "macs=infer_gmacs"], CONSTANTS, "unit of macs"),
        (["timm", "macs=infer_gmacs:ms"], CONSTANTS, "unit of macs"),
        (["timm", "speed=infer_step_time:ms"], CONSTANTS, "column of a dataset"),
        (["timm", "latency_s=step_time:ms"], CONSTANTS, "no column 'step_time'"),
        (["timm"], [*CONSTANTS, "latency_s=3"], "value for all rows"),
        (["timm"], [*CONSTANTS, "device"], "NAME=VALUE"),
        (["timm"], [*CONSTANTS, "dtype=int8"], "dtype"),
        (["timm", "batch_size=model"], CONSTANTS, "'small_net' in"),
    ],
)
def test_refusals(timm, words, constants, message):
    with pytest.raises(FtaxError) as caught:
        read_table(timm, parse_map(words, constants))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "-1", "0", "nan", "fast"])
def test_a_latency_that_is_none_names_its_row(timm, value):
    timm.write_text(TIMM.replace("8.0,8", f"{value},8"))
    with pytest.raises(DataError, match="row 2"):
        read_table(timm, parse_map(["timm"], CONSTANTS))


@pytest.mark.parametrize("text", ["", "{", "a,b\n"])
def test_a_file_that_is_no_table(tmp_path, text):
    path = tmp_path / ("x.json" if text == "{" else "x.csv")
    path.write_text(text)
    with pytest.raises(DataError):
        read_table(path, parse_map(["timm"], CONSTANTS))


def test_a_unit_that_a_column_names_is_checked(tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(OPTIMUM).replace('"unit": "s", "values": [0.02', '"unit": "h", "values": [0.02'))
    with pytest.raises(InputError, match="unit of latency_s"):
        read_table(path, parse_map(["optimum-benchmark"], ["dtype=float32"]))


def test_a_colon_in_the_name_of_a_column():
    assert parse_map(["model=a:b"]).columns["model"] == Source("a:b")
    assert parse_map(["latency_s=a:b:ms"]).columns["latency_s"] == Source("a:b", "ms")


OF_OURS = """\
model,infer_img_size,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts
resnet18.a1_in1k,64,2.0,1,11.7,0.149,0.2
resnet18.a1_in1k,64,3.1,8,11.7,0.149,0.2
resnet18.a1_in1k,64,6.1,16,11.7,0.149,0.2
resnet34,64,3.1,1,21.8,0.9,0.4
vit_tiny_patch16_224,224,3.0,1,5.7,1.08,4.5
vit_tiny_patch16_224,224,5.0,8,5.7,1.08,4.5
convnext_tiny,64,3.0,1,28.6,0.36,1.1
small_net,160,2.0,1,0.5,0.04,0.48
"""


def test_models_of_ours_are_traced_and_can_be_fitted(tmp_path, capsys):
    table, out = tmp_path / "timm.csv", tmp_path / "timm.jsonl"
    table.write_text(OF_OURS)
    constants = [word for one in CONSTANTS for word in ("--set", one)]
    assert main(["import", str(table), "--map", "timm", *constants, "--trace", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "8 rows of" in shown.out
    assert "6 of them traced" in shown.out
    assert "note: small_net has no trace: no architecture or preset of that name" in shown.err
    assert "note: resnet34 has no trace:" in shown.err, "another resnet34: its MACs are not ours"
    frame = dataset.load_dataset(out)
    assert frame["n_ops"].notna().sum() == 6
    assert frame["architecture"].tolist()[:3] == ["resnet"] * 3
    assert main(["fit", str(out), "--known", "none", "--out", str(tmp_path / "fit.json")]) == 0
    assert "note: 2 of 8 rows have no trace and were left out" in capsys.readouterr().err


def test_a_table_without_traces_says_what_would_help(timm, tmp_path, capsys):
    out = tmp_path / "timm.jsonl"
    constants = [word for one in CONSTANTS for word in ("--set", one)]
    assert main(["import", str(timm), "--map", "timm", *constants, "--out", str(out)]) == 0
    assert main(["fit", str(out), "--known", "none", "--out", str(tmp_path / "fit.json")]) == 2
    assert "attach traces: ftax import --trace" in capsys.readouterr().err
