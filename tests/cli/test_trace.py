"""``ftax trace`` and the options that name a model, as a newcomer types them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx.parser
import pytest

from ftax_model.cli import main

NET = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"


def test_totals_and_the_costliest_layers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["trace", "--architecture", "resnet", "--preset", "resnet-18", "--batch-size", "1,8", "--top", "2"]) == 0
    )
    shown = capsys.readouterr().out
    assert "1.81 G" in shown
    assert "14.5 G" in shown
    assert "11.7 M" in shown
    assert "more" in shown.splitlines()[-1]
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    "cell", ["none,none,none,none,none,nor_conv_1x1", "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"]
)
def test_words_with_commas_are_a_list(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--architecture", "nasbench201", "--cells", "1", "--operations", cell, "--json"]) == 0
    assert "none-none-none-none-none-nor_conv_1x1" in capsys.readouterr().out


def test_json_holds_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--onnx", str(NET), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["traces"]
    assert one["macs"] == pytest.approx(3.49e8, rel=0.01)
    assert sum(layer["macs"] for layer in found["layers"]) == one["macs"]


def test_a_trace_taken_here_is_predicted_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "net.json.gz")
    asked = [
        "--framework",
        "onnxruntime",
        "--device",
        "amd-epyc-genoa",
        "--threads",
        "1",
        "--batch-size",
        "1,8",
        "--json",
    ]
    assert main(["trace", "--onnx", str(NET), "--out", out]) == 0
    assert "batch size 1, 2, 4, 8, 16, 32, 64 written to" in capsys.readouterr().err
    answers = []
    for source in (["--onnx", str(NET)], ["--trace", out]):
        assert main(["predict", "cpu", *source, *asked]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert [one["batch_size"] for one in answers[0]["answers"][0]["predictions"]] == [1, 8]


RATES = """<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 4] x, int64 rate) => (float[n, 4] y) <int64 wanted = {16000}> {
    flag = Equal(rate, wanted)
    y = If (flag) <then_branch = a () => (float[n, 4] u) { u = Relu(x) },
                   else_branch = b () => (float[n, 4] v) { t = Sigmoid(x) v = Exp(t) }>
}"""


@pytest.mark.parametrize(("rate", "operators"), [("16000", 1), ("1.6e4", 1), ("8000", 2), ("-1", 2)])
def test_the_value_of_an_input_decides_what_runs(
    rate: str, operators: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(onnx.parser.parse_model(RATES), tmp_path / "rates.onnx")
    assert main(["trace", "--onnx", str(tmp_path / "rates.onnx"), "--value", f"rate={rate}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["traces"][0]["n_ops"] == operators


def test_a_function_of_ones_own_is_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_cli.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Linear(256, 256), {'input': torch.empty(4, 256)}\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = ["--framework", "eager", "--threads", "1", "--json"]
    assert main(["predict", "cpu", "--module", "own_cli:net", *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["batch_size"] for one in found["answers"][0]["predictions"]} == {1, 4, 8, 64}
    assert main(["crossover", "cpu", "--module", "own_cli:net", *asked]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trace"], "a model is named by one of"),
        (["predict", "cpu"], "a model is named by one of"),
        (["trace", "--architecture", "mlp", "--onnx", "x"], "--architecture and --onnx"),
        (["trace", "--onnx", str(NET), "--width", "4"], "hyperparameters are those of an --architecture"),
        (["trace", "--onnx", str(NET), "--shape", "data_0=1xA"], "a shape is NAME=1x3x224x224"),
        (["trace", "--onnx", str(NET), "--shape", "other=1x3"], "the inputs of light_squeezenet.onnx are data_0"),
        (["trace", "--onnx", str(NET), "--value", "data_0=much"], "a value is NAME=16000"),
        (["trace", "--onnx", str(NET), "--value", "other=3"], "the inputs of light_squeezenet.onnx are data_0"),
        (["trace", "--onnx", str(NET), "--batch-size", "0"], "batch size"),
        (["trace", "--architecture", "mlp", "--batch-size", "0"], "batch size"),
        (["trace", "--architecture", "bert", "--input-size", "16,32"], "ftax trace counts one model; got 2"),
        (["trace", "--architecture", "mlp", "--value", "x=1"], "--value is of --onnx"),
        (["trace", "--onnx", str(NET), "--dtype", "float16"], "--dtype is of --architecture and --hf"),
        (["predict", "cpu", "--onnx", str(NET), "--lengths", "penn-treebank"], "--lengths is of --architecture"),
        (["trace", "--hf", "x", "--dtype", "int8"], "dtype is one of"),
        (["trace", "--export", "none.pt2"], "torch.export.save"),
        (["trace", "--torchscript", "none.pt", "--shape", "x=1x3"], "torch.jit.save"),
        (["trace", "--trace", "none.json"], "a file of traces"),
        (["trace", "--hf", "none/of/these"], "config.json"),
        (["trace", "--module", "none"], "PACKAGE.FILE:FUNCTION"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.strip().count("\n") == 0
    assert shown.out == ""


def test_what_an_older_file_does_not_tell_of_memory_is_left_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.json"
    assert main(["trace", "--architecture", "toy", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    for one in record["traces"]:
        del one["model_bytes"]
        for operator in one["operators"]:
            del operator["live_bytes"]
    out.write_text(json.dumps(record))
    assert main(["trace", "--trace", str(out)]) == 0
    assert " - " in capsys.readouterr().out
    assert main(["trace", "--trace", str(out), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["traces"]
    assert (told["model_bytes"], told["live_bytes"]) == (None, None)
