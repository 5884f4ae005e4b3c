"""Operators of every kind are costed or named as unknown, and what goes wrong in a module is one line."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from ftax_model.errors import InputError
from ftax_model.tracing import features, trace


class Calls(nn.Module):
    """A module that does what a function says."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


def counted(function: Any, *tensors: torch.Tensor) -> float:
    return float(trace(Calls(function), tensors).features()["macs"])


T = torch.zeros
OFFSETS = torch.tensor([4, 8], dtype=torch.int32)
PRODUCTS = {
    "addbmm": (torch.addbmm, (T(3, 4), T(5, 3, 2), T(5, 2, 4)), 5 * 3 * 2 * 4),
    "mv": (torch.mv, (T(3, 4), T(4)), 12),
    "dot": (torch.dot, (T(7), T(7)), 7),
    "bilinear": (functional.bilinear, (T(2, 3), T(2, 4), T(5, 3, 4)), 2 * 3 * 4 * 5),
    "_int_mm": (torch._int_mm, (T(32, 8, dtype=torch.int8), T(8, 16, dtype=torch.int8)), 32 * 8 * 16),
    "grouped rows": (lambda a, b: torch._grouped_mm(a, b, offs=OFFSETS), (T(8, 16), T(2, 16, 32)), 8 * 16 * 32),
    "grouped batches": (torch._grouped_mm, (T(2, 8, 16), T(2, 16, 32)), 2 * 8 * 16 * 32),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_all_kinds_are_counted(name: str, device: str) -> None:
    function, tensors, macs = PRODUCTS[name]
    moved = [one.to(device) for one in tensors]
    assert counted(function, *moved) == macs


def test_experts_without_rows_are_not_read() -> None:
    experts = torch.nn.Parameter(T(8, 16, 32))
    offsets = torch.tensor([1, 2, 2, 2, 2, 2, 2, 2], dtype=torch.int32)

    class Few(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = experts

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch._grouped_mm(x, self.experts, offs=offsets)

    assert trace(Few(), T(2, 16)).features()["weight_bytes"] == 2 * 16 * 32 * 4


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_count_and_are_unknown() -> None:
    plain = nn.Sequential(nn.Linear(16, 8)).eval()
    quantised = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, dtype=torch.qint8)
    found = trace(quantised, T(4, 16))
    assert found.features()["macs"] == 4 * 16 * 8
    assert "quantized.linear_dynamic" in features.unknown(found)


def test_an_operator_of_ones_own_is_named_and_its_formula_is_used() -> None:
    @torch.library.custom_op("ftax_tests::warp", mutates_args=())
    def warp(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    warp.register_fake(lambda x: torch.empty_like(x))
    found = trace(Calls(lambda x: torch.relu(warp(x))), T(2, 8))
    assert features.unknown(found) == "ftax_tests.warp (50 % of dispatches, 50 % of bytes)"
    assert found.features()["macs"] == 0
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    try:
        register_flop_formula(torch.ops.ftax_tests.warp)(lambda shape, out_shape=None, **_: 2 * 100 * shape[0])
        assert counted(warp, T(2, 8)) == 200
    finally:
        flop_registry.pop(torch.ops.ftax_tests.warp, None)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_within_torchs_own_layers_is_one_operator(device: str) -> None:
    with torch.device(device):
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
        stack = nn.TransformerEncoder(layer, 3).eval()
        x, padding = torch.zeros(2, 10, 32), torch.zeros(2, 10, dtype=torch.bool)
    kinds = [one.kind for one in trace(layer, {"src": x}).operators]
    assert kinds.count("scaled_dot_product_attention") == 1
    assert len(kinds) == 13
    assert functional.scaled_dot_product_attention.__name__ == "scaled_dot_product_attention"
    for inputs in ({"src": x}, {"src": x, "src_key_padding_mask": padding}):
        assert trace(stack, inputs).features()["macs"] == 529_920


def test_a_branch_is_the_first_one() -> None:
    def gated(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y @ y, lambda y: y.clone(), (x,))

    assert counted(gated, T(4, 4)) == 64


@pytest.mark.filterwarnings("ignore")
def test_attention_by_a_score_of_ones_own_is_counted_or_refused() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    try:
        found = counted(lambda x: flex_attention(x, x, x), T(1, 2, 64, 16))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found == 2 * 2 * 64 * 64 * 16


def test_a_module_that_calls_itself_returns_what_it_returns() -> None:
    class Tree(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaf, self.merge = nn.Linear(16, 16), nn.Linear(32, 16)

        def forward(self, x: torch.Tensor, depth: int = 2) -> torch.Tensor:
            if depth == 0:
                return self.leaf(x)
            return self.merge(torch.cat([self(x, depth - 1), self(x, depth - 1)], dim=-1))

    assert trace(Tree(), T(2, 16)).features()["macs"] == 5120


def test_tensors_that_a_module_makes_elsewhere_come_along() -> None:
    table = nn.Embedding(10, 4, device="meta")

    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places = torch.arange(x.shape[1], device="cpu")
            return x + self.table(places) * torch.ones(4, device="cpu")

    assert [one.kind for one in trace(Positions(), torch.empty(2, 5, 4, device="meta")).operators][-1] == "add"


def _lazy() -> tuple[Any, Any]:
    return nn.LazyLinear(4), torch.empty(2, 8, device="meta")


def _nonzero() -> tuple[Any, Any]:
    return nn.Sequential(nn.Linear(8, 8, device="meta"), Calls(torch.nonzero)), torch.empty(2, 8, device="meta")


def _wrong_width() -> tuple[Any, Any]:
    return nn.Linear(8, 4), T(2, 9)


def _own_error() -> tuple[Any, Any]:
    def fails(x: torch.Tensor) -> torch.Tensor:
        raise KeyError("of my own\nin two lines")

    return Calls(fails), T(2, 2)


def _unknown_function() -> tuple[Any, Any]:
    from torch._higher_order_ops.map import map as mapped

    return Calls(lambda x: mapped(lambda y: y + 1, x)), T(2, 2)


@pytest.mark.parametrize("make", [_lazy, _nonzero, _wrong_width, _own_error, _unknown_function])
def test_what_goes_wrong_is_one_line(make: Any) -> None:
    module, inputs = make()
    with pytest.raises(InputError) as caught:
        trace(module, inputs)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["sparse", "rows", "nested"])
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_not_dense_are_refused(kind: str) -> None:
    dense = torch.zeros(2, 8)
    given = {
        "sparse": dense.to_sparse,
        "rows": dense.to_sparse_csr,
        "nested": lambda: torch.nested.nested_tensor([dense, dense[:1]], layout=torch.jagged),
    }[kind]()
    with pytest.raises(InputError, match="a trace knows dense tensors"):
        trace(nn.Linear(8, 8).eval(), (given,))


class Packed(torch.Tensor):
    """Weights of one byte with a scale, as libraries of quantisation have them."""

    @staticmethod
    def __new__(cls, whole: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=scale.dtype)

    def __init__(self, whole: torch.Tensor, scale: torch.Tensor) -> None:
        self.whole, self.scale = whole, scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["whole", "scale"], None

    @staticmethod
    def __tensor_unflatten__(parts: Any, context: None, size: Any, stride: Any) -> torch.Tensor:
        return Packed(parts["whole"], parts["scale"])

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.linear:
            x, weight = args[:2]
            return functional.linear(x, weight.whole.to(x.dtype)) * weight.scale
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.ops.aten.detach.default else NotImplemented


def test_weights_made_of_several_tensors_are_weights() -> None:
    module = nn.Linear(8, 4, bias=False).eval()
    module.weight = nn.Parameter(Packed(torch.ones(4, 8, dtype=torch.int8), torch.ones(())), requires_grad=False)
    found = trace(module, (torch.zeros(2, 8),)).features()
    assert (found["macs"], found["weight_bytes"]) == (2 * 8 * 4, 4 * 8 + 4), "a byte each, and the scale"
