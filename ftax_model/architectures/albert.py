"""ALBERT (Lan et al., 2020): one layer's weights for all layers, and narrow embeddings."""

from __future__ import annotations

from ftax_model.architectures._transformers import MIDDLE, SMALL, TextArchitecture, text_grid
from ftax_model.workload import Workload


class Albert(TextArchitecture):
    """Bidirectional transformer encoder with its pooler."""

    family = "text-encoder"
    config_class, model_class = "AlbertConfig", "AlbertModel"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "embedding_size": 128,
        "vocab_size": 30_000,
    }
    presets = {
        "albert-base": {},
        "albert-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
        "albert-xlarge": {"num_layers": 24, "hidden_size": 2048, "num_heads": 16, "intermediate_size": 8192},
        "albert-xxlarge": {"hidden_size": 4096, "num_heads": 64, "intermediate_size": 16_384},
    }

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("albert", {**SMALL, "embedding_size": 32}, {**MIDDLE, "embedding_size": 64})
