"""DistilBERT (Sanh et al., 2019): half of BERT's layers, no segments and no pooler."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Distilbert(TextArchitecture):
    """Bidirectional transformer encoder."""

    family = "text-encoder"
    config_class, model_class = "DistilBertConfig", "DistilBertModel"
    keywords = {
        "num_layers": "n_layers",
        "hidden_size": "dim",
        "num_heads": "n_heads",
        "intermediate_size": "hidden_dim",
    }
    defaults = {
        "num_layers": 6,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30_522,
    }
    presets = {"distilbert-base": {}}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("distilbert")
