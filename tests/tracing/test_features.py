"""Operators as numbers: groups, amounts, and the columns that they sum to."""

import pytest

from ftax_model import architectures
from ftax_model.operators import Operator, Trace
from ftax_model.tracing import features, trace_sweep, trace_workload
from ftax_model.workload import Workload

CONVOLUTION = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "transposed": False}


def convolution(*, groups: int, kernel: int = 3) -> Operator:
    channels = 8
    return Operator(
        "convolution",
        inputs=((2, channels, 8, 8), (16, channels // groups, kernel, kernel)),
        outputs=((2, 16, 4, 4),),
        macs=2 * 16 * 16 * channels // groups * kernel**2,
        attributes={**CONVOLUTION, "kernel": (kernel, kernel), "groups": groups},
    )


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (convolution(groups=1), "dense-convolution"),
        (convolution(groups=1, kernel=1), "pointwise-convolution"),
        (convolution(groups=2), "grouped-convolution"),
        (convolution(groups=8), "depthwise-convolution"),
        (Operator("addmm", (), (), weight_bytes=4, attributes={"m": 1, "k": 1, "n": 1}), "linear"),
        (Operator("bmm", (), (), attributes={"batch": 2, "m": 1, "k": 1, "n": 1}), "matmul"),
        (Operator("relu_", (), ()), "rectifier"),
        (Operator("_to_copy", (), ()), "copy"),
        (Operator("never_heard_of", (), ()), "other"),
    ],
)
def test_group_of_an_operator(operator, expected):
    assert features.group(operator) == expected


def test_a_convolution_amounts_to_a_product_of_patches_and_kernels():
    quantities, extents = features.amounts(convolution(groups=2), itemsize=4)
    assert extents["m"] * extents["k"] * extents["n"] * extents["matrices"] == quantities["macs"]
    assert quantities["patch_bytes"] == 4 * 2 * 16 * 8 * 9


def test_every_kind_that_reference_models_dispatch_has_a_group():
    for name in architectures.names():
        for workload in architectures.load(name).grid()[:1]:
            unknown = {one.kind for one in trace_workload(workload).operators if features.group(one) == "other"}
            assert unknown <= {"_local_scalar_dense", "_weight_norm_interface", "as_strided_", "toy", "step"}, name


def test_columns_sum_over_operators_and_average_their_extents():
    one, two = convolution(groups=1), convolution(groups=1, kernel=1)
    single, double = features.columns(Trace((one,), 0)), features.columns(Trace((one, one, two), 0))
    assert double["dense-convolution.ops"] == 2
    assert double["dense-convolution.macs"] == 2 * single["dense-convolution.macs"]
    assert double["dense-convolution.m~"] == pytest.approx(single["dense-convolution.m~"])
    assert double["pointwise-convolution.ops"] == 1


def test_traffic_counts_only_what_lies_beyond_a_size():
    big = Operator("add", ((1,),), ((1,),), activation_bytes=3 << 20)
    found = features.columns(Trace((big, big), 0))
    assert found["traffic.1M"] == 2 * (2 << 20)
    assert found["traffic.32M"] == 0


@pytest.mark.parametrize(
    "name", ["bert", "resnet", "mobilenet-v2", "llama-decode", "swin", "lstm", "t5-encoder", "toy"]
)
def test_a_sweep_follows_from_three_traces(name):
    workload = architectures.complete(architectures.load(name).grid()[0])
    sizes = [1, 2, 5, 40]
    found = trace_sweep(workload.curve, sizes)
    for size in sizes:
        direct = trace_workload(workload.with_batch_size(size))
        assert found[size].features() == direct.features()
        assert features.columns(found[size]) == pytest.approx(features.columns(direct))


def test_what_is_looked_up_ends_with_the_table():
    small = Workload("bert", {"num_layers": 1, "hidden_size": 32, "num_heads": 2, "vocab_size": 64}, input_size=16)
    trace = trace_sweep(small, [1, 50])[50]
    assert trace.features() == trace_workload(small.with_batch_size(50)).features()
