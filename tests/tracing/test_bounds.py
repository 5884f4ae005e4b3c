"""Bounds of what is built and called, and that nothing of them stays behind."""

from __future__ import annotations

import resource
import signal
import time

import pytest
import torch
from torch import nn

from ftax_model.cli import main
from ftax_model.errors import InputError
from ftax_model.tracing import _bounds, _recorder, trace
from ftax_model.tracing._bounds import bounded
from ftax_model.tracing.trace import trace_workload
from ftax_model.workload import Workload


def state() -> tuple[object, ...]:
    return (
        resource.getrlimit(resource.RLIMIT_AS),
        signal.getsignal(signal.SIGALRM),
        signal.getitimer(signal.ITIMER_REAL),
    )


def test_parts_memory_and_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    before = state()
    monkeypatch.setattr(_bounds, "MOST_PARTS", 100)
    with pytest.raises(InputError, match="got more than 100 layers and parameters; choose smaller sizes"), bounded():
        nn.ModuleList(nn.Linear(1, 1) for _ in range(100))
    with pytest.raises(InputError, match="got more than 8 GiB for its parts alone"), bounded():
        bytearray(1 << 40)
    with pytest.raises(InputError, match="got more than 8 GiB for its parts alone"), bounded():
        torch.empty(1 << 44)
    with pytest.raises(InputError, match="got more than 0 s to build and call it"), bounded(seconds=0.05):
        while True:
            try:
                time.sleep(600)
            except Exception:  # as code of others would
                continue
    assert state() == before
    nn.ModuleList(nn.Linear(1, 1) for _ in range(100))


def test_bounds_within_bounds_are_those_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bounds, "MOST_PARTS", 100)
    with pytest.raises(InputError, match="more than 100"), bounded():
        for _ in range(10):
            with bounded():
                nn.ModuleList(nn.Linear(1, 1) for _ in range(10))


class Long(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while True:
            x = x.view(-1) + 1


def test_a_call_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recorder, "MOST_CALLS", 1000)
    with pytest.raises(InputError, match="got more than 1,000 operators in one call"):
        trace(Long().eval(), torch.zeros(4))


@pytest.mark.parametrize(
    ("architecture", "settings", "said"),
    [
        ("mlp", {"num_layers": 10**9}, "num_layers is at most 50,000; got 1000000000"),
        ("toy", {"num_layers": 10**15}, "num_layers is at most 50,000"),
        ("resnet", {"depths": (10**9, 1, 1, 1)}, "depths is at most 50,000"),
        ("gpt2-generate", {"num_new_tokens": 10**9}, "num_new_tokens is at most 50,000"),
        ("bert", {"hidden_size": 10**15, "num_heads": 10**3}, "Storage size calculation overflowed"),
        ("bert", {"vocab_size": 10**30}, "Overflow"),
    ],
)
def test_sizes_beyond_reason_are_refused(architecture: str, settings: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        trace_workload(Workload(architecture, settings))


def test_so_they_are_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--num-layers", "--width", "--hidden-size"):
        architecture = "bert" if option == "--hidden-size" else "mlp"
        assert main(["trace", "--architecture", architecture, option, str(10**15)]) == 2
        assert capsys.readouterr().err.strip().count("\n") == 0
