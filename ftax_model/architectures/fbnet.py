"""FBNet (Wu et al., 2019): 22 layers of inverted residuals, each one of nine blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import as_many, each_of
from ftax_model.architectures._torch import TorchArchitecture, images
from ftax_model.workload import Workload, grid

BLOCKS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""What a layer can be: kernel, expansion and groups of the pointwise convolutions, under the published names."""

STEM = 16
DEPTHS, WIDTHS = (1, 4, 4, 4, 4, 4, 1), (16, 24, 32, 64, 112, 184, 352)
"""Layers and channels of each stage."""


class Fbnet(TorchArchitecture):
    """Classifier; ``blocks`` has an entry for each layer, ``strides`` one for the stem and one for each stage.

    The defaults are those for ImageNet. For CIFAR-100, as in HW-NAS-Bench (Li et al., 2021) and HELP (Lee et al.,
    2021), strides are 1, 1, 1, 2, 2, 1, 2, 1, the head has 1504 channels, and images 32 pixels. A skip that changes
    the shape is a pointwise convolution there, and here. MACs, parameters, convolutions, operators and activations of
    HELP's table (logits left out) are found in this space.

    The presets are the blocks that the authors released. Of FBNet-A they have the MACs and parameters of the paper,
    249 M and 4.3 M. Of the others they do not: 306 M and 4.9 M against 295 M and 4.5 M for FBNet-B, 385 M and 5.6 M
    against 375 M and 5.5 M for FBNet-C. The release replaces a few blocks of these by ones of this space.
    """

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224
    defaults = {
        "blocks": ("k3_e6",) * sum(DEPTHS),
        "strides": (2, 1, 2, 2, 2, 1, 2, 1),
        "head_channels": 1984,
        "num_classes": 1000,
    }
    presets = {
        "fbnet-a": {
            "blocks": (
                *("skip", "k3_e3", "k3_e1", "skip", "skip", "k5_e6", "k3_e3", "k5_e1", "k3_e3", "k5_e6", "k5_e3"),
                *("k5_e1_g2", "k5_e6", "k3_e6", "k5_e1_g2", "k5_e3", "k3_e1_g2", "k5_e6", "k5_e6", "k5_e3"),
                *("k5_e6", "k5_e6"),
            ),
            "head_channels": 1504,
        },
        "fbnet-b": {
            "blocks": (
                *("k3_e1", "k3_e6", "k5_e1", "k3_e1", "k3_e1", "k5_e6", "k5_e3", "k3_e6", "k5_e6", "k5_e6", "k5_e6"),
                *("skip", "k5_e3", "k5_e6", "k3_e1", "k5_e1", "k5_e3", "k5_e6", "k5_e1", "k5_e6", "k5_e6", "k3_e6"),
            ),
        },
        "fbnet-c": {
            "blocks": (
                *("k3_e1", "k3_e6", "skip", "k3_e1", "k3_e1", "k5_e6", "k5_e3", "k5_e6", "k3_e6", "k5_e6", "k5_e3"),
                *("k5_e6", "k5_e6", "k5_e6", "k5_e6", "k5_e6", "k5_e3", "k5_e6", "k5_e6", "k5_e6", "k5_e6", "k3_e6"),
            ),
        },
    }

    parts = (("blocks",),)

    def check(self, settings: Mapping[str, Any]) -> None:
        """A known block for each layer, and a stride for the stem and each stage."""
        as_many(settings, "blocks", sum(DEPTHS))
        each_of(settings, "blocks", BLOCKS)
        as_many(settings, "strides", 1 + len(DEPTHS))
        each_of(settings, "strides", (1, 2))

    def module(self, workload: Workload) -> Any:
        """The network, which takes ``input`` (batch, 3, size, size) and returns logits (batch, classes)."""
        from torch import nn

        from ftax_model.architectures._modules import convolution

        settings = workload.settings
        stem_stride, *strides = settings["strides"]
        parts = [convolution(3, STEM, 3, stride=stem_stride, act=nn.ReLU(inplace=True))]
        blocks, channels = iter(settings["blocks"]), STEM
        for depth, width, stride in zip(DEPTHS, WIDTHS, strides, strict=True):
            for position in range(depth):
                parts.append(_block(next(blocks), channels, width, 1 if position else stride))
                channels = width
        head = settings["head_channels"]
        parts += [convolution(channels, head, 1, act=nn.ReLU(inplace=True)), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*parts, nn.Linear(head, settings["num_classes"]))

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels."""
        return {"input": images(workload)}

    def grid(self) -> list[Workload]:
        """Almost all skips, all blocks and the largest one on CIFAR's images, and FBNet-A at half resolution."""
        few = ("k3_e1_g2", *("skip",) * 20, "k5_e1")
        some = (*BLOCKS, *BLOCKS, *BLOCKS[:4])
        small = {"strides": (1, 1, 1, 2, 2, 1, 2, 1), "head_channels": 1504, "num_classes": 100, "input_size": 32}
        return [
            *grid("fbnet", **{**small, "head_channels": 128}, blocks=few),
            *grid("fbnet", **small, blocks=[some, ("k5_e6",) * 22]),
            *grid("fbnet", preset="fbnet-a", input_size=112),
        ]


def _block(name: str, inputs: int, outputs: int, stride: int) -> Any:
    from torch import nn

    from ftax_model.architectures._modules import ChannelShuffle, Residual, convolution

    same = stride == 1 and inputs == outputs
    if name == "skip":
        return nn.Identity() if same else convolution(inputs, outputs, 1, stride=stride, act=nn.ReLU(inplace=True))
    kernel, expansion, *groups = (int(part[1:]) for part in name.split("_"))
    inner, apart = inputs * expansion, groups[0] if groups else 1
    branch = nn.Sequential(
        convolution(inputs, inner, 1, groups=apart, act=nn.ReLU(inplace=True)),
        *([ChannelShuffle(apart)] if apart > 1 else []),
        convolution(inner, inner, kernel, stride=stride, groups=inner, act=nn.ReLU(inplace=True)),
        convolution(inner, outputs, 1, groups=apart),
    )
    return Residual(branch, nn.Identity(), nn.Identity()) if same else branch
