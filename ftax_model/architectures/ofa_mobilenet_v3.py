"""Once-for-all (Cai et al., 2020): networks within MobileNetV3, of elastic depth, kernels, expansion and resolution."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ftax_model.architectures._base import as_many, each_of
from ftax_model.architectures._torch import TorchArchitecture, images
from ftax_model.workload import Workload, grid

STEM, WIDTHS, LAST = 16, (24, 40, 80, 112, 160), (960, 1280)
"""Channels of the stem and the first block, of each stage, and of the two convolutions at the end."""

STRIDES, EXCITED, SWISH = (2, 2, 2, 1, 2), (False, True, False, True, True), (False, False, True, True, True)
"""Stride of each stage, whether its blocks squeeze and excite, and whether they have h-swish or ReLU."""

SLOTS = 4
"""Blocks that a stage has at most."""

DIVISOR = 8
"""What all widths are multiples of."""


class OfaMobilenetV3(TorchArchitecture):
    """Classifier: ``depths`` blocks in each of five stages, ``kernel_sizes`` and ``expand_ratios`` for four slots each.

    A slot beyond the depth of its stage is not used, but has its entries. The published space has depths 2, 3 and 4,
    kernels 3, 5 and 7, expansions 3, 4 and 6, ``width_multiplier`` 1.0 or 1.2, and images of 128 to 224 pixels.

    h-swish and h-sigmoid are one operator each, which the published code writes as four and three. The networks of
    HELP (Lee et al., 2021) have width 1.2 and images of 128, 132 and so on to 224 pixels; MACs, parameters and
    convolutions of its table are found in this space. The table counts one operator more than there is here, in the
    mean at the end, and its activations leave out those of one pixel.
    """

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224
    defaults = {
        "depths": (4,) * len(WIDTHS),
        "kernel_sizes": (7,) * SLOTS * len(WIDTHS),
        "expand_ratios": (6,) * SLOTS * len(WIDTHS),
        "width_multiplier": 1.0,
        "num_classes": 1000,
    }
    presets = {
        "ofa-mobilenet-v3-max": {},
        "ofa-mobilenet-v3-min": {
            "depths": (2,) * len(WIDTHS),
            "kernel_sizes": (3,) * SLOTS * len(WIDTHS),
            "expand_ratios": (3,) * SLOTS * len(WIDTHS),
        },
    }

    parts = (("depths",), ("kernel_sizes", "expand_ratios"))

    def place(self, settings: Mapping[str, Any], name: str, at: int) -> Hashable | None:
        """The first block of each stage is one, the others are alike."""
        if name == "depths":
            return at
        stage, slot = divmod(at, SLOTS)
        return (stage, slot > 0) if slot < settings["depths"][stage] else None

    def check(self, settings: Mapping[str, Any]) -> None:
        """A depth that its slots allow for each stage, a kernel and an expansion for each slot."""
        as_many(settings, "depths", len(WIDTHS))
        each_of(settings, "depths", range(1, SLOTS + 1))
        for name, choices in (("kernel_sizes", (3, 5, 7)), ("expand_ratios", (2, 3, 4, 6))):
            as_many(settings, name, SLOTS * len(WIDTHS))
            each_of(settings, name, choices)

    def module(self, workload: Workload) -> Any:
        """The network, which takes ``input`` (batch, 3, size, size) and returns logits (batch, classes)."""
        from torch import nn

        from ftax_model.architectures._modules import convolution

        settings = workload.settings
        stem, *widths, wide, last = (
            _divisible(width * settings["width_multiplier"]) for width in (STEM, *WIDTHS, *LAST)
        )
        parts = [convolution(3, stem, 3, stride=2, act=nn.Hardswish(inplace=True)), _first(stem)]
        channels = stem
        for stage, depth in enumerate(settings["depths"]):
            for slot in range(SLOTS * stage, SLOTS * stage + depth):
                kernel, expand = settings["kernel_sizes"][slot], settings["expand_ratios"][slot]
                stride = 1 if slot % SLOTS else STRIDES[stage]
                parts.append(_block(stage, channels, widths[stage], kernel=kernel, expand=expand, stride=stride))
                channels = widths[stage]
        head = [convolution(channels, wide, 1, act=nn.Hardswish(inplace=True)), nn.AdaptiveAvgPool2d(1)]
        mix = [nn.Conv2d(wide, last, 1, bias=False), nn.Hardswish(inplace=True), nn.Flatten()]
        return nn.Sequential(*parts, *head, *mix, nn.Linear(last, settings["num_classes"]))

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels."""
        return {"input": images(workload)}

    def grid(self) -> list[Workload]:
        """The smallest and largest network on small images, and one that mixes all choices."""
        name, small = "ofa-mobilenet-v3", self.presets["ofa-mobilenet-v3-min"]
        mixed = {"depths": (2, 3, 4, 3, 2), "kernel_sizes": (3, 5, 7, 3) * 5, "expand_ratios": (3, 4, 6, 4) * 5}
        return [
            *grid(name, **small, num_classes=10, input_size=32),
            *grid(name, **mixed, width_multiplier=[1.0, 1.2], input_size=96),
            *grid(name, input_size=128),
        ]


def _divisible(channels: float) -> int:
    """The nearest multiple of `DIVISOR`, the next one up where that is less than nine tenths of ``channels``."""
    near = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return near if near >= 0.9 * channels else near + DIVISOR


def _first(channels: int) -> Any:
    from torch import nn

    from ftax_model.architectures._modules import Residual, convolution

    depthwise = convolution(channels, channels, 3, groups=channels, act=nn.ReLU(inplace=True))
    return Residual(nn.Sequential(depthwise, convolution(channels, channels, 1)), nn.Identity(), nn.Identity())


def _block(stage: int, inputs: int, outputs: int, *, kernel: int, expand: int, stride: int) -> Any:
    from torch import nn

    from ftax_model.architectures._modules import Residual, SqueezeExcite, convolution

    act = nn.Hardswish if SWISH[stage] else nn.ReLU
    inner = _divisible(inputs * expand)
    gates = {"act": nn.ReLU(inplace=True), "gate": nn.Hardsigmoid(inplace=True)}
    branch = nn.Sequential(
        convolution(inputs, inner, 1, act=act(inplace=True)),
        convolution(inner, inner, kernel, stride=stride, groups=inner, act=act(inplace=True)),
        *([SqueezeExcite(inner, _divisible(inner // 4), **gates)] if EXCITED[stage] else []),
        convolution(inner, outputs, 1),
    )
    same = stride == 1 and inputs == outputs
    return Residual(branch, nn.Identity(), nn.Identity()) if same else branch
