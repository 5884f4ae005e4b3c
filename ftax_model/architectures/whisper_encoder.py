"""The encoder of Whisper (Radford et al., 2023), on log-mel features."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._torch import input_size, multiple, numbers
from ftax_model.architectures._transformers import TransformersArchitecture
from ftax_model.workload import Workload, grid


class WhisperEncoder(TransformersArchitecture):
    """Two convolutions that halve the frames, then a transformer encoder.

    A frame is 10 ms: 200 are two seconds; 3000, thirty seconds, are what Whisper itself was trained on.
    """

    family = "speech"
    input_unit = "frames"
    default_input_size = 200
    config_class, model_class = "WhisperConfig", "models.whisper.modeling_whisper.WhisperEncoder"
    keywords = {
        "num_layers": "encoder_layers",
        "hidden_size": "d_model",
        "num_heads": "encoder_attention_heads",
        "intermediate_size": "encoder_ffn_dim",
    }
    defaults = {
        "num_layers": 4,
        "hidden_size": 384,
        "num_heads": 6,
        "intermediate_size": 1536,
        "num_mel_bins": 80,
    }
    presets = {
        "whisper-tiny": {},
        "whisper-base": {"num_layers": 6, "hidden_size": 512, "num_heads": 8, "intermediate_size": 2048},
        "whisper-small": {"num_layers": 12, "hidden_size": 768, "num_heads": 12, "intermediate_size": 3072},
        "whisper-medium": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
        "whisper-large-v3": {
            "num_layers": 32,
            "hidden_size": 1280,
            "num_heads": 20,
            "intermediate_size": 5120,
            "num_mel_bins": 128,
        },
    }

    def complete(self, workload: Workload) -> Workload:
        """As the base says; frames come in pairs."""
        return multiple(super().complete(workload), 2, of="2")

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, with a position for each pair of frames."""
        return super().configuration(workload) | {"max_source_positions": input_size(workload) // 2}

    def inputs(self, workload: Workload) -> dict[str, Any]:
        """Random features of (batch, mel bins, frames)."""
        return {"input_features": numbers(workload, workload.settings["num_mel_bins"], input_size(workload))}

    def grid(self) -> list[Workload]:
        """Small to the published tiny one."""
        small = {"num_layers": 2, "hidden_size": 64, "num_heads": 2, "intermediate_size": 256, "num_mel_bins": 20}
        return [
            *grid("whisper-encoder", **small, input_size=[20, 200]),
            *grid("whisper-encoder", num_layers=[2, 4], input_size=[100, 400]),
        ]
