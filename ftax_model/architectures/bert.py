"""BERT (Devlin et al., 2019), the encoder with its pooler."""

from __future__ import annotations

from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload, grid


class Bert(TextArchitecture):
    """Bidirectional transformer encoder; the small presets are those of Turc et al. (2019)."""

    family = "text-encoder"
    config_class, model_class = "BertConfig", "BertModel"
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 30_522,
    }
    presets = {
        "bert-tiny": {"num_layers": 2, "hidden_size": 128, "num_heads": 2, "intermediate_size": 512},
        "bert-mini": {"num_layers": 4, "hidden_size": 256, "num_heads": 4, "intermediate_size": 1024},
        "bert-small": {"num_layers": 4, "hidden_size": 512, "num_heads": 8, "intermediate_size": 2048},
        "bert-medium": {"num_layers": 8, "hidden_size": 512, "num_heads": 8, "intermediate_size": 2048},
        "bert-base": {},
        "bert-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def grid(self) -> list[Workload]:
        """Small to middle, and a published size."""
        return [*text_grid("bert"), *grid("bert", preset="bert-small")]
