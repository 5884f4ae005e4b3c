"""Inputs: padded lengths, ids and pixels."""

import statistics

import pytest

from ftax_model import architectures
from ftax_model.architectures._transformers import sequence_lengths
from ftax_model.workload import Workload


def bert(**own) -> Workload:
    return architectures.complete(Workload("bert", {"preset": "bert-tiny", "vocab_size": 50}, **own))


def test_penn_treebank_lengths_have_its_mean_and_spread():
    lengths = sequence_lengths(bert(batch_size=20_000, input_size=128, lengths="penn-treebank"))
    assert statistics.mean(lengths) == pytest.approx(20.92, abs=0.3)
    assert statistics.stdev(lengths) == pytest.approx(10.18, abs=0.5)
    assert min(lengths) == 1


def test_a_smaller_batch_is_the_beginning_of_a_larger_and_short_inputs_cut_lengths():
    long, short = (sequence_lengths(bert(batch_size=8, input_size=s, lengths="penn-treebank")) for s in (128, 16))
    assert sequence_lengths(bert(batch_size=3, input_size=128, lengths="penn-treebank")) == long[:3]
    assert short == [min(length, 16) for length in long]


def test_mask_has_the_lengths_and_padding_ids_are_zero():
    workload = bert(batch_size=8, input_size=32, lengths="penn-treebank")
    _, inputs = architectures.load("bert").build(workload)
    assert inputs["attention_mask"].sum(1).tolist() == sequence_lengths(workload)
    assert not inputs["input_ids"][inputs["attention_mask"] == 0].any()
    assert inputs["input_ids"].shape == (8, 32)
    assert inputs["input_ids"].max() < 50


def test_fixed_lengths_pass_no_mask():
    _, inputs = architectures.load("bert").build(bert(batch_size=2, input_size=600))
    assert list(inputs) == ["input_ids"]
    assert sequence_lengths(bert(batch_size=2, input_size=600)) == [600, 600]


def test_images_are_square_with_three_channels():
    workload = architectures.complete(Workload("resnet", {"depths": (1,), "widths": (8,)}, batch_size=2, input_size=48))
    _, inputs = architectures.load("resnet").build(workload)
    assert inputs["input"].shape == (2, 3, 48, 48)
