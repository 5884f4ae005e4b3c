"""wav2vec 2.0 (Baevski et al., 2020): a speech encoder."""

from __future__ import annotations

from ftax_model.architectures._speech import WaveArchitecture, wave_grid
from ftax_model.workload import Workload


class Wav2vec2(WaveArchitecture):
    """Encoder of a wave."""

    config_class, model_class = "Wav2Vec2Config", "Wav2Vec2Model"
    presets = {
        "wav2vec2-base": {},
        "wav2vec2-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return wave_grid("wav2vec2")
