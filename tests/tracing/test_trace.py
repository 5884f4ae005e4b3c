"""The tracer on modules small enough to count by hand."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from ftax_model.errors import InputError
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import trace, trace_workload
from ftax_model.workload import Workload

META = torch.device("meta")


class Call(nn.Module):
    """A module from a function of its input; keyword tensors become buffers."""

    def __init__(self, function, **buffers):
        super().__init__()
        self.function = function
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)

    def forward(self, x):
        return self.function(x, **dict(self.named_buffers()))


def traced(function, *shape, dtype=torch.float32, **buffers):
    return trace(Call(function, **buffers).eval(), {"x": torch.zeros(shape, dtype=dtype, device="meta")})


def kinds(found):
    return [operator.kind for operator in found.operators]


def test_importing_imports_no_torch_and_the_toy_needs_none():
    code = (
        "import sys; from ftax_model.tracing import trace_workload\n"
        "from ftax_model.workload import Workload; trace_workload(Workload('toy'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_believes_a_trace():
    own = Trace((Operator("mm", (), (), macs=3, level=1),), params=5)
    assert trace(own, {}) is own


def test_a_linear_layer_by_hand():
    with META:
        module = nn.Linear(6, 10)
    (operator,) = trace(module, {"input": torch.zeros(4, 6, device="meta")}).operators
    assert operator == Operator(
        kind="addmm",
        inputs=((10,), (4, 6), (6, 10)),
        outputs=((4, 10),),
        macs=4 * 6 * 10,
        activation_bytes=4 * (4 * 6 + 4 * 10),
        weight_bytes=4 * (6 * 10 + 10),
        level=1,
        attributes={"batch": 1, "m": 4, "k": 6, "n": 10},
        layer="",
        live_bytes=4 * (4 * 6 + 4 * 10),
    )


def test_views_and_allocations_are_no_operators():
    def function(x):
        views = x.view(2, 3, 4).transpose(0, 1)[:, 1].unsqueeze(0).expand(5, 3, 4)
        torch.empty_like(x)
        return views.split(1), x.detach().reshape(-1)

    assert traced(function, 6, 4).operators == ()


def test_a_reshape_that_copies_is_an_operator():
    assert kinds(traced(lambda x: x.t().reshape(-1), 6, 4)) == ["clone"]


def test_grouped_convolution_by_hand():
    with META:
        module = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4, bias=False)
    (operator,) = trace(module, {"input": torch.zeros(2, 8, 10, 10, device="meta")}).operators
    assert operator.macs == 2 * 12 * 5 * 5 * (8 // 4) * 9
    assert operator.attributes == {
        "kernel": (3, 3),
        "stride": (2, 2),
        "padding": (1, 1),
        "dilation": (1, 1),
        "transposed": False,
        "groups": 4,
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_attention_is_one_operator_with_both_products(device, masked):
    query = torch.zeros(2, 4, 6, 8, device=device)
    key = torch.zeros(2, 4, 10, 8, device=device)
    mask = torch.ones(6, 10, dtype=torch.bool, device=device) if masked else None
    module = Call(lambda x: functional.scaled_dot_product_attention(x, key, key, attn_mask=mask))
    (operator,) = trace(module, {"x": query}).operators
    assert operator.kind == "scaled_dot_product_attention"
    assert operator.macs == 2 * 4 * 6 * 10 * (8 + 8)
    assert operator.attributes["kv_length"] == 10
    assert operator.attributes["masked"] is masked
    assert operator.activation_bytes == 4 * (2 * query.numel() + key.numel()) + 60 * masked


def test_attention_inside_torch_own_multi_head_attention_counts_both_products():
    for device in ("meta", "cpu"):
        attention = nn.MultiheadAttention(16, 2, batch_first=True, device=device).eval()
        module = Call(lambda x, attention=attention: attention(x, x, x, need_weights=False)[0])
        found = trace(module, {"x": torch.zeros(3, 5, 16, device=device)}).features()
        assert found["macs"] == 3 * (5 * 16 * 16 * 4 + 2 * 5 * 5 * 16)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_are_one_operator(kind, gates, bidirectional):
    with META:
        module = getattr(nn, kind)(8, 16, num_layers=2, batch_first=True, bidirectional=bidirectional)
    found = trace(module, {"input": torch.zeros(3, 5, 8, device="meta")})
    (operator,) = (operator for operator in found.operators if operator.macs)
    directions = 2 if bidirectional else 1
    elements = gates * 16 * (8 + 16) + gates * 16 * (16 * directions + 16)
    assert operator.macs == 3 * 5 * elements * directions
    assert operator.weight_bytes == 4 * found.params
    assert operator.attributes["hidden_size"] == 16


def test_matrix_vector_products_count():
    assert traced(lambda x: x @ x[0], 6, 4).features()["macs"] == 24
    assert traced(lambda x: x[0] @ x[1], 6, 4).features()["macs"] == 4


def test_fourier_transform_counts_half_its_operations():
    (operator,) = traced(torch.fft.fft, 3, 8, dtype=torch.complex64).operators
    assert operator.kind == "_fft_c2c"
    assert operator.macs == 3 * 2.5 * 8 * math.log2(8)
    (operator,) = traced(torch.fft.rfft, 3, 8).operators
    assert operator.macs == 3 * 1.25 * 8 * math.log2(8)


def test_fourier_transform_of_odd_length_doubles_with_the_batch():
    one, two = (traced(torch.fft.fft, batch, 7).features()["macs"] for batch in (1, 2))
    assert two == 2 * one > 0


def test_level_follows_data_through_views_and_in_place_operators():
    def function(x):
        side = x @ x
        deep = (x @ x).view(-1).mul_(2).view(4, 4) @ x
        buffer = torch.zeros(4, 4, device=x.device)
        buffer[:] = deep
        return side, buffer @ x

    found = traced(function, 4, 4)
    assert [operator.level for operator in found.operators if operator.macs] == [1, 1, 2, 3]
    assert found.features()["depth"] == 3


def test_parallel_branches_do_not_deepen():
    assert traced(lambda x: (x @ x) + (x @ x), 4, 4).features()["depth"] == 1


def test_embedding_reads_only_the_rows_it_looks_up():
    with META:
        module = nn.Embedding(1000, 16)
    (operator,) = trace(module, {"input": torch.zeros(2, 5, dtype=torch.int64, device="meta")}).operators
    assert operator.weight_bytes == 10 * 16 * 4
    assert operator.activation_bytes == 10 * 8 + 10 * 16 * 4


def test_buffers_are_weights_and_repeats_are_read_once():
    table = torch.zeros(1, 16, device="meta")
    (operator,) = traced(lambda x, table: x + table.expand(8, 16), 8, 16, table=table).operators
    assert operator.weight_bytes == 16 * 4
    assert operator.activation_bytes == 2 * 8 * 16 * 4


def test_a_tensor_given_twice_is_read_once():
    (operator,) = traced(lambda x: x * x, 8).operators
    assert operator.activation_bytes == 2 * 8 * 4


def test_overwriting_reads_nothing_of_the_old():
    assert traced(lambda x: x.zero_(), 8).operators[0].activation_bytes == 8 * 4
    assert traced(lambda x: x.add_(1), 8).operators[0].activation_bytes == 2 * 8 * 4


def test_writing_a_row_costs_a_row():
    def function(x):
        return x.index_copy_(0, torch.tensor([3], device=x.device), x[:1])

    operator = traced(function, 100, 16).operators[-1]
    assert operator.kind == "index_copy_"
    assert operator.activation_bytes == 2 * 16 * 4 + 8


def test_half_precision_halves_the_bytes():
    full, half = (traced(lambda x: x.relu(), 8, dtype=dtype) for dtype in (torch.float32, torch.float16))
    assert full.features()["activation_bytes"] == 2 * half.features()["activation_bytes"]


def test_layer_is_the_path_of_the_module_that_dispatched():
    with META:
        module = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)))
    found = trace(module, {"input": torch.zeros(2, 4, device="meta")})
    assert [operator.layer for operator in found.operators] == ["0", "1.0", "1.1"]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_shared_parameters_count_once():
    with META:
        module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    assert trace(module, {"input": torch.zeros(2, 4, device="meta")}).params == 4 * 4 + 4 + 4


def test_traces_inside_inference_mode():
    with torch.inference_mode():
        assert kinds(traced(lambda x: functional.linear(x, x), 3, 3)) == ["mm"]


def test_positions_are_known_and_masks_are_taken_to_mask():
    def function(x):
        positions = torch.arange(4, device=x.device)
        positions[0] += 0
        x = x.exp() if (positions.diff() == 1).all() else x.sin()
        return x.cos() if (x > 0).all() else x.tan()

    found = kinds(traced(function, 4))
    assert "exp" in found
    assert "sin" not in found
    assert "tan" in found
    assert "cos" not in found


def test_what_is_overwritten_by_inputs_is_known_no_more():
    def function(x):
        ones = torch.ones(4, dtype=torch.bool, device=x.device)
        view = ones[:2]
        ones.copy_(x > 0)
        return x.exp() if view.all() else x.sin()

    assert "sin" in kinds(traced(function, 4))


def test_a_number_from_an_input_is_refused():
    with pytest.raises(InputError, match="real tensors"):
        traced(lambda x: x[: x.sum().long().item()], 4)


def test_real_tensors_answer_for_themselves():
    module = Call(lambda x: x.exp() if (x == 0).all() else x.sin())
    assert kinds(trace(module, {"x": torch.zeros(4)}))[-1] == "exp"


def test_a_real_trace_holds_no_activations():
    seen = []

    class Weak(nn.Module):
        def forward(self, x):
            for _ in range(3):
                x = x + 1
                seen.append(torch.multiprocessing.reductions.StorageWeakRef(x.untyped_storage()))
            return seen[0].expired() and seen[1].expired()

    module = Weak()
    alive = []
    module.register_forward_hook(lambda *arguments: alive.append(arguments[2]))
    trace(module, {"x": torch.zeros(4)})
    assert alive == [True]


def test_trace_workload_is_cached_by_what_the_workload_completes_to():
    assert trace_workload(Workload("bert", {"preset": "bert-tiny"})) is trace_workload(
        Workload("bert", {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512})
    )


def test_trace_workload_refuses_what_cannot_be_completed():
    with pytest.raises(InputError, match="hyperparameter"):
        trace_workload(Workload("toy", {"depth": 3}))
