"""One call of a module at any batch sizes: as given at its own, along a line only where the far end agrees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from ftax_model.errors import InputError
from ftax_model.tracing import ModuleSweep, batch_axes, checked_batch_sizes, trace


def macs(found: Any) -> float:
    return float(found.features()["macs"])


def on_meta(module: type[nn.Module], *arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return module(*arguments).eval()


class Across(nn.Module):
    """The batch becomes the sequence: its cost grows with the square."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = x.unsqueeze(0)
        return functional.scaled_dot_product_attention(one, one, one).squeeze(0)


class Lengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 16, batch_first=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.rnn(packed)[0].data


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x[x.sum(1) > 0])


class Cached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(8, 8)

    def forward(self, new: torch.Tensor, past: Any = None) -> torch.Tensor:
        keys = self.lin(new) if past is None else torch.cat([past[0]["k"], self.lin(new)], 1)
        return functional.scaled_dot_product_attention(new, keys, keys)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 16, 64, 100])
def test_a_size_on_the_line_is_what_a_trace_of_it_says(size: int, device: str) -> None:
    with torch.device(device):
        module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    swept = ModuleSweep(module, {"input": torch.empty(4, 8, device="meta")})([size, 100])
    assert swept[size] == trace(module, {"input": torch.empty(size, 8, device="meta")})


def test_what_is_no_line_is_traced_size_by_size() -> None:
    module = on_meta(Across)
    swept = ModuleSweep(module, torch.empty(4, 8, device="meta"))([1, 64, 256])
    assert [macs(swept[size]) for size in (1, 64, 256)] == [2 * 8 * size * size for size in (1, 64, 256)]


def test_inputs_are_as_given_at_their_own_batch_size() -> None:
    inputs = {"x": torch.zeros(4, 20, 8), "lengths": torch.tensor([20, 5, 3, 2])}
    sweep = ModuleSweep(Lengths().eval(), inputs)
    per_token = 4 * 16 * (8 + 16)
    assert macs(sweep([4])[4]) == 30 * per_token
    found = sweep([1, 2, 4, 8], [64])
    assert macs(found[4]) == 30 * per_token
    assert macs(found[8]) == 60 * per_token, "the rows again"
    assert macs(found[2]) == 25 * per_token, "the first rows"


def test_values_that_decide_are_asked_of_the_module_itself() -> None:
    x = torch.ones(10, 8)
    x[6:] = -1
    sweep = ModuleSweep(Kept().eval(), {"x": x})
    found = sweep([10, 20, 5], [64])
    assert {size: macs(one) for size, one in found.items()} == {5: 160.0, 10: 192.0, 20: 384.0}
    assert 64 not in found, "nobody asked for a call of that size"


def test_tensors_within_others_grow_too() -> None:
    module = on_meta(Cached)
    with torch.device("meta"):
        inputs = {"new": torch.empty(2, 1, 8), "past": [{"k": torch.empty(2, 9, 8)}]}
    found = ModuleSweep(module, inputs)([2, 8])
    assert macs(found[8]) == 4 * macs(found[2])


def test_an_axis_of_the_batch_is_found_or_given() -> None:
    module = on_meta(nn.LSTM, 8, 16)  # (steps, batch, width)
    with torch.device("meta"):
        x = torch.empty(20, 4, 8)
        state = (torch.empty(1, 4, 16), torch.empty(1, 4, 16))
    given = ModuleSweep(module, (x, state), batch_axis=1)
    assert given.batch_size == 4
    assert macs(given([8])[8]) == 2 * macs(given([4])[4])
    named = ModuleSweep(on_meta(Cached), {"new": torch.empty(3, 1, 8, device="meta")}, {"new": 0})
    assert named.batch_size == 3
    with pytest.raises(InputError, match="input is one of new"):
        ModuleSweep(on_meta(Cached), {"new": torch.empty(3, 1, 8)}, {"old": 0})


BATCH, STEPS = torch.export.Dim("batch"), torch.export.Dim("steps")
X, STATE = torch.empty(20, 4, 8, device="meta"), torch.empty(1, 4, 16, device="meta")


@pytest.mark.parametrize(
    ("inputs", "shapes", "axes"),
    [
        ((X, (STATE, STATE)), ({0: STEPS, 1: BATCH}, ({1: BATCH}, {1: BATCH})), [1, 1, 1]),
        ((X, (STATE, STATE)), {"input": (None, BATCH, None), "hx": [{1: BATCH}, None]}, [1, 1, None]),
        ({"a": X, "b": STATE}, {"b": {1: "n"}, "a": {1: "n"}}, [1, 1]),
        ({"a": X, "b": {"c": STATE, "d": X}}, {"a": {1: torch.export.Dim.AUTO}, "b": None}, [1, None, None]),
        (X, {1: BATCH}, [1]),
        (X, ({1: BATCH, 0: torch.export.Dim.STATIC},), [1]),
        (X, {"x": {1: BATCH, 2: 8}}, [1]),
    ],
)
def test_the_axis_of_the_batch_is_read_off_dynamic_shapes(inputs: Any, shapes: Any, axes: list[int | None]) -> None:
    assert batch_axes(inputs, shapes) == axes


@pytest.mark.parametrize("shapes", [None, ({}, {}), ({1: BATCH},), {"input": {1: BATCH}, "hx": [{}], "more": {}}])
def test_dynamic_shapes_that_do_not_fit_are_refused(shapes: Any) -> None:
    with pytest.raises(InputError, match="dynamic_shapes"):
        batch_axes((X, (STATE, STATE)), shapes)


def test_axes_one_by_one_are_as_many_as_the_tensors() -> None:
    with pytest.raises(InputError, match="1 axes for 2 inputs"):
        ModuleSweep(on_meta(nn.LSTM, 8, 16), (X, STATE), [1])


def test_sizes_nobody_asked_for_may_fail() -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16))  # in training mode: no batch of one
    found = ModuleSweep(module, torch.zeros(8, 8))([8], [1, 2, 4])
    assert sorted(found) == [2, 4, 8]
    with pytest.raises(InputError, match=r"batch size 1.*training mode"):
        ModuleSweep(module, torch.zeros(8, 8))([1])


def test_a_batch_that_is_fixed_is_refused_elsewhere() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(2, 4)

    sweep = ModuleSweep(Fixed(), torch.zeros(2, 4))
    assert sorted(sweep([2], [1, 4, 8])) == [2]
    with pytest.raises(InputError, match="Fixed runs at batch size 8, asked for besides 2"):
        sweep([8])


@pytest.mark.parametrize("inputs", [{}, (), {"flag": True}, torch.tensor(1.0)])
def test_inputs_without_a_batch_are_refused(inputs: Any) -> None:
    with pytest.raises(InputError, match="inputs are tensors"):
        ModuleSweep(nn.Linear(2, 2), inputs)


@pytest.mark.parametrize("module", [[nn.Linear(8, 8)], nn.Linear(8, 8).forward, lambda x: x, None])
def test_what_is_no_module_is_refused(module: Any) -> None:
    with pytest.raises(InputError, match=r"an nn\.Module; got a (list|method|function|NoneType)"):
        ModuleSweep(module, torch.zeros(2, 8))


@pytest.mark.parametrize("sizes", [[], [0], [-1], [2.5], [True], ["2"], [70_000], 8, "8"])
def test_batch_sizes_are_whole_numbers(sizes: list[Any]) -> None:
    with pytest.raises(InputError, match="batch size"):
        checked_batch_sizes(sizes)


def test_a_sweep_leaves_the_module_as_it_was() -> None:
    module = nn.Linear(8, 4)
    weight = module.weight
    ModuleSweep(module, torch.zeros(2, 8))([2, 64])
    assert module.weight is weight
    assert not module.weight.is_meta
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


class Cache:
    """Keys and values from before, as models of transformers keep them: no tree of torch's."""

    def __init__(self, *keys: torch.Tensor) -> None:
        self.layers = [{"keys": one} for one in keys]
        self.length = keys[0].shape[1]

    def grown(self, new: torch.Tensor, at: int) -> torch.Tensor:
        self.layers[at]["keys"] = torch.cat([self.layers[at]["keys"], new], 1)
        return self.layers[at]["keys"]


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: torch.Tensor, past: Cache) -> torch.Tensor:
        for at, layer in enumerate(self.layers):
            x = functional.scaled_dot_product_attention(x, *[past.grown(layer(x), at)] * 2)
        return x


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_caches_grow_with_the_batch_and_stay_as_they_were(device: str) -> None:
    cache = Cache(*(torch.zeros(1, 9, 8, device=device) for _ in range(2)))
    sweep = ModuleSweep(Steps().eval(), {"x": torch.zeros(1, 1, 8), "past": cache})
    step = 2 * (8 * 8 + 2 * 10 * 8)
    assert [macs(one) for one in sweep([1, 2, 16]).values()] == [step, 2 * step, 16 * step]
    assert [macs(one) for one in sweep([1, 2, 16]).values()] == [step, 2 * step, 16 * step], "and once more"
    assert [layer["keys"].shape for layer in cache.layers] == [(1, 9, 8)] * 2
