"""Models from wherever they come: each becomes traces, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ftax_model import LatencyPredictor, Workload
from ftax_model.errors import DataError, FtaxError, InputError
from ftax_model.tracing import features, sources, trace, trace_workload


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)).mean((2, 3)))


IMAGE = torch.zeros(2, 3, 16, 16)


def macs(found: Any) -> float:
    return float(found.features()["macs"])


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    program = torch.export.export(Net().eval(), (IMAGE,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def test_a_program_is_what_its_module_is(exported: Path) -> None:
    expected = trace(Net().eval(), (IMAGE,))
    program = torch.export.load(exported)
    for what in (exported, str(exported), program):
        source = sources.find(what, trust=what is not program)
        assert (source.batch_size, source.dtype) == (2, "float32")
        assert macs(source.trace()) == macs(expected)
    assert macs(sources.find(program).trace(8)) == 4 * macs(expected)


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.last(x).mean(0) * scale


def test_a_program_tells_where_its_batch_is() -> None:
    x, scale, batch = torch.zeros(5, 3, 8), torch.ones(4), torch.export.Dim("batch")
    program = torch.export.export(Steps().eval(), (x,), {"scale": scale}, dynamic_shapes=({1: batch}, None))
    found = sources.find(program)
    assert found.batch_size == 3
    assert [macs(found.trace(size)) for size in (3, 12)] == [5 * 3 * 32, 5 * 12 * 32]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_wants_the_shapes_of_its_inputs(tmp_path: Path) -> None:
    torch.jit.trace(Net().eval(), IMAGE).save(tmp_path / "net.pt")
    found = sources.of_torchscript(tmp_path / "net.pt", shapes={"x": (2, 3, 16, 16)}, trust=True)
    assert macs(found.trace()) == macs(trace(Net().eval(), (IMAGE,)))
    assert features.unknown(found.trace()) == ""
    with pytest.raises(InputError, match="give each: --shape"):
        sources.of_torchscript(tmp_path / "net.pt", shapes={}, trust=True)


def test_a_function_builds_a_module_on_the_meta_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_sources.py").write_text(
        "import torch\n"
        "def net():\n    return torch.nn.Linear(8, 4), {'input': torch.empty(3, 8)}\n"
        "def none():\n    return None\n"
        "def fails():\n    raise OSError('not\\ntoday')\n"
    )
    monkeypatch.chdir(tmp_path)
    found = sources.of_function("own_sources:net")
    assert (found.label, found.batch_size, macs(found.trace())) == ("net", 3, 96.0)
    for place in ("own_sources", "own_sources:", ":net", "own_sources:none", "own_sources:fails", "no_such:net"):
        with pytest.raises(InputError, match=r"PACKAGE\.FILE:FUNCTION"):
            sources.of_function(place)


def test_traces_survive_a_file_and_predict_the_same(tmp_path: Path) -> None:
    workload = Workload("mlp", {})
    source = sources.of_workload(workload)
    for name in ("mlp.json", "mlp.json.gz"):
        sources.write(tmp_path / name, source, source.traced([1, 8], [2, 4, 16]))
        again = sources.read(tmp_path / name)
        assert again.trace(8) == trace_workload(workload.with_batch_size(8))
        with pytest.raises(InputError, match="traced at batch size 1, 2, 4, 8, 16; got 5"):
            again.trace(5)
    predictor = LatencyPredictor.load("x86-epyc-2core")
    asked = {"framework": "eager", "threads": 1, "batch_sizes": [8]}
    of_file = predictor.predict(str(tmp_path / "mlp.json"), **asked)
    of_workload = predictor.predict(workload, **asked)
    assert of_file["latency_s"].iloc[0] == pytest.approx(of_workload["latency_s"].iloc[0])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "ftax_model.Trace", "schema": 99}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "int3", "traces": []}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "float32", "traces": []}',
     '{"format": "ftax_model.Trace", "schema": 1, "model": "a", "dtype": "float32", "traces": [{"batch_size": 1}]}'],
)  # fmt: skip
def test_a_file_that_holds_no_traces_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FtaxError):
        sources.read(tmp_path / "a.json")
    with pytest.raises(DataError):
        sources.read(tmp_path / "none.json")


@pytest.mark.parametrize("what", [3, "net.bin", nn.Linear(2, 2), None])
def test_what_is_no_model_is_refused(what: Any) -> None:
    with pytest.raises(InputError, match="a model is a workload"):
        sources.find(what)


CONFIGS = {
    "bert": {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128},
    "mixtral": {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
                "num_key_value_heads": 2, "vocab_size": 100, "num_local_experts": 4},
    "vit": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "image_size": 64},
    "t5": {"num_layers": 1, "d_model": 64, "d_ff": 128, "num_heads": 4, "d_kv": 16},
    "xlnet": {"n_layer": 1, "d_model": 64, "n_head": 4, "d_inner": 128},
    "wav2vec2": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128},
    "videomae": {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "image_size": 32},
}  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_is_a_model(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **CONFIGS[kind]}))
    for path in (tmp_path, tmp_path / "config.json"):
        found = sources.of_config(path)
        assert found.batch_size == 1
        assert macs(found.trace(4)) == pytest.approx(4 * macs(found.trace(1)), rel=0.02)
        assert features.unknown(found.trace()) == ""


def test_a_configuration_names_its_class_and_tokens_their_number(tmp_path: Path) -> None:
    own = {"model_type": "bert", "architectures": ["BertForMaskedLM"], **CONFIGS["bert"]}
    (tmp_path / "config.json").write_text(json.dumps(own))
    short, longer = (sources.of_config(tmp_path, tokens=tokens).trace() for tokens in (16, 32))
    assert "cls" in short.operators[-1].layer
    assert macs(longer) > 2 * macs(short)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"model_type": "no-such"}', '{"model_type": "bert", "hidden_size": "a"}']
)
def test_a_configuration_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FtaxError):
        sources.of_config(tmp_path)
    with pytest.raises(DataError, match="no file"):
        sources.of_config(tmp_path / "none.json")


@pytest.mark.parametrize(("own", "asked", "found"), [
    (None, None, "float32"), ("bfloat16", None, "bfloat16"), ("bfloat16", "float16", "float16"),
])  # fmt: skip
def test_a_configuration_tells_its_dtype_where_nobody_asks_for_another(
    own: str | None, asked: str | None, found: str, tmp_path: Path
) -> None:
    told = {"model_type": "vit", **CONFIGS["vit"], **({"dtype": own} if own else {})}
    (tmp_path / "config.json").write_text(json.dumps(told))
    source = sources.of_config(tmp_path, dtype=asked)
    assert source.dtype == found
    assert source.trace(4).features()["weight_bytes"] < source.trace(4).params * (4.1 if found == "float32" else 2.1)


def test_a_configuration_takes_the_length_of_texts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIGS["bert"]}))
    short, longer = (sources.of_config(tmp_path, tokens=tokens) for tokens in (16, 32))
    assert macs(longer.trace()) > 2 * macs(short.trace()) * 0.95
    assert longer.label.endswith("32 tokens")


def test_where_values_decide_random_weights_are_called(tmp_path: Path) -> None:
    own = {"num_layers": 1, "num_decoder_layers": 1, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
    own |= {"d_model": 32, "d_ff": 64, "num_heads": 2, "d_kv": 16, "vocab_size": 50, "num_experts": 2}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "switch_transformers", **own}))
    found = sources.of_config(tmp_path, tokens=8).trace()
    assert macs(found) > 0
    assert any("expert" in one.layer for one in found.operators)
