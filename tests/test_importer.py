"""Importer: known layouts and maps of one's own become records, and what is missing is refused in one line."""

from __future__ import annotations

import errno
import json
import os
import sys

import numpy as np
import pandas as pd
import pytest

from ftax_model import LatencyPredictor, Workload, dataset, importer
from ftax_model.cli import main
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.importer import Map, Source, parse_map, read_table
from ftax_model.proxies import proxies

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


def test_all_rows_are_imported_or_none(timm, tmp_path, capsys, monkeypatch):
    out = tmp_path / "timm.jsonl"
    words = [word for constant in CONSTANTS for word in ("--set", constant)]
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 0
    before = out.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words[1] = "device=another"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(before)
    assert len(dataset.read(out)) == 6


def test_a_fit_says_which_features_are_missing(timm, tmp_path, capsys):
    out = tmp_path / "timm.jsonl"
    words = [word for constant in CONSTANTS for word in ("--set", constant)]
    assert main(["import", str(timm), "--map", "timm", *words, "--out", str(out)]) == 0
    assert main(["fit", str(out), "--out", str(tmp_path / "model.json")]) == 0
    assert "by macs, activations, params alone" in capsys.readouterr().err
    model = LatencyPredictor.load(tmp_path / "model.json")
    found = model.predict(Workload("resnet", dtype="float16"), device="some-gpu", framework="eager")
    assert "by macs, activations, params alone" in found["notes"].iloc[0]


def test_a_table_without_counts_cannot_be_fitted(timm, tmp_path, capsys):
    words = [word for constant in CONSTANTS for word in ("--set", constant)]
    own = ["--map", "model=model", "--map", "batch_size=infer_batch_size", "--map", "latency_s=infer_step_time:ms"]
    out = tmp_path / "timm.jsonl"
    assert main(["import", str(timm), *own, *words, "--out", str(out)]) == 0
    for command in (["fit", str(out), "--out", str(tmp_path / "model.json")], ["proxies", str(out)]):
        assert main(command) == 2
        assert "attach traces: ftax import --trace" in capsys.readouterr().err


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


def test_counts_that_a_layout_may_lack_are_left_out(timm, tmp_path):
    timm.write_text(TIMM.replace("0.5,0.04,0.48", "0.5,,", 1))
    found = read_table(timm, parse_map(["timm"], CONSTANTS))
    assert [sorted(one.features) for one in found] == [["params"]] + [["activations", "macs", "params"]] * 2
    timm.write_text("model,infer_step_time,infer_batch_size\na,2.0,1\n")
    (one,) = read_table(timm, parse_map(["timm"], CONSTANTS))
    assert (one.latency_s, one.features, one.cell.workload.input_size) == (0.002, {}, None)
    with pytest.raises(DataError, match="infer_gmacs"):
        read_table(timm, parse_map(["timm", "macs=infer_gmacs:G"], CONSTANTS))
    timm.write_text("model,infer_step_time,infer_batch_size\na,,1\n")
    with pytest.raises(DataError, match="latency_s is a number above 0"):
        read_table(timm, parse_map(["timm"], CONSTANTS))


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
    assert "note: small_net has no trace: a model has a trace, or a name that is ours" in shown.err
    assert "note: resnet34 has no trace:" in shown.err, "another resnet34: its MACs are not ours"
    frame = dataset.load_dataset(out)
    assert frame["n_ops"].notna().sum() == 6
    assert frame["architecture"].tolist()[:3] == ["resnet"] * 3
    assert main(["fit", str(out), "--known", "none", "--out", str(tmp_path / "fit.json")]) == 0
    assert "note: 2 of 8 rows lack features that most have, and were left out" in capsys.readouterr().err


def test_proxies_are_those_that_a_table_counts(timm, tmp_path, capsys):
    out = tmp_path / "timm.jsonl"
    lines = TIMM.partition("\n")[2]
    timm.write_text(TIMM + "".join(lines.replace("_net", f"_other{at}") for at in range(4)))
    constants = [word for one in CONSTANTS for word in ("--set", one)]
    assert main(["import", str(timm), "--map", "timm", *constants, "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["proxies", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["proxy"] for one in found["overall"]} == {"macs", "params", "activations", "law"}
    assert any("no device file tells its peaks" in note for note in found["notes"])
    assert found["answer"].startswith("To rank calls before they are measured: ")


def test_rows_that_lack_what_the_law_looks_at_have_no_regime():
    rows = pd.DataFrame({"batch_size": range(1, 13), "latency_s": range(1, 13), "macs": range(1, 13)}, dtype=float)
    rows = rows.assign(framework="eager", device="some-gpu", dtype="float32", threads=1, status="ok", model="a")
    rows = rows.assign(curve="a", repeat=0, architecture="a")
    more = rows.assign(macs=np.nan, params=rows["batch_size"], model="b", curve="b", architecture="b")[:11]
    judged = proxies(pd.concat([rows, more], ignore_index=True))
    found = judged.table.set_index(["regime", "proxy"])
    assert found.loc[("unknown", "params"), "n"] == 11
    assert found.loc[("unknown", "params"), "spearman"] == pytest.approx(1.0)
    assert set(found.index.get_level_values("regime")) > {"unknown"}
    assert "unknown" not in judged.answer


@pytest.fixture
def of_others(tmp_path):
    path = tmp_path / "others.csv"
    path.write_text("model,batch,ms\nmine,1,2.0\nmine,4,3.0\ntheirs,1,1.0\n")
    words = ["model=model", "batch_size=batch", "latency_s=ms:ms"]
    return path, [word for one in words for word in ("--map", one)] + [
        word for one in CONSTANTS for word in ("--set", one)
    ]


NETS = """
import torch
def build():
    return torch.nn.Linear(8, 16), {"input": torch.empty(2, 8)}
def broken():
    raise RuntimeError("no such luck")
"""


def test_a_module_of_ones_own_is_traced_at_each_batch_size(of_others, tmp_path, monkeypatch, capsys):
    (tmp_path / "own_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    table, words = of_others
    own = ["--module", "mine=own_nets:build", "--module", "theirs=own_nets:broken"]
    assert main(["import", str(table), *words, *own, "--out", "rows.jsonl"]) == 0
    assert "theirs has no trace" in (said := capsys.readouterr().err)
    assert "RuntimeError: no such luck" in said
    frame = dataset.load_dataset("rows.jsonl")
    assert frame["macs"].tolist()[:2] == [128.0, 512.0]
    assert frame["macs"].isna().tolist() == [False, False, True]
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("written", ["by hand", "by ftax trace"])
def test_a_file_of_traces_tells_the_models_it_names(written, of_others, tmp_path, capsys):
    table, words = of_others
    lines = [
        {
            "model": name,
            "batch_size": 1,
            "params": 3,
            "operators": [{"kind": "mm", "inputs": [[2, 2]], "outputs": [[2, 2]], "macs": 8}],
        }
        for name in ("mine", "theirs")
    ]
    if written == "by ftax trace":
        lines = [{"format": "ftax_model.Trace", "model": one.pop("model"), "traces": [one]} for one in lines]
    traces, out = tmp_path / "traces.jsonl", tmp_path / "rows.jsonl"
    traces.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["import", str(table), *words, "--traces", str(traces), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "2 of them traced" in shown.out
    assert "mine was traced at batch size 1; got 4" in shown.err
    assert dataset.load_dataset(out)["n_ops"].tolist()[::2] == [1.0, 1.0]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"model": "a", "params": -1, "operators": []}',
     '{"model": "a", "params": 1, "operators": [{"kind": 3}]}',
     '{"model": "a", "params": 1, "operators": [{"kind": "mm", "inputs": [[1.5]], "outputs": []}]}'],
)  # fmt: skip
def test_a_line_that_is_no_trace_is_named(line, of_others, tmp_path, capsys):
    table, words = of_others
    traces = tmp_path / "traces.jsonl"
    traces.write_text(line + "\n")
    assert main(["import", str(table), *words, "--traces", str(traces), "--out", str(tmp_path / "rows.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["mine", "mine=", "mine=package", "=package:build"])
def test_a_module_without_a_function_is_refused(word, of_others, tmp_path, capsys):
    table, words = of_others
    assert main(["import", str(table), *words, "--module", word, "--out", str(tmp_path / "rows.jsonl")]) == 2
    assert "NAME=PACKAGE.FILE:FUNCTION" in capsys.readouterr().err
