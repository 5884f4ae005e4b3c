"""Nested: the same outputs where tokens are, from layers that never see the padding."""

import pytest

from ftax_model import architectures
from ftax_model.collection import frameworks
from ftax_model.device import detect
from ftax_model.workload import Workload

CPU = detect("cpu")
TINY = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "vocab_size": 100}


def padded(architecture="bert", **changes):
    settings = {"input_size": 64, "batch_size": 3, "lengths": "penn-treebank"} | changes
    hyperparameters = TINY | settings.pop("hyperparameters", {})
    return architectures.complete(Workload(architecture, hyperparameters, **settings))


def build(workload):
    import torch

    torch.manual_seed(0)
    return architectures.load(workload.architecture).build(workload)


def weights(module):
    return {name: parameter.data_ptr() for name, parameter in module.named_parameters()}


def test_says_what_it_cannot_run():
    nested = frameworks.load("nested")
    assert nested.supports(padded(), CPU) is None
    assert "without padding" in nested.supports(padded(lengths="fixed"), CPU)
    assert "BERT-like" in nested.supports(padded("gpt2"), CPU)
    assert "float16" in nested.supports(padded(dtype="float16"), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_skips_the_padding_and_nothing_else(architecture, dtype):
    import torch

    module, inputs = build(padded(architecture, dtype=dtype))
    before = weights(module)
    nested, tokens = frameworks.load("nested"), inputs["attention_mask"].bool()
    with nested.mode():
        expected = module(**inputs)
        found = nested.prepare(module, inputs, CPU)()
        again = module(**inputs)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 0.1, "atol": 0.1}
    torch.testing.assert_close(found[0][tokens], expected[0][tokens], **tolerance)
    assert not found[0][~tokens].any()  # no layer put anything there
    assert expected[0][~tokens].any()
    assert len(found) == len(expected)
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, **tolerance)
    assert weights(module) == before
    assert all(one.equal(other) for one, other in zip(again, expected, strict=True))


def test_exchanges_layers_once_for_all_batch_sizes_and_shares_their_weights():
    workload = padded()
    module, inputs = build(workload)
    nested = frameworks.load("nested")
    with nested.mode():
        one = nested.prepare(module, inputs, CPU)
        other_inputs = architectures.load("bert").inputs_for(module, workload.with_batch_size(2))
        other = nested.prepare(module, other_inputs, CPU)
        assert len(other()[0]) == 2
    assert one.func is other.func
    own = set(weights(one.func).values()) - set(weights(module).values())
    assert len(own) == 2 * TINY["num_layers"]  # query, key and value in one piece, weights and biases


def test_runs_a_batch_that_happens_to_have_no_padding():
    module, inputs = build(padded(input_size=4))
    inputs["attention_mask"].fill_(1)
    nested = frameworks.load("nested")
    with nested.mode():
        assert nested.prepare(module, inputs, CPU)()[0].isfinite().all()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda model: setattr(model.config, "num_attention_heads", 1), "is odd"),
        (
            lambda model: setattr(model.encoder.layer[0].intermediate, "intermediate_act_fn", model.pooler.activation),
            "differ by",
        ),
        (lambda model: [setattr(part, "config", None) for part in model.modules()], "how many heads"),
        (lambda model: model.encoder.layer.append(model.pooler), "BERT-like"),
    ],
    ids=["odd-heads", "another-activation", "no-heads", "another-layer"],
)
def test_refuses_what_it_cannot_exchange(spoil, reason):
    module, inputs = build(padded())
    spoil(module.model)
    nested = frameworks.load("nested")
    with nested.mode(), pytest.raises(NotImplementedError, match=reason):
        nested.prepare(module, inputs, CPU)
