"""MACs and parameters of every architecture, against hand formulas and published numbers."""

import pytest

from ftax_model import architectures
from ftax_model.tracing import trace_workload
from ftax_model.workload import Workload


def features(name: str, hyperparameters=(), **own):
    return trace_workload(Workload(name, hyperparameters, **own)).features()


def encoder_macs(length: int, *, layers: int, width: int, inner: int) -> int:
    """Four projections, both products of attention and two feed-forward products, in each layer."""
    return layers * (length * (4 * width**2 + 2 * width * inner) + 2 * length**2 * width)


def test_bert_base_at_128_tokens():
    found = features("bert")
    assert found["macs"] / 1e9 == pytest.approx(11.17, abs=0.02)
    assert found["macs"] == encoder_macs(128, layers=12, width=768, inner=3072) + 768**2
    assert found["params"] == 109_482_240  # bert-base-uncased as published by its authors
    assert found["depth"] == 12 * 5 + 1


@pytest.mark.slow
def test_bert_large_params():
    assert features("bert", {"preset": "bert-large"})["params"] == 335_141_888


@pytest.mark.parametrize("length", [16, 700])
def test_bert_at_any_length(length):
    found = features("bert", {"preset": "bert-tiny"}, input_size=length, batch_size=3)
    assert found["macs"] == 3 * (encoder_macs(length, layers=2, width=128, inner=512) + 128**2)


def test_padding_changes_neither_macs_nor_params():
    fixed, padded = (
        features("bert", {"preset": "bert-tiny"}, batch_size=4, lengths=lengths)
        for lengths in ("fixed", "penn-treebank")
    )
    assert padded["macs"] == fixed["macs"]
    assert padded["params"] == fixed["params"]
    assert padded["n_ops"] > fixed["n_ops"]


def test_gpt2():
    found = features("gpt2")
    assert found["macs"] == encoder_macs(128, layers=12, width=768, inner=3072)
    assert found["params"] == 124_439_808  # Radford et al., with tied embeddings


@pytest.mark.parametrize(
    ("preset", "gmacs", "params"),
    [
        # MACs and parameters as torchvision publishes them with its weights
        ("resnet-18", 1.814, 11_689_512),
        ("resnet-34", 3.664, 21_797_672),
        ("resnet-50", 4.089, 25_557_032),
        ("resnet-101", 7.801, 44_549_160),
        ("resnet-152", 11.514, 60_192_808),
        ("wide-resnet-50-2", 11.398, 68_883_240),
        ("wide-resnet-101-2", 22.753, 126_886_696),
        ("resnext-50-32x4d", 4.230, 25_028_904),
    ],
)
def test_resnet(preset, gmacs, params):
    found = features("resnet", {"preset": preset})
    assert found["macs"] / 1e9 == pytest.approx(gmacs, abs=0.001)
    assert found["params"] == params


def test_resnet_depth_is_its_number():
    assert features("resnet", {"preset": "resnet-50"})["depth"] == 50
    assert features("resnet", {"preset": "resnet-18"})["depth"] == 18


def test_mlp():
    found = features("mlp", {"num_layers": 5, "hidden_size": 32}, input_size=8, batch_size=3)
    assert found["macs"] == 3 * (8 * 32 + 4 * 32 * 32)
    assert found["params"] == 8 * 32 + 4 * 32 * 32 + 5 * 32
    assert (found["depth"], found["n_ops"]) == (5, 9)
    assert found["activation_bytes"] == 4 * 3 * (8 + 32 + 4 * 2 * 32 + 4 * 2 * 32)


def test_toy():
    found = features("toy", {"num_layers": 5, "width": 8}, input_size=3, batch_size=2, dtype="float16")
    assert found["macs"] == 5 * 6 * 8 * 8
    assert (found["depth"], found["n_ops"], found["params"]) == (5, 5, 5 * 64)
    assert found["weight_bytes"] == 2 * 5 * 64


def test_every_architecture_is_counted_here():
    counted = {name.removeprefix("test_").split("__")[0] for name in globals() if name.startswith("test_")}
    missing = [n for n in architectures.names() if not any(c.startswith(n.replace("-", "_")) for c in counted)]
    assert not missing
