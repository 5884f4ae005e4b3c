"""DeBERTa (He et al., 2021): attention from content to position and from position to content."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Deberta(TextArchitecture):
    """Bidirectional transformer encoder with disentangled attention."""

    family = "text-encoder"
    config_class, model_class = "DebertaConfig", "DebertaModel"
    constants = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 50_265,
    }
    presets = {
        "deberta-base": {},
        "deberta-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("deberta")
