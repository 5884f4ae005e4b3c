"""WavLM (Chen et al., 2022): a speech encoder with gated relative position biases."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._speech import WaveArchitecture, wave_grid
from ftax_model.workload import Workload


class Wavlm(WaveArchitecture):
    """Encoder of a wave; the large one normalises each convolution and before each layer (``stable_layer_norm``)."""

    config_class, model_class = "WavLMConfig", "WavLMModel"
    keywords = {**WaveArchitecture.keywords, "stable_layer_norm": "do_stable_layer_norm"}
    defaults = {**WaveArchitecture.defaults, "stable_layer_norm": False}
    presets = {
        "wavlm-base": {},
        "wavlm-large": {
            "num_layers": 24,
            "hidden_size": 1024,
            "num_heads": 16,
            "intermediate_size": 4096,
            "stable_layer_norm": True,
        },
    }

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """As the base says, and the norm of the convolutions goes with that of the layers."""
        norm = "layer" if workload.settings["stable_layer_norm"] else "group"
        return super().configuration(workload) | {"feat_extract_norm": norm}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return wave_grid("wavlm")
