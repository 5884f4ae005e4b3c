"""The encoder of T5 (Raffel et al., 2020): relative position biases, no biases in the products."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class T5Encoder(TextArchitecture):
    """Bidirectional transformer encoder; heads of ``head_size``, whatever the width."""

    family = "text-encoder"
    config_class, model_class = "T5Config", "T5EncoderModel"
    keywords = {"hidden_size": "d_model", "head_size": "d_kv", "intermediate_size": "d_ff"}
    constants = {"use_cache": False}
    positions = ("n_positions", 512)
    defaults = {
        "num_layers": 6,
        "hidden_size": 512,
        "num_heads": 8,
        "head_size": 64,
        "intermediate_size": 2048,
        "vocab_size": 32_128,
    }
    presets = {
        "t5-small": {},
        "t5-base": {"num_layers": 12, "hidden_size": 768, "num_heads": 12, "intermediate_size": 3072},
        "t5-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("t5-encoder")
