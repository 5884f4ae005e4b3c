"""ResNet (He et al., 2016) with its wide and grouped variants, stride in the 3x3 convolution, classifier included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftax_model import plugins
from ftax_model.architectures._base import equally_many
from ftax_model.architectures._torch import TorchArchitecture, images
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

EXPANSION = {"basic": 1, "bottleneck": 4}


class Resnet(TorchArchitecture):
    """Residual network: ``depths`` blocks in stages of ``widths`` channels.

    A bottleneck puts out four times its stage's width. Inside, it has ``width_factor`` times the width, in ``groups``
    groups: 2 makes it wide (Zagoruyko and Komodakis, 2016), 2 in 32 groups makes it a ResNeXt (Xie et al., 2017).
    """

    family = "vision"
    input_unit = "pixels"
    default_input_size = 224
    defaults = {
        "block": "bottleneck",
        "depths": (3, 4, 6, 3),
        "widths": (64, 128, 256, 512),
        "width_factor": 1,
        "groups": 1,
        "num_classes": 1000,
    }
    presets = {
        "resnet-18": {"block": "basic", "depths": (2, 2, 2, 2)},
        "resnet-34": {"block": "basic", "depths": (3, 4, 6, 3)},
        "resnet-50": {},
        "resnet-101": {"depths": (3, 4, 23, 3)},
        "resnet-152": {"depths": (3, 8, 36, 3)},
        "wide-resnet-50-2": {"width_factor": 2},
        "wide-resnet-101-2": {"depths": (3, 4, 23, 3), "width_factor": 2},
        "resnext-50-32x4d": {"width_factor": 2, "groups": 32},
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """A known block, a width for each depth, groups that divide the widths; a basic block has none of its own."""
        plugins.check(settings["block"], EXPANSION, what="block of resnet")
        equally_many(settings, "depths", "widths")
        widths, groups, factor = settings["widths"], settings["groups"], settings["width_factor"]
        if settings["block"] == "basic" and (groups, factor) != (1, 1):
            got = f"width_factor {factor}, groups {groups}"
            raise InputError("a basic block has width_factor 1 and groups 1", got, "take the bottleneck block")
        if any(width * factor % groups for width in widths):
            got = f"groups {groups}, widths {widths}, width_factor {factor}"
            raise InputError("groups divide every width times width_factor", got, "change one of them")

    def module(self, workload: Workload) -> Any:
        """The network, which takes ``input`` (batch, 3, size, size) and returns logits (batch, classes)."""
        from torch import nn

        from ftax_model.architectures._modules import convolution

        settings = workload.settings
        channels = settings["widths"][0]
        stem = [convolution(3, channels, 7, stride=2, act=nn.ReLU(inplace=True)), nn.MaxPool2d(3, 2, padding=1)]
        stages = []
        for number, (depth, width) in enumerate(zip(settings["depths"], settings["widths"], strict=True)):
            blocks = []
            for position in range(depth):
                stride = 2 if number and not position else 1
                blocks.append(_block(channels, width, stride, settings))
                channels = width * EXPANSION[settings["block"]]
            stages.append(nn.Sequential(*blocks))
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, settings["num_classes"])]
        return nn.Sequential(*stem, *stages, *head)

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random pixels."""
        return {"input": images(workload)}

    def grid(self) -> list[Workload]:
        """Shallow and narrow to ResNet-50 at half resolution."""
        return [
            *grid("resnet", block="basic", depths=(1, 1), widths=(8, 16), num_classes=10, input_size=32),
            *grid("resnet", depths=(1, 1, 1), widths=(16, 32, 64), num_classes=100, input_size=[32, 64]),
            *grid("resnet", depths=(1, 1), widths=(32, 64), width_factor=2, groups=[1, 8], input_size=64),
            *grid("resnet", block="basic", depths=(2, 2, 2, 2), widths=(32, 64, 128, 256), input_size=96),
            *grid("resnet", preset=["resnet-18", "resnet-50"], input_size=112),
        ]


def _block(inputs: int, width: int, stride: int, settings: Mapping[str, Any]) -> Any:
    from torch import nn

    from ftax_model.architectures._modules import Residual, convolution

    outputs = width * EXPANSION[settings["block"]]
    relu = nn.ReLU(inplace=True)
    if settings["block"] == "basic":
        branch = [convolution(inputs, width, 3, stride=stride, act=relu), convolution(width, outputs, 3)]
    else:
        inner = width * settings["width_factor"]
        branch = [
            convolution(inputs, inner, 1, act=relu),
            convolution(inner, inner, 3, stride=stride, groups=settings["groups"], act=relu),
            convolution(inner, outputs, 1),
        ]
    same = stride == 1 and inputs == outputs
    shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride=stride)
    return Residual(nn.Sequential(*branch), shortcut, relu)
