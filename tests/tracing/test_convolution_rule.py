"""The rule for plain convolutions, against torch's own choice of a kernel."""

import itertools

import pytest
import torch

from ftax_model.operators import Operator
from ftax_model.tracing.features import group


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_plain_is_what_torch_does_not_hand_to_onednn(one_thread):
    found = set()
    cases = itertools.product((1, 2, 15, 16), (8, 32), (7, 56), (1, 3, 5), (1, 2), (1, 4))
    for images, channels, size, kernel, stride, groups in cases:
        x, weight = torch.empty(images, channels, size, size), torch.empty(16, channels // groups, kernel, kernel)
        shape, padding = (stride, stride), (kernel // 2, kernel // 2)
        backend = torch._C._select_conv_backend(x, weight, None, shape, padding, (1, 1), False, (0, 0), groups)
        attributes = {"kernel": (kernel, kernel), "stride": shape, "dilation": (1, 1), "groups": groups}
        operator = Operator(
            "convolution", (tuple(x.shape), tuple(weight.shape)), ((images, 16, size, size),), attributes=attributes
        )
        plain = group(operator) == "plain-convolution"
        assert plain == (backend.name != "Mkldnn"), (backend, x.shape, kernel, stride)
        found.add(plain)
    assert found == {True, False}
