"""What the blocks share: the same part some times over, on tokens or on feature maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from ftax_model.architectures._base import odd
from ftax_model.architectures._torch import TorchArchitecture, images, input_size, numbers
from ftax_model.workload import Workload


class Stack(TorchArchitecture):
    """``num_layers`` times the same part, each with its own weights; subclasses write `part`."""

    @abstractmethod
    def part(self, settings: Mapping[str, Any]) -> Any:
        """One of the parts; its output is of the shape of its input."""

    def module(self, workload: Workload) -> Any:
        """All parts, one after the other."""
        from torch import nn

        return nn.Sequential(*(self.part(workload.settings) for _ in range(workload.settings["num_layers"])))


class TokenBlock(TorchArchitecture):
    """A block on vectors of ``hidden_size`` for each token."""

    family = "block"
    input_unit = "tokens"
    default_input_size = 128

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random vectors of (batch, tokens, hidden size)."""
        return {"input": numbers(workload, input_size(workload), workload.settings["hidden_size"])}


class ImageBlock(TorchArchitecture):
    """A block on square feature maps of ``channels``; ``kernel_size`` is odd, so that it keeps their extent."""

    family = "block"
    input_unit = "pixels"
    default_input_size = 56

    def check(self, settings: Mapping[str, Any]) -> None:
        """An odd kernel."""
        odd(settings, "kernel_size")

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random feature maps of (batch, channels, size, size)."""
        return {"input": images(workload, workload.settings["channels"])}
