"""RoBERTa (Liu et al., 2019): BERT with positions that begin behind the padding and one segment."""

from __future__ import annotations

from typing import Any

from ftax_model.architectures._torch import input_size
from ftax_model.architectures._transformers import TextArchitecture, text_grid
from ftax_model.workload import Workload


class Roberta(TextArchitecture):
    """Bidirectional transformer encoder with its pooler."""

    family = "text-encoder"
    config_class, model_class = "RobertaConfig", "RobertaModel"
    constants = {"type_vocab_size": 1, "pad_token_id": 1}
    defaults = {
        "num_layers": 12,
        "hidden_size": 768,
        "num_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 50_265,
    }
    presets = {
        "roberta-base": {},
        "roberta-large": {"num_layers": 24, "hidden_size": 1024, "num_heads": 16, "intermediate_size": 4096},
    }

    def configuration(self, workload: Workload) -> dict[str, Any]:
        """Two positions more than tokens: they are counted from behind that of padding, 1."""
        return super().configuration(workload) | {"max_position_embeddings": max(512, input_size(workload)) + 2}

    def grid(self) -> list[Workload]:
        """Small to middle."""
        return text_grid("roberta")
