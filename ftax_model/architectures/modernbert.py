"""ModernBERT (Warner et al., 2024): rotary positions, gated layers, attention in a window in two layers of three."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Modernbert(TextArchitecture):
    """Bidirectional transformer encoder."""

    family = "text-encoder"
    config_class, model_class = "ModernBertConfig", "ModernBertModel"
    constants = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    positions = ("max_position_embeddings", 8192)
    defaults = {
        "num_layers": 22,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 1152,
        "vocab_size": 50_368,
    }
    presets = {
        "modernbert-base": {},
        "modernbert-large": {"num_layers": 28, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 2624},
    }

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("modernbert")
