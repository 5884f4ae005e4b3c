"""Modules that look at values: those that they make are known, others are drawn, or a clear line says no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ftax_model import LatencyPredictor
from ftax_model.errors import DataError
from ftax_model.operators import Trace
from ftax_model.tracing import ModuleSweep, sources, trace
from ftax_model.tracing._empty import built
from ftax_model.tracing.trace import ValuesError

IDS = torch.tensor([[1, 2, 3, 4]])


class Experts(nn.Module):
    """Each row goes to the expert that its router likes most; experts without rows do not run."""

    def __init__(self, experts: int = 4, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, width)
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(experts))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids).flatten(0, 1)
        chosen = self.router(x).argmax(-1)
        found = torch.zeros_like(x)
        for at, expert in enumerate(self.experts):
            rows = (chosen == at).nonzero().flatten()
            if rows.numel():
                found = found.index_copy(0, rows, expert(x[rows]))
        return found


def on_meta(module: type[nn.Module], *arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return module(*arguments).eval()


def test_values_that_decide_are_drawn_where_inputs_have_some() -> None:
    found = trace(on_meta(Experts), (IDS,))
    assert found.way.startswith("random weights")
    products = [one for one in found.operators if one.kind in ("mm", "addmm")]
    assert sum(one.macs for one in products) == 4 * 8 * 4 + 4 * 8 * 8, "each row meets the router and one expert"
    assert all(one.weight_bytes for one in products)
    assert found == trace(on_meta(Experts), (IDS,)), "the same numbers each time"


def test_values_are_not_made_up_for_inputs_that_have_none() -> None:
    with pytest.raises(ValuesError, match="a trace without values depends on none of them"):
        trace(on_meta(Experts), (IDS.to("meta"),))


def test_drawn_values_take_no_more_memory_than_one_tensor_of_each_shape() -> None:
    class Vast(Experts):
        def __init__(self) -> None:
            super().__init__(experts=2, width=1 << 15)  # 4 GB an expert

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embed(ids).flatten(0, 1)
            at = int(self.router(x).argmax(-1)[0])
            return x.sum() + self.experts[at].weight[0]

    found = trace(on_meta(Vast), (IDS,))
    assert found.params > 1 << 31


def test_lengths_decide_where_weights_have_no_values() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(8, 16, batch_first=True)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[0].data

    found = trace(on_meta(Packed), (torch.zeros(3, 9, 8), torch.tensor([9, 5, 2])))
    assert (found.features()["macs"], bool(found.way)) == (16 * 4 * (8 + 16) * 16, True)


def test_batches_of_drawn_values_are_traced_one_by_one() -> None:
    found = ModuleSweep(on_meta(Experts), (IDS.repeat(2, 1),))([2, 6], [64])
    assert sorted(found) == [2, 6], "no call of a size that nobody asked for"
    assert found[6].features()["macs"] == 3 * found[2].features()["macs"]


class Asks(nn.Module):
    """Looks at values in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.lin = how, nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lin(x)
        if self.how == "made":  # of shapes alone
            spans = torch.tensor([x.shape[0], 3], device=y.device)
            return y.repeat(int(spans.sum()), *[1] * (y.dim() - 1)) if spans.tolist()[1] == 3 else x
        if self.how == "listed":
            return y * len(y.flatten().tolist())
        if self.how == "moved":
            return self.lin(y.to("cpu").to(x.device))
        if self.how == "numbered":
            return y[: int(y.argmax())]
        return torch.distributions.Categorical(logits=y).logits


@pytest.mark.parametrize("how", ["made", "moved", "distribution"])
def test_what_a_module_makes_of_shapes_is_known(how: str) -> None:
    x = torch.ones(2, 8)
    module = on_meta(Asks, how)
    found = trace(module, (x.to("meta"),))
    assert found.way == ""
    assert found.features()["macs"] == trace(Asks(how), (x,)).features()["macs"]


@pytest.mark.parametrize("how", ["listed", "numbered"])
def test_what_nobody_knows_is_told_in_one_line(how: str) -> None:
    with pytest.raises(ValuesError, match="depends on no number") as told:
        trace(on_meta(Asks, how), (torch.empty(2, 8, device="meta"),))
    assert "\n" not in str(told.value)
    assert trace(on_meta(Asks, how), (torch.ones(2, 8),)).way


def test_whole_numbers_keep_their_values_where_a_module_is_built_without_memory() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(8, 8)
            self.register_buffer("width", torch.tensor(3))
            self.register_buffer("scale", torch.ones(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lin(nn.functional.pad(x, (0, 0, 0, int(self.width)))) * self.scale

    module = built(Padded)
    assert (module.lin.weight.is_meta, module.scale.is_meta, module.width.is_meta) == (True, True, False)
    found = ModuleSweep(module, torch.zeros(2, 5, 8))([2, 4])
    assert [found[size].features()["macs"] for size in (2, 4)] == [2 * 8 * 64, 4 * 8 * 64]


def test_what_does_not_mix_is_built_on_the_meta_device_alone() -> None:
    def build() -> torch.Tensor:
        return torch.stack([torch.arange(3), torch.empty(3).long()])

    assert built(build).is_meta


CODE = """
import torch
from torch import nn

class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 4, bias=False)

    def forward(self, x):
        return self.lin(x[x.sum(1) > 0])

def build():
    x = torch.ones(10, 8)
    x[6:] = -1
    return Kept().eval(), x
"""


def test_a_function_runs_once_more_with_real_weights_where_values_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept_rows.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    found = sources.of_function("kept_rows:build")
    assert found.trace().features()["macs"] == 6 * 8 * 4
    assert found.trace().way == "", "its own values, not drawn ones"


SMALL = {
    "jetmoe": {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 100, "kv_channels": 16,
               "num_key_value_heads": 2},
    "switch_transformers": {"num_layers": 2, "num_decoder_layers": 2, "d_model": 32, "d_ff": 64, "d_kv": 8,
                            "num_heads": 4, "num_experts": 4, "num_sparse_encoder_layers": 1, "vocab_size": 100},
}  # fmt: skip


@pytest.mark.parametrize("kind", SMALL)
def test_mixtures_of_experts_that_loop_are_traced_and_noted(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **SMALL[kind]}))
    found = sources.of_config(tmp_path)
    own = found.trace()
    assert own.way
    sources.write(tmp_path / "a.json", found, {1: own})
    again = sources.read(tmp_path / "a.json").trace()
    assert (again, again.way) == (own, own.way)
    row = LatencyPredictor.load("cpu").predict(again, framework="onnxruntime", crossovers=False).iloc[0]
    assert "traced on random weights" in row["notes"]


def test_a_trace_says_how_it_was_taken_in_words_alone() -> None:
    with pytest.raises(DataError, match="way is a text"):
        Trace.from_record({"params": 0, "operators": [], "way": 3})
