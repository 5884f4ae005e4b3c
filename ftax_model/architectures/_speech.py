"""What the speech encoders that read a wave share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ftax_model.architectures._base import divides
from ftax_model.architectures._torch import at_least, input_size, numbers
from ftax_model.architectures._transformers import TransformersArchitecture
from ftax_model.errors import InputError
from ftax_model.workload import Workload, grid

POSITION_GROUPS = 16


class WaveArchitecture(TransformersArchitecture):
    """Seven convolutions that turn 320 samples into a frame, then a transformer encoder."""

    family = "speech"
    input_unit = "samples"
    default_input_size = 32_000
    constants = {"apply_spec_augment": False, "layerdrop": 0.0, "num_conv_pos_embedding_groups": POSITION_GROUPS}
    defaults: ClassVar[Mapping[str, Any]] = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "conv_channels": 512,
    }

    def check(self, settings: Mapping[str, Any]) -> None:
        """Heads divide the width, and so do the groups of the convolution that gives positions."""
        divides(settings, "num_heads", "hidden_size")
        if settings["hidden_size"] % POSITION_GROUPS:
            law = f"hidden_size is a multiple of {POSITION_GROUPS}"
            raise InputError(law, str(settings["hidden_size"]), "choose such a width")

    def complete(self, workload: Workload) -> Workload:
        """As the base says; one frame takes 400 samples."""
        return at_least(super().complete(workload), 400)

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, with equal channels in all convolutions."""
        configuration = super().configuration(workload)
        return configuration | {"conv_dim": (configuration.pop("conv_channels"),) * 7}

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """A random wave of (batch, samples)."""
        return {"input_values": numbers(workload, input_size(workload))}


def wave_grid(name: str) -> list[Workload]:
    """Workloads of the architecture ``name``: a tenth of a second to two seconds at 16 kHz."""
    small = {"num_layers": 2, "hidden_size": 64, "num_heads": 2, "intermediate_size": 256, "conv_channels": 32}
    middle = {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024, "conv_channels": 128}
    return [*grid(name, **small, input_size=[1600, 16_000]), *grid(name, **middle, input_size=[8000, 32_000])]
